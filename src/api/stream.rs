//! Answers that are made while they are sent: bounded in bytes, ended with the client's interest in them.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::Frame;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

/// Why a stream ended before its end.
pub(super) type Broken = Box<dyn Error + Send + Sync>;

/// Where the making of an answer puts what is ready. Bounded by the bytes that wait.
#[derive(Debug, Clone)]
pub(super) struct Pipe {
    sender: UnboundedSender<Piece>,
    room: Arc<Semaphore>,
    room_bytes: u32,
    patience: Duration,
}

type Piece = (Bytes, OwnedSemaphorePermit);

/// Nobody takes what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client does not take the answer")]
pub(super) struct NotTaken;

impl Pipe {
    /// Waits until there is room.
    ///
    /// # Errors
    /// [`NotTaken`] when the client is gone, or has not taken anything for as long as it may.
    pub(super) async fn send(&self, bytes: Bytes) -> Result<(), NotTaken> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).clamp(1, self.room_bytes);
        let room = Arc::clone(&self.room).acquire_many_owned(length);
        let permit = tokio::time::timeout(self.patience, room).await.map_err(|_elapsed| NotTaken)?;
        self.sender.send((bytes, permit.map_err(|_closed| NotTaken)?)).map_err(|_gone| NotTaken)
    }
}

/// A body that `work` makes. The work ends when the body is dropped; a body whose work failed breaks off, so that no client
/// takes it for whole.
pub(super) fn body<F>(room_bytes: u32, patience: Duration, work: impl FnOnce(Pipe) -> F) -> Body
where
    F: Future<Output = Result<(), Broken>> + Send + 'static,
{
    let (sender, pieces) = mpsc::unbounded_channel();
    let pipe = Pipe { sender, room: Arc::new(Semaphore::new(widen(room_bytes))), room_bytes, patience };
    let mut making = JoinSet::new();
    making.spawn(work(pipe));
    Body::new(Streamed { pieces, making })
}

fn widen(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

struct Streamed {
    pieces: UnboundedReceiver<Piece>,
    /// One task, ended with this body.
    making: JoinSet<Result<(), Broken>>,
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if let Some((bytes, _room)) = ready!(self.pieces.poll_recv(context)) {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        Poll::Ready(match ready!(self.making.poll_join_next(context)) {
            None | Some(Ok(Ok(()))) => None,
            Some(Ok(Err(broken))) => {
                tracing::warn!("a streamed answer broke off: {broken}");
                Some(Err(broken))
            }
            Some(Err(panicked)) => {
                tracing::error!("a streamed answer broke off: {panicked}");
                Some(Err(panicked.into()))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test(start_paused = true)]
    async fn a_stream_is_whole_or_breaks_off() {
        let second = Duration::from_secs(1);
        let whole = body(4, second, |pipe| async move {
            for piece in ["ab", "cdefgh", "i"] {
                pipe.send(Bytes::from_static(piece.as_bytes())).await?;
            }
            Ok(())
        });
        assert_eq!(whole.collect().await.expect("whole").to_bytes(), "abcdefghi");
        let broken = body(4, second, |pipe| async move {
            pipe.send(Bytes::from_static(b"ab")).await?;
            Err("no more".into())
        });
        assert!(broken.collect().await.is_err());
        let mut stalled = body(2, second, |pipe| async move {
            loop {
                pipe.send(Bytes::from_static(b"ab")).await?;
            }
        });
        assert!(stalled.frame().await.expect("a frame").is_ok());
        tokio::time::sleep(second * 3).await;
        assert!(stalled.collect().await.is_err(), "nobody took it in time");
    }
}
