//! Waking devices: when a connection request is sent, how often, and what came of it.
//!
//! A connection request carries no command: it only asks the device to open a session with the ACS it has. The Inform is
//! the proof that it worked, not the device's 200 (connection-request.md §1).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::auth::seal::Sealer;
use crate::devices::presence::Presence;
use crate::model::device::{Device, Login, State};
use crate::store::Store;
use crate::telemetry::names;
use crate::types::ident::DeviceKey;
use crate::types::secret::Secret;
use crate::types::time::Clock;

use super::http::{self, CallLimits, Target};
use super::policy::{AddressPolicy, BasicPolicy};
use super::verdict::CallVerdict;

/// How long after an accepted call an Inform is waited for: 30 s by the standard, and the way here.
const INFORM_WITHIN: Duration = Duration::from_secs(33);
/// Longest that a call may take in all.
const CALL_MAX: Duration = Duration::from_mins(2);
/// Calls waiting to be made.
const BACKLOG: usize = 16_384;
/// After that many calls in a row without an Inform acsd waits for the device's own next one.
const TRIES: u32 = 5;
/// First pause between tries; doubles.
const PAUSE: Duration = Duration::from_secs(30);
/// How long a device that never came is left alone, unless there is a new wish.
const REST: Duration = Duration::from_mins(15);
/// How long to look again for the end of a session that is just open.
const IN_SESSION_PAUSE: Duration = Duration::from_millis(500);
/// How often; a device whose session takes longer may have lost it, and is called.
const IN_SESSION_PAUSES: u32 = 20;

/// How calls are made.
#[derive(Debug, Clone)]
pub struct WakeConfig {
    /// Bounds of one call.
    pub limits: CallLimits,
    /// Where calls may go.
    pub policy: AddressPolicy,
    /// Calls under way at the same time.
    pub concurrency: usize,
    /// Calls to one device within [`WakeConfig::window`].
    pub burst: u32,
    /// See `burst`.
    pub window: Duration,
}

impl Default for WakeConfig {
    fn default() -> Self {
        Self {
            limits: CallLimits::default(),
            policy: AddressPolicy::default(),
            concurrency: 128,
            burst: 60,
            window: Duration::from_mins(1),
        }
    }
}

/// What became of an attempt to reach a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// It Informed after we asked, or was in a session anyway.
    Informed,
    /// It did not Inform within the wait.
    Silent,
    /// It has been called too often of late to be called again: nothing is learned of it.
    NotCalled,
}

/// The service that calls devices.
pub struct Waker {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    presence: Arc<Presence>,
    sealer: Arc<Sealer>,
    config: WakeConfig,
    /// Room for this many calls at a time.
    lines: Arc<Semaphore>,
    /// Devices to be called, each at most once.
    wanted: mpsc::Sender<DeviceKey>,
    pending: Mutex<HashSet<DeviceKey>>,
    /// Recent calls per device, for the throttle.
    recent: Mutex<HashMap<DeviceKey, Recent>>,
    /// Devices that are being called, and how that will end: who wants one of them meanwhile waits along.
    calling: Mutex<HashMap<DeviceKey, watch::Receiver<Option<Ended>>>>,
    /// Devices that did not come when called, and until when only a new wish has them called again.
    resting: Mutex<HashMap<DeviceKey, Instant>>,
}

/// What to think of a device that is in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InSession {
    /// It is here.
    Present,
    /// It has been for so long that it may have lost the session: it is called.
    Doubtful,
}

/// Who calls a device.
enum Turn<'w> {
    /// The asker does.
    Ours(Line<'w>),
    /// Someone does already.
    Theirs(watch::Receiver<Option<Ended>>),
}

/// That a device is being called, as long as whoever does so is at it.
struct Line<'w> {
    waker: &'w Waker,
    key: DeviceKey,
    outcome: watch::Sender<Option<Ended>>,
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        self.waker.calling.lock().remove(&self.key);
    }
}

/// The receiving end of a [`Waker`]: whoever runs the service owns it.
pub struct WakeQueue(mpsc::Receiver<DeviceKey>);

#[derive(Debug, Clone, Copy)]
struct Recent {
    since: Instant,
    calls: u32,
}

/// How one call ended, the Inform included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Informed,
    NoInform(CallVerdict),
    /// Nobody to call: no URL, or the device is gone.
    NoUrl,
    Throttled,
}

impl Waker {
    /// The service and its queue; nothing is called until [`Waker::run`] runs.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        presence: Arc<Presence>,
        sealer: Arc<Sealer>,
        config: WakeConfig,
    ) -> (Arc<Self>, WakeQueue) {
        let (wanted, queue) = mpsc::channel(BACKLOG);
        let lines = Arc::new(Semaphore::new(config.concurrency.max(1)));
        let (pending, recent, resting) = (Mutex::default(), Mutex::default(), Mutex::default());
        let calling = Mutex::default();
        let waker = Self { store, clock, presence, sealer, config, lines, wanted, pending, recent, calling, resting };
        (Arc::new(waker), WakeQueue(queue))
    }

    /// Has the device called soon: coalesced, throttled per device, retried; does not wait and never fails.
    pub fn wake(&self, key: DeviceKey) {
        if !self.pending.lock().insert(key) {
            return;
        }
        if self.wanted.try_send(key).is_err() {
            // Full: the work stays in the queue, and the device's own next Inform finds it.
            self.pending.lock().remove(&key);
            metrics::counter!(names::CONNECTION_REQUESTS, "verdict" => "backlog_full").increment(1);
        }
    }

    /// As [`Waker::wake`], but leaves alone a device that was called in vain a short while ago: for work that has waited
    /// before, not for an operator's new wish.
    pub fn remind(&self, key: DeviceKey) {
        let rests = self.resting.lock().get(&key).is_some_and(|until| *until > Instant::now());
        if !rests {
            self.wake(key);
        }
    }

    /// Makes the calls that [`Waker::wake`] asks for, until told to stop.
    pub async fn run(self: Arc<Self>, mut queue: WakeQueue, shutdown: CancellationToken) {
        let mut calls = JoinSet::new();
        loop {
            let key = tokio::select! {
                () = shutdown.cancelled() => break,
                Some(ended) = calls.join_next(), if !calls.is_empty() => {
                    note_panic(ended);
                    continue;
                }
                key = queue.0.recv() => key,
            };
            let Some(key) = key else { break };
            let waker = Arc::clone(&self);
            // Bounded by `pending`: a device has at most one task, and the backlog has a limit.
            calls.spawn(async move { waker.pursue(key).await });
        }
        calls.shutdown().await;
    }

    /// Calls one device until it Informs, has nothing to do any more, or the tries are used up. Holds the device's entry in
    /// `pending`, except while it pauses: a new wish then does not have to wait for the pause to end.
    async fn pursue(&self, key: DeviceKey) {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            let ended = self.call_if_wanted(key).await;
            self.pending.lock().remove(&key);
            match ended {
                None => return,
                Some(Ended::NoUrl) => return self.rest(key, REST),
                Some(Ended::Informed) => {
                    self.resting.lock().remove(&key);
                    // Its session may be over already, and work may have come just after.
                    if !self.presence.in_session(key) && self.store.has_work(key, self.clock.now()) {
                        self.wake(key);
                    }
                    return;
                }
                Some(Ended::NoInform(verdict)) => {
                    tracing::debug!(device.id = %key, %verdict, "device {key} did not call in: {verdict}");
                }
                Some(Ended::Throttled) => {}
            }
            self.rest(key, pause);
            let informed = self.presence.informed.subscribe(key);
            // Whichever comes first: the device by itself, or the next try.
            if tokio::time::timeout(pause, informed).await.is_ok() || !self.pending.lock().insert(key) {
                return;
            }
            pause = pause.saturating_mul(2);
        }
        let last = self.call_if_wanted(key).await;
        tracing::debug!(device.id = %key, ?last, "the last try to call device {key}");
        self.rest(key, REST);
        self.pending.lock().remove(&key);
    }

    fn rest(&self, key: DeviceKey, span: Duration) {
        let now = Instant::now();
        let mut resting = self.resting.lock();
        if resting.len() >= BACKLOG {
            resting.retain(|_, until| *until > now);
        }
        resting.insert(key, now + span);
    }

    /// `None`: the device has been here, and nothing is left to do.
    async fn call_if_wanted(&self, key: DeviceKey) -> Option<Ended> {
        for _ in 0..IN_SESSION_PAUSES {
            if !self.presence.in_session(key) {
                break;
            }
            tokio::time::sleep(IN_SESSION_PAUSE).await;
        }
        if !self.store.has_work(key, self.clock.now()) {
            return None;
        }
        Some(self.call(key, InSession::Doubtful, INFORM_WITHIN, CALL_MAX).await)
    }

    /// Calls the device now and waits until it has Informed, at most `patience` (rest-api.md 3). A device in a session
    /// is not called: its status is fresh.
    pub async fn reach(&self, key: DeviceKey, patience: Duration) -> Reached {
        if self.presence.in_session(key) {
            return Reached::Informed;
        }
        match tokio::time::timeout(patience, self.call(key, InSession::Present, patience, patience)).await {
            Ok(Ended::Informed) => Reached::Informed,
            Ok(Ended::Throttled) => Reached::NotCalled,
            Ok(Ended::NoInform(_) | Ended::NoUrl) | Err(_) => Reached::Silent,
        }
    }

    /// One connection request and its Inform. While a device is being called, whoever else wants it waits for what comes of
    /// that: a second request would only bring it into a second session (connection-request.md §1).
    async fn call(&self, key: DeviceKey, in_session: InSession, patience: Duration, whole: Duration) -> Ended {
        loop {
            // Subscribed before it is looked who calls: the Inform may come at once.
            let informed = self.presence.informed.subscribe(key);
            match self.turn(key) {
                // Looked at when nobody calls: the call that it came for may have ended just before.
                Turn::Ours(line) if in_session == InSession::Present && self.presence.in_session(key) => {
                    line.outcome.send_replace(Some(Ended::Informed));
                    return Ended::Informed;
                }
                Turn::Ours(line) => {
                    // Whoever waits along is told of that, too.
                    let ended = match tokio::time::timeout(whole, self.call_alone(key, patience)).await {
                        Ok(ended) => ended,
                        Err(_) => Ended::NoInform(CallVerdict::TimedOut),
                    };
                    line.outcome.send_replace(Some(ended));
                    return ended;
                }
                Turn::Theirs(mut outcome) => {
                    tokio::select! {
                        Ok(()) = informed => return Ended::Informed,
                        ended = outcome.wait_for(Option::is_some) => {
                            // None: whoever called has given up.
                            if let Some(ended) = ended.ok().and_then(|ended| *ended) {
                                return ended;
                            }
                        }
                    }
                }
            }
        }
    }

    fn turn(&self, key: DeviceKey) -> Turn<'_> {
        let mut calling = self.calling.lock();
        if let Some(outcome) = calling.get(&key) {
            return Turn::Theirs(outcome.clone());
        }
        let (outcome, others) = watch::channel(None);
        calling.insert(key, others);
        Turn::Ours(Line { waker: self, key, outcome })
    }

    /// The verdict is recorded with the device.
    async fn call_alone(&self, key: DeviceKey, patience: Duration) -> Ended {
        let Ok(Some(device)) = self.store.device(key).await else { return Ended::NoUrl };
        let (Some(url), Some(address)) = (device.state.connection_request_url.as_deref(), device.state.address) else {
            self.record(key, "no ConnectionRequestURL is known", "no_url").await;
            return Ended::NoUrl;
        };
        if !self.may_call(key) {
            metrics::counter!(names::CONNECTION_REQUESTS, "verdict" => "throttled").increment(1);
            return Ended::Throttled;
        }
        let Ok(line) = Arc::clone(&self.lines).acquire_owned().await else { return Ended::NoUrl };
        // Subscribed before the call: some devices Inform before they answer it.
        let informed = self.presence.informed.subscribe(key);
        let verdict = self.ask(&device, url, address, line).await;
        if !matches!(verdict, CallVerdict::Accepted | CallVerdict::Busy) {
            // It may have Informed all the same.
            if self.presence.in_session(key) {
                return Ended::Informed;
            }
            self.record(key, verdict.as_str(), verdict.label()).await;
            return Ended::NoInform(verdict);
        }
        if tokio::time::timeout(patience, informed).await.is_ok_and(|fired| fired.is_ok()) {
            self.record(key, verdict.as_str(), verdict.label()).await;
            return Ended::Informed;
        }
        self.record(key, &format!("{verdict}, but no Inform within {} s", patience.as_secs()), "no_inform").await;
        Ended::NoInform(verdict)
    }

    /// Tries the logins the device may have, in the order of connection-request.md §1.
    async fn ask(&self, device: &Device, url: &str, cpe_address: IpAddr, line: OwnedSemaphorePermit) -> CallVerdict {
        let credentials = &device.profile.credentials;
        let policy = &self.config.policy;
        let mut verdict = CallVerdict::NeedsCredentials;
        let mut presented = false;
        // What acsd made up for these calls may go in clear where policy lets it, the device's own login never.
        let careful = CallLimits { basic: BasicPolicy::Forbid, ..self.config.limits.clone() };
        let logins =
            [(credentials.connection_request.as_ref(), &self.config.limits), (credentials.current.as_ref(), &careful)];
        for (login, limits) in logins {
            let Some((username, password)) = login.and_then(|login| self.open(login)) else { continue };
            presented = true;
            let target = Target { url, credentials: Some((username, &password)), cpe_address, policy };
            let second = http::call(&target, limits).await;
            // Of two refusals the first one is the telling one.
            if second != CallVerdict::BasicForbidden || verdict == CallVerdict::NeedsCredentials {
                verdict = second;
            }
            if verdict != CallVerdict::BadCredentials {
                break;
            }
        }
        if !presented {
            let target = Target { url, credentials: None, cpe_address, policy };
            verdict = http::call(&target, &self.config.limits).await;
        }
        drop(line);
        verdict
    }

    fn open<'l>(&self, login: &'l Login) -> Option<(&'l str, Secret)> {
        match self.sealer.open(&login.password) {
            Ok(password) => Some((login.username.as_str(), password)),
            Err(error) => {
                tracing::error!(%error, "a connection request password cannot be unsealed");
                None
            }
        }
    }

    fn may_call(&self, key: DeviceKey) -> bool {
        let now = Instant::now();
        let mut recent = self.recent.lock();
        if recent.len() > BACKLOG {
            recent.retain(|_, recent| now.duration_since(recent.since) < self.config.window);
        }
        let entry = recent.entry(key).or_insert(Recent { since: now, calls: 0 });
        if now.duration_since(entry.since) >= self.config.window {
            *entry = Recent { since: now, calls: 0 };
        }
        entry.calls = entry.calls.saturating_add(1);
        entry.calls <= self.config.burst
    }

    async fn record(&self, key: DeviceKey, words: &str, label: &'static str) {
        metrics::counter!(names::CONNECTION_REQUESTS, "verdict" => label).increment(1);
        let (at, words) = (self.clock.now(), Box::<str>::from(words));
        let edit = Box::new(move |state: &mut State| {
            state.connection_request_verdict = Some(words);
            state.connection_request_at = Some(at);
        });
        if let Err(error) = self.store.edit_state(key, edit).await {
            tracing::error!(%error, device.id = %key, "the verdict on device {key} was not kept");
        }
    }
}

fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection request panicked");
    }
}
