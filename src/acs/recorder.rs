//! Recording sessions of devices that are being looked into: what was said in both directions, secrets blanked.
//!
//! A [`Recording`] goes with its session and hands itself in when it is dropped, however the session ended. Nothing is
//! written meanwhile: [`Recorder::keep`] stores what was handed in, behind the back of the exchange.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::cwmp::codec::{self, Limits};
use crate::cwmp::message::{Body, Envelope, Request};
use crate::cwmp::session::Outcome;
use crate::model::trace::{Direction, SessionTrace, TraceId, TraceMessage, TraceOutcome};
use crate::store::Store;
use crate::telemetry::names;
use crate::types::ident::DeviceKey;
use crate::types::time::Timestamp;

use super::exchange::{Answer, Post};

/// Most messages of one recorded session.
const MESSAGES_MAX: usize = 4_096;
/// Most sessions that wait to be stored.
const FINISHED_MAX: usize = 1_024;
/// Most events of an Inform that are kept, and most characters of each: what the standard allows.
const EVENTS_MAX: usize = 64;
/// See [`EVENTS_MAX`].
const EVENT_MAX_CHARS: usize = 64;
/// What a message takes besides its text, about.
const MESSAGE_BYTES: usize = 128;

/// Bounds of what is recorded.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TraceConfig {
    /// Sessions kept of each device; 0: nothing is recorded.
    pub sessions_per_device: usize,
    /// Of one message, in bytes: longer ones are cut.
    pub message_max_bytes: usize,
    /// Of all messages of one session, in bytes: later ones are kept without their text.
    pub session_max_bytes: usize,
    /// Of all sessions that are being recorded at the same time, in bytes: beyond, messages are kept without their text.
    pub memory_max_bytes: usize,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self {
            sessions_per_device: 20,
            message_max_bytes: 256 << 10,
            session_max_bytes: 2 << 20,
            memory_max_bytes: 64 << 20,
        }
    }
}

/// Records the sessions of all devices that are traced.
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    config: TraceConfig,
    limits: Limits,
    /// Of everything that is being recorded or waits to be stored.
    held_bytes: AtomicUsize,
    finished: Mutex<VecDeque<Finished>>,
    news: Notify,
}

/// A recorded session on its way to the store.
struct Finished {
    device: DeviceKey,
    trace: SessionTrace,
    bytes: usize,
}

impl Recorder {
    /// A recorder that reads messages within `limits`.
    #[must_use]
    pub fn new(config: TraceConfig, limits: Limits) -> Self {
        let shared =
            Shared { config, limits, held_bytes: AtomicUsize::new(0), finished: Mutex::default(), news: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Begins with a device's Inform and the answer to it.
    #[must_use]
    pub fn begin(&self, device: DeviceKey, post: &Post, answer: &Answer, now: Timestamp) -> Recording {
        if self.shared.config.sessions_per_device == 0 {
            return Recording::default();
        }
        let trace = SessionTrace {
            id: TraceId::default(),
            started_at: now,
            ended_at: now,
            address: post.peer.ip(),
            events: self.shared.events(post),
            outcome: TraceOutcome::BrokenOff,
            messages: Vec::new(),
            omitted: 0,
        };
        let shared = Arc::clone(&self.shared);
        let mut recording = Recording(Some(Box::new(Reel { shared, device, trace, bytes: 0 })));
        recording.heard(post, now);
        recording.said(answer, now);
        recording
    }

    /// Records an Inform that was not let in.
    pub fn refused(&self, device: DeviceKey, post: &Post, answer: &Answer, now: Timestamp) {
        self.begin(device, post, answer, now).stop(TraceOutcome::Refused, now);
    }

    /// Stores finished recordings until told to stop; what is finished later is left to [`Self::store`].
    pub async fn keep(&self, store: &dyn Store, shutdown: &CancellationToken) {
        while shutdown.run_until_cancelled(self.shared.news.notified()).await.is_some() {
            self.store(store).await;
        }
    }

    /// Stores what is finished.
    pub async fn store(&self, store: &dyn Store) {
        loop {
            let Some(Finished { device, trace, bytes }) = self.shared.next_finished() else { return };
            let kept = store.keep_trace(device, trace, self.shared.config.sessions_per_device).await;
            self.shared.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
            let result = if kept.is_ok() { "kept" } else { "lost" };
            metrics::counter!(names::TRACES, "result" => result).increment(1);
            if let Err(error) = kept {
                tracing::warn!(device.id = %device, %error, "a recorded session of device {device} was not kept");
            }
        }
    }
}

impl Shared {
    fn next_finished(&self) -> Option<Finished> {
        self.finished.lock().pop_front()
    }

    fn hand_in(&self, finished: Finished) {
        let surplus = {
            let mut waiting = self.finished.lock();
            waiting.push_back(finished);
            if waiting.len() > FINISHED_MAX { waiting.pop_front() } else { None }
        };
        if let Some(lost) = surplus {
            self.held_bytes.fetch_sub(lost.bytes, Ordering::Relaxed);
            metrics::counter!(names::TRACES, "result" => "lost").increment(1);
        }
        self.news.notify_one();
    }

    fn events(&self, post: &Post) -> Vec<Box<str>> {
        let text = codec::to_text(&post.body, post.charset.as_deref());
        match codec::decode(&text, &self.limits) {
            Ok(Envelope { body: Body::Request(Request::Inform(inform)), .. }) => {
                let code = |raw: &str| raw.chars().take(EVENT_MAX_CHARS).collect::<String>().into();
                inform.events.iter().take(EVENTS_MAX).map(|event| code(&event.raw_code)).collect()
            }
            Ok(_) | Err(_) => Vec::new(),
        }
    }

    /// Name of the method, what may be shown of the text, and what a reader has to know of it.
    fn shown(&self, text: &str) -> (Box<str>, Box<str>, String) {
        if text.trim().is_empty() {
            return Default::default();
        }
        let rpc = match codec::decode(text, &self.limits) {
            Ok(envelope) => rpc_name(&envelope.body),
            Err(error) => return ("".into(), "".into(), withheld(text, &error)),
        };
        let blanked = match codec::blank_secrets(text, &self.limits) {
            Ok(blanked) => blanked,
            Err(error) => return (rpc, "".into(), withheld(text, &error)),
        };
        let max = self.config.message_max_bytes;
        if blanked.len() <= max {
            return (rpc, blanked.into(), String::new());
        }
        let cut = blanked.get(..blanked.floor_char_boundary(max)).unwrap_or_default();
        (rpc, cut.into(), format!("cut: {} bytes in all", blanked.len()))
    }

    /// Takes room for this many bytes, if there is any.
    fn reserve(&self, bytes: usize) -> bool {
        let held = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = held.saturating_add(bytes) <= self.config.memory_max_bytes;
        if !fits {
            self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

fn withheld(text: &str, error: &codec::DecodeError) -> String {
    format!("{} bytes that cannot be read, and so are not kept: {error}", text.len())
}

fn rpc_name(body: &Body<'_>) -> Box<str> {
    match body {
        Body::Empty => "".into(),
        Body::Request(request) => request.method().name().into(),
        Body::Response(response) => format!("{}Response", response.method().name()).into(),
        Body::Fault(_) => "Fault".into(),
        Body::Unknown(name) => name.chars().take(64).collect::<String>().into(),
    }
}

/// The recording of one session; nothing for a session that is not traced. Handed in when it is dropped.
#[derive(Default)]
pub struct Recording(Option<Box<Reel>>);

struct Reel {
    shared: Arc<Shared>,
    device: DeviceKey,
    trace: SessionTrace,
    bytes: usize,
}

impl Recording {
    /// Whether anything is recorded.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Records a POST of the CPE.
    pub fn heard(&mut self, post: &Post, now: Timestamp) {
        if let Some(reel) = &mut self.0 {
            let text = codec::to_text(&post.body, post.charset.as_deref());
            reel.add(Direction::In, None, &text, "", now);
        }
    }

    /// Records the answer to it.
    pub fn said(&mut self, answer: &Answer, now: Timestamp) {
        let Some(reel) = &mut self.0 else { return };
        let (status, text, note) = match answer {
            Answer::Envelope { body, .. } => (200, String::from_utf8_lossy(body), String::new()),
            Answer::Empty { .. } => (204, Cow::Borrowed(""), String::new()),
            Answer::Challenge { .. } => (401, Cow::Borrowed(""), "a login is asked for".to_owned()),
            Answer::Malformed { reason } => (400, Cow::Borrowed(""), reason.clone()),
            Answer::Forbidden { reason } => (403, Cow::Borrowed(""), (*reason).to_owned()),
            Answer::Busy { retry_after } => {
                (503, Cow::Borrowed(""), format!("to come back after {} s", retry_after.as_secs()))
            }
        };
        reel.add(Direction::Out, Some(status), &text, &note, now);
    }

    /// The session is over; what is said after it still belongs to it.
    pub fn ended(&mut self, outcome: Outcome, now: Timestamp) {
        if let Some(reel) = &mut self.0 {
            reel.trace.outcome = match outcome {
                Outcome::Completed => TraceOutcome::Completed,
                Outcome::LimitReached => TraceOutcome::LimitReached,
                Outcome::TimedOut => TraceOutcome::TimedOut,
                Outcome::Superseded => TraceOutcome::Superseded,
                Outcome::Unrecorded => TraceOutcome::BrokenOff,
            };
            reel.trace.ended_at = now;
        }
    }

    /// Ends the recording and hands it in, whatever becomes of the session.
    pub fn stop(&mut self, outcome: TraceOutcome, now: Timestamp) {
        if let Some(mut reel) = self.0.take() {
            reel.trace.outcome = outcome;
            reel.trace.ended_at = now;
        }
    }
}

impl Reel {
    fn add(&mut self, direction: Direction, status: Option<u16>, text: &str, note: &str, at: Timestamp) {
        self.trace.ended_at = at;
        if self.trace.messages.len() >= MESSAGES_MAX {
            self.trace.omitted = self.trace.omitted.saturating_add(1);
            return;
        }
        let (rpc, mut xml, mut remark) = self.shared.shown(text);
        let fits_session = self.bytes.saturating_add(xml.len()) <= self.shared.config.session_max_bytes;
        if !fits_session {
            (xml, remark) = ("".into(), "left out: the session is too long".to_owned());
        }
        let mut bytes = xml.len() + MESSAGE_BYTES;
        if !self.shared.reserve(bytes) {
            (xml, remark) = ("".into(), "left out: too much is being recorded at once".to_owned());
            // Bounded by the number of messages and of sessions, and so without asking.
            bytes = MESSAGE_BYTES;
            self.shared.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        self.bytes += bytes;
        let note = if note.is_empty() { remark } else { note.to_owned() };
        self.trace.messages.push(TraceMessage { at, direction, rpc, xml, status, note: note.into() });
    }
}

impl Drop for Reel {
    fn drop(&mut self) {
        let ended = SessionTrace {
            events: std::mem::take(&mut self.trace.events),
            messages: std::mem::take(&mut self.trace.messages),
            ..self.trace
        };
        self.shared.hand_in(Finished { device: self.device, trace: ended, bytes: self.bytes });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::acs::exchange::{Connection, ConnectionId, Transport};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn post(body: &str) -> Post {
        Post {
            peer: SocketAddr::from(([192, 0, 2, 7], 1)),
            connection: ConnectionId(1),
            transport: Transport::Plain,
            cookie: None,
            authorization: None,
            target: "/".into(),
            host: None,
            charset: None,
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn call(value: &str) -> String {
        format!(
            "<Envelope><Body><SetParameterValues><ParameterList><s><Name>D.Password</Name><Value>{value}</Value></s>\
             <s><Name>D.X</Name><Value>{value}</Value></s></ParameterList></SetParameterValues></Body></Envelope>"
        )
    }

    fn recorder(config: TraceConfig) -> Recorder {
        Recorder::new(config, Limits::default())
    }

    const DONE: Answer = Answer::Empty { connection: Connection::Keep };

    #[test]
    fn a_session_is_handed_in_with_all_that_was_said() {
        let recorder = recorder(TraceConfig::default());
        let mut recording = recorder.begin(DeviceKey(7), &post(&call("x")), &DONE, NOW);
        recording.heard(&post("no <xml"), NOW);
        recording.said(&Answer::Busy { retry_after: Duration::from_mins(1) }, NOW);
        recording.heard(&post("  "), NOW);
        recording.ended(Outcome::Completed, NOW + Duration::from_secs(1));
        recording.said(&DONE, NOW + Duration::from_secs(1));
        assert!(recorder.shared.next_finished().is_none(), "not before it is over");
        drop(recording);
        let finished = recorder.shared.next_finished().expect("handed in");
        let trace = finished.trace;
        assert_eq!((trace.outcome, trace.ended_at.since(NOW)), (TraceOutcome::Completed, Duration::from_secs(1)));
        let shown: Vec<(Option<u16>, &str)> =
            trace.messages.iter().map(|message| (message.status, &*message.rpc)).collect();
        let want =
            [(None, "SetParameterValues"), (Some(204), ""), (None, ""), (Some(503), ""), (None, ""), (Some(204), "")];
        assert_eq!(shown, want);
        let xml = &*trace.messages[0].xml;
        assert!(xml.contains("D.Password</Name><Value>****<") && xml.contains("D.X</Name><Value>x<"), "{xml}");
        assert_eq!(&*trace.messages[2].xml, "");
        assert!(trace.messages[2].note.starts_with("7 bytes that cannot be read"), "{}", trace.messages[2].note);
    }

    #[test]
    fn everything_is_bounded() {
        let config = TraceConfig { message_max_bytes: 20, session_max_bytes: 50, ..TraceConfig::default() };
        let recorder = recorder(config);
        let mut recording = recorder.begin(DeviceKey(7), &post(&call("é")), &DONE, NOW);
        for _ in 0..MESSAGES_MAX {
            recording.heard(&post(&call("x")), NOW);
        }
        recording.stop(TraceOutcome::Stopped, NOW);
        let Finished { trace, .. } = recorder.shared.next_finished().expect("handed in");
        assert_eq!((trace.messages.len(), trace.omitted), (MESSAGES_MAX, 2));
        assert_eq!((trace.messages[0].xml.len(), &*trace.messages[0].note), (20, "cut: 195 bytes in all"));
        let last = trace.messages.last().expect("there");
        assert_eq!((&*last.rpc, &*last.xml), ("SetParameterValues", ""));
        assert!(last.note.starts_with("left out"), "{}", last.note);

        let config = TraceConfig { memory_max_bytes: 0, ..TraceConfig::default() };
        let recorder = Recorder::new(config, Limits::default());
        drop(recorder.begin(DeviceKey(7), &post(&call("x")), &DONE, NOW));
        let Finished { trace, bytes, .. } = recorder.shared.next_finished().expect("handed in");
        assert!(trace.messages.iter().all(|message| message.xml.is_empty()));
        assert_eq!(recorder.shared.held_bytes.load(Ordering::Relaxed), bytes);

        let event = format!("<EventStruct><EventCode>{}</EventCode><CommandKey/></EventStruct>", "x".repeat(1_000));
        let inform = format!(
            "<Envelope><Body><Inform><DeviceId><Manufacturer>M</Manufacturer><OUI>00D09E</OUI>\
             <ProductClass>P</ProductClass><SerialNumber>1</SerialNumber></DeviceId><Event>{}</Event>\
             <MaxEnvelopes>1</MaxEnvelopes><CurrentTime>2026-01-01T00:00:00</CurrentTime><RetryCount>0</RetryCount>\
             <ParameterList/></Inform></Body></Envelope>",
            event.repeat(EVENTS_MAX + 1)
        );
        drop(recorder.begin(DeviceKey(7), &post(&inform), &DONE, NOW));
        let Finished { trace, .. } = recorder.shared.next_finished().expect("handed in");
        assert_eq!((trace.events.len(), trace.events[0].len()), (EVENTS_MAX, EVENT_MAX_CHARS));

        let none = Recorder::new(TraceConfig { sessions_per_device: 0, ..TraceConfig::default() }, Limits::default());
        assert!(!none.begin(DeviceKey(7), &post(""), &DONE, NOW).is_on());
        for _ in 0..=FINISHED_MAX {
            drop(recorder.begin(DeviceKey(7), &post(""), &DONE, NOW));
        }
        assert_eq!(recorder.shared.finished.lock().len(), FINISHED_MAX);
    }
}
