//! acsd as `acsd serve` runs it, but for the addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use acsd::acs::gate::AuthMode;
use acsd::app::Daemon;
use acsd::clock::SystemClock;
use acsd::config::Config;
use acsd::model::transaction::{Kind, NewTransaction, TransactionStatus, Work};
use acsd::store::sled::SledStore;
use acsd::store::{DeviceFilter, Merge, Page, TransactionFilter};
use acsd::telemetry::{Log, LogFormat, Metrics};
use acsd::types::path::ReadPath;
use acsd::types::secret::Secret;
use acsd::types::time::Clock as _;
use tokio::task::JoinSet;

use crate::protocol::{Auth, Figures, FromServer, ToServer};
use crate::{allocator, cpe, envelopes, protocol};

/// Transactions scheduled at the same time.
const AT_ONCE: usize = 1024;

pub fn run(auth: Auth, folder: &Path) {
    let _log = Log::install("info", LogFormat::Text).expect("no log yet");
    let metrics = Metrics::install().expect("no recorder yet");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let daemon = runtime.block_on(Daemon::start(config(auth, folder), metrics)).expect("acsd starts");
    protocol::say(&FromServer::Ready { addresses: vec![daemon.cwmp_address] });
    let mut daemon = Some(daemon);
    protocol::serve(|command: ToServer| {
        match command {
            ToServer::Schedule => runtime.block_on(schedule(daemon.as_ref().expect("still runs"))),
            ToServer::StartCounting => allocator::start_counting(),
            ToServer::StopCounting => allocator::stop_counting(),
            ToServer::Figures => {
                return FromServer::Figures(runtime.block_on(figures(daemon.as_ref().expect("still runs"))));
            }
            ToServer::Stop => {
                if let Some(daemon) = daemon.take() {
                    runtime.block_on(daemon.stop()).expect("the last flush");
                }
            }
        }
        FromServer::Done
    });
}

fn config(auth: Auth, folder: &Path) -> Config {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut config = Config { data_dir: folder.to_owned(), ..Config::default() };
    config.cwmp.listen = anywhere;
    config.cwmp.tls_listen = anywhere;
    config.cwmp.auth = match auth {
        Auth::None => AuthMode::None,
        Auth::Digest => AuthMode::Digest,
    };
    config.cwmp.onboarding_username = Some(cpe::SHARED_USERNAME.to_owned());
    config.cwmp.onboarding_password = Some(Secret::new(cpe::SHARED_PASSWORD));
    // Loopback is counted like any other address.
    config.cwmp.limits.unlimited_networks = Vec::new();
    config.api.listen = anywhere;
    config
}

/// One `get` for each device; all durable when this returns.
async fn schedule(daemon: &Daemon) {
    let everything = Page { offset: 0, limit: u32::MAX };
    let devices = daemon.store.list(&DeviceFilter::default(), everything).await.expect("lists");
    let paths: Vec<ReadPath> = envelopes::READ.iter().map(|path| ReadPath::try_from(*path).expect("a path")).collect();
    let mut scheduled = JoinSet::new();
    for device in devices.items {
        if scheduled.len() >= AT_ONCE {
            scheduled.join_next().await;
        }
        let (store, paths) = (daemon.store.clone(), paths.clone());
        scheduled.spawn(async move {
            let new = NewTransaction {
                kind: Kind::Headless,
                work: Work::Get { paths },
                requested_by: "bench".to_owned(),
                expires_at: None,
                campaign: None,
            };
            store.enqueue(device.key, new, Merge::Never, SystemClock.now()).await.expect("is taken");
        });
    }
    scheduled.join_all().await;
}

async fn figures(daemon: &Daemon) -> Figures {
    let filter = TransactionFilter { status: Some(TransactionStatus::Completed), ..TransactionFilter::default() };
    let completed = daemon.store.transactions(&filter, Page { offset: 0, limit: 1 }).await.expect("lists").count;
    let (allocations, allocated_bytes) = allocator::counted();
    let devices = daemon.store.figures(SystemClock.now()).devices;
    Figures { allocations, allocated_bytes, syncs: SledStore::syncs(), completed, devices }
}
