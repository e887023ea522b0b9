//! The event log as a service: what is recorded besides what the store itself appends, how long it is kept, and how entries
//! look outside.
//!
//! What an Inform, a change of status or the end of a transaction entails, the store appends in the same step
//! ([`EventStore`](crate::store::events::EventStore)). The rest comes from here.

mod refusals;
pub mod view;

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::cwmp::message::cpe::DuResult;
use crate::cwmp::message::{Fault, FaultStruct, Method, Request};
use crate::model::device::Profile;
use crate::model::event::{EventData, EventEntry, text};
use crate::store::{Retention, Store, StoreError};
use crate::types::ident::{DeviceIdentity, TransactionId};
use crate::types::time::{Clock, Timestamp};

pub use refusals::{Refusals, Refused};

/// How often old entries are looked for.
const TEND_EVERY: Duration = Duration::from_secs(30);
/// How many go at a time.
const TEND_STEP: usize = 1_000;
const DAY: Duration = Duration::from_hours(24);

/// `[events]`: how long the event log and the audit trail are kept, and who may read along.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// Events older than this go; at least 1.
    pub retention_days: u32,
    /// Most events kept; at least 1.
    pub max: u64,
    /// Most clients that read `/event/stream/` at the same time.
    pub streams_max: u32,
    /// Entries of the audit trail older than this go; at least 1.
    pub audit_retention_days: u32,
    /// Most entries of the audit trail kept; at least 1.
    pub audit_max: u64,
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self { retention_days: 30, max: 1_000_000, streams_max: 64, audit_retention_days: 365, audit_max: 1_000_000 }
    }
}

/// Drops what is too old or too much, in small steps, until told to stop.
pub async fn tend(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: EventsConfig, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(TEND_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        if let Some(Err(error)) = shutdown.run_until_cancelled(trim(&*store, clock.now(), &config)).await {
            tracing::error!(%error, "old entries of the logs were not dropped");
        }
    }
}

/// Drops all that is too old or too much now.
///
/// # Errors
/// [`StoreError`].
pub async fn trim(store: &dyn Store, now: Timestamp, config: &EventsConfig) -> Result<(), StoreError> {
    let keep = |days: u32, max| Retention { before: now - DAY.saturating_mul(days), max };
    while store.trim_events(keep(config.retention_days, config.max), TEND_STEP).await? == TEND_STEP {}
    while store.trim_audit(keep(config.audit_retention_days, config.audit_max), TEND_STEP).await? == TEND_STEP {}
    Ok(())
}

/// Records that a CPE answered a call with a fault.
pub fn fault(
    store: &dyn Store,
    profile: &Profile,
    at: Timestamp,
    (called, transaction): (Option<Method>, Option<TransactionId>),
    fault: &Fault<'_>,
) {
    let data = EventData::Fault {
        code: fault.code.0,
        message: text(&fault.message),
        rpc: called.map_or("", Method::name).into(),
        transaction,
    };
    append(store, EventEntry::of_device(profile, at, data));
}

/// Records what a CPE reports to have come to its end, a transfer, changes of deployment units; and that it asks for a file.
/// Durable when it returns: the CPE forgets it by our answer.
///
/// # Errors
/// [`StoreError`].
pub async fn transfer(
    store: &dyn Store,
    profile: &Profile,
    at: Timestamp,
    request: &Request<'_>,
) -> Result<(), StoreError> {
    let data = match request {
        Request::TransferComplete(complete) => ended(&complete.fault, &complete.command_key, None),
        Request::AutonomousTransferComplete(complete) => ended(&complete.fault, "", Some(&complete.file_type)),
        Request::RequestDownload(asked) => EventData::DownloadRequested { file_type: text(&asked.file_type) },
        Request::DuStateChangeComplete(complete) => {
            units(complete.results.iter().map(DuResult::has_failed), Some(&complete.command_key))
        }
        Request::AutonomousDuStateChangeComplete(complete) => {
            units(complete.results.iter().map(|(result, _)| result.has_failed()), None)
        }
        _ => return Ok(()),
    };
    store.append_event(EventEntry::of_device(profile, at, data))?;
    store.events_durable().await
}

fn ended(fault: &FaultStruct<'_>, command_key: &str, autonomous: Option<&str>) -> EventData {
    EventData::Transfer {
        autonomous: autonomous.is_some(),
        command_key: text(command_key),
        file_type: autonomous.map(text),
        fault_code: fault.code,
        fault_message: text(&fault.message),
    }
}

/// What became of deployment units; without a key the device changed them by itself.
fn units(failed: impl Iterator<Item = bool>, command_key: Option<&str>) -> EventData {
    let (mut done, mut broken) = (0_u32, 0_u32);
    for failed in failed {
        let count = if failed { &mut broken } else { &mut done };
        *count = count.saturating_add(1);
    }
    let autonomous = command_key.is_none();
    EventData::DeploymentUnits { autonomous, command_key: text(command_key.unwrap_or_default()), done, failed: broken }
}

/// Records that a device is about to be registered as `profile` says because the serial number it came with is taken.
pub fn identity_conflict(store: &dyn Store, profile: &Profile, identity: &DeviceIdentity, at: Timestamp) {
    let data = EventData::IdentityConflict {
        reported_serial: identity.serial_number.clone(),
        oui: text(&identity.oui),
        product_class: text(&identity.product_class),
    };
    append(store, EventEntry::of_device(profile, at, data));
}

/// Appends what no caller waits for.
fn append(store: &dyn Store, entry: EventEntry) {
    let kind = entry.head.kind.as_str();
    if let Err(error) = store.append_event(entry) {
        tracing::error!(%error, kind, "an event was not recorded");
    }
}
