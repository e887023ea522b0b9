//! How long a connection may take for what it is doing, and the stream wrapper that sees what it does.
//!
//! hyper does not tell when the first byte of a request arrives, nor lets one time-out cover headers and body, so both
//! are watched here: the stream notes bytes, the service notes phases, and the connection task asks whether the time
//! is over. All three run in one task at a time; the atomics are there because the parts are owned apart.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// No deadline.
const NEVER: u64 = u64::MAX;
/// How hyper spells the header when it writes headers in title case.
const CHALLENGE_TITLE_CASE: &[u8] = b"\r\nWww-Authenticate:";
/// How it is spelt in RFC 9110, and compared by CPEs that compare exactly (quirk 42).
const CHALLENGE: &[u8] = b"\r\nWWW-Authenticate:";

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Waiting for a request, the answer before it perhaps still going out.
    Idle = 0,
    /// In the middle of a request.
    Receiving = 1,
    /// The request is complete and being answered: the time is ours.
    Answering = 2,
    /// A file is going out, as fast as the CPE takes it; or has gone out, and nothing has come since.
    Sending = 3,
}

/// The clock and state of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    start: Instant,
    request: Duration,
    idle: Duration,
    /// Without a byte that the CPE has taken, while a file goes out.
    stall: Duration,
    phase: AtomicU8,
    /// Milliseconds after `start`.
    deadline: AtomicU64,
    mid_session: AtomicBool,
    challenging: AtomicBool,
}

impl Pace {
    pub(super) fn new(request: Duration, idle: Duration, stall: Duration) -> Arc<Self> {
        let pace = Self {
            start: Instant::now(),
            request,
            idle,
            stall,
            phase: AtomicU8::new(Phase::Idle as u8),
            deadline: AtomicU64::new(NEVER),
            mid_session: AtomicBool::new(false),
            challenging: AtomicBool::new(false),
        };
        pace.enter(Phase::Idle);
        Arc::new(pace)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            1 => Phase::Receiving,
            2 => Phase::Answering,
            3 => Phase::Sending,
            _ => Phase::Idle,
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        let deadline = match phase {
            Phase::Idle => self.after(self.idle),
            Phase::Receiving => self.after(self.request),
            Phase::Answering => NEVER,
            Phase::Sending => self.after(self.stall.max(self.idle)),
        };
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    /// A request has begun; says so once.
    pub(super) fn begin_request(&self) {
        if matches!(self.phase(), Phase::Idle | Phase::Sending) {
            self.enter(Phase::Receiving);
        }
    }

    /// Whether the CPE was told to go on: then its connection outlives a shutdown for a while.
    pub(super) fn set_mid_session(&self, mid_session: bool) {
        self.mid_session.store(mid_session, Ordering::Relaxed);
    }

    /// Nothing is under way on this connection.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.phase(), Phase::Idle | Phase::Sending) && !self.mid_session.load(Ordering::Relaxed)
    }

    /// The next head to be written holds a challenge.
    pub(super) fn announce_challenge(&self) {
        self.challenging.store(true, Ordering::Relaxed);
    }

    /// Ready with the phase that took too long.
    pub(super) fn poll_expired(&self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<Phase> {
        loop {
            let deadline = match self.deadline.load(Ordering::Relaxed) {
                NEVER => None,
                millis => Some(self.start + Duration::from_millis(millis)),
            };
            // The timer is only ever moved when it would be late, or has fired early: a request that follows another
            // costs no visit to the timer wheel.
            if let Some(deadline) = deadline
                && timer.deadline() > deadline
            {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            match deadline {
                Some(deadline) if Instant::now() >= deadline => return Poll::Ready(self.phase()),
                Some(deadline) => timer.as_mut().reset(deadline),
                None => timer.as_mut().reset(Instant::now() + self.request),
            }
        }
    }

    fn after(&self, span: Duration) -> u64 {
        u64::try_from((self.start.elapsed() + span).as_millis()).unwrap_or(NEVER)
    }
}

/// A stream that tells its [`Pace`] of every byte.
#[derive(Debug)]
pub(super) struct Paced<S> {
    stream: S,
    pace: Arc<Pace>,
}

impl<S> Paced<S> {
    pub(super) const fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self { stream, pace }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.pace.begin_request();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Paced<S> {
    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        let phase = self.pace.phase();
        if matches!(written, Poll::Ready(Ok(1..))) && matches!(phase, Phase::Idle | Phase::Sending) {
            self.pace.enter(phase);
        }
    }

    /// Writes the head of a 401 with its headers spelt as they should be. `None` when the head is not in `buf`.
    fn poll_write_challenge(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Option<Poll<io::Result<usize>>> {
        let at = memchr::memmem::rfind(buf, CHALLENGE_TITLE_CASE)?;
        let mut respelt = buf.to_vec();
        for at in memchr::memmem::find_iter(buf, CHALLENGE_TITLE_CASE) {
            respelt.get_mut(at..at + CHALLENGE.len())?.copy_from_slice(CHALLENGE);
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, &respelt);
        if matches!(written, Poll::Ready(Ok(written)) if written > at) {
            self.pace.challenging.store(false, Ordering::Relaxed);
        }
        Some(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let challenge =
            if this.pace.challenging.load(Ordering::Relaxed) { this.poll_write_challenge(cx, buf) } else { None };
        let written = challenge.unwrap_or_else(|| Pin::new(&mut this.stream).poll_write(cx, buf));
        this.note_written(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.pace.challenging.load(Ordering::Relaxed) {
            let first = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| &**buf);
            return self.poll_write(cx, first);
        }
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
