//! What operators change about devices: create, change, remove, and order operations.
//!
//! One rule runs through it: nothing is half-done. What can be refused is checked first; where a later step is refused
//! all the same (a full queue, a failing store), the earlier ones are taken back.

pub mod credentials;
pub mod draft;
mod firmware;
mod settings;

use std::time::Duration;

use crate::auth::seal::{SealError, Sealer};
use crate::devices::keeper::upkeep::firmware::upgrade_to;
use crate::devices::keeper::upkeep::{Occasion, Sources, Tended, Upkeep, Wake, Written, type_of};
use crate::devices::presence::Presence;
use crate::model::campaign::CampaignId;
use crate::model::device::{Credentials, Device, Login, PendingSetting, Profile, Setting, State};
use crate::model::procedure::Stage;
use crate::model::transaction::{Kind, NewTransaction, Transaction, TransactionStatus, Work};
use crate::model::upgrade::Unfit;
use crate::model::wanted::{Basis, WantedConfiguration};
use crate::store::{CancelError, EnqueueError, Merge, NewDevice, RegisterError, Store, StoreError};
use crate::tasks::queue::{Queue, ScheduleError};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::{Clock, Timestamp};

use self::credentials::{CredentialError, NewLogin};
use self::draft::{DeviceDraft, DevicePatch};
use self::firmware::Upgrade;
use self::settings::Consequences;

/// What an operator may order of a device (rest-api.md 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Restart.
    Reboot,
    /// Back to factory defaults.
    Factory,
    /// The partial reset that the device's type defines.
    DeviceFactory,
    /// Write what differs from the wanted configuration.
    Sync,
    /// Write all of the wanted configuration.
    Reconf,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reboot, Self::Factory, Self::DeviceFactory, Self::Sync, Self::Reconf];

    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reboot => "reboot",
            Self::Factory => "factory",
            Self::DeviceFactory => "device_factory",
            Self::Sync => "sync",
            Self::Reconf => "reconf",
        }
    }

    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == word)
    }

    /// What it is for the queue; the reason when the device's type does not define what it takes. A device of which
    /// nothing is wanted is in line with that: `sync` and `reconf` find nothing to do.
    fn work(self, basis: &Basis<'_>) -> Result<Work, EditError> {
        match self {
            Self::Reboot => Ok(Work::Reboot),
            Self::Factory => Ok(Work::FactoryReset),
            Self::DeviceFactory if basis.has_device_factory() => Ok(Work::DeviceFactory),
            Self::Sync => Ok(Work::Sync),
            Self::Reconf => Ok(Work::Reconfigure),
            Self::DeviceFactory => Err(EditError::Impossible("the device's type defines no device_factory writes")),
        }
    }
}

/// Why a device was not changed. Nothing of the change is left behind.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// Serial number or key are taken.
    #[error(transparent)]
    Register(RegisterError),
    /// User name and password do not make a login.
    #[error(transparent)]
    Credentials(#[from] CredentialError),
    /// The device is inactive, and takes no new work.
    #[error("the device is inactive and takes no new work")]
    Inactive,
    /// Well-formed, but not possible on this device.
    #[error("{0}")]
    Impossible(&'static str),
    /// Its queue holds all it may.
    #[error("the device's queue is full: {limit} transactions wait")]
    QueueFull {
        /// The limit.
        limit: usize,
    },
    /// The firmware image cannot be brought to this device.
    #[error(transparent)]
    Unfit(Unfit),
    /// It is in a session, or a file transfer of it is in progress.
    #[error("{0}")]
    Busy(&'static str),
    /// It was removed meanwhile.
    #[error("the device is gone")]
    Gone,
    /// The credentials could not be sealed or opened.
    #[error("the credentials could not be sealed")]
    Seal(#[from] SealError),
    /// The store failed.
    #[error("the change was not stored")]
    Store(#[from] StoreError),
}

impl From<ScheduleError> for EditError {
    fn from(error: ScheduleError) -> Self {
        match error {
            ScheduleError::Inactive => Self::Inactive,
            ScheduleError::Refused(EnqueueError::UnknownDevice) => Self::Gone,
            ScheduleError::Refused(EnqueueError::QueueFull { limit }) => Self::QueueFull { limit },
            ScheduleError::Refused(EnqueueError::Store(source)) => Self::Store(source),
        }
    }
}

/// Which transactions bring which settings to a device.
type Carriers = Vec<(Setting, TransactionId)>;

/// What has become of a change.
struct Changed {
    device: Device,
    /// What brings the image that was named.
    upgrade: Option<TransactionId>,
}

/// The service that changes devices.
#[derive(Clone, Copy)]
pub struct Editor<'a> {
    /// Holds them.
    pub store: &'a dyn Store,
    /// Brings settings to them.
    pub queue: &'a Queue,
    /// Knows which are in a session.
    pub presence: &'a Presence,
    /// Seals their passwords.
    pub sealer: &'a Sealer,
    /// Dates the changes.
    pub clock: &'a dyn Clock,
    /// How long ordered operations, and the upgrades of a campaign, may wait unstarted; `None`: for ever.
    pub work_expires_after: Option<Duration>,
}

impl Editor<'_> {
    /// Creates a device ahead of its first contact. Its credentials count as set on the device; an update frequency and a
    /// location that its type maps to a parameter are pending until the first contact, when they are scheduled.
    ///
    /// # Errors
    /// [`EditError::Register`], [`EditError::Credentials`], [`EditError::Seal`], [`EditError::Store`].
    pub async fn create(&self, draft: DeviceDraft) -> Result<Device, EditError> {
        let now = self.clock.now();
        let key = draft.key;
        let login = match credentials::of_new_device(&draft)? {
            Some((username, password)) => Some(Login { username, password: self.sealer.seal(&password)? }),
            None => None,
        };
        let mut profile = draft.into_profile(uuid::Uuid::new_v4(), now);
        profile.credentials = Credentials { current: login, ..Credentials::default() };
        if let Some(id) = profile.firmware_image {
            let image = self.store.firmware_images().of(id);
            let image = image.ok_or(EditError::Impossible("there is no such firmware image"))?;
            image.fits(profile.device_type).map_err(EditError::Unfit)?;
        }
        let sources = Sources::of(self.store, &profile);
        for setting in settings::of_new_device(&sources.basis(&profile, &State::unseen(now))) {
            put_pending(&mut profile, setting, now);
        }
        match self.store.register(NewDevice { key, identity: None, profile }).await {
            Ok(device) => Ok(device),
            Err(RegisterError::Store(source)) => Err(EditError::Store(source)),
            Err(taken) => Err(EditError::Register(taken)),
        }
    }

    /// Changes a device as a whole: the record, what then has to be brought to the device, and what is ordered with it.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn change(&self, device: &Device, patch: DevicePatch, by: &str) -> Result<Device, EditError> {
        Ok(Box::pin(self.change_for(device, patch, by, None)).await?.device)
    }

    async fn change_for(
        &self,
        device: &Device,
        patch: DevicePatch,
        by: &str,
        campaign: Option<CampaignId>,
    ) -> Result<Changed, EditError> {
        let mut intended = device.profile.clone();
        patch.clone().apply(&mut intended);
        let (sources, before) = (Sources::of(self.store, &intended), Sources::of(self.store, &device.profile));
        let before = before.basis(&device.profile, &device.state);
        let after = sources.basis(&intended, &device.state);
        let operations: Vec<Work> =
            patch.operations.iter().map(|operation| operation.work(&after)).collect::<Result<_, _>>()?;
        let login = match credentials::of_known_device(device, &patch, self.sealer)? {
            Some(NewLogin { username, password }) => Some(Login { username, password: self.sealer.seal(&password)? }),
            None => None,
        };
        let seen = device.state.identity.is_some();
        let upgrade = self.plan_upgrade(device, &patch, &intended, campaign).await?;
        let mut consequences = Consequences::of(device, &patch, &before, &after, login.is_some());
        consequences.upgrade(upgrade);
        if !intended.is_active && (!operations.is_empty() || (seen && !consequences.asked.is_empty())) {
            return Err(EditError::Inactive);
        }
        let forgotten = if patch.update_frequency == Some(None) { pending_transaction(device) } else { None };
        let (before, changed) = self.write(device.key, patch, login, &consequences, seen, campaign).await?;
        if let Some(id) = forgotten {
            self.withdraw(id).await?;
        }
        let settings: Vec<Setting> = if seen { consequences.asked } else { Vec::new() };
        let mut ordered = Vec::with_capacity(settings.len());
        for setting in settings {
            ordered.extend(self.carrier_of(setting, &changed.profile, by, campaign));
        }
        ordered.extend(operations.into_iter().map(|work| self.ordered(work, by)));
        match self.bring(&changed, ordered).await {
            Ok((device, carriers)) => {
                // Only now: had the new one been refused, the old one would still be wanted.
                if let Some(id) = upgrade.superseded() {
                    self.withdraw(id).await?;
                }
                let upgrade = match upgrade {
                    Upgrade::OnItsWay(carrier) => Some(carrier),
                    Upgrade::Untouched | Upgrade::Wanted { .. } | Upgrade::Settled { .. } => {
                        carriers.iter().find_map(|(setting, id)| (*setting == Setting::FirmwareUpgrade).then_some(*id))
                    }
                };
                Ok(Changed { device: self.tend(device).await, upgrade })
            }
            Err(refused) => {
                if let Some(before) = before {
                    self.restore(changed.profile, before, device.key).await?;
                }
                Err(refused)
            }
        }
    }

    /// Has the device configured if the change made it out of date. The change itself stands, whatever comes of this: the
    /// next Inform finds what is left.
    async fn tend(&self, device: Device) -> Device {
        let upkeep = Upkeep { store: self.store, queue: self.queue };
        let tended = match upkeep.tend(&device, Occasion::Other, Wake::Call, self.clock.now()).await {
            Ok(Tended::Nothing) => return device,
            Ok(Tended::Something) => self.store.device(device.key).await,
            Err(error) => Err(error),
        };
        match tended {
            Ok(tended) => tended.unwrap_or(device),
            Err(error) => {
                tracing::error!(%error, device.id = %device.key, "device {} is not configured yet", device.key);
                device
            }
        }
    }

    /// Orders an operation. The same one that still waits unstarted is taken for the new one.
    ///
    /// # Errors
    /// [`EditError`].
    pub async fn operate(&self, device: &Device, operation: Operation, by: &str) -> Result<Transaction, EditError> {
        if !device.profile.is_active {
            return Err(EditError::Inactive);
        }
        let sources = Sources::of(self.store, &device.profile);
        let work = operation.work(&sources.basis(&device.profile, &device.state))?;
        Ok(self.queue.schedule(device, self.ordered(work, by), Merge::SameUnstarted).await?)
    }

    /// Replaces what is wanted of this one device over and above its type, and has it configured.
    ///
    /// # Errors
    /// [`EditError::Gone`], [`EditError::Store`].
    pub async fn set_wanted(
        &self,
        device: &Device,
        wanted: WantedConfiguration,
        by: &str,
    ) -> Result<Device, EditError> {
        let now = self.clock.now();
        tracing::info!(device.id = %device.key, "{by} changed what is wanted of device {}", device.key);
        let edit = move |profile: &mut Profile| {
            profile.wanted = wanted;
            profile.revision = profile.revision.wrapping_add(1);
            profile.last_change = Some(now);
        };
        let device = self.store.edit_profile(device.key, Box::new(edit)).await?.ok_or(EditError::Gone)?;
        Ok(self.tend(device).await)
    }

    /// Removes a device and everything of it.
    ///
    /// # Errors
    /// [`EditError::Busy`], [`EditError::Gone`], [`EditError::Store`].
    pub async fn remove(&self, device: &Device) -> Result<(), EditError> {
        if self.presence.in_session(device.key) {
            return Err(EditError::Busy("a CWMP session of the device is in progress"));
        }
        let live = self.store.live(device.key).await?;
        let transfers = |transaction: &Transaction| match transaction.progress.stage.as_deref() {
            Some(Stage::Transfer(progress)) => progress.is_underway(),
            Some(Stage::Test(_) | Stage::Discovery(_) | Stage::Call(_)) | None => false,
        };
        if live.iter().any(transfers) {
            return Err(EditError::Busy("a file transfer of the device is in progress"));
        }
        if !self.store.remove(device.key).await? {
            return Err(EditError::Gone);
        }
        for transaction in live {
            self.presence.ended.fire(transaction.id);
        }
        Ok(())
    }

    /// Withdraws a transaction that has not started. A setting that it was to bring stays pending, and says why; a
    /// configuration that acsd was to bring by itself is left alone until something changes or the device restarts.
    ///
    /// # Errors
    /// [`CancelError`].
    pub async fn cancel(&self, transaction: &Transaction, by: &str) -> Result<(), CancelError> {
        self.queue.cancel(transaction.id).await?;
        if let Some(setting) = transaction.work.setting() {
            let (id, reason) = (transaction.id, format!("withdrawn by {by}"));
            let note = move |profile: &mut Profile| {
                let mut pending = profile.pending.iter_mut();
                let carried = |entry: &&mut PendingSetting| entry.is_carried_by(setting, id);
                if let Some(entry) = pending.find(carried) {
                    entry.failed = Some(reason);
                }
            };
            self.store.edit_profile(transaction.device, Box::new(note)).await.map_err(CancelError::Store)?;
        } else if transaction.work == Work::Sync && transaction.kind == Kind::Configuration {
            let upkeep = Upkeep { store: self.store, queue: self.queue };
            let noted = upkeep.configured(transaction, None, Written::Nothing, self.clock.now()).await;
            noted.map_err(CancelError::Store)?;
        }
        Ok(())
    }

    /// Writes the record; what it was before, and the device as it is now.
    async fn write(
        &self,
        key: DeviceKey,
        patch: DevicePatch,
        login: Option<Login>,
        consequences: &Consequences,
        seen: bool,
        campaign: Option<CampaignId>,
    ) -> Result<(Option<Profile>, Device), EditError> {
        let mut before = None;
        if !patch.changes_record() && login.is_none() && consequences.is_none() {
            return self.store.device(key).await?.map(|device| (None, device)).ok_or(EditError::Gone);
        }
        let now = self.clock.now();
        let edit = |profile: &mut Profile| {
            before = Some(profile.clone());
            patch.apply(profile);
            profile.last_change = Some(now);
            if let Some(login) = login {
                if profile.credentials.wanted().is_none_or(|present| present.username != login.username) {
                    // Wanted values may be made from it.
                    profile.revision = profile.revision.wrapping_add(1);
                }
                if seen {
                    // The one that was on its way may have arrived: it stays good until the device has used another.
                    let credentials = &mut profile.credentials;
                    credentials.taken = credentials.next.replace(login).or(credentials.taken.take());
                } else {
                    profile.credentials.current = Some(login);
                    (profile.credentials.taken, profile.credentials.next) = (None, None);
                }
            }
            profile.pending.retain(|entry| !consequences.settled.contains(&entry.setting));
            for setting in consequences.all() {
                put_pending(profile, setting, now);
                if let Some(entry) = profile.pending.last_mut().filter(|_| setting == Setting::FirmwareUpgrade) {
                    // What it gets at its first contact is nobody's to order.
                    entry.campaign = campaign.filter(|_| seen);
                }
            }
        };
        let device = self.store.edit_profile(key, Box::new(edit)).await?.ok_or(EditError::Gone)?;
        Ok((before, device))
    }

    /// Schedules what a change entails, all or none, and notes which transaction carries which setting.
    async fn bring(&self, device: &Device, ordered: Vec<NewTransaction>) -> Result<(Device, Carriers), EditError> {
        let mut carriers = Carriers::new();
        let mut scheduled: Vec<TransactionId> = Vec::new();
        // What waited before is not ours to withdraw.
        let waited: Vec<TransactionId> = self.store.live(device.key).await?.iter().map(|live| live.id).collect();
        for new in ordered {
            // A campaign has to find its own again.
            let merge = if new.campaign.is_some() { Merge::Never } else { Merge::SameUnstarted };
            match self.queue.schedule(device, new, merge).await {
                Ok(transaction) => {
                    scheduled.push(transaction.id);
                    carriers.extend(transaction.work.setting().map(|setting| (setting, transaction.id)));
                }
                Err(refused) => {
                    for id in scheduled.into_iter().filter(|id| !waited.contains(id)) {
                        self.withdraw(id).await?;
                    }
                    return Err(refused.into());
                }
            }
        }
        if carriers.is_empty() {
            return Ok((device.clone(), carriers));
        }
        let noted = carriers.clone();
        let note = move |profile: &mut Profile| {
            for (setting, id) in noted {
                // A device that was quicker has taken the setting already: its entry is gone, and stays gone.
                let waiting = |entry: &&mut PendingSetting| entry.setting == setting && entry.transaction.is_none();
                if let Some(entry) = profile.pending.iter_mut().find(waiting) {
                    entry.transaction = Some(id);
                }
            }
        };
        let device = self.store.edit_profile(device.key, Box::new(note)).await?.ok_or(EditError::Gone)?;
        Ok((device, carriers))
    }

    /// Puts the record back as it was, unless someone else has changed it since.
    async fn restore(&self, changed: Profile, before: Profile, key: DeviceKey) -> Result<(), EditError> {
        let undo = move |profile: &mut Profile| {
            if *profile == changed {
                *profile = before;
            } else {
                tracing::warn!(device.id = %key, "a refused change of device {key} stays: its record has changed since");
            }
        };
        self.store.edit_profile(key, Box::new(undo)).await?;
        Ok(())
    }

    /// Withdraws a transaction if that is still possible.
    async fn withdraw(&self, id: TransactionId) -> Result<(), EditError> {
        match self.queue.cancel(id).await {
            Ok(_) | Err(CancelError::Unknown | CancelError::Started) => Ok(()),
            Err(CancelError::Store(source)) => Err(EditError::Store(source)),
        }
    }

    /// What brings a setting to the device, with the record as it is now.
    fn carrier_of(
        &self,
        setting: Setting,
        profile: &Profile,
        by: &str,
        campaign: Option<CampaignId>,
    ) -> Option<NewTransaction> {
        match setting {
            Setting::FirmwareUpgrade => {
                let image = self.store.firmware_images().of(profile.firmware_image?)?;
                // Operators wait for it as long as it takes; a campaign has a window, and a patience.
                let expires_at = campaign.and_then(|_| self.expiry());
                Some(NewTransaction { expires_at, ..upgrade_to(&image, by, campaign) })
            }
            Setting::UpdateFrequency | Setting::Credentials | Setting::ConnectionRequest | Setting::LocationUpdate => {
                Some(configure(setting, by))
            }
        }
    }

    fn ordered(&self, work: Work, by: &str) -> NewTransaction {
        let (requested_by, expires_at) = (by.to_owned(), self.expiry());
        NewTransaction { kind: Kind::Operation, work, requested_by, expires_at, campaign: None }
    }

    fn expiry(&self) -> Option<Timestamp> {
        self.work_expires_after.map(|span| self.clock.now() + span)
    }
}

/// acsd's own settings never expire: they are wanted until the device has them.
fn configure(setting: Setting, by: &str) -> NewTransaction {
    NewTransaction {
        kind: Kind::Configuration,
        work: Work::Configure(setting),
        requested_by: by.to_owned(),
        expires_at: None,
        campaign: None,
    }
}

/// Seconds that are shown for a device of which no interval is known: what most CPEs are shipped with.
pub const DEFAULT_UPDATE_FREQUENCY_SECS: u32 = 300;

/// The periodic interval as the API shows it: what is wanted of the device, by itself or by its type, else what the device
/// reported, else the default.
#[must_use]
pub fn shown_update_frequency(device: &Device, store: &dyn Store) -> u32 {
    let of_type = || type_of(store, &device.profile).update_frequency;
    let reported = device.state.periodic_interval_secs;
    device.profile.update_frequency.or_else(of_type).or(reported).unwrap_or(DEFAULT_UPDATE_FREQUENCY_SECS)
}

/// The transaction that carries a new update frequency, if one does.
fn pending_transaction(device: &Device) -> Option<TransactionId> {
    let mut pending = device.profile.pending.iter();
    pending.find(|entry| entry.setting == Setting::UpdateFrequency).and_then(|entry| entry.transaction)
}

/// Makes a setting pending anew, whatever became of it before.
fn put_pending(profile: &mut Profile, setting: Setting, now: Timestamp) {
    profile.pending.retain(|entry| entry.setting != setting);
    profile.pending.push(PendingSetting::uncarried(setting, now));
}

/// How a pending setting stands, in the words of transactions: one that nothing carries yet is scheduled, one that was
/// refused has failed.
#[must_use]
pub fn pending_status(pending: &PendingSetting, carrier: Option<&Transaction>) -> TransactionStatus {
    match (&pending.failed, carrier) {
        (Some(_), _) => TransactionStatus::Failed,
        (None, Some(carrier)) => carrier.status,
        (None, None) => TransactionStatus::Scheduled,
    }
}
