//! Where connection requests may go. Their URLs come from devices: without a policy, any device could have acsd knock
//! at any door it can reach.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

use crate::types::network::Network;

/// Addresses that connection requests may go to: the one the CPE itself calls from, and networks the operator named. A
/// CPE that calls over the loopback interface runs on this machine and may be called at any of the machine's addresses:
/// what listens there was in its reach before.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AddressPolicy {
    /// Beyond the CPE's own address. Link-local, multicast, broadcast and unspecified addresses stay forbidden.
    pub allowed_networks: Vec<Network>,
}

impl AddressPolicy {
    /// Whether a request for the CPE that calls from `cpe` may go to `address`.
    #[must_use]
    pub fn permits(&self, address: IpAddr, cpe: IpAddr) -> bool {
        let (address, cpe) = (address.to_canonical(), cpe.to_canonical());
        address == cpe
            || (!is_special(address)
                && (self.allowed_networks.iter().any(|network| network.contains(address))
                    || (cpe.is_loopback() && is_of_this_machine(address))))
    }
}

/// Whether an address is one of this machine's own: only to those does the machine talk from the very same address.
fn is_of_this_machine(address: IpAddr) -> bool {
    source_towards(address) == Some(address)
}

/// The address that datagrams to `address` would have as their source. Nothing is sent, and nothing waited for.
fn source_towards(address: IpAddr) -> Option<IpAddr> {
    /// Any will do: RFC 863, "discard".
    const PORT: u16 = 9;
    let unspecified: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((unspecified, 0)).ok()?;
    socket.connect((address, PORT)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Addresses that no device is at, and link-local ones, behind which clouds keep their metadata.
fn is_special(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unspecified() || v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

/// Whether a password may be sent in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BasicPolicy {
    /// Only HTTP Digest is answered.
    #[default]
    Forbid,
    /// HTTP Basic too, when the device offers nothing better.
    Allow,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cpe_itself_and_named_networks_are_called() {
        let named = AddressPolicy {
            allowed_networks: ["10.0.0.0/8", "169.254.0.0/16", "0.0.0.0/0", "::/0"]
                .map(|net| net.parse().unwrap())
                .into(),
        };
        let own = AddressPolicy::default();
        let table = [
            (&own, "192.0.2.1", "192.0.2.1", true),
            (&own, "192.0.2.2", "192.0.2.1", false),
            (&own, "::ffff:192.0.2.1", "192.0.2.1", true),
            (&own, "192.0.2.1", "::ffff:192.0.2.1", true),
            (&own, "127.0.0.1", "127.0.0.1", true),
            (&own, "127.0.0.1", "192.0.2.1", false),
            (&own, "127.0.0.2", "127.0.0.1", false),
            (&own, "203.0.113.1", "127.0.0.1", false),
            (&own, "fe80::1", "fe80::1", true),
            (&named, "10.1.2.3", "192.0.2.1", true),
            (&named, "169.254.169.254", "192.0.2.1", false),
            (&named, "::ffff:169.254.169.254", "192.0.2.1", false),
            (&named, "0.0.0.0", "192.0.2.1", false),
            (&named, "255.255.255.255", "192.0.2.1", false),
            (&named, "224.0.0.1", "192.0.2.1", false),
            (&named, "fe80::1", "192.0.2.1", false),
            (&named, "ff02::1", "192.0.2.1", false),
            (&named, "::", "192.0.2.1", false),
            (&named, "2001:db8::1", "192.0.2.1", true),
        ];
        for (policy, address, cpe, want) in table {
            assert_eq!(policy.permits(address.parse().unwrap(), cpe.parse().unwrap()), want, "{address} for {cpe}");
        }
    }
    #[test]
    fn a_cpe_on_this_machine_may_be_called_at_all_its_addresses() {
        let policy = AddressPolicy::default();
        // Where there is no way out, there is no such address either.
        if let Some(own) = source_towards("203.0.113.1".parse().unwrap()) {
            for loopback in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
                assert!(policy.permits(own, loopback.parse().unwrap()), "{own} for {loopback}");
            }
            assert!(!policy.permits(own, "203.0.113.1".parse().unwrap()), "{own} for one that is elsewhere");
        }
    }
}
