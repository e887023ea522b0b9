//! The body of an answer: a part of a file, read when it can be sent, no sooner.

use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};

use super::meters::{Meter, Outcome};
use super::pacing::Pacer;
use crate::files::{CHUNK_BYTES, FileContent};

type Step = Pin<Box<dyn Future<Output = io::Result<(Bytes, BytesMut)>> + Send>>;

/// A line of words, or a part of a file.
pub struct FileBody {
    kind: Kind,
}

enum Kind {
    Text(Bytes),
    File(Box<Sending>),
}

struct Sending {
    content: FileContent,
    part: Range<u64>,
    pacers: Vec<Arc<Pacer>>,
    /// Largest piece.
    piece: u64,
    buffer: BytesMut,
    step: Option<Step>,
    meter: Meter,
}

impl FileBody {
    pub(super) fn empty() -> Self {
        Self { kind: Kind::Text(Bytes::new()) }
    }

    pub(super) fn text(line: String) -> Self {
        Self { kind: Kind::Text(line.into()) }
    }

    pub(super) fn of(content: FileContent, part: Range<u64>, pacers: Vec<Arc<Pacer>>, meter: Meter) -> Self {
        let largest = u64::try_from(CHUNK_BYTES).unwrap_or(u64::MAX);
        let piece = pacers.iter().map(|pacer| pacer.piece()).min().unwrap_or(largest).min(largest);
        let buffer = BytesMut::new();
        Self { kind: Kind::File(Box::new(Sending { content, part, pacers, piece, buffer, step: None, meter })) }
    }

    /// Whether it is a file on its way.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.kind, Kind::File(_))
    }

    fn left(&self) -> u64 {
        match &self.kind {
            Kind::Text(text) => u64::try_from(text.len()).unwrap_or(u64::MAX),
            Kind::File(sending) => sending.part.end - sending.part.start,
        }
    }
}

impl Sending {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        let left = self.part.end - self.part.start;
        if left == 0 {
            return Poll::Ready(None);
        }
        let step = self.step.get_or_insert_with(|| {
            let (content, pacers) = (self.content.clone(), self.pacers.clone());
            let (offset, length) = (self.part.start, left.min(self.piece));
            let buffer = std::mem::take(&mut self.buffer);
            Box::pin(async move {
                for pacer in &pacers {
                    pacer.wait(length).await;
                }
                content.read(offset, length, buffer).await
            })
        });
        let read = ready!(step.as_mut().poll(cx));
        self.step = None;
        Poll::Ready(Some(read.map(|(bytes, buffer)| {
            self.buffer = buffer;
            self.part.start += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.meter.moved(bytes.len());
            if self.part.is_empty() {
                self.meter.end(Outcome::Complete);
            }
            bytes
        })))
    }
}

impl Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match &mut self.kind {
            Kind::Text(text) if text.is_empty() => Poll::Ready(None),
            Kind::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
            Kind::File(sending) => match ready!(sending.poll_piece(cx)) {
                None => Poll::Ready(None),
                Some(Ok(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(Err(error)) => {
                    tracing::error!(%error, "a file could not be read to its end");
                    sending.meter.end(Outcome::Failed);
                    Poll::Ready(Some(Err(error)))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
