//! Webhooks: where events are pushed to, and how far that has come (rest-api.md §4).

use serde::{Deserialize, Serialize};

use crate::types::secret::Sealed;
use crate::types::time::Timestamp;

use super::device::OrganizationId;
use super::event::{EventId, EventKind, EventKinds};

/// Number of a webhook, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WebhookId(pub u32);

/// One receiver of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Its number.
    pub id: WebhookId,
    /// Where events are sent: `http://` or `https://`.
    pub url: String,
    /// What they are signed with, sealed under the key file.
    pub secret: Sealed,
    /// Only these kinds; `None`: all.
    pub kinds: Option<Vec<EventKind>>,
    /// Only events of these organizations and those below them; `None`: all events.
    pub organizations: Option<Vec<OrganizationId>>,
    /// Whether an operator wants it to be used.
    pub is_active: bool,
    /// Why acsd has stopped using it by itself, if it has.
    pub paused: Option<String>,
    /// When the record was made.
    pub created: Timestamp,
    /// How far delivery has come.
    pub delivery: Delivery,
}

/// How far delivery has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Delivery {
    /// Every event up to this one has been delivered or is not wanted.
    pub cursor: EventId,
    /// When an event was last taken.
    pub last_delivery_at: Option<Timestamp>,
    /// Why the last try failed; `None`: it did not.
    pub last_error: Option<String>,
    /// Tries in a row that failed.
    pub failures: u32,
    /// Since when nothing has been taken.
    pub failing_since: Option<Timestamp>,
    /// Events that were trimmed away before they could be delivered, wanted or not.
    pub missed: u64,
}

impl Webhook {
    /// Whether events are to be delivered now.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        self.is_active && self.paused.is_none()
    }

    /// Which kinds of events it gets.
    #[must_use]
    pub fn wanted(&self) -> EventKinds {
        self.kinds.as_ref().map_or(EventKinds::ALL, |kinds| kinds.iter().copied().collect())
    }
}
