//! The event stream: one client, read from the log by number. Nothing is queued for it: who reads slowly is behind, not a
//! burden.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::super::ApiState;
use super::super::access::Caller;
use super::super::error::ApiError;
use crate::events::view::EventView;
use crate::model::event::{Event, EventId};
use crate::store::events::EventFilter;
use crate::telemetry::names;

/// Events that are sent at a time.
const BATCH: usize = 64;
/// How long nothing may be sent: proxies close what seems dead, and a token may have been revoked.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client waits before it comes back, in milliseconds.
const RETRY_MS: u32 = 2_000;

/// Answers with the stream, from behind `start` on.
pub(super) fn open(
    state: Arc<ApiState>,
    caller: Caller,
    filter: EventFilter,
    start: EventId,
) -> Result<Response, ApiError> {
    let Ok(place) = Arc::clone(&state.streams).try_acquire_owned() else {
        return Err(ApiError::Detail {
            status: StatusCode::SERVICE_UNAVAILABLE,
            detail: "Too many clients read the event stream. Try again later.".into(),
        });
    };
    metrics::gauge!(names::EVENT_STREAMS).increment(1);
    let news = state.store.watch_events();
    let reader = Reader { state, caller, filter, cursor: start, news, begun: false, _place: Place(place) };
    let mut response = Response::new(Body::new(Stream { next: Some(Box::pin(reader.next())) }));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // Proxies that gather answers before they pass them on.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A place among the streams.
struct Place(#[expect(dead_code, reason = "given back when it is dropped")] OwnedSemaphorePermit);

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!(names::EVENT_STREAMS).decrement(1);
    }
}

/// Where a client is in the log.
struct Reader {
    state: Arc<ApiState>,
    caller: Caller,
    filter: EventFilter,
    cursor: EventId,
    news: watch::Receiver<EventId>,
    begun: bool,
    _place: Place,
}

impl Reader {
    /// Looks at the token again: it may have been revoked, or may see others than it did.
    fn is_still_let_in(&mut self) -> bool {
        let Some(caller) = self.caller.renewed(&self.state) else { return false };
        self.filter.visible = caller.visible().map(<[_]>::to_vec);
        self.caller = caller;
        true
    }

    /// Waits for the next piece; `None`: the stream is over.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some((format!("retry: {RETRY_MS}\n\n").into(), self));
        }
        let draining = self.state.draining.clone();
        let silence = tokio::time::sleep(KEEP_ALIVE);
        tokio::pin!(silence);
        loop {
            if draining.is_cancelled() || !self.is_still_let_in() {
                return None;
            }
            // Marked as seen before it is read: what comes meanwhile is news.
            self.news.mark_unchanged();
            let batch = match self.state.store.events_after(self.cursor, &self.filter, BATCH).await {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(%error, "an event stream breaks off");
                    return None;
                }
            };
            let is_behind = batch.trimmed > 0 && self.cursor > EventId(0);
            self.cursor = batch.up_to;
            if !batch.events.is_empty() {
                let gap = if is_behind { ": some events before these are no longer kept\n\n" } else { "" };
                return Some((write(gap, batch.events).into(), self));
            }
            tokio::select! {
                () = draining.cancelled() => return None,
                changed = self.news.changed() => if changed.is_err() { return None },
                () = &mut silence => {
                    return self.is_still_let_in().then(|| (": keep-alive\n\n".into(), self));
                }
            }
        }
    }
}

fn write(head: &str, events: Vec<Event>) -> String {
    let mut text = head.to_owned();
    for event in events {
        let view = EventView::from(event);
        // JSON of one line: line breaks in it are escaped. Writing to a string cannot fail.
        let data = serde_json::to_string(&view).unwrap_or_default();
        if write!(text, "id: {}\nevent: {}\ndata: {data}\n\n", view.id, view.kind).is_err() {
            break;
        }
    }
    text
}

type Next = Pin<Box<dyn Future<Output = Option<(Bytes, Reader)>> + Send>>;

/// The pieces as a body.
struct Stream {
    /// `None`: it is over.
    next: Option<Next>,
}

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(next) = &mut self.next else { return Poll::Ready(None) };
        let piece = ready!(next.as_mut().poll(context));
        let (bytes, next) = piece.map(|(bytes, reader)| (bytes, Box::pin(reader.next()) as Next)).unzip();
        self.next = next;
        Poll::Ready(bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
