//! Which devices there are: by name, and as bitmaps for lists and counts.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};

use roaring::RoaringBitmap;

use crate::model::device::{DeviceTypeId, OrganizationId, Profile, Status};
use crate::model::inventory::LocationId;
use crate::store::DeviceFilter;
use crate::types::ident::{DeviceIdentity, DeviceKey};

/// What lists filter by, and names without the names: a few dozen bytes per device.
#[derive(Debug, Default)]
pub(in crate::store) struct DeviceIndex {
    all: RoaringBitmap,
    up: RoaringBitmap,
    active: RoaringBitmap,
    organizations: HashMap<OrganizationId, RoaringBitmap>,
    types: HashMap<DeviceTypeId, RoaringBitmap>,
    locations: HashMap<LocationId, RoaringBitmap>,
    identities: NameMap,
    serials: NameMap,
    hasher: RandomState,
}

/// What the index has to know of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Facets {
    organization: OrganizationId,
    device_type: DeviceTypeId,
    location: Option<LocationId>,
    is_active: bool,
}

impl From<&Profile> for Facets {
    fn from(profile: &Profile) -> Self {
        Self {
            organization: profile.organization,
            device_type: profile.device_type,
            location: profile.location,
            is_active: profile.is_active,
        }
    }
}

/// Devices by the hash of a name. That two names share a hash is rare but allowed, so whoever looks up verifies.
#[derive(Debug, Default)]
struct NameMap {
    first: HashMap<u64, DeviceKey>,
    more: Vec<(u64, DeviceKey)>,
}

impl NameMap {
    fn insert(&mut self, hash: u64, key: DeviceKey) {
        if *self.first.entry(hash).or_insert(key) != key {
            self.more.push((hash, key));
        }
    }

    fn remove(&mut self, hash: u64, key: DeviceKey) {
        self.more.retain(|other| *other != (hash, key));
        if self.first.get(&hash) == Some(&key) {
            self.first.remove(&hash);
            if let Some(at) = self.more.iter().position(|(other, _)| *other == hash) {
                let (_, heir) = self.more.swap_remove(at);
                self.first.insert(hash, heir);
            }
        }
    }

    fn candidates(&self, hash: u64) -> impl Iterator<Item = DeviceKey> {
        let more = self.more.iter().filter(move |(other, _)| *other == hash).map(|(_, key)| *key);
        self.first.get(&hash).copied().into_iter().chain(more)
    }
}

/// A list of devices that may bear a name; nearly always one or none.
pub(in crate::store) type Candidates = smallvec::SmallVec<[DeviceKey; 2]>;

impl DeviceIndex {
    /// Takes in a device, Down as yet.
    pub(in crate::store) fn insert(&mut self, key: DeviceKey, profile: &Profile) {
        self.all.insert(key.0);
        self.set_facets(key, None, profile.into());
        let serial = self.hash(profile.serial_number.as_str());
        self.serials.insert(serial, key);
    }

    /// Takes a device out of every list; its names stay taken until [`forget`](Self::forget).
    pub(in crate::store) fn hide(&mut self, key: DeviceKey) {
        self.all.remove(key.0);
        self.up.remove(key.0);
        self.active.remove(key.0);
        let facets = self.organizations.values_mut().chain(self.types.values_mut()).chain(self.locations.values_mut());
        for bitmap in facets {
            bitmap.remove(key.0);
        }
    }

    /// Frees the names of a device that is gone.
    pub(in crate::store) fn forget(&mut self, key: DeviceKey, identity: Option<&DeviceIdentity>, serial: &str) {
        self.hide(key);
        let hash = self.hash(serial);
        self.serials.remove(hash, key);
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

    /// Follows a device's status.
    pub(in crate::store) fn set_status(&mut self, key: DeviceKey, status: Status) {
        match status {
            Status::Up if self.contains(key) => self.up.insert(key.0),
            Status::Up | Status::Down => self.up.remove(key.0),
        };
    }

    /// Follows a device's profile.
    pub(in crate::store) fn set_facets(&mut self, key: DeviceKey, before: Option<Facets>, now: Facets) {
        if let Some(before) = before.filter(|before| *before != now) {
            if let Some(bitmap) = self.organizations.get_mut(&before.organization) {
                bitmap.remove(key.0);
            }
            if let Some(bitmap) = self.types.get_mut(&before.device_type) {
                bitmap.remove(key.0);
            }
            if let Some(bitmap) = before.location.and_then(|location| self.locations.get_mut(&location)) {
                bitmap.remove(key.0);
            }
        }
        if let Some(location) = now.location {
            self.locations.entry(location).or_default().insert(key.0);
        }
        self.organizations.entry(now.organization).or_default().insert(key.0);
        self.types.entry(now.device_type).or_default().insert(key.0);
        if now.is_active {
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

    /// All devices of these organizations.
    pub(in crate::store) fn visible(&self, organizations: &[OrganizationId]) -> RoaringBitmap {
        organizations
            .iter()
            .filter_map(|one| self.organizations.get(one))
            .fold(RoaringBitmap::new(), |all, one| all | one)
    }

    /// Which devices match, but for `status_change_from`, which only the records tell.
    pub(in crate::store) fn matching(&self, filter: &DeviceFilter) -> RoaringBitmap {
        let none = RoaringBitmap::new();
        let mut found = match &filter.visible {
            Some(organizations) => self.visible(organizations) & &self.all,
            None => self.all.clone(),
        };
        if let Some(organization) = &filter.organization {
            found &= self.organizations.get(organization).unwrap_or(&none);
        }
        if let Some(device_type) = &filter.device_type {
            found &= self.types.get(device_type).unwrap_or(&none);
        }
        if let Some(location) = &filter.location {
            found &= self.locations.get(location).unwrap_or(&none);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_share_a_hash_are_all_candidates() {
        let mut names = NameMap::default();
        for key in [1, 2, 3, 2] {
            names.insert(7, DeviceKey(key));
        }
        names.insert(8, DeviceKey(4));
        names.remove(7, DeviceKey(1));
        let mut left: Vec<_> = names.candidates(7).map(|key| key.0).collect();
        left.sort_unstable();
        left.dedup();
        assert_eq!(left, [2, 3]);
        names.remove(7, DeviceKey(2));
        names.remove(7, DeviceKey(3));
        assert_eq!(names.candidates(7).count(), 0);
        assert_eq!(names.candidates(8).count(), 1);
    }
}
