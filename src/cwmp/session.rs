//! The session engine: a value that is told what each POST says and answers what is to be done (TR-069 §3.7).
//!
//! No socket, store, clock, task or lock inside: messages and `now` in, one [`Action`] out. The driver carries the action
//! out and tells the engine what it sent. An Inform is never fed to a running session: it opens a new one (quirk 11);
//! [`Session::is_repetition`] recognises one that was merely sent again (quirk 12).

use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem;
use std::time::Duration;

use crate::types::time::Timestamp;

use super::emission::{Emission, EmissionFlags};
use super::fault::AcsFault;
use super::message::inform::Inform;
use super::message::{Body, Envelope, Fault, Header, Method, Request, Response, Text};
use super::version::CwmpVersion;

/// Seconds a CPE may be silent between POSTs when it suggests nothing (cwmp.md §1.2).
const SILENCE: Duration = Duration::from_mins(1);
/// While a call is outstanding: a WiFi restart takes a minute or two (quirk 38).
const SILENCE_IN_CALL: Duration = Duration::from_mins(3);
/// What a `SessionTimeout` header may ask for.
const SILENCE_RANGE_SECS: (u32, u32) = (30, 300);
/// How often a call that harms nobody goes out when empty POSTs come in place of its answer. Agents on libcurl probe with
/// an empty POST for a challenge before every real one, and one of those may come on top (quirks 61, 65).
const SENDS_MAX: u32 = 3;
/// Most answers in one session that do not bring it forward: stale, mismatched, repeated.
const FRUITLESS_MAX: u32 = 8;
/// How often a CPE is told to send its Inform again. CPEs obey without end or waiting: it is for us to stop.
const INFORM_RETRIES_MAX: u32 = 1;

/// Bounds of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimits {
    /// POSTs, the Inform included.
    pub exchanges: u32,
    /// From Inform to end.
    pub length: Duration,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { exchanges: 20_000, length: Duration::from_hours(1) }
    }
}

/// What a POST said, once decoded.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one step; a box would cost every message")]
pub enum Incoming<'a> {
    /// Nothing, blanks, or an empty SOAP body.
    Empty,
    /// A message.
    Message {
        /// `cwmp:ID`, if any.
        id: Option<Text<'a>>,
        /// The body; never [`Body::Empty`].
        body: Body<'a>,
    },
}

impl<'a> From<Envelope<'a>> for Incoming<'a> {
    fn from(envelope: Envelope<'a>) -> Self {
        match envelope.body {
            Body::Empty => Self::Empty,
            body => Self::Message { id: envelope.header.id, body },
        }
    }
}

/// What is to be done next. The POST is still open until the driver has sent a reply.
#[derive(Debug, Clone, PartialEq)]
pub enum Action<'a> {
    /// A CPE calls: serve it, answer with its response under this ID. The session's state is unchanged.
    Serve {
        /// To be echoed.
        id: Option<Text<'a>>,
        /// The call.
        request: Request<'a>,
    },
    /// A CPE calls something no ACS knows: answer with fault 8000.
    Unsupported {
        /// To be echoed.
        id: Option<Text<'a>>,
        /// Its name.
        method: Text<'a>,
    },
    /// The outstanding call has its answer: record it, then go on as after [`Action::Poll`].
    Answered(Answer<'a>),
    /// The CPE has nothing more to say: send the next call ([`Session::call`]) or end ([`Session::finish`]).
    Poll,
    /// Send the outstanding call again, unchanged.
    Resend,
    /// The Inform could not be recorded: answer with fault 8005, and the CPE sends it again in this session.
    RetryInform,
    /// The session is over before it has begun: 503.
    Refuse(Outcome),
    /// The session is over: 204.
    Finish(Outcome),
    /// No session yet, and no Inform: 204 and wait (quirk 61).
    Idle,
    /// Not CWMP: the first message is no Inform.
    NotAnInform,
}

/// The answer to the outstanding call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer<'a> {
    /// The response of the called method.
    Response(Response<'a>),
    /// The CPE refused.
    Fault(Fault<'a>),
    /// The response of another method, or of none that exists (quirk 17).
    Mismatch,
    /// An empty POST in its place: whether the call was carried out is unknown (quirk 62).
    Missing,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// In order.
    Completed,
    /// Broken off by acsd: too many exchanges, too long, or it went in circles.
    LimitReached,
    /// The CPE fell silent.
    TimedOut,
    /// The CPE Informed anew while it was open.
    Superseded,
    /// Its Inform could not be recorded, nor could it when it was sent again.
    Unrecorded,
}

impl Outcome {
    /// Label for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::LimitReached => "limit_reached",
            Self::TimedOut => "timed_out",
            Self::Superseded => "superseded",
            Self::Unrecorded => "unrecorded",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    /// Before the Inform.
    AwaitInform,
    /// The CPE may call, or hand over the turn by an empty POST.
    CpeTurn,
    /// The ACS has the turn: the driver is about to `call` or `finish`.
    AcsTurn,
    /// A call is outstanding.
    AwaitAnswer(Outstanding),
    /// 204 was sent. Stragglers get another one (quirks 36, "termination").
    Done,
}

#[derive(Debug, Clone, PartialEq)]
struct Outstanding {
    id: String,
    method: Method,
    /// How often it went out.
    sent: u32,
    /// The CPE called something in place of answering: the call may have to be repeated (quirk 15).
    interrupted: bool,
}

/// The call before the outstanding one.
#[derive(Debug, Clone, Default)]
struct Previous {
    id: String,
    /// How many answers to it may still come: it went out more than once, or was given up unanswered.
    owed: u32,
}

/// One CWMP session.
#[derive(Debug, Clone)]
pub struct Session {
    state: State,
    emission: Emission,
    version: CwmpVersion,
    /// Distinguishes the IDs of this session from those of others.
    salt: u32,
    calls: u32,
    /// The call before the outstanding one, to recognise answers that lag behind.
    previous: Previous,
    exchanges: u32,
    fruitless: u32,
    opened_at: Timestamp,
    last_heard: Timestamp,
    silence: Duration,
    limits: SessionLimits,
    inform_hash: u64,
    /// How often the CPE was told to send its Inform again.
    inform_retries: u32,
}

impl Session {
    /// Before its Inform. `salt` is any number that differs between sessions.
    #[must_use]
    pub fn new(now: Timestamp, salt: u32, limits: SessionLimits) -> Self {
        Self {
            state: State::AwaitInform,
            emission: Emission::default(),
            version: CwmpVersion::default(),
            salt,
            calls: 0,
            previous: Previous::default(),
            exchanges: 0,
            fruitless: 0,
            opened_at: now,
            last_heard: now,
            silence: SILENCE,
            limits,
            inform_hash: 0,
            inform_retries: 0,
        }
    }

    /// Opens the session by an Inform whose sender has been let in. Returns the header of the `InformResponse`.
    ///
    /// # Errors
    /// [`AcsFault::VersionIncompatible`] when the CPE lists its versions and acsd knows none of them.
    pub fn open<'a>(
        &mut self,
        now: Timestamp,
        envelope: &Envelope<'a>,
        inform: &Inform<'_>,
        flags: EmissionFlags,
    ) -> Result<Header<'a>, AcsFault> {
        let header = &envelope.header;
        let namespace = envelope.namespace.unwrap_or_default();
        let inferred = namespace.version(header.session_timeout_secs.is_some(), header.supported_versions.is_some());
        self.emission = Emission::resolve(flags, envelope.declaration, namespace);
        let offered = header.supported_versions.as_deref().filter(|list| !list.trim().is_empty());
        let use_version = match offered {
            Some(list) => Some(CwmpVersion::highest_common(list).ok_or(AcsFault::VersionIncompatible)?),
            None => None,
        };
        self.version = use_version.unwrap_or(inferred);
        if let Some(secs) = header.session_timeout_secs {
            let (least, most) = SILENCE_RANGE_SECS;
            self.silence = Duration::from_secs(u64::from(secs.clamp(least, most)));
        }
        self.state = State::CpeTurn;
        self.exchanges = 1;
        self.opened_at = now;
        self.last_heard = now;
        self.inform_hash = inform_hash(header, inform);
        Ok(Header { id: header.id.clone(), use_version, ..Header::default() })
    }

    /// Takes [`open`](Self::open) back before it is answered: the Inform could not be recorded just now, and likely can in
    /// a moment. The CPE is told to send it again in this session (TR-069 A.5.2, fault 8005), but not for ever.
    pub fn retry_inform(&mut self, now: Timestamp) -> Action<'static> {
        self.last_heard = now;
        let is_new = matches!(self.state, State::AwaitInform | State::CpeTurn) && self.exchanges <= 1;
        if !is_new || self.inform_retries >= INFORM_RETRIES_MAX {
            self.state = State::Done;
            return Action::Refuse(Outcome::Unrecorded);
        }
        self.inform_retries = self.inform_retries.saturating_add(1);
        self.state = State::AwaitInform;
        self.exchanges = 0;
        Action::RetryInform
    }

    /// Takes in one POST. Anything but an Inform belongs here.
    pub fn on_post<'a>(&mut self, now: Timestamp, incoming: Incoming<'a>) -> Action<'a> {
        self.last_heard = now;
        self.exchanges = self.exchanges.saturating_add(1);
        if self.exchanges > self.limits.exchanges || now.since(self.opened_at) > self.limits.length {
            return self.end(Outcome::LimitReached);
        }
        // Taken out first: only a legal arm puts a live state back.
        match (mem::replace(&mut self.state, State::Done), incoming) {
            (State::AwaitInform, Incoming::Empty) => {
                self.state = State::AwaitInform;
                Action::Idle
            }
            (State::AwaitInform, Incoming::Message { .. }) => Action::NotAnInform,
            (State::Done, _) => Action::Finish(Outcome::Completed),
            (State::CpeTurn | State::AcsTurn, Incoming::Empty) => {
                self.state = State::AcsTurn;
                Action::Poll
            }
            (State::CpeTurn | State::AcsTurn, Incoming::Message { id, body }) => self.in_cpe_turn(id, body),
            (State::AwaitAnswer(call), Incoming::Empty) => self.unanswered(call),
            (State::AwaitAnswer(call), Incoming::Message { id, body }) => self.in_acs_turn(call, id, body),
        }
    }

    fn in_cpe_turn<'a>(&mut self, id: Option<Text<'a>>, body: Body<'a>) -> Action<'a> {
        self.state = State::CpeTurn;
        match body {
            Body::Request(request) => Action::Serve { id, request },
            Body::Unknown(method) if !method.ends_with("Response") => Action::Unsupported { id, method },
            // An answer that nobody waits for, from a session before this one: as good as an empty POST (quirk 17).
            Body::Response(_) | Body::Fault(_) | Body::Unknown(_) | Body::Empty => {
                if self.goes_in_circles() {
                    return self.end(Outcome::LimitReached);
                }
                self.state = State::AcsTurn;
                Action::Poll
            }
        }
    }

    fn in_acs_turn<'a>(&mut self, mut call: Outstanding, id: Option<Text<'a>>, body: Body<'a>) -> Action<'a> {
        let stale = self.is_stale(&call, id.as_deref(), &body);
        match body {
            Body::Request(request) => {
                call.interrupted = true;
                self.state = State::AwaitAnswer(call);
                Action::Serve { id, request }
            }
            Body::Unknown(method) if !method.ends_with("Response") => {
                call.interrupted = true;
                self.state = State::AwaitAnswer(call);
                Action::Unsupported { id, method }
            }
            Body::Response(_) | Body::Fault(_) | Body::Unknown(_) if stale => {
                self.previous.owed = self.previous.owed.saturating_sub(1);
                self.repeat_or_give_up(call)
            }
            Body::Response(response) if response.method() == call.method => {
                self.answered(call, Answer::Response(response))
            }
            Body::Fault(fault) => self.answered(call, Answer::Fault(fault)),
            Body::Response(_) | Body::Unknown(_) => {
                if self.goes_in_circles() {
                    return self.end(Outcome::LimitReached);
                }
                self.answered(call, Answer::Mismatch)
            }
            Body::Empty => self.unanswered(call),
        }
    }

    /// Whether an answer is one to the call before. Agents whose answers lag one behind send its ID (quirk 61), but so do
    /// some that repeat an ID for ever (quirk 16): those are right about the method, and nothing more is owed.
    fn is_stale(&self, call: &Outstanding, id: Option<&str>, body: &Body<'_>) -> bool {
        let is_previous = id.is_some_and(|id| !self.previous.id.is_empty() && id == self.previous.id);
        let is_misfit = match body {
            Body::Response(response) => response.method() != call.method,
            Body::Unknown(_) => true,
            Body::Fault(_) | Body::Request(_) | Body::Empty => false,
        };
        is_previous && (self.previous.owed > 0 || is_misfit)
    }

    fn answered<'a>(&mut self, call: Outstanding, answer: Answer<'a>) -> Action<'a> {
        let received = match answer {
            Answer::Response(_) | Answer::Fault(_) => {
                self.fruitless = 0;
                1
            }
            Answer::Mismatch | Answer::Missing => 0,
        };
        self.previous = Previous { id: call.id, owed: call.sent.saturating_sub(received) };
        self.state = State::AcsTurn;
        Action::Answered(answer)
    }

    /// An empty POST where an answer was due. A call that harms nobody is sent once more: some agents post twice before
    /// they look at the first answer (quirk 61).
    fn unanswered<'a>(&mut self, call: Outstanding) -> Action<'a> {
        if call.interrupted || call.sent < SENDS_MAX {
            self.repeat_or_give_up(call)
        } else {
            self.answered(call, Answer::Missing)
        }
    }

    fn repeat_or_give_up<'a>(&mut self, mut call: Outstanding) -> Action<'a> {
        // Whether a CPE that called something in between has carried the call out as well is unknown: what must not
        // happen twice is left to the procedure, which looks.
        let may_repeat = is_repeatable(call.method) || call.interrupted && takes_effect_once(call.method);
        if self.goes_in_circles() || !may_repeat {
            return self.answered(call, Answer::Missing);
        }
        call.sent = call.sent.saturating_add(1);
        call.interrupted = false;
        self.state = State::AwaitAnswer(call);
        Action::Resend
    }

    fn goes_in_circles(&mut self) -> bool {
        self.fruitless = self.fruitless.saturating_add(1);
        self.fruitless > FRUITLESS_MAX
    }

    fn end<'a>(&mut self, outcome: Outcome) -> Action<'a> {
        self.state = State::Done;
        Action::Finish(outcome)
    }

    /// Whether a call may be sent now: after [`Action::Poll`] and [`Action::Answered`].
    #[must_use]
    pub fn has_turn(&self) -> bool {
        self.state == State::AcsTurn
    }

    /// The driver sends a call: its ID, at most 16 alphanumeric characters (quirk 16).
    pub fn call(&mut self, method: Method) -> String {
        self.calls = self.calls.wrapping_add(1);
        let id = format!("{:08x}{:x}", self.salt, self.calls);
        self.state = State::AwaitAnswer(Outstanding { id: id.clone(), method, sent: 1, interrupted: false });
        id
    }

    /// The driver answers 204.
    pub fn finish(&mut self) {
        self.state = State::Done;
    }

    /// Whether this is the very Inform that opened the session, sent again before anything else was said: the response was
    /// lost, or the CPE authenticates each connection anew (quirk 12).
    #[must_use]
    pub fn is_repetition(&self, envelope: &Envelope<'_>, inform: &Inform<'_>) -> bool {
        self.state == State::CpeTurn && self.exchanges == 1 && self.inform_hash == inform_hash(&envelope.header, inform)
    }

    /// When the CPE has been silent for too long, or the session has lasted too long.
    #[must_use]
    pub fn deadline(&self) -> Timestamp {
        let silence = match self.state {
            State::AwaitAnswer(_) => SILENCE_IN_CALL.max(self.silence),
            State::AwaitInform | State::CpeTurn | State::AcsTurn | State::Done => self.silence,
        };
        (self.last_heard + silence).min(self.opened_at + self.limits.length)
    }

    /// Whether 204 has been sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How envelopes of this session are written.
    #[must_use]
    pub fn emission(&self) -> Emission {
        self.emission
    }

    /// What is spoken in this session.
    #[must_use]
    pub fn version(&self) -> CwmpVersion {
        self.version
    }

    /// The outstanding call, if any.
    #[must_use]
    pub fn outstanding(&self) -> Option<Method> {
        match &self.state {
            State::AwaitAnswer(call) => Some(call.method),
            State::AwaitInform | State::CpeTurn | State::AcsTurn | State::Done => None,
        }
    }
}

/// Whether carrying a call out twice has the effect of once.
const fn is_repeatable(method: Method) -> bool {
    matches!(
        method,
        Method::GetRpcMethods
            | Method::GetParameterValues
            | Method::GetParameterNames
            | Method::GetParameterAttributes
            | Method::SetParameterAttributes
            | Method::SetParameterValues
            | Method::GetQueuedTransfers
            | Method::GetAllQueuedTransfers
            | Method::GetOptions
    )
}

/// Whether a call takes effect only after the session, once, however often it was made.
const fn takes_effect_once(method: Method) -> bool {
    matches!(method, Method::Reboot | Method::FactoryReset)
}

fn inform_hash(header: &Header<'_>, inform: &Inform<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    header.id.hash(&mut hasher);
    inform.current_time.hash(&mut hasher);
    inform.device_id.oui.hash(&mut hasher);
    inform.device_id.product_class.hash(&mut hasher);
    inform.device_id.serial_number.hash(&mut hasher);
    inform.retry_count.hash(&mut hasher);
    for event in &inform.events {
        event.raw_code.hash(&mut hasher);
        event.command_key.hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cwmp::emission::Declaration;
    use crate::cwmp::message::acs::{Applied, ParameterValues};
    use crate::cwmp::message::cpe::TransferComplete;
    use crate::cwmp::message::inform::DeviceIdStruct;
    use crate::cwmp::version::Namespace;

    const T0: Timestamp = Timestamp::from_secs(1_000);

    fn inform() -> Inform<'static> {
        Inform {
            device_id: DeviceIdStruct { serial_number: "1".into(), ..DeviceIdStruct::default() },
            events: Vec::new(),
            max_envelopes: 1,
            current_time: "2024-01-01T00:00:00Z".into(),
            retry_count: 0,
            parameters: Vec::new(),
        }
    }

    fn envelope(header: Header<'static>) -> Envelope<'static> {
        Envelope {
            declaration: Declaration::Absent,
            namespace: Some(Namespace::Cwmp1_2),
            header,
            body: Body::Request(Request::Inform(inform())),
        }
    }

    fn opened() -> Session {
        let mut session = Session::new(T0, 0xabcd, SessionLimits::default());
        session.open(T0, &envelope(Header::default()), &inform(), EmissionFlags::default()).expect("opens");
        session
    }

    fn values() -> Body<'static> {
        Body::Response(Response::GetParameterValues(ParameterValues::default()))
    }

    fn message(id: &str, body: Body<'static>) -> Incoming<'static> {
        Incoming::Message { id: Some(id.to_owned().into()), body }
    }

    /// A session in which a call of `method` is outstanding, and its ID.
    fn calling(method: Method) -> (Session, String) {
        let mut session = opened();
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Poll);
        let id = session.call(method);
        (session, id)
    }

    #[test]
    fn before_the_inform_only_an_empty_post_is_tolerated() {
        let mut session = Session::new(T0, 1, SessionLimits::default());
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Idle);
        assert_eq!(session.on_post(T0, message("1", values())), Action::NotAnInform);
    }

    #[test]
    fn a_session_runs_from_inform_over_cpe_calls_and_acs_calls_to_204() {
        let mut session = opened();
        let complete = Request::TransferComplete(TransferComplete::default());
        let action = session.on_post(T0, message("7", Body::Request(complete.clone())));
        assert_eq!(action, Action::Serve { id: Some("7".into()), request: complete });
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Poll);
        let id = session.call(Method::GetParameterValues);
        assert!(id.len() <= 16 && id.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert!(matches!(session.on_post(T0, message(&id, values())), Action::Answered(Answer::Response(_))));
        assert!(session.has_turn());
        session.finish();
        assert!(session.is_done());
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Finish(Outcome::Completed), "one more empty POST");
    }

    #[test]
    fn answers_are_matched_by_state_first() {
        let table = [
            ("wrong ID, right method", "zzz", values(), true),
            ("other method", "zzz", Body::Response(Response::Reboot), false),
            ("unknown response", "zzz", Body::Unknown("FooResponse".into()), false),
        ];
        for (case, id, body, fits) in table {
            let (mut session, _) = calling(Method::GetParameterValues);
            let action = session.on_post(T0, message(id, body));
            let matched = matches!(action, Action::Answered(Answer::Response(_)));
            assert_eq!(matched, fits, "{case}: {action:?}");
            assert!(session.has_turn(), "{case}");
        }
    }

    #[test]
    fn an_empty_post_in_place_of_an_answer_repeats_only_what_harms_nobody() {
        let (mut session, _) = calling(Method::GetParameterValues);
        for _ in 1..SENDS_MAX {
            assert_eq!(session.on_post(T0, Incoming::Empty), Action::Resend);
        }
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Answered(Answer::Missing));
        let (mut session, _) = calling(Method::AddObject);
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Answered(Answer::Missing));
    }

    #[test]
    fn answers_that_lag_one_behind_are_waited_out() {
        let (mut session, first) = calling(Method::GetParameterValues);
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Resend);
        assert!(matches!(session.on_post(T0, message(&first, values())), Action::Answered(Answer::Response(_))));
        let second = session.call(Method::GetParameterValues);
        assert_eq!(session.on_post(T0, message(&first, values())), Action::Resend, "the first answer, again");
        assert!(matches!(session.on_post(T0, message(&second, values())), Action::Answered(Answer::Response(_))));
    }

    #[test]
    fn a_cpe_call_in_the_acs_phase_is_served_and_the_call_repeated() {
        let kicked = || Body::Request(Request::Kicked(crate::cwmp::message::cpe::Kicked::default()));
        let (mut session, id) = calling(Method::GetParameterNames);
        assert!(matches!(session.on_post(T0, message("9", kicked())), Action::Serve { .. }));
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Resend);
        let answer = Body::Response(Response::DeleteObject(Applied::Now));
        assert_eq!(session.on_post(T0, message(&id, answer)), Action::Answered(Answer::Mismatch));
        let (mut session, _) = calling(Method::Reboot);
        assert!(matches!(session.on_post(T0, message("9", kicked())), Action::Serve { .. }));
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Resend);
        let (mut session, _) = calling(Method::AddObject);
        assert!(matches!(session.on_post(T0, message("9", kicked())), Action::Serve { .. }));
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Answered(Answer::Missing), "never a second row");
    }

    #[test]
    fn no_cpe_can_keep_a_session_turning_for_ever() {
        let (mut session, _) = calling(Method::GetParameterValues);
        let mut posts = 0;
        loop {
            posts += 1;
            assert!(posts < 100, "never ends");
            match session.on_post(T0, message("x", Body::Response(Response::Reboot))) {
                Action::Answered(_) => {
                    session.call(Method::GetParameterValues);
                }
                Action::Finish(outcome) => {
                    assert_eq!(outcome, Outcome::LimitReached);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn silence_and_length_are_bounded() {
        let (session, _) = calling(Method::GetParameterValues);
        assert_eq!(session.deadline(), T0 + SILENCE_IN_CALL);
        assert_eq!(opened().deadline(), T0 + SILENCE);
        let mut session = opened();
        let late = T0 + Duration::from_secs(3_601);
        assert_eq!(session.on_post(late, Incoming::Empty), Action::Finish(Outcome::LimitReached));
    }

    #[test]
    fn the_version_is_negotiated_only_when_the_cpe_offers_a_list() {
        let open = |header| {
            let mut session = Session::new(T0, 1, SessionLimits::default());
            let reply = session.open(T0, &envelope(header), &inform(), EmissionFlags::default());
            reply.map(|header| (header.use_version, session.version()))
        };
        let list = |text: &'static str| Header { supported_versions: Some(text.into()), ..Header::default() };
        assert_eq!(open(Header::default()), Ok((None, CwmpVersion::V1_2)));
        assert_eq!(open(list("1.0,1.3")), Ok((Some(CwmpVersion::V1_3), CwmpVersion::V1_3)));
        assert_eq!(open(list("2.0")), Err(AcsFault::VersionIncompatible));
    }

    #[test]
    fn an_inform_sent_again_is_recognised() {
        let mut session = opened();
        assert!(session.is_repetition(&envelope(Header::default()), &inform()));
        let other = Inform { current_time: "later".into(), ..inform() };
        assert!(!session.is_repetition(&envelope(Header::default()), &other));
        assert_eq!(session.on_post(T0, Incoming::Empty), Action::Poll);
        assert!(!session.is_repetition(&envelope(Header::default()), &inform()), "something was said since");
    }
}
