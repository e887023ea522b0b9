//! Those who were turned away from the CWMP endpoint: recorded, but not as often as an attacker would like.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::auth::authorization::Authorization;
use crate::model::device::Profile;
use crate::model::event::{EventData, EventEntry, RefusalReason, text};
use crate::store::Store;
use crate::types::time::Timestamp;

const MINUTE: Duration = Duration::from_mins(1);
/// Most entries in a minute, of all addresses together: who has many addresses cannot flood the log either. It is also
/// what bounds the memory of addresses.
const PER_MINUTE: usize = 120;

/// Who was turned away.
#[derive(Debug, Clone, Copy)]
pub struct Refused<'a> {
    /// Where from.
    pub address: IpAddr,
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The device that it claimed to be, if there is one.
    pub device: Option<&'a Profile>,
    /// Why.
    pub reason: RefusalReason,
}

/// Records refusals: at most one per address and minute.
#[derive(Debug, Default)]
pub struct Refusals {
    window: Mutex<Window>,
}

#[derive(Debug, Default)]
struct Window {
    recorded: HashMap<IpAddr, Timestamp>,
}

impl Refusals {
    /// Records a refusal, unless this address has had one within the minute.
    pub fn record(&self, store: &dyn Store, at: Timestamp, refused: Refused<'_>) {
        let address = refused.address.to_canonical();
        if !self.window.lock().admit(address, at) {
            return;
        }
        let authorization = refused.authorization.and_then(Authorization::parse);
        let data = EventData::AuthenticationRefused {
            address,
            username: authorization.map(|presented| text(&presented.username())),
            reason: refused.reason,
        };
        super::append(
            store,
            match refused.device {
                Some(profile) => EventEntry::of_device(profile, at, data),
                None => EventEntry::of_nobody(at, data),
            },
        );
    }
}

impl Window {
    fn admit(&mut self, address: IpAddr, at: Timestamp) -> bool {
        if self.recorded.get(&address).is_some_and(|last| at.since(*last) < MINUTE) {
            return false;
        }
        if self.recorded.len() >= PER_MINUTE {
            self.recorded.retain(|_, last| at.since(*last) < MINUTE);
        }
        if self.recorded.len() >= PER_MINUTE {
            return false;
        }
        self.recorded.insert(address, at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_recorded_once_a_minute_and_all_together_are_bounded() {
        let mut window = Window::default();
        let address = |n: u32| IpAddr::from(n.to_be_bytes());
        let at = Timestamp::from_secs;
        assert!(window.admit(address(1), at(100)));
        assert!(!window.admit(address(1), at(159)));
        assert!(window.admit(address(1), at(160)));
        let admitted = (2..1000).filter(|n| window.admit(address(*n), at(161))).count();
        assert_eq!(admitted, PER_MINUTE - 1);
        assert!(window.admit(address(5000), at(300)), "a new minute");
    }
}
