//! acsd's CWMP side in this process, over a store in memory, and the Informs that open sessions there.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use acsd::acs::driver::{Driver, DriverConfig, Services};
use acsd::acs::gate::{AuthMode, Gate, OnboardingMode};
use acsd::acs::listen::{self, Endpoint, ListenConfig};
use acsd::auth::digest::DigestServer;
use acsd::auth::seal::Sealer;
use acsd::clock::SystemClock;
use acsd::connreq::wake::{WakeConfig, Waker};
use acsd::cwmp::codec::Limits;
use acsd::cwmp::emission::EmissionFlags;
use acsd::cwmp::session::SessionLimits;
use acsd::devices::expiry::Expiry;
use acsd::devices::onboard::{HandOut, Onboarding};
use acsd::devices::presence::Presence;
use acsd::files::Files;
use acsd::health::{Health, HealthConfig};
use acsd::simulator::{Autonomy, CpeConfig};
use acsd::store::Store;
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::tasks::plan::PlanLimits;
use acsd::tasks::queue::Queue;
use acsd::types::time::Clock;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::harness::{Client, Reply, within};

/// acsd's CWMP side over a store that can be told to be busy. Nobody has to log in.
pub(super) struct Acs {
    pub(super) store: Arc<MemoryStore>,
    pub(super) driver: Driver,
    pub(super) address: SocketAddr,
}

impl Acs {
    pub(super) fn start(sessions_max: usize) -> Self {
        Self::start_on("127.0.0.1:0", ListenConfig::default(), sessions_max)
    }

    pub(super) fn start_on(address: &str, limits: ListenConfig, sessions_max: usize) -> Self {
        let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
        let (driver, address) = serve(Arc::clone(&store) as _, address, limits, sessions_max);
        Self { store, driver, address }
    }

    pub(super) async fn connect(&self) -> Client<TcpStream> {
        connect(self.address).await
    }

    pub(super) fn cpe(&self, serial: &str) -> CpeConfig {
        let mut cpe = CpeConfig::new(format!("http://{}/", self.address)).serial(serial);
        (cpe.autonomy, cpe.keep_messages) = (Autonomy::OnDemand, true);
        cpe
    }
}

/// Serves CPEs over a store.
pub(super) fn serve(
    kept: Arc<dyn Store>,
    address: &str,
    limits: ListenConfig,
    sessions_max: usize,
) -> (Driver, SocketAddr) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let presence = Arc::new(Presence::default());
    let sealer = Arc::new(Sealer::from_key(&[7; 32]));
    let wake = WakeConfig::default();
    let (waker, _) =
        Waker::new(Arc::clone(&kept), Arc::clone(&clock), Arc::clone(&presence), Arc::clone(&sealer), wake);
    let files = Arc::new(Files::temporary(Arc::clone(&kept), Arc::clone(&clock), &sealer).unwrap());
    let queue = Queue::new(
        Arc::clone(&kept),
        Arc::clone(&clock),
        Arc::clone(&presence),
        Arc::clone(&waker),
        Arc::clone(&files),
    );
    let onboarding = Onboarding::new(Arc::clone(&kept), Arc::clone(&sealer), HandOut::Nothing);
    let expiry = Expiry::new(Arc::clone(&kept), Arc::clone(&clock), 300);
    let digest = DigestServer::new([1; 32], "acsd", Duration::from_mins(5));
    let gate = Gate::new(AuthMode::None, OnboardingMode::Open, digest, "acsd", None, Arc::clone(&sealer), 20);
    let queue = Arc::new(queue);
    let health = Health::new(Arc::clone(&kept), Arc::clone(&queue), Arc::clone(&clock), HealthConfig::default());
    let services = Services {
        store: kept,
        clock,
        queue,
        presence,
        waker,
        onboarding: Arc::new(onboarding),
        expiry: Arc::new(expiry),
        sealer,
        files,
        health: Arc::new(health),
    };
    let config = DriverConfig {
        decode: Limits::default(),
        session: SessionLimits::default(),
        plan: PlanLimits::default(),
        emission: EmissionFlags::default(),
        sessions_max,
        exchanges_max: 100,
        drain: Duration::from_secs(20),
        fallback_interval_secs: 300,
        traces: acsd::acs::recorder::TraceConfig::default(),
    };
    let driver = Driver::new(services, gate, config);
    let listener = listen::bind(address.parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint::new(limits, Arc::new(driver.clone()));
    tokio::spawn(endpoint.serve(listener, None, CancellationToken::new()));
    (driver, address)
}

pub(super) async fn connect(address: SocketAddr) -> Client<TcpStream> {
    Client { stream: within(TcpStream::connect(address)).await.unwrap(), read: Vec::new() }
}

pub(super) fn inform(serial: &str, event: &str, id: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:c=\"urn:dslforum-org:cwmp-1-2\">\
         <s:Header><c:ID s:mustUnderstand=\"1\">{id}</c:ID></s:Header><s:Body><c:Inform><DeviceId>\
         <Manufacturer>M</Manufacturer><OUI>00D09E</OUI><ProductClass>P</ProductClass><SerialNumber>{serial}</SerialNumber>\
         </DeviceId><Event><EventStruct><EventCode>{event}</EventCode><CommandKey/></EventStruct></Event>\
         <MaxEnvelopes>1</MaxEnvelopes><CurrentTime>2024-01-01T00:00:00Z</CurrentTime><RetryCount>0</RetryCount>\
         <ParameterList/></c:Inform></s:Body></s:Envelope>"
    )
}

pub(super) fn cookie(reply: &Reply) -> String {
    let set = reply.header("Set-Cookie");
    assert_eq!(set.len(), 1, "{}", reply.head);
    set[0].split(';').next().unwrap().to_owned()
}

pub(super) fn is_accepted(reply: &Reply) -> bool {
    reply.status() == 200 && String::from_utf8_lossy(&reply.body).contains("InformResponse")
}
