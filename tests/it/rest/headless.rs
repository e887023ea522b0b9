//! rest-api.md 2.3, and the parameter tree.

use std::time::Duration;

use acsd::model::transaction::{TransactionFault, TransactionStatus, VariableResult, Work};
use acsd::types::ident::TransactionId;
use acsd::types::value::XsdType;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, HEADLESS, OPERATOR, device, operations};

fn result(variable: u32, path: &str, value: &str, ty: XsdType) -> VariableResult {
    VariableResult {
        variable,
        path: path.into(),
        value: Some(value.into()),
        ty: Some(ty),
        instance_number: None,
        fault: None,
    }
}

#[tokio::test]
async fn the_documented_examples_are_accepted() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "SN123456789"})).await;
    let interval = "Device.ManagementServer.PeriodicInformInterval";
    let bodies = [
        json!({"serial_number": "SN123456789", "operation": "get",
            "variables": [{"variable_name": interval}, {"variable_name": "Device.WiFi.SSID.1.SSID"}]}),
        json!({"serial_number": "SN123456789", "operation": "set", "variables": [
            {"variable_name": interval, "value": "300", "value_type": "integer"},
            {"variable_name": "Device.ManagementServer.PeriodicInformEnable", "value": "true", "value_type": "boolean"}]}),
        json!({"serial_number": "SN123456789", "operation": "add.obj", "variables": [
            {"variable_name": "Device.WiFi.SSID.",
             "values": [{"variable_name": "Enable", "value": "true", "value_type": "boolean"}]}]}),
        json!({"serial_number": "SN123456789", "operation": "del.obj",
            "variables": [{"variable_name": "Device.WiFi.SSID.3."}]}),
    ];
    for (n, body) in (1..).zip(bodies) {
        let made = api.call("POST", HEADLESS, body.clone()).await.expect(201, &body.to_string());
        for (name, value) in body.as_object().expect("an object") {
            assert_eq!(&made[name], value, "{name}");
        }
        assert_eq!((&made["id"], &made["status"]), (&json!(n.to_string()), &json!("scheduled")));
        assert!(made["created_at"].as_str().expect("a time").ends_with('Z'));
        assert_eq!(made.as_object().map(serde_json::Map::len), Some(6));
        let list = api.get(&format!("{HEADLESS}?id={n}")).await.expect(200, "by id");
        let shown = &list[0];
        assert_eq!(shown["variables"], body["variables"]);
        for name in ["started_at", "completed_at", "fault"] {
            assert!(shown[name].is_null(), "{name}");
        }
        // What a GET gave can be sent back.
        let id = made["id"].as_str().expect("an id");
        api.call("DELETE", &format!("/api/v1/transaction/{id}/"), Value::Null).await.expect(204, "room for the next");
    }
    let list = api.get(HEADLESS).await;
    assert_eq!(list.header("x-total-count"), "4");
    let ids: Vec<&str> =
        list.json.as_array().expect("bare").iter().map(|one| one["id"].as_str().expect("id")).collect();
    assert_eq!(ids, ["4", "3", "2", "1"]);
    let again = api.call("POST", HEADLESS, list.json[2].clone()).await.expect(201, "what a GET gave");
    assert_eq!(again["operation"], "set");
}

#[tokio::test]
async fn secrets_of_orders_are_sealed_and_not_shown() {
    const KEY: &str = "Device.WiFi.AccessPoint.1.Security.KeyPassphrase";
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let order = |operation: &str, variables: Value| {
        let body = json!({"serial_number": "S", "operation": operation, "variables": variables});
        api.call_owned("POST", HEADLESS.to_owned(), body)
    };
    let variables = json!([{"variable_name": KEY, "value": "hush"}, {"variable_name": "Device.A", "value": "open"}]);
    order("set", variables).await.expect(201, "set");
    let values = json!([{"variable_name": "PIN", "value": "hush"}, {"variable_name": "Enable", "value": "1"}]);
    order("add.obj", json!([{"variable_name": "Device.X.", "values": values}])).await.expect(201, "add");
    let path = format!("{}parameters/", device("S"));
    api.call("PATCH", &path, json!({KEY: "hush"})).await.expect(202, "patch");

    for (id, shown) in [
        (1, json!([{"variable_name": KEY, "value": "********"}, {"variable_name": "Device.A", "value": "open"}])),
        (
            2,
            json!([{"variable_name": "Device.X.", "values": [
            {"variable_name": "PIN", "value": "********"}, {"variable_name": "Enable", "value": "1"}]}]),
        ),
        (3, json!([{"variable_name": KEY, "value": "********"}])),
    ] {
        let list = api.get(&format!("{HEADLESS}?id={id}")).await.expect(200, "by id");
        assert_eq!(list[0]["variables"], shown);
        let stored = api.store.transaction(TransactionId(id)).await.expect("the store").expect("the transaction");
        assert!(!format!("{:?}", stored.work).contains("hush"), "{:?}", stored.work);
    }
    let trail = api.call_as(ADMIN, "GET", "/api/v1/audit/", Value::Null).await.expect(200, "the trail");
    assert!(trail["count"].as_u64() >= Some(4) && !trail.to_string().contains("hush"), "{trail}");

    // What was read back would make the stars the secret.
    let stars = |name: &str| json!({"variable_name": name, "value": "********"});
    order("set", json!([stars(KEY)])).await.refused_fields(&["variables"], "stars");
    let row = json!([{"variable_name": "Device.X.", "values": [stars("PIN")]}]);
    order("add.obj", row).await.refused_fields(&["variables"], "stars");
    api.call("PATCH", &path, json!({KEY: "********"})).await.refused_fields(&[KEY], "stars");
    order("set", json!([stars("Device.A")])).await.expect(201, "stars are a value like others where nothing is hidden");
}

#[tokio::test]
async fn wrong_orders_name_their_places() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let post = |body: Value| api.call_owned("POST", HEADLESS.to_owned(), body);
    post(json!({})).await.refused_fields(&["serial_number", "operation"], "nothing");
    post(json!({"serial_number": 5, "operation": "x", "variables": "y", "odd": 1}))
        .await
        .refused_fields(&["serial_number", "operation", "variables", "odd"], "all wrong");
    for operation in ["set", "add.obj", "del.obj"] {
        for variables in [json!([]), Value::Null] {
            let body = json!({"serial_number": "S", "operation": operation, "variables": variables});
            post(body).await.refused_fields(&["variables"], operation);
        }
        post(json!({"serial_number": "S", "operation": operation})).await.refused_fields(&["variables"], operation);
    }
    let reply = post(json!({"serial_number": "S", "operation": "set", "variables": [
        {"variable_name": "Device.A", "value": "1"},
        {"variable_name": "Device.B", "value": 5, "value_type": "float", "odd": 1},
        {"variable_name": "Device.", "value": "x", "value_type": "integer"},
        {}]}))
    .await;
    let errors = reply.expect(400, "variables");
    let places: Vec<Vec<&str>> = errors["variables"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one.as_object().expect("an object").keys().map(String::as_str).collect())
        .collect();
    assert_eq!(places[0], Vec::<&str>::new());
    assert_eq!(places[1].len(), 3, "{errors}");
    assert_eq!(places[2].len(), 2, "{errors}");
    assert_eq!(places[3].len(), 2, "{errors}");
    let reply = post(json!({"serial_number": "S", "operation": "get", "variables": [
        1, {"variable_name": "Device.A"}, {"variable_name": ""}, null]}))
    .await;
    let errors = reply.expect(400, "what is no object has its own place");
    let keys = |at: usize| errors["variables"][at].as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        [keys(0), keys(1), keys(2), keys(3)],
        [
            vec!["non_field_errors".to_owned()],
            vec![],
            vec!["variable_name".to_owned()],
            vec!["non_field_errors".to_owned()]
        ],
        "{errors}"
    );
    let twice = json!({"serial_number": "S", "operation": "set", "variables": [
        {"variable_name": "Device.A", "value": "1"}, {"variable_name": "Device.A", "value": "2"}]});
    post(twice).await.refused_fields(&["variables"], "twice");
    for (operation, name) in [("add.obj", "Device.WiFi.SSID"), ("del.obj", "Device.WiFi.SSID."), ("get", "Device..X")] {
        let body = json!({"serial_number": "S", "operation": operation, "variables": [{"variable_name": name}]});
        post(body).await.refused_fields(&["variables"], name);
    }
    let get = json!({"serial_number": "none", "operation": "get"});
    post(get).await.refused(404, "unknown device");
    api.call("PATCH", &device("S"), json!({"is_active": false})).await.expect(200, "inactive");
    post(json!({"serial_number": "S", "operation": "get"})).await.refused(422, "inactive");
}

#[tokio::test]
async fn values_must_fit_what_the_device_reported() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api.inform("S", &[("Device.N", "5", XsdType::UnsignedInt), ("Device.T", "x", XsdType::String)]).await;
    let set = |name: &str, value: &str, ty: Value| {
        let body = json!({"serial_number": "S", "operation": "set",
            "variables": [{"variable_name": name, "value": value, "value_type": ty}]});
        api.call_owned("POST", HEADLESS.to_owned(), body)
    };
    let errors = set("Device.N", "-1", json!("integer")).await.expect(400, "unsigned");
    assert!(errors["variables"][0]["value"][0].as_str().expect("a reason").contains("4294967295"), "{errors}");
    assert_eq!(set("Device.N", "x", Value::Null).await.status, 400);
    assert_eq!(set("Device.N", "7", json!("string")).await.status, 201, "sent as the device's own type");
    assert_eq!(set("Device.N", "-1", json!("int")).await.status, 201, "an exact type is taken as it stands");
    assert_eq!(set("Device.T", "7", json!("integer")).await.status, 201);
}

#[tokio::test]
async fn results_stand_in_the_place_of_their_variables() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let known = api.inform("S", &[]).await;
    let body = json!({"serial_number": "S", "operation": "get", "variables": [
        {"variable_name": "Device.A.X"}, {"variable_name": "Device.B."}, {"variable_name": "Device.C."}]});
    api.call("POST", HEADLESS, body).await.expect(201, "get");
    let work = api.claim(&known).await;
    let running = api.get(&format!("{HEADLESS}?id=1")).await.expect(200, "running");
    assert_eq!(running[0]["status"], "in_progress");
    let results = [
        result(0, "Device.A.X", "300", XsdType::UnsignedInt),
        result(1, "Device.B.1", "true", XsdType::Boolean),
        result(1, "Device.B.2", "2024-01-01T00:00:00Z", XsdType::DateTime),
    ];
    api.settle(work, TransactionStatus::Completed, None, &results).await;
    let list = api.get(&format!("{HEADLESS}?id=1")).await.expect(200, "done");
    assert_eq!(list[0]["status"], "completed");
    assert!(list[0]["completed_at"].is_string() && list[0]["started_at"].is_string());
    let variable = |name: &str, value: Value, kind: Value, xsd: Value| json!({"variable_name": name, "value": value, "value_type": kind, "xsd_type": xsd});
    assert_eq!(
        list[0]["variables"],
        json!([
            variable("Device.A.X", json!("300"), json!("integer"), json!("xsd:unsignedInt")),
            variable("Device.B.1", json!("true"), json!("boolean"), json!("xsd:boolean")),
            variable("Device.B.2", json!("2024-01-01T00:00:00Z"), json!("string"), json!("xsd:dateTime")),
            variable("Device.C.", Value::Null, Value::Null, Value::Null),
        ])
    );
    // Rows that were added, faults by name, and a whole tree.
    let add = json!({"serial_number": "S", "operation": "add.obj", "variables": [{"variable_name": "Device.W."}]});
    api.call("POST", HEADLESS, add).await.expect(201, "add");
    let work = api.claim(&known).await;
    let row = VariableResult {
        instance_number: Some(3),
        value: None,
        ty: None,
        ..result(0, "Device.W.3.", "", XsdType::String)
    };
    api.settle(work, TransactionStatus::Completed, None, &[row]).await;
    let list = api.get(&format!("{HEADLESS}?id=2")).await.expect(200, "added");
    assert_eq!(
        list[0]["variables"],
        json!([{"variable_name": "Device.W.", "instance_number": 3, "object_path": "Device.W.3."}])
    );
    let set = json!({"serial_number": "S", "operation": "set",
        "variables": [{"variable_name": "Device.A.X", "value": "1"}, {"variable_name": "Device.R", "value": "1"}]});
    api.call("POST", HEADLESS, set).await.expect(201, "set");
    let work = api.claim(&known).await;
    let fault = TransactionFault { code: 9008, message: "not writable".into() };
    let refused = VariableResult { fault: Some(fault), ..result(1, "Device.R", "1", XsdType::String) };
    api.settle(work, TransactionStatus::Failed, Some((9003, "invalid arguments")), &[refused]).await;
    let list = api.get(&format!("{HEADLESS}?id=3")).await.expect(200, "failed");
    assert_eq!(list[0]["fault"], json!({"code": 9003, "message": "invalid arguments"}));
    assert_eq!(
        list[0]["variables"],
        json!([{"variable_name": "Device.A.X", "value": "1"},
               {"variable_name": "Device.R", "value": "1", "fault": {"code": 9008, "message": "not writable"}}])
    );
    api.call("POST", HEADLESS, json!({"serial_number": "S", "operation": "get"})).await.expect(201, "the tree");
    let work = api.claim(&known).await;
    assert_eq!(work.work, Work::Get { paths: Vec::new() });
    api.settle(work, TransactionStatus::Completed, None, &results).await;
    let list = api.get(&format!("{HEADLESS}?id=4")).await.expect(200, "the tree");
    assert_eq!(list[0]["variables"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn the_array_filters_and_pages() {
    let api = Api::start().await;
    for serial in ["S", "T"] {
        api.create(json!({"serial_number": serial})).await;
        for _ in 0..2 {
            let body = json!({"serial_number": serial, "operation": "get"});
            api.call("POST", HEADLESS, body).await.expect(201, "get");
        }
    }
    api.call("PUT", &operations("S"), json!({"operation": "reboot"})).await.expect(200, "reboot");
    for (query, count) in [
        ("", 4),
        ("serial_number=S", 2),
        ("serial_number=none", 0),
        ("status=scheduled", 4),
        ("status=completed", 0),
        ("id=2", 1),
        ("id=", 4),
    ] {
        let reply = api.get(&format!("{HEADLESS}?{query}")).await;
        assert_eq!(reply.header("x-total-count"), count.to_string(), "{query}");
        assert_eq!(reply.expect(200, query).as_array().map(Vec::len), Some(count), "{query}");
    }
    for query in ["id=99", "id=x", "id=5", "id=1&status=completed", "id=1&serial_number=T", "id=diag_1"] {
        api.get(&format!("{HEADLESS}?{query}")).await.refused(404, query);
    }
    api.get(&format!("{HEADLESS}?status=x&limit=y")).await.refused_fields(&["status", "limit"], "wrong");
    let reply = api.get(&format!("{HEADLESS}?limit=2&offset=1")).await;
    let link = reply.header("link");
    assert!(
        link.contains("limit=2&offset=3>; rel=\"next\"") && link.contains("limit=2&offset=0>; rel=\"prev\""),
        "{link}"
    );
    assert_eq!(reply.json.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn update_status_waits_for_the_end() {
    let api = Api::with(acsd::api::ApiConfig { update_status_wait_secs: 30, ..acsd::api::ApiConfig::default() }).await;
    api.create(json!({"serial_number": "S"})).await;
    let known = api.inform("S", &[]).await;
    api.call("POST", HEADLESS, json!({"serial_number": "S", "operation": "get"})).await.expect(201, "get");
    let path = format!("{HEADLESS}?id=1&update_status=true");
    let waiting = api.get(&path);
    let carrying_out = async {
        let work = api.claim(&known).await;
        api.settle(work, TransactionStatus::Completed, None, &[result(0, "Device.A", "1", XsdType::Int)]).await;
    };
    let both = async { tokio::join!(waiting, carrying_out) };
    let (reply, ()) = tokio::time::timeout(Duration::from_secs(20), both).await.expect("no full wait");
    let list = reply.expect(200, "done");
    assert_eq!((&list[0]["status"], &list[0]["variables"][0]["value"]), (&json!("completed"), &json!("1")));
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_wait() {
    use tokio::io::AsyncWriteExt as _;
    let api = Api::with(acsd::api::ApiConfig { update_status_wait_secs: 50, ..acsd::api::ApiConfig::default() }).await;
    api.create(json!({"serial_number": "S"})).await;
    api.inform("S", &[]).await;
    api.call("POST", HEADLESS, json!({"serial_number": "S", "operation": "get"})).await.expect(201, "get");
    let mut stream = tokio::net::TcpStream::connect(api.address).await.expect("connected");
    let head = format!(
        "GET {HEADLESS}?id=1&update_status=true HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {OPERATOR}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let waiting = || api.presence.ended.waiters(TransactionId(1));
    let until = |wanted: usize| async move {
        while waiting() != wanted {
            tokio::task::yield_now().await;
        }
    };
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, until(1)).await.expect("the request waits");
    drop(stream);
    tokio::time::timeout(patience, until(0)).await.expect("the wait is over");
}

#[tokio::test]
async fn the_known_tree_is_paged_read_and_written() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let reported = [
        ("Device.A.One", "1", XsdType::UnsignedInt),
        ("Device.A.Two", "Zwei", XsdType::String),
        ("Device.B", "true", XsdType::Boolean),
    ];
    api.inform("S", &reported).await;
    let tree = format!("{}parameters/", device("S"));
    let list = api.get(&tree).await.expect(200, "all");
    assert_eq!(list["count"], 3);
    let mut first = list["results"][0].clone();
    assert!(first["updated_at"].is_string());
    first["updated_at"] = Value::Null;
    assert_eq!(
        first,
        json!({"path": "Device.A.One", "value": "1", "value_type": "integer", "xsd_type": "xsd:unsignedInt",
               "writable": null, "notification": null, "updated_at": null})
    );
    for (query, count) in
        [("prefix=Device.A.", 2), ("search=zwei", 1), ("prefix=Device.B&search=one", 0), ("limit=1", 3)]
    {
        assert_eq!(api.get(&format!("{tree}?{query}")).await.expect(200, query)["count"], count, "{query}");
    }
    let read = api.call("POST", &tree, json!({"refresh": "Device.WiFi."})).await.expect(202, "refresh");
    assert_eq!((&read["id"], &read["operation"], &read["kind"]), (&json!(1), &json!("get"), &json!("headless")));
    let write = api.call("PATCH", &tree, json!({"Device.A.One": "7", "Device.New": "x"})).await.expect(202, "write");
    assert_eq!((&write["operation"], &write["status"]), (&json!("set"), &json!("scheduled")));
    api.call("POST", &tree, json!({})).await.refused_fields(&["refresh"], "nothing");
    api.call("POST", &tree, json!({"refresh": "Device..", "odd": 1}))
        .await
        .refused_fields(&["refresh", "odd"], "wrong");
    api.call("PATCH", &tree, json!({})).await.refused(400, "nothing");
    api.call("PATCH", &tree, json!({"Device.A.One": "x", "Device.A.Two": "fine"}))
        .await
        .refused_fields(&["Device.A.One"], "its type");
    api.call("PATCH", &tree, json!({"Device.A.": "x", "Device.B": 5}))
        .await
        .refused_fields(&["Device.A.", "Device.B"], "");
    api.get(&format!("{}parameters/", device("none"))).await.refused(404, "unknown");
}
