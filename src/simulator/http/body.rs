//! Request bodies: in one piece, in chunks, held back until the server says `100 Continue`, or made up on the way.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Framing;

/// How long a client that said `Expect: 100-continue` waits before it sends the body anyway (as libcurl does).
const CONTINUE_WAIT: Duration = Duration::from_secs(1);
/// Bytes of filling per frame.
const FILLING_BYTES: usize = 64 * 1024;

/// What speed tests upload: random, so that nothing on the way can compress it; the same for all.
static FILLING: LazyLock<Bytes> = LazyLock::new(|| {
    let mut random = fastrand::Rng::with_seed(0x5eed);
    (0..FILLING_BYTES).map(|_| random.u8(..)).collect()
});

/// A request body.
pub(in crate::simulator) struct RequestBody {
    source: Source,
    framing: Framing,
    hold: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

enum Source {
    Bytes(Bytes),
    Filling { left: u64, until: Option<Instant>, sent: Arc<Sent> },
}

/// How much of a made-up body has gone out, and when.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Sent(Mutex<Option<SentSoFar>>);

/// A part of a made-up body that has gone out.
#[derive(Debug, Clone, Copy)]
pub(in crate::simulator) struct SentSoFar {
    pub(in crate::simulator) first: Instant,
    pub(in crate::simulator) last: Instant,
    pub(in crate::simulator) bytes: u64,
}

impl Sent {
    pub(in crate::simulator) fn so_far(&self) -> Option<SentSoFar> {
        *self.0.lock()
    }

    fn add(&self, bytes: u64, now: Instant) {
        let mut sent = self.0.lock();
        let so_far = sent.get_or_insert(SentSoFar { first: now, last: now, bytes: 0 });
        so_far.bytes += bytes;
        so_far.last = now;
    }
}

/// What a held-back body waits for.
#[derive(Debug, Default)]
pub(super) struct GoAhead {
    pub(super) given: Notify,
    pub(super) missed: AtomicBool,
}

impl RequestBody {
    /// Bytes that are there, held back if the request `expects` a go-ahead.
    pub(super) fn new(rest: Bytes, framing: Framing, expects: bool) -> (Self, Option<Arc<GoAhead>>) {
        let go_ahead = (expects && !rest.is_empty()).then(Arc::<GoAhead>::default);
        let hold = go_ahead.clone().map(|go_ahead| -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async move {
                // Sent anyway when the second is over, as every such client does.
                if tokio::time::timeout(CONTINUE_WAIT, go_ahead.given.notified()).await.is_err() {
                    go_ahead.missed.store(true, Ordering::Relaxed);
                }
            })
        });
        (Self { source: Source::Bytes(rest), framing, hold }, go_ahead)
    }

    /// No body.
    pub(in crate::simulator) const fn empty() -> Self {
        Self { source: Source::Bytes(Bytes::new()), framing: Framing::Length, hold: None }
    }

    /// So many bytes of filling, which are never in memory at once; with `until`, as many as go out before that.
    pub(in crate::simulator) fn filling(bytes: u64, until: Option<Instant>) -> (Self, Arc<Sent>) {
        let sent = Arc::new(Sent::default());
        let framing = if until.is_some() { Framing::Chunked } else { Framing::Length };
        let source = Source::Filling { left: bytes, until, sent: Arc::clone(&sent) };
        (Self { source, framing, hold: None }, sent)
    }

    /// What `Content-Length` says, if it is said.
    pub(in crate::simulator) fn length(&self) -> Option<u64> {
        (self.framing == Framing::Length).then(|| self.left())
    }

    fn left(&self) -> u64 {
        match &self.source {
            Source::Bytes(rest) => u64::try_from(rest.len()).unwrap_or(u64::MAX),
            Source::Filling { left, .. } => *left,
        }
    }

    fn next_piece(&mut self) -> Option<Bytes> {
        match &mut self.source {
            Source::Bytes(rest) if rest.is_empty() => None,
            Source::Bytes(rest) => {
                let all = rest.len();
                let piece = if self.framing == Framing::Chunked { all.div_ceil(2).max(all.min(64)) } else { all };
                Some(rest.split_to(piece))
            }
            Source::Filling { left, until, sent } => {
                let now = Instant::now();
                if *left == 0 || until.is_some_and(|until| until <= now) {
                    *left = 0;
                    return None;
                }
                let piece = usize::try_from(*left).unwrap_or(usize::MAX).min(FILLING.len());
                let bytes = u64::try_from(piece).unwrap_or(0);
                *left -= bytes;
                sent.add(bytes, now);
                Some(FILLING.slice(..piece))
            }
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(hold) = &mut self.hold {
            if hold.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            self.hold = None;
        }
        Poll::Ready(self.next_piece().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0 && self.hold.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.length() {
            Some(length) => SizeHint::with_exact(length),
            None => SizeHint::default(),
        }
    }
}
