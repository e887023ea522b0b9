//! The health of devices: checks of the parameters that their types name, and values over time.
//!
//! A *check* reads a type's health parameters by a transaction ([`Kind::Health`](crate::model::transaction::Kind)) and puts what came of it
//! into a diagnostic entry of type `health_check` ([`judge`]). It is ordered by clients, or by the timer (`timer`) for types
//! that ask for checks at an interval. Results are applied when the transaction ends, whenever that is: an entry that waits
//! names its transaction, and what is overheard or cut off by a restart is found again by that.
//!
//! Numbers that sessions bring are kept as a small series per device (`sampling`) where the type asks for it.

mod agenda;
mod check;
pub mod judge;
mod sampling;
mod timer;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::model::device_type::HealthFault;
use crate::model::entry::{DiagnosticEntry, EntryId};
use crate::model::series::SeriesLimits;
use crate::store::{Store, StoreError};
use crate::tasks::queue::{Queue, ScheduleError};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::{Clock, Timestamp};

use agenda::Agenda;
use sampling::Batch;

pub use sampling::Learned;

const DAY: Duration = Duration::from_hours(24);
/// Devices whose values wait to be written.
const SAMPLES_WAITING_MAX: usize = 8_192;

/// `[health]`: how many diagnostic entries are kept, how fast checks are made, how long values.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HealthConfig {
    /// Most diagnostic entries of one device; beyond them its oldest go, but never its newest health check. At least 1.
    pub entries_per_device: usize,
    /// Diagnostic entries that have not changed for this long go; at least 1.
    pub entry_retention_days: u32,
    /// Checks that the timer begins in a second; at least 1.
    pub checks_per_second: usize,
    /// Checks of the timer that are under way at the same time; at least 1. One that takes longer than a minute, because
    /// the device does not come when it is called, no longer counts.
    pub checks_at_once: usize,
    /// Values over time that are older go; at least 1.
    pub history_retention_days: u32,
    /// Most values kept of one parameter of one device, from 4 to 5,000.
    pub history_points: usize,
    /// Least distance of two kept values of one parameter, in seconds; at least 1.
    pub history_spacing_secs: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            entries_per_device: 200,
            entry_retention_days: 365,
            checks_per_second: 20,
            checks_at_once: 256,
            history_retention_days: 30,
            history_points: 500,
            history_spacing_secs: 60,
        }
    }
}

/// Most values of one parameter that may be kept: a document is rewritten with each of them.
pub const HISTORY_POINTS_MAX: usize = 5_000;

impl HealthConfig {
    fn series(&self) -> SeriesLimits {
        SeriesLimits {
            spacing: Duration::from_secs(self.history_spacing_secs.max(1).into()),
            retention: DAY.saturating_mul(self.history_retention_days.max(1)),
            points: self.history_points.min(HISTORY_POINTS_MAX),
        }
    }
}

/// The service.
pub struct Health {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    queue: Arc<Queue>,
    config: HealthConfig,
    agenda: Mutex<Agenda>,
    samples: mpsc::Sender<Batch>,
    waiting: Mutex<Option<mpsc::Receiver<Batch>>>,
}

/// A check that was ordered.
#[derive(Debug, Clone)]
pub struct Ordered {
    /// The entry that it will be put into.
    pub entry: DiagnosticEntry,
    /// What it reads by.
    pub transaction: TransactionId,
    /// Whether the transaction is new: another check that still waits is not repeated.
    pub freshness: Freshness,
}

/// Whether an order has led to new work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It has.
    New,
    /// A check that was waiting does for this one, too.
    Shared,
}

/// Which entry a check is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// This one.
    Entry(EntryId),
    /// The device's newest health check; made if it has none.
    Newest,
}

/// Why a check was not ordered.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The type's health parameters are of no use.
    #[error(transparent)]
    Helper(#[from] HealthFault),
    /// The device or the entry is gone.
    #[error("the device or the entry is gone")]
    Gone,
    /// The queue did not take it.
    #[error(transparent)]
    Refused(#[from] ScheduleError),
    /// The store failed.
    #[error("the check was not stored")]
    Store(#[from] StoreError),
}

impl Health {
    /// Over a store; `queue` takes the checks.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, queue: Arc<Queue>, clock: Arc<dyn Clock>, config: HealthConfig) -> Self {
        let (samples, waiting) = mpsc::channel(SAMPLES_WAITING_MAX);
        Self { store, clock, queue, config, agenda: Mutex::default(), samples, waiting: Mutex::new(Some(waiting)) }
    }

    /// Most diagnostic entries of one device.
    #[must_use]
    pub const fn entries_per_device(&self) -> usize {
        self.config.entries_per_device
    }

    /// A device of a type that asks for checks at an interval has Informed: a look-up where its next check is known.
    pub fn expect(&self, device: DeviceKey, interval_secs: u32) {
        let soon = interval_secs.min(agenda::FIRST_WITHIN_SECS);
        let mut agenda = self.agenda.lock();
        if !agenda.has(device) {
            let wait = Duration::from_secs(fastrand::u32(0..=soon).into());
            agenda.set(device, self.clock.now() + wait);
        }
    }

    /// The next check of a device is due at another time.
    pub fn reschedule(&self, device: DeviceKey, due: Timestamp) {
        self.agenda.lock().set(device, due);
    }
}
