//! Lists of the transactions of one kind, as bare arrays; or one of them by its id (rest-api.md 2.3, 2.4).

use std::collections::HashMap;

use axum::response::Response;
use serde::Serialize;

use super::ApiState;
use super::access::Caller;
use super::error::{ApiError, FieldErrors};
use super::paging::{PageLinks, PageRule};
use super::query::Query;
use super::transaction::{devices_of, is_visible, read_status};
use crate::model::device::Device;
use crate::model::transaction::{Kind, Transaction, TransactionStatus, VariableResult};
use crate::store::{Listing, Page, TransactionFilter};
use crate::types::ident::{DeviceKey, TransactionId};

/// What such lists have in common.
pub(super) struct Ledger {
    /// Which transactions.
    pub(super) kind: Kind,
    /// What stands before the number of an id, and may be left out by who asks.
    pub(super) prefix: &'static str,
    /// What is said when there is none with an id.
    pub(super) none: &'static str,
}

/// Which of them are asked for.
pub(super) struct Asked {
    ledger: &'static Ledger,
    id: Option<String>,
    serial: Option<String>,
    status: Option<TransactionStatus>,
    update_status: bool,
    page: Page,
    links: PageLinks,
}

/// One of them, its device, and its results where it has ended.
pub(super) struct Entry<'e> {
    pub(super) device: &'e Device,
    pub(super) transaction: Transaction,
    pub(super) results: Vec<VariableResult>,
}

impl Ledger {
    /// Reads `id`, `serial_number`, `status`, `update_status`, `limit` and `offset`.
    pub(super) fn read(&'static self, mut query: Query) -> Result<Asked, FieldErrors> {
        let update_status = query.boolean("update_status") == Some(true);
        let page = query.page(PageRule::ARRAY);
        let status = read_status(&mut query);
        let id = query.text("id").map(str::to_owned);
        let serial = query.text("serial_number").map(str::to_owned);
        Ok(Asked { ledger: self, id, serial, status, update_status, page, links: query.finish()? })
    }
}

impl Asked {
    /// Answers with what each of them looks like; `None`: it is left out.
    pub(super) async fn answer<T: Serialize>(
        self,
        state: &ApiState,
        caller: &Caller,
        view: impl Fn(Entry<'_>) -> Option<T>,
    ) -> Result<Response, ApiError> {
        let device = match &self.serial {
            Some(serial) => {
                state.store.by_serial(serial).await?.filter(|device| caller.sees(device.profile.organization))
            }
            None => None,
        };
        let filter = TransactionFilter {
            visible: caller.visible().map(<[_]>::to_vec),
            device: device.as_ref().map(|device| device.key),
            kind: Some(self.ledger.kind),
            status: self.status,
        };
        // The named device does not exist, or is not this token's.
        let nobody = self.serial.is_some() && device.is_none();
        let mut found = self.find(state, caller, &filter, nobody).await?;
        if self.update_status {
            state.refresh_transactions(&found.items).await;
            found = self.find(state, caller, &filter, nobody).await?;
        }
        let devices: HashMap<DeviceKey, Device> = devices_of(state, &found.items).await?;
        let mut views = Vec::with_capacity(found.items.len());
        for transaction in found.items {
            // A device that was removed meanwhile has taken its transactions along.
            let Some(device) = devices.get(&transaction.device) else { continue };
            let results =
                if transaction.status.is_final() { state.store.results(transaction.id).await? } else { Vec::new() };
            views.extend(view(Entry { device, transaction, results }));
        }
        Ok(self.links.array(self.page, found.count, views))
    }

    async fn find(
        &self,
        state: &ApiState,
        caller: &Caller,
        filter: &TransactionFilter,
        nobody: bool,
    ) -> Result<Listing<Transaction>, ApiError> {
        let Some(id) = &self.id else {
            return if nobody {
                Ok(Listing { items: Vec::new(), count: 0 })
            } else {
                Ok(state.store.transactions(filter, self.page).await?)
            };
        };
        let number = id.strip_prefix(self.ledger.prefix).unwrap_or(id);
        let transaction = match number.parse() {
            Ok(id) if !nobody => state.store.transaction(TransactionId(id)).await?,
            _ => None,
        };
        let matches = |transaction: &Transaction| {
            transaction.kind == self.ledger.kind
                && filter.device.is_none_or(|device| device == transaction.device)
                && filter.status.is_none_or(|status| status == transaction.status)
        };
        let transaction = transaction.filter(matches);
        let visible = match &transaction {
            Some(transaction) => is_visible(state, caller, transaction).await?,
            None => false,
        };
        match transaction {
            Some(transaction) if visible => Ok(Listing { items: vec![transaction], count: 1 }),
            _ => Err(ApiError::not_found(self.ledger.none)),
        }
    }
}
