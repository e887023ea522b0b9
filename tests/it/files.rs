//! The file server: what CPEs fetch and send.

mod crowd;
mod download;
mod folder;
mod kills;
mod lane;
mod limits;
mod login;
mod parts;
mod raw;
mod slow;
mod upload;
mod vanished;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use acsd::acs::exchange::Exchange;
use acsd::acs::files::{FileServer, FilesAlone};
use acsd::acs::listen::{self, Drained, Endpoint, ListenConfig};
use acsd::auth::seal::Sealer;
use acsd::devices::inventory::Inventory;
use acsd::devices::keeper::Keeper;
use acsd::files::lane::BulkRuntime;
use acsd::files::{Files, FilesConfig, Link, Place, Target, Terms};
use acsd::model::device::Profile;
use acsd::model::device_type::FileLogin;
use acsd::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage, ImageId};
use acsd::model::transaction::{Kind, NewTransaction, Work};
use acsd::model::transfer::UploadOrder;
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::store::{Merge, NewDevice, Store};
use acsd::types::ident::{DeviceKey, SerialNumber, TransactionId};
use acsd::types::time::{Clock, Timestamp};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(20);
const NOW: i64 = 1_800_000_000;

/// Some bytes that differ from place to place.
fn bytes(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).unwrap()).collect()
}

fn sum(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// At this time the clock panics.
const BROKEN: i64 = i64::MIN;

/// A clock that is moved.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        let now = self.0.load(Ordering::Relaxed);
        assert_ne!(now, BROKEN, "on purpose");
        Timestamp::from_secs(now)
    }
}

/// A file server, what it serves from, and a device.
struct Server {
    store: Arc<MemoryStore>,
    files: Arc<Files>,
    clock: Arc<Hand>,
    address: SocketAddr,
    device: DeviceKey,
    bulk: BulkRuntime,
    shutdown: CancellationToken,
    served: JoinHandle<Drained>,
}

impl Server {
    async fn start() -> Self {
        Self::with(FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() }).await
    }

    async fn with(config: FilesConfig) -> Self {
        Self::over(Arc::new(MemoryStore::new(MemoryConfig::default())), &Place::Temporary, config, [7; 32]).await
    }

    async fn over(store: Arc<MemoryStore>, place: &Place, config: FilesConfig, key: [u8; 32]) -> Self {
        Self::limited(store, place, config, key, ListenConfig::default()).await
    }

    async fn limited(
        store: Arc<MemoryStore>,
        place: &Place,
        config: FilesConfig,
        key: [u8; 32],
        limits: ListenConfig,
    ) -> Self {
        Self::serving(store, place, config, key, limits, Arc::new(FilesAlone)).await
    }

    async fn serving(
        store: Arc<MemoryStore>,
        place: &Place,
        config: FilesConfig,
        key: [u8; 32],
        limits: ListenConfig,
        exchange: Arc<impl Exchange>,
    ) -> Self {
        let bulk = BulkRuntime::start().unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(NOW)));
        let sealer = Sealer::from_key(&key);
        let files = Files::open(place, store.clone(), clock.clone(), &sealer, config, bulk.lane()).unwrap();
        files.tidy().await.unwrap();
        let files = Arc::new(files);
        let server = FileServer::new(files.clone(), clock.clone(), &sealer);
        let endpoint = Endpoint::with_files(limits, exchange, server);
        let listener = listen::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(endpoint.serve(listener, None, shutdown.clone()));
        let device = device(&store, "S-1").await;
        Self { store, files, clock, address, device, bulk, shutdown, served }
    }

    /// An image with these bytes.
    async fn image(&self, name: &str, data: &Bytes) -> ImageId {
        self.image_with(None, name, data).await
    }

    async fn image_with(&self, id: Option<ImageId>, name: &str, data: &Bytes) -> ImageId {
        let make = |id| FirmwareImage {
            id: ImageId(id),
            name: name.to_owned(),
            version: "2".to_owned(),
            device_type: None,
            file_type: FIRMWARE_FILE_TYPE.to_owned(),
            size: None,
            sha256: None,
            content: Content::Missing,
            created: Timestamp::from_secs(NOW),
        };
        let id = id.map(|id| id.0);
        let image = self.store.as_store().firmware_images().add(id, Box::new(make)).await.unwrap();
        self.fill(image.id, data).await;
        image.id
    }

    /// Brings the bytes of an image.
    async fn fill(&self, id: ImageId, data: &Bytes) {
        let mut draft = self.files.receive_new_image(None).await.unwrap();
        for piece in data.chunks(50_000) {
            draft.write(data.slice_ref(piece)).await.unwrap();
        }
        let complete = draft.complete().await.unwrap();
        assert_eq!(complete.sha256(), sum(data));
        self.files.complete_image(id, complete).await.unwrap();
    }

    async fn remove(&self, id: ImageId) {
        let (store, keeper) = (self.store.as_store(), Keeper::default());
        let image = store.firmware_images().of(id).unwrap();
        Inventory { store, keeper: &keeper }.remove_image(&self.files, &image).await.unwrap();
    }

    /// An order to send a file, and the link for it.
    async fn order(&self, login: FileLogin) -> (TransactionId, Link) {
        self.order_of(self.device, "3 Vendor Configuration File 1", login).await
    }

    async fn order_of(&self, device: DeviceKey, file_type: &str, login: FileLogin) -> (TransactionId, Link) {
        let new = NewTransaction {
            kind: Kind::Configuration,
            work: Work::Upload(Box::new(UploadOrder {
                file_type: file_type.to_owned(),
                alternatives: Vec::new(),
                delay_secs: 0,
            })),
            requested_by: "test".to_owned(),
            expires_at: None,
            campaign: None,
        };
        let at = Timestamp::from_secs(NOW);
        let id = self.store.as_store().enqueue(device, new, Merge::Never, at).await.unwrap().id;
        let terms = Terms { login, ..Terms::default() };
        (id, self.files.link(Target::Upload, device, id, terms))
    }

    fn link(&self, target: Target, login: FileLogin) -> Link {
        self.files.link(target, self.device, TransactionId(1), Terms { login, ..Terms::default() })
    }

    async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// A connection that is not closed at once: others of this address may have to be noticed as gone first.
    async fn admitted(&self, path: &str) -> Client {
        let probe = format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        let trying = async {
            loop {
                let mut client = self.connect().await;
                if client.stream.write_all(probe.as_bytes()).await.is_ok() && client.fill().await > 0 {
                    assert!(client.head().await.starts_with("HTTP/1.1 200"));
                    return client;
                }
            }
        };
        timeout(PATIENCE, trying).await.expect("a place is free again")
    }

    /// Waits until a file can be fetched again.
    async fn free(&self, path: &str) {
        let waiting = async { while self.get(path, "Range: bytes=0-9\r\n").await.status() != 206 {} };
        timeout(PATIENCE, waiting).await.expect("a place is free again");
    }

    /// One request on a connection of its own.
    async fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        self.connect().await.ask(method, path, headers, body).await
    }

    async fn get(&self, path: &str, headers: &str) -> Reply {
        self.ask("GET", path, headers, b"").await
    }

    async fn put(&self, path: &str, body: &[u8]) -> Reply {
        self.ask("PUT", path, &format!("Content-Length: {}\r\n", body.len()), body).await
    }

    /// What a device has sent for a transaction.
    async fn stored(&self, transaction: TransactionId) -> Option<Vec<u8>> {
        let id = self.files.arrived(transaction)?;
        let offer = self.files.offer(Target::Stored(id)).await.unwrap().unwrap();
        let mut all = Vec::new();
        while (all.len() as u64) < offer.size {
            let left = offer.size - all.len() as u64;
            let (piece, _) = offer.content.clone().read(all.len() as u64, left, Default::default()).await.unwrap();
            all.extend_from_slice(&piece);
        }
        Some(all)
    }
}

trait AsStore {
    fn as_store(&self) -> &dyn Store;
}

impl AsStore for MemoryStore {
    fn as_store(&self) -> &dyn Store {
        self
    }
}

async fn device(store: &MemoryStore, serial: &str) -> DeviceKey {
    if let Some(device) = store.as_store().by_serial(serial).await.unwrap() {
        return device.key;
    }
    let profile = Profile::fresh(SerialNumber::try_from(serial).unwrap(), Timestamp::from_secs(NOW));
    store.as_store().register(NewDevice { key: None, identity: None, profile }).await.unwrap().key
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// Waits for something that a task does by itself.
async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let waiting = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what}"));
}

struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

struct Reply {
    head: String,
    body: Vec<u8>,
}

impl Reply {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next().unwrap_or_default()
    }
}

impl Client {
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(PATIENCE, self.stream.write_all(bytes.as_ref())).await.unwrap().unwrap();
    }

    async fn ask(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Reply {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: acs\r\n{headers}\r\n");
        self.send([head.as_bytes(), body].concat()).await;
        self.reply(method).await
    }

    async fn fill(&mut self) -> usize {
        timeout(PATIENCE, self.stream.read_buf(&mut self.read)).await.unwrap().unwrap_or(0)
    }

    async fn head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            assert_ne!(self.fill().await, 0, "closed: {}", String::from_utf8_lossy(&self.read));
        };
        String::from_utf8(self.read.drain(..end + 4).collect()).unwrap()
    }

    async fn reply(&mut self, method: &str) -> Reply {
        let mut reply = Reply { head: self.head().await, body: Vec::new() };
        assert!(reply.header("transfer-encoding").is_empty(), "never chunked: {}", reply.head);
        let has_body = method != "HEAD" && !matches!(reply.status(), 204 | 304);
        let length: usize = if has_body { reply.header("content-length").parse().unwrap() } else { 0 };
        while self.read.len() < length {
            assert_ne!(self.fill().await, 0, "closed in a body");
        }
        reply.body = self.read.drain(..length).collect();
        reply
    }

    async fn closed(&mut self) {
        while self.fill().await > 0 {}
    }
}
