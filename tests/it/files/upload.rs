//! PUT and POST.

use acsd::model::device_type::FileLogin;
use acsd::model::file::StoredFileId;
use acsd::types::ident::TransactionId;

use super::{AsStore as _, Server, bytes, device, until};

#[tokio::test]
async fn a_file_is_taken_however_it_comes() {
    let server = Server::start().await;
    let data = bytes(300_000);
    let chunked = |data: &[u8]| {
        let mut body = Vec::new();
        for piece in data.chunks(70_001) {
            body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
            body.extend_from_slice(piece);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"0\r\n\r\n");
        body
    };
    let form = {
        let mut body = b"--XX\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--XX\r\n\
            Content-Disposition: form-data; name=\"f\"; filename=\"a.cfg\"\r\nContent-Type: text/plain\r\n\r\n"
            .to_vec();
        body.extend_from_slice(&data);
        body.extend_from_slice(
            b"\r\n--XX\r\nContent-Disposition: form-data; name=\"g\"; filename=\"b\"\r\n\r\n2\r\n--XX--\r\n",
        );
        body
    };
    let sized = format!("Content-Length: {}\r\n", data.len());
    let of_form = format!("Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: {}\r\n", form.len());
    let table: [(&str, &str, &[u8], u16); 4] = [
        ("PUT", &sized, &data, 201),
        ("POST", &sized, &data, 200),
        ("PUT", "Transfer-Encoding: chunked\r\n", &chunked(&data), 201),
        ("POST", &of_form, &form, 200),
    ];
    for (method, headers, body, status) in table {
        let (transaction, link) = server.order(FileLogin::None).await;
        assert_eq!(server.files.arrived(transaction), None);
        let reply = server.ask(method, &link.path, headers, body).await;
        assert_eq!((reply.status(), reply.body.len()), (status, 0), "{method} {headers}");
        assert_eq!(server.stored(transaction).await.as_deref(), Some(&data[..]), "{method} {headers}");
    }
}

#[tokio::test]
async fn a_device_that_asks_first_is_told_to_go_on() {
    let server = Server::start().await;
    let (transaction, link) = server.order(FileLogin::None).await;
    let mut client = server.connect().await;
    let head = format!("PUT {} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", link.path);
    client.send(head).await;
    assert!(client.head().await.starts_with("HTTP/1.1 100"));
    client.send("data").await;
    assert_eq!(client.reply("PUT").await.status(), 201);
    assert_eq!(server.stored(transaction).await.as_deref(), Some(&b"data"[..]));
    // The same connection goes on.
    assert_eq!(client.ask("PUT", &link.path, "Content-Length: 5\r\n", b"again").await.status(), 200);
    assert_eq!(server.stored(transaction).await.as_deref(), Some(&b"again"[..]), "the later one counts");
}

#[tokio::test]
async fn only_what_was_ordered_is_taken() {
    let server = Server::start().await;
    let (_, link) = server.order(FileLogin::None).await;
    let get = server.get(&link.path, "").await;
    assert_eq!((get.status(), get.header("allow")), (405, "PUT, POST"));
    let nobody = TransactionId(9_999);
    let unknown = server.files.link(acsd::files::Target::Upload, server.device, nobody, Default::default());
    assert_eq!(server.put(&unknown.path, b"x").await.status(), 404);
    let (own, _) = server.order(FileLogin::None).await;
    let other = device(&server.store, "S-2").await;
    let foreign = server.files.link(acsd::files::Target::Upload, other, own, Default::default());
    assert_eq!(server.put(&foreign.path, b"x").await.status(), 404, "another device's order");
    for (content_type, body) in [
        ("multipart/form-data", "x"),
        ("multipart/form-data; boundary=b", "x"),
        ("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\nv\r\n--b--\r\n"),
    ] {
        let headers = format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n", body.len());
        assert_eq!(server.ask("POST", &link.path, &headers, body.as_bytes()).await.status(), 400, "{body}");
    }
    assert!(server.store.as_store().stored_files().all().is_empty());
}

#[tokio::test]
async fn the_newest_of_each_kind_are_kept() {
    let config = acsd::files::FilesConfig { keep_uploads: 2, free_space_floor_bytes: 0, ..Default::default() };
    let server = Server::with(config).await;
    let other = device(&server.store, "S-2").await;
    for (device, file_type) in [(other, "3 Vendor Configuration File 1"), (server.device, "4 Vendor Log File 1")] {
        let (_, link) = server.order_of(device, file_type, FileLogin::None).await;
        assert_eq!(server.put(&link.path, b"same").await.status(), 201);
    }
    let mut last = Vec::new();
    for text in ["first", "second", "third", "fourth"] {
        let (transaction, link) = server.order(FileLogin::None).await;
        assert_eq!(server.put(&link.path, text.as_bytes()).await.status(), 201);
        last.push((transaction, text));
    }
    for (at, (transaction, text)) in last.iter().enumerate() {
        let want = (at >= 2).then_some(text.as_bytes());
        assert_eq!(server.stored(*transaction).await.as_deref(), want, "{text}");
    }
    assert_eq!(server.files.of_device(server.device).len(), 3, "the log file is of another kind");
    server.files.forget_device(server.device).await.unwrap();
    assert_eq!(server.files.of_device(server.device), Vec::<StoredFileId>::new());
    let left = server.store.as_store().stored_files().all();
    assert!(left.len() == 1 && left.values().all(|file| file.device == other), "the other device's stays");
    let (_, link) = server.order(FileLogin::None).await;
    server.store.as_store().remove(server.device).await.unwrap();
    assert_eq!(server.put(&link.path, b"late").await.status(), 404);
}

#[tokio::test]
async fn a_broken_upload_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = acsd::files::Place::Folder(folder.path().join("files"));
    let store = std::sync::Arc::new(acsd::store::memory::MemoryStore::new(Default::default()));
    let config = acsd::files::FilesConfig { free_space_floor_bytes: 0, ..Default::default() };
    let server = Server::over(store, &place, config, [7; 32]).await;
    let (transaction, link) = server.order(FileLogin::None).await;
    for framing in ["Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut client = server.connect().await;
        client.send(format!("PUT {} HTTP/1.1\r\nHost: a\r\n{framing}\r\n40000\r\n", link.path)).await;
        client.send(bytes(200_000)).await;
        until("it began", || !super::names(&folder.path().join("files")).is_empty()).await;
        drop(client);
        until("it is gone", || super::names(&folder.path().join("files")).is_empty()).await;
    }
    assert_eq!(server.files.arrived(transaction), None);
}
