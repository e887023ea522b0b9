//! Why the HTTP edge sent somebody away: the closed label set of one counter.

use crate::telemetry::names;
use std::fmt;

/// What stood in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No file descriptor or memory for another connection.
    Accept,
    /// The limit of connections in all.
    Connections,
    /// The limit of connections of that address.
    ConnectionsPerAddress,
    /// The TLS handshake failed.
    Handshake,
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// What came is no HTTP/1, or its headers are too large.
    Protocol,
    /// A request took too long to come, or stalled.
    RequestTimeout,
    /// Another method than POST.
    Method,
    /// A body is too large.
    BodyTooLarge,
    /// A body is too large once inflated.
    InflatedTooLarge,
    /// All bodies together are too large.
    BodyMemory,
    /// A `Content-Encoding` that is not known.
    ContentEncoding,
    /// A compressed body that does not inflate.
    Inflate,
    /// A body that ended before its end.
    BodyIncomplete,
    /// An exchange panicked.
    Panic,
}

impl Refusal {
    /// The label's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Connections => "connections",
            Self::ConnectionsPerAddress => "connections_per_address",
            Self::Handshake => "handshake",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Protocol => "protocol",
            Self::RequestTimeout => "request_timeout",
            Self::Method => "method",
            Self::BodyTooLarge => "body_too_large",
            Self::InflatedTooLarge => "inflated_too_large",
            Self::BodyMemory => "body_memory",
            Self::ContentEncoding => "content_encoding",
            Self::Inflate => "inflate",
            Self::BodyIncomplete => "body_incomplete",
            Self::Panic => "panic",
        }
    }

    pub(super) fn count(self) {
        metrics::counter!(names::REFUSED, "reason" => self.as_str()).increment(1);
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Accept => "no resources for another connection",
            Self::Connections => "too many connections",
            Self::ConnectionsPerAddress => "too many connections from this address",
            Self::Handshake => "the TLS handshake failed",
            Self::HandshakeTimeout => "the TLS handshake took too long",
            Self::Protocol => "this is no HTTP/1.1",
            Self::RequestTimeout => "the request took too long",
            Self::Method => "CWMP is spoken by POST",
            Self::BodyTooLarge => "the body is too large",
            Self::InflatedTooLarge => "the inflated body is too large",
            Self::BodyMemory => "too many bodies at one time",
            Self::ContentEncoding => "Content-Encoding may be gzip or deflate",
            Self::Inflate => "the body does not inflate",
            Self::BodyIncomplete => "the body ended before its end",
            Self::Panic => "internal error",
        })
    }
}
