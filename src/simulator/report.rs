//! What a session was: the record that tests assert on and that a fleet counts.

use std::fmt;
use std::time::Duration;

use crate::types::event::EventCode;

/// One entry of an Inform's `Event` list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub code: EventCode,
    /// Empty except for `M` events.
    pub command_key: String,
}

impl Event {
    /// An event without a command key.
    #[must_use]
    pub const fn plain(code: EventCode) -> Self {
        Self { code, command_key: String::new() }
    }

    /// An `M` event with the key of the RPC that caused it.
    #[must_use]
    pub fn keyed(code: EventCode, command_key: impl Into<String>) -> Self {
        Self { code, command_key: command_key.into() }
    }
}

/// How a session ended, as the CPE sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Both sides said that they had nothing more.
    Completed,
    /// The CPE broke it off because it was told to misbehave.
    Abandoned,
    /// It failed; the retry policy applies.
    Failed(SessionFailure),
}

/// Why a session failed (TR-069 §3.7.1.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFailure {
    /// The ACS URL cannot be used, or nobody answers there.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The connection broke and could not be taken up again.
    ConnectionLost,
    /// No answer in time.
    Timeout,
    /// A status other than 200, 204, 302, 307 and 401.
    Status(u16),
    /// The credentials were refused, or there were none.
    Unauthorized,
    /// More than five redirects, or one without an address.
    Redirect,
    /// What came was no envelope, or not the answer that was due.
    Malformed,
    /// The ACS answered the Inform with this fault.
    InformFault(u32),
}

impl SessionFailure {
    /// A closed set of words, for counting.
    #[must_use]
    pub fn label(&self) -> String {
        match self {
            Self::Connect => "connect".to_owned(),
            Self::Tls => "tls".to_owned(),
            Self::ConnectionLost => "connection-lost".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::Status(code) => format!("status-{code}"),
            Self::Unauthorized => "unauthorized".to_owned(),
            Self::Redirect => "redirect".to_owned(),
            Self::Malformed => "malformed".to_owned(),
            Self::InformFault(code) => format!("inform-fault-{code}"),
        }
    }
}

/// A rule of the protocol, or of the emission rules in cwmp.md §2.1, that the ACS broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A 204 with a body, a 200 without one (TR-069 §3.4.1).
    EmptyResponse,
    /// `Content-Length` missing or `Transfer-Encoding` used (cwmp.md §7.1, 60).
    ContentLength,
    /// `Content-Type` is not `text/xml` (TR-069 §3.4.1).
    ContentType,
    /// Not exactly one `WWW-Authenticate`, or one that cannot be used (TR-069 §3.4.5).
    Challenge,
    /// No cookie, a changed one, one too long, or one with attributes that old CPEs do not know (TR-069 §3.4.2).
    Cookie,
    /// No `100 Continue` within a second.
    Continue,
    /// Not well-formed XML.
    Xml,
    /// The SOAP envelope: namespaces, prefixes, number of body children.
    Envelope,
    /// The headers `ID`, `HoldRequests`, `UseCWMPVersion`.
    Header,
    /// The arguments of a message differ from the schema of its version.
    Schema,
    /// A message that was not due: a request in answer to a request, a response to nothing.
    Sequence,
}

impl Rule {
    /// A word for counting.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::EmptyResponse => "empty-response",
            Self::ContentLength => "content-length",
            Self::ContentType => "content-type",
            Self::Challenge => "challenge",
            Self::Cookie => "cookie",
            Self::Continue => "continue",
            Self::Xml => "xml",
            Self::Envelope => "envelope",
            Self::Header => "header",
            Self::Schema => "schema",
            Self::Sequence => "sequence",
        }
    }
}

/// One breach of a [`Rule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule.label(), self.detail)
    }
}

/// One RPC that the ACS called in the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedRpc {
    /// Its name.
    pub method: String,
    /// What it named: parameters, objects, command key.
    pub arguments: Vec<String>,
    /// The fault it was answered with.
    pub fault: Option<u16>,
}

/// One session from the CPE's side.
#[derive(Debug, Clone)]
pub struct SessionReport {
    /// How it ended.
    pub outcome: Outcome,
    /// What the Inform carried.
    pub events: Vec<Event>,
    /// `RetryCount` of the Inform.
    pub retry_count: u32,
    /// The RPCs that the ACS called, in order.
    pub rpcs: Vec<ServedRpc>,
    /// The RPCs that the CPE called after its Inform, in order.
    pub called: Vec<&'static str>,
    /// What the ACS did wrong.
    pub violations: Vec<Violation>,
    /// Informs sent: more than one when 8005 or a misbehaviour asked for it.
    pub informs: u32,
    /// POSTs sent, those answered with 401 or a redirect included.
    pub posts: u32,
    /// TCP connections opened.
    pub connections: u32,
    /// 401 answers.
    pub challenges: u32,
    /// The version that the ACS chose with `UseCWMPVersion`.
    pub chosen_version: Option<String>,
    /// From the first byte to the last.
    pub duration: Duration,
    /// The envelopes that the ACS sent, if the configuration keeps them.
    pub messages: Vec<String>,
}

impl SessionReport {
    /// Whether the session completed and the ACS broke no rule.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.outcome == Outcome::Completed && self.violations.is_empty()
    }

    /// The names of the RPCs that the ACS called, in order.
    #[must_use]
    pub fn methods(&self) -> Vec<&str> {
        self.rpcs.iter().map(|rpc| rpc.method.as_str()).collect()
    }

    /// Whether the Inform carried this event.
    #[must_use]
    pub fn has_event(&self, code: EventCode) -> bool {
        self.events.iter().any(|event| event.code == code)
    }
}
