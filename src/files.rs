//! Files that acsd keeps and hands out: firmware images, and what devices have sent. The bytes lie in a folder, each file
//! under its SHA-256; what they are stands in the store.
//!
//! The bytes are on disk for certain before a record says that they are here, and they go after the last record that refers
//! to them. What is in the folder and in no record is thrown away at the start.

mod base;
mod beginning;
pub mod config;
mod content;
mod draft;
pub mod fetch;
mod folder;
mod images;
pub mod lane;
mod link;
pub mod multipart;
mod uploads;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use http::uri::Scheme;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::auth::seal::Sealer;
use crate::model::file::{Content, ImageId, StoredFileId};
use crate::store::{Store, StoreError};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::secret::Secret;
use crate::types::time::{Clock, Timestamp};

pub use self::config::FilesConfig;
pub use self::content::{CHUNK_BYTES, FileContent, Offer};
pub use self::draft::{Complete, Draft, ReceiveError};
pub use self::folder::{NoRoom, Sha256Sum};
pub use self::images::{ImageError, Start};
pub use self::link::{Claim, Link, PREFIX, Target, Terms, URL_MAX_CHARS};
pub use self::uploads::{Kept, Upload, UploadError};

use self::folder::Folder;
use self::lane::Lane;
use self::link::LinkKey;
use self::uploads::Index;

/// Pieces of files that are read from the disk, and files that are opened, at the same time.
const READS: usize = 16;

/// The folder of files could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the folder of files {path} cannot be used")]
pub struct FilesError {
    /// Which.
    path: String,
    #[source]
    source: io::Error,
}

/// Where the files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this folder.
    Folder(PathBuf),
    /// In one that goes with the process: for stores that do as well.
    Temporary,
}

/// The service.
pub struct Files {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    config: FilesConfig,
    links: LinkKey,
    folder: Arc<Folder>,
    index: Mutex<Index>,
    /// Images that are being written.
    writing: Arc<Mutex<HashSet<ImageId>>>,
    reads: Arc<Semaphore>,
    /// Port of the listener for files alone, when there is one.
    own_port: OnceLock<u16>,
}

impl Files {
    /// Opens the folder and removes what no record refers to. Blocks: for start-up. The disk is waited for on the `lane`.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn open(
        place: &Place,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        sealer: &Sealer,
        config: FilesConfig,
        lane: Lane,
    ) -> Result<Self, FilesError> {
        let (images, stored) = (store.firmware_images().all(), store.stored_files().all());
        let folder = match place {
            Place::Folder(path) => {
                let of_images = images.values().filter_map(|image| match image.content {
                    Content::Here { sha256, size } => Some((sha256, size)),
                    Content::Missing => None,
                });
                let kept = of_images.chain(stored.values().map(|file| (file.sha256, file.size)));
                let wanted = |id: ImageId| images.get(&id.0).is_some_and(|image| image.content == Content::Missing);
                Folder::open(path, &config, kept, wanted).map_err(failed(path))?
            }
            Place::Temporary => Folder::temporary(&config).map_err(failed(&std::env::temp_dir()))?,
        };
        Ok(Self {
            links: LinkKey::new(sealer),
            index: Mutex::new(Index::of(stored.values().map(|file| &**file))),
            folder: Arc::new(folder.on(lane)),
            writing: Arc::default(),
            reads: Arc::new(Semaphore::new(READS)),
            own_port: OnceLock::new(),
            store,
            clock,
            config,
        })
    }

    /// Over a store that does not last, with the usual limits.
    ///
    /// # Errors
    /// [`FilesError`].
    pub fn temporary(store: Arc<dyn Store>, clock: Arc<dyn Clock>, sealer: &Sealer) -> Result<Self, FilesError> {
        // A small disk is no reason to refuse what is gone in a moment.
        let config = FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() };
        Self::open(&Place::Temporary, store, clock, sealer, config, Lane::default())
    }

    /// Limits and habits.
    #[must_use]
    pub const fn config(&self) -> &FilesConfig {
        &self.config
    }

    /// Where what moves them runs.
    #[must_use]
    pub fn lane(&self) -> &Lane {
        self.folder.lane()
    }

    /// Says on which port the listener for files alone is.
    pub fn announce_port(&self, port: u16) {
        self.own_port.get_or_init(|| port);
    }

    /// What links begin with: as configured, else how a device has called acsd, by the scheme and the `Host` of its POST.
    /// `None`: by neither, and no file can be offered to it.
    #[must_use]
    pub fn base(&self, scheme: &Scheme, host: Option<&HeaderValue>) -> Option<String> {
        match &self.config.public_url {
            Some(url) => Some(url.trim_end_matches('/').to_owned()),
            None => base::of_call(scheme, host, self.own_port.get().copied()),
        }
    }

    /// A link to a file as it is now, for one device and one transaction.
    #[must_use]
    pub fn link(&self, target: Target, device: DeviceKey, transaction: TransactionId, terms: Terms) -> Link {
        let expires_at = self.clock.now() + self.config.link_life() + terms.delay;
        // Links have whole seconds.
        let expires_at = Timestamp::from_secs(expires_at.as_secs());
        let content = self.content_of(target);
        let claim = Claim { target, content, device, transaction, login: terms.login, expires_at };
        self.links.link(&claim, &self.name_of(target))
    }

    /// What a link says, by the part of it that follows [`PREFIX`]; `None`: it is not ours, has expired, or the file that it
    /// was made for is gone or has been replaced.
    #[must_use]
    pub fn claim(&self, token: &str) -> Option<Claim> {
        self.links.claim(token, self.clock.now(), |target| self.content_of(target))
    }

    /// What a target holds now: what its links are bound to.
    fn content_of(&self, target: Target) -> Option<Sha256Sum> {
        match target {
            Target::Image(id) => match self.store.firmware_images().of(id)?.content {
                Content::Here { sha256, .. } => Some(sha256),
                Content::Missing => None,
            },
            Target::Stored(id) => self.store.stored_files().of(id).map(|file| file.sha256),
            Target::Upload => None,
        }
    }

    /// User name and password that go with a link.
    #[must_use]
    pub fn login(&self, token: &str) -> (String, Secret) {
        self.links.login(token)
    }

    /// What a device has sent for a transaction: a look-up in memory.
    #[must_use]
    pub fn arrived(&self, transaction: TransactionId) -> Option<StoredFileId> {
        let id = self.index.lock().of_transaction(transaction)?;
        // The index may know of a record that came to nothing.
        self.store.stored_files().of(id).map(|file| file.id)
    }

    /// What a file is called where it is fetched.
    fn name_of(&self, target: Target) -> String {
        match target {
            Target::Image(id) => match self.store.firmware_images().of(id) {
                Some(image) if image.name.contains('.') => image.name.clone(),
                Some(image) => format!("{}.bin", image.name.replace('.', "-")),
                None => "image.bin".to_owned(),
            },
            Target::Stored(id) => match self.store.stored_files().of(id) {
                Some(file) => uploads::file_name(&file.file_type).to_owned(),
                None => "file.cfg".to_owned(),
            },
            Target::Upload => "upload.bin".to_owned(),
        }
    }

    /// Lets go of the content of a record that is gone.
    async fn release(&self, sum: Sha256Sum) {
        let folder = Arc::clone(&self.folder);
        if let Err(error) = self.folder.blocking(move || folder.release(&sum)).await {
            tracing::warn!(%error, "a file that nothing refers to could not be removed");
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> FilesError + use<> {
    let path = path.display().to_string();
    move |source| FilesError { path: path.clone(), source }
}

/// A file was not changed or not found.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is no such record.
    #[error("there is no such file")]
    Unknown,
    /// The store failed.
    #[error("the file was not stored")]
    Store(#[from] StoreError),
}
