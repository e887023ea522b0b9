//! What goes out: an answer that is at hand, or a file that is read as the CPE takes it.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Bytes;

use super::carriage::Boarded;
use super::gate::Aside;
use super::pace::{Pace, Phase};
use crate::acs::files::FileBody;

/// The body of an answer.
pub(super) enum Outgoing {
    /// Of an exchange.
    Whole(Full<Bytes>),
    /// Of the file server, a few words at most.
    Line(FileBody),
    /// A file.
    File(Streamed),
}

/// Keeps a connection out of the count and on the bulk lane while a file goes over it.
pub(super) struct UnderWay {
    _aside: Aside,
    _boarded: Boarded,
}

impl UnderWay {
    pub(super) const fn new(aside: Aside, boarded: Boarded) -> Self {
        Self { _aside: aside, _boarded: boarded }
    }
}

/// A file on its way: tells its connection's clock who holds it up.
pub(super) struct Streamed {
    body: FileBody,
    pace: Arc<Pace>,
    _under_way: UnderWay,
}

impl Streamed {
    pub(super) fn new(body: FileBody, pace: Arc<Pace>, under_way: UnderWay) -> Self {
        Self { body, pace, _under_way: under_way }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(cx).map_err(|never: Infallible| match never {}),
            Self::Line(body) => Pin::new(body).poll_frame(cx),
            Self::File(Streamed { body, pace, .. }) => {
                let polled = Pin::new(body).poll_frame(cx);
                // While the disk or a limit of bytes per second is waited for, the CPE is not to blame.
                pace.enter(if polled.is_pending() { Phase::Answering } else { Phase::Sending });
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Line(body) => body.is_end_stream(),
            Self::File(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Line(body) => body.size_hint(),
            Self::File(streamed) => streamed.body.size_hint(),
        }
    }
}
