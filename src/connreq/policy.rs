//! Where connection requests may go. Their URLs come from devices: without a policy, any device could have acsd knock
//! at any door it can reach.

use std::net::IpAddr;

use crate::types::network::Network;

/// Addresses that connection requests may go to: the one the CPE itself calls from, and networks the operator named.
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
        let address = address.to_canonical();
        address == cpe.to_canonical()
            || (!is_special(address) && self.allowed_networks.iter().any(|network| network.contains(address)))
    }
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
}
