//! Who may come in, and how much may be held for all of them: permits that are given back when dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::config::ListenConfig;
use super::refusal::Refusal;
use crate::telemetry::names;
use crate::types::network::Network;

/// A household's IPv6 addresses are one /64.
const SITE_PREFIX: u8 = 64;

#[derive(Debug)]
pub(super) struct Gate {
    max_connections: usize,
    max_per_address: usize,
    unlimited: Vec<Network>,
    open: Mutex<Open>,
    open_gauge: metrics::Gauge,
    max_bodies_bytes: usize,
    bodies_bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    per_site: HashMap<Network, usize>,
}

impl Gate {
    pub(super) fn new(config: &ListenConfig) -> Self {
        Self {
            max_connections: config.max_connections,
            max_per_address: config.max_connections_per_address,
            unlimited: config.unlimited_networks.clone(),
            open: Mutex::default(),
            open_gauge: metrics::gauge!(names::CONNECTIONS),
            max_bodies_bytes: config.max_bodies_bytes,
            bodies_bytes: AtomicUsize::new(0),
        }
    }

    /// Lets one connection in.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Refusal> {
        let counted = !self.unlimited.iter().any(|network| network.contains(address));
        let site = counted.then(|| Network::of(address, if address.is_ipv4() { 32 } else { SITE_PREFIX }));
        let mut open = self.open.lock();
        if open.total >= self.max_connections {
            return Err(Refusal::Connections);
        }
        if let Some(site) = site {
            let connections = open.per_site.entry(site).or_default();
            if *connections >= self.max_per_address {
                return Err(Refusal::ConnectionsPerAddress);
            }
            *connections += 1;
        }
        open.total += 1;
        self.open_gauge.increment(1);
        Ok(Permit { gate: Arc::clone(self), site })
    }

    /// Room for a body, none of it taken yet.
    pub(super) fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation { gate: Arc::clone(self), bytes: 0 }
    }
}

/// One open connection.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    site: Option<Network>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.open_gauge.decrement(1);
        self.gate.leave(self.site);
    }
}

impl Gate {
    fn leave(&self, site: Option<Network>) {
        let mut open = self.open.lock();
        open.total = open.total.saturating_sub(1);
        if let Some(site) = site
            && let Some(connections) = open.per_site.get_mut(&site)
        {
            *connections = connections.saturating_sub(1);
            if *connections == 0 {
                open.per_site.remove(&site);
            }
        }
    }
}

impl Permit {
    /// Leaves the count for as long as the result lives: a file transfer has limits of its own, and may take hours.
    pub(super) fn set_aside(self: &Arc<Self>) -> Aside {
        self.gate.leave(self.site);
        Aside { permit: Arc::clone(self) }
    }
}

/// A connection that is not counted for a while. It is counted again when this is dropped, also beyond the limits.
#[derive(Debug)]
pub(super) struct Aside {
    permit: Arc<Permit>,
}

impl Drop for Aside {
    fn drop(&mut self) {
        let mut open = self.permit.gate.open.lock();
        open.total += 1;
        if let Some(site) = self.permit.site {
            *open.per_site.entry(site).or_default() += 1;
        }
    }
}

/// The bytes of one body. They are taken as they arrive, not as a `Content-Length` claims them: claiming costs nothing.
#[derive(Debug)]
pub(super) struct Reservation {
    gate: Arc<Gate>,
    bytes: usize,
}

impl Reservation {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        let held = self.gate.bodies_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bytes = self.bytes.saturating_add(bytes);
        if held.saturating_add(bytes) > self.gate.max_bodies_bytes { Err(Refusal::BodyMemory) } else { Ok(()) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.gate.bodies_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(config: &ListenConfig) -> Arc<Gate> {
        Arc::new(Gate::new(config))
    }

    #[test]
    fn an_address_gets_its_share_and_no_more_until_one_leaves() {
        let gate = gate(&ListenConfig { max_connections_per_address: 2, ..ListenConfig::default() });
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (first, _second) = (gate.enter(address("192.0.2.1")).unwrap(), gate.enter(address("192.0.2.1")).unwrap());
        assert_eq!(gate.enter(address("192.0.2.1")).unwrap_err(), Refusal::ConnectionsPerAddress);
        let _other = gate.enter(address("192.0.2.2")).unwrap();
        drop(first);
        let _third = gate.enter(address("192.0.2.1")).unwrap();

        let _site = (gate.enter(address("2001:db8::1")).unwrap(), gate.enter(address("2001:db8::2")).unwrap());
        assert!(gate.enter(address("2001:db8::3")).is_err(), "one /64 is one site");
        let _local: Vec<_> = (0..10).map(|_| gate.enter(address("127.0.0.1")).unwrap()).collect();
    }

    #[test]
    fn nothing_is_kept_of_who_left() {
        let gate = gate(&ListenConfig { max_connections: 1, ..ListenConfig::default() });
        let permit = gate.enter("192.0.2.1".parse().unwrap()).unwrap();
        assert_eq!(gate.enter("192.0.2.2".parse().unwrap()).unwrap_err(), Refusal::Connections);
        drop(permit);
        assert!(gate.open.lock().per_site.is_empty());
        assert!(gate.enter("192.0.2.2".parse().unwrap()).is_ok());
    }

    #[test]
    fn who_is_set_aside_takes_no_place_and_gets_it_back() {
        let gate =
            gate(&ListenConfig { max_connections: 1, max_connections_per_address: 1, ..ListenConfig::default() });
        let address = "192.0.2.1".parse().unwrap();
        let permit = Arc::new(gate.enter(address).unwrap());
        let aside = permit.set_aside();
        let other = gate.enter(address).unwrap();
        drop(aside);
        assert_eq!(gate.open.lock().total, 2, "beyond the limit, but counted");
        drop(other);
        assert!(gate.enter(address).is_err());
        let aside = permit.set_aside();
        drop(permit);
        drop(aside);
        assert!(gate.open.lock().total == 0 && gate.open.lock().per_site.is_empty());
    }

    #[test]
    fn bodies_share_one_budget() {
        let gate = gate(&ListenConfig { max_bodies_bytes: 100, ..ListenConfig::default() });
        let mut first = gate.reserve();
        let mut second = gate.reserve();
        assert!(first.grow(60).is_ok() && second.grow(40).is_ok());
        assert_eq!(second.grow(1), Err(Refusal::BodyMemory));
        drop(second);
        assert!(first.grow(40).is_ok());
        drop(first);
        assert_eq!(gate.bodies_bytes.load(Ordering::Relaxed), 0);
    }
}
