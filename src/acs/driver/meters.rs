//! The metrics that every session touches, looked up once: a look-up by name and labels costs as much as a read from the
//! store.

use metrics::{Counter, Histogram};

use crate::cwmp::message::Method;
use crate::cwmp::session::Outcome;
use crate::telemetry::names;
use crate::types::event::EventCode;

/// Handles of the process-wide recorder: to be made after it is installed.
pub(super) struct Meters {
    periodic_informs: Counter,
    completed: Counter,
    reads: Counter,
    session_seconds: Histogram,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            periodic_informs: metrics::counter!(names::INFORMS, "event" => EventCode::Periodic.as_str()),
            completed: sessions(Outcome::Completed),
            reads: metrics::counter!(names::RPCS, "rpc" => Method::GetParameterValues.name(), "result" => "ok"),
            session_seconds: metrics::histogram!(names::SESSION_SECONDS),
        }
    }

    /// An event of an Inform.
    pub(super) fn count_event(&self, code: EventCode) {
        match code {
            EventCode::Periodic => self.periodic_informs.increment(1),
            rare => metrics::counter!(names::INFORMS, "event" => rare.as_str()).increment(1),
        }
    }

    /// A `GetParameterValues` that was answered.
    pub(super) fn count_read(&self) {
        self.reads.increment(1);
    }

    /// The end of a session.
    pub(super) fn count_session(&self, outcome: Outcome, seconds: f64) {
        match outcome {
            Outcome::Completed => self.completed.increment(1),
            rare => sessions(rare).increment(1),
        }
        self.session_seconds.record(seconds);
    }
}

fn sessions(outcome: Outcome) -> Counter {
    metrics::counter!(names::SESSIONS, "outcome" => outcome.as_str())
}
