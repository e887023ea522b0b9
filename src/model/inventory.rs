//! What devices are sorted by besides their type: organizations and locations (rest-api.md §4).

use serde::{Deserialize, Serialize};

use crate::types::time::Timestamp;

use super::device::{DEFAULT_ORGANIZATION, OrganizationId};

/// A location record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LocationId(pub u32);

/// Whose devices are whose. Organizations form trees: a token of the parent covers the children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// Its number.
    pub id: OrganizationId,
    /// For people.
    pub name: String,
    /// For tables.
    pub short_name: String,
    /// The one above it; never one of its own descendants.
    pub parent: Option<OrganizationId>,
    /// When the record was made.
    pub created: Timestamp,
    /// Counts the changes that can change what devices are configured to.
    pub revision: u32,
}

impl Organization {
    /// The organization that every store has.
    #[must_use]
    pub fn first(at: Timestamp) -> Self {
        Self {
            id: DEFAULT_ORGANIZATION,
            name: "Default".to_owned(),
            short_name: "default".to_owned(),
            parent: None,
            created: at,
            revision: 0,
        }
    }
}

/// Where devices stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Location {
    /// Its number.
    pub id: LocationId,
    /// For people.
    pub name: String,
    /// For tables.
    pub short_name: String,
    /// Street and town, free text.
    pub address: String,
    /// Decimal degrees as given.
    pub latitude: Option<String>,
    /// Decimal degrees as given.
    pub longitude: Option<String>,
    /// Whose record it is; `None`: everybody may see and use it.
    pub organization: Option<OrganizationId>,
    /// When the record was made.
    pub created: Timestamp,
    /// Counts the changes that can change what devices are configured to.
    pub revision: u32,
}
