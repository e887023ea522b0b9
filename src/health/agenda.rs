//! When which device is to be checked: a heap of what is due, without I/O.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

/// Within this many seconds a device is looked at of which nothing is known yet.
pub(super) const FIRST_WITHIN_SECS: u32 = 300;

/// Each device at most once; what is left of an earlier time is passed over.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    heap: BinaryHeap<Reverse<(u32, DeviceKey)>>,
    inside: HashMap<DeviceKey, u32>,
}

impl Agenda {
    /// Whether a device is in it.
    pub(super) fn has(&self, device: DeviceKey) -> bool {
        self.inside.contains_key(&device)
    }

    /// A device is due then, and not when it was before.
    pub(super) fn set(&mut self, device: DeviceKey, due: Timestamp) {
        let due = seconds(due);
        if self.inside.insert(device, due) != Some(due) {
            self.heap.push(Reverse((due, device)));
        }
        // Made anew when most of it is left over.
        if self.heap.len() > 1024 && self.heap.len() / 2 > self.inside.len() {
            self.heap = self.inside.iter().map(|(device, due)| Reverse((*due, *device))).collect();
        }
    }

    /// The next device that is due; it is taken out.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<DeviceKey> {
        let now = seconds(now);
        while let Some(Reverse((due, device))) = self.heap.peek().copied() {
            if due > now {
                return None;
            }
            self.heap.pop();
            if self.inside.get(&device) == Some(&due) {
                self.inside.remove(&device);
                return Some(device);
            }
        }
        None
    }
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_secs().max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(secs)
    }

    #[test]
    fn devices_come_once_in_the_order_of_their_last_times() {
        let mut agenda = Agenda::default();
        for (device, due) in [(1, 100), (2, 50), (3, 200), (1, 300), (2, 50)] {
            agenda.set(DeviceKey(device), at(due));
        }
        assert_eq!(agenda.take_due(at(49)), None);
        assert_eq!(agenda.take_due(at(250)), Some(DeviceKey(2)));
        assert_eq!(agenda.take_due(at(250)), Some(DeviceKey(3)));
        assert_eq!(agenda.take_due(at(250)), None, "1 was put off");
        assert!(agenda.has(DeviceKey(1)) && !agenda.has(DeviceKey(2)));
        agenda.set(DeviceKey(1), at(10));
        assert_eq!((agenda.take_due(at(1000)), agenda.take_due(at(1000))), (Some(DeviceKey(1)), None));
    }

    #[test]
    fn putting_off_again_and_again_takes_no_more_room() {
        let mut agenda = Agenda::default();
        for due in 0..100_000 {
            agenda.set(DeviceKey(due % 7 + 1), at(due.into()));
        }
        assert!(agenda.heap.len() <= 1025, "{}", agenda.heap.len());
        let taken = std::iter::from_fn(|| agenda.take_due(at(1_000_000))).count();
        assert_eq!(taken, 7);
    }
}
