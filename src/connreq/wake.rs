//! Waking devices: when a connection request is sent, how often, and what came of it.

use std::time::Duration;

use crate::types::ident::DeviceKey;

/// What became of an attempt to reach a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// It Informed after we asked (or was in a session anyway).
    Informed,
    /// It did not Inform within the wait.
    Silent,
}

/// The service that calls devices.
#[derive(Debug)]
pub struct Waker {}

impl Waker {
    /// Has the device called soon: coalesced, throttled per device, retried; does not wait and never fails.
    pub fn wake(&self, key: DeviceKey) {
        tracing::trace!(%key, "wake");
    }

    /// Calls the device now and waits until it has Informed, at most `patience` (rest-api.md 3). A device in a session
    /// is not called: its status is fresh.
    pub async fn reach(&self, key: DeviceKey, patience: Duration) -> Reached {
        tracing::trace!(%key, ?patience, "reach");
        Reached::Silent
    }
}
