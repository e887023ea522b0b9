//! What lists cost at a million devices: `cargo bench --bench inventory`. `ACSD_BENCH_DEVICES` says how many instead.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use acsd::clock::SystemClock;
use acsd::cwmp::message::inform::ParameterValueStruct;
use acsd::cwmp::version::{CwmpVersion, Namespace};
use acsd::model::device::{OrganizationId, Profile, Status};
use acsd::model::inventory::LocationId;
use acsd::model::learn::{InformFacts, ResetOrder};
use acsd::store::sled::{StoreConfig, open_sled};
use acsd::store::{DeviceFilter, Durability, NewDevice, Page, Store};
use acsd::types::ident::{DeviceIdentity, SerialNumber};
use acsd::types::time::Timestamp;
use acsd::types::value::XsdType;
use criterion::{Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::Instant;

const AT_ONCE: u32 = 512;
const MILLION: u32 = 1_000_000;

fn serial(number: u32) -> String {
    format!("ZN{:010}", u64::from(number.wrapping_mul(2_654_435_761)))
}

fn profile(number: u32) -> Option<Profile> {
    let serial = SerialNumber::try_from(serial(number).as_str()).ok()?;
    Some(Profile {
        customer_id: format!("CUST-{:07}", number.wrapping_mul(48_271) % 10_000_000),
        organization: OrganizationId(1 + number % 20),
        location: number.is_multiple_of(3).then_some(LocationId(1 + number % 500)),
        tags: vec![format!("ring-{}", number % 40)],
        ..Profile::fresh(serial, Timestamp::from_secs(1_700_000_000 + i64::from(number)))
    })
}

/// A device is created, and Informs once.
async fn enter(store: &dyn Store, number: u32) -> Option<()> {
    let profile = profile(number)?;
    let identity = DeviceIdentity::new("00D09E", "IGD", profile.serial_number.as_str()).ok()?;
    let new = NewDevice { key: None, identity: Some(identity.clone()), profile };
    let key = store.register(new).await.ok()?.key;
    let version = format!("{}.{}.{}", number % 3, number % 7, number % 11);
    let parameters =
        [ParameterValueStruct::new("Device.DeviceInfo.SoftwareVersion".to_owned(), version, XsdType::String)];
    let facts = InformFacts {
        at: Timestamp::from_secs(1_750_000_000 + i64::from(number % 86_400)),
        peer: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)),
        identity: &identity,
        manufacturer: ["Maker", "Other", "Third"].get(usize::try_from(number % 3).ok()?)?,
        cwmp_version: CwmpVersion::default(),
        namespace: Namespace::default(),
        events: &[],
        parameters: &parameters,
        reset: ResetOrder::Unordered,
    };
    store.record_inform(key, facts, Durability::Relaxed).await.ok()?.map(drop)
}

async fn fill(store: &Arc<dyn Store>, devices: u32) {
    let mut tasks = JoinSet::new();
    for first in 0..AT_ONCE {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for number in (first..devices).step_by(usize::try_from(AT_ONCE).unwrap_or(1)) {
                assert!(enter(&*store, number).await.is_some(), "device {number} is not taken");
            }
        });
    }
    tasks.join_all().await;
}

fn config(folder: &Path) -> StoreConfig {
    StoreConfig { cache_bytes: 1 << 30, free_space_floor_bytes: 0, ballast_bytes: 0, ..StoreConfig::new(folder) }
}

#[expect(clippy::print_stderr, reason = "a bench reports")]
#[expect(clippy::expect_used, reason = "a bench that cannot begin has nothing to say")]
fn lists(criterion: &mut Criterion) {
    let devices = std::env::var("ACSD_BENCH_DEVICES").ok().and_then(|text| text.parse().ok()).unwrap_or(MILLION);
    let runtime = Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let opened = runtime.block_on(open_sled(config(folder.path()), Arc::new(SystemClock))).expect("a store");
    let store: Arc<dyn Store> = opened.clone();
    let began = Instant::now();
    runtime.block_on(fill(&store, devices));
    let bytes = opened.index_row_bytes();
    let each = bytes / usize::try_from(devices).unwrap_or(1).max(1);
    eprintln!("{devices} devices entered in {:.1?}; searches and orderings take {each} B each", began.elapsed());

    let first = Page { offset: 0, limit: 25 };
    let middle = Page { offset: u64::from(devices) / 2, limit: 25 };
    let any = DeviceFilter::default();
    let search = |text: &str| DeviceFilter { search: text.parse().unwrap_or_default(), ..any.clone() };
    let order = |text: &str| DeviceFilter { order: text.parse().unwrap_or_default(), ..any.clone() };
    let tagged = DeviceFilter { tags: vec!["ring-7".into()], ..any.clone() };
    let mixed = DeviceFilter {
        organization: Some(OrganizationId(3)),
        status: Some(Status::Up),
        software_version: Some("0.3.4".into()),
        ..any.clone()
    };
    let version_and_name =
        DeviceFilter { search: "zn00".parse().unwrap_or_default(), ..order("software_version,-name") };
    let cases = [
        ("all, first page", any.clone(), first),
        ("all, middle page", any.clone(), middle),
        ("tag", tagged, first),
        ("organization, Up, software version", mixed, first),
        ("search, nothing found", search("nowhere"), first),
        ("search, some found", search("77312"), first),
        ("search, two words", search("zn00 cust-12"), first),
        ("search, all found", search("zn"), first),
        ("order by serial number", order("serial_number"), first),
        ("order by serial number, middle page", order("serial_number"), middle),
        ("order by last connection, latest first", order("-last_connection"), first),
        ("order by status and customer id", order("status,customer_id"), first),
        ("order by address", order("address"), first),
        ("search, order by version and name", version_and_name, first),
    ];
    let mut group = criterion.benchmark_group("inventory");
    group.sample_size(20);
    for (name, filter, page) in cases {
        let list = || runtime.block_on(store.list(&filter, page)).expect("a page");
        let count = list().count;
        group.bench_function(format!("{name} ({count})"), |bencher| bencher.iter(|| black_box(list()).count));
    }
    group.finish();
    runtime.block_on(store.close()).expect("closed");
    drop((opened, store));
    let began = Instant::now();
    let opened = runtime.block_on(open_sled(config(folder.path()), Arc::new(SystemClock))).expect("a store");
    eprintln!("opened again in {:.1?}", began.elapsed());
    runtime.block_on(opened.close()).expect("closed");
}

criterion_group!(benches, lists);
criterion_main!(benches);
