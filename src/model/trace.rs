//! Recorded sessions: what was said, by whom and when, with secrets blanked.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::types::time::Timestamp;

/// Number of a recorded session: increasing over all devices, never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceId(pub u64);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A session as it went, or an Inform that got none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTrace {
    /// Its number; given by the store.
    pub id: TraceId,
    /// When the Inform came.
    pub started_at: Timestamp,
    /// When it was over.
    pub ended_at: Timestamp,
    /// Where the Inform came from.
    pub address: IpAddr,
    /// Event codes of the Inform, as sent.
    pub events: Vec<Box<str>>,
    /// How it ended.
    pub outcome: TraceOutcome,
    /// What was said, in order.
    pub messages: Vec<TraceMessage>,
    /// Messages that came after the bounds of a trace were reached.
    pub omitted: u32,
}

/// How a recorded session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TraceOutcome {
    /// In order.
    Completed,
    /// Broken off by acsd: too many exchanges, too long, or it went in circles.
    LimitReached,
    /// The CPE fell silent.
    TimedOut,
    /// The CPE Informed anew while it was open.
    Superseded,
    /// The Inform was not let in.
    Refused,
    /// It went on, but tracing was turned off.
    Stopped,
    /// acsd itself could not carry it on.
    BrokenOff,
}

impl TraceOutcome {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::LimitReached => "limit_reached",
            Self::TimedOut => "timed_out",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
            Self::Stopped => "stopped",
            Self::BrokenOff => "broken_off",
        }
    }
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// The CPE, to acsd.
    In,
    /// acsd, to the CPE.
    Out,
}

impl Direction {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// One POST, or the answer to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceMessage {
    /// When.
    pub at: Timestamp,
    /// Who said it.
    pub direction: Direction,
    /// Name of the method's element (`Inform`, `GetParameterValuesResponse`, `Fault`); empty where there is none.
    pub rpc: Box<str>,
    /// The envelope, decoded to text, secrets blanked; empty where nothing was said or nothing may be kept.
    pub xml: Box<str>,
    /// HTTP status of an answer.
    pub status: Option<u16>,
    /// What a reader has to know: that the text was cut, or why there is none.
    pub note: Box<str>,
}

/// Which recorded sessions of a device to show. Everything given must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// Only those that began at or after this.
    pub since: Option<Timestamp>,
    /// Only those with a higher number; these are listed oldest first.
    pub after: Option<TraceId>,
}

impl TraceFilter {
    /// Whether it lets a session through.
    #[must_use]
    pub fn matches(&self, trace: &SessionTrace) -> bool {
        self.since.is_none_or(|since| trace.started_at >= since) && self.after.is_none_or(|after| trace.id > after)
    }
}
