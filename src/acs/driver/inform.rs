//! Opening a session: who calls, whether it may, and the InformResponse.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use crate::cwmp::emission::EmissionFlags;
use crate::cwmp::fault::AcsFault;
use crate::cwmp::message::inform::Inform;
use crate::cwmp::message::{Body, Envelope, Fault, Header, Request, Response};
use crate::cwmp::session::{Action, Outcome, Session};
use crate::devices::classify;
use crate::devices::keeper::upkeep::type_of;
use crate::devices::onboard::{Caller, OnboardError};
use crate::health::Learned;
use crate::model::device::Device;
use crate::model::event::RefusalReason;
use crate::telemetry::names;
use crate::types::event::EventCode;
use crate::types::ident::{DeviceIdentity, DeviceKey};
use crate::types::time::Timestamp;

use super::super::exchange::{Answer, Post, SessionToken};
use super::super::gate::{Claim, Passage, Principal};
use super::super::sessions::{Live, Predecessor, PutBack, Taken, Unopened};
use super::{Inner, Place, retry_after};

/// Share of the capacity, in percent, from which on idle devices' periodic Informs are refused.
const SHED_FROM_PERCENT: usize = 80;
/// How long an address is told to stay away after too many failed logins.
const SHUT_OUT: Duration = Duration::from_mins(1);

/// Why an Inform got no session, as the answer to its POST.
type Refusal = Answer;

impl Inner {
    /// Answers an Inform. It always opens a new session, whatever cookie it came with (quirk 11).
    pub(super) async fn open(self: &Arc<Self>, post: &Post, envelope: Envelope<'_>) -> Answer {
        let Body::Request(Request::Inform(inform)) = &envelope.body else {
            return Answer::Malformed { reason: "the first message of a session has to be an Inform".into() };
        };
        let now = self.now();
        for event in &inform.events {
            self.meters.count_event(event.code);
        }
        if let Some(answer) = self.repeated(post, &envelope, inform) {
            return answer;
        }
        let id = &inform.device_id;
        let identity = match DeviceIdentity::new(&id.oui, &id.product_class, &id.serial_number) {
            Ok(identity) => identity,
            Err(error) => return Answer::Malformed { reason: format!("DeviceId: SerialNumber {error}") },
        };
        let (admitted, _place) = match self.admit(post, inform, &identity, now).await {
            Ok(admitted) => admitted,
            Err(refusal) => return refusal,
        };
        let Some(mut unopened) = self.unopened(post, &identity, now) else {
            return Answer::Busy { retry_after: retry_after() };
        };
        let flags = self.emission_of(admitted.0.as_ref(), &identity, inform);
        let session = &mut unopened.session;
        let header = match session.open(now, &envelope, inform, flags) {
            Ok(header) => header,
            Err(fault) => {
                let header = Header { id: envelope.header.id.clone(), ..Header::default() };
                let body = Self::encode(&header, &Body::Fault(Fault::from(fault)), session.emission());
                let answer = Answer::Envelope { body, cookie: None };
                self.record_refusal(admitted.0.as_ref(), post, &answer, now);
                return answer;
            }
        };
        let opened_by = admitted.1;
        match self.begin(post, &envelope, inform, &identity, admitted, session.version(), now).await {
            Ok(device) => {
                self.heed(&device, inform, now);
                let body = Self::encode(&header, &Body::Response(Response::Inform), session.emission());
                self.establish(post, (device, opened_by), (unopened, flags), body).await
            }
            Err(error) if error.is_passing() => self.postpone(identity, unopened, &envelope, &error, now),
            Err(error) => Self::unavailable(&error),
        }
    }

    /// Sees to the device's health: a look-up of its type, and no more where that asks for nothing.
    fn heed(&self, device: &Device, inform: &Inform<'_>, now: Timestamp) {
        let Some(device_type) = self.services.store.device_types().of(device.profile.device_type) else { return };
        let learned = inform.parameters.iter().map(|one| Learned { path: &one.name, value: &one.value });
        self.services.health.learn(device.key, &device_type, learned, now);
        if let Some(interval) = device_type.health_interval_secs {
            self.services.health.expect(device.key, interval);
        }
    }

    /// How envelopes for this device are written: as its type says, for an unknown one as the type that it will get.
    fn emission_of(&self, known: Option<&Caller>, identity: &DeviceIdentity, inform: &Inform<'_>) -> EmissionFlags {
        let store = &*self.services.store;
        let device_type = match known {
            Some(device) => Some(device.profile.device_type),
            None => classify::at_first_sight(store, identity, &inform.parameters),
        };
        let device_type = device_type.and_then(|id| store.device_types().of(id));
        device_type.map_or(self.config.emission, |device_type| device_type.emission.over(self.config.emission))
    }

    /// The session that the Inform is to open: the one it was to be sent again in, else a new one. `None`: no randomness.
    fn unopened(&self, post: &Post, identity: &DeviceIdentity, now: Timestamp) -> Option<Unopened> {
        match self.sessions.take_unopened(identity) {
            Some(known) if post.cookie == Some(known.token) || post.connection == known.connection => {
                Some(Unopened { connection: post.connection, ..known })
            }
            // Who says the same name elsewhere has not been given that cookie.
            Some(stranger) => Some(Unopened { token: Self::new_token()?, connection: post.connection, ..stranger }),
            None => Some(Unopened {
                token: Self::new_token()?,
                connection: post.connection,
                session: Session::new(now, self.next_salt(), self.config.session),
                began_at: now,
            }),
        }
    }

    /// The Inform could not be recorded just now: the CPE is to send it again, or, if it has, to come back later.
    fn postpone(
        &self,
        identity: DeviceIdentity,
        mut unopened: Unopened,
        envelope: &Envelope<'_>,
        error: &OnboardError,
        now: Timestamp,
    ) -> Answer {
        match unopened.session.retry_inform(now) {
            Action::RetryInform => {}
            Action::Refuse(outcome) => {
                self.meters.count_session(outcome, now.since(unopened.began_at).as_secs_f64());
                return Self::unavailable(error);
            }
            _ => return Self::unavailable(error),
        }
        tracing::warn!(%error, %identity, "the Inform of {identity} is to be sent again: {}", reason(error));
        metrics::counter!(names::INFORM_RETRIES).increment(1);
        let header = Header { id: envelope.header.id.clone(), ..Header::default() };
        let fault = Body::Fault(Fault::from(AcsFault::RetryRequest));
        let body = Self::encode(&header, &fault, unopened.session.emission());
        let cookie = Some(unopened.token);
        self.sessions.await_inform(identity, unopened);
        Answer::Envelope { body, cookie }
    }

    /// The Inform of the open session once more: the same answer once more (quirk 12).
    fn repeated(&self, post: &Post, envelope: &Envelope<'_>, inform: &Inform<'_>) -> Option<Answer> {
        let token = post.cookie.or_else(|| self.sessions.of_connection(post.connection))?;
        let Taken::Live(mut live) = self.sessions.take(token) else { return None };
        // Only to the connection that proved itself: the answer carries the cookie.
        let same = live.session.is_repetition(envelope, inform) && live.connection == post.connection;
        let answer = same.then(|| Answer::Envelope { body: live.sent.clone(), cookie: Some(live.token) });
        if let Some(answer) = &answer {
            live.trace.heard(post, self.now());
            live.trace.said(answer, self.now());
        }
        match self.sessions.put_back(live) {
            PutBack::Kept => answer,
            // A newer session has begun meanwhile and has nothing to take over: nothing was running before the first call.
            PutBack::Superseded(_) => None,
        }
    }

    /// Lets the device in, or says why not. The place is its session's until that is in the table.
    async fn admit(
        &self,
        post: &Post,
        inform: &Inform<'_>,
        identity: &DeviceIdentity,
        now: Timestamp,
    ) -> Result<((Option<Caller>, Principal), Place<'_>), Refusal> {
        if post.authorization.is_some() && self.gate.is_shut_to(post.peer.ip(), now) {
            metrics::counter!(names::REFUSED, "reason" => "login_rate").increment(1);
            return Err(Answer::Busy { retry_after: SHUT_OUT });
        }
        let device = match self.services.onboarding.lookup(identity).await {
            Ok(device) => device,
            Err(error) => return Err(Self::unavailable(&OnboardError::Store(error))),
        };
        let record = |refusal: &Refusal| self.record_refusal(device.as_ref(), post, refusal, now);
        let place = self.shed(inform, identity, device.as_ref().map(|device| device.key), now).inspect_err(record)?;
        let bootstrap = has(inform, EventCode::Bootstrap);
        let claim = Claim {
            authorization: post.authorization.as_deref(),
            device: device.as_ref().map(|device| &device.profile),
            bootstrap,
        };
        let judged = match self.gate.judge(claim, now) {
            Passage::Granted(principal) => Ok(principal),
            Passage::Challenge { www_authenticate, failed } => {
                Err(self.challenged(post, claim.device, www_authenticate, failed, now))
            }
            Passage::Forbidden(reason) => {
                metrics::counter!(names::REFUSED, "reason" => "forbidden").increment(1);
                self.note_refusal(post, claim.device, RefusalReason::Unknown, now);
                tracing::info!(%identity, peer = %post.peer, "{identity} from {} was turned away: {reason}", post.peer);
                Err(Answer::Forbidden { reason })
            }
        };
        let principal = judged.inspect_err(record)?;
        Ok(((device, principal), place))
    }

    /// Overload: periodic Informs of idle devices are refused first, everything new only when nothing is left
    /// (design.md §7).
    fn shed(
        &self,
        inform: &Inform<'_>,
        identity: &DeviceIdentity,
        device: Option<DeviceKey>,
        now: Timestamp,
    ) -> Result<Place<'_>, Refusal> {
        // Taken before it is counted what there is: those who come at the same time see each other.
        let (place, opening) = Place::among(&self.opening);
        let open = self.sessions.len().saturating_add(opening);
        let busy = self.exchanges.load(Ordering::Relaxed);
        let full =
            |used: usize, limit: usize, percent: usize| used.saturating_mul(100) >= limit.saturating_mul(percent);
        // One that was told to send its Inform again has its place already, one that begins anew gives up its own.
        let has_place = || {
            self.sessions.awaits_inform(identity)
                || device.is_some_and(|device| self.services.presence.in_session(device))
        };
        let open = if full(open, self.config.sessions_max, SHED_FROM_PERCENT) && has_place() { 0 } else { open };
        let beyond =
            |percent| full(open, self.config.sessions_max, percent) || full(busy, self.config.exchanges_max, percent);
        let reason = if beyond(100) {
            "overload"
        } else if beyond(SHED_FROM_PERCENT) && self.is_idle_report(inform, device, now) {
            "overload_periodic"
        } else {
            return Ok(place);
        };
        metrics::counter!(names::REFUSED, "reason" => reason).increment(1);
        Err(Answer::Busy { retry_after: retry_after() })
    }

    fn is_idle_report(&self, inform: &Inform<'_>, device: Option<DeviceKey>, now: Timestamp) -> bool {
        inform.events.iter().all(|event| matches!(event.code, EventCode::Periodic | EventCode::Unknown))
            && device.is_some_and(|key| !self.services.store.has_work(key, now))
    }

    /// Puts the session into the table, ends the one it supersedes, and answers.
    async fn establish(
        self: &Arc<Self>,
        post: &Post,
        (device, opened_by): (Device, Principal),
        (Unopened { token, session, began_at, .. }, flags): (Unopened, EmissionFlags),
        body: Bytes,
    ) -> Answer {
        // Reserved before it is announced: an even newer session has to find it.
        self.sessions.reserve(token, post.connection);
        let old = self.services.presence.enter(device.key, token.0);
        // Not before it counts as here: whoever wants it now would call it once more.
        self.services.presence.informed.fire(device.key);
        match old.map_or(Predecessor::Gone, |old| self.sessions.supersede(SessionToken(old))) {
            Predecessor::Idle(old) => {
                tracing::debug!(device.id = %device.key, "a new Inform of device {} ends its open session", device.key);
                self.wind_up(old, Outcome::Superseded).await;
                self.reclaim(device.key).await;
            }
            Predecessor::Gone => self.reclaim(device.key).await,
            Predecessor::Busy => {}
        }
        let answer = Answer::Envelope { body: body.clone(), cookie: Some(token) };
        let trace = self.begin_recording(device.key, &device.profile, post, &answer, began_at);
        let live = Box::new(Live {
            token,
            device: device.key,
            session,
            connection: post.connection,
            opened_by,
            address: post.peer.ip(),
            called_at: (post.host.clone(), post.transport),
            cookie_seen: false,
            running: None,
            known: HashMap::new(),
            walk: None,
            wanted: None,
            device_type: type_of(&*self.services.store, &device.profile),
            wanted_login: None,
            tried: Vec::new(),
            faults_told: 0,
            sent: body,
            opened_at: began_at,
            flags,
            snapshot: Box::new(device),
            trace,
        });
        if let PutBack::Superseded(live) = self.sessions.put_back(live) {
            self.wind_up(live, Outcome::Superseded).await;
        }
        answer
    }

    /// The store does not take what was said: the CPE keeps its events and comes back.
    pub(super) fn unavailable(error: &OnboardError) -> Answer {
        tracing::error!(%error, cause = reason(error), "an Inform was refused");
        metrics::counter!(names::REFUSED, "reason" => "store").increment(1);
        Answer::Busy { retry_after: retry_after() }
    }
}

/// What stands behind an error, for the log.
fn reason(error: &OnboardError) -> String {
    let source = std::error::Error::source(error);
    let deepest = std::iter::successors(source, |cause| cause.source()).last();
    deepest.map(ToString::to_string).unwrap_or_default()
}

fn has(inform: &Inform<'_>, code: EventCode) -> bool {
    inform.events.iter().any(|event| event.code == code)
}
