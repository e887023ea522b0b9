//! Keeping devices configured: when a type, a location or an organization changes, its devices are brought up to date.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::device::{DeviceTypeId, OrganizationId};
use crate::model::inventory::LocationId;

/// What was changed, and so which devices may be out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// What a type wants.
    DeviceType(DeviceTypeId),
    /// A location that values may be made from.
    Location(LocationId),
    /// An organization that values may be made from.
    Organization(OrganizationId),
}

/// Takes note of changes and has the devices that they concern configured.
///
/// What is announced is kept in memory only: a device whose configuration is out of date is found at its next Inform
/// anyway, by its mark. Announcing makes it happen at once.
#[derive(Debug, Default)]
pub struct Keeper {
    announced: Mutex<BTreeSet<Change>>,
    news: Notify,
}

impl Keeper {
    /// Says that something has changed. Never waits.
    pub fn announce(&self, change: Change) {
        self.announced.lock().insert(change);
        self.news.notify_one();
    }
}
