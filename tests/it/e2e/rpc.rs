//! Single calls and discoveries, with simulated CPEs of both models.

use std::sync::Arc;

use acsd::simulator::{ConnectionRequests, CpeConfig, CpeVersion, DataModel};
use acsd::types::event::EventCode;
use serde_json::{Value, json};

use crate::crash::Daemon;
use crate::support::{Acs, Api, Cpe, PASSWORD, USER, config};

const UUID: &str = "11111111-2222-3333-4444-555555555555";

fn models() -> [(Arc<DataModel>, &'static str); 2] {
    [(DataModel::tr181(), "Device"), (DataModel::tr098(), "InternetGatewayDevice")]
}

/// Orders a call and waits for its end.
async fn call(api: &Api, serial: &str, body: Value) -> Value {
    let case = body.to_string();
    let reply = api.call("POST", &format!("/inventory_device_serial/{serial}/rpc/"), Some(body)).await;
    assert_eq!(reply.status, 202, "{case}: {}", reply.body);
    ended(api, serial, &reply.body).await
}

async fn discover(api: &Api, serial: &str, below: Value) -> Value {
    let path = format!("/inventory_device_serial/{serial}/parameters/");
    let reply = api.call("POST", &path, Some(json!({ "discover": below }))).await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    ended(api, serial, &reply.body).await
}

async fn ended(api: &Api, serial: &str, ordered: &Value) -> Value {
    let path = format!("/inventory_device_serial/{serial}/rpc/{}/", ordered["id"]);
    api.row_until(&path, |row| row["result"] != Value::Null).await
}

/// How many parameters are known, and of how many of them whether they are writable.
async fn known(api: &Api, serial: &str) -> (usize, usize) {
    let (mut all, mut asked) = (0, 0);
    loop {
        let page = api.get(&format!("/inventory_device_serial/{serial}/parameters/?limit=500&offset={all}")).await;
        let rows = page["results"].as_array().unwrap();
        all += rows.len();
        asked += rows.iter().filter(|row| row["writable"] != Value::Null).count();
        if page["next"].is_null() {
            return (all, asked);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_carried_out_in_both_models() {
    let acs = Acs::start(config()).await;
    for (model, root) in models() {
        let serial = format!("RPC-{root}");
        let mut cpe = acs.cpe(&serial);
        cpe.data_model = model;
        let cpe = Cpe::spawn(cpe).await;
        cpe.session(&[]).await.unwrap();

        let shown = call(&acs, &serial, json!({"method": "GetRPCMethods"})).await;
        assert!(shown["result"]["methods"].as_array().unwrap().contains(&json!("ChangeDUState")), "{shown}");
        let methods = acs.get(&format!("/inventory_device_serial/{serial}/rpc/methods/")).await;
        assert!(methods["methods"].as_array().unwrap().contains(&json!("ChangeDUState")), "{methods}");

        let code = format!("{root}.DeviceInfo.ProvisioningCode");
        let set = json!({"method": "SetParameterAttributes", "parameters": [{"path": code, "notification": 1}]});
        assert_eq!(call(&acs, &serial, set).await["status"], "completed");
        let get = json!({"method": "GetParameterAttributes", "names": [code]});
        let shown = call(&acs, &serial, get).await;
        assert_eq!(shown["result"]["parameters"][0]["notification"], 1, "{shown}");
        let tree = acs.get(&format!("/inventory_device_serial/{serial}/parameters/?prefix={code}")).await;
        assert_eq!(tree["results"][0]["notification"], 1, "{tree}");
        let get = json!({"method": "GetParameterAttributes", "names": [format!("{root}.No.Such")]});
        let shown = call(&acs, &serial, get).await;
        assert_eq!((&shown["status"], &shown["fault"]["code"]), (&json!("failed"), &json!(9005)), "{shown}");

        let names = json!({"method": "GetParameterNames", "path": format!("{root}.DeviceInfo.")});
        let shown = call(&acs, &serial, names).await;
        assert!(shown["result"]["parameters"].as_array().unwrap().len() > 5, "{shown}");

        let shown = call(&acs, &serial, json!({"method": "ScheduleInform", "delay": 60})).await;
        assert_eq!((&shown["status"], &shown["fault"]), (&json!("completed"), &Value::Null), "{shown}");
        for method in ["GetQueuedTransfers", "GetAllQueuedTransfers", "GetOptions"] {
            let shown = call(&acs, &serial, json!({ "method": method })).await;
            assert_eq!(shown["status"], "completed", "{shown}");
        }
        let shown = call(&acs, &serial, json!({"method": "CancelTransfer", "command_key": "nobody's"})).await;
        assert_eq!(shown["status"], "completed", "{shown}");
        let shown = call(&acs, &serial, json!({"method": "SetVouchers", "vouchers": ["AAAA"]})).await;
        assert_eq!(shown["status"], "completed", "{shown}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deployment_units_come_and_go() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("RPC-DU")).await;
    cpe.session(&[]).await.unwrap();
    let install = json!({"action": "install", "url": "http://h/app.deb", "uuid": UUID, "password": "hush"});
    let shown = call(&acs, "RPC-DU", json!({"method": "ChangeDUState", "operations": [install]})).await;
    assert_eq!(shown["status"], "completed", "{shown}");
    let unit = &shown["result"]["operations"][0];
    assert_eq!((&unit["operation"], &unit["current_state"]), (&json!("install"), &json!("Installed")), "{unit}");
    assert_eq!((&unit["uuid"], &unit["version"], &unit["resolved"]), (&json!(UUID), &json!("1.0"), &json!(true)));

    let gone = json!({"action": "uninstall", "uuid": UUID});
    let operations = json!([gone, gone]);
    let shown = call(&acs, "RPC-DU", json!({"method": "ChangeDUState", "operations": operations})).await;
    assert_eq!((&shown["status"], &shown["fault"]["code"]), (&json!("failed"), &json!(9028)), "{shown}");
    let states = &shown["result"]["operations"];
    assert_eq!((&states[0]["current_state"], &states[0]["fault"]), (&json!("Uninstalled"), &Value::Null), "{shown}");
    assert_eq!(states[1]["fault"]["code"], 9028);

    let events = acs.get("/event/?kind=deployment_units&serial_number=RPC-DU").await;
    assert_eq!(events["count"], 2, "{events}");
    assert_eq!(
        (&events["results"][0]["data"]["done"], &events["results"][0]["data"]["failed"]),
        (&json!(1), &json!(1))
    );
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_the_device_lacks_is_not_called() {
    let acs = Acs::start(config()).await;
    let mut old = acs.cpe("RPC-OLD");
    old.version = CpeVersion::ALL[0];
    let cpe = Cpe::spawn(old).await;
    cpe.session(&[]).await.unwrap();
    for (body, method) in [
        (
            json!({"method": "ChangeDUState", "operations": [{"action": "install", "url": "http://h/"}]}),
            "ChangeDUState",
        ),
        (json!({"method": "GetAllQueuedTransfers"}), "GetAllQueuedTransfers"),
    ] {
        let shown = call(&acs, "RPC-OLD", body).await;
        assert_eq!(shown["fault"]["message"], format!("the device does not have {method}"), "{shown}");
    }
    // Another software may have others: what was said is forgotten.
    let methods = "/inventory_device_serial/RPC-OLD/rpc/methods/";
    assert_ne!(acs.get(methods).await["methods"], Value::Null);
    cpe.session(&[EventCode::Bootstrap]).await.unwrap();
    assert_eq!(acs.get(methods).await["methods"], Value::Null);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_data_model_is_discovered() {
    let acs = Acs::start(config()).await;
    for (model, root) in models() {
        let serial = format!("FIND-{root}");
        let mut cpe = acs.cpe(&serial);
        cpe.data_model = model;
        let cpe = Cpe::spawn(cpe).await;
        cpe.session(&[]).await.unwrap();
        let shown = discover(&acs, &serial, json!(true)).await;
        assert_eq!((&shown["status"], &shown["note"]), (&json!("completed"), &Value::Null), "{shown}");
        let (all, asked) = known(&acs, &serial).await;
        assert_eq!(all, asked, "all that is known was listed");
        assert_eq!(shown["result"]["names"], json!(all));
        let whole = acs.headless(&serial, "get", json!([])).await;
        let values = whole["variables"].as_array().unwrap().len();
        assert!(all > values && values >= 200, "{all} names, {values} values");
        assert_eq!(known(&acs, &serial).await.0, all, "no value has a name that was not found");

        // Rows that come and go are found and forgotten.
        let table = format!("{root}.ManagementServer.");
        let shown = discover(&acs, &serial, json!(table)).await;
        assert_eq!(shown["status"], "completed", "{shown}");
        let shown = discover(&acs, &serial, json!(format!("{root}.No.Such."))).await;
        assert_eq!((&shown["status"], &shown["fault"]["code"]), (&json!("failed"), &json!(9005)), "{shown}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_gone_from_the_device_goes_from_what_is_known() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("FIND-GONE")).await;
    cpe.session(&[]).await.unwrap();
    let table = "Device.NAT.PortMapping.";
    let row = acs.headless("FIND-GONE", "add.obj", json!([{"variable_name": table}])).await;
    let number = row["variables"][0]["instance_number"].as_u64().unwrap();
    let path = format!("/inventory_device_serial/FIND-GONE/parameters/?prefix={table}{number}.");
    discover(&acs, "FIND-GONE", json!(true)).await;
    assert!(acs.get(&path).await["count"].as_u64().unwrap() > 3);
    let delete = json!({"method": "DeleteObject", "path": format!("{table}{number}.")});
    assert_eq!(call(&acs, "FIND-GONE", delete).await["status"], "completed");
    // As if it had been deleted on the device's own pages.
    acs.headless("FIND-GONE", "get", json!([{"variable_name": table}])).await;
    discover(&acs, "FIND-GONE", json!(table)).await;
    assert_eq!(acs.get(&path).await["count"], 0);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_break_do_not_keep_a_discovery_from_its_end() {
    let mut config = config();
    config.transactions.backoff_first_secs = 0;
    let acs = Acs::start(config).await;
    let mut flaky = acs.cpe("FIND-FLAKY");
    for nth in [1, 5, 6, 20, 40] {
        flaky = flaky.misbehave(format!("drop-before=GetParameterNames#{nth}").parse().unwrap());
    }
    let cpe = Cpe::spawn(flaky).await;
    cpe.session(&[]).await.unwrap();
    let shown = discover(&acs, "FIND-FLAKY", json!(true)).await;
    assert_eq!((&shown["status"], &shown["result"]["skipped"]), (&json!("completed"), &json!(0)), "{shown}");
    let (all, asked) = known(&acs, "FIND-FLAKY").await;
    assert_eq!(all, asked);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_discovery_costs_nothing_that_was_found() {
    let mut api = Daemon::start("").await;
    let cwmp = api.cwmp;
    let mut slow = CpeConfig::new(format!("http://{cwmp}/")).serial("FIND-KILL").credentials(USER, PASSWORD);
    slow.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    slow.time_scale = 0.01;
    slow.periodic_interval_secs = 100;
    slow = slow.misbehave("late=25".parse().unwrap());
    let cpe = Cpe::spawn(slow).await;
    api.row_until("/event/?kind=first_contact", |page| page["count"] == 1).await;
    let parameters = "/inventory_device_serial/FIND-KILL/parameters/";
    let before = api.get(parameters).await["count"].as_u64().unwrap();
    let reply = api.call("POST", parameters, Some(json!({"discover": true}))).await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    // Something of it is on disk, and it is not over.
    let found = api.row_until(parameters, |page| page["count"].as_u64().unwrap() > before + 40).await;
    let path = format!("/transaction/{}/", reply.body["id"]);
    let running = api.get(&path).await["status"] == "in_progress";
    api.kill_and_restart().await;
    assert!(running, "it was over too soon: {found}");
    let row = api.row_until(&path, |row| row["completed_at"] != Value::Null).await;
    assert_eq!(row["status"], "completed", "{row}");
    let (all, asked) = known(&api, "FIND-KILL").await;
    assert_eq!(all, asked);
    let whole = api.headless("FIND-KILL", "get", json!([])).await;
    assert_eq!(whole["status"], "completed");
    assert_eq!(known(&api, "FIND-KILL").await.0, all, "nothing was missed");
    cpe.finish().await;
    api.kill();
}
