//! A file as it arrives: hashed and written piece by piece, never held whole.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::beginning::Beginning;
use super::folder::{Continued, Folder, Held, NoRoom, Scratch, Sha256Sum};
use crate::model::file::ImageId;

/// Pieces are gathered up to this before a thread that may block takes them.
const GATHER_BYTES: usize = 128 << 10;
/// After so many bytes of an image they are made certain, so that a crash costs no more.
const CHECKPOINT_BYTES: u64 = 16 << 20;

/// Why a file could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// Larger than files may be.
    #[error("the file is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// No room for it.
    #[error("{0}")]
    NoRoom(NoRoom),
    /// The disk failed.
    #[error("the file could not be written")]
    Io(#[source] io::Error),
}

impl From<io::Error> for ReceiveError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull || error.kind() == io::ErrorKind::QuotaExceeded {
            Self::NoRoom(NoRoom::Disk)
        } else {
            Self::Io(error)
        }
    }
}

/// A file that is being received. Dropped before it is complete, it leaves nothing behind but, of an image, what is here.
#[derive(Debug)]
pub struct Draft {
    folder: Arc<Folder>,
    /// Away while a thread writes.
    open: Option<Open>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    length: u64,
    limit_bytes: u64,
}

/// What the writing thread has.
#[derive(Debug)]
struct Open {
    file: File,
    hash: Sha256,
    scratch: Scratch,
    written: u64,
    certain: u64,
}

/// The right to write an image: given back when dropped.
pub(super) type Turn = Box<dyn std::any::Any + Send + Sync>;

impl Open {
    fn write(&mut self, folder: &Folder, pieces: &[Bytes]) -> Result<(), ReceiveError> {
        for piece in pieces {
            let more = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            folder.room(self.written, more).map_err(ReceiveError::NoRoom)?;
            self.file.write_all(piece)?;
            self.hash.update(piece);
            self.written = self.written.saturating_add(more);
        }
        if self.scratch.is_resumable() && self.written.saturating_sub(self.certain) >= CHECKPOINT_BYTES {
            self.make_certain()?;
        }
        Ok(())
    }

    /// Removes it. Whoever does not wait for that has it removed all the same.
    fn discard(self, folder: &Folder) -> impl Future<Output = ()> + use<> {
        let discarding = folder.blocking(move || {
            let Self { file, scratch, .. } = self;
            scratch.discard();
            drop(file);
            Ok(())
        });
        async move {
            if let Err(error) = discarding.await {
                tracing::debug!(%error, "a file of no use was left to the next start");
            }
        }
    }

    fn make_certain(&mut self) -> io::Result<()> {
        if self.scratch.is_resumable() && self.written > self.certain {
            self.file.sync_data()?;
            self.scratch.checkpoint(self.written, &self.hash)?;
            self.certain = self.written;
        }
        Ok(())
    }
}

impl Draft {
    /// A new file of at most so many bytes.
    pub(super) async fn begin(folder: Arc<Folder>, limit_bytes: u64) -> Result<Self, ReceiveError> {
        let place = Arc::clone(&folder);
        let open = folder.blocking(move || {
            let (scratch, file) = place.begin()?;
            Ok(Open { file, hash: Sha256::new(), scratch, written: 0, certain: 0 })
        });
        Ok(Self::of(folder, open.await?, limit_bytes))
    }

    /// An image, gone on with or begun anew.
    pub(super) async fn resume(
        folder: Arc<Folder>,
        id: ImageId,
        from: Beginning,
        limit_bytes: u64,
        turn: Turn,
    ) -> Result<Self, ReceiveError> {
        let place = Arc::clone(&folder);
        let open = folder.blocking(move || {
            let (scratch, Continued { file, length, hash }) = place.resume(id, from, Some(turn))?;
            Ok(Open { file, hash, scratch, written: length, certain: length })
        });
        Ok(Self::of(folder, open.await?, limit_bytes))
    }

    fn of(folder: Arc<Folder>, open: Open, limit_bytes: u64) -> Self {
        let length = open.written;
        Self { folder, open: Some(open), gathered: Vec::new(), gathered_bytes: 0, length, limit_bytes }
    }

    /// Bytes so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// [`ReceiveError`]; the draft is of no further use.
    pub async fn write(&mut self, piece: Bytes) -> Result<(), ReceiveError> {
        self.length = self.length.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        if self.length > self.limit_bytes {
            return Err(ReceiveError::TooLarge { limit_bytes: self.limit_bytes });
        }
        self.gathered_bytes = self.gathered_bytes.saturating_add(piece.len());
        self.gathered.push(piece);
        if self.gathered_bytes < GATHER_BYTES { Ok(()) } else { self.flush().await }
    }

    async fn flush(&mut self) -> Result<(), ReceiveError> {
        let pieces = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        if pieces.is_empty() {
            return Ok(());
        }
        let (folder, mut open) = (Arc::clone(&self.folder), self.taken()?);
        let written = move || {
            let outcome = open.write(&folder, &pieces);
            Ok((open, outcome))
        };
        let (open, outcome) = self.folder.blocking(written).await?;
        self.open = Some(open);
        outcome
    }

    fn taken(&mut self) -> Result<Open, ReceiveError> {
        self.open.take().ok_or_else(|| ReceiveError::Io(io::Error::other("its writing broke off before")))
    }

    /// Everything has arrived: on disk for certain, with its sum.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn complete(mut self) -> Result<Complete, ReceiveError> {
        self.flush().await?;
        let (folder, mut open) = (Arc::clone(&self.folder), self.taken()?);
        self.folder
            .blocking(move || {
                open.file.sync_all()?;
                // From here on it is whole and right, or of no use.
                open.scratch.give_up();
                let sum = std::mem::take(&mut open.hash).finalize().into();
                Ok(Complete { folder, open, sum })
            })
            .await
    }

    /// The rest will come later: what is here is made certain. How much that is.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn suspend(mut self) -> Result<u64, ReceiveError> {
        self.flush().await?;
        let mut open = self.taken()?;
        self.folder
            .blocking(move || {
                open.make_certain()?;
                Ok(open.certain)
            })
            .await
    }

    /// What was announced does not fit what has arrived: nothing of it is kept. Gone when this returns.
    pub async fn give_up(mut self) {
        if let Some(open) = self.open.take() {
            open.discard(&self.folder).await;
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Whoever sent it is gone, and so is the future that received it: one last write, which nobody waits for.
        let Some(mut open) = self.open.take().filter(|open| open.scratch.is_resumable()) else { return };
        let (folder, pieces) = (Arc::clone(&self.folder), std::mem::take(&mut self.gathered));
        let last = move || {
            let written = open.write(&folder, &pieces);
            if let Err(error) = written.and_then(|()| open.make_certain().map_err(ReceiveError::from)) {
                tracing::debug!(%error, "the last of a broken upload was lost");
            }
        };
        self.folder.lane().leave_behind(last);
    }
}

/// A file that is whole, and has no name yet. Dropped, it is gone.
#[derive(Debug)]
pub struct Complete {
    folder: Arc<Folder>,
    open: Open,
    sum: Sha256Sum,
}

impl Complete {
    /// SHA-256 of all of it.
    #[must_use]
    pub const fn sha256(&self) -> Sha256Sum {
        self.sum
    }

    /// Bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.open.written
    }

    /// It is of no use: gone when this returns.
    pub(super) async fn discard(self) {
        let Self { folder, open, .. } = self;
        open.discard(&folder).await;
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// [`ReceiveError::Io`].
    pub(super) async fn publish(self) -> Result<Held, ReceiveError> {
        let Self { folder, open, sum } = self;
        let place = Arc::clone(&folder);
        place.blocking(move || folder.publish(open.scratch, sum, open.written)).await
    }
}
