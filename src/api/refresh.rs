//! `update_status=true`: calling the devices of an answer before it is given (rest-api.md §3).
//!
//! Everything runs within the request's own future: a client that goes away takes the calls with it.

use std::collections::{BTreeMap, HashSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{ApiState, Services};
use crate::connreq::wake::Reached;
use crate::model::device::{Device, State, Status};
use crate::model::transaction::Transaction;
use crate::store::{DeviceFilter, Listing, Page, StoreError};
use crate::types::ident::DeviceKey;

impl ApiState {
    /// Calls each device and waits until it has Informed, within the configured time for all of them. Who did not is
    /// Down from then on.
    pub(super) async fn refresh_devices(&self, devices: &[Device]) {
        self.refresh_devices_until(devices, Instant::now() + self.config.update_status_wait()).await;
    }

    /// A page of devices of which each has been called. Where a filter lets go of those who did not Inform, others move up
    /// into the page: they are called in their turn, as long as the time lasts.
    pub(super) async fn refresh_page(&self, filter: &DeviceFilter, page: Page) -> Result<Listing<Device>, StoreError> {
        let end = Instant::now() + self.config.update_status_wait();
        let mut called = HashSet::new();
        loop {
            let listing = self.store.list(filter, page).await?;
            let new: Vec<Device> = listing.items.iter().filter(|device| called.insert(device.key)).cloned().collect();
            if new.is_empty() || Instant::now() >= end {
                return Ok(listing);
            }
            self.refresh_devices_until(&new, end).await;
        }
    }

    async fn refresh_devices_until(&self, devices: &[Device], end: Instant) {
        let wait = end.saturating_duration_since(Instant::now());
        let patience = share(wait, devices.len(), self.config.update_status_concurrency);
        // Dropped with the request, and with it every call that is still out.
        let mut calls = JoinSet::new();
        for device in devices {
            let call = Call { key: device.key, seen: device.state.informs, patience, end };
            calls.spawn(call.run(self.services.clone(), Arc::clone(&self.calls)));
        }
        finish(calls).await;
    }

    /// Calls the devices of the transactions that have not ended, and waits for their ends, within the configured time.
    pub(super) async fn refresh_transactions(&self, transactions: &[Transaction]) {
        let wait = self.config.update_status_wait();
        let mut of_device: BTreeMap<DeviceKey, Vec<Transaction>> = BTreeMap::new();
        for transaction in transactions.iter().filter(|transaction| !transaction.status.is_final()) {
            of_device.entry(transaction.device).or_default().push(transaction.clone());
        }
        let mut calls = JoinSet::new();
        let end = Instant::now() + wait;
        for (key, transactions) in of_device {
            let (services, permits) = (self.services.clone(), Arc::clone(&self.calls));
            calls.spawn(async move {
                let seen = match services.store.device(key).await {
                    Ok(Some(device)) => device.state.informs,
                    Ok(None) => return,
                    Err(error) => return tracing::warn!("a device could not be read before it was called: {error}"),
                };
                let call = pin!(Call { key, seen, patience: wait, end }.run(services.clone(), permits));
                let mut ends = pin!(all_ended(&services, &transactions, end));
                tokio::select! {
                    () = &mut ends => {}
                    () = call => ends.await,
                }
            });
        }
        finish(calls).await;
    }
}

async fn finish(mut calls: JoinSet<()>) {
    while let Some(ended) = calls.join_next().await {
        if let Err(error) = ended {
            tracing::error!("a call for update_status broke off: {error}");
        }
    }
}

/// Each call's part of the time, when not all of them can be out at once.
fn share(wait: Duration, calls: usize, at_once: u32) -> Duration {
    let at_once = usize::try_from(at_once).unwrap_or(1).max(1);
    wait / u32::try_from(calls.div_ceil(at_once)).unwrap_or(u32::MAX).max(1)
}

async fn all_ended(services: &Services, transactions: &[Transaction], end: Instant) {
    for transaction in transactions {
        let patience = end.saturating_duration_since(Instant::now());
        if let Err(error) = services.queue.wait_ended(transaction.id, patience).await {
            tracing::warn!("transaction {} could not be waited for: {error}", transaction.id);
        }
    }
}

/// One call to one device.
struct Call {
    key: DeviceKey,
    /// Informs recorded before the call.
    seen: u64,
    patience: Duration,
    end: Instant,
}

impl Call {
    async fn run(self, services: Services, permits: Arc<Semaphore>) {
        // Without a permit in time it is not called, and nothing is learned of it.
        let Ok(Ok(_permit)) = tokio::time::timeout_at(self.end, permits.acquire()).await else { return };
        match services.waker.reach(self.key, self.patience).await {
            Reached::Informed | Reached::NotCalled => {}
            Reached::Silent => {
                let (now, seen) = (services.clock.now(), self.seen);
                let down = move |state: &mut State| {
                    // An Inform that came in between counts.
                    if state.status == Status::Up && state.informs == seen {
                        state.status = Status::Down;
                        state.status_change = now;
                    }
                };
                if let Err(error) = services.store.edit_state(self.key, Box::new(down)).await {
                    tracing::warn!(device.id = %self.key, "device {} could not be marked Down: {error}", self.key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_shared_when_the_calls_are_too_many() {
        let ten = Duration::from_secs(10);
        assert_eq!(share(ten, 0, 4), ten);
        assert_eq!(share(ten, 4, 4), ten);
        assert_eq!(share(ten, 5, 4), ten / 2);
    }
}
