//! What devices send.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use super::folder::{Held, NoRoom};
use super::{Claim, Complete, Draft, Files, ReceiveError, RecordError, Target};
use crate::model::device::OrganizationId;
use crate::model::file::{StoredFile, StoredFileId};
use crate::model::transaction::Work;
use crate::model::transfer::FileRef;
use crate::store::StoreError;
use crate::store::catalogue::AddError;
use crate::types::ident::{DeviceKey, SerialNumber, TransactionId};

/// How long after the end of its transaction a file may still come: some devices report a transfer before it is over.
const GRACE: Duration = Duration::from_mins(5);

/// Why a device's file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Nobody asked for it: no such device, or no such transaction.
    #[error("there is no such upload")]
    Unknown,
    /// The bytes could not be taken.
    #[error(transparent)]
    Receive(#[from] ReceiveError),
    /// The store failed.
    #[error("the file was not stored")]
    Store(#[from] StoreError),
    /// Every number has been given out.
    #[error("no number is left")]
    Exhausted,
}

/// A file that was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// The first of its transaction.
    New(StoredFileId),
    /// In the place of one that came before.
    Replaced(StoredFileId),
}

/// A file that a device was asked for.
#[derive(Debug, Clone)]
pub struct Upload {
    device: DeviceKey,
    serial_number: SerialNumber,
    organization: OrganizationId,
    transaction: TransactionId,
    file_type: String,
}

/// Which files are whose, in memory.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_transaction: HashMap<TransactionId, StoredFileId>,
    by_device: HashMap<DeviceKey, BTreeSet<StoredFileId>>,
}

impl Index {
    pub(super) fn of<'a>(files: impl Iterator<Item = &'a StoredFile>) -> Self {
        let mut index = Self::default();
        for file in files {
            // The later one is the one that counts, should there be two.
            index.insert(file);
        }
        index
    }

    pub(super) fn of_transaction(&self, transaction: TransactionId) -> Option<StoredFileId> {
        self.by_transaction.get(&transaction).copied()
    }

    /// Adds a file; the one that it takes the place of.
    fn insert(&mut self, file: &StoredFile) -> Option<StoredFileId> {
        self.by_device.entry(file.device).or_default().insert(file.id);
        self.by_transaction.insert(file.transaction, file.id).filter(|displaced| *displaced != file.id)
    }

    fn remove(&mut self, file: &StoredFile) {
        if self.of_transaction(file.transaction) == Some(file.id) {
            self.by_transaction.remove(&file.transaction);
        }
        if let Some(files) = self.by_device.get_mut(&file.device) {
            files.remove(&file.id);
            if files.is_empty() {
                self.by_device.remove(&file.device);
            }
        }
    }

    fn len(&self) -> usize {
        self.by_transaction.len()
    }

    fn of_device(&self, device: DeviceKey) -> Vec<StoredFileId> {
        self.by_device.get(&device).into_iter().flatten().copied().collect()
    }
}

/// What a file of this type is called: some CPEs and people go by the extension.
pub(super) fn file_name(file_type: &str) -> &'static str {
    let file_type = file_type.to_ascii_lowercase();
    if file_type.contains("log") {
        "device.log"
    } else if file_type.contains("config") {
        "device.cfg"
    } else {
        "device.bin"
    }
}

impl Files {
    /// What the claim of an upload link is for; `None`: there is no such transaction (any more).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn upload(&self, claim: &Claim) -> Result<Option<Upload>, StoreError> {
        if claim.target != Target::Upload {
            return Ok(None);
        }
        let Some(transaction) = self.store.transaction(claim.transaction).await? else { return Ok(None) };
        let Work::Upload(order) = &transaction.work else { return Ok(None) };
        let is_over = transaction.completed_at.is_some_and(|at| self.clock.now() > at + GRACE);
        if transaction.device != claim.device || is_over {
            return Ok(None);
        }
        let device = self.store.device(claim.device).await?;
        Ok(device.map(|device| Upload {
            device: device.key,
            serial_number: device.profile.serial_number,
            organization: device.profile.organization,
            transaction: transaction.id,
            file_type: order.file_type.clone(),
        }))
    }

    /// Begins to receive what a device sends. `announced`: how much it says that is.
    ///
    /// # Errors
    /// [`ReceiveError`].
    pub async fn receive(&self, upload: &Upload, announced: Option<u64>) -> Result<Draft, ReceiveError> {
        let limit_bytes = self.config.max_upload_bytes;
        if self.is_full() && self.index.lock().of_device(upload.device).is_empty() {
            return Err(self.no_place());
        }
        self.admit(announced, 0, limit_bytes)?;
        Draft::begin(self.folder.clone(), limit_bytes).await
    }

    /// Refuses what is announced to be too large before any of it arrives.
    pub(super) fn admit(&self, announced: Option<u64>, here: u64, limit_bytes: u64) -> Result<(), ReceiveError> {
        if announced.is_some_and(|size| size > limit_bytes) {
            return Err(ReceiveError::TooLarge { limit_bytes });
        }
        let more = announced.unwrap_or(0).saturating_sub(here);
        self.folder.room(here, more).map_err(ReceiveError::NoRoom)
    }

    /// Whether there are as many files as there may be.
    fn is_full(&self) -> bool {
        self.index.lock().len() >= self.config.max_stored
    }

    const fn no_place(&self) -> ReceiveError {
        ReceiveError::NoRoom(NoRoom::Count { limit: self.config.max_stored })
    }

    /// Which of its files a device gives up for a new one, when there are as many as there may be: the oldest that it is
    /// not about to fetch.
    async fn yielding(&self, upload: &Upload) -> Result<Option<StoredFileId>, UploadError> {
        if !self.is_full() || self.arrived(upload.transaction).is_some() {
            return Ok(None);
        }
        let of_device = self.index.lock().of_device(upload.device);
        for file in of_device.into_iter().filter_map(|id| self.store.stored_files().of(id)) {
            if !self.is_awaited(&file).await? {
                return Ok(Some(file.id));
            }
        }
        Err(self.no_place().into())
    }

    /// Keeps what a device has sent: durable when this returns. It takes the place of what came for the same transaction
    /// before; of the device's files of this type the oldest go.
    ///
    /// # Errors
    /// [`UploadError`]; nothing is kept.
    pub async fn keep(&self, upload: &Upload, complete: Complete) -> Result<Kept, UploadError> {
        let displaced = self.yielding(upload).await?;
        let held = complete.publish().await?;
        let (sha256, size, now) = (held.sha256(), held.size(), self.clock.now());
        // Kept and found together with the record, not when that is durable: whoever waits for it may go away.
        let mut held = Some(held);
        if let Some(id) = self.arrived(upload.transaction) {
            let mut before = None;
            let replace = |file: &mut StoredFile| {
                before = Some(file.sha256);
                (file.sha256, file.size, file.created) = (sha256, size, now);
                held.take().into_iter().for_each(Held::keep);
            };
            if self.store.stored_files().edit(id.0, Box::new(replace)).await?.is_some() {
                if let Some(before) = before {
                    self.release(before).await;
                }
                return Ok(Kept::Replaced(id));
            }
        }
        let (of, mut twin) = (upload.clone(), None);
        let make = |id| {
            let file = StoredFile {
                id: StoredFileId(id),
                device: of.device,
                serial_number: of.serial_number,
                organization: of.organization,
                transaction: of.transaction,
                file_type: of.file_type,
                size,
                sha256,
                created: now,
            };
            held.take().into_iter().for_each(Held::keep);
            twin = self.index.lock().insert(&file);
            file
        };
        let added = self.store.stored_files().add(None, Box::new(make)).await;
        let file = added.map_err(|error| match error {
            AddError::Store(source) => UploadError::Store(source),
            AddError::Taken { .. } | AddError::Exhausted => UploadError::Exhausted,
        })?;
        if let Some(displaced) = displaced {
            self.discard(displaced).await?;
        }
        // Two uploads for one transaction at the same time: the later one counts.
        if let Some(twin) = twin {
            self.discard(twin).await?;
        }
        // A device that was removed meanwhile takes its files along.
        if self.store.device(upload.device).await?.is_none() {
            self.forget_device(upload.device).await?;
            return Err(UploadError::Unknown);
        }
        self.retire(upload, file.id).await?;
        Ok(Kept::New(file.id))
    }

    /// Removes the oldest files of a device and type beyond those that are kept. A file that the device is about to fetch
    /// stays.
    async fn retire(&self, upload: &Upload, newest: StoredFileId) -> Result<(), StoreError> {
        let catalogue = self.store.stored_files();
        let of_device = self.index.lock().of_device(upload.device);
        let mut same: Vec<_> = of_device
            .into_iter()
            .filter_map(|id| catalogue.of(id))
            .filter(|file| file.file_type == upload.file_type && file.id != newest)
            .collect();
        let keep = self.config.keep_uploads.saturating_sub(1);
        if same.len() <= keep {
            return Ok(());
        }
        same.sort_unstable_by_key(|file| std::cmp::Reverse((file.created, file.id)));
        for file in same.into_iter().skip(keep) {
            if !self.is_awaited(&file).await? {
                self.discard(file.id).await?;
            }
        }
        Ok(())
    }

    /// Whether the device is about to fetch this file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_awaited(&self, file: &StoredFile) -> Result<bool, StoreError> {
        let live = self.store.live(file.device).await?;
        Ok(live.iter().any(|transaction| match &transaction.work {
            Work::Download(order) => order.file == FileRef::Stored(file.id),
            _ => false,
        }))
    }

    /// A device's files, oldest first.
    #[must_use]
    pub fn of_device(&self, device: DeviceKey) -> Vec<StoredFileId> {
        self.index.lock().of_device(device)
    }

    /// Removes a file that a device has sent.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn remove_stored(&self, id: StoredFileId) -> Result<(), RecordError> {
        if self.discard(id).await? { Ok(()) } else { Err(RecordError::Unknown) }
    }

    async fn discard(&self, id: StoredFileId) -> Result<bool, StoreError> {
        let catalogue = self.store.stored_files();
        let Some(file) = catalogue.of(id) else { return Ok(false) };
        if !catalogue.remove(id.0).await? {
            return Ok(false);
        }
        self.index.lock().remove(&file);
        self.release(file.sha256).await;
        Ok(true)
    }

    /// Removes everything that a device has sent: the device is gone.
    ///
    /// # Errors
    /// [`StoreError`]; what is left goes at the next start.
    pub async fn forget_device(&self, device: DeviceKey) -> Result<(), StoreError> {
        for id in self.of_device(device) {
            self.discard(id).await?;
        }
        Ok(())
    }

    /// Removes the files of devices that are gone: acsd was killed before it came to them. For start-up.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tidy(&self) -> Result<(), StoreError> {
        let devices: Vec<DeviceKey> = self.index.lock().by_device.keys().copied().collect();
        for device in devices {
            if self.store.device(device).await?.is_none() {
                self.forget_device(device).await?;
            }
        }
        Ok(())
    }
}
