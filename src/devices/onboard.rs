//! What happens when a device Informs: which device it is, what it teaches, what it is given.

use std::sync::Arc;

use uuid::Uuid;

use crate::auth::random;
use crate::auth::seal::Sealer;
use crate::events;
use crate::model::device::{
    Credentials, Device, DeviceTypeId, Login, PendingSetting, Profile, Setting, State, TypeOrigin,
};
use crate::model::learn::{InformFacts, Learned};
use crate::model::transaction::{Kind, NewTransaction, Work};
use crate::store::{Durability, EnqueueError, Merge, NewDevice, RegisterError, Store, StoreError};
use crate::telemetry::names;
use crate::types::event::EventCode;
use crate::types::ident::{DeviceIdentity, DeviceKey, SerialNumber};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// Characters of the passwords acsd hands out: 190 bits, and short enough for any firmware.
const PASSWORD_CHARS: usize = 32;
/// `ManagementServer.Username` is a `string(256)`; escapes can make the conventional name longer.
const USERNAME_MAX_CHARS: usize = 256;
/// Who asks for what acsd does by itself.
pub const REQUESTED_BY: &str = "acsd";

/// Whether devices get a login of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandOut {
    /// CPEs have to prove themselves: each gets its own login.
    OwnLogin,
    /// Nobody asks for logins.
    Nothing,
}

/// The onboarding service.
pub struct Onboarding {
    store: Arc<dyn Store>,
    sealer: Arc<Sealer>,
    hand_out: HandOut,
}

/// Why a device could not be taken in.
#[derive(Debug, thiserror::Error)]
pub enum OnboardError {
    /// The store failed.
    #[error("the device was not recorded")]
    Store(#[from] StoreError),
    /// It could not be registered.
    #[error("the device was not registered")]
    Register(#[from] RegisterError),
    /// No login could be made for it.
    #[error("no login could be made: {0}")]
    Login(String),
}

impl OnboardError {
    /// Whether the same Inform is likely to be recorded if it comes once more: the store is [busy](StoreError::Busy).
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::Busy { .. }) | Self::Register(RegisterError::Store(StoreError::Busy { .. }))
        )
    }
}

impl Onboarding {
    /// Over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, sealer: Arc<Sealer>, hand_out: HandOut) -> Self {
        Self { store, sealer, hand_out }
    }

    /// The device that an identity belongs to: the one bound to it, else one that an operator created under this serial
    /// and that has not Informed yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lookup(&self, identity: &DeviceIdentity) -> Result<Option<Caller>, StoreError> {
        if let Some((key, profile)) = self.store.identify(identity).await? {
            return Ok(Some(Caller { key, profile, binding: Binding::Bound }));
        }
        let awaited = self.store.by_serial(identity.serial_number.as_str()).await?;
        let awaited = awaited.filter(|device| device.state.identity.is_none());
        Ok(awaited.map(Caller::from))
    }

    /// Registers an unknown device, with the logins it is to get, and of the type that the match rules say.
    ///
    /// # Errors
    /// [`OnboardError`].
    pub async fn register(
        &self,
        identity: &DeviceIdentity,
        matched: Option<DeviceTypeId>,
        at: Timestamp,
    ) -> Result<Device, OnboardError> {
        let raw = identity.serial_number.clone();
        // A second device with a serial that is taken is registered all the same (design.md §4, *Identity*).
        let alternatives = [
            Some(raw.clone()),
            SerialNumber::try_from(format!("{}-{raw}", identity.oui).as_str()).ok(),
            SerialNumber::try_from(identity.to_string().as_str()).ok(),
            SerialNumber::try_from(Uuid::new_v4().to_string().as_str()).ok(),
        ];
        let mut profile = Profile::fresh(raw.clone(), at);
        owe_provisioning(&mut profile, at);
        if let Some(matched) = matched {
            (profile.device_type, profile.type_origin) = (matched, TypeOrigin::Matched);
        }
        self.give_logins(&mut profile.credentials, identity)?;
        let mut taken = None;
        for serial in alternatives.into_iter().flatten() {
            if serial != raw {
                profile.serial_number_alt = raw.to_string();
            }
            profile.serial_number = serial.clone();
            profile.name = serial.to_string();
            if taken.is_some() {
                events::identity_conflict(&*self.store, &profile, identity, at);
            }
            let new = NewDevice { key: None, identity: Some(identity.clone()), profile: profile.clone() };
            match self.store.register(new).await {
                Ok(device) => {
                    if taken.is_some() {
                        tracing::warn!(device.id = %device.key, %identity, "serial number {raw} is taken: the device is {serial} here");
                        metrics::counter!(names::IDENTITY_CONFLICTS).increment(1);
                    }
                    tracing::info!(device.id = %device.key, %identity, "first contact of {identity}");
                    return Ok(device);
                }
                Err(error @ RegisterError::SerialTaken { .. }) => taken = Some(error),
                // Two Informs of the same unknown device at once: the other one won.
                Err(RegisterError::IdentityTaken { .. }) => {
                    if let Some(device) = self.store.find(identity).await? {
                        return Ok(device);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(taken.unwrap_or(RegisterError::SerialTaken { serial: raw }).into())
    }

    /// Binds a device that an operator created ahead to the identity that has now come.
    ///
    /// # Errors
    /// [`OnboardError`].
    pub async fn bind(&self, device: &Caller, identity: &DeviceIdentity, at: Timestamp) -> Result<(), OnboardError> {
        self.store.bind(device.key, identity).await?;
        tracing::info!(device.id = %device.key, %identity, "first contact of {identity}, created ahead");
        let mut credentials = device.profile.credentials.clone();
        self.give_logins(&mut credentials, identity)?;
        let edit = Box::new(move |profile: &mut Profile| {
            profile.credentials = credentials;
            owe_provisioning(profile, at);
        });
        self.store.edit_profile(device.key, edit).await?;
        Ok(())
    }

    /// Records the Inform; durable when the CPE forgets an event by our answer (design.md §6).
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn record(&self, key: DeviceKey, facts: InformFacts<'_>) -> Result<Option<(State, Learned)>, StoreError> {
        let forgotten = facts.events.iter().any(|event| is_forgotten(event.code));
        let durability = if forgotten { Durability::Durable } else { Durability::Relaxed };
        self.store.record_inform(key, facts, durability).await
    }

    /// The device has used a login that it was given: the ones before it are no longer good.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn complete_hand_over(&self, key: DeviceKey, used: Handed) -> Result<(), StoreError> {
        let edit = Box::new(move |profile: &mut Profile| {
            let credentials = &mut profile.credentials;
            credentials.on_shared = false;
            match used {
                Handed::Taken => {
                    credentials.current = credentials.taken.take().or(credentials.current.take());
                }
                Handed::Next => {
                    credentials.current = credentials.next.take().or(credentials.current.take());
                    credentials.taken = None;
                    // Whatever became of the answer to the write: the device has it.
                    profile.pending.retain(|pending| pending.setting != Setting::Credentials);
                }
            }
        });
        self.store.edit_profile(key, edit).await?;
        tracing::info!(device.id = %key, "device {key} uses its own login");
        Ok(())
    }

    /// Whether a device was to be [provisioned](Self::provision) and that was cut short: the store was busy, acsd was
    /// killed, its queue was full, or it was inactive. The Inform that began it may not come again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn owes_provisioning(&self, key: DeviceKey, profile: &Profile) -> Result<bool, StoreError> {
        let is_owed = |entry: &PendingSetting| entry.setting == Setting::ConnectionRequest && entry.is_uncarried();
        if !profile.is_active || !profile.pending.iter().any(is_owed) {
            return Ok(false);
        }
        let live = self.store.live(key).await?;
        Ok(!live.iter().any(|live| live.work == Work::Configure(Setting::ConnectionRequest)))
    }

    /// Schedules what a device needs at first contact and after a factory reset: its logins and its interval. Durable
    /// before it returns. An inactive device is left alone until it is active.
    ///
    /// # Errors
    /// [`OnboardError`].
    pub async fn provision(
        &self,
        device: &Device,
        identity: &DeviceIdentity,
        own_login: OwnLogin,
        at: Timestamp,
    ) -> Result<(), OnboardError> {
        let mut credentials = device.profile.credentials.clone();
        credentials.connection_request_set = false;
        credentials.reset_ordered = None;
        if own_login == OwnLogin::Lost {
            // The device is back to the shared one; what it had stays good until it has used the new one.
            (credentials.taken, credentials.on_shared) = (None, true);
            credentials.next = match self.hand_out {
                HandOut::OwnLogin => Some(self.make_login(identity)?),
                HandOut::Nothing => None,
            };
        }
        self.give_logins(&mut credentials, identity)?;
        if credentials != device.profile.credentials {
            let edited = credentials.clone();
            let edit = Box::new(move |profile: &mut Profile| {
                profile.credentials = edited;
                owe_provisioning(profile, at);
            });
            self.store.edit_profile(device.key, edit).await?;
        }
        if !device.profile.is_active {
            return Ok(());
        }
        let schedule = |setting| self.schedule(device.key, setting, at);
        let login = async {
            if own_login != OwnLogin::InUse && credentials.next.is_some() {
                schedule(Setting::Credentials).await?;
            }
            Ok::<(), StoreError>(())
        };
        let (login, interval) = tokio::join!(login, schedule(Setting::UpdateFrequency));
        login?;
        interval?;
        // Last: that it waits, or has ended, tells that the others do.
        schedule(Setting::ConnectionRequest).await?;
        Ok(())
    }

    async fn schedule(&self, key: DeviceKey, setting: Setting, at: Timestamp) -> Result<(), StoreError> {
        let new = NewTransaction {
            kind: Kind::Configuration,
            work: Work::Configure(setting),
            requested_by: REQUESTED_BY.to_owned(),
            expires_at: None,
            campaign: None,
        };
        match self.store.enqueue(key, new, Merge::SameUnstarted, at).await {
            // Its entry goes when the device has taken it: one write less for each new device.
            Ok(_) if setting == Setting::ConnectionRequest => Ok(()),
            Ok(transaction) => {
                let edit = Box::new(move |profile: &mut Profile| {
                    for pending in profile.pending.iter_mut().filter(|pending| pending.setting == setting) {
                        pending.transaction = Some(transaction.id);
                        pending.failed = None;
                    }
                });
                // Only when an operator is waiting to see it happen.
                let waits = self
                    .store
                    .device(key)
                    .await?
                    .is_some_and(|device| device.profile.pending.iter().any(|pending| pending.setting == setting));
                if waits {
                    self.store.edit_profile(key, edit).await?;
                }
                Ok(())
            }
            Err(error @ (EnqueueError::QueueFull { .. } | EnqueueError::UnknownDevice)) => {
                tracing::warn!(device.id = %key, %error, "device {key} does not get its {}", setting.as_str());
                Ok(())
            }
            Err(EnqueueError::Store(error)) => Err(error),
        }
    }

    /// Makes the logins that are missing.
    fn give_logins(&self, credentials: &mut Credentials, identity: &DeviceIdentity) -> Result<(), OnboardError> {
        if credentials.connection_request.is_none() {
            credentials.connection_request = Some(self.make_login(identity)?);
        }
        let has_none = credentials.next.is_none() && credentials.taken.is_none() && credentials.current.is_none();
        if self.hand_out == HandOut::OwnLogin && has_none {
            credentials.next = Some(self.make_login(identity)?);
        }
        Ok(())
    }

    fn make_login(&self, identity: &DeviceIdentity) -> Result<Login, OnboardError> {
        let failed = |error: &dyn std::fmt::Display| OnboardError::Login(error.to_string());
        let password = random::alphanumeric(PASSWORD_CHARS).map_err(|error| failed(&error))?;
        let password = self.sealer.seal(&Secret::new(password)).map_err(|error| failed(&error))?;
        let username = identity.username().chars().take(USERNAME_MAX_CHARS).collect();
        Ok(Login { username, password })
    }
}

/// Notes that a device is to be provisioned, until the last of what it then gets has ended.
fn owe_provisioning(profile: &mut Profile, at: Timestamp) {
    profile.pending.retain(|entry| entry.setting != Setting::ConnectionRequest);
    profile.pending.push(PendingSetting::uncarried(Setting::ConnectionRequest, at));
}

/// A device that calls, as far as it is known before its Inform is recorded.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Its key.
    pub key: DeviceKey,
    /// Its profile.
    pub profile: Profile,
    /// Whether its identity is on record.
    pub binding: Binding,
}

impl From<Device> for Caller {
    fn from(device: Device) -> Self {
        let binding = if device.state.identity.is_some() { Binding::Bound } else { Binding::CreatedAhead };
        Self { key: device.key, profile: device.profile, binding }
    }
}

/// Whether a device has Informed before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Under this identity.
    Bound,
    /// Not yet: an operator has created it ahead, and only its serial number is known.
    CreatedAhead,
}

/// Which of the logins given to a device it has used for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    /// The one it had confirmed.
    Taken,
    /// The one that was on its way.
    Next,
}

/// Where a device stands with its own login when it is provisioned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnLogin {
    /// It came in with it.
    InUse,
    /// It has had none yet.
    Missing,
    /// It had one, and came with the shared one after a reset.
    Lost,
}

/// Whether our answer makes the CPE forget an event that it would otherwise repeat, and that means work to acsd.
const fn is_forgotten(code: EventCode) -> bool {
    match code {
        EventCode::Bootstrap
        | EventCode::Boot
        | EventCode::MReboot
        | EventCode::TransferComplete
        | EventCode::DiagnosticsComplete
        | EventCode::ValueChange
        | EventCode::Kicked
        | EventCode::RequestDownload
        | EventCode::AutonomousTransferComplete
        | EventCode::DuStateChangeComplete
        | EventCode::AutonomousDuStateChangeComplete
        | EventCode::MScheduleInform
        | EventCode::MDownload
        | EventCode::MScheduleDownload
        | EventCode::MUpload
        | EventCode::MChangeDuState
        | EventCode::MVendor
        | EventCode::Vendor => true,
        EventCode::Periodic
        | EventCode::Scheduled
        | EventCode::ConnectionRequest
        | EventCode::Wakeup
        | EventCode::Unknown => false,
    }
}
