//! Which devices there are: by name, as bitmaps for lists and counts, and as texts and times for searches and orderings.
//!
//! What every Inform changes, when it was, is one store to memory under the lock of a reader. Everything else is written
//! only when it has become something else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Arc;

use roaring::RoaringBitmap;
use uuid::Uuid;

use crate::model::device::{DeviceTypeId, OrganizationId, Profile, State, Status};
use crate::model::file::ImageId;
use crate::model::inventory::LocationId;
use crate::store::DeviceFilter;
use crate::store::listing::OrderField;
use crate::types::ident::{DeviceIdentity, DeviceKey};
use crate::types::time::Timestamp;

use super::dictionary::Dictionary;
use super::names::NameMap;
use super::scan::{Selection, needs_rows};
use super::segment::{Segment, segment_of};

/// What lists filter by, search and sort, and names without the names: some 120 bytes per device.
#[derive(Debug, Default)]
pub(in crate::store) struct DeviceIndex {
    all: RoaringBitmap,
    up: RoaringBitmap,
    active: RoaringBitmap,
    organizations: HashMap<OrganizationId, RoaringBitmap>,
    types: HashMap<DeviceTypeId, RoaringBitmap>,
    locations: HashMap<LocationId, RoaringBitmap>,
    images: HashMap<ImageId, RoaringBitmap>,
    tags: HashMap<Box<str>, RoaringBitmap>,
    software: Dictionary,
    manufacturers: Dictionary,
    /// By the span of their keys.
    segments: BTreeMap<u32, Arc<Segment>>,
    identities: NameMap,
    serials: NameMap,
    /// How a uuid begins, which is by chance, and the device.
    uuids: BTreeSet<(u32, u32)>,
    hasher: RandomState,
}

/// What the index has to know of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Facets {
    organization: OrganizationId,
    device_type: DeviceTypeId,
    is_active: bool,
    location: Option<LocationId>,
    image: Option<ImageId>,
    tags: Vec<String>,
    name: String,
    serial_number_alt: String,
    customer_id: String,
}

impl From<&Profile> for Facets {
    fn from(profile: &Profile) -> Self {
        Self {
            organization: profile.organization,
            device_type: profile.device_type,
            is_active: profile.is_active,
            location: profile.location,
            image: profile.firmware_image,
            tags: profile.tags.clone(),
            name: profile.name.clone(),
            serial_number_alt: profile.serial_number_alt.clone(),
            customer_id: profile.customer_id.clone(),
        }
    }
}

/// What the index has to know of a state, besides when the last Inform was: what an Inform seldom changes. Taken before
/// the change, and compared with the state after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Traits {
    status: Status,
    status_change: Timestamp,
    address: Option<IpAddr>,
    software: Box<str>,
    manufacturer: Box<str>,
}

impl From<&State> for Traits {
    fn from(state: &State) -> Self {
        Self {
            status: state.status,
            status_change: state.status_change,
            address: state.address,
            software: state.software_version.clone(),
            manufacturer: state.manufacturer.clone(),
        }
    }
}

impl Traits {
    /// Whether the state is still the same in these.
    pub(in crate::store) fn hold(&self, state: &State) -> bool {
        self.status == state.status
            && self.status_change == state.status_change
            && self.address == state.address
            && self.software == state.software_version
            && self.manufacturer == state.manufacturer
    }
}

/// A list of devices that may bear a name; nearly always one or none.
pub(in crate::store) type Candidates = smallvec::SmallVec<[DeviceKey; 2]>;

impl DeviceIndex {
    /// Takes in a device, Down as yet.
    pub(in crate::store) fn insert(&mut self, key: DeviceKey, profile: &Profile) {
        self.all.insert(key.0);
        Arc::make_mut(self.segments.entry(segment_of(key.0)).or_default()).insert(key.0, profile);
        self.enlist(key, profile);
        let serial = self.hash(profile.serial_number.as_str());
        self.serials.insert(serial, key);
        self.uuids.insert((start_of(profile.uuid), key.0));
    }

    /// Takes a device out of every list; its names stay taken until [`forget`](Self::forget).
    pub(in crate::store) fn hide(&mut self, key: DeviceKey) {
        self.all.remove(key.0);
        self.up.remove(key.0);
        self.active.remove(key.0);
        let all = self.organizations.values_mut().chain(self.types.values_mut());
        for bitmap in
            all.chain(self.locations.values_mut()).chain(self.images.values_mut()).chain(self.tags.values_mut())
        {
            bitmap.remove(key.0);
        }
        let span = segment_of(key.0);
        let Some(segment) = self.segments.get_mut(&span).map(Arc::make_mut) else { return };
        if let Some(row) = segment.remove(key.0) {
            self.software.remove(key.0, row.software);
            self.manufacturers.remove(key.0, row.manufacturer);
        }
        if segment.is_empty() {
            self.segments.remove(&span);
        }
    }

    /// Frees the names of a device that is gone.
    pub(in crate::store) fn forget(&mut self, key: DeviceKey, identity: Option<&DeviceIdentity>, profile: &Profile) {
        self.hide(key);
        let hash = self.hash(profile.serial_number.as_str());
        self.serials.remove(hash, key);
        self.uuids.remove(&(start_of(profile.uuid), key.0));
        self.set_identity(key, identity, None);
    }

    /// Whether there is such a device.
    pub(in crate::store) fn contains(&self, key: DeviceKey) -> bool {
        self.all.contains(key.0)
    }

    /// Whether there is such a device and its queue is not held.
    pub(in crate::store) fn is_active(&self, key: DeviceKey) -> bool {
        self.active.contains(key.0)
    }

    /// Every device.
    pub(in crate::store) fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    /// How many devices are Up.
    pub(in crate::store) fn up(&self) -> u64 {
        self.up.len()
    }

    /// Notes when a device Informed, and no more: what an Inform does that changes nothing.
    pub(in crate::store) fn note_inform(&self, key: DeviceKey, at: Timestamp) {
        let Some(segment) = self.segments.get(&segment_of(key.0)) else { return };
        if let Some(row) = segment.row(key.0) {
            segment.note_inform(row, at);
        }
    }

    /// Follows a device's state.
    pub(in crate::store) fn set_state(&mut self, key: DeviceKey, state: &State) {
        let Some(segment) = self.segments.get_mut(&segment_of(key.0)).map(Arc::make_mut) else { return };
        let Some(at) = segment.row(key.0) else { return };
        if let Some(row) = segment.get_mut(at) {
            row.status_change = state.status_change;
            row.software = self.software.replace(key.0, row.software, &state.software_version);
            row.manufacturer = self.manufacturers.replace(key.0, row.manufacturer, &state.manufacturer);
        }
        let address = state.address.map(|address| address.to_canonical().to_string());
        segment.set_address(at, &address.unwrap_or_default());
        segment.set_status(at, state.status);
        if let Some(inform) = state.last_inform {
            segment.note_inform(at, inform);
        }
        match state.status {
            Status::Up => self.up.insert(key.0),
            Status::Down => self.up.remove(key.0),
        };
    }

    /// Follows a device's profile.
    pub(in crate::store) fn set_profile(&mut self, key: DeviceKey, before: &Facets, profile: &Profile) {
        let Some(segment) = self.segments.get_mut(&segment_of(key.0)).map(Arc::make_mut) else { return };
        let Some(row) = segment.row(key.0) else { return };
        segment.set_words(row, profile);
        remove(&mut self.organizations, &before.organization, key);
        remove(&mut self.types, &before.device_type, key);
        if let Some(location) = &before.location {
            remove(&mut self.locations, location, key);
        }
        if let Some(image) = &before.image {
            remove(&mut self.images, image, key);
        }
        for tag in &before.tags {
            remove(&mut self.tags, tag.as_str(), key);
        }
        self.enlist(key, profile);
    }

    fn enlist(&mut self, key: DeviceKey, profile: &Profile) {
        self.organizations.entry(profile.organization).or_default().insert(key.0);
        self.types.entry(profile.device_type).or_default().insert(key.0);
        if let Some(location) = profile.location {
            self.locations.entry(location).or_default().insert(key.0);
        }
        if let Some(image) = profile.firmware_image {
            self.images.entry(image).or_default().insert(key.0);
        }
        for tag in &profile.tags {
            match self.tags.get_mut(tag.as_str()) {
                Some(bitmap) => bitmap.insert(key.0),
                None => self.tags.entry(tag.as_str().into()).or_default().insert(key.0),
            };
        }
        if profile.is_active {
            self.active.insert(key.0)
        } else {
            self.active.remove(key.0)
        };
    }

    /// Follows a device's identity.
    pub(in crate::store) fn set_identity(
        &mut self,
        key: DeviceKey,
        before: Option<&DeviceIdentity>,
        now: Option<&DeviceIdentity>,
    ) {
        if let Some(before) = before {
            let hash = self.hash(before);
            self.identities.remove(hash, key);
        }
        if let Some(now) = now {
            let hash = self.hash(now);
            self.identities.insert(hash, key);
        }
    }

    /// Which devices may have this identity.
    pub(in crate::store) fn by_identity(&self, identity: &DeviceIdentity) -> Candidates {
        self.identities.candidates(self.hash(identity)).collect()
    }

    /// Which devices may have this API serial.
    pub(in crate::store) fn by_serial(&self, serial: &str) -> Candidates {
        self.serials.candidates(self.hash(serial)).collect()
    }

    /// Which devices may have this uuid.
    pub(in crate::store) fn by_uuid(&self, uuid: Uuid) -> Candidates {
        let start = start_of(uuid);
        self.uuids.range((start, 0)..=(start, u32::MAX)).map(|(_, key)| DeviceKey(*key)).collect()
    }

    /// All devices of these organizations.
    pub(in crate::store) fn visible(&self, organizations: &[OrganizationId]) -> RoaringBitmap {
        organizations
            .iter()
            .filter_map(|one| self.organizations.get(one))
            .fold(RoaringBitmap::new(), |all, one| all | one)
    }

    /// What a list is made from when the lock is gone.
    pub(in crate::store) fn select(&self, filter: &DeviceFilter) -> Selection {
        let needs_rows = needs_rows(&filter.search, filter.status_change_from, &filter.order);
        let orders = |field| filter.order.fields().iter().any(|order| order.field == field);
        let texts = |field, texts: &Dictionary| if orders(field) { texts.texts() } else { Vec::new() };
        Selection {
            found: self.matching(filter),
            search: filter.search.clone(),
            changed_from: filter.status_change_from,
            order: filter.order.clone(),
            segments: if needs_rows { self.segments.values().cloned().collect() } else { Vec::new() },
            software: texts(OrderField::SoftwareVersion, &self.software),
            manufacturers: texts(OrderField::Manufacturer, &self.manufacturers),
        }
    }

    /// Bytes that searches and orderings take beside the bitmaps and names.
    pub(in crate::store) fn row_bytes(&self) -> usize {
        self.segments.values().map(|segment| segment.size()).sum()
    }

    /// Which devices match as far as bitmaps tell: all but `search` and `status_change_from`.
    fn matching(&self, filter: &DeviceFilter) -> RoaringBitmap {
        let none = RoaringBitmap::new();
        let mut found = match &filter.among {
            Some(among) => among.iter().map(|key| key.0).filter(|key| self.all.contains(*key)).collect(),
            None => self.all.clone(),
        };
        if let Some(organizations) = &filter.visible {
            found &= self.visible(organizations);
        }
        if let Some(organization) = &filter.organization {
            found &= self.organizations.get(organization).unwrap_or(&none);
        }
        if let Some(device_type) = &filter.device_type {
            found &= self.types.get(device_type).unwrap_or(&none);
        }
        if let Some(location) = &filter.location {
            found &= self.locations.get(location).unwrap_or(&none);
        }
        if let Some(image) = &filter.firmware_image {
            found &= self.images.get(image).unwrap_or(&none);
        }
        for tag in &filter.tags {
            found &= self.tags.get(tag.as_str()).unwrap_or(&none);
        }
        for (wanted, texts) in [(&filter.software_version, &self.software), (&filter.manufacturer, &self.manufacturers)]
        {
            if let Some(wanted) = wanted {
                found &= texts.devices(wanted).unwrap_or(&none);
            }
        }
        match filter.status {
            Some(Status::Up) => found &= &self.up,
            Some(Status::Down) => found -= &self.up,
            None => {}
        }
        match filter.is_active {
            Some(true) => found &= &self.active,
            Some(false) => found -= &self.active,
            None => {}
        }
        found
    }

    fn hash<T: Hash + ?Sized>(&self, name: &T) -> u64 {
        self.hasher.hash_one(name)
    }
}

fn start_of(uuid: Uuid) -> u32 {
    uuid.as_fields().0
}

/// Takes a device out of a list, and the list away when it is empty.
fn remove<K, Q>(lists: &mut HashMap<K, RoaringBitmap>, name: &Q, key: DeviceKey)
where
    K: std::borrow::Borrow<Q> + Eq + Hash,
    Q: Eq + Hash + ?Sized,
{
    if let Some(bitmap) = lists.get_mut(name) {
        bitmap.remove(key.0);
        if bitmap.is_empty() {
            lists.remove(name);
        }
    }
}
