//! How many transfers there may be at the same time: in all, and of one device.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::types::ident::DeviceKey;

#[derive(Debug)]
pub(super) struct Slots {
    max: usize,
    max_per_device: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    per_device: HashMap<DeviceKey, usize>,
}

impl Slots {
    pub(super) fn new(max: usize, max_per_device: usize) -> Self {
        Self { max, max_per_device, taken: Arc::default() }
    }

    /// `None`: there are as many as there may be.
    pub(super) fn take(&self, device: DeviceKey) -> Option<Slot> {
        let mut taken = self.taken.lock();
        let of_device = taken.per_device.get(&device).copied().unwrap_or_default();
        if taken.total >= self.max || of_device >= self.max_per_device {
            return None;
        }
        taken.total += 1;
        taken.per_device.insert(device, of_device + 1);
        Some(Slot { device, taken: Arc::clone(&self.taken) })
    }
}

/// One transfer; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    device: DeviceKey,
    taken: Arc<Mutex<Taken>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.total = taken.total.saturating_sub(1);
        if let Some(of_device) = taken.per_device.get_mut(&self.device) {
            *of_device = of_device.saturating_sub(1);
            if *of_device == 0 {
                taken.per_device.remove(&self.device);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_gets_its_share_and_no_more() {
        let slots = Slots::new(3, 2);
        let (first, _second) = (slots.take(DeviceKey(1)).unwrap(), slots.take(DeviceKey(1)).unwrap());
        assert!(slots.take(DeviceKey(1)).is_none(), "two of one device");
        let third = slots.take(DeviceKey(2)).unwrap();
        assert!(slots.take(DeviceKey(3)).is_none(), "three in all");
        drop(first);
        assert!(slots.take(DeviceKey(1)).is_some());
        drop(third);
        assert_eq!(slots.taken.lock().per_device.len(), 1, "nothing is kept of who has none");
    }
}
