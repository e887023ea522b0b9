//! A facade on a free port over a store in memory, and a client to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use acsd::api::router::router;
use acsd::api::serve::{ServeLimits, serve};
use acsd::api::{ApiConfig, ApiState, Services};
use acsd::auth::seal::Sealer;
use acsd::auth::token::TokenHash;
use acsd::campaigns::{self, Campaigns, CampaignsConfig};
use acsd::clock::SystemClock;
use acsd::connreq::wake::{WakeConfig, Waker};
use acsd::cwmp::message::inform::{EventStruct, ParameterValueStruct};
use acsd::cwmp::version::{CwmpVersion, Namespace};
use acsd::devices::presence::Presence;
use acsd::files::{Files, Kept, Target, Terms};
use acsd::health::{Health, HealthConfig};
use acsd::model::device::{Device, OrganizationId};
use acsd::model::learn::{InformFacts, ResetOrder};
use acsd::model::token::{Role, TokenId, TokenRecord};
use acsd::model::transaction::{
    Kind, NewTransaction, Transaction, TransactionFault, TransactionStatus, VariableResult, Work,
};
use acsd::model::transfer::UploadOrder;
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::store::{Durability, Merge, Store};
use acsd::tasks::queue::Queue;
use acsd::telemetry::Metrics;
use acsd::types::event::EventCode;
use acsd::types::ident::{DeviceIdentity, DeviceKey, TransactionId};
use acsd::types::time::{Clock, Timestamp};
use acsd::types::value::XsdType;
use acsd::webhooks::{Webhooks, WebhooksConfig};
use axum::body::Body;
use http::{HeaderMap, Method, Request, header};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(super) const ADMIN: &str = "admin-token-of-the-tests";
pub(super) const OPERATOR: &str = "operator-token-of-the-tests";
pub(super) const VIEWER: &str = "viewer-token-of-the-tests";
/// An operator who sees organization 7 only, which has no devices.
pub(super) const STRANGER: &str = "stranger-token-of-the-tests";
pub(super) const EXPIRED: &str = "expired-token-of-the-tests";

pub(super) const DEVICES: &str = "/api/v1/inventory_device_serial/";
pub(super) const ORGANIZATIONS: &str = "/api/v1/organization/";
pub(super) const TYPES: &str = "/api/v1/inventory_device_type/";
pub(super) const LOCATIONS: &str = "/api/v1/inventory_location/";
pub(super) const TOKENS: &str = "/api/v1/api_token/";
pub(super) const HEADLESS: &str = "/api/v1/inventory_device_serial_headless_operation/";
pub(super) const DIAGNOSTICS: &str = "/api/v1/inventory_device_serial_diags/";
pub(super) const ENTRIES: &str = "/api/v1/inventory_device_diags/";
pub(super) const TRANSACTIONS: &str = "/api/v1/transaction/";

pub(super) fn operations(serial: &str) -> String {
    format!("/api/v1/inventory_device_serial_operation/{serial}/")
}

/// The record of this number.
pub(super) fn record(list: &str, id: impl std::fmt::Display) -> String {
    format!("{list}{id}/")
}

pub(super) fn device(serial: &str) -> String {
    format!("{DEVICES}{serial}/")
}

/// Live transactions of one device.
pub(super) const QUEUE_MAX: usize = 8;

pub(super) struct Api {
    pub(super) address: SocketAddr,
    pub(super) store: Arc<dyn Store>,
    pub(super) presence: Arc<Presence>,
    pub(super) queue: Arc<Queue>,
    /// Nobody runs it.
    pub(super) campaigns: Arc<Campaigns>,
    pub(super) files: Arc<Files>,
    pub(super) draining: CancellationToken,
    pub(super) stop: CancellationToken,
    /// The facade itself, for requests without a socket.
    pub(super) router: axum::Router,
    client: Client<HttpConnector, Body>,
}

fn token(text: &str, role: Role) -> TokenRecord {
    TokenRecord {
        id: TokenId(0),
        name: format!("{role:?}"),
        role,
        organizations: None,
        hash: TokenHash::of(text).0,
        prefix: "acsd_".into(),
        created_at: SystemClock.now(),
        expires_at: None,
        last_used_at: None,
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) json: Value,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The status, with the body beside it when it is not the one that was wanted.
    #[track_caller]
    pub(super) fn expect(self, status: u16, case: &str) -> Value {
        assert_eq!(self.status, status, "{case}: {}", self.text);
        self.json
    }

    /// A refusal: this status, and a body with a sentence.
    #[track_caller]
    pub(super) fn refused(self, status: u16, case: &str) {
        assert_eq!(self.status, status, "{case}: {}", self.text);
        assert!(self.json["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{case}: {}", self.text);
    }

    /// A refusal of exactly these fields.
    #[track_caller]
    pub(super) fn refused_fields(self, fields: &[&str], case: &str) {
        assert_eq!(self.status, 400, "{case}: {}", self.text);
        let mut given: Vec<&str> = self.json.as_object().expect("an object").keys().map(String::as_str).collect();
        given.sort_unstable();
        let mut wanted = fields.to_vec();
        wanted.sort_unstable();
        assert_eq!(given, wanted, "{case}: {}", self.text);
    }
}

impl Api {
    pub(super) async fn start() -> Self {
        Self::with(ApiConfig { update_status_wait_secs: 1, ..ApiConfig::default() }).await
    }

    pub(super) async fn with(config: ApiConfig) -> Self {
        let memory = MemoryConfig { queue_max: QUEUE_MAX, ..MemoryConfig::default() };
        Self::over(Arc::new(MemoryStore::new(memory)), config).await
    }

    pub(super) async fn over(store: Arc<dyn Store>, config: ApiConfig) -> Self {
        Self::with_records_of_files(store.clone(), store, config).await
    }

    /// With the records of files in a store of their own, which may fail by itself.
    pub(super) async fn with_records_of_files(
        records: Arc<dyn Store>,
        store: Arc<dyn Store>,
        config: ApiConfig,
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let presence = Arc::new(Presence::default());
        let sealer = Arc::new(Sealer::from_key(&[7; 32]));
        let (waker, calls) =
            Waker::new(store.clone(), clock.clone(), presence.clone(), sealer.clone(), WakeConfig::default());
        // Nothing is called: these devices have no address.
        drop(calls);
        let files = Files::temporary(records, clock.clone(), &sealer).expect("a folder");
        let files = Arc::new(files);
        let queue = Arc::new(Queue::new(store.clone(), clock.clone(), presence.clone(), waker.clone(), files.clone()));
        let (draining, stop) = (CancellationToken::new(), CancellationToken::new());
        let webhooks = Arc::new(Webhooks::new(
            store.clone(),
            clock.clone(),
            sealer.clone(),
            WebhooksConfig { max: 10_000, ..WebhooksConfig::default() },
        ));
        let health = Health::new(store.clone(), queue.clone(), clock.clone(), HealthConfig::default());
        let health = Arc::new(health);
        let tools = campaigns::Tools {
            store: store.clone(),
            queue: queue.clone(),
            presence: presence.clone(),
            sealer: sealer.clone(),
            clock: clock.clone(),
        };
        let config_of_campaigns = CampaignsConfig { max: 10_000, ..CampaignsConfig::default() };
        let campaigns = Arc::new(Campaigns::new(tools, config_of_campaigns));
        let services = Services {
            store: store.clone(),
            queue: queue.clone(),
            keeper: Arc::default(),
            webhooks: webhooks.clone(),
            presence: presence.clone(),
            waker,
            clock: clock.clone(),
            sealer,
            device_health: health,
            files: files.clone(),
            campaigns: campaigns.clone(),
            metrics: Metrics::detached().expect("metrics"),
            draining: draining.clone(),
        };
        for (text, role, organizations, expires_at) in [
            (ADMIN, Role::Admin, None, None),
            (OPERATOR, Role::Operator, None, None),
            (VIEWER, Role::Viewer, None, None),
            (STRANGER, Role::Operator, Some(vec![OrganizationId(7)]), None),
            (EXPIRED, Role::Admin, None, Some(Timestamp::from_secs(1))),
        ] {
            let token = TokenRecord { organizations, expires_at, ..token(text, role) };
            store.add_token(token).await.expect("a token");
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let app = router(ApiState::new(services, config));
        let router = app.clone();
        tokio::spawn(serve(listener, app, None, ServeLimits::default(), stop.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { address, store, presence, queue, files, campaigns, draining, stop, router, client }
    }

    /// A token of its own, bound to these organizations; to none if there are none.
    pub(super) async fn token(&self, text: &str, role: Role, organizations: &[u32]) -> String {
        let bound: Vec<_> = organizations.iter().copied().map(OrganizationId).collect();
        let organizations = (!bound.is_empty()).then_some(bound);
        self.store.add_token(TokenRecord { organizations, ..token(text, role) }).await.expect("a token");
        text.to_owned()
    }

    /// What an admin makes.
    #[track_caller]
    pub(super) fn make(&self, path: &'static str, body: Value) -> impl Future<Output = Value> {
        let case = format!("POST {path} {body}");
        async move { self.call_as(ADMIN, "POST", path, body).await.expect(201, &case) }
    }

    /// Status, headers and the body as it is.
    pub(super) async fn raw(&self, request: Request<Body>) -> (u16, HeaderMap, bytes::Bytes) {
        let (parts, body) = self.client.request(request).await.expect("an answer").into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        (parts.status.as_u16(), parts.headers, bytes)
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.client.request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        assert!(parts.headers.contains_key("x-request-id"), "every answer has a request id");
        Reply { status: parts.status.as_u16(), headers: parts.headers, text, json }
    }

    pub(super) fn request(&self, method: &str, path: &str, token: &str) -> http::request::Builder {
        Request::builder()
            .method(Method::from_bytes(method.as_bytes()).expect("a method"))
            .uri(format!("http://{}{path}", self.address))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
    }

    pub(super) async fn call_as(&self, token: &str, method: &str, path: &str, body: Value) -> Reply {
        let request = self.request(method, path, token);
        let request = if body.is_null() {
            request.body(Body::empty())
        } else {
            request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string()))
        };
        self.send(request.expect("a request")).await
    }

    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> Reply {
        self.call_as(OPERATOR, method, path, body).await
    }

    /// For closures, which cannot lend what they are given.
    pub(super) async fn call_owned(&self, method: &'static str, path: String, body: Value) -> Reply {
        self.call(method, &path, body).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path, Value::Null).await
    }

    pub(super) async fn create(&self, body: Value) -> Value {
        self.call("POST", DEVICES, body).await.expect(201, "create")
    }

    /// The device calls in, with these parameters.
    pub(super) async fn inform(&self, serial: &str, parameters: &[(&str, &str, XsdType)]) -> Device {
        let device = self.store.by_serial(serial).await.expect("the store").expect("the device");
        let identity = DeviceIdentity::new("00D09E", "IGD", serial).expect("an identity");
        if device.state.identity.is_none() {
            self.store.bind(device.key, &identity).await.expect("bound");
        }
        let events = [EventStruct { code: EventCode::Periodic, raw_code: "2 PERIODIC".into(), command_key: "".into() }];
        let parameters: Vec<ParameterValueStruct<'_>> = parameters
            .iter()
            .map(|(name, value, ty)| ParameterValueStruct { name: (*name).into(), value: (*value).into(), ty: *ty })
            .collect();
        let facts = InformFacts {
            at: SystemClock.now(),
            peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
            identity: &identity,
            manufacturer: "Maker",
            cwmp_version: CwmpVersion::default(),
            namespace: Namespace::default(),
            events: &events,
            parameters: &parameters,
            reset: ResetOrder::Unordered,
        };
        self.store.record_inform(device.key, facts, Durability::Durable).await.expect("recorded");
        self.store.device(device.key).await.expect("the store").expect("the device")
    }

    /// A session starts the device's next transaction.
    pub(super) async fn claim(&self, device: &Device) -> Transaction {
        self.store.claim(device.key, &[], SystemClock.now()).await.expect("the store").expect("work")
    }

    /// A session ends a transaction.
    pub(super) async fn settle(
        &self,
        mut transaction: Transaction,
        status: TransactionStatus,
        fault: Option<(u16, &str)>,
        results: &[VariableResult],
    ) {
        transaction.status = status;
        transaction.phase = acsd::model::transaction::Phase::Ended;
        transaction.completed_at = Some(SystemClock.now());
        transaction.fault = fault.map(|(code, message)| TransactionFault { code, message: message.to_owned() });
        self.queue.settle(&transaction, results).await.expect("settled");
    }

    /// The device sends a file, as it was told to.
    pub(super) async fn sent(&self, device: DeviceKey, data: &'static [u8]) -> u32 {
        let order =
            UploadOrder { file_type: "3 Vendor Configuration File 1".into(), alternatives: Vec::new(), delay_secs: 0 };
        let new = NewTransaction {
            kind: Kind::Configuration,
            work: Work::Upload(Box::new(order)),
            requested_by: "test".into(),
            expires_at: None,
            campaign: None,
        };
        let ordered = self.store.enqueue(device, new, Merge::Never, SystemClock.now()).await.expect("ordered");
        let link = self.files.link(Target::Upload, device, ordered.id, Terms::default());
        let claim = self.files.claim(link.path.split('/').nth(2).expect("a token")).expect("ours");
        let upload = self.files.upload(&claim).await.expect("the store").expect("it was ordered");
        let mut draft = self.files.receive(&upload, None).await.expect("room");
        draft.write(data.into()).await.expect("written");
        let complete = draft.complete().await.expect("complete");
        match self.files.keep(&upload, complete).await.expect("kept") {
            Kept::New(id) | Kept::Replaced(id) => id.0,
        }
    }

    pub(super) async fn transaction(&self, id: u64) -> Transaction {
        self.store.transaction(TransactionId(id)).await.expect("the store").expect("the transaction")
    }
}
