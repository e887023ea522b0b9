//! The main job through the real edges: simulated CPEs over sockets, operators over the API.

use acsd::acs::gate::AuthMode;
use acsd::simulator::Outcome;
use acsd::types::event::EventCode;
use serde_json::{Value, json};

use crate::support::{Acs, config};

#[tokio::test(flavor = "multi_thread")]
async fn a_cpe_onboards_with_the_shared_credential_and_gets_its_own() {
    let acs = Acs::start(config()).await;
    let cpe = acsd::simulator::spawn(acs.cpe("E2E-1")).await.unwrap();
    let report = cpe.session(&[]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    assert_ne!(cpe.value("Device.ManagementServer.Password").as_deref(), Some(crate::support::PASSWORD));
    let report = cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "comes back with its own login");
    let device = acs.get("/inventory_device_serial/E2E-1/").await;
    assert_eq!(device["status"], "Up");
    assert_eq!(device["unique_identifier"], "00D09E:Simulator:E2E-1");
    assert_eq!(device["pending_settings"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_wakes_the_device_and_brings_its_values() {
    let acs = Acs::start(config()).await;
    let cpe = acsd::simulator::spawn(acs.cpe("E2E-2")).await.unwrap();
    cpe.session(&[]).await.unwrap();
    let variables = json!([{"variable_name": "Device.DeviceInfo.SerialNumber"}, {"variable_name": "Device.WiFi."}]);
    let row = acs.headless("E2E-2", "get", variables).await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(row["variables"][0]["value"], "E2E-2");
    assert!(row["variables"].as_array().unwrap().len() > 5);
    let row = acs
        .headless(
            "E2E-2",
            "get",
            json!([{"variable_name": "Device.Nope"}, {"variable_name": "Device.DeviceInfo.SerialNumber"}]),
        )
        .await;
    assert_eq!(row["status"], "failed");
    assert_eq!(row["variables"][0]["fault"]["code"], 9005);
    assert_eq!(row["variables"][1]["value"], "E2E-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn set_add_and_delete_do_what_they_say() {
    let acs = Acs::start(config()).await;
    let cpe = acsd::simulator::spawn(acs.cpe("E2E-3")).await.unwrap();
    cpe.session(&[]).await.unwrap();
    let path = "Device.ManagementServer.PeriodicInformInterval";
    let set = json!([{"variable_name": path, "value": "7200000", "value_type": "integer"}]);
    let row = acs.headless("E2E-3", "set", set).await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(cpe.value(path).as_deref(), Some("7200000"));
    let table = "Device.NAT.PortMapping.";
    let row = acs
        .headless(
            "E2E-3",
            "add.obj",
            json!([{"variable_name": table, "values": [{"variable_name": "Enable", "value": "true"}]}]),
        )
        .await;
    assert_eq!(row["status"], "completed", "{row}");
    let instance = row["variables"][0]["instance_number"].as_u64().unwrap();
    assert!(cpe.rows(table).contains(&u32::try_from(instance).unwrap()));
    let row = format!("{table}{instance}.");
    for _ in 0..2 {
        let ended = acs.headless("E2E-3", "del.obj", json!([{"variable_name": row}])).await;
        assert_eq!(ended["status"], "completed", "the second time there is nothing to delete: {ended}");
    }
    assert!(!cpe.rows(table).contains(&u32::try_from(instance).unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_names_the_parameter() {
    let acs = Acs::start(config()).await;
    let cpe = acsd::simulator::spawn(acs.cpe("E2E-4")).await.unwrap();
    cpe.session(&[]).await.unwrap();
    let set = json!([
        {"variable_name": "Device.DeviceInfo.SoftwareVersion", "value": "9", "value_type": "string"},
        {"variable_name": "Device.ManagementServer.PeriodicInformInterval", "value": "5000", "value_type": "integer"},
    ]);
    let row = acs.headless("E2E-4", "set", set).await;
    assert_eq!(row["status"], "failed", "{row}");
    assert_eq!(row["variables"][0]["fault"]["code"], 9008);
    assert_ne!(cpe.value("Device.ManagementServer.PeriodicInformInterval").as_deref(), Some("5000"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_and_a_factory_reset_complete_when_the_device_is_back() {
    let acs = Acs::start(config()).await;
    let cpe = acsd::simulator::spawn(acs.cpe("E2E-5")).await.unwrap();
    cpe.session(&[]).await.unwrap();
    for operation in ["reboot", "factory"] {
        let reply =
            acs.call("PUT", "/inventory_device_serial_operation/E2E-5/", Some(json!({"operation": operation}))).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let path = format!("/transaction/{}/", reply.body["id"]);
        let row = acs.row_until(&path, |row| row["completed_at"] != Value::Null).await;
        assert_eq!(row["status"], "completed", "{row}");
    }
    // After the reset it is back on the shared credential, and gets its own again.
    let all = acs.get("/transaction/?serial_number=E2E-5&kind=configuration").await;
    assert!(all["count"].as_u64().unwrap() >= 4, "{all}");
    acs.row_until("/transaction/?serial_number=E2E-5&status=scheduled", |page| page["count"] == 0).await;
    let report = cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_works_as_well() {
    let mut config = config();
    config.cwmp.auth = AuthMode::Basic;
    let acs = Acs::start(config).await;
    let cpe = acsd::simulator::spawn(acs.cpe("E2E-6")).await.unwrap();
    assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Completed);
    assert_eq!(cpe.session(&[EventCode::Periodic]).await.unwrap().outcome, Outcome::Completed);
}
