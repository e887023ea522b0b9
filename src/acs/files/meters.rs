//! What is counted of transfers.

use http::Method;
use metrics::{Counter, Gauge};

use super::slots::Slot;
use crate::telemetry::names;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the CPE.
    Download,
    /// From it.
    Upload,
}

impl Direction {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }

    pub(super) fn of(method: &Method) -> Self {
        if matches!(*method, Method::PUT | Method::POST) { Self::Upload } else { Self::Download }
    }
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it went over.
    Complete,
    /// The connection ended before.
    BrokenOff,
    /// Nothing moved for too long.
    Stalled,
    /// Forged, expired, or of a file that is gone.
    UnknownLink,
    /// The other methods are.
    Method,
    /// Challenged.
    LoginAsked,
    /// A wrong login.
    LoginFailed,
    /// Too many at once.
    Busy,
    /// Larger than files may be.
    TooLarge,
    /// No space on the disk.
    NoRoom,
    /// No form where one was announced, or without a file in it.
    Malformed,
    /// acsd's own trouble.
    Failed,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::BrokenOff => "broken_off",
            Self::Stalled => "stalled",
            Self::UnknownLink => "unknown_link",
            Self::Method => "method",
            Self::LoginAsked => "login_asked",
            Self::LoginFailed => "login_failed",
            Self::Busy => "busy",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
            Self::Malformed => "malformed",
            Self::Failed => "failed",
        }
    }
}

pub(super) struct Meters {
    sent: Counter,
    received: Counter,
    downloads: Gauge,
    uploads: Gauge,
}

impl Meters {
    pub(super) fn new() -> Self {
        let bytes = |direction: Direction| metrics::counter!(names::FILE_BYTES, "direction" => direction.as_str());
        let open =
            |direction: Direction| metrics::gauge!(names::FILE_TRANSFERS_OPEN, "direction" => direction.as_str());
        Self {
            sent: bytes(Direction::Download),
            received: bytes(Direction::Upload),
            downloads: open(Direction::Download),
            uploads: open(Direction::Upload),
        }
    }

    /// A transfer begins.
    pub(super) fn begin(&self, direction: Direction, slot: Slot) -> Meter {
        let (bytes, open) = match direction {
            Direction::Download => (self.sent.clone(), self.downloads.clone()),
            Direction::Upload => (self.received.clone(), self.uploads.clone()),
        };
        open.increment(1);
        Meter { direction, bytes, open, outcome: Outcome::BrokenOff, _slot: slot }
    }
}

pub(super) fn count(direction: Direction, outcome: Outcome) {
    let (direction, result) = (direction.as_str(), outcome.as_str());
    metrics::counter!(names::FILE_TRANSFERS, "direction" => direction, "result" => result).increment(1);
}

/// One transfer: counted when it is over, as broken off unless something else was said.
pub(super) struct Meter {
    direction: Direction,
    bytes: Counter,
    open: Gauge,
    outcome: Outcome,
    _slot: Slot,
}

impl Meter {
    pub(super) fn moved(&self, bytes: usize) {
        self.bytes.increment(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    pub(super) fn end(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.open.decrement(1);
        count(self.direction, self.outcome);
    }
}
