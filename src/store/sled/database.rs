//! Tables of sled, with values of any size: what is too large for one record is split into parts.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ::sled::{Db, IVec, Tree};

use crate::store::StoreError;
use crate::store::key::{self, Table};
use crate::store::record::{self, unreadable};

use super::health::Health;
use super::watch;

/// No record is larger: larger ones, or neighbours that are large together, would go to side files that sled never syncs.
pub(super) const VALUE_MAX_BYTES: usize = 48 << 10;

/// Constant for the life of a store: another size on an existing store can wipe it.
const SEGMENT_BYTES: usize = 8 << 20;
/// The collector frees at most one segment per tick, so ticks must come often.
const FLUSH_EVERY_MS: u64 = 50;

/// First byte of a record that only says where the parts are; no format byte of [`crate::store::record`].
const PARTED: u8 = 0xff;

/// An open sled database.
pub(super) struct Database {
    db: Db,
    devices: Tree,
    profiles: Tree,
    queues: Tree,
    parameters: Tree,
    history: Tree,
    results: Tree,
    tokens: Tree,
    organizations: Tree,
    device_types: Tree,
    locations: Tree,
    webhooks: Tree,
    images: Tree,
    files: Tree,
    campaigns: Tree,
    members: Tree,
    entries: Tree,
    series: Tree,
    events: Tree,
    audit: Tree,
    traces: Tree,
    gone: Tree,
    meta: Tree,
    live: LiveBytes,
    folder: PathBuf,
    health: Arc<Health>,
}

/// Bytes of keys and values that are there, without what concerns the store itself ([`Table::Meta`]).
#[derive(Debug, Default)]
struct LiveBytes {
    /// In tables that are read whole at each open, and counted then.
    counted: AtomicI64,
    /// In the others, which are too large for that: counted on from the figure that was noted last.
    noted: AtomicI64,
}

impl LiveBytes {
    /// Tables that are not read at an open.
    const NOTED: [Table; 5] = [Table::Parameters, Table::Results, Table::Traces, Table::Members, Table::Series];

    fn change(&self, table: Table, before: usize, now: usize) {
        let figure = match table {
            Table::Parameters | Table::Results | Table::Traces | Table::Members | Table::Series => &self.noted,
            Table::Devices
            | Table::Profiles
            | Table::Queues
            | Table::History
            | Table::Tokens
            | Table::Organizations
            | Table::DeviceTypes
            | Table::Locations
            | Table::Webhooks
            | Table::Images
            | Table::Files
            | Table::Campaigns
            | Table::Entries
            | Table::Events
            | Table::Audit
            | Table::Gone => &self.counted,
            Table::Meta => return,
        };
        let bytes = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
        figure.fetch_add(bytes(now).saturating_sub(bytes(before)), Ordering::Relaxed);
    }
}

/// A value as it was put.
pub(super) enum Value {
    /// In one record.
    Whole(IVec),
    /// Put together.
    Joined(Vec<u8>),
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Whole(record) => record,
            Self::Joined(bytes) => bytes,
        }
    }
}

/// Where the parts of a value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    /// 0 or 1, so that a new value never overwrites parts of the one it replaces.
    generation: u8,
    count: u16,
}

impl Parts {
    fn read(record: &[u8]) -> Option<Self> {
        match *record {
            [PARTED, generation, high, low] => Some(Self { generation, count: u16::from_be_bytes([high, low]) }),
            _ => None,
        }
    }

    fn record(self) -> [u8; 4] {
        let [high, low] = self.count.to_be_bytes();
        [PARTED, self.generation, high, low]
    }

    fn keys(self, key: &[u8]) -> impl Iterator<Item = Vec<u8>> {
        (0..self.count).map(move |number| key::part(key, self.generation, number))
    }
}

impl Database {
    /// Opens or creates the files; blocks, and may panic when they are damaged.
    pub(super) fn open(folder: &Path, cache_bytes: u64, health: Arc<Health>) -> Result<Self, ::sled::Error> {
        let db = ::sled::Config::new()
            .path(folder)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .cache_capacity(cache_bytes)
            .open()?;
        let table = |table: Table| db.open_tree(table.name());
        Ok(Self {
            devices: table(Table::Devices)?,
            profiles: table(Table::Profiles)?,
            queues: table(Table::Queues)?,
            parameters: table(Table::Parameters)?,
            history: table(Table::History)?,
            results: table(Table::Results)?,
            tokens: table(Table::Tokens)?,
            organizations: table(Table::Organizations)?,
            device_types: table(Table::DeviceTypes)?,
            locations: table(Table::Locations)?,
            webhooks: table(Table::Webhooks)?,
            images: table(Table::Images)?,
            files: table(Table::Files)?,
            campaigns: table(Table::Campaigns)?,
            members: table(Table::Members)?,
            entries: table(Table::Entries)?,
            series: table(Table::Series)?,
            events: table(Table::Events)?,
            audit: table(Table::Audit)?,
            traces: table(Table::Traces)?,
            gone: table(Table::Gone)?,
            meta: table(Table::Meta)?,
            db,
            live: LiveBytes::default(),
            folder: folder.to_owned(),
            health,
        })
    }

    fn tree(&self, table: Table) -> &Tree {
        match table {
            Table::Devices => &self.devices,
            Table::Profiles => &self.profiles,
            Table::Queues => &self.queues,
            Table::Parameters => &self.parameters,
            Table::History => &self.history,
            Table::Results => &self.results,
            Table::Tokens => &self.tokens,
            Table::Organizations => &self.organizations,
            Table::DeviceTypes => &self.device_types,
            Table::Locations => &self.locations,
            Table::Webhooks => &self.webhooks,
            Table::Images => &self.images,
            Table::Files => &self.files,
            Table::Campaigns => &self.campaigns,
            Table::Members => &self.members,
            Table::Entries => &self.entries,
            Table::Series => &self.series,
            Table::Events => &self.events,
            Table::Audit => &self.audit,
            Table::Traces => &self.traces,
            Table::Gone => &self.gone,
            Table::Meta => &self.meta,
        }
    }

    /// Reads a value.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Value>, StoreError> {
        let tree = self.tree(table);
        let mut missing = None;
        loop {
            let Some(record) = tree.get(key).map_err(|error| self.health.judge(&error))? else { return Ok(None) };
            let Some(parts) = Parts::read(&record) else { return Ok(Some(Value::Whole(record))) };
            if let Some(joined) = self.join(tree, key, parts)? {
                return Ok(Some(Value::Joined(joined)));
            }
            // A part is gone: the value was replaced in between, or it is broken.
            if missing.replace(parts) == Some(parts) {
                return Err(unreadable(table.name(), "a part is missing"));
            }
        }
    }

    fn join(&self, tree: &Tree, key: &[u8], parts: Parts) -> Result<Option<Vec<u8>>, StoreError> {
        let mut joined = Vec::with_capacity(usize::from(parts.count) * VALUE_MAX_BYTES);
        for part in parts.keys(key) {
            match tree.get(part).map_err(|error| self.health.judge(&error))? {
                Some(record) => joined.extend_from_slice(&record),
                None => return Ok(None),
            }
        }
        Ok(Some(joined))
    }

    /// About how many bytes a value has, without reading its parts.
    pub(super) fn size(&self, table: Table, key: &[u8]) -> Result<usize, StoreError> {
        let record = self.tree(table).get(key).map_err(|error| self.health.judge(&error))?;
        Ok(record.map_or(0, |record| match Parts::read(&record) {
            Some(parts) => usize::from(parts.count) * VALUE_MAX_BYTES,
            None => record.len(),
        }))
    }

    /// Writes a value. Whoever reads sees the old one or the new one, also after a kill in the midst of it.
    pub(super) fn put(&self, table: Table, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let tree = self.tree(table);
        if value.len() <= VALUE_MAX_BYTES {
            let before = self.insert(table, key, value)?;
            return self.drop_parts(table, key, before.as_deref());
        }
        let before = tree.get(key).map_err(|error| self.health.judge(&error))?;
        let generation = before.as_deref().and_then(Parts::read).map_or(0, |parts| parts.generation ^ 1);
        let count = u16::try_from(value.len().div_ceil(VALUE_MAX_BYTES)).map_err(|_| StoreError::Unavailable {
            reason: format!("a value of {} bytes is larger than any record may be", value.len()),
        })?;
        let parts = Parts { generation, count };
        for (key, part) in parts.keys(key).zip(value.chunks(VALUE_MAX_BYTES)) {
            self.insert(table, &key, part)?;
        }
        self.insert(table, key, &parts.record())?;
        self.drop_parts(table, key, before.as_deref())
    }

    fn insert(&self, table: Table, key: &[u8], record: &[u8]) -> Result<Option<IVec>, StoreError> {
        if record.len() > VALUE_MAX_BYTES {
            return Err(StoreError::Unavailable {
                reason: format!("a record of {} bytes was about to be written", record.len()),
            });
        }
        let before = self.tree(table).insert(key, record).map_err(|error| self.health.judge(&error))?;
        let size = |record: &IVec| key.len() + record.len();
        self.live.change(table, before.as_ref().map_or(0, size), key.len() + record.len());
        Ok(before)
    }

    fn delete(&self, table: Table, key: &[u8]) -> Result<Option<IVec>, StoreError> {
        let before = self.tree(table).remove(key).map_err(|error| self.health.judge(&error))?;
        if let Some(record) = &before {
            self.live.change(table, key.len() + record.len(), 0);
        }
        Ok(before)
    }

    /// Removes a value; `false`: there was none.
    pub(super) fn remove(&self, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        let before = self.delete(table, key)?;
        self.drop_parts(table, key, before.as_deref())?;
        Ok(before.is_some())
    }

    /// The keys of a table that begin so, without those of parts, in order.
    pub(super) fn keys_below(&self, table: Table, prefix: &[u8]) -> Result<Vec<IVec>, StoreError> {
        let mut keys = Vec::new();
        for found in self.tree(table).scan_prefix(prefix) {
            let (key, _) = found.map_err(|error| self.health.judge(&error))?;
            if table.key_bytes().is_none_or(|bytes| key.len() == bytes) {
                keys.push(key);
            }
        }
        Ok(keys)
    }

    /// The first key of a table at or behind a place; it may be that of a part.
    pub(super) fn first_key(&self, table: Table, from: &[u8]) -> Result<Option<IVec>, StoreError> {
        let first = self.tree(table).range(from..).next().transpose();
        Ok(first.map_err(|error| self.health.judge(&error))?.map(|(key, _)| key))
    }

    /// Visits the values of a table whose keys begin so, in order.
    pub(super) fn each_below(
        &self,
        table: Table,
        prefix: &[u8],
        visit: impl FnMut(&[u8], Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.visit(table, self.tree(table).scan_prefix(prefix), |_| {}, visit)
    }

    /// Removes a value and whatever a kill may have left beside it.
    pub(super) fn purge(&self, table: Table, key: &[u8]) -> Result<(), StoreError> {
        for found in self.tree(table).scan_prefix(key) {
            let (key, _) = found.map_err(|error| self.health.judge(&error))?;
            self.delete(table, &key)?;
        }
        Ok(())
    }

    fn drop_parts(&self, table: Table, key: &[u8], before: Option<&[u8]>) -> Result<(), StoreError> {
        for part in before.and_then(Parts::read).into_iter().flat_map(|parts| parts.keys(key)) {
            self.delete(table, &part)?;
        }
        Ok(())
    }

    /// Visits all values of a table in key order.
    pub(super) fn each(
        &self,
        table: Table,
        visit: impl FnMut(&[u8], Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.walk(table, |_| {}, visit)
    }

    /// The same once, at the open: the table's live bytes are counted, too.
    pub(super) fn each_at_open(
        &self,
        table: Table,
        visit: impl FnMut(&[u8], Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.walk(table, |bytes| self.live.change(table, 0, bytes), visit)
    }

    fn walk(
        &self,
        table: Table,
        count: impl Fn(usize),
        visit: impl FnMut(&[u8], Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.visit(table, self.tree(table).iter(), count, visit)
    }

    fn visit(
        &self,
        table: Table,
        records: ::sled::Iter,
        count: impl Fn(usize),
        mut visit: impl FnMut(&[u8], Value) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let key_bytes = table.key_bytes();
        for found in records {
            let (key, record) = found.map_err(|error| self.health.judge(&error))?;
            count(key.len() + record.len());
            if key_bytes.is_some_and(|bytes| key.len() != bytes) {
                continue;
            }
            if Parts::read(&record).is_none() {
                visit(&key, Value::Whole(record))?;
            } else if let Some(joined) = self.get(table, &key)? {
                visit(&key, joined)?;
            }
        }
        Ok(())
    }

    /// Copies every record into another, empty one, and waits until all is on the disk.
    pub(super) fn copy_to(&self, target: &Self) -> Result<(), StoreError> {
        for table in Table::ALL {
            for found in self.tree(table) {
                let (key, record) = found.map_err(|error| self.health.judge(&error))?;
                target.insert(table, &key, &record)?;
            }
        }
        target.flush()
    }

    /// Waits until everything that was written before is on the disk. Only the committer's thread calls it.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        // What the flush is to make durable may lie in a side file already.
        watch::guard_side_files(&self.folder, &self.health)?;
        self.db.flush().map(drop).map_err(|error| self.health.judge(&error))
    }

    /// Bytes of keys and values that are there.
    pub(super) fn live_bytes(&self) -> u64 {
        let both = self.live.counted.load(Ordering::Relaxed).saturating_add(self.live.noted.load(Ordering::Relaxed));
        u64::try_from(both).unwrap_or(0)
    }

    /// Takes up the live bytes of the tables that are not read at an open. Where none were noted they are counted once.
    pub(super) fn resume_live_bytes(&self) -> Result<(), StoreError> {
        if let Some(bytes) = self.get(Table::Meta, key::LIVE_BYTES)? {
            self.live.noted.fetch_add(record::decode("live bytes", &bytes)?, Ordering::Relaxed);
            return Ok(());
        }
        for table in LiveBytes::NOTED {
            for found in self.tree(table) {
                let (key, record) = found.map_err(|error| self.health.judge(&error))?;
                self.live.change(table, 0, key.len() + record.len());
            }
        }
        Ok(())
    }

    /// Notes these live bytes for the next open. What a kill leaves out makes the figure wrong by that much, which is
    /// little beside what it is for.
    pub(super) fn note_live_bytes(&self) -> Result<(), StoreError> {
        let bytes = record::encode(&self.live.noted.load(Ordering::Relaxed).max(0), 16)?;
        if self.get(Table::Meta, key::LIVE_BYTES)?.as_deref() == Some(&*bytes) {
            return Ok(());
        }
        self.put(Table::Meta, key::LIVE_BYTES, &bytes)
    }

    /// Bytes on disk.
    pub(super) fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.db.size_on_disk().map_err(|error| self.health.judge(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_bytes_that_were_never_noted_are_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let database = Database::open(folder.path(), 1 << 20, Arc::new(Health::default())).expect("opened");
        for table in Table::ALL {
            database.put(table, &[0; 12], table.name().as_bytes()).expect("put");
        }
        let noted = database.live.noted.swap(0, Ordering::Relaxed);
        assert!(noted > 0);
        database.resume_live_bytes().expect("counted");
        assert_eq!(database.live.noted.load(Ordering::Relaxed), noted);
    }
}
