//! Files that acsd keeps and hands out: firmware images, and what devices have sent. The bytes lie in a folder, each file
//! under its SHA-256; what they are stands in the store.

use std::sync::Arc;

use crate::model::file::{ImageId, StoredFileId};
use crate::store::Store;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::secret::Secret;
use crate::types::time::{Clock, Timestamp};

/// The service.
pub struct Files {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An image to be fetched.
    Image(ImageId),
    /// A stored file to be fetched.
    Stored(StoredFileId),
    /// The place for what a device is to send.
    Upload,
}

/// A link for one device and one transaction: unguessable, and good for a while.
#[derive(Debug, Clone)]
pub struct Link {
    /// `/files/...`, below the address of the file server.
    pub path: String,
    /// The login that goes with it, for devices that are to log in.
    pub username: String,
    /// As above.
    pub password: Secret,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Files {
    /// Over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { store, clock }
    }

    /// A link to a file.
    #[must_use]
    pub fn link(&self, _target: Target, _device: DeviceKey, _transaction: TransactionId) -> Link {
        let expires_at = self.clock.now();
        Link { path: String::new(), username: String::new(), password: Secret::new(String::new()), expires_at }
    }

    /// What a device has sent for a transaction.
    #[must_use]
    pub fn arrived(&self, transaction: TransactionId) -> Option<StoredFileId> {
        let all = self.store.stored_files().all();
        all.values().find(|file| file.transaction == transaction).map(|file| file.id)
    }
}
