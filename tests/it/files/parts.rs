//! Images that arrive in parts.

use std::sync::Arc;

use acsd::files::{FilesConfig, Place, Start};
use acsd::model::file::{Content, ImageId};
use acsd::store::memory::{MemoryConfig, MemoryStore};

use super::folder::announced;
use super::{Server, bytes, sum};

/// Brings `data` in parts of these lengths, over and over.
async fn bring(server: &Server, id: ImageId, data: &bytes::Bytes, from: usize, lengths: &[usize]) -> usize {
    let (mut at, mut lengths) = (from, lengths.iter().cycle());
    loop {
        let end = (at + lengths.next().unwrap()).min(data.len());
        let start = if at == 0 { Start::Anew } else { Start::At(at as u64) };
        let total = Some(data.len() as u64);
        let mut draft = server.files.receive_image(id, start, total).await.unwrap();
        // As a network would cut them.
        for piece in data.slice(at..end).chunks(1_460) {
            draft.write(data.slice_ref(piece)).await.unwrap();
        }
        at = end;
        if at == data.len() {
            let image = server.files.complete_image(id, draft.complete().await.unwrap()).await.unwrap();
            assert_eq!(image.content, Content::Here { sha256: sum(data), size: data.len() as u64 });
            return at;
        }
        assert_eq!(draft.suspend().await.unwrap(), at as u64);
    }
}

#[tokio::test]
async fn parts_of_any_size_make_the_same_file() {
    let server = Server::start().await;
    let data = bytes(600_011);
    let table: [&[usize]; 6] =
        [&[600_010, 1], &[1, 600_010], &[131_072], &[131_071, 131_073], &[64, 63, 65, 10_000], &[300_000, 1, 255]];
    for lengths in table {
        let id = announced(&server, None, Some(sum(&data))).await;
        bring(&server, id, &data, 0, lengths).await;
    }
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..10 {
        let mut length = || {
            let most = 1 << random.usize(8..20);
            random.usize(1..=most)
        };
        let lengths = [length(), length(), length(), length(), length()];
        let id = announced(&server, None, Some(sum(&data))).await;
        bring(&server, id, &data, 0, &lengths).await;
    }
}

#[tokio::test]
async fn a_part_that_was_broken_off_or_came_before_a_restart_counts_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new(MemoryConfig::default()));
    let place = Place::Folder(folder.path().join("files"));
    let config = FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() };
    let start = || Server::over(store.clone(), &place, config.clone(), [1; 32]);
    let mut server = start().await;
    let data = bytes(200_000);
    let id = announced(&server, Some(200_000), Some(sum(&data))).await;
    let mut at = 0;
    for (number, length) in [10_000, 1, 60_000, 29_999, 50_000].into_iter().enumerate() {
        let mut draft = server.files.receive_image(id, Start::At(at as u64), None).await.unwrap();
        draft.write(data.slice(at..at + length)).await.unwrap();
        at += length;
        if number % 2 == 0 {
            assert_eq!(draft.suspend().await.unwrap(), at as u64);
        } else {
            drop(draft);
            // It is somebody's turn until the last of it is on disk.
            while server.files.receive_image(id, Start::At(u64::MAX), None).await.is_err_and(
                |error| !matches!(error, acsd::files::ImageError::Offset { expected } if expected == at as u64),
            ) {
                tokio::task::yield_now().await;
            }
        }
        if number == 2 {
            drop(server);
            server = start().await;
            assert_eq!(server.files.partial(id).await.unwrap(), at as u64);
        }
    }
    bring(&server, id, &data, at, &[7_000]).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_is_here_is_not_read_again_for_each_part() {
    let server = Server::start().await;
    let megabytes = std::env::var("ACSD_PARTS_MIB").ok().and_then(|text| text.parse().ok()).unwrap_or(8_usize);
    let data = bytes(megabytes << 20);
    let id = announced(&server, None, Some(sum(&data))).await;
    let (read, start) = (read_bytes(), tokio::time::Instant::now());
    bring(&server, id, &data, 0, &[data.len() / 256]).await;
    let (read, took) = (read_bytes() - read, start.elapsed());
    println!("{megabytes} MiB in 256 parts: {read} bytes read, {:.2} s", took.as_secs_f64());
    // Other tests may run in this process; to read all of it for each part would be 128 times its size.
    assert!(read < 60 * data.len() as u64, "{read} bytes were read");
}

/// What this process has read, of files above all.
#[cfg(target_os = "linux")]
fn read_bytes() -> u64 {
    let counts = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = counts.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap();
    line.trim().parse().unwrap()
}
