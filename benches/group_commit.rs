//! What the embedded store costs: durable changes by how many callers share a flush, and the hot path of an Inform.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "a bench fails by panicking")]
#![allow(clippy::allow_attributes, reason = "as above")]

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use acsd::clock::SystemClock;
use acsd::cwmp::message::inform::ParameterValueStruct;
use acsd::cwmp::version::{CwmpVersion, Namespace};
use acsd::model::device::Profile;
use acsd::model::learn::{InformFacts, ResetOrder};
use acsd::model::transaction::{Kind, NewTransaction, Transaction, Work};
use acsd::store::sled::{SledStore, StoreConfig, open_sled};
use acsd::store::{DeviceStore as _, Durability, Merge, NewDevice, Store as _, TransactionStore as _};
use acsd::types::ident::{DeviceIdentity, DeviceKey, SerialNumber};
use acsd::types::time::Timestamp;
use acsd::types::value::XsdType;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const DEVICES: usize = 2048;

fn identity(n: usize) -> DeviceIdentity {
    DeviceIdentity::new("00D09E", "IGD", &format!("BENCH-{n:06}")).expect("valid")
}

fn profile(n: usize) -> Profile {
    let serial = SerialNumber::try_from(format!("BENCH-{n:06}").as_str()).expect("valid");
    Profile { update_frequency: Some(300), ..Profile::fresh(serial, Timestamp::from_secs(1)) }
}

/// What a device of the field reports in each periodic Inform.
fn parameters() -> Vec<ParameterValueStruct<'static>> {
    ["HardwareVersion", "SoftwareVersion", "ProvisioningCode", "SpecVersion", "UpTime", "MemoryStatus.Free"]
        .into_iter()
        .map(|leaf| ParameterValueStruct {
            name: format!("InternetGatewayDevice.DeviceInfo.{leaf}").into(),
            value: "V1.2.3-build-20240115".into(),
            ty: XsdType::String,
        })
        .chain(["ConnectionRequestURL", "ParameterKey"].into_iter().map(|leaf| ParameterValueStruct {
            name: format!("InternetGatewayDevice.ManagementServer.{leaf}").into(),
            value: "http://192.0.2.17:7547/0b6c3c5e".into(),
            ty: XsdType::String,
        }))
        .collect()
}

async fn prepare(store: &SledStore) -> Vec<Transaction> {
    let mut waiting = Vec::with_capacity(DEVICES);
    for n in 0..DEVICES {
        let new = NewDevice { key: None, identity: Some(identity(n)), profile: profile(n) };
        let key = store.register(new).await.expect("registers").key;
        let work = NewTransaction {
            kind: Kind::Operation,
            work: Work::Reboot,
            requested_by: "bench".to_owned(),
            expires_at: None,
            campaign: None,
        };
        waiting.push(store.enqueue(key, work, Merge::Never, Timestamp::from_secs(1)).await.expect("accepted"));
    }
    waiting
}

fn durable_changes(c: &mut Criterion, runtime: &Runtime, store: &Arc<SledStore>, waiting: &Arc<Vec<Transaction>>) {
    let mut group = c.benchmark_group("durable_save");
    group.measurement_time(Duration::from_secs(5)).sample_size(10).throughput(Throughput::Elements(1));
    for callers in [1, 64, 1024] {
        group.bench_with_input(BenchmarkId::new("callers", callers), &callers, |b, &callers| {
            b.iter_custom(|rounds| {
                let rounds = usize::try_from(rounds).expect("fits");
                let next = Arc::new(AtomicUsize::new(0));
                runtime.block_on(async {
                    let began = tokio::time::Instant::now();
                    let mut tasks = JoinSet::new();
                    for _ in 0..callers {
                        let (store, waiting, next) = (Arc::clone(store), Arc::clone(waiting), Arc::clone(&next));
                        tasks.spawn(async move {
                            loop {
                                let at = next.fetch_add(1, Ordering::Relaxed);
                                if at >= rounds {
                                    break;
                                }
                                let mut changed = waiting.iter().cycle().nth(at % DEVICES).expect("some").clone();
                                changed.note = Some(fastrand::u64(..).to_string());
                                store.save(&changed).await.expect("durable");
                            }
                        });
                    }
                    while tasks.join_next().await.is_some() {}
                    began.elapsed()
                })
            });
        });
    }
    group.finish();
}

fn hot_path(c: &mut Criterion, runtime: &Runtime, store: &Arc<SledStore>) {
    let mut group = c.benchmark_group("hot_path");
    let identities: Vec<_> = (0..DEVICES).map(identity).collect();
    let parameters = parameters();
    let mut n = 0;
    group.bench_function("find", |b| {
        b.iter(|| {
            n = (n + 1) % DEVICES;
            let identity = identities.get(n).expect("some");
            black_box(runtime.block_on(store.find(identity)).expect("reads"))
        });
    });
    group.bench_function("record_inform", |b| {
        b.iter(|| {
            n = (n + 1) % DEVICES;
            let facts = InformFacts {
                at: Timestamp(1_700_000_000_000),
                peer: IpAddr::from([192, 0, 2, 7]),
                identity: identities.get(n).expect("some"),
                manufacturer: "Example",
                cwmp_version: CwmpVersion::default(),
                namespace: Namespace::default(),
                events: &[],
                parameters: &parameters,
                reset: ResetOrder::Unordered,
            };
            let key = DeviceKey(u32::try_from(n + 1).expect("fits"));
            black_box(runtime.block_on(store.record_inform(key, facts, Durability::Relaxed)).expect("writes"))
        });
    });
    group.bench_function("has_work", |b| {
        b.iter(|| {
            n = (n + 1) % DEVICES;
            let key = DeviceKey(u32::try_from(n + 1).expect("fits"));
            black_box(store.has_work(key, Timestamp::from_secs(2)))
        });
    });
    group.finish();
}

fn store(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    // Beside the build's output: where the temporary folder is memory, a flush would cost nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = runtime.block_on(open_sled(StoreConfig::new(folder.path()), Arc::new(SystemClock))).expect("opens");
    let waiting = Arc::new(runtime.block_on(prepare(&store)));
    hot_path(c, &runtime, &store);
    durable_changes(c, &runtime, &store, &waiting);
    runtime.block_on(store.close()).expect("closes");
}

criterion_group!(benches, store);
criterion_main!(benches);
