//! The folder over restarts.

use std::path::PathBuf;
use std::sync::Arc;

use acsd::files::{FilesConfig, ImageError, Place, Start, Target};
use acsd::model::device_type::FileLogin;
use acsd::model::file::{Content, FirmwareImage, ImageId};
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::types::time::Timestamp;

use super::{AsStore as _, Server, bytes, names, sum, until};

struct Home {
    folder: tempfile::TempDir,
    store: Arc<MemoryStore>,
}

impl Home {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), store: Arc::new(MemoryStore::new(MemoryConfig::default())) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// acsd starts again, perhaps with another key file.
    async fn server(&self, key: u8) -> Server {
        let config = FilesConfig { free_space_floor_bytes: 0, ..FilesConfig::default() };
        Server::over(self.store.clone(), &Place::Folder(self.path()), config, [key; 32]).await
    }
}

#[tokio::test]
async fn links_and_files_outlive_a_restart_but_not_another_key() {
    let home = Home::new();
    let server = home.server(1).await;
    let (transaction, upload) = server.order(FileLogin::None).await;
    assert_eq!(server.put(&upload.path, b"configuration").await.status(), 201);
    let id = server.image("x", &bytes(1_000)).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    drop(server);
    for leftover in [".new-1-2", &hex::encode([9; 32]), "image-77.100"] {
        std::fs::write(home.path().join(leftover), "left").unwrap();
    }
    let server = home.server(1).await;
    assert_eq!(server.get(&link.path, "").await.body, bytes(1_000));
    assert_eq!(server.stored(transaction).await.as_deref(), Some(&b"configuration"[..]));
    assert_eq!(names(&home.path()).len(), 2, "and nothing else: {:?}", names(&home.path()));
    let other = home.server(2).await;
    assert_eq!(other.get(&link.path, "").await.status(), 404);
    home.store.as_store().remove(server.device).await.unwrap();
    let last = home.server(1).await;
    assert_eq!(last.files.arrived(transaction), None, "the files of a device go with it");
    assert_eq!(names(&home.path()), [hex::encode(sum(&bytes(1_000)))]);
}

#[tokio::test]
async fn the_same_bytes_are_kept_once_and_as_long_as_anyone_has_them() {
    let home = Home::new();
    let server = home.server(1).await;
    let data = bytes(1_000);
    let (first, second) = (server.image("a", &data).await, server.image("b", &data).await);
    let (transaction, link) = server.order(FileLogin::None).await;
    assert_eq!(server.put(&link.path, &data).await.status(), 201);
    assert_eq!(names(&home.path()), [hex::encode(sum(&data))]);
    server.remove(first).await;
    server.files.remove_stored(server.files.arrived(transaction).unwrap()).await.unwrap();
    assert_eq!(server.get(&server.link(Target::Image(second), FileLogin::None).path, "").await.body, data);
    server.remove(second).await;
    assert_eq!(names(&home.path()), Vec::<String>::new());
}

/// An image of which the file is still to come.
pub(super) async fn announced(server: &Server, size: Option<u64>, sha256: Option<[u8; 32]>) -> ImageId {
    let make = |id| FirmwareImage {
        id: ImageId(id),
        name: "x".to_owned(),
        version: String::new(),
        device_type: None,
        file_type: String::new(),
        size,
        sha256,
        content: Content::Missing,
        created: Timestamp(0),
    };
    server.store.as_store().firmware_images().add(None, Box::new(make)).await.unwrap().id
}

#[tokio::test]
async fn a_broken_image_is_gone_on_with_also_after_a_restart() {
    let home = Home::new();
    let server = home.server(1).await;
    let data = bytes(500_000);
    let id = announced(&server, Some(500_000), Some(sum(&data))).await;
    let mut draft = server.files.receive_image(id, Start::Anew, Some(500_000)).await.unwrap();
    assert!(matches!(server.files.receive_image(id, Start::At(0), None).await, Err(ImageError::Busy)));
    draft.write(data.slice(..300_000)).await.unwrap();
    assert_eq!(draft.suspend().await.unwrap(), 300_000);
    // Dropped in the middle: its client is gone, and so is what received it.
    let mut draft = server.files.receive_image(id, Start::At(300_000), None).await.unwrap();
    draft.write(data.slice(300_000..400_000)).await.unwrap();
    drop(draft);
    until("what came is on disk", || names(&home.path()) == ["image-1.400000"]).await;
    drop(server);

    let server = home.server(1).await;
    assert_eq!(server.files.partial(id).await.unwrap(), 400_000);
    let wrong = server.files.receive_image(id, Start::At(5), None).await;
    assert!(matches!(wrong, Err(ImageError::Offset { expected: 400_000 })));
    let mut draft = server.files.receive_image(id, Start::At(400_000), None).await.unwrap();
    draft.write(data.slice(400_000..)).await.unwrap();
    let image = server.files.complete_image(id, draft.complete().await.unwrap()).await.unwrap();
    assert_eq!(image.content, Content::Here { sha256: sum(&data), size: 500_000 });
    assert_eq!(names(&home.path()), [hex::encode(sum(&data))]);
}

#[tokio::test]
async fn what_is_not_as_announced_is_not_kept() {
    let home = Home::new();
    let server = home.server(1).await;
    for (size, sha256) in [(Some(5), None), (None, Some([0; 32]))] {
        let id = announced(&server, size, sha256).await;
        let mut draft = server.files.receive_image(id, Start::Anew, None).await.unwrap();
        draft.write(bytes(6)).await.unwrap();
        let refused = server.files.complete_image(id, draft.complete().await.unwrap()).await;
        assert!(matches!(refused, Err(ImageError::Size { announced: 5, found: 6 } | ImageError::Sum { .. })));
        assert_eq!(names(&home.path()), Vec::<String>::new());
        let again = server.files.receive_image(id, Start::At(0), None).await;
        assert!(again.is_ok(), "its turn was given back");
        again.unwrap().give_up().await;
    }
}
