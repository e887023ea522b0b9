//! `POST …/files/`: what a device can be told to send and to fetch.

use std::sync::Arc;

use acsd::api::ApiConfig;
use acsd::clock::SystemClock;
use acsd::files::{Target, Terms};
use acsd::model::transaction::{Kind, NewTransaction, Work};
use acsd::model::transfer::{FileRef, UploadOrder};
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::store::{Merge, Store};
use acsd::types::ident::TransactionId;
use acsd::types::time::Clock as _;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, STRANGER, VIEWER, device};

fn files(serial: &str) -> String {
    format!("{}files/", device(serial))
}

async fn work(api: &Api, made: &Value) -> Work {
    let id = TransactionId(made["id"].as_u64().expect("an id"));
    api.store.transaction(id).await.expect("the store").expect("there").work
}

#[tokio::test]
async fn uploads_are_ordered_by_a_word_or_in_full() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    for (body, file_type) in [
        (json!({"upload": "config"}), "3 Vendor Configuration File 1"),
        (json!({"upload": "log", "index": 2, "delay": 60}), "4 Vendor Log File 2"),
        (json!({"upload": "1 Vendor Configuration File"}), "1 Vendor Configuration File"),
    ] {
        let made = api.call_owned("POST", files("S"), body).await.expect(202, file_type);
        assert_eq!(
            (&made["kind"], &made["operation"], &made["result"]),
            (&json!("transfer"), &json!("Upload"), &Value::Null)
        );
        let Work::Upload(order) = work(&api, &made).await else { panic!("no upload") };
        assert_eq!(order.file_type, file_type);
    }
    let trail = api.call_as(ADMIN, "GET", "/api/v1/audit/?resource=file", Value::Null).await.expect(200, "trail");
    assert_eq!(trail["count"], 3);
}

#[tokio::test]
async fn downloads_are_of_files_that_the_caller_may_see() {
    let api = Api::start().await;
    let made = api.create(json!({"serial_number": "S"})).await;
    let key = acsd::types::ident::DeviceKey(u32::try_from(made["id"].as_u64().expect("an id")).expect("small"));
    let file = api.sent(key, b"<config/>").await;
    let post = |body: Value| api.call_owned("POST", files("S"), body);
    let made = post(json!({"download": file, "file_type": "3 Vendor Configuration File"})).await.expect(202, "ours");
    let Work::Download(order) = work(&api, &made).await else { panic!("no download") };
    assert!(matches!(order.file, FileRef::Stored(id) if id.0 == file));
    post(json!({"download": 999})).await.refused_fields(&["download"], "none");
    let path = files("S");
    api.call_as(STRANGER, "POST", &path, json!({"upload": "config"})).await.refused(404, "another's device");
    api.call_as(VIEWER, "POST", &path, json!({"upload": "config"})).await.refused(403, "a viewer");
    let remote = json!({"download_url": "http://h/f", "file_type": "2 Web Content", "username": "u", "password": "hush",
        "windows": [{"start": 0, "end": 60}, {"start": 100, "end": 200, "mode": "4 Confirmation Needed",
            "user_message": "now?", "max_retries": 3}]});
    let made = post(remote).await.expect(202, "elsewhere");
    assert_eq!(made["operation"], "ScheduleDownload");
    let work = work(&api, &made).await;
    assert!(!format!("{work:?}").contains("hush"), "the password is sealed");
    let Work::Download(order) = work else { panic!("no download") };
    assert_eq!(order.windows.iter().map(|window| window.max_retries).collect::<Vec<_>>(), [-1, 3]);
}

#[tokio::test]
async fn wrong_orders_name_their_fields() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let long = format!("http://h/{}", "f".repeat(256));
    let url = |rest: Value| {
        let mut body = json!({"download_url": "http://h/f", "file_type": "2 Web Content"});
        body.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        body
    };
    for (body, fields) in [
        (json!({}), &["upload"][..]),
        (json!({"upload": "config", "download": 1}), &["upload"]),
        (json!({"upload": "everything"}), &["upload"]),
        (json!({"upload": "1 Vendor Configuration File", "index": 1}), &["index"]),
        (json!({"upload": "config", "index": 0, "delay": -1, "windows": []}), &["index", "delay", "windows"]),
        (json!({"download": "1"}), &["download"]),
        (json!({"download_url": "ftp://h/f"}), &["download_url", "file_type"]),
        (json!({"download_url": long, "file_type": "odd"}), &["download_url", "file_type"]),
        (url(json!({"size": -1, "username": 5, "odd": 1})), &["size", "username", "odd"]),
        (url(json!({"delay": 5, "windows": [{"start": 0, "end": 1}]})), &["delay"]),
        (url(json!({"windows": [{"start": 5, "end": 5}, {"end": 1}]})), &["windows"]),
        (
            url(json!({"windows": [{"start": 0, "end": 1}, {"start": 2, "end": 3}, {"start": 4, "end": 5}]})),
            &["windows"],
        ),
    ] {
        api.call_owned("POST", files("S"), body.clone()).await.refused_fields(fields, &body.to_string());
    }
    api.call("PATCH", &device("S"), json!({"is_active": false})).await.expect(200, "inactive");
    api.call_owned("POST", files("S"), json!({"upload": "log"})).await.refused(422, "inactive");
}

#[tokio::test]
async fn a_device_whose_files_cannot_be_removed_is_gone_all_the_same() {
    let memory = || -> Arc<dyn Store> { Arc::new(MemoryStore::new(MemoryConfig::default())) };
    let (records, store) = (memory(), memory());
    // The same device in both.
    let other = Api::over(records.clone(), ApiConfig::default()).await;
    other.create(json!({"serial_number": "S"})).await;
    let api = Api::with_records_of_files(records.clone(), store, ApiConfig::default()).await;
    api.create(json!({"serial_number": "S"})).await;
    let key = api.store.by_serial("S").await.expect("the store").expect("there").key;
    let order = UploadOrder { file_type: "4 Vendor Log File 1".into(), alternatives: Vec::new(), delay_secs: 0 };
    let new = NewTransaction {
        kind: Kind::Transfer,
        work: Work::Upload(Box::new(order)),
        requested_by: "test".into(),
        expires_at: None,
        campaign: None,
    };
    let ordered = records.enqueue(key, new, Merge::Never, SystemClock.now()).await.expect("ordered");
    let link = api.files.link(Target::Upload, key, ordered.id, Terms::default());
    let claim = api.files.claim(link.path.split('/').nth(2).expect("a token")).expect("ours");
    let upload = api.files.upload(&claim).await.expect("the store").expect("it was ordered");
    let mut draft = api.files.receive(&upload, None).await.expect("room");
    draft.write("log".into()).await.expect("written");
    api.files.keep(&upload, draft.complete().await.expect("complete")).await.expect("kept");

    records.close().await.expect("closed");
    let removed = api.call("DELETE", &device("S"), Value::Null).await;
    assert_eq!(removed.status, 204, "{}", removed.text);
    api.get(&device("S")).await.refused(404, "it is gone");
    let trail = api.call_as(ADMIN, "GET", "/api/v1/audit/?serial_number=S", Value::Null).await.expect(200, "the trail");
    let entry = &trail["results"][0];
    assert_eq!((&entry["action"], &entry["after"]["files"]), (&json!("delete"), &json!("left to the next start")));
}
