//! Sessions of devices that are being looked into are recorded, without their secrets.

use acsd::acs::gate::AuthMode;
use acsd::simulator::{Autonomy, ConnectionRequests, CpeConfig, Outcome};
use acsd::types::event::EventCode;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, PASSWORD, config};

fn sessions(serial: &str) -> String {
    format!("/inventory_device_serial/{serial}/sessions/")
}

async fn set_debug(acs: &Acs, serial: &str, debug: bool) {
    let path = format!("/inventory_device_serial/{serial}/");
    assert_eq!(acs.call("PATCH", &path, Some(json!({"debug": debug}))).await.status, 200);
}

/// A CPE that comes only when it is told to, so that its sessions can be counted.
pub(crate) fn patient(acs: &Acs, serial: &str) -> CpeConfig {
    let mut cpe = acs.cpe(serial);
    (cpe.connection_requests, cpe.autonomy) = (ConnectionRequests::Off, Autonomy::OnDemand);
    cpe
}

/// The sessions of a device once there are so many.
pub(crate) async fn recorded(acs: &Acs, serial: &str, count: u64) -> Vec<Value> {
    let page = acs.row_until(&sessions(serial), |page| page["count"] == count).await;
    page["results"].as_array().unwrap().clone()
}

pub(crate) async fn trace_all_devices(acs: &Acs) {
    let edit = |device_type: &mut acsd::model::device_type::DeviceType| device_type.debug = true;
    acs.daemon.store.device_types().edit(1, Box::new(edit)).await.unwrap().unwrap();
}

/// One POST of a CPE that holds its session by hand; the status, and the cookie that is set.
async fn post(acs: &Acs, cookie: &str, body: &str) -> (u16, String) {
    let client: Client<_, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = hyper::Request::builder().method("POST").uri(acs.url()).header("cookie", cookie);
    let response = client.request(request.body(Full::from(body.to_owned())).unwrap()).await.unwrap();
    let set = response.headers().get("set-cookie").map_or("", |value| value.to_str().unwrap());
    (response.status().as_u16(), set.split(';').next().unwrap().to_owned())
}

fn inform(serial: &str) -> String {
    format!(
        "<Envelope><Body><Inform><DeviceId><OUI>00D09E</OUI><SerialNumber>{serial}</SerialNumber></DeviceId>\
         <Event><EventStruct><EventCode>2 PERIODIC</EventCode></EventStruct></Event></Inform></Body></Envelope>"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_cwmp_is_noted_and_recording_stops_when_it_is_turned_off() {
    let mut config = config();
    config.cwmp.auth = AuthMode::None;
    let acs = Acs::start(config).await;
    trace_all_devices(&acs).await;
    let (status, cookie) = post(&acs, "", &inform("TRACE-5")).await;
    assert_eq!(status, 200);
    assert_eq!(post(&acs, &cookie, "<Envelope>secret").await.0, 400);
    let (_, cookie) = post(&acs, "", &inform("TRACE-5")).await;
    let session = recorded(&acs, "TRACE-5", 1).await.remove(0);
    assert_eq!(session["outcome"], "superseded");
    assert_eq!(said(&session), ["> Inform", "< InformResponse", "> ", "< 400"]);
    let note = session["messages"][2]["note"].as_str().unwrap();
    assert!(note.starts_with("16 bytes that cannot be read") && !session.to_string().contains("secret"), "{session}");

    let off = |device_type: &mut acsd::model::device_type::DeviceType| device_type.debug = false;
    acs.daemon.store.device_types().edit(1, Box::new(off)).await.unwrap().unwrap();
    assert_eq!(post(&acs, &cookie, "").await.0, 200);
    let session = recorded(&acs, "TRACE-5", 2).await.remove(0);
    assert_eq!(session["outcome"], "stopped");
    assert_eq!(said(&session), ["> Inform", "< InformResponse"]);
}

fn said(session: &Value) -> Vec<String> {
    let messages = session["messages"].as_array().unwrap().iter();
    let word = |message: &Value| match (message["direction"].as_str(), message["status"].as_u64()) {
        (Some("in"), _) => format!("> {}", message["rpc"].as_str().unwrap()),
        (_, Some(200)) => format!("< {}", message["rpc"].as_str().unwrap()),
        (_, status) => format!("< {}", status.unwrap()),
    };
    messages.map(word).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_in_debug_is_recorded_until_it_is_turned_off() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(patient(&acs, "TRACE-1")).await;
    cpe.session(&[]).await.unwrap();
    let none = acs.get(&sessions("TRACE-1")).await;
    assert_eq!(none["count"], 0, "nothing is recorded of others");
    set_debug(&acs, "TRACE-1", true).await;
    let get = json!([{"variable_name": "Device.DeviceInfo.ProvisioningCode"}]);
    acs.schedule("TRACE-1", "get", get).await;
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    let session = recorded(&acs, "TRACE-1", 1).await.remove(0);
    assert_eq!(session["outcome"], "completed");
    assert_eq!(session["events"], json!(["2 PERIODIC"]));
    assert_eq!(session["address"], "127.0.0.1");
    let want = ["> Inform", "< InformResponse", "> ", "< GetParameterValues", "> GetParameterValuesResponse", "< 204"];
    assert_eq!(said(&session), want, "{session:#}");
    let xml = session["messages"][3]["xml"].as_str().unwrap();
    assert!(xml.contains("Device.DeviceInfo.ProvisioningCode") && xml.ends_with("Envelope>"), "{xml}");

    set_debug(&acs, "TRACE-1", false).await;
    assert_eq!(cpe.session(&[EventCode::Periodic]).await.unwrap().outcome, Outcome::Completed);
    recorded(&acs, "TRACE-1", 1).await;
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_what_is_recorded() {
    let acs = Acs::start(config()).await;
    trace_all_devices(&acs).await;
    let cpe = Cpe::spawn(acs.cpe("TRACE-2")).await;
    // The first contact: acsd hands out two logins.
    cpe.session(&[]).await.unwrap();
    let passphrase = "Device.WiFi.AccessPoint.1.Security.KeyPassphrase";
    let set = json!([{"variable_name": passphrase, "value": "correct horse battery"}]);
    acs.headless("TRACE-2", "set", set).await;
    let page = acs.row_until(&sessions("TRACE-2"), |page| page.to_string().contains(passphrase)).await;
    let text = page.to_string();
    assert!(text.contains("SetParameterValues") && text.contains(passphrase), "all is there: {text}");
    let handed_out = ["Password", "ConnectionRequestPassword"].map(|leaf| {
        let value = cpe.value(&format!("Device.ManagementServer.{leaf}")).unwrap();
        assert!(value.len() > 8 && value != PASSWORD, "{leaf} was handed out");
        value
    });
    for secret in handed_out.iter().map(String::as_str).chain([PASSWORD, "correct horse battery"]) {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let username = cpe.value("Device.ManagementServer.Username").unwrap();
    assert!(text.contains(&username), "user names are no secrets");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_session_is_recorded() {
    let mut config = config();
    config.cwmp.auth = AuthMode::Basic;
    let acs = Acs::start(config).await;
    trace_all_devices(&acs).await;
    let habit = patient(&acs, "TRACE-3").misbehave("no-empty-post".parse().unwrap());
    let hanging = Cpe::spawn(habit.clone()).await;
    hanging.session(&[]).await.unwrap();
    // The device comes back while its session is open: that one is superseded.
    let mut again = habit;
    again.misbehaviour.clear();
    let again = Cpe::spawn(again).await;
    again.session(&[EventCode::Periodic]).await.unwrap();
    let both = recorded(&acs, "TRACE-3", 2).await;
    assert_eq!(both[0]["outcome"], "completed");
    assert_eq!(
        (both[1]["outcome"].as_str(), said(&both[1])),
        (Some("superseded"), vec!["> Inform".to_owned(), "< InformResponse".to_owned()])
    );
    // Somebody without its login.
    let posing = patient(&acs, "TRACE-3").credentials("00D09E-TRACE-3", "wrong");
    let posing = acsd::simulator::spawn(posing).await.unwrap();
    posing.session(&[EventCode::Periodic]).await.unwrap();
    let all = recorded(&acs, "TRACE-3", 3).await;
    assert_eq!(
        (all[0]["outcome"].as_str(), said(&all[0])),
        (Some("refused"), vec!["> Inform".to_owned(), "< 401".to_owned()])
    );
    hanging.finish().await;
    again.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_is_bounded_and_can_be_cleared() {
    let mut config = config();
    config.traces.sessions_per_device = 2;
    let acs = Acs::start(config).await;
    trace_all_devices(&acs).await;
    let cpe = Cpe::spawn(patient(&acs, "TRACE-4")).await;
    let mut last = 0;
    for _ in 0..4 {
        cpe.session(&[EventCode::Periodic]).await.unwrap();
        let follow = format!("{}?after={last}", sessions("TRACE-4"));
        let page = acs.row_until(&follow, |page| page["count"] != 0).await;
        let newest = page["results"].as_array().unwrap().last().unwrap()["id"].as_u64().unwrap();
        assert!(newest > last);
        last = newest;
    }
    assert_eq!(acs.get(&sessions("TRACE-4")).await["count"], 2);
    assert_eq!(acs.call("DELETE", &sessions("TRACE-4"), None).await.status, 204);
    assert_eq!(acs.get(&sessions("TRACE-4")).await["count"], 0);
    cpe.finish().await;
}
