//! A CWMP endpoint with an exchange that records, and a client that writes raw bytes.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use acsd::acs::exchange::{Answer, Connection, ConnectionId, Exchange, Post, SessionToken};
use acsd::acs::listen::{self, Drained, Endpoint, ListenConfig};
use acsd::tls::ReloadableTls;
use bytes::Bytes;
use flate2::Compression;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const TOKEN: SessionToken = SessionToken(0xabc);
pub(super) const ENVELOPE: &str = "<s:Envelope><s:Body/></s:Envelope>";

/// What the exchange was told, in order.
#[derive(Debug)]
pub(super) enum Told {
    Post(Post),
    Gone(ConnectionId),
}

/// Answers by what the body says, and records everything.
pub(super) struct Recorder {
    pub(super) told: mpsc::UnboundedSender<Told>,
    /// `wait` bodies are answered once this has a permit.
    pub(super) release: Semaphore,
}

impl Exchange for Recorder {
    async fn post(&self, post: Post) -> Answer {
        let body = String::from_utf8_lossy(&post.body).trim().to_owned();
        self.told.send(Told::Post(post)).unwrap();
        match body.as_str() {
            "" => Answer::Empty { connection: Connection::Keep },
            "bye" => Answer::Empty { connection: Connection::Close },
            "challenge" => {
                Answer::Challenge { www_authenticate: "Digest realm=\"r\"".into(), connection: Connection::Keep }
            }
            "malformed" => Answer::Malformed { reason: "no Inform".into() },
            "forbidden" => Answer::Forbidden { reason: "not wanted" },
            "busy" => Answer::Busy { retry_after: Duration::from_millis(1500) },
            "panic" => panic!("on purpose"),
            "wait" => {
                self.release.acquire().await.unwrap().forget();
                Answer::Empty { connection: Connection::Keep }
            }
            "big" => Answer::Envelope { body: Bytes::from(vec![b'x'; 1 << 20]), cookie: None },
            _ => Answer::Envelope { body: Bytes::from_static(b"<answer/>"), cookie: Some(TOKEN) },
        }
    }

    fn disconnected(&self, connection: ConnectionId) {
        // The test may be over.
        let _ = self.told.send(Told::Gone(connection));
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) told: mpsc::UnboundedReceiver<Told>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) shutdown: CancellationToken,
    pub(super) served: JoinHandle<Drained>,
}

impl Server {
    pub(super) fn start(config: ListenConfig) -> Self {
        Self::start_on("127.0.0.1:0", config, None)
    }

    pub(super) fn start_on(address: &str, config: ListenConfig, tls: Option<ReloadableTls>) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let recorder = Arc::new(Recorder { told: sender, release: Semaphore::new(0) });
        let listener = listen::bind(address.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let endpoint = Endpoint::new(config, Arc::clone(&recorder));
        let served = tokio::spawn(endpoint.serve(listener, tls, shutdown.clone()));
        Self { address, told, recorder, shutdown, served }
    }

    pub(super) async fn connect(&self) -> Client<TcpStream> {
        Client { stream: within(TcpStream::connect(self.address)).await.unwrap(), read: Vec::new() }
    }

    pub(super) async fn next(&mut self) -> Told {
        within(self.told.recv()).await.unwrap()
    }

    pub(super) async fn post(&mut self) -> Post {
        match self.next().await {
            Told::Post(post) => post,
            other => panic!("{other:?}"),
        }
    }
}

pub(super) async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("in time")
}

/// A client that writes what it is told and reads answers byte by byte.
pub(super) struct Client<S> {
    pub(super) stream: S,
    pub(super) read: Vec<u8>,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Values of all headers spelt exactly so.
    pub(super) fn header(&self, name: &str) -> Vec<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).filter(|(n, _)| *n == name).map(|(_, v)| v).collect()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(super) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
        within(self.stream.flush()).await.unwrap();
    }

    pub(super) async fn send_post(&mut self, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!("POST /acs?x=1 HTTP/1.1\r\nHost: acs\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat()).await;
    }

    pub(super) async fn exchange(&mut self, headers: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send_post(headers, body).await;
        self.reply().await
    }

    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        within(self.stream.read_buf(&mut self.read)).await
    }

    pub(super) async fn reply(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert_ne!(self.fill().await.unwrap(), 0, "closed: {}", String::from_utf8_lossy(&self.read));
        };
        let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap();
        let mut reply = Reply { head, body: Vec::new() };
        let length: usize = reply.header("Content-Length").first().map_or(0, |text| text.parse().unwrap());
        while self.read.len() < length {
            assert_ne!(self.fill().await.unwrap(), 0, "closed in a body");
        }
        reply.body = self.read.drain(..length).collect();
        crate::codec::schema::assert_emitted(&reply.body);
        reply
    }

    /// Waits until the server has closed, whatever it says before.
    pub(super) async fn closed(&mut self) {
        while matches!(self.fill().await, Ok(1..)) {}
    }
}

pub(super) fn secs(secs: u64, config: impl FnOnce(&mut ListenConfig, u64)) -> ListenConfig {
    let mut limits = ListenConfig::default();
    config(&mut limits, secs);
    limits
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}
