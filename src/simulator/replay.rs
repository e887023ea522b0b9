//! Recorded sessions played again, against any ACS: the CPE says what it said then, and answers what it answered then.
//!
//! What is played is a folder as `acsd trace --export` writes it: `session.json`, which lists the messages in order, and a
//! file for each envelope. Envelopes go out byte for byte as they are in the files, but for the ID of answers, which is
//! that of the request they now answer.

mod folder;
mod scan;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

use super::config::{CpeConfig, CpeVersion, Credentials};
use super::envelope::{CpeFault, Style};
use super::tls::TlsTrust;

pub use folder::{RecordedSession, ReplayError, load_recorded};

use folder::Side;
use scan::Facts;
use wire::{Received, Wire};

/// Requests that the ACS may make in one session before it counts as endless.
const REQUESTS_MAX: usize = 10_000;
/// CPE fault: method not supported.
const METHOD_NOT_SUPPORTED: u16 = 9000;
/// CPE fault: invalid parameter name.
const INVALID_NAME: u16 = 9005;

/// Against whom, and as whom.
#[derive(Debug, Clone)]
pub struct ReplayConfig {
    /// `http://` or `https://`.
    pub acs_url: String,
    /// What to present when challenged.
    pub credentials: Option<Credentials>,
    /// Whom to trust on `https://`.
    pub tls: TlsTrust,
    /// How long to wait for an answer to a POST.
    pub response_timeout: Duration,
}

/// How one session went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReplayReport {
    /// The folder's name.
    pub session: String,
    /// Why it could not be held to its end.
    pub failure: Option<ReplayFailure>,
    /// POSTs with an answer.
    pub posts: u32,
    /// What the ACS asked for when the session was recorded.
    pub recorded: Vec<String>,
    /// What it asked for now.
    pub asked: Vec<String>,
    /// What else was not as recorded.
    pub differences: Vec<Difference>,
}

impl ReplayReport {
    /// Whether the session was held to its end.
    #[must_use]
    pub const fn was_held(&self) -> bool {
        self.failure.is_none()
    }

    /// Whether the ACS did what it had done when the session was recorded.
    #[must_use]
    pub fn is_as_recorded(&self) -> bool {
        self.was_held() && self.recorded == self.asked && self.differences.is_empty()
    }
}

/// Why a session could not be held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ReplayFailure {
    /// There is no whole Inform in the recording.
    #[error("the recording has no whole Inform")]
    NoInform,
    /// The ACS could not be spoken to.
    #[error("{0}")]
    Connection(String),
    /// It asks for a login that was not given, or refuses the one that was.
    #[error("the ACS wants another login")]
    Unauthorized,
    /// A status that no CPE goes on after.
    #[error("HTTP status {0}")]
    Status(u16),
    /// What it sent is no envelope.
    #[error("the answer is no envelope")]
    NotAnEnvelope,
    /// The Inform was answered with something other than an InformResponse.
    #[error("{0} in answer to the Inform")]
    NotInformed(String),
    /// It never stops asking.
    #[error("the ACS made more than {REQUESTS_MAX} requests")]
    Endless,
}

/// Something that was not as recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// A request that the recording has no answer to.
    #[error("{method} has no answer in the recording and got fault {fault}")]
    Unanswered {
        /// The request.
        method: String,
        /// What it was answered.
        fault: u16,
    },
    /// A request that got the recorded answer to one about other parameters.
    #[error("{method} asks about other parameters than the recorded one whose answer it got")]
    OtherParameters {
        /// The request.
        method: String,
    },
    /// A call of the CPE that was answered in another way.
    #[error("{method} was answered with {answer}")]
    OtherAnswer {
        /// The call.
        method: String,
        /// Name of the answer, or the status.
        answer: String,
    },
    /// A message that is not whole in the recording, and so was not sent.
    #[error("message {number} is not whole in the recording: {note}")]
    NotRecorded {
        /// Its place, from 1.
        number: usize,
        /// Why.
        note: String,
    },
}

/// Plays one session.
pub async fn replay(session: &RecordedSession, config: &ReplayConfig) -> ReplayReport {
    let mut script = Script::default();
    let mut report = ReplayReport {
        session: session.name.clone(),
        failure: None,
        posts: 0,
        recorded: Vec::new(),
        asked: Vec::new(),
        differences: Vec::new(),
    };
    script.read(session, &mut report);
    match Wire::new(config) {
        Ok(wire) => {
            let mut play = Play { script, wire, report, used: BTreeSet::new() };
            play.report.failure = play.hold().await.err();
            play.report.posts = play.wire.posts;
            play.report
        }
        Err(failure) => ReplayReport { failure: Some(failure), ..report },
    }
}

/// A recording as the CPE's part in a session.
#[derive(Default)]
struct Script {
    inform: Option<String>,
    /// What the CPE said of itself after that, in order.
    own: Vec<Own>,
    answers: Vec<Recorded>,
}

enum Own {
    /// A call, by its method.
    Call { method: String, envelope: String },
    /// An empty POST.
    Nothing,
}

/// A request of the ACS with its answer.
struct Recorded {
    request: Facts,
    answer: String,
}

impl Script {
    fn read(&mut self, session: &RecordedSession, report: &mut ReplayReport) {
        let mut asked: Option<Facts> = None;
        for (at, message) in session.messages.iter().enumerate() {
            let facts = message.envelope.as_deref().and_then(Facts::of);
            let method = facts.as_ref().map_or(message.rpc.as_str(), |facts| facts.method.as_str()).to_owned();
            if message.side == Side::Acs {
                if !method.is_empty() && !is_answer(&method) {
                    report.recorded.push(method.clone());
                    asked = Some(facts.unwrap_or_else(|| Facts { method, ..Facts::default() }));
                }
                continue;
            }
            let whole = message.envelope.as_ref().filter(|_| !message.is_cut());
            if whole.is_none() && !(method.is_empty() && message.note.is_empty()) {
                let note = if message.note.is_empty() { "its file is missing" } else { &message.note };
                report.differences.push(Difference::NotRecorded { number: at + 1, note: note.to_owned() });
                continue;
            }
            match whole {
                None => self.own.push(Own::Nothing),
                Some(envelope) if method == "Inform" => {
                    // Only the first one: the others repeat it.
                    self.inform.get_or_insert_with(|| envelope.clone());
                }
                Some(envelope) if is_answer(&method) => {
                    if let Some(request) = asked.take() {
                        self.answers.push(Recorded { request, answer: envelope.clone() });
                    }
                }
                Some(_) if method.is_empty() => self.own.push(Own::Nothing),
                Some(envelope) => self.own.push(Own::Call { method, envelope: envelope.clone() }),
            }
        }
    }
}

fn is_answer(method: &str) -> bool {
    method.ends_with("Response") || method == "Fault"
}

/// A session under way.
struct Play {
    script: Script,
    wire: Wire,
    report: ReplayReport,
    /// Recorded answers that were given.
    used: BTreeSet<usize>,
}

impl Play {
    async fn hold(&mut self) -> Result<(), ReplayFailure> {
        self.inform().await?;
        let mut own = std::mem::take(&mut self.script.own).into_iter().peekable();
        loop {
            let say = own.next();
            let (method, envelope) = match &say {
                Some(Own::Call { method, envelope }) => (Some(method.as_str()), Some(envelope.as_str())),
                Some(Own::Nothing) | None => (None, None),
            };
            let mut received = self.wire.post(envelope).await?;
            if let Some(method) = method {
                let Some(open) = self.confirm(method, received)? else { continue };
                received = open;
            }
            while let Received::Envelope(text) = received {
                let answer = self.answer(&text)?;
                received = self.wire.post(Some(&answer)).await?;
            }
            // After the turn of the ACS the CPE goes on only if it had more to say when the session was recorded.
            while own.next_if(|next| matches!(next, Own::Nothing)).is_some() {}
            if method.is_none() && own.peek().is_none() {
                return Ok(());
            }
        }
    }

    async fn inform(&mut self) -> Result<(), ReplayFailure> {
        let inform = self.script.inform.take().ok_or(ReplayFailure::NoInform)?;
        match self.wire.post(Some(&inform)).await? {
            Received::Empty => Err(ReplayFailure::NotInformed("nothing".to_owned())),
            Received::Envelope(text) => {
                let facts = Facts::of(&text).ok_or(ReplayFailure::NotAnEnvelope)?;
                match facts.method.as_str() {
                    "InformResponse" => Ok(()),
                    "Fault" => Err(ReplayFailure::NotInformed(format!("fault {}", facts.fault_code))),
                    _ => Err(ReplayFailure::NotInformed(facts.method)),
                }
            }
        }
    }

    /// Looks at what the ACS says to a call of the CPE's. `Some`: it is no answer, but a request of its own.
    fn confirm(&mut self, method: &str, received: Received) -> Result<Option<Received>, ReplayFailure> {
        let answer = match received {
            Received::Empty => "204".to_owned(),
            Received::Envelope(text) => {
                let facts = Facts::of(&text).ok_or(ReplayFailure::NotAnEnvelope)?;
                if !is_answer(&facts.method) {
                    return Ok(Some(Received::Envelope(text)));
                }
                if facts.method == "Fault" { format!("fault {}", facts.fault_code) } else { facts.method }
            }
        };
        if answer.strip_suffix("Response") != Some(method) {
            self.report.differences.push(Difference::OtherAnswer { method: method.to_owned(), answer });
        }
        Ok(None)
    }

    /// What the CPE answers to a request.
    fn answer(&mut self, text: &str) -> Result<String, ReplayFailure> {
        let request = Facts::of(text).ok_or(ReplayFailure::NotAnEnvelope)?;
        if self.report.asked.len() >= REQUESTS_MAX {
            return Err(ReplayFailure::Endless);
        }
        let method = request.method.clone();
        self.report.asked.push(method.clone());
        let id = request.id_text(text);
        let fault = match self.best(&request) {
            Some((at, likeness)) if likeness > 0 => {
                self.used.insert(at);
                if likeness < Likeness::SAME {
                    self.report.differences.push(Difference::OtherParameters { method });
                }
                let answer = self.script.answers.get(at).map(|recorded| recorded.answer.as_str()).unwrap_or_default();
                return Ok(scan::with_id(answer, id));
            }
            Some(_) => INVALID_NAME,
            None => METHOD_NOT_SUPPORTED,
        };
        self.report.differences.push(Difference::Unanswered { method, fault });
        Ok(refusal(text, id, fault))
    }

    /// The recorded answer that fits best: to the same method, with the most names in common, not given yet, the earliest.
    fn best(&self, request: &Facts) -> Option<(usize, u32)> {
        let same =
            self.script.answers.iter().enumerate().filter(|(_, recorded)| recorded.request.method == request.method);
        let rated = same.map(|(at, recorded)| (at, Likeness::of(&recorded.request.names, &request.names)));
        rated.max_by_key(|(at, likeness)| (*likeness, !self.used.contains(at), std::cmp::Reverse(*at)))
    }
}

/// How alike two sets of names are, in thousandths.
struct Likeness;

impl Likeness {
    const SAME: u32 = 1000;

    fn of(recorded: &BTreeSet<String>, asked: &BTreeSet<String>) -> u32 {
        let count = |names: usize| u32::try_from(names).unwrap_or(u32::MAX);
        match count(recorded.union(asked).count()) {
            0 => Self::SAME,
            // What was asked then is not in the recording.
            _ if recorded.is_empty() => 1,
            all => {
                let common = count(recorded.intersection(asked).count());
                common.saturating_mul(Self::SAME).div_ceil(all)
            }
        }
    }
}

/// A fault in the version of CWMP that the request speaks.
fn refusal(request: &str, id: Option<&str>, code: u16) -> String {
    let spoken = CpeVersion::ALL.into_iter().find(|version| request.contains(version.namespace()));
    let config = CpeConfig { version: spoken.unwrap_or_default(), ..CpeConfig::new("") };
    let style = Style::of(&config);
    let id = id.map(|id| super::xml::unescape(id).unwrap_or(id.into()));
    style.envelope(&style.id_header(id.as_deref()), &style.fault(&CpeFault::new(code)))
}
