//! The network that simulated tests run in: who is there, how far away, and what never answers. Nothing is sent.
//!
//! A host's name or address alone decides its fate, and the serial number of the CPE its distance, so that a test gives
//! the same result each time.

use std::net::{IpAddr, Ipv4Addr};

use crate::simulator::http::Target;

/// Hops to a host whose name begins with `far.`: more than the usual limit of 30.
const FAR_HOPS: u32 = 40;

/// What becomes of packets to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its name cannot be resolved: it is empty or ends in `.invalid`.
    Unresolvable,
    /// There is no route: `noroute.…`, 198.51.100.0/24.
    NoRoute,
    /// Nothing ever answers: `unreachable.…`, 192.0.2.0/24.
    Silent,
    /// It answers pings, but refuses TCP connections: `refused.…`.
    Refused,
    /// It answers, but for every third packet: `lossy.…`.
    Lossy,
    /// It answers.
    Alive,
}

/// A host as this CPE sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) fate: Fate,
    /// Hops on the way, itself included.
    pub(super) hops: u32,
    /// Least time to it and back, in microseconds.
    pub(super) rtt_us: u64,
    /// Its address, if it has one.
    pub(super) address: Option<IpAddr>,
    seed: u64,
}

impl Peer {
    pub(super) fn of(host: &str, serial: &str) -> Self {
        let host = host.trim().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        let seed = fingerprint(&[serial, &host]);
        let address = match host.as_str() {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host => host.parse().ok(),
        };
        let fate = match address {
            Some(address) => fate_of_address(address),
            None => fate_of_name(&host),
        };
        let is_local = address.is_some_and(|address| address.is_loopback());
        let hops = match host.split('.').next() {
            _ if is_local => 1,
            Some("far") => FAR_HOPS,
            _ => 4 + narrow(pick(seed, 1, 9)),
        };
        let rtt_us = if is_local { 120 + pick(seed, 2, 200) } else { 5_000 + pick(seed, 2, 25_000) };
        let address = match fate {
            Fate::Unresolvable => None,
            _ => Some(address.unwrap_or_else(|| address_of(fingerprint(&[&host]), 0))),
        };
        Self { fate, hops, rtt_us, address, seed }
    }

    /// Microseconds until the answer to packet `number` comes; `None` when none ever does.
    pub(super) fn answer_us(&self, number: u64) -> Option<u64> {
        match self.fate {
            Fate::Unresolvable | Fate::NoRoute | Fate::Silent => None,
            Fate::Lossy if number % 3 == 2 => None,
            Fate::Lossy | Fate::Refused | Fate::Alive => {
                Some(self.rtt_us + pick(self.seed, number, self.rtt_us / 5 + 1))
            }
        }
    }

    /// A number below `below`, always the same for the same `purpose`.
    pub(super) const fn pick(&self, purpose: u64, below: u64) -> u64 {
        pick(self.seed, purpose, below)
    }
}

fn fate_of_address(address: IpAddr) -> Fate {
    match address {
        IpAddr::V4(address) => match address.octets() {
            [192, 0, 2, _] => Fate::Silent,
            [198, 51, 100, _] => Fate::NoRoute,
            _ => Fate::Alive,
        },
        IpAddr::V6(_) => Fate::Alive,
    }
}

fn fate_of_name(host: &str) -> Fate {
    let is_name = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || c == '/');
    if !is_name || host == "invalid" || host.ends_with(".invalid") {
        return Fate::Unresolvable;
    }
    match host.split('.').next() {
        Some("noroute") => Fate::NoRoute,
        Some("unreachable") => Fate::Silent,
        Some("refused") => Fate::Refused,
        Some("lossy") => Fate::Lossy,
        _ => Fate::Alive,
    }
}

/// The `nth` address of a name, in the block that documents may use (RFC 5737).
pub(super) fn address_of(seed: u64, nth: u64) -> IpAddr {
    let last = u8::try_from(1 + (seed.wrapping_add(nth.wrapping_mul(7))) % 254).unwrap_or(1);
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, last))
}

/// Where an `http://` URL points, if that is this machine: only there is anything really transferred.
pub(super) fn loopback_target(url: &str) -> Option<Target> {
    let target = Target::parse(url).ok().filter(|target| !target.is_tls)?;
    let host = target.bare_host();
    let is_local = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_local.then_some(target)
}

/// A stable number for these texts (FNV-1a, mixed once more).
pub(super) fn fingerprint(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    mix(bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// A number below `below`, always the same for the same seed and purpose.
pub(super) const fn pick(seed: u64, purpose: u64, below: u64) -> u64 {
    if below == 0 { 0 } else { mix(seed.wrapping_add(purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15))) % below }
}

/// For numbers that are small anyway.
pub(super) fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_decides_its_fate() {
        let table = [
            ("example.net", Fate::Alive),
            ("nowhere.invalid", Fate::Unresolvable),
            ("", Fate::Unresolvable),
            ("192.0.2.7", Fate::Silent),
            ("unreachable.example", Fate::Silent),
            ("198.51.100.1", Fate::NoRoute),
            ("refused.example", Fate::Refused),
            ("LOSSY.example", Fate::Lossy),
            ("[2001:db8::1]", Fate::Alive),
        ];
        for (host, fate) in table {
            assert_eq!(Peer::of(host, "SN").fate, fate, "{host}");
        }
        assert_eq!(Peer::of("example.net", "SN"), Peer::of("example.net", "SN"));
        assert_ne!(Peer::of("example.net", "SN").rtt_us, Peer::of("example.net", "SM").rtt_us);
        assert!(Peer::of("127.0.0.1", "SN").rtt_us < 1000);
    }

    #[test]
    fn only_plain_http_to_this_machine_is_real() {
        for (url, is_real) in [
            ("http://127.0.0.1:8080/x", true),
            ("http://localhost/x", true),
            ("http://[::1]/x", true),
            ("https://127.0.0.1/x", false),
            ("ftp://127.0.0.1/x", false),
            ("http://192.0.2.1/x", false),
            ("http://127.0.0.1.example/x", false),
        ] {
            assert_eq!(loopback_target(url).is_some(), is_real, "{url}");
        }
    }
}
