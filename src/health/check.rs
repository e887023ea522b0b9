//! Ordering checks, and putting what came of them into their entries.

use std::time::Duration;

use crate::model::device::{Device, DeviceTypeId, Profile, Status};
use crate::model::device_type::{DeviceType, HealthFault};
use crate::model::entry::{DiagnosticEntry, HEALTH_CHECK};
use crate::model::transaction::{Kind, NewTransaction, Transaction, TransactionStatus, Work};
use crate::store::{Merge, StoreError};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::judge::{Findings, PENDING, paths_of};
use super::{CheckError, Freshness, Health, Ordered, Target};

/// A check that no device has taken up after this long is given up, whatever the interval.
const EXPIRES_AFTER: Duration = Duration::from_hours(24);
/// A check that is given up even sooner because the next one is due would never be taken up by a device that is called in vain.
const EXPIRES_AFTER_LEAST: Duration = Duration::from_mins(10);

impl Health {
    /// Why a device cannot be checked, if it cannot: a look-up in memory.
    ///
    /// # Errors
    /// [`HealthFault`].
    pub fn can_check(&self, device: &Device) -> Result<(), HealthFault> {
        self.type_of(&device.profile).health_of(device.state.data_model).map(drop)
    }

    /// Has a device checked. A check that waits already, or is under way, does for this one, too.
    ///
    /// # Errors
    /// [`CheckError`].
    pub async fn order(&self, device: &Device, target: Target, requested_by: &str) -> Result<Ordered, CheckError> {
        let device_type = self.type_of(&device.profile);
        let paths = paths_of(&device_type.health_of(device.state.data_model)?);
        let now = self.clock.now();
        let entry = match target {
            Target::Entry(id) => self.store.entry(id).await?,
            Target::Newest => {
                let make = Box::new(move |id| {
                    let mut entry = DiagnosticEntry::new(id, device.key, HEALTH_CHECK, now);
                    PENDING.clone_into(&mut entry.head.status);
                    entry
                });
                self.store.health_check(device.key, make, self.config.entries_per_device).await?
            }
        };
        let entry = entry.ok_or(CheckError::Gone)?;
        if let Some(awaited) = entry.head.awaits {
            // It may have ended just now: what it found is not to be lost for the new one.
            self.apply(awaited).await?;
        }
        let work = Work::Get { paths };
        let live = self.store.live(device.key).await?;
        let (transaction, freshness) = match live.into_iter().find(|one| one.kind == Kind::Health && one.work == work) {
            Some(waiting) => (waiting.id, Freshness::Shared),
            None => {
                let interval = device_type.health_interval_secs.map(|secs| Duration::from_secs(secs.into()));
                let patience = interval.unwrap_or(EXPIRES_AFTER).clamp(EXPIRES_AFTER_LEAST, EXPIRES_AFTER);
                let new = NewTransaction {
                    kind: Kind::Health,
                    work,
                    requested_by: requested_by.to_owned(),
                    expires_at: Some(now + patience),
                    campaign: None,
                };
                (self.queue.schedule(device, new, Merge::SameUnstarted).await?.id, Freshness::New)
            }
        };
        let await_it = Box::new(move |entry: &mut DiagnosticEntry| {
            entry.head.awaits = Some(transaction);
            Vec::new()
        });
        let entry = self.store.edit_entry(entry.id, await_it).await?.ok_or(CheckError::Gone)?;
        Ok(Ordered { entry, transaction, freshness })
    }

    /// Puts what came of a check into the entries that wait for it; does nothing while it has not ended, and nothing more
    /// when it is asked again.
    ///
    /// # Errors
    /// [`StoreError`]; it may be asked again.
    pub async fn apply(&self, id: TransactionId) -> Result<(), StoreError> {
        let Some(transaction) = self.store.transaction(id).await? else { return Ok(()) };
        if transaction.kind != Kind::Health || !transaction.status.is_final() {
            return Ok(());
        }
        let Some(device) = self.store.device(transaction.device).await? else { return Ok(()) };
        let checks = self.store.health_checks_of(device.key).await?;
        let mut waiting: Vec<&DiagnosticEntry> = checks.iter().filter(|entry| entry.head.awaits == Some(id)).collect();
        if waiting.is_empty() {
            // Cut off before it was noted which entry it is for: the newest, unless that knows better.
            let ended = transaction.completed_at;
            waiting.extend(checks.first().filter(|entry| entry.head.awaits.is_none() && entry.checked_at < ended));
        }
        if waiting.is_empty() {
            return Ok(());
        }
        let device_type = self.type_of(&device.profile);
        let findings = self.findings(&transaction, &device, &device_type).await?;
        let at = transaction.completed_at.unwrap_or_else(|| self.clock.now());
        let due = device_type.health_interval_secs.map(|secs| at + Duration::from_secs(secs.into()));
        for entry in waiting {
            let findings = findings.clone();
            let put = Box::new(move |entry: &mut DiagnosticEntry| settle(entry, id, findings, at, due));
            self.store.edit_entry(entry.id, put).await?;
        }
        if let Some(due) = due {
            self.reschedule(device.key, due + jitter(device_type.health_interval_secs));
        }
        Ok(())
    }

    /// What a check has found; `None`: it was withdrawn.
    async fn findings(
        &self,
        transaction: &Transaction,
        device: &Device,
        device_type: &DeviceType,
    ) -> Result<Option<Findings>, StoreError> {
        let fault = || transaction.fault.as_ref().map_or_else(String::new, |fault| fault.message.clone());
        Ok(match transaction.status {
            TransactionStatus::Scheduled | TransactionStatus::InProgress | TransactionStatus::Canceled => None,
            TransactionStatus::Expired => Some(Findings::unreachable()),
            TransactionStatus::Completed | TransactionStatus::Failed => {
                let results = self.store.results(transaction.id).await?;
                Some(match device_type.health_of(device.state.data_model) {
                    Ok(_) if results.is_empty() => Findings::failed(&fault()),
                    Ok(parameters) => Findings::of(&parameters, &results),
                    // The type was changed meanwhile.
                    Err(broken) => Findings::failed(&broken.to_string()),
                })
            }
        })
    }

    /// A check was not taken up in time: when its device is Down by now, its entries say so. What comes of it later is put
    /// into them all the same.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn note_silence(&self, device: DeviceKey, id: TransactionId) -> Result<(), StoreError> {
        let Some(found) = self.store.device(device).await? else { return Ok(()) };
        if found.state.status == Status::Up {
            return Ok(());
        }
        let now = self.clock.now();
        for entry in self.store.health_checks_of(device).await? {
            let put = Box::new(move |entry: &mut DiagnosticEntry| {
                // Its results may have come in the meantime.
                if entry.head.awaits == Some(id) { Findings::unreachable().put_into(entry, now) } else { Vec::new() }
            });
            self.store.edit_entry(entry.id, put).await?;
        }
        Ok(())
    }

    pub(super) fn type_of(&self, profile: &Profile) -> std::sync::Arc<DeviceType> {
        let DeviceTypeId(id) = profile.device_type;
        let generic = || std::sync::Arc::new(DeviceType::generic(profile.created));
        self.store.device_types().get(id).unwrap_or_else(generic)
    }
}

/// An entry has what it waited for.
fn settle(
    entry: &mut DiagnosticEntry,
    id: TransactionId,
    findings: Option<Findings>,
    at: Timestamp,
    due: Option<Timestamp>,
) -> Vec<crate::model::event::EventData> {
    // Someone else was faster, or it waits for another one by now.
    if entry.head.awaits.is_some_and(|awaited| awaited != id) || entry.checked_at >= Some(at) {
        if entry.head.awaits == Some(id) {
            entry.head.awaits = None;
        }
        return Vec::new();
    }
    entry.head.awaits = None;
    let Some(findings) = findings else { return Vec::new() };
    entry.checked_at = Some(at);
    entry.head.next_check_due = due;
    findings.put_into(entry, at)
}

/// Spreads checks that were begun together: up to a twentieth of the interval, a minute at most.
pub(super) fn jitter(interval_secs: Option<u32>) -> Duration {
    Duration::from_secs(fastrand::u32(0..=(interval_secs.unwrap_or(0) / 20).min(60)).into())
}
