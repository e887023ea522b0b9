//! How a connection request went.

use std::fmt;

/// The end of one connection request. Only an Inform proves that the CPE understood; [`Accepted`](Self::Accepted) says
/// that it should come within 30 s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallVerdict {
    /// 2xx: the CPE will call.
    Accepted,
    /// The credentials were sent, and refused.
    BadCredentials,
    /// The CPE wants credentials, and there are none for it.
    NeedsCredentials,
    /// The CPE wants HTTP Basic, and policy does not let a password go over the wire in clear.
    BasicForbidden,
    /// 503: in a session, or asked too often. It may call anyway.
    Busy,
    /// Nobody listens there: the port is closed.
    Refused,
    /// No way there: no route, or a name without an address.
    Unreachable,
    /// No connection or no answer in time.
    TimedOut,
    /// The CPE does not know that path: the next Inform brings the current URL.
    StaleUrl,
    /// 3xx: never followed, since the target would be of the device's choosing.
    Redirected,
    /// The URL points to an address that policy does not allow.
    ForbiddenAddress,
    /// The URL is none: no host, blanks, an IPv6 address without brackets.
    BadUrl,
    /// The URL is `https`, which connection requests have only since TR-069 Amendment 6.
    HttpsUnsupported,
    /// The connection ended without an answer, or what came is no answer to this.
    Protocol,
}

impl CallVerdict {
    /// All of them, for metrics that start at zero.
    pub const ALL: [Self; 14] = [
        Self::Accepted,
        Self::BadCredentials,
        Self::NeedsCredentials,
        Self::BasicForbidden,
        Self::Busy,
        Self::Refused,
        Self::Unreachable,
        Self::TimedOut,
        Self::StaleUrl,
        Self::Redirected,
        Self::ForbiddenAddress,
        Self::BadUrl,
        Self::HttpsUnsupported,
        Self::Protocol,
    ];

    /// A metrics label.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::BadCredentials => "bad_credentials",
            Self::NeedsCredentials => "needs_credentials",
            Self::BasicForbidden => "basic_forbidden",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed_out",
            Self::StaleUrl => "stale_url",
            Self::Redirected => "redirected",
            Self::ForbiddenAddress => "forbidden_address",
            Self::BadUrl => "bad_url",
            Self::HttpsUnsupported => "https_unsupported",
            Self::Protocol => "protocol",
        }
    }

    /// Words for operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::BadCredentials => "401 with our credentials",
            Self::NeedsCredentials => "401, and no credentials are known",
            Self::BasicForbidden => "the device wants HTTP Basic, which policy forbids",
            Self::Busy => "503: the device is busy",
            Self::Refused => "connection refused",
            Self::Unreachable => "unreachable",
            Self::TimedOut => "timed out",
            Self::StaleUrl => "the device does not know this URL any more",
            Self::Redirected => "redirected, which is not followed",
            Self::ForbiddenAddress => "policy forbids the URL's address",
            Self::BadUrl => "the URL is not usable",
            Self::HttpsUnsupported => "the URL is https, which is not supported",
            Self::Protocol => "no readable HTTP answer",
        }
    }
}

impl fmt::Display for CallVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
