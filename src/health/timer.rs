//! The timer: checks that are due, results that arrive, entries and links that a restart has left behind.
//!
//! A device is on the agenda once it has Informed as one of a type that asks for checks, or when an entry of it says when the
//! next is due. When its time comes it is looked at anew: only an active device that is Up and has no check waiting is
//! checked. At most so many checks begin in a second and are under way at a time, so that neither a restart nor a type that
//! was just changed has all devices called at once; what is late stays on the agenda.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use crate::model::device::{DataModel, Status};
use crate::model::entry::EntryId;
use crate::model::transaction::Kind;
use crate::store::StoreError;
use crate::tasks::queue::End;
use crate::telemetry::names;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::check::jitter;
use super::{CheckError, DAY, Health, Target};

/// Who asks for the timer's checks.
const REQUESTED_BY: &str = "acsd";
/// How often the agenda is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Devices looked at in one go.
const LOOKS_MAX: usize = 1_000;
/// How long a check that has not ended counts as under way.
const COUNTS_FOR: Duration = Duration::from_mins(1);
/// How often old entries are looked for, and how many are looked at in a go: a million in a few hours.
const TRIM_EVERY: u32 = 30;
const TRIM_STEP: usize = 2_000;
/// Pause when the store did not say how things are.
const AGAIN: Duration = Duration::from_mins(1);

/// What came of looking at a device that was due.
enum Look {
    /// It is being checked.
    Asked(TransactionId),
    /// It is not its time, or not one to be checked.
    Passed,
}

impl Health {
    /// Does everything that is to be done by itself, until told to stop.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut ends = self.queue.ends();
        if let Err(error) = self.take_up().await {
            tracing::error!(%error, "health checks that were under way could not be taken up");
        }
        let applying = async {
            loop {
                match ends.recv().await {
                    Ok(End { id, kind: Kind::Health, .. }) => self.apply_soundly(id).await,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => {
                        if let Err(error) = self.take_up().await {
                            tracing::error!(%error, "results of health checks were not put into their entries");
                        }
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = applying => {}
            () = self.tick() => {}
            () = self.keep_samples(&shutdown) => {}
        }
    }

    async fn apply_soundly(&self, id: TransactionId) {
        if let Err(error) = self.apply(id).await {
            tracing::error!(%error, transaction.id = %id, "what health check {id} found is not in its entry yet");
        }
    }

    /// After a start: what has ended unnoticed is put into its entries, and the agenda is made from all of them.
    async fn take_up(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        for check in self.store.due_checks().await? {
            if let Some(due) = check.due {
                // Together they were missed, but not together are they made up for.
                let late = if due < now { jitter(Some(u32::MAX)) } else { Duration::ZERO };
                self.reschedule(check.device, due.max(now) + late);
            }
            let Some(id) = check.awaits else { continue };
            match self.store.transaction(id).await? {
                Some(transaction) if transaction.status.is_final() => self.apply(id).await?,
                Some(_) => {}
                // So long ago that even its end has been forgotten.
                None => self.forget_wait(check.device, id).await?,
            }
        }
        Ok(())
    }

    async fn forget_wait(&self, device: DeviceKey, id: TransactionId) -> Result<(), StoreError> {
        for entry in self.store.health_checks_of(device).await? {
            let forget = Box::new(move |entry: &mut crate::model::entry::DiagnosticEntry| {
                if entry.head.awaits == Some(id) {
                    entry.head.awaits = None;
                }
                Vec::new()
            });
            self.store.edit_entry(entry.id, forget).await?;
        }
        Ok(())
    }

    async fn tick(&self) {
        let mut under_way: HashMap<TransactionId, Timestamp> = HashMap::new();
        let (mut trimmed, mut ticked) = (EntryId::default(), 0_u32);
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let now = self.clock.now();
            self.sweep(&mut under_way, now).await;
            let room = self.config.checks_at_once.max(1).saturating_sub(under_way.len());
            let allowed = room.min(self.config.checks_per_second.max(1));
            self.check_due(&mut under_way, allowed, now).await;
            ticked = ticked.wrapping_add(1);
            if ticked.is_multiple_of(TRIM_EVERY) {
                trimmed = self.trim(trimmed, now).await;
            }
        }
    }

    /// Those that have ended, or wait for too long, are under way no longer.
    async fn sweep(&self, under_way: &mut HashMap<TransactionId, Timestamp>, now: Timestamp) {
        under_way.retain(|_, since| now.since(*since) < COUNTS_FOR);
        let ids: Vec<TransactionId> = under_way.keys().copied().collect();
        for id in ids {
            let has_ended = match self.store.transaction(id).await {
                Ok(transaction) => transaction.is_none_or(|transaction| transaction.status.is_final()),
                Err(_) => false,
            };
            if has_ended {
                under_way.remove(&id);
            }
        }
    }

    async fn check_due(&self, under_way: &mut HashMap<TransactionId, Timestamp>, allowed: usize, now: Timestamp) {
        let mut asked = 0;
        for _ in 0..LOOKS_MAX {
            if asked >= allowed {
                return;
            }
            let Some(device) = self.agenda.lock().take_due(now) else { return };
            match self.look_at(device, now).await {
                Ok(Look::Asked(id)) => {
                    asked += 1;
                    under_way.insert(id, now);
                    metrics::counter!(names::HEALTH_CHECKS).increment(1);
                }
                Ok(Look::Passed) => {}
                Err(error) => {
                    tracing::error!(%error, device.id = %device, "device {device} was not checked");
                    self.reschedule(device, now + AGAIN);
                }
            }
        }
    }

    async fn look_at(&self, key: DeviceKey, now: Timestamp) -> Result<Look, StoreError> {
        let Some(device) = self.store.device(key).await? else { return Ok(Look::Passed) };
        let device_type = self.type_of(&device.profile);
        // One that is left out comes back to the agenda with its next Inform, if it is to be checked then.
        let Some(interval) = device_type.health_interval_secs else { return Ok(Look::Passed) };
        if !device.profile.is_active || device.state.status == Status::Down {
            return Ok(Look::Passed);
        }
        let after_interval = now + Duration::from_secs(interval.into()) + jitter(Some(interval));
        if self.store.live(key).await?.iter().any(|transaction| transaction.kind == Kind::Health) {
            // The one before still waits.
            self.reschedule(key, after_interval);
            return Ok(Look::Passed);
        }
        if let Some(entry) = self.store.health_checks_of(key).await?.first()
            && let Some(due) = entry.head.next_check_due.filter(|due| *due > now)
        {
            self.reschedule(key, due + jitter(Some(interval)));
            return Ok(Look::Passed);
        }
        match self.order(&device, Target::Newest, REQUESTED_BY).await {
            Ok(ordered) => Ok(Look::Asked(ordered.transaction)),
            Err(CheckError::Helper(fault)) => {
                if device.state.data_model != DataModel::Unknown {
                    tracing::warn!(device.id = %key, "device {key} is not checked: {fault}");
                }
                self.reschedule(key, after_interval);
                Ok(Look::Passed)
            }
            Err(CheckError::Gone) => Ok(Look::Passed),
            // Its queue is full, or it was deactivated just now.
            Err(CheckError::Refused(_)) => {
                self.reschedule(key, after_interval);
                Ok(Look::Passed)
            }
            Err(CheckError::Store(error)) => Err(error),
        }
    }

    /// Drops old entries, a few at a time; where to go on.
    async fn trim(&self, after: EntryId, now: Timestamp) -> EntryId {
        let before = now - DAY.saturating_mul(self.config.entry_retention_days.max(1));
        match self.store.trim_entries(before, after, TRIM_STEP).await {
            Ok(up_to) => up_to.unwrap_or_default(),
            Err(error) => {
                tracing::error!(%error, "old diagnostic entries were not dropped");
                EntryId::default()
            }
        }
    }
}
