//! The inventory on disk.

use std::sync::Arc;

use uuid::Uuid;

use crate::model::device::{Device, Parameter, Profile, State, Status, TreePatch};
use crate::model::event::{self, EventData, EventEntry};
use crate::model::learn::{InformFacts, Learned};
use crate::store::index::device::{Facets, Traits};
use crate::store::index::scan::{Selection, is_quick};
use crate::store::key::{self, Table};
use crate::store::queue::QueueDocument;
use crate::store::{
    DeviceFilter, DeviceStore, Durability, Listing, NewDevice, Page, ParameterQuery, ProfileEdit, RegisterError,
    StateEdit, StoreError, StoreFuture, UpDevice, record,
};
use crate::types::ident::{DeviceIdentity, DeviceKey};
use crate::types::time::Timestamp;

use super::committer::{Place, Step};
use super::parameters::{self, Follow};
use super::{Core, SledStore, blocking};

/// A page with more devices than this is read where it may block.
const INLINE_DEVICES: u32 = 64;

impl Core {
    fn find(&self, identity: &DeviceIdentity) -> Result<Option<Device>, StoreError> {
        let candidates = self.devices.read().by_identity(identity);
        for key in candidates {
            let Some(state) = self.state(key)? else { continue };
            if state.identity.as_ref() == Some(identity)
                && let Some(profile) = self.profile(key)?
            {
                return Ok(Some(Device { key, profile, state }));
            }
        }
        Ok(None)
    }

    fn identify(&self, identity: &DeviceIdentity) -> Result<Option<(DeviceKey, Profile)>, StoreError> {
        let candidates = self.devices.read().by_identity(identity);
        for key in candidates {
            let Some(bytes) = self.database.get(Table::Devices, &key::device(key))? else { continue };
            // The first field of a state.
            let bearer: Option<DeviceIdentity> = record::decode_head("device state", &bytes)?;
            if bearer.as_ref() == Some(identity)
                && let Some(profile) = self.profile(key)?
            {
                return Ok(Some((key, profile)));
            }
        }
        Ok(None)
    }

    fn by_serial(&self, serial: &str) -> Result<Option<Device>, StoreError> {
        let candidates = self.devices.read().by_serial(serial);
        for key in candidates {
            let Some(profile) = self.profile(key)? else { continue };
            if profile.serial_number.as_str() == serial
                && let Some(state) = self.state(key)?
            {
                return Ok(Some(Device { key, profile, state }));
            }
        }
        Ok(None)
    }

    fn by_uuid(&self, uuid: Uuid) -> Result<Option<Device>, StoreError> {
        let candidates = self.devices.read().by_uuid(uuid);
        for key in candidates {
            if let Some(device) = self.device(key)?.filter(|device| device.profile.uuid == uuid) {
                return Ok(Some(device));
            }
        }
        Ok(None)
    }

    fn register(&self, new: NewDevice) -> Result<Device, RegisterError> {
        let NewDevice { key: wish, identity, profile } = new;
        let mut keys = self.keys.lock();
        if self.by_serial(profile.serial_number.as_str()).map_err(RegisterError::Store)?.is_some() {
            return Err(RegisterError::SerialTaken { serial: profile.serial_number });
        }
        if let Some(identity) = &identity
            && self.find(identity).map_err(RegisterError::Store)?.is_some()
        {
            return Err(RegisterError::IdentityTaken { identity: identity.clone() });
        }
        let Some(key) = keys.allocate(wish, self.devices.read().all()) else {
            return Err(RegisterError::KeyTaken { key: wish.unwrap_or(DeviceKey(u32::MAX)) });
        };
        let state = State { identity, ..State::unseen(profile.created) };
        let device = Device { key, profile, state };
        self.create(&device).map_err(RegisterError::Store)?;
        Ok(device)
    }

    /// Writes a device's rows, the queue's too: later they are only overwritten. The profile comes last: without it the
    /// rest does not count.
    fn create(&self, device: &Device) -> Result<(), StoreError> {
        let queue = record::encode(&QueueDocument::default(), 4)?;
        self.database.put(Table::Queues, &key::device(device.key), &queue)?;
        self.put_state(device.key, &device.state, 512)?;
        self.put_profile(device.key, &device.profile)?;
        let mut index = self.devices.write();
        index.insert(device.key, &device.profile);
        index.set_state(device.key, &device.state);
        index.set_identity(device.key, None, device.state.identity.as_ref());
        Ok(())
    }

    fn bind(&self, key: DeviceKey, identity: &DeviceIdentity) -> Result<(), RegisterError> {
        let _keys = self.keys.lock();
        let owner = self.find(identity).map_err(RegisterError::Store)?;
        let _stripe = self.stripes.lock(key);
        if !self.exists(key) {
            return Err(RegisterError::UnknownDevice);
        }
        let Some(mut state) = self.state(key).map_err(RegisterError::Store)? else {
            return Err(RegisterError::UnknownDevice);
        };
        if owner.is_some_and(|owner| owner.key != key)
            || state.identity.as_ref().is_some_and(|present| present != identity)
        {
            return Err(RegisterError::IdentityTaken { identity: identity.clone() });
        }
        if state.identity.is_none() {
            state.identity = Some(identity.clone());
            self.put_state(key, &state, 512).map_err(RegisterError::Store)?;
            self.devices.write().set_identity(key, None, Some(identity));
        }
        Ok(())
    }

    /// `known`: what was known of the Inform's parameters, if it reports changes of values.
    fn learn(
        &self,
        key: DeviceKey,
        facts: &InformFacts<'_>,
        known: &[Option<Parameter>],
    ) -> Result<Option<(State, Learned)>, StoreError> {
        let place = key::device(key);
        let _stripe = self.stripes.lock(key);
        let Some(bytes) = self.database.get(Table::Devices, &place)? else { return Ok(None) };
        let mut state: State = record::decode("device state", &bytes)?;
        let same_identity = state.identity.as_ref() == Some(facts.identity);
        let before = if same_identity { None } else { state.identity.clone() };
        let (address, versioned) = (state.address, !state.software_version.is_empty());
        let same_manufacturer = *state.manufacturer == *facts.manufacturer;
        let learned = state.learn(facts);
        self.note_of(key, facts.at, event::of_inform(facts, &state, &learned, known))?;
        self.put_state(key, &state, bytes.len() + 64)?;
        let same_version = learned.software_was.is_none() && (versioned || state.software_version.is_empty());
        let same = same_version && same_manufacturer && !learned.came_up && state.address == address;
        if same && same_identity {
            self.devices.read().note_inform(key, facts.at);
        } else {
            let mut index = self.devices.write();
            index.set_state(key, &state);
            if !same_identity {
                index.set_identity(key, before.as_ref(), state.identity.as_ref());
            }
        }
        Ok(Some((state, learned)))
    }

    fn edit_profile(&self, key: DeviceKey, edit: ProfileEdit<'_>) -> Result<Option<Device>, StoreError> {
        let _stripe = self.stripes.lock(key);
        if !self.exists(key) {
            return Ok(None);
        }
        let Some(mut device) = self.device(key)? else { return Ok(None) };
        let before = Facets::from(&device.profile);
        let (serial, uuid) = (device.profile.serial_number.clone(), device.profile.uuid);
        edit(&mut device.profile);
        device.profile.serial_number = serial;
        device.profile.uuid = uuid;
        self.put_profile(key, &device.profile)?;
        if before != Facets::from(&device.profile) {
            self.devices.write().set_profile(key, &before, &device.profile);
        }
        Ok(Some(device))
    }

    fn edit_state(&self, key: DeviceKey, edit: StateEdit<'_>) -> Result<Option<Device>, StoreError> {
        let _stripe = self.stripes.lock(key);
        if !self.exists(key) {
            return Ok(None);
        }
        let Some(mut device) = self.device(key)? else { return Ok(None) };
        let (before, identity) = (Traits::from(&device.state), device.state.identity.clone());
        let status = device.state.status;
        edit(&mut device.state);
        device.state.identity = identity;
        if device.state.status != status {
            let data = EventData::Status { status: device.state.status };
            self.note(&EventEntry::of_device(&device.profile, device.state.status_change, data))?;
        }
        self.put_state(key, &device.state, 512)?;
        if !before.hold(&device.state) {
            self.devices.write().set_state(key, &device.state);
        }
        Ok(Some(device))
    }

    /// Hides a device and hands the deletion over; `None`: it was not there.
    fn remove(&self, key: DeviceKey, place: Place<'_>) -> Option<super::committer::Ticket> {
        let mut keys = self.keys.lock();
        let _stripe = self.stripes.lock(key);
        if !self.exists(key) {
            return None;
        }
        self.devices.write().hide(key);
        Some(place.submit(Step::Remove { key, floor: keys.retire(key) }))
    }

    /// Taken when the scan begins: one that waits for its turn would keep segments from being changed in place.
    pub(super) fn selection(&self, filter: &DeviceFilter) -> Selection {
        self.devices.read().select(filter)
    }

    /// Those of the devices that are still there.
    fn read_devices(&self, keys: &[DeviceKey]) -> Result<Vec<Device>, StoreError> {
        keys.iter().filter_map(|key| self.device(*key).transpose()).collect()
    }

    fn up_devices(&self) -> Result<Vec<UpDevice>, StoreError> {
        let mut up = Vec::new();
        self.database.each(Table::Devices, |key, bytes| {
            let state: State = record::decode("device state", &bytes)?;
            if let (Some(key), Status::Up) = (key::read_device(key), state.status) {
                up.push(UpDevice {
                    key,
                    last_inform: state.last_inform.unwrap_or(state.status_change),
                    interval_secs: state.periodic_interval_secs,
                });
            }
            Ok(())
        })?;
        Ok(up)
    }
}

impl SledStore {
    async fn make_durable(&self) -> Result<(), RegisterError> {
        self.committer.barrier().await.map_err(RegisterError::Store)
    }

    /// Goes through many devices where it may take its time; so many at once, and no more.
    async fn scan<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Core) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // Never closed; without a permit it would only run beside the others.
        let permit = Arc::clone(&self.scans).acquire_owned().await.ok();
        blocking(&self.core, move |core| {
            let _permit = permit;
            work(core)
        })
        .await
    }
}

impl DeviceStore for SledStore {
    fn find<'a>(&'a self, identity: &'a DeviceIdentity) -> StoreFuture<'a, Option<Device>> {
        Box::pin(async move { self.core.find(identity) })
    }

    fn identify<'a>(&'a self, identity: &'a DeviceIdentity) -> StoreFuture<'a, Option<(DeviceKey, Profile)>> {
        Box::pin(async move { self.core.identify(identity) })
    }

    fn by_serial<'a>(&'a self, serial: &'a str) -> StoreFuture<'a, Option<Device>> {
        Box::pin(async move { self.core.by_serial(serial) })
    }

    fn by_uuid(&self, uuid: Uuid) -> StoreFuture<'_, Option<Device>> {
        Box::pin(async move { self.core.by_uuid(uuid) })
    }

    fn device(&self, key: DeviceKey) -> StoreFuture<'_, Option<Device>> {
        Box::pin(async move { self.core.device(key) })
    }

    fn register(&self, new: NewDevice) -> StoreFuture<'_, Device, RegisterError> {
        Box::pin(async move {
            self.core.health.check().map_err(RegisterError::Store)?;
            self.committer.keeps_up().await.map_err(RegisterError::Store)?;
            let device = self.core.register(new)?;
            self.make_durable().await?;
            Ok(device)
        })
    }

    fn bind<'a>(&'a self, key: DeviceKey, identity: &'a DeviceIdentity) -> StoreFuture<'a, (), RegisterError> {
        Box::pin(async move {
            self.core.health.check().map_err(RegisterError::Store)?;
            self.committer.keeps_up().await.map_err(RegisterError::Store)?;
            self.core.bind(key, identity)?;
            self.make_durable().await
        })
    }

    fn record_inform<'a>(
        &'a self,
        key: DeviceKey,
        facts: InformFacts<'a>,
        durability: Durability,
    ) -> StoreFuture<'a, Option<(State, Learned)>> {
        Box::pin(async move {
            self.core.health.check()?;
            if durability == Durability::Durable {
                self.committer.keeps_up().await?;
            }
            let known = if event::reports_value_changes(&facts) {
                let paths: Vec<&str> = facts.parameters.iter().map(|parameter| parameter.name.as_ref()).collect();
                parameters::known(&self.core, key, &paths).await?
            } else {
                Vec::new()
            };
            let Some((state, learned)) = self.core.learn(key, &facts, &known)? else { return Ok(None) };
            if learned.bootstrapped || !learned.overflow.is_empty() {
                let forget = if learned.bootstrapped { vec!["".into()] } else { Vec::new() };
                let patch = TreePatch { forget, learn: learned.overflow.clone() };
                parameters::patch(&self.core, key, patch, facts.at, Follow::Nothing).await?;
            }
            if durability == Durability::Durable {
                self.committer.barrier().await?;
            } else {
                self.show_soon();
            }
            Ok(Some((state, learned)))
        })
    }

    fn edit_profile<'a>(&'a self, key: DeviceKey, edit: ProfileEdit<'a>) -> StoreFuture<'a, Option<Device>> {
        Box::pin(async move {
            self.core.health.check()?;
            let edited = self.core.edit_profile(key, edit)?;
            if edited.is_some() {
                self.committer.barrier().await?;
            }
            Ok(edited)
        })
    }

    fn edit_state<'a>(&'a self, key: DeviceKey, edit: StateEdit<'a>) -> StoreFuture<'a, Option<Device>> {
        Box::pin(async move {
            self.core.health.check()?;
            let edited = self.core.edit_state(key, edit)?;
            self.show_soon();
            Ok(edited)
        })
    }

    fn remove(&self, key: DeviceKey) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.core.health.check()?;
            let place = self.committer.place().await?;
            let Some(ticket) = self.core.remove(key, place) else { return Ok(false) };
            ticket.durable().await?;
            Ok(true)
        })
    }

    fn list<'a>(&'a self, filter: &'a DeviceFilter, page: Page) -> StoreFuture<'a, Listing<Device>> {
        Box::pin(async move {
            if is_quick(filter) && page.limit <= INLINE_DEVICES {
                let (keys, count) = self.core.selection(filter).page(page);
                return Ok(Listing { items: self.core.read_devices(&keys)?, count });
            }
            let filter = filter.clone();
            self.scan(move |core| {
                let (keys, count) = core.selection(&filter).page(page);
                Ok(Listing { items: core.read_devices(&keys)?, count })
            })
            .await
        })
    }

    fn select<'a>(&'a self, filter: &'a DeviceFilter) -> StoreFuture<'a, Vec<DeviceKey>> {
        Box::pin(async move {
            let filter = filter.clone();
            self.scan(move |core| Ok(core.selection(&filter).page(Page { offset: 0, limit: u32::MAX }).0)).await
        })
    }

    fn devices<'a>(&'a self, keys: &'a [DeviceKey]) -> StoreFuture<'a, Vec<Device>> {
        let keys = keys.to_vec();
        Box::pin(async move { blocking(&self.core, move |core| core.read_devices(&keys)).await })
    }

    fn up_devices(&self) -> StoreFuture<'_, Vec<UpDevice>> {
        Box::pin(async move { blocking(&self.core, Core::up_devices).await })
    }

    fn patch_parameters(&self, key: DeviceKey, patch: TreePatch, at: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move { parameters::patch(&self.core, key, patch, at, Follow::HotRecord).await })
    }

    fn parameters<'a>(
        &'a self,
        key: DeviceKey,
        query: ParameterQuery<'a>,
        page: Page,
    ) -> StoreFuture<'a, Listing<Parameter>> {
        Box::pin(parameters::parameters(&self.core, key, query, page))
    }

    fn known<'a>(&'a self, key: DeviceKey, paths: &'a [&'a str]) -> StoreFuture<'a, Vec<Option<Parameter>>> {
        Box::pin(parameters::known(&self.core, key, paths))
    }
}
