//! The embedded backend: the one module that names sled.
//!
//! sled as it comes is not safe for acknowledged work. What makes it so:
//!
//! - `sync`: flushes really reach the disk; tried at every open, refused if not.
//! - `committer`: one thread flushes, for all who wait at that moment; never `flush_async`, no batches, no transactions.
//! - `database`: no record above 48 KiB; segment size and flush interval are constants.
//! - `open`: left-over snapshots are removed, a store without its id is refused, a panic in the midst of opening is an
//!   error.
//! - `load`: what a kill left half done is finished or undone.
//! - `compact`: an offline copy, when too much space is wasted.
//! - `watch`: free space, side files, size on disk beside what is live.
//!
//! # How a change becomes durable and visible
//!
//! *Devices, profiles, parameters, traces, tokens, catalogues* are written into sled under the lock of the device's stripe
//! (of its tree, of the table), at once. A relaxed write ends there; sled itself flushes every 50 ms. A durable one then
//! waits for a flush that begins after it.
//!
//! *Queues* go another way, because a transaction's change may not be seen before it is durable. Under the stripe's lock the
//! document is changed in memory only and handed to the committer; the committer inserts what has piled up, in order, flushes
//! once, *then* publishes (indexes, what readers get) and answers. While documents are under way, the stripe holds the last
//! published one for readers and the latest one for the next change, so that nothing is lost and nothing overtakes.
//!
//! One change goes without the committer: that a transaction which only reads has started. It is shown at once and written
//! with the next change of its document; a kill before that undoes it, and the read begins anew.
//!
//! Within one change the order is: large results, history row, queue document. After a kill in between, the document is
//! right: what it has live has not ended, whatever the history says.
//!
//! *Events* are inserted by the step that they belong to, before its change, and shown once a flush has covered them; where no
//! durable change follows, a flush is asked for that nobody waits for.
//!
//! *Removing a device* is an entry in the table `gone` before anything is deleted: whatever is left of a device that is listed
//! there, or that has not both of its records, is deleted at open.

mod catalogue;
mod committer;
mod compact;
mod database;
mod devices;
mod entries;
mod health;
mod load;
mod logs;
mod members;
mod open;
mod parameters;
mod queues;
mod series;
mod stripe;
#[cfg(target_os = "linux")]
mod sync;
#[cfg(not(target_os = "linux"))]
#[path = "sled/sync_elsewhere.rs"]
mod sync;
mod tokens;
mod traces;
mod transactions;
mod watch;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use crate::model::device::{Device, Profile, State};
use crate::types::ident::DeviceKey;
use crate::types::time::{Clock, Timestamp};

use super::index::device::DeviceIndex;
use super::index::keys::KeyAllocator;
use super::index::ledger::Ledger;
use super::index::live::LiveIndex;
use super::key::{self, Table};
use super::{Figures, Store, StoreError, StoreFuture, record};

use catalogue::Catalogues;
use committer::Committer;
use database::Database;
use entries::Entries;
use health::Health;
use logs::Logs;
use stripe::{Locks, Stripes};
use tokens::TokenTable;
use traces::TraceNumbers;
use watch::Watch;

pub use compact::{CompactError, Compacted, compact_sled};
pub use open::OpenError;
pub use sync::free_bytes;

/// Version of the layout; see [`OpenError::SchemaTooNew`].
pub const SCHEMA_VERSION: u32 = 1;

/// Searches and orderings of the whole inventory that run at once: each takes a core, and up to 32 bytes per device.
const SCANS: usize = 4;

/// Settings of the embedded store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Where everything is kept; created if it is missing.
    pub data_dir: PathBuf,
    /// How long a flush waits for more work to join it. Zero, the default: what arrives
    /// during one flush shares the next, and only under load is a flush of a fast disk put off by a few milliseconds.
    pub group_commit_linger: Duration,
    /// How long a batch may be in the making until new work is told that the store is [busy](StoreError::Busy), after as
    /// long a wait again. What is under way always waits on.
    pub patience: Duration,
    /// Most ended transactions kept, of all devices together; at least 1.
    pub history_max: usize,
    /// Most live transactions of one device.
    pub queue_max: usize,
    /// Memory for pages of the database.
    pub cache_bytes: u64,
    /// With less free space than this no write is taken.
    pub free_space_floor_bytes: u64,
    /// Size of a file that can be deleted when the disk is full, so that the store can be opened at all.
    pub ballast_bytes: u64,
}

impl StoreConfig {
    /// The defaults for a data folder.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            group_commit_linger: Duration::ZERO,
            patience: Duration::from_secs(3),
            history_max: super::HISTORY_MAX,
            queue_max: super::QUEUE_MAX,
            cache_bytes: 512 << 20,
            free_space_floor_bytes: 256 << 20,
            ballast_bytes: 64 << 20,
        }
    }
}

/// Opens the store in `config.data_dir`, or creates it if there is none.
///
/// # Errors
/// See [`OpenError`]: what to do next.
pub async fn open_sled(config: StoreConfig, clock: Arc<dyn Clock>) -> Result<Arc<SledStore>, OpenError> {
    open::open(config, clock).await.map(Arc::new)
}

/// The store on disk.
pub struct SledStore {
    core: Arc<Core>,
    committer: Arc<Committer>,
    catalogues: Catalogues,
    trace_numbers: Arc<TraceNumbers>,
    watch: Watch,
    /// Permits for searches and orderings of the whole inventory.
    scans: Arc<Semaphore>,
}

/// What the callers' side, the committer and the watch share.
struct Core {
    config: StoreConfig,
    database: Database,
    health: Arc<Health>,
    devices: RwLock<DeviceIndex>,
    /// Held while a name or a key is taken or given up.
    keys: Mutex<KeyAllocator>,
    live: RwLock<LiveIndex>,
    ledger: RwLock<Ledger>,
    next_transaction: AtomicU64,
    stripes: Stripes,
    /// One more lock per device for its parameter tree, whose rewriting takes long.
    tree_locks: Locks,
    tokens: RwLock<TokenTable>,
    logs: Logs,
    entries: Entries,
    disk_bytes: AtomicU64,
    /// Last, so that the folder is free only when sled has let go of it.
    _lock: File,
}

impl std::fmt::Debug for SledStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SledStore").field("data_dir", &self.core.config.data_dir).finish_non_exhaustive()
    }
}

impl SledStore {
    /// How many syncs this process has waited for, of all its stores: the guard's own count, for tests and `/metrics`.
    #[must_use]
    pub fn syncs() -> u64 {
        sync::count()
    }

    /// Bytes of memory that searches and orderings take, for benches.
    #[must_use]
    pub fn index_row_bytes(&self) -> usize {
        self.core.devices.read().row_bytes()
    }
}

impl Core {
    fn state(&self, key: DeviceKey) -> Result<Option<State>, StoreError> {
        let bytes = self.database.get(Table::Devices, &key::device(key))?;
        bytes.map(|bytes| record::decode("device state", &bytes)).transpose()
    }

    fn put_state(&self, key: DeviceKey, state: &State, hint: usize) -> Result<(), StoreError> {
        self.database.put(Table::Devices, &key::device(key), &record::encode(state, hint)?)
    }

    fn profile(&self, key: DeviceKey) -> Result<Option<Profile>, StoreError> {
        let bytes = self.database.get(Table::Profiles, &key::device(key))?;
        bytes.map(|bytes| record::decode("device profile", &bytes)).transpose()
    }

    fn put_profile(&self, key: DeviceKey, profile: &Profile) -> Result<(), StoreError> {
        self.database.put(Table::Profiles, &key::device(key), &record::encode(profile, 512)?)
    }

    fn device(&self, key: DeviceKey) -> Result<Option<Device>, StoreError> {
        let (Some(profile), Some(state)) = (self.profile(key)?, self.state(key)?) else { return Ok(None) };
        Ok(Some(Device { key, profile, state }))
    }

    fn exists(&self, key: DeviceKey) -> bool {
        self.devices.read().contains(key)
    }
}

impl Store for SledStore {
    fn health(&self) -> Result<(), StoreError> {
        self.core.health.check()
    }

    fn warnings(&self) -> Vec<String> {
        self.core.health.warnings()
    }

    fn figures(&self, now: Timestamp) -> Figures {
        let (devices, devices_up) = {
            let index = self.core.devices.read();
            (index.all().len(), index.up())
        };
        let live = self.core.live.read();
        Figures {
            devices,
            devices_up,
            queue_depth: live.depth(),
            queue_oldest_ms: live.oldest().map_or(0, |at| super::age_ms(now, at)),
            disk_bytes: self.core.disk_bytes.load(Ordering::Relaxed),
            live_bytes: self.core.database.live_bytes(),
        }
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.watch.stop().await;
            if let Err(error) = self.core.database.note_live_bytes() {
                tracing::debug!("the live bytes were not noted: {error}");
            }
            self.committer.close(&self.core).await
        })
    }
}

/// Runs what would hold up other tasks on a thread where it may block.
async fn blocking<T: Send + 'static>(
    core: &Arc<Core>,
    work: impl FnOnce(&Core) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let core = Arc::clone(core);
    tokio::task::spawn_blocking(move || work(&core))
        .await
        .unwrap_or_else(|error| Err(StoreError::Unavailable { reason: format!("a task of the store ended: {error}") }))
}
