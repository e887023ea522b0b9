//! Work that operators schedule is carried out, in every version and both data models.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use acsd::simulator::{CpeVersion, DataModel, Outcome};
use acsd::types::event::EventCode;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, PASSWORD, config};

const TABLE: &str = "Device.NAT.PortMapping.";

#[tokio::test(flavor = "multi_thread")]
async fn a_cpe_onboards_with_the_shared_credential_and_gets_its_own() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-1")).await;
    let report = cpe.session(&[]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    assert_ne!(cpe.value("Device.ManagementServer.Password").as_deref(), Some(PASSWORD));
    assert_ne!(cpe.value("Device.ManagementServer.ConnectionRequestPassword").as_deref(), Some(""));
    let report = cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "comes back with its own login");
    let device = acs.get("/inventory_device_serial/E2E-1/").await;
    assert_eq!(device["status"], "Up");
    assert_eq!(device["unique_identifier"], "00D09E:Simulator:E2E-1");
    assert_eq!(device["pending_settings"], Value::Null);
    cpe.finish().await;
}

/// Someone at a terminal asks one device for one thing after another.
#[tokio::test(flavor = "multi_thread")]
async fn operations_one_after_the_other_are_each_called_for() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-ROW")).await;
    cpe.session(&[]).await.unwrap();
    for value in 0..15 {
        let set = json!([{"variable_name": "Device.DeviceInfo.ProvisioningCode", "value": value.to_string()}]);
        let id = acs.schedule("E2E-ROW", "set", set).await;
        let path = format!("/inventory_device_serial_headless_operation/?id={id}&update_status=true");
        assert_eq!(acs.get(&path).await[0]["status"], "completed", "number {value} had to wait");
    }
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_is_done_in_every_version_and_both_models() {
    let acs = Acs::start(config()).await;
    for (number, version) in CpeVersion::ALL.into_iter().enumerate() {
        for (model, root) in [(DataModel::tr181(), "Device"), (DataModel::tr098(), "InternetGatewayDevice")] {
            let serial = format!("V{number}-{root}");
            let mut cpe = acs.cpe(&serial);
            (cpe.version, cpe.data_model) = (version, model);
            let cpe = Cpe::spawn(cpe).await;
            assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Completed, "{serial}");
            let code = format!("{root}.DeviceInfo.ProvisioningCode");
            let set = json!([{"variable_name": code, "value": serial, "value_type": "string"}]);
            assert_eq!(acs.headless(&serial, "set", set).await["status"], "completed", "{serial}");
            let row = acs.headless(&serial, "get", json!([{"variable_name": code}])).await;
            assert_eq!(row["variables"][0]["value"], serial);
            cpe.finish().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_wakes_the_device_and_brings_its_values() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-2")).await;
    cpe.session(&[]).await.unwrap();
    let variables = json!([{"variable_name": "Device.DeviceInfo.SerialNumber"}, {"variable_name": "Device.WiFi."}]);
    let row = acs.headless("E2E-2", "get", variables).await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(row["variables"][0]["value"], "E2E-2");
    assert!(row["variables"].as_array().unwrap().len() > 5);
    let one_bad = json!([{"variable_name": "Device.Nope"}, {"variable_name": "Device.DeviceInfo.SerialNumber"}]);
    let row = acs.headless("E2E-2", "get", one_bad).await;
    assert_eq!(row["status"], "failed");
    assert_eq!(row["variables"][0]["fault"]["code"], 9005);
    assert_eq!(row["variables"][1]["value"], "E2E-2");
    let whole = acs.headless("E2E-2", "get", json!([])).await;
    assert_eq!(whole["status"], "completed");
    assert!(whole["variables"].as_array().unwrap().len() >= 300, "the whole tree");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn set_add_and_delete_do_what_they_say() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-3")).await;
    cpe.session(&[]).await.unwrap();
    let path = "Device.ManagementServer.PeriodicInformInterval";
    let set = json!([{"variable_name": path, "value": "7200000", "value_type": "integer"}]);
    let row = acs.headless("E2E-3", "set", set).await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(cpe.value(path).as_deref(), Some("7200000"));
    let values =
        json!([{"variable_name": "Enable", "value": "true"}, {"variable_name": "ExternalPort", "value": "8443"}]);
    let row = acs.headless("E2E-3", "add.obj", json!([{"variable_name": TABLE, "values": values}])).await;
    assert_eq!(row["status"], "completed", "{row}");
    let instance = u32::try_from(row["variables"][0]["instance_number"].as_u64().unwrap()).unwrap();
    assert!(cpe.rows(TABLE).contains(&instance));
    assert_eq!(cpe.value(&format!("{TABLE}{instance}.ExternalPort")).as_deref(), Some("8443"));
    for _ in 0..2 {
        let gone = json!([{"variable_name": format!("{TABLE}{instance}.")}]);
        let ended = acs.headless("E2E-3", "del.obj", gone).await;
        assert_eq!(ended["status"], "completed", "the second time there is nothing to delete: {ended}");
    }
    assert!(!cpe.rows(TABLE).contains(&instance));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_names_the_parameter() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-4")).await;
    cpe.session(&[]).await.unwrap();
    let set = json!([
        {"variable_name": "Device.DeviceInfo.SoftwareVersion", "value": "9", "value_type": "string"},
        {"variable_name": "Device.ManagementServer.PeriodicInformInterval", "value": "5000", "value_type": "integer"},
    ]);
    let row = acs.headless("E2E-4", "set", set).await;
    assert_eq!(row["status"], "failed", "{row}");
    assert_eq!(row["variables"][0]["fault"]["code"], 9008);
    assert_ne!(cpe.value("Device.ManagementServer.PeriodicInformInterval").as_deref(), Some("5000"));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_and_a_factory_reset_complete_when_the_device_is_back() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-5")).await;
    cpe.session(&[]).await.unwrap();
    for operation in ["reboot", "factory"] {
        let body = Some(json!({"operation": operation}));
        let reply = acs.call("PUT", "/inventory_device_serial_operation/E2E-5/", body).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let path = format!("/transaction/{}/", reply.body["id"]);
        let row = acs.row_until(&path, |row| row["completed_at"] != Value::Null).await;
        assert_eq!(row["status"], "completed", "{row}");
    }
    // After the reset it is back on the shared credential, and gets its own again.
    acs.row_until("/transaction/?serial_number=E2E-5&status=scheduled", |page| page["count"] == 0).await;
    acs.row_until("/transaction/?serial_number=E2E-5&status=in_progress", |page| page["count"] == 0).await;
    let report = cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed);
    assert_ne!(cpe.value("Device.ManagementServer.Password").as_deref(), Some(PASSWORD));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_arrives_in_a_session_runs_in_that_session() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-6")).await;
    cpe.session(&[]).await.unwrap();
    let mut ids = Vec::new();
    // Eight at once: the first wakes the device, the others find it in its session or waiting behind.
    for _ in 0..8 {
        let get = json!([{"variable_name": "Device.DeviceInfo.UpTime"}]);
        ids.push(acs.schedule("E2E-6", "get", get).await);
    }
    for id in &ids {
        assert_eq!(acs.ended(id).await["status"], "completed");
    }
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_change_is_seen_at_once() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-7")).await;
    cpe.session(&[]).await.unwrap();
    let mut reports = cpe.reports();
    assert!(cpe.change_locally("Device.DeviceInfo.ProvisioningCode", "changed-here"));
    let report = reports.recv().await.unwrap();
    assert!(report.has_event(EventCode::ValueChange), "{report:?}");
    let tree = acs.get("/inventory_device_serial/E2E-7/parameters/?prefix=Device.DeviceInfo.Prov").await;
    assert_eq!(tree["results"][0]["value"], "changed-here", "{tree}");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_frequency_and_credentials_are_pending_until_the_device_took_them() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-8")).await;
    cpe.session(&[]).await.unwrap();
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    let change = json!({"update_frequency": 7_654_321, "username": "subscriber", "password": "subscriber-secret"});
    let reply = acs.call("PATCH", "/inventory_device_serial/E2E-8/", Some(change)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let path = "/inventory_device_serial/E2E-8/";
    acs.row_until(path, |device| device["pending_settings"] == Value::Null).await;
    assert_eq!(cpe.value("Device.ManagementServer.PeriodicInformInterval").as_deref(), Some("7654321"));
    assert_eq!(cpe.value("Device.ManagementServer.Username").as_deref(), Some("subscriber"));
    let report = cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "the new credentials are good");
    assert_eq!(acs.get(path).await["username"], "subscriber");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_created_ahead_is_met_by_its_serial_and_credentials() {
    let mut config = config();
    config.cwmp.onboarding = acsd::acs::gate::OnboardingMode::Closed;
    let acs = Acs::start(config).await;
    let body = json!({"serial_number": "AHEAD-1", "username": "known", "password": "known-secret", "update_frequency": 7_000_000});
    let reply = acs.call("POST", "/inventory_device_serial/", Some(body)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let cpe = Cpe::spawn(acs.cpe("AHEAD-1").credentials("known", "known-secret")).await;
    assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Completed);
    let device = acs.row_until("/inventory_device_serial/AHEAD-1/", |row| row["pending_settings"] == Value::Null).await;
    assert_eq!(device["unique_identifier"], "00D09E:Simulator:AHEAD-1");
    assert_eq!(cpe.value("Device.ManagementServer.PeriodicInformInterval").as_deref(), Some("7000000"));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_runs_in_no_session_is_taken_up_again() {
    let acs = Acs::start(config()).await;
    let mut quiet = acs.cpe("E2E-10");
    quiet.connection_requests = acsd::simulator::ConnectionRequests::Off;
    let cpe = Cpe::spawn(quiet).await;
    cpe.session(&[]).await.unwrap();
    let id = acs.schedule("E2E-10", "get", json!([{"variable_name": "Device.DeviceInfo.UpTime"}])).await;
    let key = acs.daemon.store.by_serial("E2E-10").await.unwrap().unwrap().key;
    // As if the disk had been full when its session ended.
    let now = acsd::types::time::Clock::now(&acsd::clock::SystemClock);
    acs.daemon.store.claim(key, &[], now).await.unwrap().unwrap();
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(acs.ended(&id).await["status"], "completed");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_for_a_device_that_cannot_be_called_says_why_it_waits() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-9")).await;
    cpe.session(&[]).await.unwrap();
    // Its port is closed from now on.
    cpe.finish().await;
    let id = acs.schedule("E2E-9", "get", json!([{"variable_name": "Device.DeviceInfo.UpTime"}])).await;
    let words = |row: &Value| row["waiting_for"].as_str().unwrap_or_default().to_owned();
    let row = acs.row_until(&format!("/transaction/{id}/"), |row| words(row).contains("connection request at")).await;
    assert!(words(&row).contains("refused"), "{row}");
    assert_eq!(row["status"], "scheduled");
}

/// Whoever wants a device that is being called already waits for what comes of that: a second request would bring it into a
/// second session.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_called_once_for_all_who_want_it() {
    let mut settings = config();
    settings.api.limits.update_status_wait_secs = 1;
    let acs = Acs::start(settings).await;
    let cpe = Cpe::spawn(acs.cpe("E2E-CALLS")).await;
    cpe.session(&[]).await.unwrap();
    cpe.finish().await;
    // From now on it takes calls, and neither answers them nor comes.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let device = acs.daemon.store.by_serial("E2E-CALLS").await.unwrap().unwrap();
    let moved = move |state: &mut acsd::model::device::State| state.connection_request_url = Some(url.into());
    acs.daemon.store.edit_state(device.key, Box::new(moved)).await.unwrap();
    let path = "/inventory_device_serial/E2E-CALLS/?update_status=true";
    let ask = || acs.get(path);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&calls);
    let taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok(call) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            taken.push(call);
        }
    });
    let rows = tokio::join!(ask(), ask(), ask(), ask(), ask(), ask());
    let rows = <[Value; 6]>::from(rows);
    taking.abort();
    // A second one where the first asker's patience ends a moment before that of the others.
    assert!((1..=2).contains(&calls.load(Ordering::Relaxed)), "{calls:?}");
    assert!(rows.iter().all(|row| row["status"] == "Down"), "{rows:?}");
}
