//! Which device keys have been given out: dense from 1, and never a second time.

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::types::ident::DeviceKey;

/// Gives out device keys. Below `next` every key is or was a device's; wished-for keys may lie above it.
#[derive(Debug, Clone)]
pub(in crate::store) struct KeyAllocator {
    next: u32,
    retired: RoaringBitmap,
}

/// What has to outlive a restart once a device has been removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::store) struct KeyFloor {
    next: u32,
    retired: Vec<u32>,
}

impl Default for KeyAllocator {
    fn default() -> Self {
        Self { next: 1, retired: RoaringBitmap::new() }
    }
}

impl KeyAllocator {
    /// Takes up where an earlier run stopped.
    pub(in crate::store) fn resume(floor: KeyFloor) -> Self {
        Self { next: floor.next.max(1), retired: floor.retired.into_iter().collect() }
    }

    /// The next free key, or the wished-for one; `None`: it is or was another device's, or there is none left.
    pub(in crate::store) fn allocate(&mut self, wish: Option<DeviceKey>, taken: &RoaringBitmap) -> Option<DeviceKey> {
        let used = |key: u32| taken.contains(key) || self.retired.contains(key);
        if let Some(wish) = wish {
            return (wish.0 >= self.next && wish.0 < u32::MAX && !used(wish.0)).then_some(wish);
        }
        let key = (self.next..u32::MAX).find(|key| !used(*key))?;
        self.next = key + 1;
        self.retired.remove_range(..self.next);
        Some(DeviceKey(key))
    }

    /// Notes that a device is gone; what it returns has to be stored before the device's last record goes.
    pub(in crate::store) fn retire(&mut self, key: DeviceKey) -> KeyFloor {
        if key.0 >= self.next {
            self.retired.insert(key.0);
        }
        KeyFloor { next: self.next, retired: self.retired.iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_given_out_once_even_across_restarts() {
        let mut keys = KeyAllocator::default();
        let mut taken = RoaringBitmap::new();
        let mut take = |keys: &mut KeyAllocator, wish: Option<u32>| {
            let key = keys.allocate(wish.map(DeviceKey), &taken)?;
            taken.insert(key.0);
            Some(key.0)
        };
        assert_eq!(take(&mut keys, Some(3)), Some(3));
        assert_eq!(take(&mut keys, None), Some(1));
        assert_eq!(take(&mut keys, None), Some(2));
        assert_eq!(take(&mut keys, None), Some(4), "3 is taken");
        assert_eq!(take(&mut keys, Some(2)), None);
        assert_eq!(take(&mut keys, Some(0)), None);
        assert_eq!(take(&mut keys, Some(9)), Some(9));
        taken.remove(9);
        taken.remove(2);
        let floor = keys.retire(DeviceKey(9));
        assert_eq!(keys.retire(DeviceKey(2)), floor, "keys below the next one need no note");
        let mut keys = KeyAllocator::resume(floor);
        for never in [2, 9] {
            assert_eq!(keys.allocate(Some(DeviceKey(never)), &taken), None);
        }
        let fresh: Vec<_> = (0..5).filter_map(|_| keys.allocate(None, &taken)).map(|key| key.0).collect();
        assert_eq!(fresh, [5, 6, 7, 8, 10]);
    }
}
