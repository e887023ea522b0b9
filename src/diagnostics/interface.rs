//! Which interface is meant by `wan`, `lan`, an alias or a name.
//!
//! What there is to know is read in at most two rounds ([`reads`]); after each, [`resolve`] says whether it suffices.
//!
//! - TR-181, `wan`: the interface of the default route, one that works before others, IPv4 before IPv6; else one whose
//!   lower layers end in a PPP, DSL, cellular or optical interface or in an Ethernet interface with `Upstream`; at last, one
//!   that has been given an address from outside (`AddressingType` IPCP or DHCP). `lan`: one whose lower layers end in a
//!   bridge, else in an Ethernet interface without `Upstream`, else in a Wi-Fi network.
//! - TR-098, `wan`: `Layer3Forwarding.DefaultConnectionService`; else the connection that is `Connected`, a routed one first.
//!   `lan`: the first IP interface of the first `LANDevice`.
//! - an alias or a name: of an IP interface (TR-181), of a WAN connection (TR-098). An interface that is called `wan` or
//!   `lan` goes before all else.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use crate::model::device::DataModel;
use crate::types::value::parse_boolean;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// This very object; without its final dot.
    Path(String),
    /// The way to the Internet.
    Wan,
    /// The network at home.
    Lan,
    /// An alias or a name.
    Named(String),
}

impl Wish {
    /// Reads the API's word.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.trim();
        let bare = text.strip_suffix('.').unwrap_or(text);
        if DataModel::of_path(text) != DataModel::Unknown {
            Self::Path(bare.to_owned())
        } else if text.eq_ignore_ascii_case("wan") {
            Self::Wan
        } else if text.eq_ignore_ascii_case("lan") {
            Self::Lan
        } else {
            Self::Named(text.to_owned())
        }
    }
}

/// Rounds of reading that there may be.
pub const ROUNDS: usize = 2;

const IP: &str = "Device.IP.Interface.";
const ROUTERS: &str = "Device.Routing.Router.";
const LINKS: &str = "Device.Ethernet.Link.";
const VLANS: &str = "Device.Ethernet.VLANTermination.";
const PORTS: &str = "Device.Ethernet.Interface.";
const DEFAULT_CONNECTION: &str = "InternetGatewayDevice.Layer3Forwarding.DefaultConnectionService";
const WANS: &str = "InternetGatewayDevice.WANDevice.";
const LAN_ADDRESSES: &str = "InternetGatewayDevice.LANDevice.1.LANHostConfigManagement.IPInterface.";

/// What is to be read in this round, from 0 on; nothing: there is no more to know.
#[must_use]
pub const fn reads(model: DataModel, wish: &Wish, round: usize) -> &'static [&'static str] {
    match (model, wish, round) {
        (_, Wish::Path(_), _) | (_, _, ROUNDS..) => &[],
        (DataModel::InternetGatewayDevice, Wish::Wan, 0) => &[DEFAULT_CONNECTION],
        (DataModel::InternetGatewayDevice, Wish::Wan, _) | (DataModel::InternetGatewayDevice, Wish::Named(_), 0) => {
            &[WANS]
        }
        (DataModel::InternetGatewayDevice, Wish::Lan, 0) => &[LAN_ADDRESSES],
        (DataModel::InternetGatewayDevice, Wish::Lan | Wish::Named(_), _) => &[],
        (DataModel::Device | DataModel::Unknown, Wish::Named(_), 0) => &[IP],
        (DataModel::Device | DataModel::Unknown, Wish::Named(_), _) => &[],
        (DataModel::Device | DataModel::Unknown, Wish::Wan, 0) => &[IP, ROUTERS],
        (DataModel::Device | DataModel::Unknown, Wish::Wan, _) => &[LINKS, VLANS, PORTS],
        // Which one is nearest to a bridge shows only when all stacks can be followed.
        (DataModel::Device | DataModel::Unknown, Wish::Lan, 0) => &[IP, ROUTERS, LINKS, VLANS, PORTS],
        (DataModel::Device | DataModel::Unknown, Wish::Lan, _) => &[],
    }
}

/// The path of the interface, without its final dot; `None`: what is known after this round (0: the first) does not tell.
#[must_use]
pub fn resolve(model: DataModel, wish: &Wish, values: &BTreeMap<&str, &str>, round: usize) -> Option<String> {
    let tree = Tree { values };
    let is_last = round + 1 >= ROUNDS;
    match (model, wish) {
        (_, Wish::Path(path)) => Some(path.clone()),
        (DataModel::InternetGatewayDevice, Wish::Wan) => tree.default_connection().or_else(|| tree.connected()),
        (DataModel::InternetGatewayDevice, Wish::Lan) => {
            tree.objects(LAN_ADDRESSES, 1).into_iter().next().map(|object| bare(&object).to_owned())
        }
        (DataModel::InternetGatewayDevice, Wish::Named(name)) => tree
            .connections()
            .into_iter()
            .find(|object| tree.is(object, "Name", name))
            .map(|object| bare(&object).to_owned()),
        (DataModel::Device | DataModel::Unknown, Wish::Named(name)) => tree.called(name),
        (DataModel::Device | DataModel::Unknown, Wish::Wan) => {
            let found = tree.called("wan").or_else(|| tree.default_route()).or_else(|| tree.towards(End::Uplink));
            found.or_else(|| is_last.then(|| tree.addressed()).flatten())
        }
        (DataModel::Device | DataModel::Unknown, Wish::Lan) => {
            let ends = [End::Bridge, End::Port, End::Radio];
            tree.called("lan").or_else(|| ends.into_iter().find_map(|end| tree.towards(end)))
        }
    }
}

/// Why there is no such interface, once all rounds are read; a clause that follows its name.
#[must_use]
pub const fn reason(model: DataModel, wish: &Wish) -> &'static str {
    match (model, wish) {
        (DataModel::InternetGatewayDevice, Wish::Wan) => {
            "cannot be told: the device names no default connection, and none of its WAN connections is connected"
        }
        (DataModel::InternetGatewayDevice, Wish::Lan) => "cannot be told: the device has no LAN with an IP interface",
        (DataModel::Device | DataModel::Unknown, Wish::Wan) => {
            "cannot be told: the device has no default route, of IPv4 or IPv6, that names an IP interface, and none of its IP \
             interfaces leads to an upstream one or was given an address from outside"
        }
        (DataModel::Device | DataModel::Unknown, Wish::Lan) => {
            "cannot be told: no IP interface of the device leads to a bridge, an Ethernet interface at home or a Wi-Fi network"
        }
        (_, Wish::Path(_) | Wish::Named(_)) => "was not found on the device",
    }
}

/// Where a stack of interfaces ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// On the side of the Internet.
    Uplink,
    /// At home.
    Bridge,
    /// At home, an Ethernet interface.
    Port,
    /// At home, a Wi-Fi network.
    Radio,
}

/// Deepest stack of interfaces that is followed.
const LAYERS_MAX: usize = 8;

struct Tree<'t> {
    values: &'t BTreeMap<&'t str, &'t str>,
}

impl<'t> Tree<'t> {
    fn value(&self, object: &str, leaf: &str) -> &str {
        self.values.get(format!("{object}{leaf}").as_str()).map_or("", |value| value.trim())
    }

    fn is(&self, object: &str, leaf: &str, value: &str) -> bool {
        self.value(object, leaf).eq_ignore_ascii_case(value)
    }

    fn is_true(&self, object: &str, leaf: &str) -> bool {
        parse_boolean(self.value(object, leaf)) == Some(true)
    }

    /// The objects `levels` below a path, in the order of their numbers.
    fn objects(&self, below: &str, levels: usize) -> Vec<String> {
        let mut found: BTreeMap<Vec<(u32, &str)>, String> = BTreeMap::new();
        for path in self.values.keys() {
            let Some(rest) = path.strip_prefix(below) else { continue };
            let segments: Vec<&str> = rest.split_inclusive('.').take(levels).collect();
            if segments.len() == levels && segments.iter().all(|segment| segment.ends_with('.')) {
                // Names have no number, and go by themselves.
                let key = |segment: &&'t str| (segment.trim_end_matches('.').parse().unwrap_or(u32::MAX), *segment);
                found.insert(segments.iter().map(key).collect(), format!("{below}{}", segments.concat()));
            }
        }
        found.into_values().collect()
    }

    /// The interface with this alias or name.
    fn called(&self, name: &str) -> Option<String> {
        let interfaces = self.objects(IP, 1);
        let by = |leaf| interfaces.iter().find(|object| self.is(object, leaf, name));
        by("Alias").or_else(|| by("Name")).map(|object| bare(object).to_owned())
    }

    /// The interface of the default route. One that works goes before one that does not (its own `Status`, then that of the
    /// interface), IPv4 before IPv6, and the least metric first.
    fn default_route(&self) -> Option<String> {
        let routes = self.objects(ROUTERS, 3);
        let candidates = routes.iter().filter_map(|route| {
            let (is_default, is_v6) = if route.contains(".IPv4Forwarding.") {
                (matches!(self.value(route, "DestIPAddress"), "" | "0.0.0.0"), false)
            } else {
                (route.contains(".IPv6Forwarding.") && is_everything(self.value(route, "DestIPPrefix")), true)
            };
            let is_off = parse_boolean(self.value(route, "Enable")) == Some(false);
            let interface = self.value(route, "Interface");
            if !is_default || is_off || !interface.starts_with(IP) {
                return None;
            }
            let interface = bare(interface);
            // What a device does not say is not held against it.
            let is_broken = !matches!(self.value(route, "Status"), "" | "Enabled");
            let is_down = !matches!(self.value(&format!("{interface}."), "Status"), "" | "Up" | "Unknown");
            let metric = self.value(route, "ForwardingMetric").parse().unwrap_or(0_i32);
            Some(((is_broken, is_down, is_v6, metric), interface))
        });
        // The first of those that are equal.
        candidates.min_by_key(|(rank, _)| *rank).map(|(_, interface)| interface.to_owned())
    }

    /// The interface that was given its address by a PPP peer, else by a DHCP server; one that is up goes before the others.
    fn addressed(&self) -> Option<String> {
        let interfaces = self.objects(IP, 1);
        let mut fitting: Vec<(bool, bool, &String)> = Vec::new();
        for interface in interfaces.iter().filter(|object| !self.is_loopback(object)) {
            let addresses = self.objects(&format!("{interface}IPv4Address."), 1);
            let by = |how| addresses.iter().any(|address| self.is(address, "AddressingType", how));
            let (by_peer, by_server) = (by("IPCP"), by("DHCP"));
            if by_peer || by_server {
                fitting.push((!by_peer, !self.is(interface, "Status", "Up"), interface));
            }
        }
        // The first of those that are equal.
        fitting.into_iter().min_by_key(|(server, down, _)| (*server, *down)).map(|(.., object)| bare(object).to_owned())
    }

    fn is_loopback(&self, interface: &str) -> bool {
        self.is_true(interface, "Loopback") || self.is(interface, "Name", "lo")
    }

    /// The first interface that ends there; one that is up goes before the others.
    fn towards(&self, end: End) -> Option<String> {
        let default = self.default_route();
        let interfaces = self.objects(IP, 1);
        let fits = |object: &&String| {
            !self.is_loopback(object)
                && (end == End::Uplink || default.as_deref() != Some(bare(object)))
                && self.end_of(object) == Some(end)
        };
        let mut fitting = interfaces.iter().filter(fits);
        let first = fitting.clone().find(|object| self.is(object, "Status", "Up")).or_else(|| fitting.next())?;
        Some(bare(first).to_owned())
    }

    /// Follows the lower layers of an interface to where they end.
    fn end_of(&self, object: &str) -> Option<End> {
        let mut layer = object.to_owned();
        for _ in 0..LAYERS_MAX {
            let lower = self.value(&layer, "LowerLayers").split(',').next().unwrap_or("").trim();
            if lower.is_empty() {
                return None;
            }
            let lower = format!("{}.", bare(lower));
            let technology = lower.split('.').nth(1).unwrap_or("");
            match technology {
                "PPP" | "DSL" | "ATM" | "PTM" | "FAST" | "Cellular" | "Optical" => return Some(End::Uplink),
                "Bridging" => return Some(End::Bridge),
                "WiFi" => return Some(End::Radio),
                "Ethernet" if lower.contains(".Interface.") => {
                    let upstream = self.value(&lower, "Upstream");
                    let end = |upstream| if upstream { End::Uplink } else { End::Port };
                    return parse_boolean(upstream).map(end);
                }
                _ => layer = lower,
            }
        }
        None
    }

    fn default_connection(&self) -> Option<String> {
        let path = bare(self.values.get(DEFAULT_CONNECTION)?.trim());
        (DataModel::of_path(path) == DataModel::InternetGatewayDevice).then(|| path.to_owned())
    }

    /// The WAN connections of TR-098.
    fn connections(&self) -> Vec<String> {
        let all = self.objects(WANS, 5);
        let is_connection = |path: &String| path.contains(".WANIPConnection.") || path.contains(".WANPPPConnection.");
        all.into_iter().filter(is_connection).collect()
    }

    /// The WAN connection that is connected; a bridge has no address to test from.
    fn connected(&self) -> Option<String> {
        let mut connections = self.connections();
        connections.retain(|object| self.is(object, "ConnectionStatus", "Connected"));
        let routed = connections.iter().find(|object| !self.value(object, "ConnectionType").contains("Bridged"));
        routed.or(connections.first()).map(|object| bare(object).to_owned())
    }
}

/// Whether a destination of IPv6 is a default route's, however it is spelled; an empty one is.
fn is_everything(prefix: &str) -> bool {
    let (address, length) = prefix.split_once('/').unwrap_or((prefix, "0"));
    prefix.is_empty()
        || (length.trim() == "0" && address.trim().parse::<Ipv6Addr>().is_ok_and(|it| it.is_unspecified()))
}

fn bare(path: &str) -> &str {
    path.strip_suffix('.').unwrap_or(path)
}

#[cfg(test)]
mod tests;
