//! The wanted firmware image: from the API to the device that runs it, and what is said when it does not.

use acsd::model::device_type::FileLogin;
use acsd::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage, ImageId};
use acsd::simulator::{CpeHandle, Misbehaviour};
use acsd::types::event::EventCode;
use acsd::types::time::Timestamp;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, PATIENCE, config};

const VERSION: &str = "Device.DeviceInfo.SoftwareVersion";

/// An image that makes simulated CPEs show `shown`, on record under `version`.
pub(super) async fn image(acs: &Acs, version: &str, shown: &str) -> u32 {
    let make = |id| FirmwareImage {
        id: ImageId(id),
        name: "router.bin".to_owned(),
        version: version.to_owned(),
        device_type: None,
        file_type: FIRMWARE_FILE_TYPE.to_owned(),
        size: None,
        sha256: None,
        content: Content::Missing,
        created: Timestamp::default(),
    };
    let id = acs.daemon.store.firmware_images().add(None, Box::new(make)).await.unwrap().id;
    let mut draft = acs.daemon.files.receive_new_image(None).await.unwrap();
    draft.write(Bytes::from(format!("Version: {shown}\n{}", "x".repeat(100_000)))).await.unwrap();
    let complete = draft.complete().await.unwrap();
    acs.daemon.files.complete_image(id, complete).await.unwrap();
    id.0
}

async fn want(acs: &Acs, serial: &str, image: u32) -> Value {
    let path = format!("/inventory_device_serial/{serial}/");
    let reply = acs.call("PATCH", &path, Some(json!({"firmware_image": image}))).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

/// The device's last transaction of this kind, once it has ended; the CPE calls until then.
pub(super) async fn ended(acs: &Acs, cpe: &CpeHandle, serial: &str, kind: &str) -> Value {
    let until = tokio::time::Instant::now() + PATIENCE;
    let path = format!("/transaction/?serial_number={serial}&kind={kind}");
    loop {
        let row = acs.get(&path).await["results"][0].clone();
        if matches!(row["status"].as_str(), Some("completed" | "failed" | "expired" | "canceled")) {
            return row;
        }
        assert!(tokio::time::Instant::now() < until, "the transaction of {serial} does not end: {row}");
        // Refused while it restarts.
        let _session = cpe.session(&[EventCode::Periodic]).await;
    }
}

async fn detail(acs: &Acs, serial: &str) -> Value {
    acs.get(&format!("/inventory_device_serial/{serial}/?pending=true")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wanted_image_is_fetched_installed_and_reported() {
    let acs = Acs::start(config()).await;
    let image = image(&acs, " 7.0.1 ", "7.0.1").await;
    let cpe = Cpe::spawn(acs.cpe("FW-1")).await;
    cpe.session(&[]).await.unwrap();
    let wanted = want(&acs, "FW-1", image).await;
    assert_eq!((&wanted["firmware_image"], &wanted["firmware_image_is_pending"]), (&json!(image), &json!(true)));
    assert_eq!(wanted["pending_settings"], "firmware_upgrade");
    let row = ended(&acs, &cpe, "FW-1", "firmware").await;
    assert_eq!(
        (&row["status"], &row["operation"], &row["fault"]),
        (&json!("completed"), &json!("Download"), &Value::Null)
    );
    assert_eq!(row["result"]["sends"], 1);
    assert!(row["result"]["completed"].is_string(), "{row}");
    let device =
        acs.row_until("/inventory_device_serial/FW-1/", |device| device["pending_settings"] == Value::Null).await;
    assert_eq!((&device["software_version"], &device["firmware_image_is_pending"]), (&json!("7.0.1"), &json!(false)));
    assert_eq!(cpe.value(VERSION).as_deref(), Some("7.0.1"));
    let events = acs.get("/event/?kind=firmware_changed&serial_number=FW-1").await;
    assert_eq!(events["results"][0]["data"]["new"], "7.0.1", "{events}");
    // Asked again, there is nothing to do.
    assert_eq!(want(&acs, "FW-1", image).await["firmware_image_is_pending"], false);
    assert_eq!(acs.get("/transaction/?serial_number=FW-1&kind=firmware").await["count"], 1);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_that_report_oddly_are_upgraded_all_the_same() {
    let acs = Acs::start(config()).await;
    let image = image(&acs, "7.0.1", "7.0.1").await;
    let habits = ["no-transfer-complete", "transfer-complete-before-reboot", "empty-transfer-key"];
    for habit in habits {
        let serial = format!("FW-{habit}");
        let cpe = Cpe::spawn(acs.cpe(&serial).misbehave(habit.parse().unwrap())).await;
        cpe.session(&[]).await.unwrap();
        want(&acs, &serial, image).await;
        let row = ended(&acs, &cpe, &serial, "firmware").await;
        assert_eq!(row["status"], "completed", "{habit}: {row}");
        assert_eq!(row["note"].is_string(), habit == "no-transfer-complete", "{habit}: {row}");
        assert_eq!(row["result"]["sends"], 1, "{habit}: {row}");
        assert_eq!(cpe.value(VERSION).as_deref(), Some("7.0.1"), "{habit}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_went_wrong_is_said_in_words_and_not_tried_again_by_itself() {
    let acs = Acs::start(config()).await;
    let image = image(&acs, "7.0.1", "7.0.1").await;
    let habit = Misbehaviour::DownloadWithoutVersionChange;
    let cpe = Cpe::spawn(acs.cpe("FW-OLD").misbehave(habit)).await;
    cpe.session(&[]).await.unwrap();
    want(&acs, "FW-OLD", image).await;
    let row = ended(&acs, &cpe, "FW-OLD", "firmware").await;
    let words = "the device came back with software 1.0.0 instead of 7.0.1";
    assert_eq!((&row["status"], &row["fault"]["message"]), (&json!("failed"), &json!(words)), "{row}");
    let device = acs.row_until("/inventory_device_serial/FW-OLD/?pending=true", |device| {
        device["pending_settings_detail"][0]["status"] == "failed"
    });
    let device = device.await;
    assert_eq!(device["pending_settings_detail"][0]["detail"], words, "{device}");
    assert_eq!(
        (&device["pending_settings"], &device["firmware_image_is_pending"]),
        (&json!("firmware_upgrade"), &json!(true))
    );
    // Neither its Informs nor a restart bring the image again.
    for events in [&[EventCode::Periodic][..], &[EventCode::Boot], &[EventCode::Boot]] {
        cpe.session(events).await.unwrap();
    }
    assert_eq!(acs.get("/transaction/?serial_number=FW-OLD&kind=firmware").await["count"], 1);
    // Naming it again does.
    want(&acs, "FW-OLD", image).await;
    assert_eq!(acs.get("/transaction/?serial_number=FW-OLD&kind=firmware").await["count"], 2);
    assert_eq!(ended(&acs, &cpe, "FW-OLD", "firmware").await["status"], "failed");
    // And when it is not wanted any more, it is not pending.
    let reply = acs.call("PATCH", "/inventory_device_serial/FW-OLD/", Some(json!({"firmware_image": null}))).await;
    assert_eq!((&reply.body["firmware_image"], &reply.body["pending_settings"]), (&Value::Null, &Value::Null));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupted_image_gets_one_more_try() {
    let mut config = config();
    config.transactions.backoff_first_secs = 1;
    let acs = Acs::start(config).await;
    let image = image(&acs, "7.0.1", "7.0.1").await;
    let cpe = Cpe::spawn(acs.cpe("FW-BAD").misbehave(Misbehaviour::CorruptDownload)).await;
    cpe.session(&[]).await.unwrap();
    want(&acs, "FW-BAD", image).await;
    let row = ended(&acs, &cpe, "FW-BAD", "firmware").await;
    assert_eq!((&row["fault"]["code"], &row["result"]["sends"]), (&json!(9018), &json!(2)), "{row}");
    assert!(row["fault"]["message"].as_str().unwrap().contains("file corrupted"), "{row}");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_created_ahead_gets_its_image_at_first_contact() {
    let acs = Acs::start(config()).await;
    let image = image(&acs, "7.0.1", "7.0.1").await;
    let body = json!({"serial_number": "FW-AHEAD", "firmware_image": image});
    let made = acs.call("POST", "/inventory_device_serial/", Some(body)).await;
    assert_eq!((made.status, &made.body["pending_settings"]), (201, &json!("firmware_upgrade")), "{}", made.body);
    let same =
        json!({"serial_number": "FW-SAME", "firmware_image": super::firmware::image(&acs, "1.0.0", "1.0.0").await});
    assert_eq!(acs.call("POST", "/inventory_device_serial/", Some(same)).await.status, 201);
    let cpe = Cpe::spawn(acs.cpe("FW-AHEAD")).await;
    cpe.session(&[]).await.unwrap();
    assert_eq!(ended(&acs, &cpe, "FW-AHEAD", "firmware").await["status"], "completed");
    cpe.finish().await;
    // One that runs it already is left alone.
    let cpe = Cpe::spawn(acs.cpe("FW-SAME")).await;
    cpe.session(&[]).await.unwrap();
    assert_eq!(detail(&acs, "FW-SAME").await["firmware_image_is_pending"], false);
    assert_eq!(acs.get("/transaction/?serial_number=FW-SAME&kind=firmware").await["count"], 0);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_of_types_that_say_so_log_in() {
    let acs = Acs::start(config()).await;
    let image = image(&acs, "7.0.1", "7.0.1").await;
    for login in ["basic", "digest"] {
        let serial = format!("FW-{login}");
        let patch = json!({"file_login": login});
        assert_eq!(acs.call("PATCH", "/inventory_device_type/1/", Some(patch)).await.body["file_login"], login);
        let kept = acs.daemon.store.device_types().get(1).unwrap().file_login;
        assert!(matches!((kept, login), (FileLogin::Basic, "basic") | (FileLogin::Digest, "digest")));
        let cpe = Cpe::spawn(acs.cpe(&serial)).await;
        cpe.session(&[]).await.unwrap();
        want(&acs, &serial, image).await;
        assert_eq!(ended(&acs, &cpe, &serial, "firmware").await["status"], "completed", "{login}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_replaces_one_that_has_not_started() {
    let acs = Acs::start(config()).await;
    let (first, second) = (image(&acs, "7.0.1", "7.0.1").await, image(&acs, "8.0.0", "8.0.0").await);
    let cpe = Cpe::spawn(acs.cpe("FW-TWO")).await;
    cpe.session(&[]).await.unwrap();
    cpe.finish().await;
    want(&acs, "FW-TWO", first).await;
    want(&acs, "FW-TWO", second).await;
    want(&acs, "FW-TWO", second).await;
    let all = acs.get("/transaction/?serial_number=FW-TWO&kind=firmware").await;
    let statuses: Vec<_> = all["results"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(statuses, ["scheduled", "canceled"], "{all}");
    // Withdrawn by hand, it stays pending, and says so.
    let id = all["results"][0]["id"].as_u64().unwrap();
    assert_eq!(acs.call("DELETE", &format!("/transaction/{id}/"), None).await.status, 204);
    let device = detail(&acs, "FW-TWO").await;
    let pending = &device["pending_settings_detail"][0];
    assert_eq!((&pending["status"], &pending["setting"]), (&json!("failed"), &json!("firmware_upgrade")));
    assert!(pending["detail"].as_str().unwrap().contains("withdrawn by"), "{pending}");
    // And none of it is wanted any more.
    want(&acs, "FW-TWO", first).await;
    let reply = acs.call("PATCH", "/inventory_device_serial/FW-TWO/", Some(json!({"firmware_image": null}))).await;
    assert_eq!(reply.body["pending_settings"], Value::Null);
    let all = acs.get("/transaction/?serial_number=FW-TWO&kind=firmware&status=scheduled").await;
    assert_eq!(all["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_do_not_fit_are_refused() {
    let acs = Acs::start(config()).await;
    let fits = image(&acs, "7.0.1", "7.0.1").await;
    let cpe = Cpe::spawn(acs.cpe("FW-NO")).await;
    cpe.session(&[]).await.unwrap();
    cpe.finish().await;
    let images = acs.daemon.store.firmware_images();
    let path = "/inventory_device_serial/FW-NO/";
    let patch = |image: u32| acs.call("PATCH", path, Some(json!({"firmware_image": image})));
    assert_eq!(patch(99).await.status, 400);
    let other = |image: &mut FirmwareImage| image.device_type = Some(acsd::model::device::DeviceTypeId(7));
    images.edit(fits, Box::new(other)).await.unwrap();
    let reply = patch(fits).await;
    assert_eq!((reply.status, reply.body["firmware_image"].is_array()), (400, true), "{}", reply.body);
    let missing = |image: &mut FirmwareImage| (image.device_type, image.content) = (None, Content::Missing);
    images.edit(fits, Box::new(missing)).await.unwrap();
    assert_eq!(patch(fits).await.status, 422);
    let made =
        acs.call("POST", "/inventory_device_serial/", Some(json!({"serial_number": "N", "firmware_image": fits})));
    assert_eq!(made.await.status, 422);
    assert_eq!(detail(&acs, "FW-NO").await["firmware_image"], Value::Null);
}
