//! The inventory in memory.

use std::cmp::Ordering;

use uuid::Uuid;

use crate::model::device::{Device, Parameter, Profile, State, Status, TreePatch};
use crate::model::event::{self, EventData};
use crate::model::learn::{InformFacts, Learned};
use crate::model::series::Series;
use crate::store::listing::{DeviceOrder, OrderBy, OrderField, fold};
use crate::store::queue::QueueDocument;
use crate::store::{
    DeviceFilter, DeviceStore, Durability, Listing, NewDevice, Page, ParameterQuery, ProfileEdit, RegisterError,
    StateEdit, StoreFuture, UpDevice, tree,
};
use crate::types::ident::{DeviceIdentity, DeviceKey};
use crate::types::time::Timestamp;

use super::{Entry, Inner, MemoryStore, ready};

impl Inner {
    fn position(&self, found: impl Fn(&Entry) -> bool) -> Option<Device> {
        self.devices.iter().find(|(_, entry)| found(entry)).map(|(key, entry)| entry.device(*key))
    }

    fn register(&mut self, new: NewDevice) -> Result<Device, RegisterError> {
        let NewDevice { key, identity, profile } = new;
        if self.devices.values().any(|entry| entry.profile.serial_number == profile.serial_number) {
            return Err(RegisterError::SerialTaken { serial: profile.serial_number });
        }
        if let Some(identity) = &identity
            && self.devices.values().any(|entry| entry.state.identity.as_ref() == Some(identity))
        {
            return Err(RegisterError::IdentityTaken { identity: identity.clone() });
        }
        let taken = self.taken();
        let Some(key) = self.keys.allocate(key, &taken) else {
            return Err(RegisterError::KeyTaken { key: key.unwrap_or(DeviceKey(u32::MAX)) });
        };
        let state = State { identity, ..State::unseen(profile.created) };
        let entry = Entry {
            profile,
            state,
            tree: Vec::new(),
            queue: QueueDocument::default(),
            traces: Vec::new(),
            series: Series::default(),
        };
        let device = entry.device(key);
        self.devices.insert(key, entry);
        Ok(device)
    }

    fn bind(&mut self, key: DeviceKey, identity: &DeviceIdentity) -> Result<(), RegisterError> {
        let owner = self.devices.iter().find(|(_, entry)| entry.state.identity.as_ref() == Some(identity));
        let owner = owner.map(|(key, _)| *key);
        let Some(entry) = self.devices.get_mut(&key) else { return Err(RegisterError::UnknownDevice) };
        if owner.is_some_and(|owner| owner != key)
            || entry.state.identity.as_ref().is_some_and(|present| present != identity)
        {
            return Err(RegisterError::IdentityTaken { identity: identity.clone() });
        }
        entry.state.identity = Some(identity.clone());
        Ok(())
    }
}

fn matches(filter: &DeviceFilter, key: DeviceKey, entry: &Entry) -> bool {
    let profile = &entry.profile;
    filter.among.as_ref().is_none_or(|among| among.contains(&key))
        && filter.visible.as_ref().is_none_or(|visible| visible.contains(&profile.organization))
        && filter.organization.is_none_or(|wanted| profile.organization == wanted)
        && filter.device_type.is_none_or(|wanted| profile.device_type == wanted)
        && filter.status.is_none_or(|wanted| entry.state.status == wanted)
        && filter.is_active.is_none_or(|wanted| profile.is_active == wanted)
        && filter.status_change_from.is_none_or(|from| entry.state.status_change >= from)
        && filter.search.words().iter().all(|word| has_word(entry, word))
        && filter.tags.iter().all(|wanted| profile.tags.contains(wanted))
        && filter.software_version.as_ref().is_none_or(|wanted| **wanted == *entry.state.software_version)
        && filter.manufacturer.as_ref().is_none_or(|wanted| **wanted == *entry.state.manufacturer)
        && filter.location.is_none_or(|wanted| profile.location == Some(wanted))
        && filter.firmware_image.is_none_or(|wanted| profile.firmware_image == Some(wanted))
}

pub(super) fn has_word(entry: &Entry, word: &str) -> bool {
    let profile = &entry.profile;
    let address = entry.state.address.map(|address| address.to_canonical().to_string()).unwrap_or_default();
    let fields =
        [profile.serial_number.as_str(), &profile.serial_number_alt, &profile.name, &profile.customer_id, &address];
    fields.into_iter().chain(profile.tags.iter().map(String::as_str)).any(|field| fold(field).contains(word))
}

fn compare(order: &DeviceOrder, (key, one): (DeviceKey, &Entry), (other_key, other): (DeviceKey, &Entry)) -> Ordering {
    let text = |field: fn(&Entry) -> &str| fold(field(one)).cmp(&fold(field(other)));
    let address = |entry: &Entry| entry.state.address.map(|address| address.to_canonical());
    for OrderBy { field, direction } in order.fields() {
        let found = match field {
            OrderField::Id => key.cmp(&other_key),
            OrderField::SerialNumber => text(|entry| entry.profile.serial_number.as_str()),
            OrderField::Name => text(|entry| &entry.profile.name),
            OrderField::CustomerId => text(|entry| &entry.profile.customer_id),
            OrderField::Status => (one.state.status == Status::Up).cmp(&(other.state.status == Status::Up)),
            OrderField::StatusChange => one.state.status_change.cmp(&other.state.status_change),
            OrderField::LastConnection => one.state.last_inform.cmp(&other.state.last_inform),
            OrderField::Created => one.profile.created.cmp(&other.profile.created),
            OrderField::SoftwareVersion => text(|entry| &entry.state.software_version),
            OrderField::Manufacturer => text(|entry| &entry.state.manufacturer),
            OrderField::Address => address(one).cmp(&address(other)),
        };
        if found != Ordering::Equal {
            return direction.turn(found);
        }
    }
    Ordering::Equal
}

impl Inner {
    /// All that match, in their order.
    fn select(&self, filter: &DeviceFilter) -> Vec<(DeviceKey, &Entry)> {
        let mut all: Vec<_> = self
            .devices
            .iter()
            .filter(|(key, entry)| matches(filter, **key, entry))
            .map(|(key, entry)| (*key, entry))
            .collect();
        // By key they are already, and equals stay as they are.
        all.sort_by(|one, other| compare(&filter.order, *one, *other));
        all
    }
}

impl DeviceStore for MemoryStore {
    fn find<'a>(&'a self, identity: &'a DeviceIdentity) -> StoreFuture<'a, Option<Device>> {
        ready(self.step(|inner| inner.position(|entry| entry.state.identity.as_ref() == Some(identity))))
    }

    fn identify<'a>(&'a self, identity: &'a DeviceIdentity) -> StoreFuture<'a, Option<(DeviceKey, Profile)>> {
        ready(self.step(|inner| {
            let bearer = inner.devices.iter().find(|(_, entry)| entry.state.identity.as_ref() == Some(identity));
            bearer.map(|(key, entry)| (*key, entry.profile.clone()))
        }))
    }

    fn by_serial<'a>(&'a self, serial: &'a str) -> StoreFuture<'a, Option<Device>> {
        ready(self.step(|inner| inner.position(|entry| entry.profile.serial_number.as_str() == serial)))
    }

    fn by_uuid(&self, uuid: Uuid) -> StoreFuture<'_, Option<Device>> {
        ready(self.step(|inner| inner.position(|entry| entry.profile.uuid == uuid)))
    }

    fn device(&self, key: DeviceKey) -> StoreFuture<'_, Option<Device>> {
        ready(self.step(|inner| inner.devices.get(&key).map(|entry| entry.device(key))))
    }

    fn register(&self, new: NewDevice) -> StoreFuture<'_, Device, RegisterError> {
        ready(self.durable_step(|inner| inner.register(new)).map_err(RegisterError::Store).and_then(|answer| answer))
    }

    fn bind<'a>(&'a self, key: DeviceKey, identity: &'a DeviceIdentity) -> StoreFuture<'a, (), RegisterError> {
        ready(
            self.durable_step(|inner| inner.bind(key, identity))
                .map_err(RegisterError::Store)
                .and_then(|answer| answer),
        )
    }

    fn record_inform<'a>(
        &'a self,
        key: DeviceKey,
        facts: InformFacts<'a>,
        durability: Durability,
    ) -> StoreFuture<'a, Option<(State, Learned)>> {
        let learn = |inner: &mut Inner| {
            let entry = inner.devices.get_mut(&key)?;
            let before = if event::reports_value_changes(&facts) {
                let paths: Vec<&str> = facts.parameters.iter().map(|parameter| parameter.name.as_ref()).collect();
                tree::pick(&tree::overlay(entry.tree.clone(), entry.state.observed.clone()), &paths)
            } else {
                Vec::new()
            };
            let learned = entry.state.learn(&facts);
            let found = event::of_inform(&facts, &entry.state, &learned, &before);
            let found = entry.events(facts.at, found);
            if learned.bootstrapped {
                entry.tree.clear();
            }
            let overflow = TreePatch { forget: Vec::new(), learn: learned.overflow.clone() };
            entry.tree = tree::apply(std::mem::take(&mut entry.tree), overflow, facts.at);
            let state = entry.state.clone();
            inner.note(found);
            Some((state, learned))
        };
        ready(match durability {
            Durability::Durable => self.durable_step(learn),
            Durability::Relaxed => self.step(learn),
        })
    }

    fn edit_profile<'a>(&'a self, key: DeviceKey, edit: ProfileEdit<'a>) -> StoreFuture<'a, Option<Device>> {
        ready(self.step(|inner| {
            let entry = inner.devices.get_mut(&key)?;
            let (serial, uuid) = (entry.profile.serial_number.clone(), entry.profile.uuid);
            edit(&mut entry.profile);
            entry.profile.serial_number = serial;
            entry.profile.uuid = uuid;
            Some(entry.device(key))
        }))
    }

    fn edit_state<'a>(&'a self, key: DeviceKey, edit: StateEdit<'a>) -> StoreFuture<'a, Option<Device>> {
        ready(self.step(|inner| {
            let entry = inner.devices.get_mut(&key)?;
            let (status, identity) = (entry.state.status, entry.state.identity.clone());
            edit(&mut entry.state);
            entry.state.identity = identity;
            let device = entry.device(key);
            if device.state.status != status {
                let data = EventData::Status { status: device.state.status };
                let found = entry.events(device.state.status_change, vec![data]);
                inner.note(found);
            }
            Some(device)
        }))
    }

    fn remove(&self, key: DeviceKey) -> StoreFuture<'_, bool> {
        ready(self.step(|inner| {
            if inner.devices.remove(&key).is_none() {
                return false;
            }
            inner.keys.retire(key);
            inner.live.remove(key);
            inner.ended.retain(|_, (transaction, _)| transaction.device != key);
            inner.entries.forget(key);
            true
        }))
    }

    fn list<'a>(&'a self, filter: &'a DeviceFilter, page: Page) -> StoreFuture<'a, Listing<Device>> {
        ready(self.step(|inner| {
            let all = inner.select(filter);
            let items = page.of(&all).iter().map(|(key, entry)| entry.device(*key)).collect();
            Listing { items, count: u64::try_from(all.len()).unwrap_or(u64::MAX) }
        }))
    }

    fn select<'a>(&'a self, filter: &'a DeviceFilter) -> StoreFuture<'a, Vec<DeviceKey>> {
        ready(self.step(|inner| inner.select(filter).into_iter().map(|(key, _)| key).collect()))
    }

    fn devices<'a>(&'a self, keys: &'a [DeviceKey]) -> StoreFuture<'a, Vec<Device>> {
        ready(self.step(|inner| {
            keys.iter().filter_map(|key| inner.devices.get(key).map(|entry| entry.device(*key))).collect()
        }))
    }

    fn up_devices(&self) -> StoreFuture<'_, Vec<UpDevice>> {
        ready(self.step(|inner| {
            let up = inner.devices.iter().filter(|(_, entry)| entry.state.status == Status::Up);
            up.map(|(key, entry)| UpDevice {
                key: *key,
                last_inform: entry.state.last_inform.unwrap_or(entry.state.status_change),
                interval_secs: entry.state.periodic_interval_secs,
            })
            .collect()
        }))
    }

    fn patch_parameters(&self, key: DeviceKey, patch: TreePatch, at: Timestamp) -> StoreFuture<'_, ()> {
        ready(self.step(|inner| {
            if let Some(entry) = inner.devices.get_mut(&key) {
                tree::follow(&mut entry.state.observed, &patch, at);
                entry.tree = tree::apply(std::mem::take(&mut entry.tree), patch, at);
            }
        }))
    }

    fn parameters<'a>(
        &'a self,
        key: DeviceKey,
        query: ParameterQuery<'a>,
        page: Page,
    ) -> StoreFuture<'a, Listing<Parameter>> {
        ready(self.step(|inner| tree::select(inner.known_tree(key), query, page)))
    }

    fn known<'a>(&'a self, key: DeviceKey, paths: &'a [&'a str]) -> StoreFuture<'a, Vec<Option<Parameter>>> {
        ready(self.step(|inner| tree::pick(&inner.known_tree(key), paths)))
    }
}

impl Inner {
    fn known_tree(&self, key: DeviceKey) -> Vec<Parameter> {
        self.devices
            .get(&key)
            .map(|entry| tree::overlay(entry.tree.clone(), entry.state.observed.clone()))
            .unwrap_or_default()
    }
}
