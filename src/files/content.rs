//! The bytes of a file, read piece by piece.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;

use super::lane::Lane;
use super::{Files, Sha256Sum, Target, link, uploads};
use crate::model::file::Content;
use crate::types::time::Timestamp;

/// Most that is read of a file at a time.
pub const CHUNK_BYTES: usize = 64 << 10;

/// A file that can be fetched.
#[derive(Debug, Clone)]
pub struct Offer {
    /// Its content.
    pub sha256: Sha256Sum,
    /// Bytes.
    pub size: u64,
    /// When these bytes came.
    pub modified: Timestamp,
    /// A harmless name for it.
    pub name: String,
    /// The bytes.
    pub content: FileContent,
}

/// An open file. It stays readable when its record goes.
#[derive(Debug, Clone)]
pub struct FileContent {
    file: Arc<File>,
    reads: Arc<Semaphore>,
    lane: Lane,
}

impl FileContent {
    #[cfg(test)]
    pub(super) fn of(file: File) -> Self {
        Self { file: Arc::new(file), reads: Arc::new(Semaphore::new(1)), lane: Lane::default() }
    }

    /// Reads up to `length` bytes at `offset`, but no more than [`CHUNK_BYTES`]; `buffer` is used again if it is free.
    ///
    /// # Errors
    /// Of the disk; a file that is shorter than `offset` says is one as well.
    pub async fn read(self, offset: u64, length: u64, mut buffer: BytesMut) -> io::Result<(Bytes, BytesMut)> {
        let length = usize::try_from(length).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let Self { file, reads, lane } = self;
        let permit = reads.acquire_owned().await.map_err(io::Error::other)?;
        let reading = lane.spawn_blocking(move || {
            let _permit = permit;
            buffer.reserve(CHUNK_BYTES);
            buffer.resize(length, 0);
            file.read_exact_at(&mut buffer, offset)?;
            Ok((buffer.split().freeze(), buffer))
        });
        reading.await.map_err(io::Error::other)?
    }
}

impl Files {
    /// A file to be fetched; `None`: there is no such file, or its bytes are not here.
    ///
    /// # Errors
    /// The file that is said to be here cannot be opened.
    pub async fn offer(&self, target: Target) -> io::Result<Option<Offer>> {
        let found = match target {
            Target::Image(id) => self.store.firmware_images().of(id).and_then(|image| match image.content {
                Content::Here { sha256, size } => Some((sha256, size, self.name_of(target))),
                Content::Missing => None,
            }),
            Target::Stored(id) => self.store.stored_files().of(id).map(|file| {
                let name = uploads::file_name(&file.file_type).to_owned();
                (file.sha256, file.size, name)
            }),
            Target::Upload => None,
        };
        let Some((sha256, size, name)) = found else { return Ok(None) };
        let folder = Arc::clone(&self.folder);
        // One of the reads: while the disk hangs no more threads wait for it, however often clients come and go.
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(io::Error::other)?;
        let open = move || {
            let _permit = permit;
            folder.open_content(&sha256)
        };
        let opened = self.folder.blocking(open).await;
        let (file, modified) = opened.map_err(io::Error::other).inspect_err(|error| {
            tracing::error!(%error, "the file {} of the store cannot be opened", hex::encode(sha256));
        })?;
        let content = FileContent { file: Arc::new(file), reads: Arc::clone(&self.reads), lane: self.lane().clone() };
        Ok(Some(Offer { sha256, size, modified, name: link::sanitised(&name), content }))
    }
}
