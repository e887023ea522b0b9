//! Stores whose files are damaged, foreign, or grown in ways they should not: what is said, and what is done about it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acsd::model::device::{ParameterPatch, TreePatch};
use acsd::store::sled::{CompactError, OpenError, compact_sled, open_sled as open_with};
use acsd::store::{ParameterQuery, Store, StoreError};
use acsd::types::value::XsdType;

use super::embedded::{closed_store, refusal, tamper};
use super::support::*;

fn noise(bytes: usize) -> String {
    let mut random = fastrand::Rng::with_seed(9);
    let mut noise = String::with_capacity(bytes + 16);
    while noise.len() < bytes {
        write!(noise, "{:016x}", random.u64(..)).unwrap();
    }
    noise.truncate(bytes);
    noise
}

fn learn(path: &str, text: &str) -> TreePatch {
    let value = Some((text.into(), XsdType::String));
    let learned = ParameterPatch { path: path.into(), value, writable: None, notification: None };
    TreePatch { forget: Vec::new(), learn: vec![learned] }
}

/// Sizes of keys and values, and the largest value, of all tables but `meta`.
fn walk(folder: &Path) -> (u64, usize) {
    let (mut live, mut largest) = (0, 0);
    tamper(folder, |db| {
        for name in db.tree_names() {
            if &*name == b"meta" || &*name == b"__sled__default" {
                continue;
            }
            for found in &db.open_tree(name).unwrap() {
                let (key, value) = found.unwrap();
                live += u64::try_from(key.len() + value.len()).unwrap();
                largest = largest.max(value.len());
            }
        }
    });
    (live, largest)
}

#[tokio::test]
async fn no_record_is_large_and_live_bytes_are_exact() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let keys = [register(&store, "A").await.key, register(&store, "B").await.key, register(&store, "C").await.key];
    let huge = noise(3_000_000);
    for key in keys {
        // Twice, so that parts are replaced.
        store.patch_parameters(key, learn("Device.X", &noise(500_000)), secs(1)).await.unwrap();
        store.patch_parameters(key, learn("Device.X", &huge), secs(2)).await.unwrap();
        enqueue(&store, key, 3).await;
        let running = store.claim(key, &[], secs(4)).await.unwrap().unwrap();
        store.settle(&completed(&running, 5), &[result(0, &huge[..200_000])]).await.unwrap();
    }
    store.remove(keys[1]).await.unwrap();
    store.patch_parameters(keys[2], learn("Device.X", "small"), secs(6)).await.unwrap();
    let live = store.figures(secs(7)).live_bytes;
    assert!((1_500_000..4_000_000).contains(&live), "{live}");
    store.close().await.unwrap();
    drop(store);
    let (walked, largest) = walk(folder.path());
    assert_eq!(live, walked);
    assert!(largest <= 48 << 10, "{largest}");
    assert_eq!(fs::read_dir(folder.path().join("store/blobs")).unwrap().count(), 0);

    let store: Arc<dyn Store> = open_at(folder.path()).await;
    assert_eq!(store.figures(secs(7)).live_bytes, live, "counted again");
    let read = store.parameters(keys[0], ParameterQuery::default(), ALL).await.unwrap();
    let values: Vec<_> = read.items.iter().filter_map(|one| one.value.as_ref()).collect();
    assert!(format!("{values:?}").contains(&huge), "it is put together again");
    assert!(store.warnings().is_empty());
    store.close().await.unwrap();
}

#[tokio::test]
async fn wasted_space_raises_an_alarm_and_an_offline_copy_reclaims_it() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    tamper(folder.path(), |db| {
        let tree = db.open_tree("meta").unwrap();
        let noise = noise(40_000);
        for number in 0..2200_u32 {
            tree.insert([&b"junk"[..], &number.to_be_bytes()].concat(), noise.as_bytes()).unwrap();
        }
        db.flush().unwrap();
        for number in 0..2200_u32 {
            tree.remove([&b"junk"[..], &number.to_be_bytes()].concat()).unwrap();
        }
    });
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let figures = store.figures(secs(1));
    assert!(store.warnings().iter().any(|words| words.contains("4 times")), "{figures:?}");
    store.health().expect("writes are taken all the same");
    let queued = enqueue(&store, acsd::types::ident::DeviceKey(1), 1).await;
    store.close().await.unwrap();
    drop(store);

    let done = compact_sled(config(folder.path()), Arc::new(FixedClock)).await.unwrap();
    assert!(done.before_bytes > 64 << 20 && done.after_bytes < 16 << 20, "{done:?}");
    // As a kill between the two renamings leaves it.
    fs::rename(folder.path().join("store"), folder.path().join("store.old")).unwrap();
    fs::create_dir(folder.path().join("store.copy")).unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    assert!(store.warnings().is_empty());
    assert_eq!(store.live(queued.device).await.unwrap(), [queued]);
    assert!(!folder.path().join("store.old").exists() && !folder.path().join("store.copy").exists());
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_folder_without_a_store_is_not_compacted() {
    let folder = tempfile::tempdir().unwrap();
    for place in [folder.path().to_owned(), folder.path().join("missing")] {
        let refused = compact_sled(config(&place), Arc::new(FixedClock)).await;
        assert!(matches!(refused, Err(CompactError::NoStore { .. })), "{refused:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
}

/// A store of some segments, closed, and opened once more so that it has a snapshot.
async fn large_store(folder: &Path) {
    let store: Arc<dyn Store> = open_at(folder).await;
    for number in 0..DEVICES {
        let key = register(&store, &format!("D{number}")).await.key;
        store.patch_parameters(key, learn("Device.X", &noise(LARGE_BYTES)), secs(1)).await.unwrap();
        enqueue(&store, key, 3).await;
    }
    store.close().await.unwrap();
    drop(store);
    open_at(folder).await.close().await.unwrap();
}

const DEVICES: u32 = 20;
const LARGE_BYTES: usize = 1_000_000;

fn copy_store(from: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir_all(copy.path().join("store/blobs")).unwrap();
    fs::copy(from.join("store.id"), copy.path().join("store.id")).unwrap();
    for file in fs::read_dir(from.join("store")).unwrap().map(Result::unwrap) {
        if file.file_type().unwrap().is_file() {
            fs::copy(file.path(), copy.path().join("store").join(file.file_name())).unwrap();
        }
    }
    copy
}

type Damage = fn(&mut Vec<u8>);

/// Either the store is refused, with words that help, or every record is right or said to be unreadable: nothing is
/// silently missing.
#[tokio::test(flavor = "multi_thread")]
async fn damage_is_never_silent() {
    let folder = tempfile::tempdir().unwrap();
    large_store(folder.path()).await;
    let damages: [(&str, bool, Damage); 7] = [
        ("cut in half", true, |db| db.truncate(db.len() / 2)),
        ("only the first segment", true, |db| db.truncate(8 << 20)),
        ("nothing left", true, Vec::clear),
        ("a page short", false, |db| db.truncate(db.len() - 4096)),
        ("zeros at the start", false, |db| db[..5000].fill(0)),
        ("zeros in the middle", false, |db| {
            let middle = db.len() / 2;
            db[middle..middle + 100_000].fill(0);
        }),
        ("a bit flipped every megabyte", false, |db| db.iter_mut().step_by(1 << 20).for_each(|byte| *byte ^= 4)),
    ];
    let wanted = noise(LARGE_BYTES);
    for (damage, hopeless, apply) in damages {
        let copy = copy_store(folder.path());
        let db = copy.path().join("store/db");
        let mut content = fs::read(&db).unwrap();
        apply(&mut content);
        fs::write(&db, content).unwrap();
        let store = match open_with(config(copy.path()), Arc::new(FixedClock)).await {
            Err(refused) => {
                assert!(matches!(refused, OpenError::Damaged { .. }), "{damage}: {refused:?}");
                let words = refused.to_string();
                assert!(words.contains("restore a backup") && words.contains("damaged: "), "{damage}: {words}");
                continue;
            }
            Ok(store) => store as Arc<dyn Store>,
        };
        assert!(!hopeless, "{damage}: it opened");
        for number in 0..DEVICES {
            let device = store.by_serial(&format!("D{number}")).await.unwrap().expect(damage);
            assert_eq!(store.live(device.key).await.unwrap().len(), 1, "{damage}: the queue of {number}");
            match store.parameters(device.key, ParameterQuery::default(), ALL).await {
                Ok(read) => {
                    let value = read.items.first().and_then(|one| one.value.as_ref());
                    assert!(format!("{value:?}").contains(&wanted), "{damage}: the parameters of {number} are lost");
                }
                Err(error) => assert!(matches!(error, StoreError::Corrupt { .. }), "{damage}: {error}"),
            }
        }
        store.close().await.ok();
    }
}

#[tokio::test]
async fn a_store_of_another_segment_size_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let open = || sled::Config::new().path(folder.path().join("store")).segment_size(512 << 10).open();
    {
        let db = open().unwrap();
        db.open_tree("meta").unwrap().insert("id", "some").unwrap();
        db.open_tree("profile").unwrap().insert("key", "kept").unwrap();
        db.flush().unwrap();
    }
    fs::write(folder.path().join("store.id"), "some").unwrap();
    let refused = refusal(folder.path()).await;
    assert!(matches!(refused, OpenError::Lost { .. }), "{refused:?}");
    assert!(refused.to_string().contains("another segment size"), "{refused}");
    let db = (0..1000).find_map(|_| {
        let opened = open().ok();
        if opened.is_none() {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        opened
    });
    assert_eq!(db.unwrap().open_tree("profile").unwrap().get("key").unwrap().unwrap(), b"kept");
}
