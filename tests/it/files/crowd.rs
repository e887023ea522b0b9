//! Many at once.

use acsd::files::{FilesConfig, Target};
use acsd::types::ident::{DeviceKey, TransactionId};
use tokio::task::JoinSet;

use super::{Server, bytes, sum};
use sha2::{Digest as _, Sha256};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_fetch_at_once_and_all_get_the_same() {
    let megabytes = std::env::var("ACSD_CROWD_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(1_usize);
    let server = Server::with(FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() }).await;
    let data = bytes(megabytes << 20);
    let want = sum(&data);
    let id = server.image("x", &data).await;
    drop(data);
    let before = resident_kib();
    let start = tokio::time::Instant::now();
    let mut fetching = JoinSet::new();
    for device in 0..200 {
        let path = server.files.link(Target::Image(id), DeviceKey(device), TransactionId(1), Default::default()).path;
        let mut client = server.connect().await;
        fetching.spawn(async move {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let head = client.head().await;
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let (mut hash, mut left) = (Sha256::new(), megabytes << 20);
            while left > 0 {
                left -= client.read.len();
                hash.update(&client.read);
                client.read.clear();
                if left > 0 {
                    assert_ne!(client.fill().await, 0, "{left} missing");
                }
            }
            let found: [u8; 32] = hash.finalize().into();
            found
        });
    }
    let mut most = 0;
    while let Some(found) = fetching.join_next().await {
        assert_eq!(found.unwrap(), want);
        most = most.max(resident_kib());
    }
    let (secs, grown) = (start.elapsed().as_secs_f64(), most.saturating_sub(before) >> 10);
    println!("200 × {megabytes} MiB in {secs:.1} s; grown by {grown} MiB, clients included");
    assert!(grown < 200, "bounded: {grown} MiB");
}

/// Memory of this process, KiB.
pub(super) fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or("0");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}
