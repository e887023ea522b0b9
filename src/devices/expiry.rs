//! The timer wheel that notices silence: `Up` devices become `Down` when their Inform is overdue (design.md §4, *Status*).
//!
//! A device is in the wheel once, at the earliest time it could be overdue. When that time comes its last Inform is looked
//! at: either it is Down, or it goes back into the wheel. An Inform of a device that is Up costs the wheel nothing, unless
//! it shortens the device's interval: then the look comes forward.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::model::device::{State, Status};
use crate::store::{Store, StoreError};
use crate::types::ident::DeviceKey;
use crate::types::time::{Clock, Timestamp};

/// Least grace.
const GRACE_FLOOR: Duration = Duration::from_secs(90);
/// How often the wheel turns.
const TICK: Duration = Duration::from_secs(1);

/// The service.
pub struct Expiry {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    default_interval_secs: u32,
    wheel: Mutex<Wheel>,
}

/// Devices by the second in which they are looked at.
#[derive(Debug, Default)]
struct Wheel {
    slots: HashMap<i64, Vec<DeviceKey>>,
    /// In which slot each device counts; what it may have left in a later one is passed over.
    inside: HashMap<DeviceKey, i64>,
    /// The last second that was looked at.
    turned_to: i64,
}

impl Expiry {
    /// `default_interval_secs` counts for devices whose interval is not known.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, default_interval_secs: u32) -> Self {
        Self { store, clock, default_interval_secs, wheel: Mutex::default() }
    }

    /// A device has come Up, or has another interval.
    pub fn arm(&self, key: DeviceKey, last_inform: Timestamp, interval_secs: Option<u32>) {
        let due = overdue_at(last_inform, interval_secs.unwrap_or(self.default_interval_secs));
        self.wheel.lock().insert(key, due);
    }

    /// Turns the wheel until told to stop.
    ///
    /// # Errors
    /// [`StoreError`] when the devices that are Up cannot be read at the start.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) -> Result<(), StoreError> {
        let now = self.clock.now();
        self.wheel.lock().turned_to = now.as_secs();
        for device in self.store.up_devices().await? {
            // Silence while acsd was down is not the device's, which may be waiting to try again.
            let due = overdue_at(now, device.interval_secs.unwrap_or(self.default_interval_secs));
            self.wheel.lock().insert(device.key, due);
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = ticks.tick() => {}
            }
            let now = self.clock.now();
            let due = self.wheel.lock().turn(now.as_secs());
            for key in due {
                if let Err(error) = self.look_at(key, now).await {
                    tracing::error!(%error, device.id = %key, "the status of device {key} could not be looked at");
                    self.wheel.lock().insert(key, now + GRACE_FLOOR);
                }
            }
        }
    }

    async fn look_at(&self, key: DeviceKey, now: Timestamp) -> Result<(), StoreError> {
        let Some(device) = self.store.device(key).await? else { return Ok(()) };
        if device.state.status == Status::Down {
            return Ok(());
        }
        let interval = device.state.periodic_interval_secs.unwrap_or(self.default_interval_secs);
        let last = device.state.last_inform.unwrap_or(now);
        let due = overdue_at(last, interval);
        if due > now {
            self.wheel.lock().insert(key, due);
            return Ok(());
        }
        let edit = Box::new(move |state: &mut State| {
            // An Inform may have come between the look and the edit.
            if state.status == Status::Up && state.last_inform == Some(last) {
                state.status = Status::Down;
                state.status_change = now;
            }
        });
        let after = self.store.edit_state(key, edit).await?;
        match after {
            Some(device) if device.state.status == Status::Up => self.arm(key, now, Some(interval)),
            Some(_) => tracing::info!(device.id = %key, "device {key} is overdue: Down"),
            None => {}
        }
        Ok(())
    }
}

impl Wheel {
    fn insert(&mut self, key: DeviceKey, due: Timestamp) {
        // Rounded up, and never into a second that has been looked at already.
        let second = due.as_secs().saturating_add(1).max(self.turned_to.saturating_add(1));
        if self.inside.get(&key).is_none_or(|present| second < *present) {
            self.inside.insert(key, second);
            self.slots.entry(second).or_default().push(key);
        }
    }

    fn turn(&mut self, to: i64) -> Vec<DeviceKey> {
        // After a leap of the clock the slots are fewer than the seconds.
        let span = usize::try_from(to.saturating_sub(self.turned_to)).unwrap_or(0);
        let passed: Vec<i64> = if span > self.slots.len() {
            self.slots.keys().copied().filter(|second| *second <= to).collect()
        } else {
            (self.turned_to..=to).collect()
        };
        let mut due = Vec::new();
        for second in passed {
            for key in self.slots.remove(&second).unwrap_or_default() {
                if self.inside.get(&key) == Some(&second) {
                    self.inside.remove(&key);
                    due.push(key);
                }
            }
        }
        self.turned_to = self.turned_to.max(to);
        due
    }
}

/// The interval plus a grace of two more, at least 90 s.
fn overdue_at(last_inform: Timestamp, interval_secs: u32) -> Timestamp {
    let interval = Duration::from_secs(u64::from(interval_secs));
    last_inform + interval + interval.saturating_mul(2).max(GRACE_FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grace_is_two_intervals_but_not_less_than_the_floor() {
        let at = Timestamp::from_secs(1000);
        assert_eq!(overdue_at(at, 10), Timestamp::from_secs(1100));
        assert_eq!(overdue_at(at, 100), Timestamp::from_secs(1300));
    }

    #[test]
    fn the_wheel_hands_out_each_device_once_and_when_due() {
        let mut wheel = Wheel { turned_to: 100, ..Wheel::default() };
        wheel.insert(DeviceKey(1), Timestamp::from_secs(104));
        wheel.insert(DeviceKey(1), Timestamp::from_secs(200));
        wheel.insert(DeviceKey(2), Timestamp::from_secs(50));
        assert_eq!(wheel.turn(101), [DeviceKey(2)], "what is past is due in the next second");
        assert_eq!(wheel.turn(104), []);
        assert_eq!(wheel.turn(105), [DeviceKey(1)]);
        wheel.insert(DeviceKey(1), Timestamp::from_secs(400));
        assert_eq!(wheel.turn(1_000_000), [DeviceKey(1)], "the clock may leap");
    }

    #[test]
    fn a_shorter_interval_brings_the_look_forward_and_a_longer_one_does_not_double_it() {
        let mut wheel = Wheel { turned_to: 100, ..Wheel::default() };
        wheel.insert(DeviceKey(1), Timestamp::from_secs(90_000));
        wheel.insert(DeviceKey(1), Timestamp::from_secs(200));
        wheel.insert(DeviceKey(1), Timestamp::from_secs(300));
        assert_eq!(wheel.turn(201), [DeviceKey(1)]);
        assert_eq!(wheel.turn(100_000), [], "what is left of the later look is passed over");
        wheel.insert(DeviceKey(1), Timestamp::from_secs(100_010));
        assert_eq!(wheel.turn(100_011), [DeviceKey(1)]);
    }
}
