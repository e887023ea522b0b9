//! Where everything that must last is kept: the traits, and below them the backends.
//!
//! The traits speak acsd's verbs; each method is one atomic step. Nothing above them knows of keys, trees, batches or
//! tables. *Durable* means: the value survives a power cut once the future has resolved.

pub mod audit;
pub mod campaigns;
pub mod catalogue;
pub mod entries;
pub mod events;
mod index;
mod key;
pub mod listing;
pub mod memory;
mod queue;
mod record;
pub mod series;
pub mod sled;
pub mod traces;
mod transactions;
mod tree;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use uuid::Uuid;

use crate::model::device::{Device, DeviceTypeId, OrganizationId, Parameter, Profile, State, Status, TreePatch};
use crate::model::file::ImageId;
use crate::model::inventory::LocationId;
use crate::model::learn::{InformFacts, Learned};
use crate::model::token::{TokenId, TokenRecord};
use crate::types::ident::{DeviceIdentity, DeviceKey, SerialNumber};
use crate::types::time::Timestamp;

use audit::AuditStore;
use campaigns::MemberStore;
use catalogue::CatalogueStore;
use entries::EntryStore;
use events::EventStore;
use listing::{DeviceOrder, SearchWords};
use series::SeriesStore;
use traces::TraceStore;

pub use self::sled::free_bytes;
pub use self::transactions::{CancelError, EnqueueError, Merge, TransactionEdit, TransactionFilter, TransactionStore};

/// Most live transactions of one device, unless configured (design.md §7).
pub const QUEUE_MAX: usize = 256;
/// Most ended transactions kept, unless configured.
pub const HISTORY_MAX: usize = 1_000_000;

/// Histogram: seconds from handing a change over until it is durable.
pub const COMMIT_SECONDS: &str = "acsd_store_commit_seconds";
/// Histogram: changes that shared one flush.
pub const BATCH_SIZE: &str = "acsd_store_commit_batch_size";
/// Counter: flushes.
pub const FLUSHES: &str = "acsd_store_flushes_total";
/// Gauge: 1 while the alarm of the label `alarm` is raised.
pub const ALARMS: &str = "acsd_store_alarm";
/// Gauge: syncs that reached the disk since the process began.
pub const SYNCS: &str = "acsd_store_syncs";
/// Counter: entries of the event log, by `kind`.
pub const EVENTS: &str = "acsd_events_total";

/// What a store method returns.
pub type StoreFuture<'a, T, E = StoreError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// The store itself failed. Nothing that was being written counts as written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It takes no writes just now (disk full): stop acknowledging.
    #[error("the store takes no writes: {reason}")]
    Unavailable {
        /// For the log and `/readyz`.
        reason: String,
    },
    /// It is behind with what it has, and this will pass: nothing of the change was begun, and it may be tried again at once.
    #[error("the store is busy: {reason}")]
    Busy {
        /// For the log.
        reason: String,
    },
    /// It takes no writes any more (I/O error, closed): stop acknowledging, and start the process anew.
    #[error("the store takes no writes any more: {reason}")]
    Broken {
        /// For the log and `/readyz`.
        reason: String,
    },
    /// A record cannot be read back.
    #[error("the store holds an unreadable {what}: {reason}")]
    Corrupt {
        /// Which record.
        what: String,
        /// What the decoder said.
        reason: String,
    },
}

/// Whether a write is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Returns when the write has reached the disk.
    Durable,
    /// Returns at once; a power cut may lose the last moments. For what the device will repeat anyway.
    Relaxed,
}

/// Everything a store can do.
pub trait Store:
    DeviceStore
    + TransactionStore
    + TokenStore
    + CatalogueStore
    + MemberStore
    + EventStore
    + AuditStore
    + TraceStore
    + EntryStore
    + SeriesStore
{
    /// Whether writes are taken; the reason if not. Cheap: asked by `/readyz` and before work is acknowledged.
    fn health(&self) -> Result<(), StoreError>;

    /// What an operator should look at although writes are taken: words for `/readyz`.
    fn warnings(&self) -> Vec<String>;

    /// Numbers for `/metrics`.
    fn figures(&self, now: Timestamp) -> Figures;

    /// Flushes and stops; later writes fail. For an orderly shutdown.
    fn close(&self) -> StoreFuture<'_, ()>;
}

/// Numbers for `/metrics`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// Registered devices.
    pub devices: u64,
    /// Of these, Up.
    pub devices_up: u64,
    /// Live transactions.
    pub queue_depth: u64,
    /// Age of the oldest live transaction, in milliseconds.
    pub queue_oldest_ms: u64,
    /// Bytes on disk; 0 where there is no disk.
    pub disk_bytes: u64,
    /// Of what is on disk, bytes of keys and values that are there; 0 where there is no disk.
    pub live_bytes: u64,
}

/// The inventory.
pub trait DeviceStore: Send + Sync {
    /// The device with this identity.
    fn find<'a>(&'a self, identity: &'a DeviceIdentity) -> StoreFuture<'a, Option<Device>>;

    /// The device with this identity without its state: what has to be known of a caller before its Inform is recorded,
    /// which reads the state anyway.
    fn identify<'a>(&'a self, identity: &'a DeviceIdentity) -> StoreFuture<'a, Option<(DeviceKey, Profile)>>;

    /// The device the API addresses by this serial.
    fn by_serial<'a>(&'a self, serial: &'a str) -> StoreFuture<'a, Option<Device>>;

    /// The device with this uuid.
    fn by_uuid(&self, uuid: Uuid) -> StoreFuture<'_, Option<Device>>;

    /// The device with this key.
    fn device(&self, key: DeviceKey) -> StoreFuture<'_, Option<Device>>;

    /// Creates a device; durable. With `identity` given, the device is bound to it at once.
    fn register(&self, new: NewDevice) -> StoreFuture<'_, Device, RegisterError>;

    /// Binds a device that has no identity yet to one; durable.
    fn bind<'a>(&'a self, key: DeviceKey, identity: &'a DeviceIdentity) -> StoreFuture<'a, (), RegisterError>;

    /// Records an Inform by [`State::learn`]; on a bootstrap the parameter tree is forgotten, what overflows the hot
    /// record goes to the tree. `None`: the device is gone.
    fn record_inform<'a>(
        &'a self,
        key: DeviceKey,
        facts: InformFacts<'a>,
        durability: Durability,
    ) -> StoreFuture<'a, Option<(State, Learned)>>;

    /// Changes the profile under the device's lock; durable. The closure sees the present profile; what it returns is
    /// handed back. Its serial number and uuid may not change. `None`: the device is gone.
    fn edit_profile<'a>(&'a self, key: DeviceKey, edit: ProfileEdit<'a>) -> StoreFuture<'a, Option<Device>>;

    /// Changes the state under the device's lock (verdict of a connection request, `Down`); relaxed.
    fn edit_state<'a>(&'a self, key: DeviceKey, edit: StateEdit<'a>) -> StoreFuture<'a, Option<Device>>;

    /// Removes a device with its parameters, queue, history and credentials; durable. `false`: it was not there.
    fn remove(&self, key: DeviceKey) -> StoreFuture<'_, bool>;

    /// One page of devices in the order of the filter, and the exact count of all that match.
    fn list<'a>(&'a self, filter: &'a DeviceFilter, page: Page) -> StoreFuture<'a, Listing<Device>>;

    /// The keys of all devices that match, in the order of the filter: for what goes through all of them while they
    /// change. 4 bytes each.
    fn select<'a>(&'a self, filter: &'a DeviceFilter) -> StoreFuture<'a, Vec<DeviceKey>>;

    /// These devices in this order; those that are gone are left out.
    fn devices<'a>(&'a self, keys: &'a [DeviceKey]) -> StoreFuture<'a, Vec<Device>>;

    /// What the expiry timer needs at start: every device that is Up, when it last Informed, and its interval.
    fn up_devices(&self) -> StoreFuture<'_, Vec<UpDevice>>;

    /// Changes the known parameter tree; relaxed. What the hot record holds of the same paths follows, so that the last
    /// that was learned of a parameter is what [`parameters`](Self::parameters) shows. Ignored when the device is gone.
    fn patch_parameters(&self, key: DeviceKey, patch: TreePatch, at: Timestamp) -> StoreFuture<'_, ()>;

    /// The known tree in path order, with what the last Informs reported laid over it: parameters whose path starts
    /// with `prefix` and contains `search` (without regard to case), and how many those are.
    fn parameters<'a>(
        &'a self,
        key: DeviceKey,
        query: ParameterQuery<'a>,
        page: Page,
    ) -> StoreFuture<'a, Listing<Parameter>>;

    /// What is known of exactly these paths, in their order.
    fn known<'a>(&'a self, key: DeviceKey, paths: &'a [&'a str]) -> StoreFuture<'a, Vec<Option<Parameter>>>;
}

/// An edit of a profile.
pub type ProfileEdit<'a> = Box<dyn FnOnce(&mut Profile) + Send + 'a>;
/// An edit of a state.
pub type StateEdit<'a> = Box<dyn FnOnce(&mut State) + Send + 'a>;

/// A device to be created.
#[derive(Debug, Clone)]
pub struct NewDevice {
    /// A wished-for key; `None`: the next free one.
    pub key: Option<DeviceKey>,
    /// Bound to it at once; `None` when an operator creates the device ahead of its first contact.
    pub identity: Option<DeviceIdentity>,
    /// Its profile.
    pub profile: Profile,
}

/// Why a device was not created or bound.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegisterError {
    /// Another device has this API serial.
    #[error("a device with serial number {serial} exists")]
    SerialTaken {
        /// The serial.
        serial: SerialNumber,
    },
    /// Another device has this key, or had it: keys are never given out twice.
    #[error("id {key} is another device's, or was one's before")]
    KeyTaken {
        /// The key.
        key: DeviceKey,
    },
    /// The identity belongs to another device, or the device has another identity.
    #[error("the identity {identity} belongs to another device")]
    IdentityTaken {
        /// The identity.
        identity: DeviceIdentity,
    },
    /// There is no such device to bind.
    #[error("the device is gone")]
    UnknownDevice,
    /// The store failed.
    #[error("the device was not stored")]
    Store(#[source] StoreError),
}

/// Which devices to list, and in which order. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// Only of these devices.
    pub among: Option<Vec<DeviceKey>>,
    /// Only of these organizations: what the asking token may see.
    pub visible: Option<Vec<OrganizationId>>,
    /// Only of this organization.
    pub organization: Option<OrganizationId>,
    /// Only of this type.
    pub device_type: Option<DeviceTypeId>,
    /// Only at this location.
    pub location: Option<LocationId>,
    /// Only those of which this is the wanted image.
    pub firmware_image: Option<ImageId>,
    /// Only Up, or only Down.
    pub status: Option<Status>,
    /// Only active, or only inactive.
    pub is_active: Option<bool>,
    /// Only with a status change at or after this.
    pub status_change_from: Option<Timestamp>,
    /// Only with all of these words somewhere.
    pub search: SearchWords,
    /// Only with all of these tags, exactly.
    pub tags: Vec<String>,
    /// Only with exactly this software version.
    pub software_version: Option<String>,
    /// Only of exactly this manufacturer.
    pub manufacturer: Option<String>,
    /// In which order.
    pub order: DeviceOrder,
}

/// A part of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Entries to skip.
    pub offset: u64,
    /// Most entries to return.
    pub limit: u32,
}

impl Page {
    /// This page of a list that is at hand whole.
    fn of<T>(self, all: &[T]) -> &[T] {
        let from = usize::try_from(self.offset).unwrap_or(usize::MAX);
        let rest = all.get(from..).unwrap_or_default();
        rest.get(..usize::try_from(self.limit).unwrap_or(usize::MAX)).unwrap_or(rest)
    }
}

/// A page and the exact number of all that match.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<T> {
    /// The page.
    pub items: Vec<T>,
    /// All that match.
    pub count: u64,
}

/// Which parameters to show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ParameterQuery<'a> {
    /// Start of the path; empty: all.
    pub prefix: &'a str,
    /// Part of the path or the value, without regard to case; empty: all.
    pub search: &'a str,
}

/// A device whose silence has to be noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpDevice {
    /// Which.
    pub key: DeviceKey,
    /// Its last Inform.
    pub last_inform: Timestamp,
    /// Its periodic interval in seconds, if known.
    pub interval_secs: Option<u32>,
}

/// API tokens.
pub trait TokenStore: Send + Sync {
    /// Adds a token; durable. The `id` in the record is replaced by the next free one.
    fn add_token(&self, token: TokenRecord) -> StoreFuture<'_, TokenRecord>;

    /// Finds a token by its hash: a look-up in memory.
    fn token_by_hash(&self, hash: &[u8; 32]) -> Option<TokenRecord>;

    /// All tokens, oldest first.
    fn tokens(&self) -> Vec<TokenRecord>;

    /// Changes a token; durable, and in force at once. Its number and its hash may not change. `None`: there is none.
    fn edit_token<'a>(&'a self, id: TokenId, edit: TokenEdit<'a>) -> StoreFuture<'a, Option<TokenRecord>>;

    /// Removes a token at once; durable. `false`: it was not there.
    fn remove_token(&self, id: TokenId) -> StoreFuture<'_, bool>;

    /// Notes that a token was used; relaxed, and only once a minute.
    fn touch_token(&self, id: TokenId, at: Timestamp);
}

/// An edit of a token.
pub type TokenEdit<'a> = Box<dyn FnOnce(&mut TokenRecord) + Send + 'a>;

/// A token's last use is kept to the minute: a busy token is not rewritten at each request.
fn is_worth_noting(token: &TokenRecord, at: Timestamp) -> bool {
    token.last_used_at.is_none_or(|last| at.since(last) >= Duration::from_mins(1))
}

/// How long entries of a log are kept. The newest entry always stays: numbers are never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries older than this go.
    pub before: Timestamp,
    /// Beyond this many, the oldest go.
    pub max: u64,
}

fn age_ms(now: Timestamp, then: Timestamp) -> u64 {
    u64::try_from(now.since(then).as_millis()).unwrap_or(u64::MAX)
}
