//! The border between the HTTP edge and the session driver: one POST in, one answer out.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;

/// 128 random bits: the value of the session cookie, and the key of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionToken(pub u128);

/// Which TCP connection a POST came over: increasing, never reused while the process lives. Agents without cookies are
/// known by it (quirk 63).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// Whether the transport hides what is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP.
    Plain,
    /// HTTPS.
    Tls,
}

/// One POST of a CPE, its body complete, inflated and within the limits.
#[derive(Debug, Clone)]
pub struct Post {
    /// Where it came from; IPv4-mapped addresses are unwrapped.
    pub peer: SocketAddr,
    /// The TCP connection.
    pub connection: ConnectionId,
    /// HTTP or HTTPS.
    pub transport: Transport,
    /// Our session cookie, if a readable one came along.
    pub cookie: Option<SessionToken>,
    /// The `Authorization` header, if it is text.
    pub authorization: Option<Box<str>>,
    /// The request target as sent (`/acs?x=1`), which HTTP Digest covers.
    pub target: Box<str>,
    /// The `Host` header: how the CPE calls us, and so where it can fetch files.
    pub host: Option<HeaderValue>,
    /// `charset` of the `Content-Type`, if given.
    pub charset: Option<Box<str>>,
    /// What was sent; blanks alone mean an empty POST.
    pub body: Bytes,
}

/// Whether the TCP connection survives the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Connection {
    /// As HTTP has it.
    Keep,
    /// `Connection: close`.
    Close,
}

/// What a POST is answered with (cwmp.md §1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200 with an envelope; the cookie is set when the session is new.
    Envelope {
        /// The envelope.
        body: Bytes,
        /// `Set-Cookie`, on the InformResponse.
        cookie: Option<SessionToken>,
    },
    /// 204: the ACS has nothing (more) to say.
    Empty {
        /// Closed after the last exchange of a session.
        connection: Connection,
    },
    /// 401 with this `WWW-Authenticate`.
    Challenge {
        /// Exactly one scheme.
        www_authenticate: String,
        /// Closed on a second refusal.
        connection: Connection,
    },
    /// 400 with a line of text, then close: what came is no CWMP.
    Malformed {
        /// For the person who debugs the CPE.
        reason: String,
    },
    /// 403 with a line of text, then close: authenticated or not, this CPE is not wanted.
    Forbidden {
        /// For the person who debugs the CPE.
        reason: &'static str,
    },
    /// 503: come back later.
    Busy {
        /// `Retry-After`, jittered by whoever decided.
        retry_after: Duration,
    },
}

/// Whoever answers the POSTs.
pub trait Exchange: Send + Sync + 'static {
    /// Answers one POST. Never fails: every trouble is an [`Answer`].
    fn post(&self, post: Post) -> impl Future<Output = Answer> + Send;

    /// Told once when a TCP connection is gone, so that sessions bound to it can be looked at.
    fn disconnected(&self, connection: ConnectionId);
}
