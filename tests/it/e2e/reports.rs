//! What devices say by themselves, what they never say, and who is called how often.

use std::sync::Arc;

use acsd::simulator::{AcsCall, ChosenEnd, Counters, DataModel, Misbehaviour};
use acsd::types::event::EventCode;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::firmware::{ended, image};
use crate::support::{Acs, Api, Cpe, config, pause};

const VERSION: &str = "Device.DeviceInfo.SoftwareVersion";

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_reports_nothing_and_keeps_its_software_fails_once() {
    let mut config = config();
    config.transactions.transfer_timeout_secs = 1;
    let acs = Acs::start(config).await;
    let image = image(&acs, "7.0.1", "7.0.1").await;
    let counters = Arc::new(Counters::default());
    let mut cpe = acs.cpe("REP-MUTE").misbehave(Misbehaviour::NoTransferComplete);
    cpe = cpe.misbehave(Misbehaviour::DownloadWithoutVersionChange);
    cpe.counters = Some(Arc::clone(&counters));
    let cpe = Cpe::spawn(cpe).await;
    cpe.session(&[]).await.unwrap();
    let path = "/inventory_device_serial/REP-MUTE/";
    assert_eq!(acs.call("PATCH", path, Some(json!({"firmware_image": image}))).await.status, 200);
    let row = ended(&acs, &cpe, "REP-MUTE", "firmware").await;
    let words = row["fault"]["message"].as_str().unwrap();
    assert!(row["status"] == "failed" && words.contains("has not reported") && words.contains("1.0.0"), "{row}");
    for events in [&[EventCode::Periodic][..], &[EventCode::Boot], &[EventCode::Boot]] {
        assert!(!cpe.session(events).await.unwrap().methods().contains(&"Download"), "not again by itself");
    }
    assert_eq!(acs.get("/transaction/?serial_number=REP-MUTE&kind=firmware").await["count"], 1);
    let device = acs.get(path).await;
    assert_eq!((&device["firmware_image_is_pending"], &device["software_version"]), (&json!(true), &json!("1.0.0")));
    assert_eq!(cpe.value(VERSION).as_deref(), Some("1.0.0"));
    assert_eq!(counters.summary().rpcs.get("Download"), Some(&1));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_devices_fetch_by_themselves_and_ask_for_is_told() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("REP-OWN")).await;
    cpe.session(&[]).await.unwrap();
    cpe.call(AcsCall::RequestDownload("1 Firmware Upgrade Image".to_owned()));
    cpe.call(AcsCall::AutonomousTransferComplete("http://maker.example/fw".to_owned()));
    for kind in ["download_requested", "transfer"] {
        let path = format!("/event/?kind={kind}&serial_number=REP-OWN");
        let told = acs.row_until(&path, |page| page["count"] == 1).await;
        assert_eq!(told["results"][0]["data"]["file_type"], "1 Firmware Upgrade Image", "{told}");
    }
    assert_eq!(acs.get("/transaction/?serial_number=REP-OWN&kind=firmware").await["count"], 0);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_askers_share_one_call_and_one_session() {
    const ASKERS: usize = 8;
    let acs = Acs::start(config()).await;
    let (counters, permits) = (Arc::new(Counters::default()), Arc::new(Semaphore::new(1)));
    let mut cpe = acs.cpe("REP-WOKEN");
    (cpe.counters, cpe.session_permits) = (Some(Arc::clone(&counters)), Some(Arc::clone(&permits)));
    let cpe = Cpe::spawn(cpe).await;
    cpe.session(&[]).await.unwrap();
    // First contact is over with all that it brought.
    acs.row_until("/transaction/?status=scheduled", |page| page["count"] == 0).await;
    acs.row_until("/transaction/?status=in_progress", |page| page["count"] == 0).await;
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    // It takes calls, and has no time yet.
    let busy = permits.acquire().await.unwrap();
    let before = counters.summary();
    let get = json!([{"variable_name": VERSION}]);
    let mut ids = Vec::new();
    for _ in 0..ASKERS {
        ids.push(acs.schedule("REP-WOKEN", "get", get.clone()).await);
    }
    let mut askers = JoinSet::new();
    for id in ids {
        let api = Api::at(acs.daemon.api_address);
        askers.spawn(async move { api.ended(&id).await });
    }
    while counters.summary().connection_requests == before.connection_requests {
        pause().await;
    }
    drop(busy);
    for row in askers.join_all().await {
        assert_eq!(row["status"], "completed", "{row}");
    }
    cpe.finish().await;
    let after = counters.summary();
    assert_eq!(after.connection_requests - before.connection_requests, 1, "they waited for the same call");
    assert_eq!(after.sessions() - before.sessions(), 1, "and were served in one session");
}

/// The error states of each test, as the models list them (TR-181 2.12 and TR-143, TR-098).
const TR_181: [(&str, &str); 7] = [
    ("ipping", "Error Error_CannotResolveHostName Error_NoRouteToHost Error_Internal Error_Other"),
    (
        "traceroute",
        "Error Error_CannotResolveHostName Error_NoRouteToHost Error_MaxHopCountExceeded Error_Internal Error_Other",
    ),
    (
        "download",
        "Error Error_CannotResolveHostName Error_NoRouteToHost Error_InitConnectionFailed Error_NoResponse \
         Error_TransferFailed Error_PasswordRequestFailed Error_LoginFailed Error_NoTransferMode Error_NoPASV \
         Error_IncorrectSize Error_Timeout Error_Internal Error_Other",
    ),
    (
        "upload",
        "Error Error_CannotResolveHostName Error_NoRouteToHost Error_InitConnectionFailed Error_NoResponse \
         Error_PasswordRequestFailed Error_LoginFailed Error_NoTransferMode Error_NoPASV Error_NoCWD Error_NoSTOR \
         Error_NoTransferComplete Error_Timeout Error_Internal Error_Other",
    ),
    ("udpecho", "Error_CannotResolveHostName Error_Internal Error_Other"),
    ("dnslookup", "Error_DNSServerNotResolved Error_Internal Error_Other"),
    ("wifi.neighbor", "Error"),
];
const TR_098: [(&str, &str); 5] = [
    ("ipping", "Error_CannotResolveHostName Error_Internal Error_Other"),
    ("traceroute", "Error_CannotResolveHostName Error_MaxHopCountExceeded"),
    (
        "download",
        "Error_InitConnectionFailed Error_NoResponse Error_TransferFailed Error_PasswordRequestFailed \
         Error_LoginFailed Error_NoTransferMode Error_NoPASV Error_IncorrectSize Error_Timeout",
    ),
    (
        "upload",
        "Error_InitConnectionFailed Error_NoResponse Error_PasswordRequestFailed Error_LoginFailed \
         Error_NoTransferMode Error_NoPASV Error_NoCWD Error_NoSTOR Error_NoTransferComplete",
    ),
    ("dnslookup", "Error_DNSServerNotResolved Error_Internal Error_Other"),
];

fn target(operation: &str) -> &'static str {
    match operation {
        "download" | "upload" => "http://files.example/1MB.bin",
        "wifi.neighbor" => "all",
        _ => "example.net",
    }
}

/// Each device ends each of its tests in another state, until all were had.
#[tokio::test(flavor = "multi_thread")]
async fn every_error_state_of_both_models_is_told() {
    let acs = Acs::start(config()).await;
    for (prefix, model, states) in
        [("ERR-181", DataModel::tr181(), &TR_181[..]), ("ERR-098", DataModel::tr098(), &TR_098)]
    {
        let most = states.iter().map(|(_, states)| states.split_whitespace().count()).max().unwrap();
        let (mut cpes, mut ordered) = (Vec::new(), Vec::new());
        for round in 0..most {
            let serial = format!("{prefix}-{round}");
            let nth = |(operation, states): &(&'static str, &'static str)| {
                Some((*operation, states.split_whitespace().nth(round)?))
            };
            let ends: Vec<_> = states.iter().filter_map(nth).collect();
            let mut cpe = acs.cpe(&serial);
            cpe.data_model = Arc::clone(&model);
            let chosen = ends.iter().map(|(operation, state)| format!("{operation}={state}").parse::<ChosenEnd>());
            cpe.diagnostics_ends = chosen.collect::<Result<_, _>>().unwrap();
            let cpe = Cpe::spawn(cpe).await;
            cpe.session(&[]).await.unwrap();
            cpes.push(cpe);
            for (operation, state) in ends {
                let body = json!({"serial_number": serial, "operation": operation, "target": target(operation)});
                let reply = acs.call("POST", "/inventory_device_serial_diags/", Some(body)).await;
                assert_eq!(reply.status, 201, "{}", reply.body);
                ordered.push((operation, state, reply.body["id"].as_str().unwrap().to_owned()));
            }
        }
        for (operation, state, id) in ordered {
            let path = format!("/inventory_device_serial_diags/?id={id}");
            let is_over = |rows: &Value| !matches!(rows[0]["status"].as_str(), Some("scheduled" | "in_progress"));
            let row = acs.row_until(&path, is_over).await[0].clone();
            let end = (&row["status"], &row["results"]["error"]);
            assert_eq!(end, (&json!("failed"), &json!(state)), "{operation}: {row}");
        }
        for cpe in cpes {
            cpe.finish().await;
        }
    }
}
