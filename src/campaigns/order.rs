//! Giving one device its turn.

use std::time::Duration;

use crate::devices::edit::{EditError, Editor};
use crate::model::campaign::member::Member;
use crate::model::campaign::{Campaign, CampaignOperation};
use crate::model::device::Device;
use crate::model::organizations;
use crate::model::transaction::{Kind, NewTransaction, Transaction, Work};
use crate::store::{CancelError, Merge, Page, StoreError, TransactionFilter};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::Tools;

/// Most of a device's transactions that are looked through for the one of a campaign.
const LOOKED_THROUGH: u32 = 256;

/// Why a device is left out that is no more.
pub(super) const REMOVED: &str = "the device was removed";

/// What became of a device's turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ordered {
    /// It has work.
    Scheduled(TransactionId),
    /// There is nothing to do, or it cannot be asked of the device: why.
    Skipped(String),
    /// It could not be scheduled: why.
    Refused(String),
}

/// What became of a withdrawal.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Withdrawn {
    /// It never began.
    Done,
    /// It has begun, or ended.
    TooLate,
}

impl Tools {
    /// Why a device is left out, if it is.
    pub(super) fn left_out(&self, campaign: &Campaign, device: Option<&Device>) -> Option<&'static str> {
        let Some(device) = device else { return Some(REMOVED) };
        let profile = &device.profile;
        if !profile.is_active {
            return Some("the device is inactive");
        }
        let roots = campaign.organizations.as_ref()?;
        let all = self.store.organizations().all();
        let is_within = roots.iter().any(|root| organizations::lies_within(&all, profile.organization, *root));
        (!is_within).then_some("the device belongs to another organization now")
    }

    /// Schedules what a campaign has for a device, to begin before `expires_at`.
    pub(super) async fn order(
        &self,
        campaign: &Campaign,
        device: &Device,
        expires_at: Timestamp,
    ) -> Result<Ordered, StoreError> {
        let (kind, work) = match &campaign.operation {
            CampaignOperation::Firmware(image) => {
                let wait = expires_at.since(self.clock.now());
                let editor = self.editor(Some(wait));
                return match editor.upgrade(device, *image, &campaign.course.by, Some(campaign.id)).await {
                    Ok(Some(transaction)) => Ok(Ordered::Scheduled(transaction.id)),
                    Ok(None) if device.state.identity.is_none() => {
                        let words = "the device has never called in: it gets the image at its first contact";
                        Ok(Ordered::Skipped(words.to_owned()))
                    }
                    Ok(None) => Ok(Ordered::Skipped("the device runs this image's version already".to_owned())),
                    Err(refused) => answer(refused),
                };
            }
            CampaignOperation::Set(assignments) => (Kind::Headless, Work::Set { assignments: assignments.clone() }),
            CampaignOperation::Sync => (Kind::Operation, Work::Sync),
            CampaignOperation::Reconf => (Kind::Operation, Work::Reconfigure),
            CampaignOperation::Reboot => (Kind::Operation, Work::Reboot),
            CampaignOperation::Diagnostic(order) => (Kind::Diag, Work::Diagnose(order.clone())),
        };
        let new = NewTransaction {
            kind,
            work,
            requested_by: campaign.course.by.clone(),
            expires_at: Some(expires_at),
            campaign: Some(campaign.id),
        };
        match self.queue.schedule(device, new, Merge::Never).await {
            Ok(transaction) => Ok(Ordered::Scheduled(transaction.id)),
            Err(refused) => answer(refused.into()),
        }
    }

    /// The transaction that a device which is marked as starting has from the campaign, if it came to that.
    pub(super) async fn find_ordered(
        &self,
        campaign: &Campaign,
        device: DeviceKey,
        member: &Member,
    ) -> Result<Option<Transaction>, StoreError> {
        let newer_than = member.transaction.unwrap_or(TransactionId(0)).max(campaign.course.floor);
        let is_ours = |one: &Transaction| one.campaign == Some(campaign.id) && one.id > newer_than;
        if let Some(found) = self.store.live(device).await?.into_iter().find(|one| is_ours(one)) {
            return Ok(Some(found));
        }
        let filter = TransactionFilter { device: Some(device), ..TransactionFilter::default() };
        let listing = self.store.transactions(&filter, Page { offset: 0, limit: LOOKED_THROUGH }).await?;
        Ok(listing.items.into_iter().find(is_ours))
    }

    /// Withdraws what a device has not begun.
    pub(super) async fn withdraw(&self, transaction: &Transaction, by: &str) -> Result<Withdrawn, StoreError> {
        match self.editor(None).cancel(transaction, by).await {
            Ok(()) => Ok(Withdrawn::Done),
            Err(CancelError::Started | CancelError::Unknown) => Ok(Withdrawn::TooLate),
            Err(CancelError::Store(source)) => Err(source),
        }
    }

    fn editor(&self, work_expires_after: Option<Duration>) -> Editor<'_> {
        Editor {
            store: &*self.store,
            queue: &self.queue,
            presence: &self.presence,
            sealer: &self.sealer,
            clock: &*self.clock,
            work_expires_after,
        }
    }
}

fn answer(refused: EditError) -> Result<Ordered, StoreError> {
    match refused {
        EditError::Store(source) => Err(source),
        EditError::Inactive | EditError::Impossible(_) | EditError::Unfit(_) => {
            Ok(Ordered::Skipped(refused.to_string()))
        }
        EditError::Gone => Ok(Ordered::Skipped(REMOVED.to_owned())),
        EditError::QueueFull { .. }
        | EditError::Busy(_)
        | EditError::Register(_)
        | EditError::Credentials(_)
        | EditError::Seal(_) => Ok(Ordered::Refused(refused.to_string())),
    }
}
