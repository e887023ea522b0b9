//! Hundreds that take hours, and what everybody else notices of it: nothing.

use acsd::files::{FilesConfig, Target};
use acsd::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage, ImageId};
use acsd::simulator::{Autonomy, Outcome};
use acsd::types::ident::{DeviceKey, TransactionId};
use acsd::types::time::Timestamp;
use metrics_exporter_prometheus::PrometheusBuilder;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpSocket;
use tokio::task::JoinSet;

use super::crowd::resident_kib;
use super::{Client, bytes, sum, until};
use crate::support::{Acs, config};

/// Who is slow.
const CROWD: u32 = 400;
/// More than the buffers of two sockets take.
const IMAGE_BYTES: usize = 16 << 20;
/// What a slow one takes at a time.
const SIP_BYTES: usize = 2 << 10;

async fn image(acs: &Acs) -> (ImageId, [u8; 32]) {
    let make = |id| FirmwareImage {
        id: ImageId(id),
        name: "router.bin".to_owned(),
        version: String::new(),
        device_type: None,
        file_type: FIRMWARE_FILE_TYPE.to_owned(),
        size: None,
        sha256: None,
        content: Content::Missing,
        created: Timestamp::default(),
    };
    let id = acs.daemon.store.firmware_images().add(None, Box::new(make)).await.unwrap().id;
    let data = bytes(IMAGE_BYTES);
    let mut draft = acs.daemon.files.receive_new_image(None).await.unwrap();
    draft.write(data.clone()).await.unwrap();
    let complete = draft.complete().await.unwrap();
    acs.daemon.files.complete_image(id, complete).await.unwrap();
    (id, sum(&data))
}

/// A connection of someone who cannot take much at once, with the head of the answer read.
async fn begin(acs: &Acs, path: &str) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let stream = socket.connect(acs.daemon.cwmp_address).await.unwrap();
    let mut client = Client { stream, read: Vec::new() };
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    client
}

/// Fetches all of it.
async fn fetch(mut client: Client) -> [u8; 32] {
    let (mut hash, mut left) = (Sha256::new(), IMAGE_BYTES);
    loop {
        left -= client.read.len();
        hash.update(&client.read);
        client.read.clear();
        if left == 0 {
            return hash.finalize().into();
        }
        assert_ne!(client.fill().await, 0, "{left} missing");
    }
}

#[tokio::test]
async fn hundreds_of_slow_downloads_are_held_in_little_memory() {
    // Of this thread, on which everything runs that makes counters.
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let is_open = |count: u32| {
        recorder.handle().render().contains(&format!("acsd_file_transfers_open{{direction=\"download\"}} {count}\n"))
    };
    let mut config = config();
    let max_transfers = usize::try_from(CROWD).unwrap() + 1;
    config.files = FilesConfig { free_space_floor_bytes: 0, max_transfers, ..FilesConfig::default() };
    let acs = Acs::start(config).await;
    let (id, want) = image(&acs).await;
    let link =
        |device| acs.daemon.files.link(Target::Image(id), DeviceKey(device), TransactionId(1), Default::default()).path;
    let before = resident_kib();
    let mut crowd = Vec::new();
    for device in 0..CROWD {
        crowd.push(begin(&acs, &link(device)).await);
    }
    assert!(is_open(CROWD), "{}", recorder.handle().render());

    // One more gets its file while they sip, and has to share nothing but the disk.
    let mut fast = JoinSet::new();
    fast.spawn(fetch(begin(&acs, &link(CROWD)).await));
    let mut most = 0;
    let mut sips = 0;
    let found = loop {
        for client in &mut crowd {
            let had = client.read.len();
            while client.read.len() < had + SIP_BYTES {
                assert_ne!(client.fill().await, 0, "cut off");
            }
            client.read.clear();
        }
        sips += 1;
        most = most.max(resident_kib());
        match fast.try_join_next() {
            Some(found) => break found.unwrap(),
            None => tokio::task::yield_now().await,
        }
    };
    assert_eq!(found, want);
    // So does a session.
    let mut cpe = acs.cpe("SLOW-1");
    cpe.autonomy = Autonomy::OnDemand;
    let cpe = acsd::simulator::spawn(cpe).await.unwrap();
    assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Completed);
    assert!(is_open(CROWD), "they are all still at it");
    let grown = most.max(resident_kib()).saturating_sub(before) >> 10;
    println!("{CROWD} slow downloads, {sips} sips each: grown by {grown} MiB, clients included");
    assert!(grown < 100, "grown by {grown} MiB");

    drop(crowd);
    until("every place is free again", || is_open(0)).await;
    assert_eq!(fetch(begin(&acs, &link(0)).await).await, want);
    cpe.stop().await;
}
