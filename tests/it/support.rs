//! A whole acsd in this process, on free ports, and a small client of its API.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use acsd::app::Daemon;
use acsd::config::{Config, StoreChoice};
use acsd::cwmp::version::CwmpVersion;
use acsd::simulator::{ConnectionRequests, CpeConfig, CpeHandle, SessionReport};
use acsd::telemetry::Metrics;
use acsd::types::secret::Secret;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::broadcast::error::TryRecvError;

pub(crate) const ADMIN: &str = "e2e-admin-token-0001";
pub(crate) const USER: &str = "factory";
pub(crate) const PASSWORD: &str = "factory-secret";

/// How long a test waits for anything before it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks at what is waited for: whoever is to bring it about needs the processor.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

pub(crate) struct Acs {
    pub(crate) daemon: Daemon,
    api: Api,
}

/// A client of some acsd's API, with the admin token.
pub(crate) struct Api {
    address: SocketAddr,
    client: Client<HttpConnector, Full<bytes::Bytes>>,
}

impl Deref for Acs {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

pub(crate) fn config() -> Config {
    let mut config = Config { store: StoreChoice::Memory, ..Config::default() };
    config.cwmp.listen = "127.0.0.1:0".parse().unwrap();
    config.cwmp.tls_listen = "127.0.0.1:0".parse().unwrap();
    config.api.listen = "127.0.0.1:0".parse().unwrap();
    config.api.admin_token = Some(Secret::new(ADMIN));
    // Tests ask again and again until something has happened.
    config.api.limits.rate_per_second = 0;
    config.cwmp.onboarding_username = Some(USER.to_owned());
    config.cwmp.onboarding_password = Some(Secret::new(PASSWORD));
    config
}

impl Acs {
    pub(crate) async fn start(config: Config) -> Self {
        let daemon = Daemon::start(config, Metrics::detached().unwrap()).await.unwrap();
        let api = Api::at(daemon.api_address);
        Self { daemon, api }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/acs", self.daemon.cwmp_address)
    }

    /// A well-behaved CPE with the factory credential and a connection-request listener, in no hurry to come back.
    pub(crate) fn cpe(&self, serial: &str) -> CpeConfig {
        let mut cpe = CpeConfig::new(self.url()).serial(serial).credentials(USER, PASSWORD);
        cpe.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
        cpe.time_scale = 0.001;
        cpe.periodic_interval_secs = 3_600_000;
        cpe
    }
}

/// A simulated CPE that remembers every envelope acsd has sent it.
pub(crate) struct Cpe {
    handle: CpeHandle,
    reports: tokio::sync::broadcast::Receiver<Arc<SessionReport>>,
    version: CwmpVersion,
}

impl Deref for Cpe {
    type Target = CpeHandle;

    fn deref(&self) -> &CpeHandle {
        &self.handle
    }
}

impl Cpe {
    pub(crate) async fn spawn(mut config: CpeConfig) -> Self {
        config.keep_messages = true;
        let version = CwmpVersion::parse(config.version.as_str()).unwrap();
        let handle = acsd::simulator::spawn(config).await.unwrap();
        let reports = handle.reports();
        Self { handle, reports, version }
    }

    /// Stops it and checks what acsd has sent: every envelope against the schema, and every rule the simulator knows.
    pub(crate) async fn finish(mut self) {
        self.handle.stop().await;
        let mut sent = Vec::new();
        loop {
            let report = match self.reports.try_recv() {
                Ok(report) => report,
                // After many sessions the first ones are no longer kept.
                Err(TryRecvError::Lagged(_)) => continue,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            };
            assert!(report.violations.is_empty(), "{:?}", report.violations);
            sent.extend(report.messages.iter().cloned());
        }
        assert!(!sent.is_empty(), "acsd said something");
        let named = sent.iter().enumerate().map(|(at, message)| (format!("message {at}"), message.as_bytes()));
        crate::codec::schema::assert_all_valid(named, self.version);
    }
}

impl Api {
    pub(crate) fn at(address: SocketAddr) -> Self {
        Self { address, client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http() }
    }

    /// A request to the API.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.try_call(method, path, body).await.unwrap()
    }

    /// The same, where nobody may be listening any more.
    pub(crate) async fn try_call(&self, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<Reply> {
        let uri = format!("http://{}/api/v1{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri).header("authorization", format!("Bearer {ADMIN}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let bytes = body.map(|body| body.to_string()).unwrap_or_default();
        self.send(request.body(Full::from(bytes))?).await
    }

    /// Brings a file.
    pub(crate) async fn bring(&self, path: &str, contents: bytes::Bytes) -> Reply {
        let uri = format!("http://{}/api/v1{path}", self.address);
        let request = Request::put(uri).header("authorization", format!("Bearer {ADMIN}"));
        self.send(request.body(Full::from(contents)).unwrap()).await.unwrap()
    }

    async fn send(&self, request: Request<Full<bytes::Bytes>>) -> anyhow::Result<Reply> {
        let (parts, body) = self.client.request(request).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Ok(Reply { status: parts.status.as_u16(), body })
    }

    /// An answer that lasts, head first.
    pub(crate) async fn open(&self, path: &str, last_event_id: Option<u64>) -> hyper::Response<hyper::body::Incoming> {
        let uri = format!("http://{}/api/v1{path}", self.address);
        let mut request = Request::builder().uri(uri).header("authorization", format!("Bearer {ADMIN}"));
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        self.client.request(request.body(Full::default()).unwrap()).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let reply = self.call("GET", path, None).await;
        assert_eq!(reply.status, 200, "GET {path}: {}", reply.body);
        reply.body
    }

    /// Schedules headless work and waits until it has ended.
    pub(crate) async fn headless(&self, serial: &str, operation: &str, variables: Value) -> Value {
        let id = self.schedule(serial, operation, variables).await;
        self.ended(&id).await
    }

    pub(crate) async fn schedule(&self, serial: &str, operation: &str, variables: Value) -> String {
        let body = serde_json::json!({"serial_number": serial, "operation": operation, "variables": variables});
        let reply = self.call("POST", "/inventory_device_serial_headless_operation/", Some(body)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.body["id"].as_str().unwrap().to_owned()
    }

    /// The headless transaction once it has ended.
    pub(crate) async fn ended(&self, id: &str) -> Value {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let rows =
                self.get(&format!("/inventory_device_serial_headless_operation/?id={id}&update_status=true")).await;
            let row = rows[0].clone();
            if !matches!(row["status"].as_str(), Some("scheduled" | "in_progress")) {
                return row;
            }
            assert!(tokio::time::Instant::now() < until, "transaction {id} does not end: {row}");
            pause().await;
        }
    }

    /// The ledger row once `holds` is true of it.
    pub(crate) async fn row_until(&self, path: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let row = self.get(path).await;
            if holds(&row) {
                return row;
            }
            assert!(tokio::time::Instant::now() < until, "{path} never becomes what is waited for: {row}");
            pause().await;
        }
    }
}
