//! Firmware images and the files of devices.

use axum::body::Body;
use bytes::Bytes;
use http::header;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::PATIENCE;

use super::support::{ADMIN, Api, OPERATOR, Reply, TRANSACTIONS, TYPES, VIEWER, device, record};

const IMAGES: &str = "/api/v1/firmware_image/";

fn bytes(length: usize) -> Bytes {
    (0..length).map(|at| u8::try_from((at * 31 + at / 251) % 256).expect("a byte")).collect()
}

fn sum(data: &[u8]) -> String {
    hex::encode(Sha256::digest(data))
}

impl Api {
    /// Brings the file of an image, or a part of it.
    async fn bring(&self, id: &Value, headers: &[(&str, &str)], body: impl Into<Body>) -> Reply {
        let mut request = self.request("PUT", &format!("{IMAGES}{id}/file/"), ADMIN);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).expect("a request")).await
    }

    /// The bytes of an answer.
    async fn fetch(&self, path: &str, headers: &[(&str, &str)]) -> (u16, http::HeaderMap, Bytes) {
        let mut request = self.request("GET", path, VIEWER);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.raw(request.body(Body::empty()).expect("a request")).await
    }

    async fn form(&self, body: Vec<u8>) -> Reply {
        let request = self
            .request("POST", IMAGES, ADMIN)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=XX")
            .body(Body::from(body));
        self.send(request.expect("a request")).await
    }
}

fn part(name: &str, value: &str) -> Vec<u8> {
    format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes()
}

fn form(fields: &[(&str, &str)], file: &[u8]) -> Vec<u8> {
    let mut body: Vec<u8> = fields.iter().flat_map(|(name, value)| part(name, value)).collect();
    body.extend_from_slice(b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../x\"\r\n\r\n");
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--XX--\r\n");
    body
}

#[tokio::test]
async fn an_image_is_created_brought_fetched_and_removed() {
    let api = Api::start().await;
    let data = bytes(300_000);
    let made =
        api.make(IMAGES, json!({"name": "Router 2.0.img", "version": "2.0", "type": 1, "sha256": sum(&data)})).await;
    assert_eq!(made["file_type"], "1 Firmware Upgrade Image");
    assert_eq!((&made["size"], &made["is_complete"]), (&Value::Null, &json!(false)));
    let path = record(IMAGES, &made["id"]);
    api.call_as(VIEWER, "GET", &format!("{path}file/"), Value::Null).await.refused(404, "it is still to come");
    let brought = api.bring(&made["id"], &[], Body::from(data.clone())).await.expect(200, "brought");
    assert_eq!((&brought["size"], &brought["is_complete"]), (&json!(300_000), &json!(true)));
    assert_eq!(brought["sha256"], sum(&data));

    let (status, headers, body) = api.fetch(&format!("{path}file/"), &[("accept-encoding", "gzip")]).await;
    assert_eq!((status, body.len(), body == data), (200, 300_000, true));
    assert_eq!(headers["etag"], format!("\"{}\"", sum(&data)));
    assert_eq!(headers["content-length"], "300000");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"Router-2.0.img\"");
    assert!(!headers.contains_key("content-encoding") && !headers.contains_key("transfer-encoding"));
    let (status, headers, body) = api.fetch(&format!("{path}file/"), &[("range", "bytes=-5")]).await;
    assert_eq!((status, &body[..]), (206, &data[299_995..]));
    assert_eq!(headers["content-range"], "bytes 299995-299999/300000");
    let etag = format!("\"{}\"", sum(&data));
    assert_eq!(api.fetch(&format!("{path}file/"), &[("if-none-match", &etag)]).await.0, 304);
    let head = api.call_as(VIEWER, "HEAD", &format!("{path}file/"), Value::Null).await;
    assert_eq!((head.status, head.header("content-length")), (200, "300000"));
    assert_eq!(api.fetch(&format!("{path}file/"), &[("range", "bytes=300000-")]).await.0, 416);

    let changed = api.call_as(ADMIN, "PATCH", &path, json!({"version": "2.1", "size": 300_000})).await;
    assert_eq!(changed.expect(200, "changed")["version"], "2.1");
    let refused = api.call_as(ADMIN, "PATCH", &path, json!({"size": 1, "sha256": "00".repeat(32)})).await;
    refused.refused_fields(&["size", "sha256"], "the file is here");
    let shown = api.call_as(VIEWER, "GET", &path, Value::Null).await.expect(200, "shown");
    let again = api.call_as(ADMIN, "PUT", &path, shown.clone()).await.expect(200, "what a GET gave can be sent back");
    assert_eq!(again, shown);
    let list = api.get(IMAGES).await.expect(200, "list");
    assert_eq!((&list["count"], &list["results"][0]), (&json!(1), &shown));
    assert!(api.call_as(ADMIN, "DELETE", &path, Value::Null).await.status == 204);
    api.call_as(ADMIN, "GET", &path, Value::Null).await.refused(404, "it is gone");
}

#[tokio::test]
async fn a_form_brings_everything_at_once() {
    let api = Api::start().await;
    let data = bytes(200_000);
    let fields = [("name", "F"), ("version", "3"), ("type", "1"), ("size", "200000"), ("sha256", &sum(&data))];
    let made = api.form(form(&fields, &data)).await.expect(201, "made");
    assert_eq!((&made["is_complete"], &made["type"], &made["version"]), (&json!(true), &json!(1), &json!("3")));
    let (_, _, body) = api.fetch(&format!("{IMAGES}{}/file/", made["id"]), &[]).await;
    assert_eq!(body, data);
    let bare = api.form([part("name", "G"), b"--XX--\r\n".to_vec()].concat()).await.expect(201, "without a file");
    assert_eq!(bare["is_complete"], false);

    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], &'a [&'a str]);
    let table: [Case<'_>; 6] = [
        (&[("name", "F"), ("size", "5")], b"123456", &["size"]),
        (&[("name", "F"), ("sha256", &"00".repeat(32))], b"123456", &["sha256"]),
        (&[("name", "F")], b"", &["file"]),
        (&[("size", "x"), ("type", "99"), ("odd", "1")], b"1", &["name", "size", "type", "odd"]),
        (&[("name", &"x".repeat(10_000))], b"1", &["name"]),
        (&[("name", "F"), ("sha256", "x")], b"1", &["sha256"]),
    ];
    for (fields, file, wrong) in table {
        api.form(form(fields, file)).await.refused_fields(wrong, &format!("{wrong:?}"));
    }
    let twice = [part("name", "F"), form(&[], b"1").replace_end(), form(&[], b"2")].concat();
    api.form(twice).await.refused_fields(&["file"], "two files");
    api.form(b"nothing".to_vec()).await.refused(400, "no form");
    let cut = form(&[("name", "F")], &data);
    api.form(cut[..cut.len() - 30].to_vec()).await.refused(400, "it breaks off");
    let count = &api.get(IMAGES).await.expect(200, "list")["count"];
    assert_eq!(*count, 2, "nothing of what was refused is kept");
}

trait ReplaceEnd {
    /// A form that goes on.
    fn replace_end(self) -> Self;
}

impl ReplaceEnd for Vec<u8> {
    fn replace_end(mut self) -> Self {
        self.truncate(self.len() - b"--XX--\r\n".len());
        self
    }
}

#[tokio::test]
async fn a_file_comes_in_parts_and_is_gone_on_with() {
    let api = Api::start().await;
    let data = bytes(100_000);
    let made = api.make(IMAGES, json!({"name": "P", "size": 100_000, "sha256": sum(&data)})).await;
    let id = &made["id"];
    let part = |from: usize, to: usize| Body::from(data.slice(from..to));
    let first = api.bring(id, &[("content-range", "bytes 0-39999/100000")], part(0, 40_000)).await;
    assert_eq!((first.status, first.header("upload-offset")), (202, "40000"));
    let head = api.call_as(VIEWER, "HEAD", &format!("{IMAGES}{id}/file/"), Value::Null).await;
    assert_eq!((head.status, head.header("upload-offset")), (404, "40000"));
    for range in ["bytes 30000-99999/100000", "bytes 50000-99999/100000"] {
        let at: usize = if range.contains("30000") { 30_000 } else { 50_000 };
        let wrong = api.bring(id, &[("content-range", range)], part(at, 100_000)).await;
        assert_eq!((wrong.status, wrong.header("upload-offset")), (409, "40000"), "{range}");
    }
    // A body that breaks off: what came of it stays.
    let mut stream = tokio::net::TcpStream::connect(api.address).await.expect("a connection");
    let head = format!(
        "PUT {IMAGES}{id}/file/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Range: bytes 40000-99999/100000\r\nContent-Length: 60000\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&data[40_000..60_000]).await.expect("sent");
    drop(stream);
    let waiting = async {
        let mut here = String::new();
        while here != "60000" {
            let head = api.call_as(VIEWER, "HEAD", &format!("{IMAGES}{id}/file/"), Value::Null).await;
            here = head.header("upload-offset").to_owned();
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("what came is kept");
    let last = api.bring(id, &[("content-range", "bytes 60000-99999/100000")], part(60_000, 100_000)).await;
    assert_eq!(last.expect(200, "whole")["is_complete"], true);

    for (header, value) in [
        ("content-range", "bytes 5-1/9"),
        ("content-range", "bytes 0-9/100000"),
        ("content-range", "bytes 0-18446744073709551615/*"),
        ("content-range", "nonsense"),
    ] {
        let other = api.make(IMAGES, json!({"name": "Q"})).await;
        api.bring(&other["id"], &[(header, value)], part(0, 20)).await.refused(400, value);
    }
}

#[tokio::test]
async fn the_first_part_and_the_whole_are_in_the_audit_trail() {
    let api = Api::start().await;
    let data = bytes(90_000);
    let made = api.make(IMAGES, json!({"name": "P", "size": 90_000})).await;
    let id = &made["id"];
    let entries = async || {
        let trail = api.call_as(ADMIN, "GET", "/api/v1/audit/?resource=firmware_image", Value::Null).await;
        let trail = trail.expect(200, "the trail")["results"].clone();
        let told = trail.as_array().expect("a list").iter().filter(|entry| entry["action"] == "update");
        told.map(|entry| entry["after"]["file"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let bring = async |from: usize, to: usize| {
        let range = format!("bytes {from}-{}/90000", to - 1);
        api.bring(id, &[("content-range", &range)], Body::from(data.slice(from..to))).await.status
    };
    assert_eq!(bring(0, 30_000).await, 202);
    assert_eq!(entries().await, ["upload begun"]);
    assert_eq!(bring(30_000, 60_000).await, 202);
    assert_eq!(bring(40_000, 90_000).await, 409, "not where it ends");
    assert_eq!(entries().await, ["upload begun"], "not one for each part");
    assert_eq!(bring(60_000, 90_000).await, 200);
    assert_eq!(entries().await, ["uploaded", "upload begun"]);
}

#[tokio::test]
async fn what_is_not_as_announced_is_refused_and_not_kept() {
    let api = Api::start().await;
    let table =
        [(json!({"name": "A", "size": 5}), "size"), (json!({"name": "B", "sha256": "00".repeat(32)}), "sha256")];
    for (body, field) in table {
        let made = api.make(IMAGES, body).await;
        api.bring(&made["id"], &[], Body::from("123456")).await.refused_fields(&[field], field);
        let head = api.call_as(VIEWER, "HEAD", &format!("{IMAGES}{}/file/", made["id"]), Value::Null).await;
        assert_eq!((head.status, head.header("upload-offset")), (404, "0"), "{field}");
    }
    let made = api.make(IMAGES, json!({"name": "C"})).await;
    let curl = [("content-type", "application/x-www-form-urlencoded")];
    api.bring(&made["id"], &curl, Body::from("1")).await.refused(415, "what curl says of data");
    api.bring(&made["id"], &[], Body::empty()).await.refused_fields(&["file"], "empty");
    api.bring(&json!(999), &[], Body::from("1")).await.refused(404, "no such image");
    for (body, fields) in [
        (json!({}), &["name"][..]),
        (
            json!({"name": " ", "type": 77, "size": "5", "sha256": "xyz", "odd": 1}),
            &["name", "type", "size", "sha256", "odd"],
        ),
        (json!({"name": "x", "size": 1_u64 << 40}), &["size"]),
        (json!({"name": "x", "version": "v".repeat(65), "file_type": " "}), &["version", "file_type"]),
    ] {
        api.call_as(ADMIN, "POST", IMAGES, body).await.refused_fields(fields, &format!("{fields:?}"));
    }
}

#[tokio::test]
async fn what_is_referred_to_stays() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let kind = api.make(TYPES, json!({"name": "other"})).await;
    let made = api.make(IMAGES, json!({"name": "A", "type": kind["id"]})).await;
    let set = |value: Value| {
        let api = &api;
        async move { api.call("PATCH", &device("S"), json!({"firmware_image": value})).await }
    };
    set(json!(999)).await.refused_fields(&["firmware_image"], "there is none");
    set(made["id"].clone()).await.refused_fields(&["firmware_image"], "for another type");
    let any = api.make(IMAGES, json!({"name": "B"})).await;
    api.bring(&any["id"], &[], Body::from("firmware")).await.expect(200, "brought");
    set(any["id"].clone()).await.expect(200, "for any type");
    let path = record(IMAGES, &any["id"]);
    let refused = api.call_as(ADMIN, "DELETE", &path, Value::Null).await.expect(409, "in use");
    assert_eq!(refused["dependents"]["devices"], 1);
    let refused = api.bring(&any["id"], &[], Body::from("other")).await.expect(409, "in use");
    assert_eq!(refused["dependents"]["devices"], 1);
    let typed = api.call_as(ADMIN, "PATCH", &path, json!({"type": kind["id"]})).await;
    typed.refused_fields(&["type"], "a device of another type is to run it");
    api.call_as(ADMIN, "PATCH", &path, json!({"type": 1})).await.expect(200, "its own type");
    api.call("PATCH", &device("S"), json!({"type": kind["id"]})).await.refused_fields(&["firmware_image"], "the type");
    set(Value::Null).await.expect(200, "none");
    // A campaign that is to bring it does so as well, from its draft on.
    let draft = json!({"name": "C", "operation": "firmware", "firmware_image": any["id"], "selection": {}});
    let campaign = api.make("/api/v1/campaign/", draft).await;
    let refused = api.call_as(ADMIN, "DELETE", &path, Value::Null).await.expect(409, "in use");
    assert_eq!(refused["dependents"]["campaigns"], 1);
    let refused = api.bring(&any["id"], &[], Body::from("other")).await.expect(409, "in use");
    assert_eq!(refused["dependents"]["campaigns"], 1);
    let campaign = record("/api/v1/campaign/", &campaign["id"]);
    assert_eq!(api.call_as(ADMIN, "DELETE", &campaign, Value::Null).await.status, 204);
    // Work that brings it refers to it as well.
    let transactions = api.get(TRANSACTIONS).await.expect(200, "list");
    if transactions["count"] == 0 {
        let replaced = api.bring(&any["id"], &[], Body::from("other")).await.expect(200, "nobody has it");
        assert_eq!(replaced["size"], 5);
        assert_eq!(api.call_as(ADMIN, "DELETE", &path, Value::Null).await.status, 204);
    }
}

#[tokio::test]
async fn what_is_referred_to_before_its_new_file_is_whole_stays() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let made = api.make(IMAGES, json!({"name": "A"})).await;
    api.bring(&made["id"], &[], Body::from("firmware")).await.expect(200, "brought");
    let mut stream = tokio::net::TcpStream::connect(api.address).await.expect("a connection");
    let head = format!(
        "PUT {IMAGES}{}/file/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN}\r\n\
         Content-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        made["id"]
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    // It is asked for: nothing refers to the image by now.
    let mut asked = [0; 25];
    tokio::time::timeout(PATIENCE, stream.read_exact(&mut asked)).await.expect("in time").expect("an answer");
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let set = json!({"firmware_image": made["id"]});
    api.call("PATCH", &device("S"), set).await.expect(200, "referred to");
    stream.write_all(b"other").await.expect("sent");
    let mut answer = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 409") && answer.contains("\"devices\":1"), "{answer}");
    let (status, _, body) = api.fetch(&format!("{IMAGES}{}/file/", made["id"]), &[]).await;
    assert_eq!((status, &body[..]), (200, &b"firmware"[..]));
}

#[tokio::test]
async fn files_of_a_device_are_listed_fetched_and_removed() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api.create(json!({"serial_number": "T"})).await;
    let key = api.store.by_serial("S").await.expect("the store").expect("the device").key;
    let (first, second) = (api.sent(key, b"first").await, api.sent(key, b"second").await);
    let path = format!("{}files/", device("S"));
    let list = api.get(&path).await.expect(200, "list");
    assert_eq!(
        (&list["count"], &list["results"][0]["id"], &list["results"][1]["id"]),
        (&json!(2), &json!(second), &json!(first))
    );
    let shown = api.get(&format!("{path}{first}/")).await.expect(200, "shown");
    assert_eq!(shown["file_type"], "3 Vendor Configuration File 1");
    assert_eq!((&shown["size"], &shown["serial_number"]), (&json!(5), &json!("S")));
    assert_eq!(shown["sha256"], sum(b"first"));
    let (status, headers, body) = api.fetch(&format!("{path}{first}/file/"), &[]).await;
    assert_eq!((status, &body[..]), (200, &b"first"[..]));
    assert_eq!(headers["content-disposition"], "attachment; filename=\"device.cfg\"");
    api.get(&format!("{}files/{first}/", device("T"))).await.refused(404, "another device's");
    api.get(&format!("{path}x/")).await.refused(404, "no number");
    assert_eq!(api.call_as(OPERATOR, "DELETE", &format!("{path}{first}/"), Value::Null).await.status, 204);
    api.get(&format!("{path}{first}/file/")).await.refused(404, "it is gone");
    assert_eq!(api.call("DELETE", &device("S"), Value::Null).await.status, 204);
    assert!(api.store.stored_files().all().is_empty(), "they go with the device");
}
