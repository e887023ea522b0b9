//! Whoever sent a file goes away while its record is being made durable.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use acsd::auth::seal::Sealer;
use acsd::files::lane::Lane;
use acsd::files::{Complete, Files, FilesConfig, Place, Target, Terms};
use acsd::model::device::Profile;
use acsd::model::file::{Content, FirmwareImage, ImageId};
use acsd::model::transaction::{Kind, NewTransaction, Work};
use acsd::model::transfer::UploadOrder;
use acsd::store::sled::{StoreConfig, open_sled};
use acsd::store::{Merge, NewDevice, Store};
use acsd::types::ident::SerialNumber;
use acsd::types::time::Timestamp;

use super::{Hand, NOW, bytes, names, sum};

struct Home {
    store: Arc<dyn Store>,
    files: Files,
    folder: tempfile::TempDir,
}

impl Home {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(NOW.into()));
        let config = StoreConfig {
            cache_bytes: 16 << 20,
            free_space_floor_bytes: 0,
            ballast_bytes: 0,
            ..StoreConfig::new(folder.path().join("store"))
        };
        let store: Arc<dyn Store> = open_sled(config, clock.clone()).await.unwrap();
        let config = FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() };
        let place = Place::Folder(folder.path().join("files"));
        let files =
            Files::open(&place, store.clone(), clock, &Sealer::from_key(&[1; 32]), config, Lane::default()).unwrap();
        Self { store, files, folder }
    }

    fn names(&self) -> Vec<String> {
        names(&self.folder.path().join("files"))
    }

    async fn complete(&self) -> Complete {
        let mut draft = self.files.receive_new_image(None).await.unwrap();
        draft.write(bytes(1_000)).await.unwrap();
        draft.complete().await.unwrap()
    }
}

/// How often it is tried: on a busy machine the disk may be done before anybody has looked.
const TRIES: u32 = 100;

/// Runs it until its record can be seen, and no further; `false`: it was over by then.
async fn until_seen<F: Future>(work: F, is_seen: impl Fn() -> bool) -> bool {
    let mut work = pin!(work);
    loop {
        if poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx).is_ready())).await {
            return false;
        }
        if is_seen() {
            return true;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_image_that_is_on_record_keeps_its_bytes() {
    let mut tries = 0..TRIES;
    while !an_image_whose_sender_vanishes().await {
        assert!(tries.next().is_some(), "it waits for the disk");
    }
}

/// `false`: nobody vanished in time.
async fn an_image_whose_sender_vanishes() -> bool {
    let home = Home::new().await;
    let make = |id| FirmwareImage {
        id: ImageId(id),
        name: "x".to_owned(),
        version: String::new(),
        device_type: None,
        file_type: String::new(),
        size: None,
        sha256: None,
        content: Content::Missing,
        created: Timestamp::from_secs(NOW),
    };
    let id = home.store.firmware_images().add(None, Box::new(make)).await.unwrap().id;
    let complete = home.complete().await;
    let is_here = || home.store.firmware_images().of(id).unwrap().content != Content::Missing;
    let vanished = until_seen(home.files.complete_image(id, complete), is_here).await;
    assert_eq!(home.names(), [hex::encode(sum(&bytes(1_000)))]);
    assert_eq!(home.files.offer(Target::Image(id)).await.unwrap().unwrap().size, 1_000);
    vanished
}

#[tokio::test]
async fn a_device_s_file_that_is_on_record_keeps_its_bytes_and_is_found() {
    let mut tries = 0..TRIES;
    while !a_file_whose_sender_vanishes().await {
        assert!(tries.next().is_some(), "it waits for the disk");
    }
}

/// `false`: nobody vanished in time.
async fn a_file_whose_sender_vanishes() -> bool {
    let home = Home::new().await;
    let profile = Profile::fresh(SerialNumber::try_from("S-1").unwrap(), Timestamp::from_secs(NOW));
    let device = home.store.register(NewDevice { key: None, identity: None, profile }).await.unwrap().key;
    let new = NewTransaction {
        kind: Kind::Configuration,
        work: Work::Upload(Box::new(UploadOrder {
            file_type: "4 Vendor Log File".to_owned(),
            delay_secs: 0,
            alternatives: Vec::new(),
        })),
        requested_by: "test".to_owned(),
        expires_at: None,
        campaign: None,
    };
    let id = home.store.enqueue(device, new, Merge::Never, Timestamp::from_secs(NOW)).await.unwrap().id;
    let link = home.files.link(Target::Upload, device, id, Terms::default());
    let claim = home.files.claim(link.path.split('/').nth(2).unwrap()).unwrap();
    let upload = home.files.upload(&claim).await.unwrap().unwrap();
    let is_here = || !home.store.stored_files().all().is_empty();
    let complete = home.complete().await;
    let vanished = until_seen(home.files.keep(&upload, complete), is_here).await;
    assert_eq!(home.names(), [hex::encode(sum(&bytes(1_000)))]);
    let file = home.files.arrived(id).expect("it is found");
    assert_eq!(home.files.offer(Target::Stored(file)).await.unwrap().unwrap().size, 1_000);
    vanished
}
