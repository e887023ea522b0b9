//! The endpoint's limits, each with the default of `design.md` §7.

use std::time::Duration;

use crate::types::network::Network;

/// What one listener process may be made to hold and wait for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// A request body as sent, in bytes.
    pub max_body_bytes: usize,
    /// A compressed request body after inflating, in bytes.
    pub max_inflated_bytes: usize,
    /// All bodies held at one time, in bytes: what comes on top is answered 503.
    pub max_bodies_bytes: usize,
    /// Request line and headers, in bytes.
    pub max_header_bytes: usize,
    /// Open connections.
    pub max_connections: usize,
    /// Open connections per IPv4 address, or per IPv6 /64 (the smallest network a site has).
    pub max_connections_per_address: usize,
    /// Networks whose addresses have no limit of their own. By default this machine: proxies in front of acsd, and
    /// simulated fleets.
    pub unlimited_networks: Vec<Network>,
    /// From the first byte of a request to its last, in seconds.
    pub request_timeout_secs: u64,
    /// Without a byte in the middle of a body, in seconds: a body that is complete by then although its
    /// `Content-Length` says otherwise is taken (quirk 7), any other is given up.
    pub stall_timeout_secs: u64,
    /// Without a request on an open connection, or without progress in writing an answer, in seconds.
    pub idle_timeout_secs: u64,
    /// For a TLS handshake, in seconds.
    pub handshake_timeout_secs: u64,
    /// For sessions to end at shutdown, in seconds.
    pub drain_timeout_secs: u64,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 16 << 20,
            max_inflated_bytes: 64 << 20,
            max_bodies_bytes: 512 << 20,
            max_header_bytes: 32 << 10,
            max_connections: 20_000,
            max_connections_per_address: 256,
            unlimited_networks: vec![Network::LOOPBACK_V4, Network::LOOPBACK_V6],
            request_timeout_secs: 30,
            stall_timeout_secs: 10,
            idle_timeout_secs: 75,
            handshake_timeout_secs: 10,
            drain_timeout_secs: 20,
        }
    }
}

impl ListenConfig {
    /// Every setting that cannot work, in words; empty when all is well.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let at_least = |name: &str, value: u64, least: u64| {
            (value < least).then(|| format!("{name} is {value}, but must be at least {least}"))
        };
        let bytes = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let mut problems: Vec<String> = [
            // CPEs may send envelopes of 32 KiB in any case (TR-069 §3.4.6).
            at_least("max_body_bytes", bytes(self.max_body_bytes), 32 << 10),
            at_least("max_inflated_bytes", bytes(self.max_inflated_bytes), 32 << 10),
            at_least("max_header_bytes", bytes(self.max_header_bytes), 1024),
            at_least("max_connections", bytes(self.max_connections), 1),
            at_least("max_connections_per_address", bytes(self.max_connections_per_address), 1),
            at_least("request_timeout_secs", self.request_timeout_secs, 1),
            at_least("stall_timeout_secs", self.stall_timeout_secs, 1),
            at_least("idle_timeout_secs", self.idle_timeout_secs, 1),
            at_least("handshake_timeout_secs", self.handshake_timeout_secs, 1),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.max_bodies_bytes < self.max_body_bytes.saturating_add(self.max_inflated_bytes) {
            problems.push("max_bodies_bytes has no room for one body of max_body_bytes and max_inflated_bytes".into());
        }
        problems
    }

    pub(super) const fn request(&self) -> Duration {
        Duration::from_secs(self.request_timeout_secs)
    }

    pub(super) const fn stall(&self) -> Duration {
        Duration::from_secs(self.stall_timeout_secs)
    }

    pub(super) const fn idle(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_secs)
    }

    pub(super) const fn handshake(&self) -> Duration {
        Duration::from_secs(self.handshake_timeout_secs)
    }

    pub(super) const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_timeout_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem_and_nonsense_has_many() {
        assert_eq!(ListenConfig::default().problems(), Vec::<String>::new());
        let nonsense =
            ListenConfig { max_body_bytes: 0, max_connections: 0, idle_timeout_secs: 0, ..ListenConfig::default() };
        assert_eq!(nonsense.problems().len(), 3);
    }

    #[test]
    fn unknown_keys_are_errors() {
        assert!(toml::from_str::<ListenConfig>("max_body_bytes = 1\nunlimited_networks = [\"10.0.0.0/8\"]").is_ok());
        assert!(toml::from_str::<ListenConfig>("max_body = 1").is_err());
        assert!(toml::from_str::<ListenConfig>("unlimited_networks = [\"10.0.0.1/8\"]").is_err());
    }
}
