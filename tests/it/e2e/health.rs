//! Health checks and values over time, with simulated CPEs: on request, by the timer, over a restart.

use std::time::Duration;

use acsd::acs::gate::AuthMode;
use acsd::config::{Config, StoreChoice};
use acsd::simulator::{ConnectionRequests, DataModel};
use acsd::types::event::EventCode;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, config};

const CPU: &str = "Device.DeviceInfo.ProcessStatus.CPUUsage";
const ENTRIES: &str = "/inventory_device_diags/";

fn health_config() -> Config {
    let mut config = config();
    config.health.history_spacing_secs = 1;
    config
}

fn parameters(root: &str) -> Value {
    json!([
        {"name": "cpu_usage", "path": format!("{root}.DeviceInfo.ProcessStatus.CPUUsage"), "warning_above": 90},
        {"name": "memory_usage", "path": format!("{root}.DeviceInfo.MemoryStatus.Free"),
            "used_of": format!("{root}.DeviceInfo.MemoryStatus.Total"), "warning_above": 95},
        {"name": "door", "path": format!("{root}.DeviceInfo.X_Door"), "warning_below": 1}
    ])
}

/// A type that all devices of the simulator get.
async fn make_type(acs: &Acs, mut body: Value) {
    body["name"] = json!("simulated");
    body["match"] = json!({"product_class": "*"});
    let reply = acs.call("POST", "/inventory_device_type/", Some(body)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
}

async fn device_id(acs: &Acs, serial: &str) -> String {
    format!("device-{}", acs.get(&format!("/inventory_device_serial/{serial}/")).await["id"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_made_while_the_client_waits_in_both_models() {
    let acs = Acs::start(health_config()).await;
    let mut health = parameters("Device");
    health.as_array_mut().unwrap().extend(parameters("InternetGatewayDevice").as_array().unwrap().clone());
    make_type(&acs, json!({"health_parameters": health})).await;
    for (model, root) in [(DataModel::tr181(), "Device"), (DataModel::tr098(), "InternetGatewayDevice")] {
        let mut cpe = acs.cpe(&format!("HEALTH-{root}"));
        cpe.data_model = model;
        let cpe = Cpe::spawn(cpe).await;
        cpe.session(&[]).await.unwrap();
        let path = format!("{ENTRIES}?id={}&update_status=true", device_id(&acs, cpe.serial_number()).await);
        let page = acs.get(&path).await;
        let entry = &page["results"][0];
        assert_eq!(entry["details"], json!({"cpu_usage": 7, "memory_usage": 50, "door": null}), "{entry}");
        assert_eq!((&entry["status"], &page["count"]), (&json!("ok"), &json!(1)));
        assert_eq!(
            (&entry["issues"][0]["severity"], &entry["issues"][0]["code"]),
            (&json!("low"), &json!("DOOR_UNKNOWN"))
        );
        assert_eq!(entry["next_check_due"], Value::Null, "only when asked");

        let cpu = format!("{root}.DeviceInfo.ProcessStatus.CPUUsage");
        assert!(cpe.change_locally(&cpu, "93"));
        let entry = acs.get(&path).await["results"][0].clone();
        assert_eq!((&entry["status"], &entry["details"]["cpu_usage"]), (&json!("warning"), &json!(93)), "{entry}");
        let again = acs.get(&path).await["results"][0].clone();
        assert_eq!(again["status"], "warning");
        let serial = cpe.serial_number();
        let events = acs.get(&format!("/event/?kind=health_issue&serial_number={serial}")).await;
        assert_eq!(events["count"], 2, "one for the door, one for the CPU, and none while they stay: {events}");
        cpe.finish().await;
        let entry = acs.get(&path).await["results"][0].clone();
        assert_eq!((&entry["status"], &entry["details"]["cpu_usage"]), (&json!("unreachable"), &json!(93)), "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_timer_checks_what_is_due_and_values_are_kept() {
    let acs = Acs::start(health_config()).await;
    let version = "Device.RootDataModelVersion";
    let kept = json!({
        "health_parameters": parameters("Device"), "health_interval": 60, "history_parameters": [version]
    });
    make_type(&acs, kept).await;
    let cpe = Cpe::spawn(acs.cpe("HEALTH-TIMER")).await;
    cpe.session(&[]).await.unwrap();
    let body = json!({
        "device_id": device_id(&acs, "HEALTH-TIMER").await, "diagnostic_type": "health_check",
        "next_check_due": "2024-01-01T00:00:00Z", "details": {"by_hand": true}
    });
    let reply = acs.call("POST", ENTRIES, Some(body)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let id = reply.body["id"].as_str().unwrap().to_owned();
    let entry = acs.row_until(&format!("{ENTRIES}{id}/"), |entry| entry["status"] == "ok").await;
    assert_eq!(entry["details"]["cpu_usage"], 7, "{entry}");
    assert_eq!(entry["details"]["by_hand"], true, "what others wrote stays");
    assert!(entry["next_check_due"].as_str().unwrap() > entry["updated_at"].as_str().unwrap(), "{entry}");
    let transactions = acs.get("/transaction/?kind=health").await;
    assert_eq!((&transactions["count"], &transactions["results"][0]["requested_by"]), (&json!(1), &json!("acsd")));

    let history = |path: &str| format!("/inventory_device_serial/HEALTH-TIMER/history/?path={path}");
    let points = acs.row_until(&history(CPU), |points| points.as_array().is_some_and(|all| !all.is_empty())).await;
    assert_eq!(points[0]["value"], 7, "{points}");
    let points = acs.row_until(&history(version), |points| points.as_array().is_some_and(|all| !all.is_empty())).await;
    assert!(points[0]["value"].as_f64().is_some_and(|version| version > 2.0), "of an Inform: {points}");
    assert_eq!(acs.get(&history("Device.DeviceInfo.UpTime")).await, json!([]), "not asked for");
    // A read of an operator teaches as well as a check.
    assert!(cpe.change_locally(CPU, "44"));
    // Two values of one path are a second apart at least.
    let sampled = tokio::time::Instant::now();
    acs.row_until("/transaction/?limit=1", |_| sampled.elapsed() > Duration::from_secs(2)).await;
    acs.headless("HEALTH-TIMER", "get", json!([{"variable_name": CPU}])).await;
    let is_newer =
        |points: &Value| points.as_array().is_some_and(|all| all.last().is_some_and(|last| last["value"] == 44));
    acs.row_until(&history(CPU), is_newer).await;
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_was_waiting_is_taken_up_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let on_disk = || {
        let mut config = health_config();
        config.store = StoreChoice::Sled;
        config.data_dir = folder.path().join("data");
        config.sled.free_space_floor_bytes = 0;
        config.sled.ballast_bytes = 0;
        config.cwmp.auth = AuthMode::None;
        config.api.limits.update_status_wait_secs = 1;
        config
    };
    let acs = Acs::start(on_disk()).await;
    make_type(&acs, json!({"health_parameters": parameters("Device")})).await;
    let quiet = |acs: &Acs| {
        let mut cpe = acs.cpe("HEALTH-AGAIN");
        cpe.connection_requests = ConnectionRequests::Off;
        cpe
    };
    let cpe = Cpe::spawn(quiet(&acs)).await;
    cpe.session(&[]).await.unwrap();
    cpe.finish().await;
    let path = format!("{ENTRIES}?id={}", device_id(&acs, "HEALTH-AGAIN").await);
    let entry = acs.get(&format!("{path}&update_status=true")).await["results"][0].clone();
    assert_eq!(entry["status"], "unreachable", "{entry}");
    acs.daemon.stop().await.unwrap();

    let acs = Acs::start(on_disk()).await;
    let cpe = Cpe::spawn(quiet(&acs)).await;
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    let page = acs.row_until(&path, |page| page["results"][0]["status"] == "ok").await;
    let entry = &page["results"][0];
    assert_eq!((&entry["details"]["cpu_usage"], &page["count"]), (&json!(7), &json!(1)), "{entry}");
    assert_eq!(entry["issues"].as_array().unwrap().len(), 1, "the door alone: {entry}");
    cpe.finish().await;
}
