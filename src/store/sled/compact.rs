//! The offline copy: what is live goes into new files, which take the old ones' place. Reclaims wasted space.
//!
//! Copied to `store.copy`; when that is on the disk `store` becomes `store.old`, `store.copy` becomes `store`, and
//! `store.old` goes. A kill at any moment leaves one of the two whole, see [`finish`].

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::types::time::Clock;

use super::database::Database;
use super::health::Health;
use super::open::{self, OpenError, database_folder, sync_files};
use super::{Core, StoreConfig};
use crate::store::{Store as _, StoreError};

const COPY: &str = "store.copy";
const OLD: &str = "store.old";

/// Sizes on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes before.
    pub before_bytes: u64,
    /// Bytes after.
    pub after_bytes: u64,
}

/// Why there is no copy; the store is as it was.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// There is nothing to copy; opening would make a new, empty store.
    #[error("there is no store in {}", folder.display())]
    NoStore {
        /// Where one was looked for.
        folder: PathBuf,
    },
    /// The store could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The copy failed, or reading what was to be copied.
    #[error("the store was not copied")]
    Store(#[source] StoreError),
    /// Files could not be made, renamed or synced.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Copies a store that nobody has open. Needs room on the disk for the copy.
///
/// # Errors
/// [`CompactError`].
pub async fn compact_sled(config: StoreConfig, clock: Arc<dyn Clock>) -> Result<Compacted, CompactError> {
    let folder = config.data_dir.clone();
    let id = open::id_file(&folder);
    let is_there = tokio::task::spawn_blocking(move || id.try_exists()).await.map_err(io::Error::other).flatten();
    if !is_there.map_err(|source| CompactError::Io { what: "looking for the store", source })? {
        return Err(CompactError::NoStore { folder });
    }
    let store = open::open(config, clock).await?;
    let core = Arc::clone(&store.core);
    let copied = tokio::task::spawn_blocking(move || copy(&core)).await.unwrap_or_else(|error| {
        Err(CompactError::Store(StoreError::Unavailable { reason: format!("the copying ended: {error}") }))
    });
    store.close().await.map_err(CompactError::Store)?;
    let copied = copied?;
    // The store is still held, so that nobody opens it in between.
    let swapped = tokio::task::spawn_blocking(move || swap(&folder)).await.map_err(io::Error::other).flatten();
    swapped.map_err(|source| CompactError::Io { what: "putting the copy in the store's place", source })?;
    Ok(copied)
}

fn copy(core: &Core) -> Result<Compacted, CompactError> {
    let folder = core.config.data_dir.join(COPY);
    let copied = copy_into(core, &folder);
    // Mostly it fails because the disk is full.
    if copied.is_err()
        && let Err(error) = remove(&folder)
    {
        tracing::warn!("{} is of no use and was not removed: {error}", folder.display());
    }
    copied
}

fn copy_into(core: &Core, folder: &Path) -> Result<Compacted, CompactError> {
    remove(folder).map_err(|source| CompactError::Io { what: "removing an earlier copy", source })?;
    core.database.note_live_bytes().map_err(CompactError::Store)?;
    let health = Arc::new(Health::default());
    let target = Database::open(folder, core.config.cache_bytes, Arc::clone(&health))
        .map_err(|error| CompactError::Store(health.judge(&error)))?;
    core.database.copy_to(&target).map_err(CompactError::Store)?;
    let before_bytes = core.database.disk_bytes().map_err(CompactError::Store)?;
    let after_bytes = target.disk_bytes().map_err(CompactError::Store)?;
    sync_files(folder).map_err(|source| CompactError::Io { what: "syncing the copy", source })?;
    Ok(Compacted { before_bytes, after_bytes })
}

fn swap(data_dir: &Path) -> io::Result<()> {
    let (store, old) = (database_folder(data_dir), data_dir.join(OLD));
    File::open(data_dir)?.sync_all()?;
    fs::rename(&store, &old)?;
    fs::rename(data_dir.join(COPY), &store)?;
    File::open(data_dir)?.sync_all()?;
    remove(&old)
}

/// Finishes or undoes a copy that was cut off. Called with the folder locked, before anything is looked at.
pub(super) fn finish(data_dir: &Path) -> io::Result<()> {
    let (store, old) = (database_folder(data_dir), data_dir.join(OLD));
    if old.exists() {
        if store.exists() {
            remove(&old)?;
        } else {
            fs::rename(&old, &store)?;
            File::open(data_dir)?.sync_all()?;
        }
    }
    remove(&data_dir.join(COPY))
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}
