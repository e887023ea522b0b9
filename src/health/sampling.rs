//! Values over time: what sessions bring is looked at where the type asks for it, and written behind them.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;

use crate::model::device_type::DeviceType;
use crate::model::series::Sample;
use crate::telemetry::names;
use crate::types::ident::DeviceKey;
use crate::types::path::hides_its_value;
use crate::types::time::Timestamp;

use super::Health;
use super::judge::as_number;

/// A value that a session has brought.
#[derive(Debug, Clone, Copy)]
pub struct Learned<'l> {
    /// Of which parameter.
    pub path: &'l str,
    /// As the device wrote it.
    pub value: &'l str,
}

/// What one session brought at a time.
pub(super) struct Batch {
    device: DeviceKey,
    at: Timestamp,
    samples: Vec<Sample>,
}

impl Health {
    /// Takes in what was learned of a device: those numbers that its type keeps. Never waits; when the writer is far
    /// behind, what comes is dropped and counted.
    pub fn learn<'l>(
        &self,
        device: DeviceKey,
        device_type: &DeviceType,
        learned: impl IntoIterator<Item = Learned<'l>>,
        at: Timestamp,
    ) {
        if !device_type.keeps_history() {
            return;
        }
        let kept = learned.into_iter().filter(|one| device_type.keeps_history_of(one.path));
        let numbers = kept
            .filter(|one| !hides_its_value(one.path))
            .filter_map(|one| Some(Sample { path: one.path.into(), value: as_number(one.value)? }));
        let samples: Vec<Sample> = numbers.collect();
        if samples.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(_)) = self.samples.try_send(Batch { device, at, samples }) {
            metrics::counter!(names::HISTORY_DROPPED).increment(1);
        }
    }

    /// Writes what was learned until told to stop. What still waits then is lost: the devices will say more.
    pub(super) async fn keep_samples(self: &Arc<Self>, shutdown: &CancellationToken) {
        let Some(mut waiting) = self.waiting.lock().take() else { return };
        loop {
            let next = tokio::select! {
                biased;
                next = waiting.recv() => next,
                () = shutdown.cancelled() => None,
            };
            let Some(Batch { device, at, samples }) = next else { return };
            if let Err(error) = self.store.add_samples(device, at, samples, self.config.series()).await {
                tracing::warn!(%error, device.id = %device, "values of device {device} were not kept");
            }
        }
    }
}
