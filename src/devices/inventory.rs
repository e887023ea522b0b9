//! The records that devices are sorted by: organizations, types, locations. Created, changed and removed here, by one
//! rule: nothing refers to what is not there.
//!
//! A device and what it refers to are different records, and no lock spans both. Instead whoever writes looks twice:
//! before, to refuse what can be refused, and after, to take back what came too late. Of a removal and a new reference
//! that cross each other at least one sees the other, and gives way.

mod image;
mod record;
mod reference;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::record::Record;
pub use self::reference::{Reference, References};

use crate::devices::keeper::{Change, Keeper};
use crate::model::device_type::DeviceType;
use crate::model::{matching, placeholders};
use crate::store::catalogue::{AddError, Entries};
use crate::store::{DeviceFilter, Page, Store, StoreError};

/// What still refers to a record, by kind: `devices`, `organizations`, `locations`, `tokens`, `webhooks`. Kinds without
/// any are absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dependents(pub BTreeMap<&'static str, u64>);

impl Dependents {
    fn note(&mut self, kind: &'static str, count: u64) {
        if count > 0 {
            self.0.insert(kind, count);
        }
    }
}

/// Why a record was not created, changed or removed. Nothing of the wish is left behind.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// A field that is right by itself does not fit what else there is.
    #[error("{field}: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// As a sentence fragment.
        reason: String,
    },
    /// Another record beside it has this short name.
    #[error("the short name \"{0}\" is taken")]
    ShortNameTaken(String),
    /// The wished-for number is in use.
    #[error("the id {0} is taken")]
    NumberTaken(u32),
    /// Every number has been given out.
    #[error("no id is left")]
    Exhausted,
    /// Something refers to it.
    #[error("it is still in use")]
    InUse(Dependents),
    /// Every store has it.
    #[error("it is the default, which cannot be removed")]
    Default(Dependents),
    /// There is no such record.
    #[error("there is no such record")]
    Unknown,
    /// The store failed.
    #[error("the record was not stored")]
    Store(#[from] StoreError),
}

impl From<AddError> for InventoryError {
    fn from(error: AddError) -> Self {
        match error {
            AddError::Taken { id } => Self::NumberTaken(id),
            AddError::Exhausted => Self::Exhausted,
            AddError::Store(source) => Self::Store(source),
        }
    }
}

/// The service that keeps the records.
#[derive(Clone, Copy)]
pub struct Inventory<'a> {
    /// Holds them.
    pub store: &'a dyn Store,
    /// Is told of what devices may have to be configured for.
    pub keeper: &'a Keeper,
}

impl Inventory<'_> {
    /// Creates a record under the wished-for number, else the next one.
    ///
    /// # Errors
    /// [`InventoryError`], but neither `InUse` nor `Default` nor `Unknown`.
    pub async fn create<R: Record>(&self, wished: Option<u32>, record: R) -> Result<Arc<R>, InventoryError> {
        // A number that no record has: it is compared with all there are.
        let record = record.numbered(0);
        record.check(self.store)?;
        let catalogue = R::catalogue(self.store);
        let made = catalogue.add(wished, Box::new(move |id| record.numbered(id))).await?;
        if let Err(late) = made.check(self.store) {
            catalogue.remove(made.number()).await?;
            return Err(late);
        }
        Ok(made)
    }

    /// Changes a record, and says so to the keeper where devices' configurations may be made from what has changed.
    ///
    /// # Errors
    /// [`InventoryError::Field`], `ShortNameTaken`, `Unknown`, `Store`.
    pub async fn change<R: Record>(&self, id: u32, edit: impl FnOnce(&mut R) + Send) -> Result<Arc<R>, InventoryError> {
        let mut outcome = Err(InventoryError::Unknown);
        let step = |record: &mut R| {
            let mut wished = record.clone();
            edit(&mut wished);
            outcome = wished.check(self.store).map(|()| {
                let news = wished.follow(record);
                (std::mem::replace(record, wished), news)
            });
        };
        let catalogue = R::catalogue(self.store);
        let changed = catalogue.edit(id, Box::new(step)).await?.ok_or(InventoryError::Unknown)?;
        let (before, news) = outcome?;
        if let Err(late) = changed.check(self.store) {
            let present = Arc::clone(&changed);
            let undo = move |record: &mut R| {
                if *record == *present {
                    *record = before;
                }
            };
            catalogue.edit(id, Box::new(undo)).await?;
            return Err(late);
        }
        if news {
            self.keeper.announce(R::change_of(id));
        }
        Ok(changed)
    }

    /// Removes a record that nothing refers to.
    ///
    /// # Errors
    /// [`InventoryError::InUse`], `Default`, `Unknown`, `Store`.
    pub async fn remove<R: Record>(&self, id: u32) -> Result<(), InventoryError> {
        let catalogue = R::catalogue(self.store);
        let record = catalogue.get(id).ok_or(InventoryError::Unknown)?;
        let dependents = self.dependents(R::change_of(id)).await?;
        if R::DEFAULT == Some(id) {
            return Err(InventoryError::Default(dependents));
        }
        if dependents != Dependents::default() {
            return Err(InventoryError::InUse(dependents));
        }
        if !catalogue.remove(id).await? {
            return Err(InventoryError::Unknown);
        }
        let late = self.dependents(R::change_of(id)).await?;
        if late == Dependents::default() {
            return Ok(());
        }
        match catalogue.add(Some(id), Box::new(move |_id| R::clone(&record))).await {
            // Someone was quicker, and what refers to this number has what it refers to.
            Ok(_) | Err(AddError::Taken { .. }) => Err(InventoryError::InUse(late)),
            Err(failed) => Err(failed.into()),
        }
    }

    /// What refers to a record.
    async fn dependents(&self, record: Change) -> Result<Dependents, StoreError> {
        let mut dependents = Dependents::default();
        let mut filter = DeviceFilter::default();
        match record {
            Change::DeviceType(id) => filter.device_type = Some(id),
            Change::Location(id) => filter.location = Some(id),
            Change::Organization(id) => {
                filter.organization = Some(id);
                let organizations = self.store.organizations().all();
                dependents.note("organizations", count(organizations.values().filter(|one| one.parent == Some(id))));
                let locations = self.store.locations().all();
                dependents.note("locations", count(locations.values().filter(|one| one.organization == Some(id))));
                let tokens = self.store.tokens();
                let bound = tokens.iter().filter(|token| token.organizations.iter().flatten().any(|one| *one == id));
                dependents.note("tokens", count(bound));
                // One that outlived its organization would get the events of whoever has its number next.
                let webhooks = self.store.webhooks().all();
                let bound = webhooks.values().filter(|hook| hook.organizations.iter().flatten().any(|one| *one == id));
                dependents.note("webhooks", count(bound));
                let campaigns = self.store.campaigns().all();
                let bound = campaigns.values().filter(|one| one.organizations.iter().flatten().any(|one| *one == id));
                dependents.note("campaigns", count(bound));
            }
        }
        dependents.note("devices", self.devices(&filter).await?);
        Ok(dependents)
    }

    /// How many devices match.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices(&self, filter: &DeviceFilter) -> Result<u64, StoreError> {
        Ok(self.store.list(filter, Page { offset: 0, limit: 1 }).await?.count)
    }
}

fn count<T>(items: impl Iterator<Item = T>) -> u64 {
    u64::try_from(items.count()).unwrap_or(u64::MAX)
}

/// Whether a wanted value has placeholders such as `{serial}`: its type is then checked when they are filled.
///
/// # Errors
/// What is wrong with them, as a sentence fragment.
pub fn check_placeholders(value: &str) -> Result<Placeholders, String> {
    placeholders::check(value).map_err(|unknown| unknown.to_string())?;
    // A brace that is meant as one is filled in as well.
    Ok(if value.contains('{') { Placeholders::Some } else { Placeholders::None })
}

/// Whether a value is complete as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholders {
    /// It is.
    None,
    /// Something is to be filled in.
    Some,
}

/// Other types that would fit some device exactly as well as this one does: which one it got would be chance.
#[must_use]
pub fn tied_types(device_type: &DeviceType, all: &Entries<DeviceType>) -> Vec<Arc<DeviceType>> {
    let others = all.values().filter(|other| other.id != device_type.id);
    others.filter(|other| matching::conflict(&device_type.matching, &other.matching)).cloned().collect()
}
