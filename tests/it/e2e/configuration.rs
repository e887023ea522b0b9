//! Devices are kept as their type, their location and their operators want them.

use acsd::auth::seal::Sealer;
use acsd::cwmp::emission::SoapPrefix;
use acsd::devices::keeper::Change;
use acsd::model::device::{DEFAULT_ORGANIZATION, DEFAULT_TYPE, DeviceTypeId, Profile};
use acsd::model::device_type::{DeviceType, Pattern, TypeMatch};
use acsd::model::inventory::{Location, Organization};
use acsd::model::wanted::WantedParameter;
use acsd::simulator::{DataModel, Outcome, SessionReport};
use acsd::types::event::EventCode;
use acsd::types::path::ParameterPath;
use acsd::types::secret::{MaybeSealed, Secret};
use acsd::types::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, config};

const NTP: &str = "Device.Time.NTPServer1";
const ZONE: &str = "Device.Time.LocalTimeZone";
/// Stands for the parameter that a vendor has for the place.
const SPOT: &str = "Device.Time.NTPServer5";
const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";

fn parameter(path: &str, value: &str) -> WantedParameter {
    WantedParameter { path: path_of(path), value: value.into(), ty: None }
}

fn path_of(path: &str) -> ParameterPath {
    ParameterPath::try_from(path).unwrap()
}

/// Changes the type that every device has here, and says so.
async fn want(acs: &Acs, edit: impl FnOnce(&mut DeviceType) + Send) {
    change_type(acs, edit).await;
    acs.daemon.keeper.announce(Change::DeviceType(DEFAULT_TYPE));
}

/// Changes the type and tells nobody.
async fn change_type(acs: &Acs, edit: impl FnOnce(&mut DeviceType) + Send) {
    let edit = |device_type: &mut DeviceType| {
        edit(device_type);
        device_type.revision += 1;
    };
    acs.daemon.store.device_types().edit(DEFAULT_TYPE.0, Box::new(edit)).await.unwrap().unwrap();
}

async fn add_type(acs: &Acs, matching: TypeMatch, edit: impl FnOnce(&mut DeviceType) + Send) -> u32 {
    let make = |id| {
        let id = DeviceTypeId(id);
        let short_name = format!("type-{}", id.0);
        let mut made = DeviceType { id, matching, short_name, ..DeviceType::generic(Timestamp::default()) };
        edit(&mut made);
        made
    };
    acs.daemon.store.device_types().add(None, Box::new(make)).await.unwrap().id.0
}

fn pattern(text: &str) -> Option<Pattern> {
    Some(Pattern(text.to_owned()))
}

/// The device once nothing of it waits or runs any more.
async fn settled(acs: &Acs, serial: &str) -> Value {
    for status in ["scheduled", "in_progress"] {
        let path = format!("/transaction/?serial_number={serial}&status={status}");
        acs.row_until(&path, |page| page["count"] == 0).await;
    }
    acs.get(&format!("/inventory_device_serial/{serial}/?pending=true")).await
}

async fn patch(acs: &Acs, serial: &str, body: Value) -> Value {
    let reply = acs.call("PATCH", &format!("/inventory_device_serial/{serial}/"), Some(body)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.body
}

async fn operate(acs: &Acs, serial: &str, operation: &str) -> Value {
    let path = format!("/inventory_device_serial_operation/{serial}/");
    let reply = acs.call("PUT", &path, Some(json!({"operation": operation}))).await;
    assert_eq!(reply.status, 200, "{operation}: {}", reply.body);
    acs.row_until(&format!("/transaction/{}/", reply.body["id"]), |row| row["completed_at"] != Value::Null).await
}

/// Newest first.
async fn configurations(acs: &Acs, serial: &str) -> Vec<String> {
    let page = acs.get(&format!("/transaction/?serial_number={serial}&kind=configuration&limit=100")).await;
    page["results"].as_array().unwrap().iter().map(|row| row["operation"].as_str().unwrap().to_owned()).collect()
}

async fn periodic(cpe: &Cpe) -> std::sync::Arc<SessionReport> {
    let report = cpe.session(&[EventCode::Periodic]).await.unwrap();
    assert_eq!(report.outcome, Outcome::Completed, "{report:?}");
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn first_contact_configures_and_a_device_that_is_right_costs_no_call() {
    let acs = Acs::start(config()).await;
    change_type(&acs, |generic| {
        generic.wanted.parameters = vec![parameter(NTP, "{serial}.ntp.example"), parameter(ZONE, "CET-1CEST")];
        generic.wanted.parameters.push(parameter("InternetGatewayDevice.Time.NTPServer1", "tr098.example"));
    })
    .await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-1")).await;
    cpe.session(&[]).await.unwrap();
    let device = settled(&acs, "KEEP-1").await;
    assert_eq!(cpe.value(NTP).as_deref(), Some("KEEP-1.ntp.example"));
    assert_eq!(cpe.value(ZONE).as_deref(), Some("CET-1CEST"));
    assert!(device["last_configuration"].is_string() && device["last_change"].is_string(), "{device}");
    assert_eq!(configurations(&acs, "KEEP-1").await[0], "sync", "after the logins and the interval");
    for _ in 0..2 {
        assert!(periodic(&cpe).await.rpcs.is_empty(), "nothing has changed");
    }
    let mut other = acs.cpe("KEEP-1-098");
    other.data_model = DataModel::tr098();
    let other = Cpe::spawn(other).await;
    other.session(&[]).await.unwrap();
    settled(&acs, "KEEP-1-098").await;
    assert_eq!(other.value("InternetGatewayDevice.Time.NTPServer1").as_deref(), Some("tr098.example"));
    assert!(periodic(&other).await.rpcs.is_empty());
    other.finish().await;
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_repaired_by_sync_and_a_second_one_only_reads() {
    let acs = Acs::start(config()).await;
    change_type(&acs, |generic| generic.wanted.parameters = vec![parameter(NTP, "ntp.example")]).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-2")).await;
    cpe.session(&[]).await.unwrap();
    settled(&acs, "KEEP-2").await;
    assert!(cpe.change_locally(NTP, "drift.example"));
    assert!(periodic(&cpe).await.rpcs.is_empty(), "acsd does not look without a reason");
    let mut reports = cpe.reports();
    let row = operate(&acs, "KEEP-2", "sync").await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(cpe.value(NTP).as_deref(), Some("ntp.example"));
    // The transaction ends before its session does.
    reports.recv().await.unwrap();
    let row = operate(&acs, "KEEP-2", "sync").await;
    assert_eq!(row["status"], "completed", "{row}");
    let report = reports.recv().await.unwrap();
    assert!(report.methods().iter().all(|method| method.starts_with("Get")), "{report:?}");
    assert!(cpe.change_locally(NTP, "drift.example"));
    let row = operate(&acs, "KEEP-2", "reconf").await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(cpe.value(NTP).as_deref(), Some("ntp.example"));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_factory_reset_comes_back_configured() {
    let acs = Acs::start(config()).await;
    change_type(&acs, |generic| {
        generic.wanted.parameters = vec![parameter(NTP, "ntp.example")];
        generic.location_parameters = vec![path_of(SPOT)];
    })
    .await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-3")).await;
    cpe.session(&[]).await.unwrap();
    settled(&acs, "KEEP-3").await;
    patch(&acs, "KEEP-3", json!({"location_name": "Roof"})).await;
    settled(&acs, "KEEP-3").await;
    assert_eq!(cpe.value(SPOT).as_deref(), Some("Roof"));
    let row = operate(&acs, "KEEP-3", "factory").await;
    assert_eq!(row["status"], "completed", "{row}");
    let device = settled(&acs, "KEEP-3").await;
    assert_eq!(device["pending_settings"], Value::Null, "{device}");
    assert_eq!(cpe.value(NTP).as_deref(), Some("ntp.example"));
    assert_eq!(cpe.value(SPOT).as_deref(), Some("Roof"), "the location too");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_type_is_brought_at_once_and_the_device_s_own_wish_wins() {
    let acs = Acs::start(config()).await;
    let (one, other) = (Cpe::spawn(acs.cpe("KEEP-4")).await, Cpe::spawn(acs.cpe("KEEP-5")).await);
    for cpe in [&one, &other] {
        cpe.session(&[]).await.unwrap();
        settled(&acs, cpe.serial_number()).await;
    }
    let key = acs.daemon.store.by_serial("KEEP-5").await.unwrap().unwrap().key;
    let own = |profile: &mut Profile| {
        profile.wanted.parameters = vec![parameter(NTP, "own.example")];
        profile.revision += 1;
    };
    acs.daemon.store.edit_profile(key, Box::new(own)).await.unwrap();
    want(&acs, |generic| generic.wanted.parameters = vec![parameter(NTP, "type.example"), parameter(ZONE, "UTC1")])
        .await;
    for cpe in [&one, &other] {
        // Nobody but the keeper has these called.
        let path = format!("/inventory_device_serial/{}/", cpe.serial_number());
        acs.row_until(&path, |device| device["last_change"] != Value::Null).await;
        settled(&acs, cpe.serial_number()).await;
        assert_eq!(cpe.value(ZONE).as_deref(), Some("UTC1"));
    }
    assert_eq!(one.value(NTP).as_deref(), Some("type.example"));
    assert_eq!(other.value(NTP).as_deref(), Some("own.example"));
    // Announced or not, the next Inform finds it.
    change_type(&acs, |generic| generic.wanted.parameters = vec![parameter(NTP, "newer.example")]).await;
    assert!(!periodic(&one).await.rpcs.is_empty());
    settled(&acs, "KEEP-4").await;
    assert_eq!(one.value(NTP).as_deref(), Some("newer.example"));
    one.finish().await;
    other.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_wanted_nothing_is_done() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-6")).await;
    cpe.session(&[]).await.unwrap();
    settled(&acs, "KEEP-6").await;
    let path = "/inventory_device_serial_operation/KEEP-6/";
    let reply = acs.call("PUT", path, Some(json!({"operation": "device_factory"}))).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    let reply = acs.call("PATCH", "/inventory_device_serial/KEEP-6/", Some(json!({"device_factory": true}))).await;
    assert_eq!(reply.status, 422, "{}", reply.body);
    for operation in ["sync", "reconf"] {
        let row = operate(&acs, "KEEP-6", operation).await;
        assert_eq!(row["status"], "completed", "{row}");
    }
    change_type(&acs, |generic| generic.device_factory = vec![parameter(NTP, "reset-{serial}")]).await;
    let row = operate(&acs, "KEEP-6", "device_factory").await;
    assert_eq!(row["status"], "completed", "{row}");
    assert_eq!(cpe.value(NTP).as_deref(), Some("reset-KEEP-6"));
    assert!(settled(&acs, "KEEP-6").await["last_change"].is_string());
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_is_pending_until_the_device_took_it() {
    let acs = Acs::start(config()).await;
    change_type(&acs, |generic| generic.location_parameters = vec![path_of(SPOT)]).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-7")).await;
    cpe.session(&[]).await.unwrap();
    assert_eq!(settled(&acs, "KEEP-7").await["pending_settings"], Value::Null, "it stands nowhere yet");
    let device = patch(&acs, "KEEP-7", json!({"location_name": "Main street"})).await;
    assert_eq!(device["pending_settings"], "location_update");
    let device = settled(&acs, "KEEP-7").await;
    assert_eq!(
        (&device["pending_settings"], device["pending_settings_detail"].as_array().map(Vec::len)),
        (&Value::Null, Some(0))
    );
    assert_eq!(cpe.value(SPOT).as_deref(), Some("Main street"));
    assert!(periodic(&cpe).await.rpcs.is_empty());
    // A record's name counts where the device has none of its own, and follows its changes.
    let make = |id| Location {
        id: acsd::model::inventory::LocationId(id),
        name: "Depot".to_owned(),
        short_name: "D".to_owned(),
        address: String::new(),
        latitude: None,
        longitude: None,
        organization: None,
        created: Timestamp::default(),
        revision: 0,
    };
    let record = acs.daemon.store.locations().add(None, Box::new(make)).await.unwrap();
    let key = acs.daemon.store.by_serial("KEEP-7").await.unwrap().unwrap().key;
    let stand = |profile: &mut Profile| {
        (profile.location, profile.location_name) = (Some(record.id), String::new());
        profile.revision += 1;
    };
    acs.daemon.store.edit_profile(key, Box::new(stand)).await.unwrap();
    acs.daemon.keeper.announce(Change::Location(record.id));
    let took = |name: &'static str| {
        let path = "/inventory_device_serial/KEEP-7/parameters/?prefix=Device.Time.NTPServer5";
        acs.row_until(path, move |page| page["results"][0]["value"] == name)
    };
    took("Depot").await;
    let rename = |location: &mut Location| (location.name, location.revision) = ("Yard".to_owned(), 1);
    acs.daemon.store.locations().edit(record.id.0, Box::new(rename)).await.unwrap();
    acs.daemon.keeper.announce(Change::Location(record.id));
    took("Yard").await;
    assert_eq!(cpe.value(SPOT).as_deref(), Some("Yard"));
    settled(&acs, "KEEP-7").await;
    // Its own name goes before the record's; what names the place no more is taken away.
    patch(&acs, "KEEP-7", json!({"location_name": "Roof"})).await;
    settled(&acs, "KEEP-7").await;
    assert_eq!(cpe.value(SPOT).as_deref(), Some("Roof"));
    patch(&acs, "KEEP-7", json!({"location_name": "", "location": null})).await;
    assert_eq!(settled(&acs, "KEEP-7").await["pending_settings"], Value::Null);
    assert_eq!(cpe.value(SPOT).as_deref(), Some(""));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_location_stays_pending_and_says_why() {
    const READ_ONLY: &str = "Device.DeviceInfo.SerialNumber";
    let acs = Acs::start(config()).await;
    change_type(&acs, |generic| generic.location_parameters = vec![path_of(READ_ONLY)]).await;
    // Created ahead, it is pending before there is a device.
    let body = json!({"serial_number": "KEEP-8", "location_name": "Cellar"});
    let reply = acs.call("POST", "/inventory_device_serial/", Some(body)).await;
    assert_eq!((reply.status, &reply.body["pending_settings"]), (201, &json!("location_update")), "{}", reply.body);
    let cpe = Cpe::spawn(acs.cpe("KEEP-8")).await;
    cpe.session(&[]).await.unwrap();
    let device = settled(&acs, "KEEP-8").await;
    let detail = &device["pending_settings_detail"][0];
    assert_eq!((&detail["setting"], &detail["status"]), (&json!("location_update"), &json!("failed")), "{device}");
    assert!(detail["detail"].as_str().unwrap().contains(READ_ONLY), "{detail}");
    assert!(periodic(&cpe).await.rpcs.is_empty(), "it is not tried at every Inform");
    want(&acs, |generic| generic.location_parameters = vec![path_of(SPOT)]).await;
    acs.row_until("/inventory_device_serial/KEEP-8/", |device| device["pending_settings"] == Value::Null).await;
    assert_eq!(cpe.value(SPOT).as_deref(), Some("Cellar"), "the type was put right");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_s_interval_is_the_default_of_its_devices() {
    let acs = Acs::start(config()).await;
    change_type(&acs, |generic| generic.update_frequency = Some(7_100_000)).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-9")).await;
    cpe.session(&[]).await.unwrap();
    let device = settled(&acs, "KEEP-9").await;
    assert_eq!((&device["update_frequency"], &device["pending_settings"]), (&json!(7_100_000), &Value::Null));
    assert_eq!(cpe.value(INTERVAL).as_deref(), Some("7100000"));
    assert!(periodic(&cpe).await.rpcs.is_empty());
    let brought = configurations(&acs, "KEEP-9").await.len();
    let device = patch(&acs, "KEEP-9", json!({"name": "gate", "location_name": "Attic"})).await;
    assert_eq!(device["pending_settings"], Value::Null, "it has the interval already");
    assert!(periodic(&cpe).await.rpcs.is_empty());
    assert_eq!(configurations(&acs, "KEEP-9").await.len(), brought, "nothing is brought twice");
    let brought = |all: Vec<String>| all.iter().filter(|operation| *operation == "update_frequency").count();
    assert_eq!(brought(configurations(&acs, "KEEP-9").await), 1, "once is enough");
    want(&acs, |generic| generic.wanted.parameters = vec![parameter(NTP, "ntp.example")]).await;
    acs.row_until("/transaction/?serial_number=KEEP-9&status=completed", |page| {
        page["results"].as_array().unwrap().iter().any(|row| row["operation"] == "sync")
    })
    .await;
    settled(&acs, "KEEP-9").await;
    assert_eq!(brought(configurations(&acs, "KEEP-9").await), 1, "the type wants something else, not another interval");
    want(&acs, |generic| generic.update_frequency = Some(7_200_000)).await;
    let path = "/inventory_device_serial/KEEP-9/parameters/?prefix=Device.ManagementServer.PeriodicInformInterval";
    let took = || async {
        loop {
            if cpe.value(INTERVAL).as_deref() == Some("7200000") {
                return;
            }
            acs.get(path).await;
        }
    };
    tokio::time::timeout(crate::support::PATIENCE, took()).await.unwrap();
    let device = settled(&acs, "KEEP-9").await;
    assert_eq!((&device["update_frequency"], &device["pending_settings"]), (&json!(7_200_000), &Value::Null));
    patch(&acs, "KEEP-9", json!({"update_frequency": 7_300_000})).await;
    assert_eq!(settled(&acs, "KEEP-9").await["update_frequency"], 7_300_000);
    assert_eq!(cpe.value(INTERVAL).as_deref(), Some("7300000"), "its own wins");
    let device = patch(&acs, "KEEP-9", json!({"update_frequency": null})).await;
    assert_eq!(device["update_frequency"], 7_200_000, "without it the type's counts again");
    assert_eq!(settled(&acs, "KEEP-9").await["pending_settings"], Value::Null);
    assert_eq!(cpe.value(INTERVAL).as_deref(), Some("7200000"));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_device_gets_the_most_specific_type_that_matches() {
    let acs = Acs::start(config()).await;
    let class = TypeMatch { product_class: pattern("sim*"), ..TypeMatch::default() };
    let by_class = add_type(&acs, class.clone(), |_| {}).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-10")).await;
    cpe.session(&[]).await.unwrap();
    assert_eq!(settled(&acs, "KEEP-10").await["type"], by_class);
    // The model is in no Inform: it is read, and then the type is another one.
    let model = TypeMatch { model_name: pattern("SIM-42*"), ..class.clone() };
    let by_model = add_type(&acs, model, |_| {}).await;
    let other = Cpe::spawn(acs.cpe("KEEP-11")).await;
    other.session(&[]).await.unwrap();
    assert_eq!(settled(&acs, "KEEP-11").await["type"], by_model);
    assert!(configurations(&acs, "KEEP-11").await.contains(&"get".to_owned()));
    // Another firmware makes it one of another type, but not when an operator chose the type.
    let version = TypeMatch { oui: pattern("00D09E"), software_version: pattern("99.*"), ..class };
    let by_version = add_type(&acs, version, |_| {}).await;
    patch(&acs, "KEEP-11", json!({"type": DEFAULT_TYPE.0})).await;
    for (cpe, want) in [(&cpe, by_version), (&other, DEFAULT_TYPE.0)] {
        assert!(cpe.change_locally("Device.DeviceInfo.SoftwareVersion", "99.1"));
        periodic(cpe).await;
        let device = settled(&acs, cpe.serial_number()).await;
        assert_eq!((&device["type"], &device["software_version"]), (&json!(want), &json!("99.1")));
    }
    let reply =
        acs.call("POST", "/inventory_device_serial/", Some(json!({"serial_number": "KEEP-12", "type": 1}))).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    let ahead = Cpe::spawn(acs.cpe("KEEP-12")).await;
    ahead.session(&[]).await.unwrap();
    assert_eq!(settled(&acs, "KEEP-12").await["type"], 1, "named at creation");
    for cpe in [cpe, other, ahead] {
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_says_how_envelopes_are_written_from_the_first_answer_on() {
    let acs = Acs::start(config()).await;
    let class = TypeMatch { product_class: pattern("Simulator"), ..TypeMatch::default() };
    add_type(&acs, class, |made| made.emission.soap_prefix = Some(SoapPrefix::Plain)).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-13")).await;
    for report in [cpe.session(&[]).await.unwrap(), periodic(&cpe).await] {
        assert!(!report.messages.is_empty());
        assert!(report.messages.iter().all(|text| text.contains("<soapenv:Envelope")), "{:?}", report.messages);
    }
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_tried_again_after_a_restart_and_not_before() {
    const READ_ONLY: &str = "Device.DeviceInfo.SerialNumber";
    let acs = Acs::start(config()).await;
    change_type(&acs, |generic| generic.wanted.parameters = vec![parameter(READ_ONLY, "another")]).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-14")).await;
    cpe.session(&[]).await.unwrap();
    let device = settled(&acs, "KEEP-14").await;
    let failed = acs.get("/transaction/?serial_number=KEEP-14&status=failed").await;
    assert_eq!((&failed["count"], &failed["results"][0]["operation"]), (&json!(1), &json!("sync")), "{failed}");
    assert!(failed["results"][0]["fault"]["message"].as_str().unwrap().contains(READ_ONLY), "{failed}");
    assert_eq!(device["last_change"], Value::Null, "{device}");
    assert!(periodic(&cpe).await.rpcs.is_empty());
    let mut reports = cpe.reports();
    cpe.power_cycle();
    assert!(!reports.recv().await.unwrap().rpcs.is_empty(), "it has restarted");
    settled(&acs, "KEEP-14").await;
    assert!(periodic(&cpe).await.rpcs.is_empty());
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_is_wanted_ends_the_back_off() {
    let mut config = config();
    config.transactions.backoff_first_secs = 3600;
    let acs = Acs::start(config).await;
    change_type(&acs, |generic| {
        generic.wanted.parameters = vec![parameter(NTP, "one.example")];
        generic.update_frequency = Some(7_100_000);
    })
    .await;
    let mut busy = acs.cpe("KEEP-18");
    busy.fault_paths = vec![format!("{NTP}=9002").parse().unwrap()];
    let cpe = Cpe::spawn(busy).await;
    cpe.session(&[]).await.unwrap();
    let path = "/transaction/?serial_number=KEEP-18&status=in_progress";
    let waits = |attempts: u64| {
        move |page: &Value| page["results"][0]["attempts"] == attempts && page["results"][0]["waiting_for"].is_string()
    };
    acs.row_until(path, waits(1)).await;
    assert!(periodic(&cpe).await.rpcs.is_empty(), "an Inform does not end it");
    let brought = configurations(&acs, "KEEP-18").await;
    assert_eq!(brought.iter().filter(|operation| *operation == "update_frequency").count(), 1, "{brought:?}");
    want(&acs, |generic| generic.wanted.parameters = vec![parameter(ZONE, "UTC4")]).await;
    settled(&acs, "KEEP-18").await;
    assert_eq!(cpe.value(ZONE).as_deref(), Some("UTC4"), "it was called at once");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_unsealed_fails_the_configuration_and_says_so() {
    const SECRET: &str = "Device.ManagementServer.STUNPassword";
    let acs = Acs::start(config()).await;
    let sealed = Sealer::from_key(&[7; 32]).seal(&Secret::new("word")).unwrap();
    let parameter = WantedParameter { path: path_of(SECRET), value: MaybeSealed::Sealed(sealed), ty: None };
    change_type(&acs, |generic| generic.wanted.parameters = vec![parameter]).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-19")).await;
    cpe.session(&[]).await.unwrap();
    settled(&acs, "KEEP-19").await;
    let failed = acs.get("/transaction/?serial_number=KEEP-19&status=failed").await;
    let message = failed["results"][0]["fault"]["message"].as_str().unwrap();
    assert!(message.contains(SECRET) && message.contains("another key file"), "{failed}");
    assert_eq!((failed["count"].as_u64(), cpe.value(SECRET).as_deref()), (Some(1), Some("")));
    assert!(periodic(&cpe).await.rpcs.is_empty(), "it is not tried at every Inform");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_inactive_device_is_left_alone_and_configured_when_it_is_active_again() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("KEEP-15")).await;
    cpe.session(&[]).await.unwrap();
    settled(&acs, "KEEP-15").await;
    patch(&acs, "KEEP-15", json!({"is_active": false})).await;
    want(&acs, |generic| {
        generic.wanted.parameters = vec![parameter(NTP, "{name}.example")];
        generic.location_parameters = vec![path_of(SPOT)];
    })
    .await;
    assert!(periodic(&cpe).await.rpcs.is_empty());
    let device = patch(&acs, "KEEP-15", json!({"name": "gate", "location_name": "Attic"})).await;
    assert_eq!(device["pending_settings"], "location_update", "known of, but not carried yet");
    let shown = acs.get("/inventory_device_serial/KEEP-15/?pending=true").await;
    assert_eq!(shown["pending_settings_detail"][0]["detail"], "the device to be active again");
    assert!(periodic(&cpe).await.rpcs.is_empty());
    patch(&acs, "KEEP-15", json!({"is_active": true})).await;
    let device = settled(&acs, "KEEP-15").await;
    assert_eq!(device["pending_settings"], Value::Null, "{device}");
    assert_eq!((cpe.value(SPOT).as_deref(), cpe.value(NTP).as_deref()), (Some("Attic"), Some("gate.example")));
    patch(&acs, "KEEP-15", json!({"name": "door"})).await;
    settled(&acs, "KEEP-15").await;
    assert_eq!(cpe.value(NTP).as_deref(), Some("door.example"), "a value that is made from the record follows it");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_configuration_waits_for_the_next_change() {
    let acs = Acs::start(config()).await;
    let mut quiet = acs.cpe("KEEP-16");
    quiet.connection_requests = acsd::simulator::ConnectionRequests::Off;
    let cpe = Cpe::spawn(quiet).await;
    cpe.session(&[]).await.unwrap();
    settled(&acs, "KEEP-16").await;
    want(&acs, |generic| generic.wanted.parameters = vec![parameter(NTP, "ntp.example")]).await;
    let waiting = "/transaction/?serial_number=KEEP-16&status=scheduled";
    let page = acs.row_until(waiting, |page| page["count"] == 1).await;
    let reply = acs.call("DELETE", &format!("/transaction/{}/", page["results"][0]["id"]), None).await;
    assert_eq!(reply.status, 204, "{}", reply.body);
    assert!(periodic(&cpe).await.rpcs.is_empty());
    let organization =
        |organization: &mut Organization| (organization.name, organization.revision) = ("A".to_owned(), 1);
    acs.daemon.store.organizations().edit(1, Box::new(organization)).await.unwrap();
    acs.daemon.keeper.announce(Change::Organization(DEFAULT_ORGANIZATION));
    acs.row_until(waiting, |page| page["count"] == 1).await;
    assert!(!periodic(&cpe).await.rpcs.is_empty());
    settled(&acs, "KEEP-16").await;
    assert_eq!(cpe.value(NTP).as_deref(), Some("ntp.example"));
    cpe.finish().await;
}

/// Three types in both data models: onboarded, converged, drifted, repaired, reset, and right again.
#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_of_three_types_is_kept_as_it_is_wanted() {
    const FLEET: usize = 30;
    const CLASSES: [&str; 3] = ["Basic", "Home", "Office"];
    let acs = Acs::start(config()).await;
    let mut types = Vec::new();
    for class in CLASSES {
        let matching = TypeMatch { product_class: pattern(class), ..TypeMatch::default() };
        let made = add_type(&acs, matching, |made| {
            let ntp = format!("{{serial}}.{class}.example");
            made.wanted.parameters = ["Device", "InternetGatewayDevice"]
                .map(|root| parameter(&format!("{root}.Time.NTPServer1"), &ntp))
                .into();
        });
        types.push(made.await);
    }
    let mut fleet = Vec::new();
    for number in 0..FLEET {
        let mut cpe = acs.cpe(&format!("FLEET-{number}"));
        CLASSES[number % CLASSES.len()].clone_into(&mut cpe.identity.product_class);
        if number % 2 == 1 {
            cpe.data_model = DataModel::tr098();
        }
        fleet.push(Cpe::spawn(cpe).await);
    }
    let ntp_of = |number: usize| {
        let path = if number % 2 == 1 { "InternetGatewayDevice.Time.NTPServer1" } else { NTP };
        (path, format!("FLEET-{number}.{}.example", CLASSES[number % CLASSES.len()]))
    };
    for (number, cpe) in fleet.iter().enumerate() {
        let path = format!("/inventory_device_serial/FLEET-{number}/");
        cpe.session(&[]).await.unwrap();
        let device = settled(&acs, cpe.serial_number()).await;
        assert_eq!(device["type"], types[number % CLASSES.len()], "{path}");
        let (ntp, want) = ntp_of(number);
        assert_eq!(cpe.value(ntp), Some(want));
        assert!(periodic(cpe).await.rpcs.is_empty(), "FLEET-{number}");
        assert!(cpe.change_locally(ntp, "drift.example"));
    }
    for operation in ["sync", "factory"] {
        for (number, cpe) in fleet.iter().enumerate() {
            let row = operate(&acs, cpe.serial_number(), operation).await;
            assert_eq!(row["status"], "completed", "{row}");
            settled(&acs, cpe.serial_number()).await;
            let (ntp, want) = ntp_of(number);
            assert_eq!(cpe.value(ntp), Some(want), "after {operation}");
        }
    }
    for device_type in types {
        let edit = |made: &mut DeviceType| {
            made.wanted.parameters =
                vec![parameter(ZONE, "UTC2"), parameter("InternetGatewayDevice.Time.NTPServer2", "b")];
            made.revision += 1;
        };
        acs.daemon.store.device_types().edit(device_type, Box::new(edit)).await.unwrap();
        acs.daemon.keeper.announce(Change::DeviceType(DeviceTypeId(device_type)));
    }
    for (number, cpe) in fleet.into_iter().enumerate() {
        let (path, want) =
            if number % 2 == 1 { ("InternetGatewayDevice.Time.NTPServer2", "b") } else { (ZONE, "UTC2") };
        let arrived = async {
            while cpe.value(path).as_deref() != Some(want) {
                acs.get("/transaction/?limit=1").await;
            }
        };
        tokio::time::timeout(crate::support::PATIENCE, arrived).await.unwrap();
        settled(&acs, cpe.serial_number()).await;
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_is_made_over_the_api_is_brought_to_its_devices() {
    const TYPES: &str = "/inventory_device_type/";
    let acs = Acs::start(config()).await;
    let body = json!({"name": "Home", "short_name": "home", "match": {"product_class": "Sim*"},
        "parameters": [{"path": NTP, "value": "{serial}.home.example", "value_type": "string"}]});
    let made = acs.call("POST", TYPES, Some(body)).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let wrong = [
        ("parameters", json!({"short_name": "x", "name": "x", "parameters": [{"path": NTP, "value": "{nobody}"}]})),
        ("match", json!({"short_name": "x", "name": "x", "match": {"product_class": "*lat"}})),
    ];
    for (field, body) in wrong {
        let reply = acs.call("POST", TYPES, Some(body)).await;
        assert_eq!((reply.status, reply.body.get(field).is_some()), (400, true), "{field}: {}", reply.body);
    }
    let cpe = Cpe::spawn(acs.cpe("KEEP-17")).await;
    cpe.session(&[]).await.unwrap();
    assert_eq!(settled(&acs, "KEEP-17").await["type"], made.body["id"]);
    assert_eq!(cpe.value(NTP).as_deref(), Some("KEEP-17.home.example"));
    let change = json!({"parameters": [{"path": ZONE, "value": "UTC3"}]});
    let reply = acs.call("PATCH", &format!("{TYPES}{}/", made.body["id"]), Some(change)).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let path = "/inventory_device_serial/KEEP-17/parameters/?prefix=Device.Time.LocalTimeZone";
    acs.row_until(path, |page| page["results"][0]["value"] == "UTC3").await;
    assert_eq!(cpe.value(ZONE).as_deref(), Some("UTC3"));
    cpe.finish().await;
}
