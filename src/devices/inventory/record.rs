//! What the rules of the inventory have to know of each kind of record.

use std::sync::Arc;

use super::{InventoryError, tied_types};
use crate::devices::keeper::Change;
use crate::model::device::{DEFAULT_ORGANIZATION, DEFAULT_TYPE, DeviceTypeId, OrganizationId};
use crate::model::device_type::DeviceType;
use crate::model::inventory::{Location, LocationId, Organization};
use crate::model::organizations;
use crate::store::Store;
use crate::store::catalogue::Catalogue;

/// A record with a number and a short name.
pub trait Record: Clone + PartialEq + Send + Sync + 'static {
    /// The one that every store has.
    const DEFAULT: Option<u32>;

    /// Where they are kept.
    fn catalogue(store: &dyn Store) -> &dyn Catalogue<Self>;

    /// Its number.
    fn number(&self) -> u32;

    /// The same under another number.
    #[must_use]
    fn numbered(self, id: u32) -> Self;

    /// For tables.
    fn short_name(&self) -> &str;

    /// Whether short names of the two have to differ: who sees the one sees the other, so that a refusal tells nothing new.
    fn is_beside(&self, other: &Self) -> bool;

    /// Whether it fits what else there is, short names aside.
    ///
    /// # Errors
    /// [`InventoryError::Field`].
    fn fits(&self, store: &dyn Store) -> Result<(), InventoryError>;

    /// Counts a change in the revision if devices' configurations may be made from what has changed, and says whether.
    fn follow(&mut self, before: &Self) -> bool;

    /// What to announce of it.
    fn change_of(id: u32) -> Change;

    /// Whether it may be kept as it is.
    ///
    /// # Errors
    /// [`InventoryError::Field`], [`InventoryError::ShortNameTaken`].
    fn check(&self, store: &dyn Store) -> Result<(), InventoryError> {
        self.fits(store)?;
        let all = Self::catalogue(store).all();
        let same = |other: &Arc<Self>| {
            other.number() != self.number()
                && other.short_name().eq_ignore_ascii_case(self.short_name())
                && self.is_beside(other)
        };
        if all.values().any(same) {
            return Err(InventoryError::ShortNameTaken(self.short_name().to_owned()));
        }
        Ok(())
    }
}

impl Record for Organization {
    const DEFAULT: Option<u32> = Some(DEFAULT_ORGANIZATION.0);

    fn catalogue(store: &dyn Store) -> &dyn Catalogue<Self> {
        store.organizations()
    }

    fn number(&self) -> u32 {
        self.id.0
    }

    fn numbered(self, id: u32) -> Self {
        Self { id: OrganizationId(id), ..self }
    }

    fn short_name(&self) -> &str {
        &self.short_name
    }

    fn is_beside(&self, other: &Self) -> bool {
        self.parent == other.parent
    }

    fn fits(&self, store: &dyn Store) -> Result<(), InventoryError> {
        let Some(parent) = self.parent else { return Ok(()) };
        let all = store.organizations().all();
        if !all.contains_key(&parent.0) {
            return Err(InventoryError::Field { field: "parent", reason: no_such(parent.0) });
        }
        if organizations::lies_within(&all, parent, self.id) {
            let reason = "an organization cannot lie below itself".to_owned();
            return Err(InventoryError::Field { field: "parent", reason });
        }
        Ok(())
    }

    fn follow(&mut self, before: &Self) -> bool {
        let news = (&self.name, &self.short_name, self.parent) != (&before.name, &before.short_name, before.parent);
        self.revision = self.revision.wrapping_add(news.into());
        news
    }

    fn change_of(id: u32) -> Change {
        Change::Organization(OrganizationId(id))
    }
}

impl Record for DeviceType {
    const DEFAULT: Option<u32> = Some(DEFAULT_TYPE.0);

    fn catalogue(store: &dyn Store) -> &dyn Catalogue<Self> {
        store.device_types()
    }

    fn number(&self) -> u32 {
        self.id.0
    }

    fn numbered(self, id: u32) -> Self {
        Self { id: DeviceTypeId(id), ..self }
    }

    fn short_name(&self) -> &str {
        &self.short_name
    }

    fn is_beside(&self, _other: &Self) -> bool {
        true
    }

    fn fits(&self, store: &dyn Store) -> Result<(), InventoryError> {
        let tied = tied_types(self, &store.device_types().all());
        if tied.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = tied.iter().map(|other| format!("{} (id {})", other.short_name, other.id.0)).collect();
        let reason = format!("a device could fit this type and these equally well: {}", names.join(", "));
        Err(InventoryError::Field { field: "match", reason })
    }

    fn follow(&mut self, before: &Self) -> bool {
        let news = self.wants_other_than(before);
        self.revision = self.revision.wrapping_add(news.into());
        news
    }

    fn change_of(id: u32) -> Change {
        Change::DeviceType(DeviceTypeId(id))
    }
}

impl Record for Location {
    const DEFAULT: Option<u32> = None;

    fn catalogue(store: &dyn Store) -> &dyn Catalogue<Self> {
        store.locations()
    }

    fn number(&self) -> u32 {
        self.id.0
    }

    fn numbered(self, id: u32) -> Self {
        Self { id: LocationId(id), ..self }
    }

    fn short_name(&self) -> &str {
        &self.short_name
    }

    fn is_beside(&self, other: &Self) -> bool {
        self.organization == other.organization
    }

    fn fits(&self, store: &dyn Store) -> Result<(), InventoryError> {
        match self.organization {
            Some(organization) if store.organizations().of(organization).is_none() => {
                Err(InventoryError::Field { field: "organization_id", reason: no_such(organization.0) })
            }
            _ => Ok(()),
        }
    }

    fn follow(&mut self, before: &Self) -> bool {
        let news = self.name != before.name
            || self.short_name != before.short_name
            || self.address != before.address
            || self.latitude != before.latitude
            || self.longitude != before.longitude;
        self.revision = self.revision.wrapping_add(news.into());
        news
    }

    fn change_of(id: u32) -> Change {
        Change::Location(LocationId(id))
    }
}

/// What is said of a number that no record has.
pub(super) fn no_such(id: u32) -> String {
    format!("Invalid id \"{id}\" - object does not exist.")
}
