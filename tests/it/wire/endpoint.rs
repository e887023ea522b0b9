//! The HTTP rules of cwmp.md §1.1 and the limits of the endpoint.

use std::future::Future;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acsd::acs::exchange::{Answer, Connection, ConnectionId, Exchange, Post, SessionToken, Transport};
use acsd::acs::listen::{self, Drained, Endpoint, ListenConfig};
use acsd::tls::{ReloadableTls, TlsError};
use bytes::Bytes;
use flate2::Compression;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
const TOKEN: SessionToken = SessionToken(0xabc);
const ENVELOPE: &str = "<s:Envelope><s:Body/></s:Envelope>";

/// What the exchange was told, in order.
#[derive(Debug)]
enum Told {
    Post(Post),
    Gone(ConnectionId),
}

/// Answers by what the body says, and records everything.
struct Recorder {
    told: mpsc::UnboundedSender<Told>,
    /// `wait` bodies are answered once this has a permit.
    release: Semaphore,
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

struct Server {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Told>,
    recorder: Arc<Recorder>,
    shutdown: CancellationToken,
    served: JoinHandle<Drained>,
}

impl Server {
    fn start(config: ListenConfig) -> Self {
        Self::start_on("127.0.0.1:0", config, None)
    }

    fn start_on(address: &str, config: ListenConfig, tls: Option<ReloadableTls>) -> Self {
        let (sender, told) = mpsc::unbounded_channel();
        let recorder = Arc::new(Recorder { told: sender, release: Semaphore::new(0) });
        let listener = listen::bind(address.parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let endpoint = Endpoint::new(config, Arc::clone(&recorder));
        let served = tokio::spawn(endpoint.serve(listener, tls, shutdown.clone()));
        Self { address, told, recorder, shutdown, served }
    }

    async fn connect(&self) -> Client<TcpStream> {
        Client { stream: within(TcpStream::connect(self.address)).await.unwrap(), read: Vec::new() }
    }

    async fn next(&mut self) -> Told {
        within(self.told.recv()).await.unwrap()
    }

    async fn post(&mut self) -> Post {
        match self.next().await {
            Told::Post(post) => post,
            other => panic!("{other:?}"),
        }
    }
}

async fn within<F: Future>(future: F) -> F::Output {
    timeout(PATIENCE, future).await.expect("in time")
}

/// A client that writes what it is told and reads answers byte by byte.
struct Client<S> {
    stream: S,
    read: Vec<u8>,
}

/// An answer as it came over the wire.
#[derive(Debug)]
struct Reply {
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Values of all headers spelt exactly so.
    fn header(&self, name: &str) -> Vec<&str> {
        self.head.lines().filter_map(|line| line.split_once(": ")).filter(|(n, _)| *n == name).map(|(_, v)| v).collect()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within(self.stream.write_all(bytes.as_ref())).await.unwrap();
        within(self.stream.flush()).await.unwrap();
    }

    async fn send_post(&mut self, headers: &str, body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let head = format!("POST /acs?x=1 HTTP/1.1\r\nHost: acs\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        self.send([head.as_bytes(), body].concat()).await;
    }

    async fn exchange(&mut self, headers: &str, body: impl AsRef<[u8]>) -> Reply {
        self.send_post(headers, body).await;
        self.reply().await
    }

    async fn fill(&mut self) -> io::Result<usize> {
        within(self.stream.read_buf(&mut self.read)).await
    }

    async fn reply(&mut self) -> Reply {
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
        reply
    }

    /// Waits until the server has closed, whatever it says before.
    async fn closed(&mut self) {
        while matches!(self.fill().await, Ok(1..)) {}
    }
}

fn secs(secs: u64, config: impl FnOnce(&mut ListenConfig, u64)) -> ListenConfig {
    let mut limits = ListenConfig::default();
    config(&mut limits, secs);
    limits
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn a_session_s_posts_share_one_connection() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    let headers = "Content-Type: text/xml; charset=ISO-8859-1\r\nAuthorization: Digest x\r\ncookie: $Version=1; acsd=\"00000000000000000000000000000abc\"\r\nSOAPAction:\r\n";
    let reply = client.exchange(headers, ENVELOPE).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.header("Content-Type"), ["text/xml; charset=\"utf-8\""]);
    assert_eq!(reply.header("Content-Length"), ["9"]);
    assert_eq!(reply.header("Set-Cookie"), ["acsd=00000000000000000000000000000abc; Path=/"]);
    assert!(reply.header("Transfer-Encoding").is_empty() && reply.header("Connection").is_empty());
    assert_eq!(reply.body, b"<answer/>");

    let post = server.post().await;
    assert_eq!(post.body, ENVELOPE);
    assert_eq!(post.cookie, Some(TOKEN));
    assert_eq!(post.authorization.as_deref(), Some("Digest x"));
    assert_eq!(post.charset.as_deref(), Some("ISO-8859-1"));
    assert_eq!(&*post.target, "/acs?x=1");
    assert_eq!(post.transport, Transport::Plain);
    assert_eq!(post.peer, client.stream.local_addr().unwrap());

    let reply = client.exchange("", "").await;
    assert_eq!(reply.status(), 204);
    assert!(reply.header("Content-Type").is_empty() && reply.body.is_empty());
    let empty = server.post().await;
    assert_eq!((empty.connection, empty.cookie, empty.authorization), (post.connection, None, None));

    drop(client);
    assert!(matches!(server.next().await, Told::Gone(id) if id == post.connection));
}

#[tokio::test]
async fn every_answer_is_written_as_cpes_need_it() {
    let mut server = Server::start(ListenConfig::default());
    let table = [
        ("challenge", 401, "keep"),
        ("malformed", 400, "close"),
        ("forbidden", 403, "close"),
        ("busy", 503, "close"),
        ("bye", 204, "close"),
        ("big", 200, "keep"),
    ];
    for (body, status, connection) in table {
        let mut client = server.connect().await;
        let reply = client.exchange("", body).await;
        assert_eq!(reply.status(), status, "{body}");
        assert!(reply.header("Transfer-Encoding").is_empty(), "{body}");
        match status {
            401 => assert_eq!(reply.header("WWW-Authenticate"), ["Digest realm=\"r\""], "{}", reply.head),
            503 => assert_eq!(reply.header("Retry-After"), ["2"]),
            400 => assert_eq!(reply.body, b"no Inform\n"),
            403 => assert_eq!(reply.body, b"not wanted\n"),
            200 => assert_eq!(reply.body.len(), 1 << 20),
            _ => assert!(reply.body.is_empty()),
        }
        assert_eq!(reply.head.to_lowercase().matches("www-authenticate").count(), usize::from(status == 401));
        if connection == "close" {
            assert_eq!(reply.header("Connection"), ["close"], "{body}");
            client.closed().await;
        } else {
            assert_eq!(client.exchange("", "").await.status(), 204, "{body}: the connection lives");
            server.post().await;
        }
        server.post().await;
        drop(client);
        assert!(matches!(server.next().await, Told::Gone(_)));
    }
}

#[tokio::test]
async fn a_connection_per_post_works_and_each_has_its_id() {
    let mut server = Server::start(ListenConfig::default());
    let mut ids = Vec::new();
    for version in ["1.1", "1.0"] {
        let mut client = server.connect().await;
        client
            .send(format!("POST / HTTP/{version}\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1"))
            .await;
        assert_eq!(client.reply().await.status(), 200);
        client.closed().await;
        ids.push(server.post().await.connection);
        assert!(matches!(server.next().await, Told::Gone(id) if id == *ids.last().unwrap()));
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn a_cpe_that_closes_its_side_after_the_post_is_still_answered() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send_post("", "wait").await;
    within(client.stream.shutdown()).await.unwrap();
    server.post().await;
    server.recorder.release.add_permits(1);
    assert_eq!(client.reply().await.status(), 204);
    client.closed().await;
}

#[tokio::test]
async fn a_cpe_that_is_gone_after_the_post_is_still_heard_to_the_end() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send_post("", "wait").await;
    let post = server.post().await;
    drop(client);
    server.recorder.release.add_permits(1);
    assert!(matches!(server.next().await, Told::Gone(id) if id == post.connection));
    assert_eq!(server.recorder.release.available_permits(), 0, "the exchange ran to its end");
}

#[tokio::test]
async fn chunked_bodies_come_in_any_pieces() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nab").await;
    client.send("cd\r\n1;ext=1\r\ne\r\n").await;
    client.send("0\r\nTrailer: x\r\n\r\n").await;
    assert_eq!(client.reply().await.status(), 200);
    assert_eq!(server.post().await.body, "abcde");
    assert_eq!(client.exchange("", "").await.status(), 204);
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_at_once() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    assert_eq!(client.reply().await.status(), 100);
    client.send("abc").await;
    assert_eq!(client.reply().await.status(), 200);
    assert_eq!(server.post().await.body, "abc");
}

#[tokio::test]
async fn other_methods_are_405_and_stray_lines_between_requests_are_swallowed() {
    let server = Server::start(ListenConfig::default());
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let mut client = server.connect().await;
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let reply = client.reply().await;
        assert_eq!((reply.status(), reply.header("Allow")), (405, vec!["POST"]), "{method}");
        client.send("\r\n\r\n").await;
        assert_eq!(client.exchange("", "").await.status(), 204);
    }
}

#[tokio::test]
async fn compressed_bodies_are_inflated_whatever_the_header_calls_them() {
    let mut server = Server::start(ListenConfig::default());
    let mut client = server.connect().await;
    let zlib = {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(ENVELOPE.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let raw = {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(ENVELOPE.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let table = [
        ("gzip", gzip(ENVELOPE.as_bytes())),
        ("x-gzip", gzip(ENVELOPE.as_bytes())),
        ("GZip", gzip(ENVELOPE.as_bytes())),
        ("deflate", gzip(ENVELOPE.as_bytes())),
        ("identity", gzip(ENVELOPE.as_bytes())),
        ("deflate", zlib.clone()),
        ("deflate", raw),
        ("gzip", zlib),
        ("gzip", ENVELOPE.as_bytes().to_vec()),
        ("identity", ENVELOPE.as_bytes().to_vec()),
    ];
    for (case, (coding, body)) in table.into_iter().enumerate() {
        let reply = client.exchange(&format!("Content-Encoding: {coding}\r\n"), body).await;
        assert_eq!(reply.status(), 200, "{case} {coding}");
        assert_eq!(server.post().await.body, ENVELOPE, "{case} {coding}");
    }
}

#[tokio::test]
async fn broken_and_unknown_compression_is_refused() {
    let mut torn = gzip(ENVELOPE.as_bytes());
    torn.truncate(torn.len() - 10);
    let table = [
        ("br", b"x".to_vec(), 415),
        ("gzip, gzip", b"x".to_vec(), 415),
        ("gzip", torn, 400),
        ("gzip", b"\xff\xff\xff\xff".to_vec(), 400),
    ];
    let server = Server::start(ListenConfig::default());
    for (coding, body, status) in table {
        let mut client = server.connect().await;
        assert_eq!(
            client.exchange(&format!("Content-Encoding: {coding}\r\n"), body).await.status(),
            status,
            "{coding}"
        );
        client.closed().await;
    }
}

#[tokio::test]
async fn limits_hold_exactly() {
    let config = ListenConfig {
        max_body_bytes: 1000,
        max_inflated_bytes: 5000,
        max_bodies_bytes: 6000,
        max_header_bytes: 1024,
        ..ListenConfig::default()
    };
    let mut server = Server::start(config);
    let chunked = |len: usize| {
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{len:x}\r\n{}\r\n0\r\n\r\n",
            "x".repeat(len)
        )
    };
    let plain = |len: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {len}\r\n\r\n{}", "x".repeat(len));
    let claimed =
        |len: usize| format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {len}\r\n\r\n");
    let zipped = |len: usize| {
        let body = gzip(&vec![b'x'; len]);
        let head =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    };
    let padded = |len: usize| {
        let head = "POST / HTTP/1.1\r\nContent-Length: 1\r\nX: ";
        format!("{head}{}\r\n\r\n1", "x".repeat(len - head.len() - 4))
    };
    let table: [(&str, Vec<u8>, u16); 11] = [
        ("body at the limit", plain(1000).into(), 200),
        ("body over the limit", plain(1001).into(), 413),
        ("body over the limit, not yet sent", claimed(1001).into(), 413),
        ("absurd length", claimed(usize::MAX >> 1).into(), 413),
        ("chunked at the limit", chunked(1000).into(), 200),
        ("chunked over the limit", chunked(1001).into(), 413),
        ("inflated at the limit", zipped(5000), 200),
        ("inflated over the limit", zipped(5001), 413),
        ("inflate bomb", zipped(200_000), 413),
        ("headers at the limit", padded(1024).into(), 200),
        ("headers over the limit", padded(1025).into(), 431),
    ];
    for (case, request, status) in table {
        let mut client = server.connect().await;
        client.send(request).await;
        assert_eq!(client.reply().await.status(), status, "{case}");
        if status == 200 {
            server.post().await;
            drop(client);
            assert!(matches!(server.next().await, Told::Gone(_)));
        } else {
            client.closed().await;
            assert!(matches!(server.next().await, Told::Gone(_)), "{case}: nothing reached the exchange");
        }
    }
}

#[tokio::test]
async fn bodies_share_a_memory_budget_that_is_given_back() {
    let config = ListenConfig { max_bodies_bytes: 1000, ..ListenConfig::default() };
    let mut server = Server::start(config);
    let mut first = server.connect().await;
    first.send_post("", format!("{:<700}", "wait")).await;
    server.post().await;
    let mut second = server.connect().await;
    let refused = second.exchange("", "x".repeat(700)).await;
    assert_eq!((refused.status(), refused.header("Retry-After")), (503, vec!["30"]));
    server.recorder.release.add_permits(1);
    assert_eq!(first.reply().await.status(), 204);
    assert_eq!(first.exchange("", "x".repeat(700)).await.status(), 200);
}

#[tokio::test]
async fn what_is_no_http_is_turned_away_and_harms_nobody() {
    let mut server = Server::start(ListenConfig::default());
    let mut good = server.connect().await;
    for bytes in [
        "\0\0\0\0\r\n\r\n",
        "hello\r\n\r\n",
        "POST / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let mut client = server.connect().await;
        client.send(bytes).await;
        client.closed().await;
        assert!(matches!(server.next().await, Told::Gone(_)), "{bytes:?}");
    }
    assert_eq!(good.exchange("", "").await.status(), 204);
}

#[tokio::test]
async fn a_panic_costs_its_own_connection_only() {
    let mut server = Server::start(ListenConfig::default());
    let (mut unlucky, mut other) = (server.connect().await, server.connect().await);
    assert_eq!(other.exchange("", "").await.status(), 204);
    server.post().await;
    unlucky.send_post("", "panic").await;
    unlucky.closed().await;
    let post = server.post().await;
    assert!(matches!(server.next().await, Told::Gone(id) if id == post.connection), "also told of this end");
    assert_eq!(other.exchange("", "").await.status(), 204);
    assert_eq!(server.connect().await.exchange("", "").await.status(), 204);
}

#[tokio::test]
async fn slow_senders_are_cut_off_wherever_they_dawdle() {
    let config = secs(1, |config, secs| config.request_timeout_secs = secs);
    let mut server = Server::start(config);
    let requests = [
        "P",
        "POST / HTTP/1.1\r\nHost:",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ];
    let mut clients = Vec::new();
    for bytes in requests {
        let mut client = server.connect().await;
        client.send(bytes).await;
        clients.push(client);
    }
    for client in &mut clients {
        client.closed().await;
    }
    for _ in &clients {
        assert!(matches!(server.next().await, Told::Gone(_)), "none reached the exchange");
    }
    // Trickling bytes does not extend the time for the whole.
    let mut client = server.connect().await;
    let trickle = async {
        while client.stream.write_all(b"P").await.is_ok() {
            tokio::task::yield_now().await;
            if timeout(Duration::from_millis(50), client.stream.read_u8()).await.is_ok() {
                break;
            }
        }
    };
    within(trickle).await;
}

#[tokio::test]
async fn idle_connections_are_closed_but_an_exchange_may_take_its_time() {
    let config = secs(1, |config, secs| (config.idle_timeout_secs, config.request_timeout_secs) = (secs, secs));
    let mut server = Server::start(config);
    server.connect().await.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));

    let mut slow = server.connect().await;
    slow.send_post("", "wait").await;
    server.post().await;
    // A later connection's whole idle time passes while the exchange works.
    server.connect().await.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));
    server.recorder.release.add_permits(1);
    assert_eq!(slow.reply().await.status(), 204);
    slow.closed().await;
}

#[tokio::test]
async fn a_content_length_that_lies_does_not_lose_a_complete_envelope() {
    let config = secs(1, |config, secs| config.stall_timeout_secs = secs);
    let mut server = Server::start(config);
    let request = |body: &str| format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\n{body}");
    let mut stalled = server.connect().await;
    stalled.send(request(ENVELOPE)).await;
    let reply = stalled.reply().await;
    assert_eq!((reply.status(), reply.header("Connection")), (200, vec!["close"]));
    assert_eq!(server.post().await.body, ENVELOPE);
    stalled.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));

    let mut ended = server.connect().await;
    ended.send(request(ENVELOPE)).await;
    within(ended.stream.shutdown()).await.unwrap();
    assert_eq!(ended.reply().await.status(), 200);
    assert_eq!(server.post().await.body, ENVELOPE);
    ended.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));

    let mut torn = server.connect().await;
    torn.send(request("<s:Envelope><s:Bo")).await;
    assert_eq!(torn.reply().await.status(), 408);
    torn.closed().await;
    assert!(matches!(server.next().await, Told::Gone(_)));
}

#[tokio::test]
async fn an_address_has_a_limit_of_connections_and_so_have_all() {
    let limits = [
        ListenConfig { max_connections_per_address: 2, unlimited_networks: Vec::new(), ..ListenConfig::default() },
        ListenConfig { max_connections: 2, ..ListenConfig::default() },
    ];
    for config in limits {
        let mut server = Server::start(config);
        let (mut first, mut second) = (server.connect().await, server.connect().await);
        assert_eq!(first.exchange("", "").await.status(), 204);
        assert_eq!(second.exchange("", "").await.status(), 204);
        server.connect().await.closed().await;
        drop(first);
        while !matches!(server.next().await, Told::Gone(_)) {}
        let reply = async {
            loop {
                // The permit comes back a moment after the exchange is told.
                let mut third = server.connect().await;
                third.send_post("", "").await;
                if matches!(third.fill().await, Ok(1..)) {
                    return third.reply().await;
                }
            }
        };
        assert_eq!(within(reply).await.status(), 204);
    }
}

#[tokio::test]
async fn both_families_are_served_and_mapped_addresses_unwrapped() {
    let mut server = Server::start_on("[::]:0", ListenConfig::default(), None);
    for host in ["127.0.0.1", "::1"] {
        let address = SocketAddr::new(host.parse().unwrap(), server.address.port());
        let stream = match TcpStream::connect(address).await {
            Ok(stream) => stream,
            // This machine has no IPv6: `[::]` then means `0.0.0.0`.
            Err(_) if address.is_ipv6() && server.address.is_ipv4() => continue,
            Err(trouble) => panic!("{address}: {trouble}"),
        };
        let mut client = Client { stream, read: Vec::new() };
        assert_eq!(client.exchange("", "").await.status(), 204);
        assert_eq!(server.post().await.peer.ip(), address.ip());
        drop(client);
        assert!(matches!(server.next().await, Told::Gone(_)));
    }
}

#[tokio::test]
async fn shutdown_closes_idle_connections_and_lets_sessions_end() {
    let mut server = Server::start(ListenConfig::default());
    let (mut fresh, mut idle, mut session, mut busy) =
        (server.connect().await, server.connect().await, server.connect().await, server.connect().await);
    assert_eq!(idle.exchange("", "").await.status(), 204);
    assert_eq!(session.exchange("", ENVELOPE).await.status(), 200);
    busy.send_post("", "wait").await;
    for _ in 0..3 {
        server.post().await;
    }
    server.shutdown.cancel();
    fresh.closed().await;
    idle.closed().await;
    server.recorder.release.add_permits(1);
    assert_eq!(busy.reply().await.status(), 204);
    busy.closed().await;
    assert_eq!(session.exchange("", ENVELOPE).await.status(), 200, "its session goes on");
    assert_eq!(session.exchange("", "").await.status(), 204);
    session.closed().await;
    assert_eq!(within(&mut server.served).await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_ever() {
    let config = secs(1, |config, secs| config.drain_timeout_secs = secs);
    let mut server = Server::start(config);
    let mut stuck = server.connect().await;
    stuck.send_post("", "wait").await;
    server.post().await;
    server.shutdown.cancel();
    assert_eq!(within(&mut server.served).await.unwrap(), Drained { cut: 1 });
    stuck.closed().await;
}

/// Writes a fresh self-signed certificate and returns it.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

async fn tls_client(
    server: &Server,
    trusted: &CertificateDer<'static>,
    version: &'static rustls::SupportedProtocolVersion,
) -> io::Result<Client<tokio_rustls::client::TlsStream<TcpStream>>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = within(TcpStream::connect(server.address)).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let stream = within(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream)).await?;
    Ok(Client { stream, read: Vec::new() })
}

#[tokio::test]
async fn tls_is_served_and_certificates_change_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let first = certify(folder.path());
    let tls = ReloadableTls::load(&certificate, &key).unwrap();
    let mut server = Server::start_on("127.0.0.1:0", ListenConfig::default(), Some(tls.clone()));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let mut client = tls_client(&server, &first, version).await.unwrap();
        assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let reply = client.exchange("", ENVELOPE).await;
        assert_eq!(reply.header("Set-Cookie"), ["acsd=00000000000000000000000000000abc; Path=/; Secure"]);
        assert_eq!(server.post().await.transport, Transport::Tls);
        assert_eq!(client.exchange("", "challenge").await.header("WWW-Authenticate").len(), 1);
        server.post().await;
        drop(client);
        assert!(matches!(server.next().await, Told::Gone(_)));
    }

    std::fs::write(&certificate, "nonsense").unwrap();
    let error = tls.reload().unwrap_err();
    assert!(matches!(error, TlsError::NoCertificate { .. }) && error.to_string().contains("cert.pem"), "{error}");
    assert!(tls_client(&server, &first, &rustls::version::TLS13).await.is_ok(), "the old one stays");

    let second = certify(folder.path());
    tls.reload().unwrap();
    assert!(tls_client(&server, &second, &rustls::version::TLS13).await.is_ok());
    assert!(tls_client(&server, &first, &rustls::version::TLS13).await.is_err());
}

#[test]
fn certificate_troubles_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let load = || ReloadableTls::load(&certificate, &key).unwrap_err();
    assert!(matches!(load(), TlsError::Read { path, .. } if path == certificate));
    certify(folder.path());
    std::fs::copy(&certificate, &key).unwrap();
    assert!(matches!(load(), TlsError::NoKey { path } if path == key));
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----\n").unwrap();
    assert!(matches!(load(), TlsError::Pem { path, .. } if path == key));
    certify(folder.path());
    let other = rcgen::KeyPair::generate().unwrap();
    std::fs::write(&key, other.serialize_pem()).unwrap();
    assert!(matches!(load(), TlsError::Unusable { .. }));
}

#[tokio::test]
async fn a_tls_handshake_may_not_dawdle_or_be_something_else() {
    let folder = tempfile::tempdir().unwrap();
    certify(folder.path());
    let tls = ReloadableTls::load(&folder.path().join("cert.pem"), &folder.path().join("key.pem")).unwrap();
    let config = secs(1, |config, secs| config.handshake_timeout_secs = secs);
    let server = Server::start_on("127.0.0.1:0", config, Some(tls));
    server.connect().await.closed().await;
    let mut plain = server.connect().await;
    plain.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    plain.closed().await;
}
