//! The life of a device, as its events tell it.

use acsd::types::event::EventCode;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, config};

async fn events(acs: &Acs, query: &str) -> Vec<Value> {
    let mut found = acs.get(&format!("/event/?limit=500&{query}")).await["results"].as_array().unwrap().clone();
    found.reverse();
    found
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["kind"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_s_life_is_told_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    (config.store, config.data_dir) = (acsd::config::StoreChoice::Sled, folder.path().to_owned());
    (config.sled.free_space_floor_bytes, config.sled.ballast_bytes) = (0, 0);
    let acs = Acs::start(config).await;
    let cpe = Cpe::spawn(acs.cpe("LIFE")).await;
    cpe.session(&[]).await.unwrap();
    let found = events(&acs, "serial_number=LIFE").await;
    assert_eq!(kinds(&found)[..4], ["first_contact", "bootstrap", "boot", "status"], "{found:#?}");
    assert_eq!(found[0]["data"]["reported_serial_number"], "LIFE");
    let ended = |event: &&Value| event["kind"] == "transaction_ended";
    assert!(found.iter().filter(ended).all(|event| event["data"]["kind"] == "configuration"), "its logins: {found:#?}");
    let mut seen = found.last().unwrap()["id"].as_u64().unwrap();

    let refused = acs.headless("LIFE", "get", json!([{"variable_name": "Device.Nope"}])).await;
    assert_eq!(refused["status"], "failed");
    let found = events(&acs, &format!("after={seen}")).await;
    let fault = found.iter().find(|event| event["kind"] == "fault").expect("the fault");
    assert_eq!((&fault["data"]["code"], &fault["data"]["rpc"]), (&json!(9005), &json!("GetParameterValues")));
    let last = found.last().unwrap();
    assert_eq!((&last["data"]["status"], &last["data"]["fault"]["code"]), (&json!("failed"), &json!(9005)));
    assert_eq!(last["data"]["id"].to_string(), refused["id"].as_str().unwrap());
    seen = last["id"].as_u64().unwrap();

    let code = "Device.DeviceInfo.ProvisioningCode";
    acs.headless("LIFE", "get", json!([{"variable_name": code}])).await;
    let mut reports = cpe.reports();
    assert!(cpe.change_locally(code, "changed-here"));
    while !reports.recv().await.unwrap().has_event(EventCode::ValueChange) {}
    let found = events(&acs, &format!("after={seen}&kind=value_change")).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((&found[0]["data"]["path"], &found[0]["data"]["new"]), (&json!(code), &json!("changed-here")));
    assert!(found[0]["data"]["old"].is_string());

    // Nothing is said of the report of an idle device.
    let before = acs.get("/event/?limit=1").await["count"].clone();
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(acs.get("/event/?limit=1").await["count"], before);
    cpe.finish().await;
    acs.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_and_refusals_are_told_but_not_too_often() {
    let acs = Acs::start(config()).await;
    let first = Cpe::spawn(acs.cpe("TWIN")).await;
    first.session(&[]).await.unwrap();
    let mut second = acs.cpe("TWIN");
    second.identity.oui = "00A0B0".to_owned();
    let second = Cpe::spawn(second).await;
    second.session(&[]).await.unwrap();
    let found = events(&acs, "kind=identity_conflict").await;
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        (&found[0]["serial_number"], &found[0]["data"]["reported_serial_number"]),
        (&json!("00A0B0-TWIN"), &json!("TWIN"))
    );
    for serial in ["X-1", "X-2"] {
        let mut stranger = acs.cpe(serial).credentials("who", "wrong");
        stranger.autonomy = acsd::simulator::Autonomy::OnDemand;
        acsd::simulator::spawn(stranger).await.unwrap().session(&[]).await.unwrap();
    }
    let found = events(&acs, "kind=authentication_refused").await;
    assert_eq!(found.len(), 1, "one per address and minute: {found:#?}");
    assert_eq!((&found[0]["data"]["reason"], &found[0]["organization_id"]), (&json!("credentials"), &Value::Null));
    assert_eq!(found[0]["data"]["address"], "127.0.0.1");
    first.finish().await;
    second.finish().await;
}

/// A client that was cut off goes on where it was, also when acsd has been restarted meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_resumes_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    (config.store, config.data_dir) = (acsd::config::StoreChoice::Sled, folder.path().to_owned());
    (config.sled.free_space_floor_bytes, config.sled.ballast_bytes) = (0, 0);
    let acs = Acs::start(config.clone()).await;
    let mut stream = acs.open("/event/stream/?kind=first_contact", None).await.into_body();
    let cpe = Cpe::spawn(acs.cpe("R-1")).await;
    cpe.session(&[]).await.unwrap();
    let mut text = String::new();
    while !text.contains("\ndata: ") {
        let frame = stream.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    let id: u64 = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().parse().unwrap();
    let second = Cpe::spawn(acs.cpe("R-2")).await;
    second.session(&[]).await.unwrap();
    cpe.finish().await;
    second.finish().await;
    acs.daemon.stop().await.unwrap();
    let acs = Acs::start(config).await;
    let mut stream = acs.open("/event/stream/?kind=first_contact", Some(id)).await.into_body();
    let mut text = String::new();
    while !text.contains("\ndata: ") {
        let frame = stream.frame().await.unwrap().unwrap();
        text.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
    }
    assert!(text.contains("\"serial_number\":\"R-2\"") && !text.contains("R-1"), "{text}");
    acs.daemon.stop().await.unwrap();
}
