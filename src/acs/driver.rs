//! The driver: carries out what the session engine says, against store, queue and inventory.
//!
//! One POST comes in through [`Exchange::post`] and leaves as one [`Answer`]. Between POSTs a session rests in the
//! [`SessionTable`]; a transaction that is being carried out rests with it.

mod inform;
mod learn;
mod meters;
mod prepare;
mod record;
mod serve;
mod transfers;
mod turn;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::auth::random;
use crate::connreq::wake::Waker;
use crate::cwmp::codec::{self, Limits};
use crate::cwmp::emission::{Emission, EmissionFlags};
use crate::cwmp::message::{Body, Header, Request};
use crate::cwmp::session::{Action, Incoming, Outcome, SessionLimits};
use crate::devices::expiry::Expiry;
use crate::devices::keeper::upkeep::Upkeep;
use crate::devices::onboard::Onboarding;
use crate::devices::presence::Presence;
use crate::events::{Refusals, Refused};
use crate::files::Files;
use crate::health::Health;
use crate::model::device::Profile;
use crate::model::event::RefusalReason;
use crate::store::Store;
use crate::tasks::plan::PlanLimits;
use crate::tasks::queue::Queue;
use crate::telemetry::names;
use crate::types::time::{Clock, Timestamp};

use super::discoveries::Discoveries;
use super::exchange::{Answer, Connection, ConnectionId, Exchange, Post, SessionToken};
use super::gate::{Failed, Gate, Passage};
use super::recorder::{Recorder, TraceConfig};
use super::sessions::{Live, PutBack, SessionTable, Taken};

use meters::Meters;

/// How often silent sessions are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// How often it is looked, while going down, whether a session is still being held.
const DRAIN_LOOK: Duration = Duration::from_millis(50);

/// Bounds and habits of the driver.
#[derive(Debug, Clone)]
pub struct DriverConfig {
    /// What one message may cost.
    pub decode: Limits,
    /// Bounds of one session.
    pub session: SessionLimits,
    /// Bounds of procedures.
    pub plan: PlanLimits,
    /// How envelopes are written.
    pub emission: EmissionFlags,
    /// Most open sessions.
    pub sessions_max: usize,
    /// Most POSTs being answered at the same time.
    pub exchanges_max: usize,
    /// How long sessions may go on when acsd is told to stop.
    pub drain: Duration,
    /// Interval given to a device that Informs not at all by itself, in seconds.
    pub fallback_interval_secs: u32,
    /// Bounds of what is recorded of traced devices.
    pub traces: TraceConfig,
}

/// The services the driver works with.
pub struct Services {
    /// Where everything lasts.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Scheduling and settling.
    pub queue: Arc<Queue>,
    /// Which devices are here.
    pub presence: Arc<Presence>,
    /// Calls devices.
    pub waker: Arc<Waker>,
    /// Takes devices in.
    pub onboarding: Arc<Onboarding>,
    /// Notices silence.
    pub expiry: Arc<Expiry>,
    /// Opens sealed passwords.
    pub sealer: Arc<crate::auth::seal::Sealer>,
    /// Gives links to files.
    pub files: Arc<Files>,
    /// Checks devices, and keeps values over time.
    pub health: Arc<Health>,
}

/// Answers the POSTs of all CPEs.
#[derive(Clone)]
pub struct Driver {
    inner: Arc<Inner>,
}

struct Inner {
    services: Services,
    gate: Gate,
    config: DriverConfig,
    sessions: SessionTable,
    exchanges: AtomicUsize,
    /// Informs that have been let in and have no session in the table yet.
    opening: AtomicUsize,
    salt: AtomicU32,
    meters: Meters,
    refusals: Refusals,
    recorder: Recorder,
    discoveries: Discoveries,
}

impl Driver {
    /// A driver over its services, made after the metrics recorder is installed.
    #[must_use]
    pub fn new(services: Services, gate: Gate, config: DriverConfig) -> Self {
        let discoveries = config.plan.discoveries;
        let inner = Inner {
            recorder: Recorder::new(config.traces.clone(), config.decode),
            services,
            gate,
            config,
            sessions: SessionTable::default(),
            exchanges: AtomicUsize::new(0),
            opening: AtomicUsize::new(0),
            salt: AtomicU32::new(fastrand::u32(..)),
            meters: Meters::new(),
            refusals: Refusals::default(),
            discoveries: Discoveries::new(discoveries),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Winds up silent sessions until told to stop; then, when those that a CPE is holding have ended or have had their
    /// grace, the rest of them.
    pub async fn sweep(self, shutdown: CancellationToken) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let now = self.inner.now();
            for live in self.inner.sessions.take_overdue(now, Duration::ZERO) {
                self.inner.wind_up(live, Outcome::TimedOut).await;
            }
            for unopened in self.inner.sessions.take_unopened_overdue(now) {
                self.inner.meters.count_session(Outcome::TimedOut, now.since(unopened.began_at).as_secs_f64());
            }
            metrics::gauge!(names::SESSIONS_OPEN).set(count(self.inner.sessions.len()));
        }
        let deadline = tokio::time::Instant::now() + self.inner.config.drain;
        while self.inner.sessions.any_connected() && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        for live in self.inner.sessions.take_all() {
            self.inner.wind_up(live, Outcome::TimedOut).await;
        }
        self.inner.recorder.store(&*self.inner.services.store).await;
    }

    /// How many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.inner.sessions.len()
    }
}

impl Exchange for Driver {
    async fn post(&self, post: Post) -> Answer {
        let inner = &self.inner;
        let Some(_place) = Place::take(&inner.exchanges, inner.config.exchanges_max) else {
            metrics::counter!(names::REFUSED, "reason" => "overload").increment(1);
            return Answer::Busy { retry_after: retry_after() };
        };
        let text = codec::to_text(&post.body, post.charset.as_deref());
        if text.trim_start().is_empty() {
            return inner.resume(&post, Incoming::Empty).await;
        }
        if post.authorization.is_none() && inner.gate.challenges_unread() && !inner.is_underway(&post) {
            let www_authenticate = inner.gate.challenge(inner.now());
            return Answer::Challenge { www_authenticate, connection: Connection::Keep };
        }
        let envelope = match codec::decode(&text, &inner.config.decode) {
            Ok(envelope) => envelope,
            Err(error) => {
                metrics::counter!(names::MALFORMED, "kind" => error.kind().as_str()).increment(1);
                tracing::debug!(peer = %post.peer, %error, "what {} sent is no CWMP", post.peer);
                return inner.record_malformed(&post, Answer::Malformed { reason: error.to_string() }).await;
            }
        };
        if matches!(envelope.body, Body::Request(Request::Inform(_))) {
            return inner.open(&post, envelope).await;
        }
        inner.resume(&post, Incoming::from(envelope)).await
    }

    fn disconnected(&self, connection: ConnectionId) {
        self.inner.sessions.unbind(connection);
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.services.clock.now()
    }

    fn upkeep(&self) -> Upkeep<'_> {
        Upkeep { store: &*self.services.store, queue: &self.services.queue }
    }

    /// Whether the POST seems to belong to an open session, which has been let in before.
    fn is_underway(&self, post: &Post) -> bool {
        post.cookie.is_some() || self.sessions.of_connection(post.connection).is_some()
    }

    /// Goes on with the session that a POST belongs to.
    async fn resume(self: &Arc<Self>, post: &Post, incoming: Incoming<'_>) -> Answer {
        let taken = match post.cookie.map(|token| self.sessions.take(token)) {
            Some(Taken::Unknown) => self.sessions.take_ignorant(post.connection),
            Some(taken) => taken,
            None => {
                let token = self.sessions.of_connection(post.connection);
                let token = token.or_else(|| self.sessions.of_address(post.peer.ip()));
                token.map_or(Taken::Unknown, |token| self.sessions.take(token))
            }
        };
        let live = match taken {
            Taken::Live(live) => live,
            Taken::Busy => {
                return Answer::Malformed { reason: "another POST of this session is being answered".into() };
            }
            Taken::Unknown => return self.stray(post, &incoming),
        };
        let mut held = Held { live: Some(live), inner: Arc::clone(self) };
        let Some(live) = held.live.as_mut() else { return Answer::Empty { connection: Connection::Close } };
        self.record_post(live, post).await;
        if let Some(refusal) = self.reexamine(post, live) {
            self.record_answer(live, &refusal);
            return held.keep(refusal).await;
        }
        live.cookie_seen |= post.cookie == Some(live.token);
        let answer = self.advance(live, incoming).await;
        self.record_answer(live, &answer);
        held.keep(answer).await
    }

    /// A POST of no session. Stragglers of a session that has just ended get one more 204 (quirks 36, 61).
    ///
    /// An empty one on a connection that has not been heard of is challenged, even with the cookie of some session long
    /// over: libcurl fetches the challenge that way in front of an Inform, and takes a 204 for "no login needed".
    fn stray(&self, post: &Post, incoming: &Incoming<'_>) -> Answer {
        match incoming {
            Incoming::Empty
                if post.authorization.is_none()
                    && self.gate.challenges_unread()
                    && !self.sessions.has_served(post.connection) =>
            {
                let www_authenticate = self.gate.challenge(self.now());
                Answer::Challenge { www_authenticate, connection: Connection::Keep }
            }
            Incoming::Empty => Answer::Empty { connection: Connection::Keep },
            Incoming::Message { .. } if post.cookie.is_some() => Answer::Empty { connection: Connection::Close },
            Incoming::Message { .. } => {
                metrics::counter!(names::MALFORMED, "kind" => "not_an_inform").increment(1);
                Answer::Malformed { reason: "the first message of a session has to be an Inform".into() }
            }
        }
    }

    /// A session that continues on another connection has to prove itself again, unless TLS keeps its cookie secret
    /// (cwmp.md §1.3). The challenge has no effect on the session (quirk 65).
    fn reexamine(&self, post: &Post, live: &mut Live) -> Option<Answer> {
        use super::exchange::Transport;
        if post.connection == live.connection || post.transport == Transport::Tls {
            return None;
        }
        let now = self.now();
        match self.gate.continues(post.authorization.as_deref(), &live.snapshot.profile, live.opened_by, now) {
            Passage::Granted(_) => {
                self.sessions.bind(post.connection, live.token);
                live.connection = post.connection;
                None
            }
            Passage::Challenge { www_authenticate, failed } => {
                Some(self.challenged(post, Some(&live.snapshot.profile), www_authenticate, failed, now))
            }
            Passage::Forbidden(reason) => Some(Answer::Forbidden { reason }),
        }
    }

    fn challenged(
        &self,
        post: &Post,
        device: Option<&Profile>,
        www_authenticate: String,
        failed: Failed,
        now: Timestamp,
    ) -> Answer {
        let connection = match failed {
            Failed::No => Connection::Keep,
            Failed::Yes => {
                self.gate.count_failure(post.peer.ip(), now);
                self.note_refusal(post, device, RefusalReason::Credentials, now);
                metrics::counter!(names::REFUSED, "reason" => "credentials").increment(1);
                tracing::info!(peer = %post.peer, "a login from {} was refused", post.peer);
                Connection::Close
            }
        };
        Answer::Challenge { www_authenticate, connection }
    }

    fn note_refusal(&self, post: &Post, device: Option<&Profile>, reason: RefusalReason, now: Timestamp) {
        let refused = Refused { address: post.peer.ip(), authorization: post.authorization.as_deref(), device, reason };
        self.refusals.record(&*self.services.store, now, refused);
    }

    /// Feeds the engine and carries out what it says, until there is an answer.
    async fn advance(&self, live: &mut Live, incoming: Incoming<'_>) -> Answer {
        let now = self.now();
        let called = live.session.outstanding();
        match live.session.on_post(now, incoming) {
            Action::Poll => self.take_turn(live).await,
            Action::Answered(answer) => self.answered(live, called, &answer).await,
            Action::Serve { id, request } => self.serve(live, id, &request).await,
            Action::Unsupported { id, method } => Self::unsupported(live, id, &method),
            Action::Resend => Answer::Envelope { body: live.sent.clone(), cookie: None },
            Action::Finish(outcome) => self.finish(live, outcome).await,
            // Only a session before its Inform says so, and none of those is live.
            Action::Idle | Action::NotAnInform | Action::RetryInform | Action::Refuse(_) => {
                Answer::Empty { connection: Connection::Close }
            }
        }
    }

    /// Ends a session whose exchange is in order: 204.
    async fn finish(&self, live: &mut Live, outcome: Outcome) -> Answer {
        live.session.finish();
        if let Some(running) = live.running.take() {
            self.lose(running).await;
        }
        self.forget(live, outcome);
        Answer::Empty { connection: Connection::Keep }
    }

    /// Ends a session whose CPE is gone.
    async fn wind_up(&self, mut live: Box<Live>, outcome: Outcome) {
        if let Some(running) = live.running.take() {
            self.lose(running).await;
        }
        self.forget(&mut live, outcome);
    }

    fn forget(&self, live: &mut Live, outcome: Outcome) {
        self.sessions.remove(live.token);
        self.services.presence.leave(live.device, live.token.0);
        let now = self.now();
        live.trace.ended(outcome, now);
        self.meters.count_session(outcome, now.since(live.opened_at).as_secs_f64());
        // Work that arrived between the last look at the queue and now must not wait for the next Inform.
        if self.services.store.has_work(live.device, now) {
            self.services.waker.wake(live.device);
        }
    }

    fn encode(header: &Header<'_>, body: &Body<'_>, emission: Emission) -> Bytes {
        let mut out = Vec::with_capacity(1024);
        codec::encode(header, body, &emission, &mut out);
        Bytes::from(out)
    }

    fn next_salt(&self) -> u32 {
        self.salt.fetch_add(0x9E37_79B1, Ordering::Relaxed)
    }

    fn new_token() -> Option<SessionToken> {
        match random::bytes::<16>() {
            Ok(bytes) => Some(SessionToken(u128::from_be_bytes(bytes))),
            Err(error) => {
                tracing::error!(%error, "no randomness for a session cookie");
                None
            }
        }
    }
}

/// A session out of the table. When the POST's task is dropped half-way (the connection broke), it goes back as it is:
/// the next POST, a new Inform or the sweeper finds what was left undone.
struct Held {
    live: Option<Box<Live>>,
    inner: Arc<Inner>,
}

impl Held {
    /// Puts the session back, unless it is over.
    async fn keep(mut self, answer: Answer) -> Answer {
        if let Some(live) = self.live.take()
            && !live.session.is_done()
            && let PutBack::Superseded(live) = self.inner.sessions.put_back(live)
        {
            self.inner.wind_up(live, Outcome::Superseded).await;
        }
        answer
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(live) = self.live.take() else { return };
        let PutBack::Superseded(live) = self.inner.sessions.put_back(live) else { return };
        // Nobody else will come for it. Bounded: one session, one task.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let inner = Arc::clone(&self.inner);
            runtime.spawn(async move { inner.wind_up(live, Outcome::Superseded).await });
        }
    }
}

/// A place among the POSTs being answered, or among the sessions being opened.
struct Place<'p>(&'p AtomicUsize);

impl<'p> Place<'p> {
    fn take(exchanges: &'p AtomicUsize, limit: usize) -> Option<Self> {
        if exchanges.fetch_add(1, Ordering::Relaxed) >= limit {
            exchanges.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self(exchanges))
    }

    /// One more place, and how many were taken before.
    fn among(places: &'p AtomicUsize) -> (Self, usize) {
        let taken = places.fetch_add(1, Ordering::AcqRel);
        (Self(places), taken)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Spread, so that those refused together do not come back together.
fn retry_after() -> Duration {
    Duration::from_secs(fastrand::u64(30..90))
}

fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}
