//! Devices by the hash of a name.

use std::collections::HashMap;

use crate::types::ident::DeviceKey;

/// Devices by the hash of a name. That two names share a hash is rare but allowed, so whoever looks up verifies.
#[derive(Debug, Default)]
pub(super) struct NameMap {
    first: HashMap<u64, DeviceKey>,
    more: Vec<(u64, DeviceKey)>,
}

impl NameMap {
    pub(super) fn insert(&mut self, hash: u64, key: DeviceKey) {
        if *self.first.entry(hash).or_insert(key) != key {
            self.more.push((hash, key));
        }
    }

    pub(super) fn remove(&mut self, hash: u64, key: DeviceKey) {
        self.more.retain(|other| *other != (hash, key));
        if self.first.get(&hash) == Some(&key) {
            self.first.remove(&hash);
            if let Some(at) = self.more.iter().position(|(other, _)| *other == hash) {
                let (_, heir) = self.more.swap_remove(at);
                self.first.insert(hash, heir);
            }
        }
    }

    pub(super) fn candidates(&self, hash: u64) -> impl Iterator<Item = DeviceKey> {
        let more = self.more.iter().filter(move |(other, _)| *other == hash).map(|(_, key)| *key);
        self.first.get(&hash).copied().into_iter().chain(more)
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
