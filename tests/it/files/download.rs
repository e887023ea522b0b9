//! GET and HEAD.

use std::time::Duration;

use acsd::files::Target;
use acsd::model::device_type::FileLogin;
use acsd::model::file::{ImageId, StoredFileId};

use super::{NOW, Server, bytes, sum};
use std::sync::atomic::Ordering;

#[tokio::test]
async fn an_image_is_fetched_whole_and_in_parts_over_one_connection() {
    let server = Server::start().await;
    let data = bytes(300_001);
    let id = server.image("firmware 2.0.img", &data).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    assert!(link.path.ends_with("/firmware-2.0.img"), "{}", link.path);
    assert!(link.username.is_empty());

    let mut client = server.connect().await;
    let whole = client.ask("GET", &link.path, "", b"").await;
    assert_eq!((whole.status(), whole.body.as_slice()), (200, &data[..]));
    assert_eq!(whole.header("content-type"), "application/octet-stream");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("etag"), format!("\"{}\"", hex::encode(sum(&data))));
    assert!(whole.header("repr-digest").starts_with("sha-256=:"));
    assert!(whole.header("last-modified").ends_with("GMT"));

    let head = client.ask("HEAD", &link.path, "", b"").await;
    assert_eq!((head.status(), head.header("content-length")), (200, "300001"));
    let table = [
        ("bytes=0-9", 206, &data[..10]),
        ("bytes=200000-", 206, &data[200_000..]),
        ("bytes=-7", 206, &data[299_994..]),
        ("bytes=0-1,5-6", 200, &data[..]),
    ];
    for (range, status, want) in table {
        let part = client.ask("GET", &link.path, &format!("Range: {range}\r\n"), b"").await;
        assert_eq!((part.status(), part.body.as_slice() == want), (status, true), "{range}");
    }
    let beyond = client.ask("GET", &link.path, "Range: bytes=300001-\r\n", b"").await;
    assert_eq!((beyond.status(), beyond.header("content-range")), (416, "bytes */300001"));
    let etag = whole.header("etag");
    let same = client.ask("GET", &link.path, &format!("If-None-Match: {etag}\r\n"), b"").await;
    assert_eq!((same.status(), same.body.len()), (304, 0));
    let other = client.ask("GET", &link.path, "If-Match: \"x\"\r\n", b"").await;
    assert_eq!(other.status(), 412);
}

#[tokio::test]
async fn old_clients_are_served_and_names_do_not_matter() {
    let server = Server::start().await;
    let data = bytes(100);
    let id = server.image("x", &data).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    let mut client = server.connect().await;
    client.send(format!("GET {} HTTP/1.0\r\n\r\n", link.path)).await;
    let reply = client.reply("GET").await;
    assert_eq!((reply.status(), reply.body.as_slice()), (200, &data[..]));
    client.closed().await;

    let bare = link.path.rsplit_once('/').unwrap().0;
    for path in [bare.to_owned(), format!("{bare}/"), format!("{bare}/any/../thing.bin?x=y"), link.path.clone()] {
        assert_eq!(server.get(&path, "").await.status(), 200, "{path}");
    }
    let (transaction, upload) = server.order(FileLogin::None).await;
    assert_eq!(server.put(&upload.path, b"").await.status(), 201, "a log may be empty");
    let stored = Target::Stored(server.files.arrived(transaction).unwrap());
    let reply = server.get(&server.link(stored, FileLogin::None).path, "").await;
    assert_eq!((reply.status(), reply.header("content-length")), (200, "0"));
}

#[tokio::test]
async fn what_is_no_link_of_ours_leads_nowhere() {
    let server = Server::start().await;
    let data = bytes(10);
    let id = server.image("x", &data).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    let token = link.path.split('/').nth(2).unwrap().to_owned();
    let forged = format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { 'B' } else { 'A' });
    let sha = hex::encode(sum(&data));
    let paths = [
        "/files/".to_owned(),
        "/files/../../etc/passwd".to_owned(),
        "/files/%2e%2e/%2e%2e/key".to_owned(),
        format!("/files/{sha}"),
        format!("/files/{forged}/x.bin"),
        format!("/files/%00{token}"),
        format!("/files/{}", "A".repeat(8_000)),
        server.link(Target::Image(ImageId(99)), FileLogin::None).path,
        server.link(Target::Stored(StoredFileId(99)), FileLogin::None).path,
    ];
    for path in paths {
        let reply = server.get(&path, "").await;
        assert_eq!((reply.status(), reply.header("connection")), (404, "close"), "{path:.60}");
    }
    for method in ["PUT", "POST", "DELETE", "OPTIONS"] {
        let reply = server.ask(method, &link.path, "Content-Length: 0\r\n", b"").await;
        assert_eq!((reply.status(), reply.header("allow")), (405, "GET, HEAD"), "{method}");
    }
    assert_eq!(server.ask("POST", "/acs", "Content-Length: 0\r\n", b"").await.status(), 403, "no CWMP here");
}

#[tokio::test]
async fn a_link_ends_with_its_time_and_with_the_key() {
    let server = Server::start().await;
    let id = server.image("x", &bytes(10)).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    assert_eq!(link.expires_at.as_secs(), NOW + 24 * 3600);
    server.clock.0.store(NOW + 24 * 3600 - 1, Ordering::Relaxed);
    assert_eq!(server.get(&link.path, "").await.status(), 200);
    server.clock.0.store(NOW + 24 * 3600, Ordering::Relaxed);
    assert_eq!(server.get(&link.path, "").await.status(), 404);
    let terms = acsd::files::Terms { delay: Duration::from_hours(5), ..Default::default() };
    let later = server.files.link(Target::Image(id), server.device, acsd::types::ident::TransactionId(1), terms);
    assert_eq!(later.expires_at.as_secs(), NOW + (24 + 24 + 5) * 3600);
}

#[tokio::test]
async fn a_link_leads_to_what_it_was_made_for_or_nowhere() {
    let server = Server::start().await;
    let (first, second) = (bytes(1_000), bytes(2_000));
    let id = server.image("x", &first).await;
    let link = server.link(Target::Image(id), FileLogin::None);
    assert_eq!(server.get(&link.path, "").await.body, first);
    // Its bytes are replaced.
    server.fill(id, &second).await;
    assert_eq!(server.get(&link.path, "").await.status(), 404);
    let of_second = server.link(Target::Image(id), FileLogin::None);
    assert_eq!(server.get(&of_second.path, "").await.body, second);
    // Another image gets its number.
    server.remove(id).await;
    assert_eq!(server.get(&of_second.path, "").await.status(), 404);
    server.image_with(Some(id), "y", &first).await;
    assert_eq!(server.get(&of_second.path, "").await.status(), 404);
    // A file of a device that sends another one for the same order.
    let (transaction, upload) = server.order(FileLogin::None).await;
    assert_eq!(server.put(&upload.path, b"first").await.status(), 201);
    let stored = server.link(Target::Stored(server.files.arrived(transaction).unwrap()), FileLogin::None);
    assert_eq!(server.get(&stored.path, "").await.body, b"first");
    assert_eq!(server.put(&upload.path, b"second").await.status(), 200);
    assert_eq!(server.get(&stored.path, "").await.status(), 404);
}
