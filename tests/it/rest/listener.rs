//! The listener: TLS, limits, and an orderly stop.

use std::sync::Arc;
use std::time::Duration;

use acsd::api::serve::{ServeLimits, TlsSource, serve};
use acsd::cli::client::ApiClient;
use acsd::types::secret::Secret;
use axum::Router;
use axum::routing::{delete, get};
use http::Method;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn tls_is_served_and_links_say_so() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ca.pem");
    std::fs::write(&path, made.cert.pem()).expect("written");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a configuration");
    let config = Arc::new(config);
    let source: TlsSource = Arc::new(move || Arc::clone(&config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stop = CancellationToken::new();
    let app = Router::new().route("/x", get(async || axum::Json(true)));
    let serving = tokio::spawn(serve(listener, app, Some(source), ServeLimits::default(), stop.clone()));
    let url = format!("https://localhost:{port}");
    let client = ApiClient::new(&url, Secret::new("t"), Some(path)).expect("a client");
    assert_eq!(client.call(Method::GET, "/x", None).await.expect("over TLS"), true);
    assert!(ApiClient::new(&url, Secret::new("t"), None).is_err(), "nothing to trust");
    stop.cancel();
    serving.await.expect("no panic").expect("stopped");
}

#[tokio::test]
async fn open_requests_finish_when_stopping() {
    let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, go) = (entered.clone(), go.clone());
        async move || {
            entered.notify_one();
            go.notified().await;
            "done"
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let app = Router::new().route("/", get(handler));
    let serving = tokio::spawn(serve(listener, app, None, ServeLimits::default(), stop.clone()));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    tokio::time::timeout(PATIENCE, entered.notified()).await.expect("it runs");
    stop.cancel();
    go.notify_one();
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an end").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    tokio::time::timeout(PATIENCE, serving).await.expect("stopped").expect("no panic").expect("no error");
}

#[tokio::test]
async fn writes_are_brought_to_their_end_though_the_client_is_gone() {
    let (entered, go, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = {
        let (entered, go, done) = (entered.clone(), go.clone(), done.clone());
        async move || {
            entered.notify_one();
            go.notified().await;
            done.notify_one();
        }
    };
    // A read ends with its client.
    let (read, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let reader = {
        let (read, ended) = (read.clone(), ended.clone());
        async move || {
            let _at_the_end = Told(ended);
            read.notify_one();
            std::future::pending::<()>().await;
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let app = Router::new().route("/", delete(handler).get(reader));
    let serving = tokio::spawn(serve(listener, app, None, ServeLimits::default(), stop.clone()));
    let mut reading = TcpStream::connect(address).await.expect("connected");
    reading.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    tokio::time::timeout(PATIENCE, read.notified()).await.expect("it runs");
    let mut writing = TcpStream::connect(address).await.expect("connected");
    writing.write_all(b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    tokio::time::timeout(PATIENCE, entered.notified()).await.expect("it runs");
    drop((reading, writing));
    // By then the end of the other connection, which came later, is known as well.
    tokio::time::timeout(PATIENCE, ended.notified()).await.expect("a read ends");
    stop.cancel();
    go.notify_one();
    tokio::time::timeout(PATIENCE, done.notified()).await.expect("a write does not");
    tokio::time::timeout(PATIENCE, serving).await.expect("stopped").expect("no panic").expect("no error");
}

#[tokio::test]
async fn a_write_that_panics_is_an_error_of_the_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let app = Router::new().route(
        "/",
        delete(async || {
            if true {
                panic!("on purpose")
            }
        }),
    );
    let serving = tokio::spawn(serve(listener, app, None, ServeLimits::default(), stop.clone()));
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"DELETE / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("sent");
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("an end").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 500"), "to try again would not help: {answer}");
    stop.cancel();
    tokio::time::timeout(PATIENCE, serving).await.expect("stopped").expect("no panic").expect("no error");
}

/// Tells when it is dropped.
struct Told(Arc<Notify>);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[tokio::test]
async fn heads_are_bounded_and_may_not_be_slow() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    let limits = ServeLimits { header_time: Duration::from_millis(200), header_bytes: 8192, ..ServeLimits::default() };
    let serving = tokio::spawn(serve(listener, Router::new(), None, limits, stop.clone()));
    let mut slow = TcpStream::connect(address).await.expect("connected");
    slow.write_all(b"GET / HTTP/1.1\r\n").await.expect("sent");
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, slow.read_to_end(&mut rest)).await.expect("closed").expect("read");
    let mut long = TcpStream::connect(address).await.expect("connected");
    let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(10_000));
    long.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = [0; 12];
    tokio::time::timeout(PATIENCE, long.read_exact(&mut answer)).await.expect("answered").expect("read");
    assert_eq!(&answer, b"HTTP/1.1 431");
    stop.cancel();
    serving.await.expect("no panic").expect("stopped");
}
