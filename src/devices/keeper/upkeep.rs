//! Bringing one device to what is wanted of it.
//!
//! Whether there is anything to do is told by the mark of the configuration that was last brought to the device, or tried:
//! while it is the present one, an Inform costs a few look-ups in memory and nothing else. When it is another one, the
//! type's interval and the location are brought if the device has others, and the rest by a `sync`, which reads first.

pub mod firmware;

use std::sync::Arc;

use crate::devices::onboard::REQUESTED_BY;
use crate::model::device::{Configured, DataModel, Device, PendingSetting, Profile, Setting, State};
use crate::model::device_type::DeviceType;
use crate::model::inventory::{Location, Organization};
use crate::model::transaction::{Kind, NewTransaction, Transaction, TransactionStatus, Work};
use crate::model::wanted::{Basis, ConfigurationMark};
use crate::store::{EnqueueError, Merge, Store, StoreError};
use crate::tasks::queue::{Queue, ScheduleError};
use crate::telemetry::names;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

/// The records besides its own that decide what a device is configured to.
#[derive(Debug, Clone)]
pub struct Sources {
    device_type: Arc<DeviceType>,
    location: Option<Arc<Location>>,
    organization: Option<Arc<Organization>>,
}

impl Sources {
    /// Of the device with this profile: look-ups in memory.
    #[must_use]
    pub fn of(store: &dyn Store, profile: &Profile) -> Self {
        Self::with_type(store, profile, type_of(store, profile))
    }

    fn with_type(store: &dyn Store, profile: &Profile, device_type: Arc<DeviceType>) -> Self {
        let location = profile.location.and_then(|id| store.locations().of(id));
        Self { device_type, location, organization: store.organizations().of(profile.organization) }
    }

    /// Together with what is known of the device.
    #[must_use]
    pub fn basis<'b>(&'b self, profile: &'b Profile, state: &'b State) -> Basis<'b> {
        Basis {
            device_type: &self.device_type,
            profile,
            state,
            location: self.location.as_deref(),
            organization: self.organization.as_deref(),
        }
    }
}

/// A device's type; one that wants nothing when it is gone.
#[must_use]
pub fn type_of(store: &dyn Store, profile: &Profile) -> Arc<DeviceType> {
    store.device_types().of(profile.device_type).unwrap_or_else(|| Arc::new(DeviceType::generic(profile.created)))
}

/// Why a device is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// It has restarted: what failed before is worth another try.
    Boot,
    /// Anything else.
    Other,
}

/// Whether a device is called when it gets work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// It is elsewhere.
    Call,
    /// It is calling just now.
    IsHere,
}

/// Whether anything was scheduled or noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tended {
    /// The device is as it is to be, as far as is known, or is being brought there already.
    Nothing,
    /// Its record or its queue has changed.
    Something,
}

/// The service.
#[derive(Clone, Copy)]
pub struct Upkeep<'a> {
    /// Holds the devices.
    pub store: &'a dyn Store,
    /// Takes the work.
    pub queue: &'a Queue,
}

impl Upkeep<'_> {
    /// Schedules what brings a device to what is wanted of it, unless it is there or on its way. Durable when it returns;
    /// without I/O when there is nothing to do.
    ///
    /// # Errors
    /// [`StoreError`]. A full queue is none: the next Inform tries again.
    pub async fn tend(
        &self,
        device: &Device,
        occasion: Occasion,
        wake: Wake,
        at: Timestamp,
    ) -> Result<Tended, StoreError> {
        let Some(Due { sources, mark, why }) = self.due(device, occasion) else { return Ok(Tended::Nothing) };
        let basis = sources.basis(&device.profile, &device.state);
        let live = self.store.live(device.key).await?;
        let under_way = live.iter().find(|live| matches!(live.work, Work::Sync | Work::Reconfigure));
        let on_its_way = under_way.is_some();
        if let (Some(under_way), Why::OutOfDate, Wake::Call) = (under_way, why, wake) {
            // Something else is wanted now: what was tried in vain before says nothing of it.
            self.queue.hasten(under_way).await?;
        }
        // While a sync backs off, each Inform finds the device out of date: what was refused is not tried each time.
        let refused = match why {
            Why::OutOfDate if !on_its_way => Refused::AreTriedAgain,
            Why::OutOfDate | Why::Failed | Why::Uncarried => Refused::StayPending,
        };
        let upgraded = self.bring_firmware(device, &live, wake, at).await?;
        let tended = match self.bring_settings(device, &basis, refused, wake, at).await? {
            Tended::Something => Tended::Something,
            Tended::Nothing => upgraded,
        };
        match mark {
            Some(mark) if why != Why::Uncarried && !on_its_way => {
                if basis.wants_configuration() {
                    self.schedule(device, Work::Sync, wake, at).await?;
                } else {
                    self.note_configured(device.key, Configured { mark: Some(mark), failed: false }).await?;
                }
                Ok(Tended::Something)
            }
            Some(_) | None => Ok(tended),
        }
    }

    /// Whether [`tend`](Self::tend) would do anything: look-ups in memory.
    #[must_use]
    pub fn is_due(&self, device: &Device, occasion: Occasion) -> bool {
        self.due(device, occasion).is_some()
    }

    /// What there is to do, told from memory.
    fn due(&self, device: &Device, occasion: Occasion) -> Option<Due> {
        let profile = &device.profile;
        if !profile.is_active || device.state.identity.is_none() {
            return None;
        }
        let uncarried = profile.pending.iter().any(is_uncarried) || firmware::is_due(self.store, device);
        let device_type = type_of(self.store, profile);
        if !uncarried && profile.wanted.is_empty() && device_type.wants_nothing() {
            return None;
        }
        let sources = Sources::with_type(self.store, profile, device_type);
        let mark = sources.basis(profile, &device.state).mark();
        let configured = device.state.configured;
        let why = if mark.is_some() && configured.mark != mark {
            Why::OutOfDate
        } else if mark.is_some() && configured.failed && occasion == Occasion::Boot {
            Why::Failed
        } else if uncarried {
            Why::Uncarried
        } else {
            return None;
        };
        Some(Due { sources, mark, why })
    }

    /// Makes the type's interval and the location pending where the device has others, and schedules them.
    async fn bring_settings(
        &self,
        device: &Device,
        basis: &Basis<'_>,
        refused: Refused,
        wake: Wake,
        at: Timestamp,
    ) -> Result<Tended, StoreError> {
        let mut tended = Tended::Nothing;
        for setting in [Setting::UpdateFrequency, Setting::LocationUpdate] {
            if setting == Setting::LocationUpdate && device.state.data_model == DataModel::Unknown {
                // The type may map it to another parameter in each tree.
                continue;
            }
            let entry = device.profile.pending.iter().find(|entry| entry.setting == setting);
            let brings = match entry {
                Some(PendingSetting { failed: Some(_), .. }) => refused == Refused::AreTriedAgain,
                Some(entry) => is_uncarried(entry),
                None => self.differs(device, basis, setting).await?,
            };
            if setting == Setting::LocationUpdate && entry.is_some() && basis.location_parameter().is_none() {
                let edit = Box::new(|profile: &mut Profile| {
                    profile.pending.retain(|entry| entry.setting != Setting::LocationUpdate);
                });
                self.store.edit_profile(device.key, edit).await?;
                tended = Tended::Something;
            } else if brings && let Some(carrier) = self.schedule(device, Work::Configure(setting), wake, at).await? {
                let edit = Box::new(move |profile: &mut Profile| note_carrier(profile, setting, carrier.id, at));
                self.store.edit_profile(device.key, edit).await?;
                tended = Tended::Something;
            }
        }
        Ok(tended)
    }

    /// Whether the device has another interval than its type wants, or another location than its record says.
    async fn differs(&self, device: &Device, basis: &Basis<'_>, setting: Setting) -> Result<bool, StoreError> {
        match setting {
            Setting::UpdateFrequency => {
                let wanted = basis.device_type.update_frequency.filter(|_| device.profile.update_frequency.is_none());
                Ok(wanted.is_some() && wanted != device.state.periodic_interval_secs)
            }
            Setting::LocationUpdate => {
                let Some(path) = basis.location_parameter() else { return Ok(false) };
                let name = basis.location_name();
                if name.is_empty() {
                    return Ok(false);
                }
                let known = self.store.known(device.key, &[path.as_str()]).await?;
                let known = known.into_iter().flatten().next().and_then(|parameter| parameter.value);
                Ok(known.as_deref() != Some(name))
            }
            Setting::Credentials | Setting::ConnectionRequest | Setting::FirmwareUpgrade => Ok(false),
        }
    }

    async fn schedule(
        &self,
        device: &Device,
        work: Work,
        wake: Wake,
        at: Timestamp,
    ) -> Result<Option<Transaction>, StoreError> {
        let new = NewTransaction {
            kind: Kind::Configuration,
            work,
            requested_by: REQUESTED_BY.to_owned(),
            expires_at: None,
            campaign: None,
        };
        self.enqueue(device, new, wake, at).await
    }

    async fn enqueue(
        &self,
        device: &Device,
        new: NewTransaction,
        wake: Wake,
        at: Timestamp,
    ) -> Result<Option<Transaction>, StoreError> {
        let operation = new.work.operation();
        let scheduled = match wake {
            Wake::Call => self.queue.schedule(device, new, Merge::SameUnstarted).await,
            Wake::IsHere => {
                metrics::counter!(names::TRANSACTIONS_SCHEDULED, "operation" => operation).increment(1);
                self.store.enqueue(device.key, new, Merge::SameUnstarted, at).await.map_err(ScheduleError::Refused)
            }
        };
        match scheduled {
            Ok(transaction) => Ok(Some(transaction)),
            Err(ScheduleError::Refused(EnqueueError::Store(error))) => Err(error),
            Err(error) => {
                tracing::warn!(device.id = %device.key, %error, "device {} does not get its {operation} yet", device.key);
                Ok(None)
            }
        }
    }

    /// A `sync` or `reconf` has ended, or was withdrawn: notes how far the device is configured now. `used` is the mark of
    /// the configuration that it brought; `None`: it brought none, and if it did not complete, the present one failed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn configured(
        &self,
        transaction: &Transaction,
        used: Option<ConfigurationMark>,
        written: Written,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let key = transaction.device;
        let Some(device) = self.store.device(key).await? else { return Ok(()) };
        let completed = transaction.status == TransactionStatus::Completed;
        let present = || Sources::of(self.store, &device.profile).basis(&device.profile, &device.state).mark();
        let mark = if completed { used } else { used.or_else(present) };
        self.note_configured(key, Configured { mark, failed: !completed }).await?;
        if completed || written == Written::Something {
            let edit = Box::new(move |profile: &mut Profile| {
                if completed {
                    profile.last_configuration = Some(at);
                }
                if written == Written::Something {
                    profile.last_change = Some(at);
                }
            });
            self.store.edit_profile(key, edit).await?;
        }
        Ok(())
    }

    async fn note_configured(&self, key: DeviceKey, configured: Configured) -> Result<(), StoreError> {
        self.store.edit_state(key, Box::new(move |state: &mut State| state.configured = configured)).await?;
        Ok(())
    }
}

/// Whether a transaction has written anything to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It was right already.
    Nothing,
    /// It was not.
    Something,
}

/// What there is to do for a device.
struct Due {
    sources: Sources,
    mark: Option<ConfigurationMark>,
    why: Why,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Another configuration was brought to it last, or none.
    OutOfDate,
    /// Its configuration failed, and it has restarted since.
    Failed,
    /// A setting is pending, and nothing carries it: the device was inactive, or its queue was full.
    Uncarried,
}

fn is_uncarried(entry: &PendingSetting) -> bool {
    matches!(entry.setting, Setting::UpdateFrequency | Setting::LocationUpdate) && entry.is_uncarried()
}

/// What becomes of settings that the device has refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    StayPending,
    AreTriedAgain,
}

/// A transaction carries a setting to the device, which is pending from now on, if it was not before.
fn note_carrier(profile: &mut Profile, setting: Setting, carrier: TransactionId, at: Timestamp) {
    match profile.pending.iter_mut().find(|entry| entry.setting == setting) {
        Some(entry) => (entry.transaction, entry.failed) = (Some(carrier), None),
        None => {
            let transaction = Some(carrier);
            profile.pending.push(PendingSetting { transaction, ..PendingSetting::uncarried(setting, at) });
        }
    }
}
