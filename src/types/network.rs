//! Networks of addresses in CIDR notation, for address policies and limits.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network such as `10.0.0.0/8` or `2001:db8::/32`; a lone address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// Why a text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The part before the slash.
    #[error("{given:?} does not start with an IP address")]
    Address {
        /// The whole text.
        given: Box<str>,
    },
    /// The part after the slash.
    #[error("{given:?}: the prefix length is a number from 0 to {max}")]
    Prefix {
        /// The whole text.
        given: Box<str>,
        /// Bits of an address of this family.
        max: u8,
    },
    /// `10.1.2.3/8`: which of both was meant?
    #[error("{given:?} has bits set behind its prefix: {network} is the network")]
    HostBits {
        /// The whole text.
        given: Box<str>,
        /// The network that address is in.
        network: Network,
    },
}

impl Network {
    /// 127.0.0.0/8.
    pub const LOOPBACK_V4: Self = Self { base: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 };
    /// ::1.
    pub const LOOPBACK_V6: Self = Self { base: IpAddr::V6(Ipv6Addr::LOCALHOST), prefix: 128 };

    /// The network of that prefix length which holds `address`; a prefix that is too long counts as the whole address.
    /// IPv4-mapped addresses are unwrapped.
    #[must_use]
    pub fn of(address: IpAddr, prefix: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let prefix = prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                Self { base: IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & mask)), prefix }
            }
            IpAddr::V6(v6) => {
                let prefix = prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                Self { base: IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & mask)), prefix }
            }
        }
    }

    /// Whether `address` is in it. IPv4-mapped addresses are unwrapped.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.base.is_ipv4() && Self::of(address, self.prefix).base == self.base
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let given = text.trim();
        let (address, prefix) =
            given.split_once('/').map_or((given, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError::Address { given: given.into() })?;
        let address = address.to_canonical();
        let max = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => max,
            Some(text) => text
                .parse()
                .ok()
                .filter(|prefix| *prefix <= max)
                .ok_or_else(|| NetworkError::Prefix { given: given.into(), max })?,
        };
        let network = Self::of(address, prefix);
        if network.base == address { Ok(network) } else { Err(NetworkError::HostBits { given: given.into(), network }) }
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses_and_no_others() {
        let table = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.8", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "fe80::1", true),
            ("::/0", "10.0.0.1", false),
        ];
        for (network, address, want) in table {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), want, "{address} in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_a_reason() {
        let table =
            ["", "x/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.1.2.3/8", "2001:db8::/129", "10.0.0.0/8/8"];
        for text in table {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        let error = "10.1.2.3/8".parse::<Network>().unwrap_err();
        assert_eq!(error.to_string(), "\"10.1.2.3/8\" has bits set behind its prefix: 10.0.0.0/8 is the network");
    }
}
