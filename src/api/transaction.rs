//! `/transaction/`: everything that was scheduled, whoever scheduled it (rest-api.md §4).

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::ApiState;
use super::access::{Caller, Operator};
use super::audit::Done;
use super::error::ApiError;
use super::openapi::{Detail, PageParameters, Reading};
use super::paging::{Envelope, PageRule};
use super::query::Query;
use super::transfer::view::TransferView;
use super::words::{KindWord, StatusWord};
use crate::devices::edit::EditError;
use crate::model::device::{Device, State as DeviceState};
use crate::model::transaction::{Kind, NewTransaction, Slot, Transaction, TransactionFault, TransactionStatus, Work};
use crate::store::{CancelError, Merge, TransactionFilter};
use crate::types::ident::{DeviceKey, TransactionId};

/// A transaction.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TransactionView {
    id: u64,
    serial_number: String,
    kind: KindWord,
    #[schema(example = "get")]
    operation: &'static str,
    status: StatusWord,
    created_at: String,
    started_at: Option<String>,
    completed_at: Option<String>,
    /// Sessions that have tried it.
    attempts: u32,
    /// In words.
    waiting_for: Option<String>,
    /// Why it failed; while it backs off, the last fault.
    fault: Option<FaultView>,
    /// What else is to be known of a completed one.
    note: Option<String>,
    /// What came of it, where there is more to tell.
    result: Option<ResultView>,
    requested_by: String,
}

/// What came of a transaction, by its kind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum ResultView {
    /// Of a file transfer.
    Transfer(TransferView),
}

/// A fault of the CPE, or with code 0 acsd's own reason.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct FaultView {
    #[schema(example = 9005)]
    code: u16,
    message: String,
}

impl FaultView {
    pub(super) fn of(fault: &TransactionFault) -> Self {
        Self { code: fault.code, message: fault.message.clone() }
    }
}

impl TransactionView {
    pub(super) fn of(device: &Device, transaction: Transaction) -> Self {
        Self {
            id: transaction.id.0,
            serial_number: device.profile.serial_number.to_string(),
            kind: transaction.kind.into(),
            operation: transaction.work.operation(),
            status: transaction.status.into(),
            created_at: transaction.created_at.to_string(),
            started_at: transaction.started_at.map(|at| at.to_string()),
            completed_at: transaction.completed_at.map(|at| at.to_string()),
            attempts: transaction.attempts,
            waiting_for: waiting_for(device, &transaction),
            fault: transaction.fault.as_ref().map(FaultView::of),
            result: TransferView::of(&transaction).map(ResultView::Transfer),
            note: transaction.note,
            requested_by: transaction.requested_by,
        }
    }

    /// With what has to end before it may begin, where there is such a thing.
    async fn held(state: &ApiState, device: &Device, transaction: Transaction) -> Result<Self, ApiError> {
        let held_by = held_by(state, &transaction).await?;
        let view = Self::of(device, transaction);
        Ok(Self { waiting_for: held_by.or(view.waiting_for), ..view })
    }
}

/// Transactions, newest first.
#[utoipa::path(get, path = "/api/v1/transaction/", tag = "transactions",
    params(
        ("serial_number" = Option<String>, Query, description = "Only of this device"),
        ("kind" = Option<KindWord>, Query,
            description = "Only of this part of the API"),
        ("status" = Option<StatusWord>, Query, description = "Only in this status"),
        PageParameters
    ),
    responses((status = 200, description = "A page", body = Envelope<TransactionView>), Reading))]
pub(super) async fn list(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    mut query: Query,
) -> Result<Json<Envelope<TransactionView>>, ApiError> {
    let page = query.page(PageRule::LIST);
    let kind = query.choice("kind", KindWord::parse);
    let status = read_status(&mut query);
    let serial = query.text("serial_number").map(str::to_owned);
    let links = query.finish()?;
    let device = match &serial {
        None => None,
        Some(serial) => match state.store.by_serial(serial).await? {
            Some(device) if caller.sees(device.profile.organization) => Some(device.key),
            _ => return Ok(Json(links.envelope(page, 0, Vec::new()))),
        },
    };
    let filter = TransactionFilter { visible: caller.visible().map(<[_]>::to_vec), device, kind, status };
    let listing = state.store.transactions(&filter, page).await?;
    let devices = devices_of(&state, &listing.items).await?;
    let mut views = Vec::with_capacity(listing.items.len());
    for transaction in listing.items {
        // A device that was removed meanwhile has taken its transactions along.
        let Some(device) = devices.get(&transaction.device) else { continue };
        views.push(TransactionView::held(&state, device, transaction).await?);
    }
    Ok(Json(links.envelope(page, listing.count, views)))
}

/// One transaction.
#[utoipa::path(get, path = "/api/v1/transaction/{id}/", tag = "transactions",
    params(("id" = u64, Path, description = "Its number")),
    responses(
        (status = 200, description = "The transaction", body = TransactionView),
        (status = 404, description = "There is no such transaction", body = Detail),
        Reading))]
pub(super) async fn show(
    caller: Caller,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<Json<TransactionView>, ApiError> {
    let transaction = find(&state, &caller, &id).await?;
    let device = state.store.device(transaction.device).await?.ok_or_else(no_such_transaction)?;
    Ok(Json(TransactionView::held(&state, &device, transaction).await?))
}

/// Withdraws a transaction that has not started.
#[utoipa::path(delete, path = "/api/v1/transaction/{id}/", tag = "transactions",
    params(("id" = u64, Path, description = "Its number")),
    responses(
        (status = 204, description = "It is withdrawn"),
        (status = 404, description = "There is no such transaction", body = Detail),
        (status = 409, description = "It has started or ended", body = Detail),
        Reading))]
pub(super) async fn cancel(
    caller: Operator,
    State(state): State<Arc<ApiState>>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let transaction = find(&state, &caller, &id).await?;
    match state.editor().cancel(&transaction, caller.name()).await {
        Ok(()) => {
            let what = json!({ "operation": transaction.work.operation() });
            let device = state.store.device(transaction.device).await?;
            let done = Done::canceled(&transaction.id, &what);
            let done = match &device {
                Some(device) => done.of_device(device),
                None => done,
            };
            state.audit(&caller, done).await?;
            tracing::info!("{} withdrew transaction {}", caller.name(), transaction.id);
            Ok(StatusCode::NO_CONTENT)
        }
        Err(CancelError::Unknown) => Err(no_such_transaction()),
        Err(CancelError::Started) => Err(ApiError::conflict("The transaction has started or ended.")),
        Err(CancelError::Store(source)) => Err(source.into()),
    }
}

impl ApiState {
    /// Puts work that a caller orders into a device's queue, its secrets sealed; never merged with work that waits. The entry in
    /// the audit trail is the caller's.
    pub(super) async fn schedule(
        &self,
        caller: &Caller,
        device: &Device,
        kind: Kind,
        mut work: Work,
    ) -> Result<Transaction, ApiError> {
        work.seal(|secret| self.sealer.seal(secret))?;
        let new = NewTransaction {
            kind,
            work,
            requested_by: caller.name().to_owned(),
            expires_at: self.work_expires_at(),
            campaign: None,
        };
        Ok(self.queue.schedule(device, new, Merge::Never).await.map_err(EditError::from)?)
    }
}

async fn find(state: &ApiState, caller: &Caller, id: &str) -> Result<Transaction, ApiError> {
    let id = id.parse().map(TransactionId).map_err(|_not_a_number| no_such_transaction())?;
    let transaction = state.store.transaction(id).await?.ok_or_else(no_such_transaction)?;
    if is_visible(state, caller, &transaction).await? { Ok(transaction) } else { Err(no_such_transaction()) }
}

fn no_such_transaction() -> ApiError {
    ApiError::not_found("There is no transaction with this id.")
}

/// Whether the transaction's device is one that the caller may see.
pub(super) async fn is_visible(state: &ApiState, caller: &Caller, transaction: &Transaction) -> Result<bool, ApiError> {
    let device = state.store.device(transaction.device).await?;
    Ok(device.is_some_and(|device| caller.sees(device.profile.organization)))
}

/// Why a transaction waits, and what came of calling its device since then.
fn waiting_for(device: &Device, transaction: &Transaction) -> Option<String> {
    let reason = transaction.waiting_for()?;
    if !device.profile.is_active {
        return Some(format!("the device to be made active, then {reason}"));
    }
    let DeviceState { connection_request_verdict, connection_request_at, .. } = &device.state;
    match (connection_request_verdict, connection_request_at) {
        (Some(verdict), Some(at)) if *at >= transaction.created_at => {
            Some(format!("{reason} (connection request at {at}: {verdict})"))
        }
        _ => Some(reason),
    }
}

/// What has to end before a transaction that has not started may begin, in words: a device makes one test of a kind at a
/// time.
async fn held_by(state: &ApiState, transaction: &Transaction) -> Result<Option<String>, ApiError> {
    let Some(slot) = transaction.work.slot() else { return Ok(None) };
    if transaction.status != TransactionStatus::Scheduled {
        return Ok(None);
    }
    let live = state.store.live(transaction.device).await?;
    Ok(transaction.held_by(&live).map(|other| match slot {
        Slot::Test(kind) => format!("the {} test {} to end", kind.as_str(), other.id),
        Slot::Firmware => format!("the firmware upgrade {} to end", other.id),
    }))
}

/// The devices of these transactions, each looked up once.
pub(super) async fn devices_of(
    state: &ApiState,
    transactions: &[Transaction],
) -> Result<HashMap<DeviceKey, Device>, ApiError> {
    let mut devices = HashMap::new();
    for transaction in transactions {
        if !devices.contains_key(&transaction.device)
            && let Some(device) = state.store.device(transaction.device).await?
        {
            devices.insert(transaction.device, device);
        }
    }
    Ok(devices)
}

/// The parameter `status` of lists of transactions.
pub(super) fn read_status(query: &mut Query) -> Option<TransactionStatus> {
    query.choice("status", StatusWord::parse)
}
