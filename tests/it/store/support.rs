//! Stores to test, and things to put into them.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use acsd::cwmp::message::inform::{EventStruct, ParameterValueStruct};
use acsd::cwmp::version::{CwmpVersion, Namespace};
use acsd::model::device::{Device, Profile};
use acsd::model::learn::{InformFacts, ResetOrder};
use acsd::model::transaction::{Kind, NewTransaction, Transaction, TransactionStatus, VariableResult, Work};
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::store::sled::{SledStore, StoreConfig};
use acsd::store::{Merge, NewDevice, Page, Store};
use acsd::types::event::EventCode;
use acsd::types::ident::{DeviceIdentity, DeviceKey, SerialNumber};
use acsd::types::path::{ParameterPath, ReadPath};
use acsd::types::time::{Clock, Timestamp};
use acsd::types::value::XsdType;

/// Live transactions of one device in the stores under test.
pub(super) const QUEUE_MAX: usize = 60;
/// The whole list.
pub(super) const ALL: Page = Page { offset: 0, limit: 10_000 };

pub(super) struct Opened {
    pub(super) store: Arc<dyn Store>,
    _folder: Option<tempfile::TempDir>,
}

pub(super) async fn open_memory() -> Opened {
    let config = MemoryConfig { queue_max: QUEUE_MAX, ..MemoryConfig::default() };
    Opened { store: Arc::new(MemoryStore::new(config)), _folder: None }
}

pub(super) async fn open_sled() -> Opened {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open_at(folder.path()).await;
    Opened { store, _folder: Some(folder) }
}

pub(super) fn config(folder: &Path) -> StoreConfig {
    StoreConfig {
        queue_max: QUEUE_MAX,
        cache_bytes: 16 << 20,
        free_space_floor_bytes: 0,
        ballast_bytes: 0,
        ..StoreConfig::new(folder)
    }
}

pub(super) async fn open_at(folder: &Path) -> Arc<SledStore> {
    acsd::store::sled::open_sled(config(folder), Arc::new(FixedClock)).await.expect("opens")
}

pub(super) struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        secs(1_000_000)
    }
}

pub(crate) fn secs(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

pub(super) fn identity(serial: &str) -> DeviceIdentity {
    DeviceIdentity::new("00D09E", "IGD", serial).expect("valid")
}

pub(super) fn new_device(serial: &str) -> NewDevice {
    NewDevice { key: None, identity: Some(identity(serial)), profile: profile(serial) }
}

pub(super) fn profile(serial: &str) -> Profile {
    let serial = SerialNumber::try_from(serial).expect("valid");
    Profile { tags: vec!["lab".to_owned()], update_frequency: Some(300), ..Profile::fresh(serial, secs(1)) }
}

pub(super) async fn register(store: &Arc<dyn Store>, serial: &str) -> Device {
    store.register(new_device(serial)).await.expect("registers")
}

pub(super) fn event(raw: &str) -> EventStruct<'_> {
    EventStruct { code: EventCode::parse(raw), raw_code: raw.into(), command_key: "".into() }
}

pub(super) fn value<'a>(path: &'a str, value: &'a str) -> ParameterValueStruct<'a> {
    ParameterValueStruct { name: path.into(), value: value.into(), ty: XsdType::String }
}

pub(super) fn facts<'a>(
    identity: &'a DeviceIdentity,
    at: i64,
    events: &'a [EventStruct<'a>],
    parameters: &'a [ParameterValueStruct<'a>],
) -> InformFacts<'a> {
    InformFacts {
        at: secs(at),
        peer: IpAddr::from([192, 0, 2, 7]),
        identity,
        manufacturer: "Example",
        cwmp_version: CwmpVersion::default(),
        namespace: Namespace::default(),
        events,
        parameters,
        reset: ResetOrder::Unordered,
    }
}

pub(super) fn read(path: &str) -> Work {
    Work::Get { paths: vec![ReadPath::Parameter(ParameterPath::try_from(path).expect("valid"))] }
}

pub(super) fn work(work: Work) -> NewTransaction {
    NewTransaction { kind: Kind::Headless, work, requested_by: "test".to_owned(), expires_at: None, campaign: None }
}

pub(super) async fn enqueue(store: &Arc<dyn Store>, key: DeviceKey, at: i64) -> Transaction {
    store.enqueue(key, work(Work::Reboot), Merge::Never, secs(at)).await.expect("accepted")
}

/// The transaction as a session would settle it.
pub(super) fn completed(transaction: &Transaction, at: i64) -> Transaction {
    Transaction { status: TransactionStatus::Completed, completed_at: Some(secs(at)), ..transaction.clone() }
}

pub(super) fn result(variable: u32, text: &str) -> VariableResult {
    VariableResult {
        variable,
        path: "Device.DeviceInfo.SoftwareVersion".into(),
        value: Some(text.into()),
        ty: Some(XsdType::String),
        instance_number: None,
        fault: None,
    }
}
