//! Connections are on the bulk lane while a file goes over them, and no longer.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use acsd::acs::exchange::{Answer, ConnectionId, Exchange, Post};
use acsd::acs::listen::ListenConfig;
use acsd::files::{FilesConfig, Place, Target};
use acsd::model::device_type::FileLogin;
use acsd::store::memory::{MemoryConfig, MemoryStore};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{BROKEN, NOW, PATIENCE, Server, bytes, until};

/// More than all the buffers on the way hold.
const LARGE: usize = 48 << 20;

/// Answers everything with the body that came, and notes on which thread.
#[derive(Default)]
struct Echo {
    threads: Mutex<Vec<String>>,
    gone: Notify,
}

impl Exchange for Echo {
    async fn post(&self, post: Post) -> Answer {
        self.threads.lock().push(std::thread::current().name().unwrap_or_default().to_owned());
        Answer::Envelope { body: post.body, cookie: None }
    }

    fn disconnected(&self, _connection: ConnectionId) {
        self.gone.notify_one();
    }
}

async fn server(exchange: Arc<impl Exchange>) -> Server {
    let config = FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() };
    let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
    Server::serving(store, &Place::Temporary, config, [7; 32], ListenConfig::default(), exchange).await
}

impl Server {
    async fn until_riding(&self, connections: usize) {
        let lane = self.bulk.lane();
        until(&format!("{connections} on the lane"), || lane.tasks() == connections).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_back_among_the_sessions_after_each_file() {
    let echo = Arc::new(Echo::default());
    let server = server(Arc::clone(&echo)).await;
    let data = bytes(LARGE);
    let id = server.image("x", &data).await;
    let path = server.link(Target::Image(id), FileLogin::None).path;
    let inform = b"<inform/>";
    let mut client = server.connect().await;
    for _ in 0..2 {
        let answer = client.ask("POST", "/acs", "Content-Length: 9\r\n", inform).await;
        assert_eq!((answer.status(), &answer.body[..]), (200, &inform[..]));
        assert_eq!(server.bulk.lane().tasks(), 0);

        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_ne!(client.fill().await, 0);
        server.until_riding(1).await;
        let file = client.reply("GET").await;
        assert!(file.status() == 200 && file.body == data);
        server.until_riding(0).await;

        let (transaction, link) = server.order(FileLogin::None).await;
        client.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", link.path)).await;
        server.until_riding(1).await;
        client.send("de").await;
        assert_eq!(client.reply("PUT").await.status(), 201);
        server.until_riding(0).await;
        assert_eq!(server.stored(transaction).await.as_deref(), Some(&b"abcde"[..]));
    }
    let answer = client.ask("POST", "/acs", "Content-Length: 9\r\n", inform).await;
    assert_eq!(answer.status(), 200);
    let threads = echo.threads.lock();
    assert!(threads.len() == 3 && !threads.iter().any(|name| name == "acsd-bulk"), "{threads:?}");
}

#[tokio::test]
async fn what_moves_no_file_stays_where_it_is() {
    let server = server(Arc::new(Echo::default())).await;
    let id = server.image("x", &bytes(100)).await;
    let path = server.link(Target::Image(id), FileLogin::Basic).path;
    let mut client = server.connect().await;
    assert_eq!(client.ask("GET", &path, "", b"").await.status(), 401);
    assert_eq!(client.ask("HEAD", &server.link(Target::Image(id), FileLogin::None).path, "", b"").await.status(), 200);
    client.send("POST /acs HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n<inf").await;
    assert_eq!(server.bulk.lane().tasks(), 0);
    client.send("orm/>").await;
    assert_eq!(client.reply("POST").await.status(), 200);
    let mut forger = server.connect().await;
    forger.send("PUT /files/forged HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc").await;
    assert_eq!(server.bulk.lane().tasks(), 0);
    forger.send("defghi").await;
    assert_eq!(forger.reply("PUT").await.status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_transfer_costs_its_connection_alone() {
    let echo = Arc::new(Echo::default());
    let server = server(Arc::clone(&echo)).await;
    let data = bytes(LARGE);
    let id = server.image("x", &data).await;
    let mut other = server.connect().await;
    other
        .send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.link(Target::Image(id), FileLogin::None).path))
        .await;
    let (transaction, link) = server.order(FileLogin::None).await;
    let mut client = server.connect().await;
    client.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", link.path)).await;
    server.until_riding(2).await;
    server.clock.0.store(BROKEN, Ordering::Relaxed);
    client.send("de").await;
    client.closed().await;
    assert!(client.read.is_empty());
    timeout(PATIENCE, echo.gone.notified()).await.expect("the sessions hear that it is gone");
    server.clock.0.store(NOW, Ordering::Relaxed);
    assert_eq!(server.files.arrived(transaction), None);
    assert!(other.reply("GET").await.body == data);
    server.until_riding(0).await;
    assert_eq!(server.put(&link.path, b"again").await.status(), 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_off_leaves_the_lane() {
    let echo = Arc::new(Echo::default());
    let server = server(Arc::clone(&echo)).await;
    let id = server.image("x", &bytes(LARGE)).await;
    let mut client = server.connect().await;
    client
        .send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", server.link(Target::Image(id), FileLogin::None).path))
        .await;
    server.until_riding(1).await;
    drop(client);
    timeout(PATIENCE, echo.gone.notified()).await.expect("the sessions hear that it is gone");
    server.until_riding(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_waits_for_transfers_no_longer_than_its_grace() {
    let config = FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() };
    for (grace, cut) in [(20, 0), (1, 1)] {
        let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
        let limits = ListenConfig { drain_timeout_secs: grace, ..ListenConfig::default() };
        let echo = Arc::new(Echo::default());
        let server = Server::serving(store, &Place::Temporary, config.clone(), [7; 32], limits, echo.clone()).await;
        let (transaction, link) = server.order(FileLogin::None).await;
        let mut client = server.connect().await;
        client.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", link.path)).await;
        server.until_riding(1).await;
        server.shutdown.cancel();
        until("it listens no more", || {
            std::net::TcpStream::connect(server.address)
                .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        })
        .await;
        if cut == 0 {
            client.send("de").await;
            assert_eq!(client.reply("PUT").await.status(), 201);
        }
        client.closed().await;
        assert_eq!(server.files.arrived(transaction).is_some(), cut == 0);
        // Gone when the listener says so, not some time later.
        let drained = timeout(PATIENCE, server.served).await.unwrap().unwrap();
        timeout(Duration::ZERO, echo.gone.notified()).await.expect("the sessions have heard");
        assert_eq!(drained.cut, cut);
        // tokio tells of a task's end a moment before it counts it no more.
        until("the lane is empty", || server.bulk.lane().tasks() == 0).await;
        server.bulk.close(PATIENCE).await;
    }
}

#[tokio::test]
async fn files_are_read_and_written_on_the_lane() {
    let server = server(Arc::new(Echo::default())).await;
    let id = server.image("x", &bytes(100)).await;
    let offer = server.files.offer(Target::Image(id)).await.unwrap().unwrap();
    let (piece, _) = offer.content.clone().read(0, 100, Default::default()).await.unwrap();
    assert_eq!(piece, bytes(100));
    let mut draft = server.files.receive_new_image(None).await.unwrap();
    draft.write(Bytes::from_static(b"x")).await.unwrap();
    server.bulk.close(Duration::from_secs(20)).await;
    // Without it, neither works.
    assert!(offer.content.read(0, 100, Default::default()).await.is_err());
    assert!(draft.complete().await.is_err());
}
