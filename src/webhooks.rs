//! Webhooks: events pushed to receivers over HTTP, each signed, at least once, in the order of each device.
//!
//! One worker per webhook reads the event log behind the webhook's cursor. What it reads is spread over a few lanes by
//! device, each with a connection of its own, so that a receiver far away gets more than one event per round trip and each
//! device's events still arrive in order. The cursor moves when everything before it has been taken; it is kept in the
//! webhook's record, so that delivery goes on where it was after a restart, at worst with some events once more.

mod client;
pub mod signature;
mod trust;
mod worker;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Notify;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::auth::seal::Sealer;
use crate::model::event::EventId;
use crate::model::webhook::Webhook;
use crate::store::Store;
use crate::types::time::Clock;

use trust::Trust;
use worker::Worker;

pub use client::{Target, UrlError};
pub use trust::{TrustError, read_authorities};

/// How long after a worker has panicked it is started anew.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// `[webhooks]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebhooksConfig {
    /// Most webhooks.
    pub max: u32,
    /// Longest that a try may take, connecting included, in seconds.
    pub timeout_secs: u64,
    /// Connections to one receiver at the same time; at least 1.
    pub lanes: usize,
    /// Pause after the first failed try, in milliseconds; doubles.
    pub retry_first_ms: u64,
    /// Longest pause, in seconds.
    pub retry_max_secs: u64,
    /// A webhook that has taken nothing for so long is paused, in hours.
    pub give_up_after_hours: u32,
    /// PEM file of authorities that are trusted besides the operating system's.
    pub ca_file: Option<PathBuf>,
}

impl Default for WebhooksConfig {
    fn default() -> Self {
        Self {
            max: 100,
            timeout_secs: 10,
            lanes: 4,
            retry_first_ms: 1_000,
            retry_max_secs: 600,
            give_up_after_hours: 72,
            ca_file: None,
        }
    }
}

impl WebhooksConfig {
    /// The pause after so many failures in a row.
    fn pause(&self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(30);
        let pause = Duration::from_millis(self.retry_first_ms).saturating_mul(1 << doublings);
        pause.min(Duration::from_secs(self.retry_max_secs))
    }

    fn give_up_after(&self) -> Duration {
        Duration::from_hours(self.give_up_after_hours.into())
    }
}

/// The service that delivers events.
pub struct Webhooks {
    shared: Arc<Shared>,
    changed: Notify,
}

/// What all workers work with.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    sealer: Arc<Sealer>,
    trust: Trust,
    config: WebhooksConfig,
}

/// A worker, and the record that it was started with.
struct Running {
    record: Arc<Webhook>,
    task: Id,
    stop: CancellationToken,
}

impl Webhooks {
    /// Over the store that has the records and the events.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, sealer: Arc<Sealer>, config: WebhooksConfig) -> Self {
        let trust = Trust::new(config.ca_file.clone());
        Self { shared: Arc::new(Shared { store, clock, sealer, trust, config }), changed: Notify::new() }
    }

    /// Most webhooks there may be.
    #[must_use]
    pub fn max(&self) -> usize {
        usize::try_from(self.shared.config.max).unwrap_or(usize::MAX)
    }

    /// Where the cursor of a webhook begins that is made now.
    #[must_use]
    pub fn now(&self) -> EventId {
        *self.shared.store.watch_events().borrow()
    }

    /// Says that records have changed. Never waits.
    pub fn announce(&self) {
        self.changed.notify_one();
    }

    /// Delivers until told to stop.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut running: HashMap<u32, Running> = HashMap::new();
        let mut tasks = JoinSet::new();
        loop {
            self.reconcile(&mut running, &mut tasks);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.changed.notified() => {}
                Some(ended) = tasks.join_next_with_id() => {
                    let task = match ended {
                        Ok((task, ())) => task,
                        Err(error) => after_panic(&error, &shutdown).await,
                    };
                    running.retain(|_, running| running.task != task);
                }
            }
        }
        for worker in running.values() {
            worker.stop.cancel();
        }
        while tasks.join_next().await.is_some() {}
    }

    /// Stops the workers whose record is another or gone, starts those that are missing.
    fn reconcile(&self, running: &mut HashMap<u32, Running>, tasks: &mut JoinSet<()>) {
        let records = self.shared.store.webhooks().all();
        for (id, worker) in &*running {
            if records.get(id).is_none_or(|record| !is_same(record, &worker.record)) {
                // It saves how far it has come, and is started anew when it has ended.
                worker.stop.cancel();
            }
        }
        for (id, record) in &*records {
            if record.is_running() && !running.contains_key(id) {
                let stop = CancellationToken::new();
                let worker = Worker::new(Arc::clone(&self.shared), Arc::clone(record), stop.clone());
                let task = tasks.spawn(worker.run()).id();
                running.insert(*id, Running { record: Arc::clone(record), task, stop });
            }
        }
    }
}

async fn after_panic(error: &JoinError, shutdown: &CancellationToken) -> Id {
    tracing::error!("the worker of a webhook broke off and is started anew: {error}");
    if shutdown.run_until_cancelled(tokio::time::sleep(AFTER_PANIC)).await.is_none() {
        tracing::debug!("stopping meanwhile");
    }
    error.id()
}

/// Whether two records have the same settings, however far delivery has come.
fn is_same(one: &Webhook, other: &Webhook) -> bool {
    Webhook { delivery: other.delivery.clone(), ..one.clone() } == *other
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let config = WebhooksConfig::default();
        let pauses: Vec<u64> = [1, 2, 3, 9, 10, 11, 1000].map(|failures| config.pause(failures).as_secs()).into();
        assert_eq!(pauses, [1, 2, 4, 256, 512, 600, 600]);
    }
}
