//! rest-api.md 2.1: devices.

use acsd::model::device::{Login, Setting};
use acsd::model::transaction::{TransactionStatus, Work};
use acsd::types::value::XsdType;
use serde_json::{Value, json};

use super::support::{Api, DEVICES, QUEUE_MAX, TRANSACTIONS, device, operations};

const ROW: [&str; 26] = [
    "id",
    "uuid",
    "name",
    "customer_id",
    "is_active",
    "status",
    "status_change",
    "type",
    "type_short_name",
    "software_version",
    "hardware_version",
    "manufacturer",
    "serial_number",
    "serial_number_alt",
    "description",
    "organization_id",
    "location_name",
    "location",
    "location_short_name",
    "latitude",
    "longitude",
    "address",
    "last_connection",
    "last_configuration",
    "created",
    "pending_settings",
];

const MORE: [&str; 9] = [
    "unique_identifier",
    "product_class",
    "firmware_image",
    "firmware_image_is_pending",
    "username",
    "update_frequency",
    "last_change",
    "debug",
    "tags",
];

#[track_caller]
fn keys(object: &Value, wanted: &[&[&str]]) {
    let mut given: Vec<&str> = object.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> = wanted.iter().copied().flatten().copied().collect();
    given.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(given, wanted);
}

#[tokio::test]
async fn a_new_device_has_every_field_and_its_default() {
    let api = Api::start().await;
    let made = api.create(json!({"serial_number": "ZN-1"})).await;
    keys(&made, &[&ROW, &MORE]);
    let wanted = json!({
        "id": 1, "name": "ZN-1", "customer_id": "", "is_active": true, "status": "Down", "type": 1,
        "type_short_name": "generic", "software_version": "", "hardware_version": "", "manufacturer": "",
        "unique_identifier": "", "product_class": "", "serial_number": "ZN-1", "serial_number_alt": "",
        "description": "", "organization_id": 1, "firmware_image": null, "firmware_image_is_pending": false,
        "location_name": "", "location": null, "location_short_name": "", "latitude": null, "longitude": null,
        "username": "", "update_frequency": 300, "address": "", "last_connection": null,
        "last_configuration": null, "last_change": null, "debug": false, "pending_settings": null, "tags": []
    });
    for (name, value) in wanted.as_object().expect("an object") {
        assert_eq!(&made[name], value, "{name}");
    }
    assert!(made["created"].as_str().expect("a time").ends_with('Z'));
    assert_eq!(made["status_change"], made["created"]);
    assert_eq!(made["uuid"].as_str().map(str::len), Some(36));
    assert_eq!(api.get(&device("ZN-1")).await.expect(200, "get"), made);
    let list = api.get(DEVICES).await.expect(200, "list");
    keys(&list, &[&["count", "next", "previous", "results"]]);
    keys(&list["results"][0], &[&ROW]);
}

#[tokio::test]
async fn the_documented_creation_keeps_what_it_was_given() {
    let api = Api::start().await;
    let given = json!({
        "name": "Branch Office Router", "serial_number": "ZN987654321", "customer_id": "CUST-67890", "type": 1,
        "organization_id": 1, "location_name": "Branch Office - Seattle", "location": null,
        "description": "Primary router for Seattle branch", "username": "device_admin",
        "is_active": true, "latitude": "47.6062", "longitude": -122.3321, "serial_number_alt": "ALT",
        "update_frequency": 600, "tags": ["a", "b"], "id": 1002
    });
    let mut sent = given.clone();
    sent["password"] = "secure_password_123".into();
    let made = api.create(sent).await;
    for (name, value) in given.as_object().expect("an object") {
        let value = if name == "longitude" { &json!("-122.3321") } else { value };
        assert_eq!(&made[name], value, "{name}");
    }
    assert!(made.get("password").is_none());
    assert_eq!(made["pending_settings"], "update_frequency", "credentials count as set, the interval does not");
    let profile = api.store.by_serial("ZN987654321").await.expect("store").expect("device").profile;
    assert_eq!(profile.credentials.current.as_ref().map(|login| login.username.as_str()), Some("device_admin"));
    assert_eq!((profile.pending.len(), profile.pending[0].transaction), (1, None));
    let detail = api.get(&format!("{}?pending=true", device("ZN987654321"))).await.expect(200, "pending");
    let entry = &detail["pending_settings_detail"][0];
    keys(entry, &[&["setting", "transaction", "status", "created_at", "detail"]]);
    assert_eq!((&entry["setting"], &entry["transaction"]), (&json!("update_frequency"), &Value::Null));
    let list = api.get(&format!("{DEVICES}?pending=1")).await.expect(200, "list");
    assert_eq!(list["results"][0]["pending_settings_detail"][0]["setting"], "update_frequency");
}

#[tokio::test]
async fn a_creation_names_everything_that_is_wrong() {
    let api = Api::start().await;
    let wrong = [
        (
            "serial_number",
            vec![
                json!(5),
                json!(""),
                json!("  "),
                json!("."),
                json!(".."),
                json!("a\u{7}"),
                json!(null),
                json!("x".repeat(65)),
            ],
        ),
        ("name", vec![json!(5), json!(""), json!(null), json!("x".repeat(257)), json!(["x"])]),
        ("customer_id", vec![json!(5), json!(null)]),
        ("type", vec![json!(5), json!("1"), json!(null), json!(1.5), json!(-1), json!(true)]),
        ("organization_id", vec![json!(123), json!("1"), json!(null)]),
        ("location", vec![json!(45), json!("x")]),
        ("location_name", vec![json!(5)]),
        ("description", vec![json!({})]),
        ("username", vec![json!(5), json!("a:b")]),
        ("password", vec![json!(5), json!("")]),
        ("is_active", vec![json!("true"), json!(1), json!(null)]),
        ("latitude", vec![json!("91"), json!("north"), json!(""), json!(-90.5), json!(true)]),
        ("longitude", vec![json!("181"), json!("1e1"), json!("NaN")]),
        ("serial_number_alt", vec![json!(5)]),
        ("update_frequency", vec![json!(0), json!(-1), json!("300"), json!(1.5), json!(4_294_967_296_u64)]),
        ("tags", vec![json!("a"), json!([1]), json!([""])]),
        ("debug", vec![json!("no")]),
        ("firmware_image", vec![json!(15)]),
        ("id", vec![json!(0), json!(2_147_483_648_u64), json!("1")]),
        ("serial", vec![json!("unknown")]),
        ("reboot", vec![json!(true)]),
    ];
    let mut all = json!({});
    for (name, values) in wrong {
        for value in values {
            let mut body = json!({"serial_number": "S", "username": "u", "password": "p"});
            body[name] = value.clone();
            api.call("POST", DEVICES, body).await.refused_fields(&[name], &format!("{name} {value}"));
            all[name] = value;
        }
    }
    let names: Vec<String> = all.as_object().expect("an object").keys().cloned().collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    api.call("POST", DEVICES, all.clone()).await.refused_fields(&names, "all at once");
    api.call("POST", DEVICES, json!({})).await.refused_fields(&["serial_number"], "nothing");
    for (half, missing) in [(json!({"username": "u"}), "password"), (json!({"password": "p"}), "username")] {
        let mut body = half;
        body["serial_number"] = "S".into();
        api.call("POST", DEVICES, body).await.refused_fields(&[missing], missing);
    }
    assert_eq!(api.get(DEVICES).await.expect(200, "list")["count"], 0);
}

#[tokio::test]
async fn serials_and_ids_are_taken_once() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S", "id": 77})).await;
    api.call("POST", DEVICES, json!({"serial_number": "S"})).await.refused(409, "the serial");
    api.call("POST", DEVICES, json!({"serial_number": "T", "id": 77})).await.refused(409, "the id");
    for (serial, path) in
        [("a b/c", "a%20b%2Fc"), ("серийный", "%D1%81%D0%B5%D1%80%D0%B8%D0%B9%D0%BD%D1%8B%D0%B9"), ("50%", "50%25")]
    {
        api.create(json!({"serial_number": serial})).await;
        assert_eq!(api.get(&device(path)).await.expect(200, serial)["serial_number"], serial);
    }
    for path in ["none", "%ff", "%00"] {
        api.get(&device(path)).await.refused(404, path);
    }
}

#[tokio::test]
async fn lists_filter_count_and_link() {
    let api = Api::start().await;
    for n in 1..=7 {
        api.create(json!({"serial_number": format!("S{n}"), "is_active": n != 3})).await;
    }
    api.inform("S1", &[]).await;
    api.inform("S2", &[]).await;
    let count = |query: &'static str| {
        let api = &api;
        async move { api.get(&format!("{DEVICES}?{query}")).await.expect(200, query)["count"].as_u64().expect("a count") }
    };
    for (query, want) in [
        ("", 7),
        ("status=true", 2),
        ("status=1&is_active=True", 2),
        ("status=False", 5),
        ("status=0", 5),
        ("is_active=false", 1),
        ("type=1&organization=1", 7),
        ("type=&organization=&status=&limit=&pending=&update_status=&is_active=&last_status_change_from=", 7),
        ("last_status_change_from=2024-01-01", 7),
        ("last_status_change_from=2024-01-01%2000:01:00%2B00:00", 7),
        ("last_status_change_from=2024-01-01+00:01:00+00:00", 7),
        ("last_status_change_from=2124-01-15T10:30:00Z", 0),
        ("whatever=5", 7),
    ] {
        assert_eq!(count(query).await, want, "{query}");
    }
    for (query, fields) in [
        ("status=maybe", &["status"][..]),
        ("status=TRUE&type=x&organization=1.5", &["status", "type", "organization"]),
        ("type=5", &["type"]),
        ("organization=123", &["organization"]),
        ("limit=x&offset=y", &["limit", "offset"]),
        ("pending=yes&update_status=2&is_active=on", &["pending", "update_status", "is_active"]),
        ("last_status_change_from=yesterday", &["last_status_change_from"]),
    ] {
        api.get(&format!("{DEVICES}?{query}")).await.refused_fields(fields, query);
    }
    let mut next = Some(format!("http://{}{DEVICES}?limit=3&status=&x=%20y", api.address));
    let (mut serials, mut pages) = (Vec::new(), 0);
    while let Some(url) = next {
        let path = url.strip_prefix(&format!("http://{}", api.address)).expect("absolute, from the request's host");
        assert!(path.contains("x=%20y"), "other parameters are kept: {path}");
        let page = api.get(path).await.expect(200, path);
        assert_eq!(page["count"], 7);
        assert_eq!(page["previous"].is_null(), pages == 0);
        let results = page["results"].as_array().expect("results");
        serials.extend(results.iter().map(|row| row["serial_number"].as_str().expect("a serial").to_owned()));
        next = page["next"].as_str().map(str::to_owned);
        pages += 1;
    }
    assert_eq!((pages, serials.join(" ")), (3, "S1 S2 S3 S4 S5 S6 S7".to_owned()));
    let beyond = api.get(&format!("{DEVICES}?offset=100")).await.expect(200, "beyond");
    assert_eq!((&beyond["next"], &beyond["results"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn an_inform_shows() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api.inform(
        "S",
        &[
            ("Device.DeviceInfo.SoftwareVersion", "1.2.3", XsdType::String),
            ("Device.DeviceInfo.HardwareVersion", "v2", XsdType::String),
        ],
    )
    .await;
    let shown = api.get(&device("S")).await.expect(200, "get");
    for (name, value) in [
        ("status", "Up"),
        ("software_version", "1.2.3"),
        ("hardware_version", "v2"),
        ("manufacturer", "Maker"),
        ("unique_identifier", "00D09E:IGD:S"),
        ("product_class", "IGD"),
        ("address", "192.0.2.7"),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(shown["last_connection"].is_string());
}

#[tokio::test]
async fn a_replacement_wants_its_fields_and_resets_the_others() {
    let api = Api::start().await;
    api.create(json!({
        "serial_number": "S", "description": "old", "latitude": "1", "location_name": "here", "customer_id": "c",
        "tags": ["t"], "serial_number_alt": "alt", "username": "u", "password": "p", "update_frequency": 600
    }))
    .await;
    let put = |body: Value| api.call_owned("PUT", device("S"), body);
    put(json!({"serial_number": "T", "odd": 1, "reboot": true})).await.refused_fields(
        &["name", "type", "organization_id", "is_active", "serial_number", "odd", "reboot"],
        "what misses and what is wrong",
    );
    let least = json!({"name": "New", "type": 1, "organization_id": 1, "is_active": false, "debug": true});
    let shown = put(least.clone()).await.expect(200, "the least");
    for (name, value) in [
        ("name", json!("New")),
        ("is_active", json!(false)),
        ("debug", json!(true)),
        ("description", json!("")),
        ("latitude", Value::Null),
        ("location_name", json!("")),
        ("customer_id", json!("")),
        ("serial_number_alt", json!("")),
        ("tags", json!([])),
        ("username", json!("u")),
        ("update_frequency", json!(300)),
        ("pending_settings", Value::Null),
        ("firmware_image", Value::Null),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert!(shown["last_change"].is_string());
    let shown =
        put(json!({"name": "New", "type": 1, "organization_id": 1, "is_active": true})).await.expect(200, "put");
    assert_eq!(shown["debug"], false);
    // What a GET gave can be sent back, and changes nothing that matters.
    let mut again = api.get(&format!("{}?pending=true", device("S"))).await.expect(200, "get");
    let before = again.clone();
    again["password"] = "p".into();
    let mut after = put(again).await.expect(200, "what a GET gave");
    assert_eq!(after["pending_settings"], Value::Null, "the default that was shown is nobody's wish");
    for name in ["last_change", "pending_settings_detail"] {
        after[name] = before[name].clone();
    }
    assert_eq!(after, before);
    api.call("PUT", &device("none"), least).await.refused(404, "unknown");
}

#[tokio::test]
async fn a_change_touches_only_what_it_names() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S", "description": "old", "tags": ["t"]})).await;
    let patch = |body: Value| api.call_owned("PATCH", device("S"), body);
    let before = api.get(&device("S")).await.expect(200, "get");
    let after =
        patch(json!({"location_name": "Headquarters - Building B", "latitude": "37.7750", "longitude": "-122.4195",
        "serial_number": "S", "uuid": "ignored", "id": 99, "status": "Up"}))
        .await
        .expect(200, "the documented example");
    for (name, value) in before.as_object().expect("an object") {
        match name.as_str() {
            "location_name" => assert_eq!(after[name], "Headquarters - Building B"),
            "latitude" => assert_eq!(after[name], "37.7750"),
            "longitude" => assert_eq!(after[name], "-122.4195"),
            "last_change" => assert!(after[name].is_string()),
            _ => assert_eq!(&after[name], value, "{name}"),
        }
    }
    assert_eq!(patch(json!({"latitude": null})).await.expect(200, "null")["latitude"], Value::Null);
    assert_eq!(patch(json!({"firmware_image": null})).await.expect(200, "null")["firmware_image"], Value::Null);
    assert_eq!(patch(json!({"debug": true})).await.expect(200, "debug")["debug"], true);
    patch(json!({"firmware_image": 15, "odd": 1, "reboot": "true", "serial_number": "T"}))
        .await
        .refused_fields(&["firmware_image", "odd", "reboot", "serial_number"], "wrong");
    patch(json!({})).await.expect(200, "nothing");
    api.call("PATCH", &device("none"), json!({"odd": 1})).await.refused(404, "unknown");
}

#[tokio::test]
async fn triggers_schedule() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let patch = |body: Value| api.call_owned("PATCH", device("S"), body);
    patch(json!({"reboot": true, "factory": false})).await.expect(200, "reboot");
    patch(json!({"factory": true, "debug": true})).await.expect(200, "factory");
    patch(json!({"device_factory": true, "name": "half-done"})).await.refused(422, "its type defines none");
    for word in ["sync", "reconf", "device_factory"] {
        patch(json!({word: false})).await.expect(200, word);
    }
    patch(json!({"sync": true})).await.expect(200, "with nothing to do");
    let shown = api.get(&device("S")).await.expect(200, "get");
    assert_eq!((&shown["name"], &shown["debug"]), (&json!("S"), &json!(true)));
    let list = api.get(&format!("{TRANSACTIONS}?serial_number=S")).await.expect(200, "transactions");
    let operations: Vec<&str> = list["results"]
        .as_array()
        .expect("results")
        .iter()
        .map(|row| row["operation"].as_str().expect("text"))
        .collect();
    assert_eq!(operations, ["sync", "factory", "reboot"]);
    patch(json!({"is_active": false, "reboot": true})).await.refused(422, "inactive from now on");
    assert_eq!(api.get(&device("S")).await.expect(200, "get")["is_active"], true, "nothing is half-done");
    patch(json!({"is_active": false})).await.expect(200, "inactive");
    patch(json!({"reboot": true})).await.refused(422, "inactive");
    patch(json!({"is_active": true, "reboot": true})).await.expect(200, "active again");
}

#[tokio::test]
async fn a_new_interval_is_pending_until_the_device_took_it() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api.inform("S", &[]).await;
    let patch = |body: Value| api.call_owned("PATCH", device("S"), body);
    let shown = patch(json!({"update_frequency": 600})).await.expect(200, "600");
    assert_eq!((&shown["update_frequency"], &shown["pending_settings"]), (&json!(600), &json!("update_frequency")));
    let detail = api.get(&format!("{}?pending=true", device("S"))).await.expect(200, "pending");
    let entry = detail["pending_settings_detail"][0].clone();
    let id = entry["transaction"].as_u64().expect("a transaction");
    assert_eq!(entry["status"], "scheduled");
    let transaction = api.transaction(id).await;
    assert_eq!(transaction.work, Work::Configure(Setting::UpdateFrequency));
    assert_eq!((transaction.requested_by.as_str(), transaction.expires_at), ("Operator", None));
    patch(json!({"update_frequency": 600})).await.expect(200, "the same again");
    let list = api.get(&format!("{TRANSACTIONS}?kind=configuration")).await.expect(200, "transactions");
    assert_eq!(list["count"], 1, "no second transaction");
    // Withdrawn: it stays pending and says why; asked again, it is tried again.
    api.call("DELETE", &format!("{TRANSACTIONS}{id}/"), Value::Null).await.expect(204, "withdraw");
    let detail = api.get(&format!("{}?pending=true", device("S"))).await.expect(200, "pending");
    assert_eq!(detail["pending_settings_detail"][0]["status"], "failed");
    assert_eq!(detail["pending_settings_detail"][0]["detail"], "withdrawn by Operator");
    patch(json!({"update_frequency": 600})).await.expect(200, "again");
    let detail = api.get(&format!("{}?pending=true", device("S"))).await.expect(200, "pending");
    assert_eq!(detail["pending_settings_detail"][0]["status"], "scheduled");
    // No longer wanted: no longer pending, and nothing is sent.
    let id = detail["pending_settings_detail"][0]["transaction"].as_u64().expect("a transaction");
    let shown = patch(json!({"update_frequency": null})).await.expect(200, "null");
    assert_eq!(shown["pending_settings"], Value::Null);
    assert_eq!(api.transaction(id).await.status, TransactionStatus::Canceled);
}

#[tokio::test]
async fn new_credentials_are_handed_over_and_the_old_ones_stay() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S", "username": "old", "password": "one"})).await;
    let patch = |body: Value| api.call_owned("PATCH", device("S"), body);
    let credentials = || async { api.store.by_serial("S").await.expect("store").expect("device").profile.credentials };
    let name = |login: Option<Login>| login.map(|login| login.username);
    let shown = patch(json!({"username": "new", "password": "two"})).await.expect(200, "never seen");
    assert_eq!((&shown["username"], &shown["pending_settings"]), (&json!("new"), &Value::Null));
    assert_eq!(name(credentials().await.current).as_deref(), Some("new"));
    assert_eq!(credentials().await.next, None, "nothing to hand over");
    api.inform("S", &[]).await;
    patch(json!({"username": "new", "password": "two"})).await.expect(200, "the same");
    patch(json!({"username": "new"})).await.expect(200, "the same name");
    assert_eq!(credentials().await.next, None, "no change");
    let shown = patch(json!({"password": "three"})).await.expect(200, "a password alone");
    assert_eq!((&shown["username"], &shown["pending_settings"]), (&json!("new"), &json!("credentials")));
    let now = credentials().await;
    assert_eq!((name(now.current).as_deref(), name(now.next).as_deref()), (Some("new"), Some("new")));
    let shown = patch(json!({"username": "newer"})).await.expect(200, "a name alone");
    assert_eq!(shown["username"], "newer");
    assert_eq!(name(credentials().await.current).as_deref(), Some("new"), "the old ones work too");
    let list = api.get(&format!("{TRANSACTIONS}?kind=configuration&status=scheduled")).await.expect(200, "list");
    assert_eq!((&list["count"], &list["results"][0]["operation"]), (&json!(1), &json!("credentials")));
    patch(json!({"username": ""})).await.refused_fields(&["username"], "a name cannot be taken away");
    api.create(json!({"serial_number": "T"})).await;
    let bare = |body: Value| api.call_owned("PATCH", device("T"), body);
    bare(json!({"username": "u"})).await.refused_fields(&["password"], "no password to keep");
    bare(json!({"password": "p"})).await.refused_fields(&["username"], "no name to keep");
    bare(json!({"username": ""})).await.expect(200, "what a GET gave");
    patch(json!({"is_active": false})).await.expect(200, "inactive");
    patch(json!({"password": "four"})).await.refused(422, "no new work for an inactive device");
}

#[tokio::test]
async fn a_full_queue_leaves_nothing_half_done() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api.inform("S", &[]).await;
    let get = json!({"serial_number": "S", "operation": "get"});
    for _ in 1..QUEUE_MAX {
        api.call("POST", super::support::HEADLESS, get.clone()).await.expect(201, "room");
    }
    // One place left: the interval would fit, the reboot after it does not.
    let body = json!({"update_frequency": 900, "name": "half-done", "reboot": true});
    api.call("PATCH", &device("S"), body).await.refused(409, "full");
    let shown = api.get(&device("S")).await.expect(200, "get");
    assert_eq!((&shown["name"], &shown["pending_settings"]), (&json!("S"), &Value::Null));
    let list = api.get(&format!("{TRANSACTIONS}?kind=configuration&status=scheduled")).await.expect(200, "list");
    assert_eq!(list["count"], 0);
    api.call("PUT", &operations("S"), json!({"operation": "reboot"})).await.expect(200, "the last place");
    api.call("PUT", &operations("S"), json!({"operation": "factory"})).await.refused(409, "full");
    api.call("POST", super::support::HEADLESS, get).await.refused(409, "full");
}

#[tokio::test]
async fn a_device_in_a_session_cannot_be_removed() {
    let api = Api::start().await;
    let made = api.create(json!({"serial_number": "S"})).await;
    let key = acsd::types::ident::DeviceKey(u32::try_from(made["id"].as_u64().expect("an id")).expect("small"));
    let id = api.call("PUT", &operations("S"), json!({"operation": "reboot"})).await.expect(200, "order")["id"].clone();
    api.presence.enter(key, 1);
    api.call("DELETE", &device("S"), Value::Null).await.refused(409, "in a session");
    api.presence.leave(key, 1);
    let reply = api.call("DELETE", &device("S"), Value::Null).await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
    api.call("DELETE", &device("S"), Value::Null).await.refused(404, "gone");
    api.get(&device("S")).await.refused(404, "gone");
    api.get(&format!("{TRANSACTIONS}{id}/")).await.refused(404, "its queue is gone");
}

#[tokio::test]
async fn update_status_turns_the_silent_down() {
    let api = Api::start().await;
    for serial in ["S", "T"] {
        api.create(json!({"serial_number": serial})).await;
        api.inform(serial, &[]).await;
    }
    let shown = api.get(&device("S")).await.expect(200, "get");
    assert_eq!(shown["status"], "Up");
    let shown = api.get(&format!("{}?update_status=true", device("S"))).await.expect(200, "one");
    assert_eq!(shown["status"], "Down");
    let list = api.get(&format!("{DEVICES}?status=true&update_status=true")).await.expect(200, "list");
    assert_eq!(list["count"], 0, "the filter holds after the calls");
    let list = api.get(&format!("{DEVICES}?update_status=1")).await.expect(200, "list");
    assert_eq!(list["results"][1]["status"], "Down");
}

#[tokio::test]
async fn update_status_calls_those_that_move_up_into_the_page() {
    let api = Api::start().await;
    for serial in ["S", "T", "U"] {
        api.create(json!({"serial_number": serial})).await;
        api.inform(serial, &[]).await;
    }
    let list = api.get(&format!("{DEVICES}?status=true&limit=1&update_status=true")).await.expect(200, "list");
    assert_eq!((&list["count"], &list["results"]), (&json!(0), &json!([])), "nobody is shown Up who was not asked");
}
