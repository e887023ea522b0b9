//! The timer wheel that notices silence: `Up` devices become `Down` when their Inform is overdue (design.md §4, *Status*).
//!
//! A device is in the wheel once, at the earliest time it could be overdue. When that time comes its last Inform is looked
//! at: either it is Down, or it goes back into the wheel. An Inform of a device that is Up costs the wheel nothing.

use std::collections::{HashMap, HashSet};
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
    inside: HashSet<DeviceKey>,
    /// The last second that was looked at.
    turned_to: i64,
}

impl Expiry {
    /// `default_interval_secs` counts for devices whose interval is not known.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, default_interval_secs: u32) -> Self {
        Self { store, clock, default_interval_secs, wheel: Mutex::default() }
    }

    /// A device has come Up.
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
            // Silence while acsd was down is not the device's: it has one whole interval from now.
            let secs = device.interval_secs.unwrap_or(self.default_interval_secs);
            let due = overdue_at(device.last_inform, secs).max(now + Duration::from_secs(u64::from(secs)));
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
        if self.inside.insert(key) {
            // Rounded up, and never into a second that has been looked at already.
            let second = due.as_secs().saturating_add(1).max(self.turned_to.saturating_add(1));
            self.slots.entry(second).or_default().push(key);
        }
    }

    fn turn(&mut self, to: i64) -> Vec<DeviceKey> {
        let mut due = Vec::new();
        // After a leap of the clock the slots are fewer than the seconds.
        let span = usize::try_from(to.saturating_sub(self.turned_to)).unwrap_or(0);
        if span > self.slots.len() {
            let passed: Vec<i64> = self.slots.keys().copied().filter(|second| *second <= to).collect();
            due.extend(passed.into_iter().filter_map(|second| self.slots.remove(&second)).flatten());
        } else {
            due.extend((self.turned_to..=to).filter_map(|second| self.slots.remove(&second)).flatten());
        }
        self.turned_to = self.turned_to.max(to);
        for key in &due {
            self.inside.remove(key);
        }
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
}
