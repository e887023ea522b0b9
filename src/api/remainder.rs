//! What is left of a body when the answer is ready before the body is read: too large, no token, no such path.
//!
//! Many clients read no answer before they have sent everything. If acsd closed the connection under them, they would
//! see a broken pipe in the place of the answer. So the rest is received and thrown away, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::sync::oneshot;

/// Most bytes that are thrown away for one request.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Longest that is done for one request.
const MAX_TIME: Duration = Duration::from_secs(5);

/// Gets the body back once nobody wants to read it any more.
pub(super) struct Remainder {
    body: oneshot::Receiver<Body>,
}

impl Remainder {
    /// Has the body of a request come back when it is dropped.
    pub(super) fn of(request: Request) -> (Request, Self) {
        let (sender, receiver) = oneshot::channel();
        // Such a client sends nothing before it is asked to, which the first read of its body does.
        let waits = request.headers().contains_key(header::EXPECT);
        let request =
            request.map(|inner| Body::new(Borrowed { inner: Some(inner), back: Some(sender), unsent: waits }));
        (request, Self { body: receiver })
    }

    /// Receives the rest and throws it away.
    pub(super) async fn discard(mut self) {
        let Ok(body) = self.body.try_recv() else { return };
        if body.is_end_stream() {
            return;
        }
        let receiving = async {
            let (mut body, mut left) = (body, MAX_BYTES);
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                match left.checked_sub(bytes) {
                    Some(rest) => left = rest,
                    None => break,
                }
            }
        };
        if tokio::time::timeout(MAX_TIME, receiving).await.is_err() {
            tracing::debug!("the rest of a refused body took too long to arrive");
        }
    }
}

/// A body that goes back to its [`Remainder`].
struct Borrowed {
    /// Taken when it is broken or goes back.
    inner: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
    /// The client sends nothing of it yet.
    unsent: bool,
}

impl http_body::Body for Borrowed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.unsent = false;
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(inner).poll_frame(context));
        if matches!(frame, Some(Err(_))) {
            self.inner = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        if let (false, Some(inner), Some(back)) = (self.unsent, self.inner.take(), self.back.take()) {
            // Nobody waits for it when the request itself was given up.
            if back.send(inner).is_err() {
                tracing::trace!("a body has nowhere to go back to");
            }
        }
    }
}
