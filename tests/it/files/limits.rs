//! What one device, and all of them, may take.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use acsd::acs::listen::ListenConfig;
use acsd::files::{FilesConfig, Place, Target};
use acsd::model::device_type::FileLogin;
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::types::ident::TransactionId;
use acsd::types::network::Network;
use acsd::types::time::Timestamp;
use tokio::io::AsyncWriteExt as _;

use super::{AsStore as _, NOW, Server, bytes, device, sum};

fn config() -> FilesConfig {
    FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() }
}

#[tokio::test]
async fn beyond_its_share_a_device_is_told_to_come_back() {
    let server = Server::with(FilesConfig { max_transfers: 2, max_transfers_per_device: 1, ..config() }).await;
    let id = server.image("x", &bytes(20 << 20)).await;
    let mut keys = vec![server.device];
    for serial in ["S-2", "S-3"] {
        keys.push(device(&server.store, serial).await);
    }
    let link = |at: usize| server.files.link(Target::Image(id), keys[at], TransactionId(1), Default::default()).path;
    let mut slow = Vec::new();
    for at in 0..2 {
        let mut client = server.connect().await;
        client.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", link(at))).await;
        assert!(client.head().await.starts_with("HTTP/1.1 200"));
        slow.push(client);
    }
    for at in [0, 2] {
        let refused = server.get(&link(at), "").await;
        assert_eq!(refused.status(), 503);
        let secs: u64 = refused.header("retry-after").parse().unwrap();
        assert!((30..=60).contains(&secs), "{secs}");
    }
    assert_eq!(server.ask("HEAD", &link(2), "", b"").await.status(), 200, "it takes no place");
    drop(slow);
    server.free(&link(2)).await;
}

/// A file that cannot be opened until somebody writes to it, as on a disk that hangs.
struct Hanging(PathBuf);

impl Hanging {
    fn in_place_of(path: PathBuf) -> Self {
        std::fs::remove_file(&path).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        Self(path)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // Both ends: whoever waits to open it goes on.
        let both = std::fs::OpenOptions::new().read(true).write(true).open(&self.0);
        std::fs::remove_file(&self.0).unwrap();
        drop(both);
    }
}

#[tokio::test]
async fn a_disk_that_hangs_holds_up_no_more_than_the_transfers() {
    let limits = ListenConfig {
        max_connections_per_address: 3,
        unlimited_networks: Vec::<Network>::new(),
        ..ListenConfig::default()
    };
    let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
    let folder = tempfile::tempdir().unwrap();
    let files = FilesConfig { max_transfers: 2, ..config() };
    let server = Server::limited(store, &Place::Folder(folder.path().into()), files, [7; 32], limits).await;
    let data = bytes(1_000);
    let id = server.image("x", &data).await;
    let path = server.link(Target::Image(id), FileLogin::None).path;
    let hanging = Hanging::in_place_of(folder.path().join(hex::encode(sum(&data))));
    let (mut a, mut b, mut c) = (server.connect().await, server.connect().await, server.connect().await);
    for client in [&mut a, &mut b, &mut c] {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    }
    let refused = tokio::select! {
        reply = a.reply("GET") => reply,
        reply = b.reply("GET") => reply,
        reply = c.reply("GET") => reply,
    };
    assert_eq!(refused.status(), 503, "as many as there may be");
    // Those that wait are not counted: besides the third, which may not be gone yet, there are two connections left.
    let mut begun = server.connect().await;
    begun.send("POST /acs HTTP/1.1\r\n").await;
    let session = server.ask("POST", "/acs", "Content-Length: 0\r\n", b"").await;
    assert_eq!(session.status(), 403, "it is answered");
    drop(hanging);
}

#[tokio::test]
async fn what_is_too_large_is_refused_before_and_while_it_comes() {
    let server = Server::with(FilesConfig { max_upload_bytes: 100_000, ..config() }).await;
    let (transaction, link) = server.order(FileLogin::None).await;
    let body = bytes(100_001);
    assert_eq!(server.put(&link.path, &body).await.status(), 413);
    let mut client = server.connect().await;
    client.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n", link.path)).await;
    client.send(&body).await;
    client.send("\r\n0\r\n\r\n").await;
    assert_eq!(client.reply("PUT").await.status(), 413);
    let mut client = server.connect().await;
    let head =
        format!("PUT {} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 100001\r\n\r\n", link.path);
    client.send(head).await;
    assert_eq!(client.reply("PUT").await.status(), 413, "and it is not asked for");
    assert_eq!(server.put(&link.path, &body[..100_000]).await.status(), 201, "just as large as it may be");
    assert!(server.files.arrived(transaction).is_some());
}

#[tokio::test]
async fn a_full_disk_is_said_in_words_and_downloads_go_on() {
    let full = Server::with(FilesConfig { free_space_floor_bytes: u64::MAX, ..FilesConfig::default() }).await;
    let (_, link) = full.order(FileLogin::None).await;
    let refused = full.put(&link.path, b"x").await;
    assert_eq!(refused.status(), 507);
    assert!(String::from_utf8_lossy(&refused.body).contains("free space"));

    let server = Server::with(FilesConfig { max_total_bytes: 1_000, ..config() }).await;
    let id = server.image("x", &bytes(900)).await;
    let (_, link) = server.order(FileLogin::None).await;
    let refused = server.put(&link.path, &bytes(101)).await;
    assert_eq!(refused.status(), 507);
    assert!(String::from_utf8_lossy(&refused.body).contains("1000 bytes"));
    assert_eq!(server.put(&link.path, &bytes(100)).await.status(), 201);
    assert_eq!(server.get(&server.link(Target::Image(id), FileLogin::None).path, "").await.status(), 200);
}

#[tokio::test]
async fn downloads_keep_to_the_rate_and_share_it() {
    let server = Server::with(FilesConfig { bandwidth_bytes_per_sec: 400_000, ..config() }).await;
    let id = server.image("x", &bytes(200_000)).await;
    let start = tokio::time::Instant::now();
    let path = server.link(Target::Image(id), FileLogin::None).path;
    let (first, second) = tokio::join!(server.get(&path, ""), server.get(&path, ""));
    assert_eq!((first.body.len(), second.body.len()), (200_000, 200_000));
    let secs = start.elapsed().as_secs_f64();
    assert!((0.6..3.0).contains(&secs), "400 kB at 400 kB/s, less a quarter of a second's worth: {secs}");
}

#[tokio::test]
async fn a_transfer_outlives_the_time_outs_and_the_count_of_sessions() {
    let limits = ListenConfig {
        request_timeout_secs: 1,
        idle_timeout_secs: 1,
        max_connections_per_address: 1,
        unlimited_networks: Vec::<Network>::new(),
        ..ListenConfig::default()
    };
    let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
    // Slow by our own choice: two seconds and a half in all.
    let slow = FilesConfig { transfer_bandwidth_bytes_per_sec: 40_000, ..config() };
    let server = Server::limited(store, &Place::Temporary, slow, [7; 32], limits).await;
    let data = bytes(110_000);
    let id = server.image("x", &data).await;
    let path = server.link(Target::Image(id), FileLogin::None).path;
    let mut downloading = server.connect().await;
    downloading.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let head = downloading.head().await;
    assert!(head.starts_with("HTTP/1.1 200"));
    // While it goes on, its address has a connection for a session: not more than one.
    let mut session = server.connect().await;
    assert_eq!(session.ask("POST", "/acs", "Content-Length: 0\r\n", b"").await.status(), 403);
    while downloading.read.len() < data.len() {
        assert_ne!(downloading.fill().await, 0, "cut off after {}", downloading.read.len());
    }
    assert_eq!(downloading.read, data);

    drop((session, downloading));
    let (transaction, link) = server.order(FileLogin::None).await;
    let mut uploading = server.admitted(&path).await;
    uploading.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nslow", link.path)).await;
    // Long enough for a request of a session to be given up.
    let mut session = server.admitted(&path).await;
    session.send("POST /acs HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nslow").await;
    session.closed().await;
    uploading.send("!").await;
    assert_eq!(uploading.reply("PUT").await.status(), 201);
    assert_eq!(server.stored(transaction).await.as_deref(), Some(&b"slow!"[..]));
}

#[tokio::test]
async fn who_takes_or_sends_nothing_is_given_up() {
    let limits = ListenConfig { idle_timeout_secs: 1, ..ListenConfig::default() };
    let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
    let config = FilesConfig { stall_timeout_secs: 1, max_transfers_per_device: 1, ..config() };
    let server = Server::limited(store, &Place::Temporary, config, [7; 32], limits).await;
    let (transaction, link) = server.order(FileLogin::None).await;
    let mut silent = server.connect().await;
    silent.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc", link.path)).await;
    let id = server.image("x", &bytes(32 << 20)).await;
    let path = server.link(Target::Image(id), FileLogin::None).path;
    let mut deaf = server.connect().await;
    deaf.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    silent.closed().await;
    assert_eq!(server.files.arrived(transaction), None);
    // It reads again when it is too late: what is on its way arrives, and no more.
    server.free(&path).await;
    deaf.closed().await;
    assert!(deaf.read.len() < 32 << 20);
}

#[tokio::test]
async fn who_has_no_link_stays_in_the_count_and_is_cut_soon() {
    let limits = ListenConfig {
        max_connections_per_address: 3,
        unlimited_networks: Vec::<Network>::new(),
        ..ListenConfig::default()
    };
    let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
    let server = Server::limited(store, &Place::Temporary, config(), [7; 32], limits).await;
    let start = tokio::time::Instant::now();
    let mut forgers = Vec::new();
    for _ in 0..3 {
        let mut forger = server.connect().await;
        forger.send("POST /files/forged HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\nslow").await;
        forgers.push(forger);
    }
    for _ in 0..20 {
        let mut other = server.connect().await;
        // It may be closed before it is written to.
        let _ = other.stream.write_all(b"HEAD /files/forged HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(other.fill().await, 0, "not one more: {}", String::from_utf8_lossy(&other.read));
    }
    for mut forger in forgers {
        assert_eq!(forger.reply("POST").await.status(), 404);
        forger.closed().await;
    }
    assert!(start.elapsed().as_secs() < 15, "{:?}", start.elapsed());
    let id = server.image("x", &bytes(10)).await;
    let mut loud = server.admitted(&server.link(Target::Image(id), FileLogin::None).path).await;
    let body = bytes(200_000);
    loud.send("POST /files/forged HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n").await;
    // As much as a client may send in vain; it may be closed within.
    let _ = loud.stream.write_all(&body).await;
    loud.closed().await;
}

#[tokio::test]
async fn beyond_the_number_of_files_the_oldest_of_the_device_goes() {
    let server = Server::with(FilesConfig { max_stored: 2, ..config() }).await;
    let mut orders = Vec::new();
    for file_type in ["3 Vendor Configuration File 1", "4 Vendor Log File 1", "4 Vendor Log File 2"] {
        orders.push(server.order_of(server.device, file_type, FileLogin::None).await);
    }
    for (_, link) in &orders {
        assert_eq!(server.put(&link.path, b"x").await.status(), 201);
    }
    let here: Vec<bool> = orders.iter().map(|(id, _)| server.files.arrived(*id).is_some()).collect();
    assert_eq!(here, [false, true, true]);
    assert_eq!(server.put(&orders[2].1.path, b"y").await.status(), 200, "in the place of another");
    let other = device(&server.store, "S-2").await;
    let (_, link) = server.order_of(other, "4 Vendor Log File 1", FileLogin::None).await;
    let refused = server.put(&link.path, b"x").await;
    assert_eq!(refused.status(), 507);
    assert!(String::from_utf8_lossy(&refused.body).contains("2 files"));
}

#[tokio::test]
async fn a_link_for_an_upload_ends_a_while_after_its_transaction() {
    let server = Server::start().await;
    let (id, link) = server.order(FileLogin::None).await;
    server.store.as_store().cancel(id, Timestamp::from_secs(NOW)).await.unwrap();
    server.clock.0.store(NOW + 300, Ordering::Relaxed);
    assert_eq!(server.put(&link.path, b"late").await.status(), 201);
    server.clock.0.store(NOW + 301, Ordering::Relaxed);
    assert_eq!(server.put(&link.path, b"too late").await.status(), 404);
}
