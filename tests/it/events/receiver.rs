//! A receiver of webhooks that checks signatures and can be told to fail.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub(super) const SECRET: &str = "a-secret-that-both-know";

#[derive(Default)]
pub(super) struct Seen {
    /// What was taken, in order.
    pub(super) taken: Mutex<Vec<Value>>,
    /// What every try is answered with.
    pub(super) status: AtomicU16,
    /// Tries that were refused.
    pub(super) refused: AtomicUsize,
    pub(super) connections: AtomicUsize,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    pub(super) seen: Arc<Seen>,
    _serving: JoinSet<()>,
}

impl Receiver {
    pub(super) async fn start(tls: Option<TlsAcceptor>) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), Arc::default(), tls).await
    }

    /// On an address that may have been used before.
    pub(super) async fn at(address: SocketAddr, seen: Arc<Seen>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        seen.status.store(200, Ordering::SeqCst);
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&seen);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(speak(stream, tls.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, seen, _serving: serving }
    }

    pub(super) fn answer_with(&self, status: u16) {
        self.seen.status.store(status, Ordering::SeqCst);
    }

    /// The ids of what was taken, in order.
    pub(super) fn ids(&self) -> Vec<u64> {
        self.seen.taken.lock().iter().map(|event| event["id"].as_u64().unwrap()).collect()
    }

    pub(super) fn kinds(&self) -> Vec<String> {
        self.seen.taken.lock().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }
}

async fn speak(stream: TcpStream, tls: Option<TlsAcceptor>, seen: Arc<Seen>) {
    let service = service_fn(|request| {
        let seen = Arc::clone(&seen);
        async move { Ok::<_, Infallible>(take(request, &seen).await) }
    });
    let http = hyper::server::conn::http1::Builder::new();
    // A client that goes away is no failure of the test.
    match tls {
        None => drop(http.serve_connection(TokioIo::new(stream), service).await),
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                drop(http.serve_connection(TokioIo::new(stream), service).await);
            }
        }
    }
}

async fn take(request: Request<Incoming>, seen: &Seen) -> Response<Empty<bytes::Bytes>> {
    let status = seen.status.load(Ordering::SeqCst);
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = |name: &str| parts.headers.get(name).map_or("", |value| value.to_str().unwrap());
    assert_eq!((parts.method.as_str(), header("content-type")), ("POST", "application/json"));
    assert!(header("user-agent").starts_with("acsd/"));
    let (time, signature) = header("x-acsd-signature").split_once(",v1=").expect("a signature");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(time.strip_prefix("t=").expect("a time").as_bytes());
    mac.update(b".");
    mac.update(&body);
    assert_eq!(hex::encode(mac.finalize().into_bytes()), signature);
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(header("x-acsd-event-id"), event["id"].to_string());
    if status == 200 {
        seen.taken.lock().push(event);
    } else {
        seen.refused.fetch_add(1, Ordering::SeqCst);
    }
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status.try_into().unwrap();
    if status == 302 {
        response.headers_mut().insert("location", "http://127.0.0.1:1/".parse().unwrap());
    }
    response
}

/// Waits until `holds`, at most as long as a test has patience.
pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + crate::support::PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < end, "{what} does not happen");
        tokio::task::yield_now().await;
    }
}
