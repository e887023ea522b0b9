//! Diagnostic entries over the API: what the contract says of them, forms, filters, refusals, checks without a device.

use acsd::model::transaction::{Kind, TransactionStatus, VariableResult};
use acsd::types::value::XsdType;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, DEVICES, ENTRIES, STRANGER, TYPES, record};

/// A device of a type of its own, which has these health parameters.
async fn device(api: &Api, serial: &str, health: Value) -> (String, u64) {
    let made = api.make(TYPES, json!({"name": format!("type of {serial}"), "health_parameters": health})).await;
    let device = api.create(json!({"serial_number": serial, "type": made["id"]})).await;
    (format!("device-{}", device["id"]), made["id"].as_u64().expect("an id"))
}

async fn post(api: &Api, body: Value) -> Value {
    let case = format!("POST {body}");
    api.call("POST", ENTRIES, body).await.expect(201, &case)
}

async fn ids(api: &Api, query: &str) -> (Vec<String>, u64) {
    let page = api.get(&format!("{ENTRIES}?{query}")).await.expect(200, query);
    let ids = page["results"].as_array().expect("results").iter();
    (ids.map(|one| one["id"].as_str().expect("an id").to_owned()).collect(), page["count"].as_u64().expect("a count"))
}

#[tokio::test]
async fn an_entry_is_recorded_shown_changed_and_removed() {
    let api = Api::start().await;
    let (device, _) = device(&api, "S-1", json!([])).await;
    let body = json!({
        "device_id": device, "diagnostic_type": "issue_report", "status": "open",
        "details": {"issue_category": "hardware", "symptoms": ["slow"], "level": 2.5},
        "issues": [{"severity": "high", "message": "m", "code": "C"}], "notes": "Слишком медленно",
        "reported_by": "helpdesk@example.net", "priority": "high", "next_check_due": "2030-01-15 18:25:00+00:00"
    });
    let made = post(&api, body.clone()).await;
    let mut wanted = body;
    for (name, value) in [
        ("id", json!("diag-001")),
        ("device_name", json!("S-1")),
        ("device_serial", json!("S-1")),
        ("performed_by", json!("")),
        ("next_check_due", json!("2030-01-15T18:25:00Z")),
        ("created_at", made["created_at"].clone()),
        ("updated_at", made["created_at"].clone()),
    ] {
        wanted[name] = value;
    }
    assert_eq!(made, wanted);
    let path = record(ENTRIES, "diag-001");
    assert_eq!(api.get(&path).await.expect(200, "get"), made);
    assert_eq!(api.call("PATCH", &path, made.clone()).await.expect(200, "sent back")["issues"], made["issues"]);
    let change = json!({"status": "closed", "issues": [], "next_check_due": null, "performed_by": "tech"});
    let changed = api.call("PATCH", &path, change).await.expect(200, "patch");
    assert_eq!(
        (&changed["status"], &changed["issues"], &changed["next_check_due"], &changed["details"]),
        (&json!("closed"), &json!([]), &Value::Null, &made["details"])
    );
    api.call("DELETE", &path, Value::Null).await.expect(204, "delete");
    for method in ["GET", "PATCH", "DELETE"] {
        let body = if method == "PATCH" { json!({}) } else { Value::Null };
        api.call(method, &path, body).await.refused(404, method);
    }
    let trail = api.call_as(ADMIN, "GET", "/api/v1/audit/?resource=diagnostic_entry", Value::Null).await;
    let trail = trail.expect(200, "audit");
    let actions: Vec<&Value> = trail["results"].as_array().expect("results").iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["delete", "update", "update", "create"]);
    assert_eq!(trail["results"][0]["serial_number"], "S-1");
}

#[tokio::test]
async fn the_bare_entry_has_every_field_and_the_text_form_is_read() {
    let api = Api::start().await;
    let (device, _) = device(&api, "S-1", json!([])).await;
    let entry = json!({"device_id": device, "diagnostic_type": "maintenance"});
    let made = post(&api, json!({"data": entry.to_string()})).await;
    let unset = [
        ("status", json!("")),
        ("details", json!({})),
        ("issues", json!([])),
        ("notes", json!("")),
        ("performed_by", json!("")),
        ("reported_by", json!("")),
        ("priority", json!("")),
        ("next_check_due", Value::Null),
    ];
    for (name, value) in unset {
        assert_eq!(made.get(name), Some(&value), "{name}");
    }
    assert_eq!(made.as_object().expect("an object").len(), 15);
}

#[tokio::test]
async fn what_is_refused_says_whether_it_is_missing_or_wrong() {
    let api = Api::start().await;
    let (device, _) = device(&api, "S-1", json!([])).await;
    let entry = |extra: Value| {
        let mut body = json!({"device_id": device, "diagnostic_type": "x"});
        body.as_object_mut().expect("an object").extend(extra.as_object().cloned().expect("an object"));
        body
    };
    let table = [
        (json!({}), 400, vec!["device_id", "diagnostic_type"]),
        (json!({"device_id": device}), 400, vec!["diagnostic_type"]),
        (entry(json!({"odd": 1})), 400, vec!["odd"]),
        (entry(json!({"odd": 1, "notes": 2})), 400, vec!["notes", "odd"]),
        (json!({"data": "{\"diagnostic_type\": \"x\"}"}), 400, vec!["device_id"]),
        (json!({"data": "not json"}), 400, vec!["detail"]),
        (json!({"data": 5}), 422, vec!["data"]),
        (json!({"data": "[1]"}), 422, vec!["data"]),
        (entry(json!({"notes": 2, "details": []})), 422, vec!["details", "notes"]),
        (entry(json!({"issues": [{"severity": 1}]})), 422, vec!["issues"]),
        (entry(json!({"next_check_due": "soon"})), 422, vec!["next_check_due"]),
        (entry(json!({"status": "x".repeat(257)})), 422, vec!["status"]),
    ];
    for (body, status, fields) in table {
        let reply = api.call("POST", ENTRIES, body.clone()).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
        let named: Vec<&str> = reply.json.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(named, fields, "{body}: {}", reply.text);
    }
    for unknown in ["device-99", "99", "4294967296", "nonsense", "d2719b1e-5f5c-4d8e-9a57-6c1f0a6a2b11", "S-1"] {
        let body = json!({"device_id": unknown, "diagnostic_type": "x"});
        api.call("POST", ENTRIES, body).await.refused(404, unknown);
        api.get(&format!("{ENTRIES}?id={unknown}")).await.refused(404, unknown);
    }
    let moved = json!({"device_id": "device-99"});
    post(&api, entry(json!({}))).await;
    assert_eq!(api.call("PATCH", &record(ENTRIES, "diag-001"), moved).await.status, 422);
    let request = api.request("POST", ENTRIES, ADMIN).header("content-type", "application/json");
    let reply = api.send(request.body(axum::body::Body::from("{")).expect("a request")).await;
    reply.refused(400, "no JSON");
}

#[tokio::test]
async fn lists_are_filtered_searched_and_paged() {
    let api = Api::start().await;
    let (one, _) = device(&api, "S-1", json!([])).await;
    let (other, _) = device(&api, "S-2", json!([])).await;
    for number in 1..=4 {
        let device = if number % 2 == 1 { &one } else { &other };
        let kind = if number <= 2 { "maintenance" } else { "issue_report" };
        let notes = format!("note {number} of the Lift");
        post(
            &api,
            json!({"device_id": device, "diagnostic_type": kind, "status": format!("s{number}"), "notes": notes}),
        )
        .await;
    }
    let uuid = api.get(&format!("{DEVICES}S-2/")).await.expect(200, "device")["uuid"].clone();
    let uuid = uuid.as_str().expect("a uuid");
    let number = other.trim_start_matches("device-").to_owned();
    let table: Vec<(String, &[u32], u64)> = vec![
        (String::new(), &[4, 3, 2, 1], 4),
        ("limit=1&offset=1".to_owned(), &[3], 4),
        ("diagnostic_type=maintenance".to_owned(), &[2, 1], 2),
        ("status=s3".to_owned(), &[3], 1),
        (format!("id={other}"), &[4, 2], 2),
        (format!("id={number}&diagnostic_type=maintenance"), &[2], 1),
        (format!("id={uuid}"), &[4, 2], 2),
        ("id=diag-003".to_owned(), &[3], 1),
        ("id=diag-3".to_owned(), &[3], 1),
        ("id=diag-003&status=s4".to_owned(), &[], 0),
        ("search=lift".to_owned(), &[4, 3, 2, 1], 4),
        ("search=lift+s-2&limit=1".to_owned(), &[4], 2),
        ("search=nothing".to_owned(), &[], 0),
    ];
    for (query, wanted, count) in table {
        let wanted: Vec<String> = wanted.iter().map(|id| format!("diag-{id:03}")).collect();
        assert_eq!(ids(&api, &query).await, (wanted, count), "{query}");
    }
    for unknown in ["diag-005", "diag-x", "diag-"] {
        api.get(&format!("{ENTRIES}?id={unknown}")).await.refused(404, unknown);
    }
    api.get(&format!("{ENTRIES}?update_status=maybe")).await.refused_fields(&["update_status"], "a wrong form");
    let page = api.call_as(STRANGER, "GET", ENTRIES, Value::Null).await.expect(200, "list");
    assert_eq!(page["count"], 0, "others' entries are not counted");
    for id in ["diag-001", one.as_str()] {
        api.call_as(STRANGER, "GET", &format!("{ENTRIES}?id={id}"), Value::Null).await.refused(404, id);
    }
    let body = json!({"device_id": one, "diagnostic_type": "x"});
    api.call_as(STRANGER, "POST", ENTRIES, body).await.refused(404, "a device of others");
    api.call("DELETE", &format!("{DEVICES}S-2/"), Value::Null).await.expect(204, "removed");
    assert_eq!(ids(&api, "").await.0, ["diag-003", "diag-001"], "entries go with their device");
}

#[tokio::test]
async fn a_broken_helper_is_told_by_name() {
    let api = Api::start().await;
    let (nothing, _) = device(&api, "S-1", json!([])).await;
    let igd = json!([{"name": "cpu", "path": "InternetGatewayDevice.DeviceInfo.X_Cpu"}]);
    let (elsewhere, _) = device(&api, "S-2", igd).await;
    api.inform("S-2", &[("Device.DeviceInfo.SoftwareVersion", "1", XsdType::String)]).await;
    for (device, words) in [(&nothing, "type of S-1"), (&elsewhere, "below Device.")] {
        let reply = api.get(&format!("{ENTRIES}?id={device}&update_status=true")).await;
        let detail = reply.json["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(words) && reply.json["request_id"].is_string(), "{}", reply.text);
        reply.refused(500, device);
        assert_eq!(ids(&api, &format!("id={device}")).await.1, 0, "nothing was made");
        let other = format!("{ENTRIES}?id={device}&update_status=true&diagnostic_type=maintenance");
        api.get(&other).await.expect(200, "no health check is asked for");
    }
    let check = json!({"device_id": nothing, "diagnostic_type": "health_check", "status": "by hand"});
    post(&api, check).await;
    for query in ["id=diag-001", "", "diagnostic_type=health_check"] {
        api.get(&format!("{ENTRIES}?{query}&update_status=true")).await.refused(500, query);
    }
    // Beside one that can be made it does not take the answer from the others.
    let (good, _) = device(&api, "S-3", json!([{"name": "up", "path": "Device.DeviceInfo.UpTime"}])).await;
    post(&api, json!({"device_id": good, "diagnostic_type": "health_check"})).await;
    let page = api.get(&format!("{ENTRIES}?update_status=true")).await.expect(200, "the others");
    assert_eq!(
        (&page["results"][0]["status"], &page["results"][1]["status"]),
        (&json!("unreachable"), &json!("by hand"))
    );
}

#[tokio::test]
async fn what_would_break_a_helper_is_not_saved() {
    let api = Api::start().await;
    let path = "Device.X.Free";
    let table = [
        (json!([{"name": "a", "path": path}, {"name": "a", "path": path}]), "name"),
        (json!([{"name": "a", "path": path, "warning_above": 10, "warning_below": 10}]), "warning_below"),
        (json!([{"name": "a", "path": path, "used_of": "InternetGatewayDevice.X.Total"}]), "used_of"),
        (json!([{"name": "a", "path": path, "used_of": "Device.T", "share_of": "Device.T"}]), "used_of"),
        (json!([{"name": "a", "path": "Device.X.Password"}]), "path"),
    ];
    for (health, field) in table {
        let reply = api.call_as(ADMIN, "POST", TYPES, json!({"name": "t", "health_parameters": health})).await;
        assert!(reply.text.contains(field), "{health}: {}", reply.text);
        reply.refused_fields(&["health_parameters"], &health.to_string());
    }
    let others = [
        (json!({"health_interval": 59}), "health_interval"),
        (json!({"history_parameters": ["Device.WiFi."]}), "history_parameters"),
        (json!({"history_parameters": ["Device.A", "Device.A"]}), "history_parameters"),
        (json!({"history_parameters": ["Device.X.Secret"]}), "history_parameters"),
    ];
    for (mut body, field) in others {
        body["name"] = json!("t");
        api.call_as(ADMIN, "POST", TYPES, body.clone()).await.refused_fields(&[field], &body.to_string());
    }
}

/// What a session would settle the device's check with.
async fn settle(api: &Api, serial: &str, values: &[(&str, &str)]) {
    let device = api.store.by_serial(serial).await.expect("the store").expect("the device");
    let transaction = api.claim(&device).await;
    assert_eq!(transaction.kind, Kind::Health);
    let results: Vec<VariableResult> = values
        .iter()
        .zip(0..)
        .map(|((path, value), variable)| VariableResult {
            variable,
            path: (*path).into(),
            value: Some((*value).into()),
            ty: Some(XsdType::UnsignedInt),
            instance_number: None,
            fault: None,
        })
        .collect();
    api.settle(transaction, TransactionStatus::Completed, None, &results).await;
}

#[tokio::test]
async fn a_check_that_ends_late_is_put_into_its_entry_and_work_is_shared() {
    let api = Api::start().await;
    let health = json!([{"name": "cpu", "path": "Device.Cpu", "warning_above": 90, "code": "HOT"}]);
    let (device, _) = device(&api, "S-1", health).await;
    let query = format!("{ENTRIES}?id={device}&update_status=true");
    // Nobody answers: the entry is made, and says so.
    let page = api.get(&query).await.expect(200, "unreachable");
    let entry = &page["results"][0];
    assert_eq!(
        (&entry["id"], &entry["status"], &page["count"]),
        (&json!("diag-001"), &json!("unreachable"), &json!(1))
    );
    assert_eq!(entry["issues"][0]["code"], "UNREACHABLE");
    api.get(&query).await.expect(200, "again");
    let waiting = api.get("/api/v1/transaction/?kind=health").await.expect(200, "transactions");
    assert_eq!(waiting["count"], 1, "the check that waits does for both");
    // It comes by itself, later; the next look shows it.
    settle(&api, "S-1", &[("Device.Cpu", "95")]).await;
    let page = api.get(&query.replace("update_status=true", "")).await.expect(200, "list");
    assert_eq!(page["results"][0]["status"], "unreachable", "no service runs here that would notice");
    let (api, query) = (&api, &query);
    let checking = api.get(query);
    let answering = async {
        let serial = "S-1";
        let device = api.store.by_serial(serial).await.expect("the store").expect("the device");
        while !api.store.has_work(device.key, acsd::types::time::Clock::now(&acsd::clock::SystemClock)) {
            tokio::task::yield_now().await;
        }
        settle(api, serial, &[("Device.Cpu", "97")]).await;
    };
    let (page, ()) = tokio::join!(checking, answering);
    let page = page.expect(200, "checked");
    let entry = &page["results"][0];
    assert_eq!((&entry["status"], &entry["details"]), (&json!("warning"), &json!({"cpu": 97})), "{entry}");
    assert_eq!(entry["issues"].as_array().expect("issues").len(), 1);
    assert_eq!(entry["issues"][0]["code"], "HOT");
    let events = api.get("/api/v1/event/?kind=health_issue").await.expect(200, "events");
    assert_eq!((&events["count"], &events["results"][0]["data"]["entry"]), (&json!(1), &json!("diag-001")));
    let orders = api.call_as(ADMIN, "GET", "/api/v1/audit/?resource=diagnostic_entry", Value::Null).await;
    assert_eq!(orders.expect(200, "audit")["count"], 2, "each check that was ordered");
}

#[tokio::test]
async fn history_asks_for_a_path() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S-1"})).await;
    let path = format!("{DEVICES}S-1/history/");
    api.get(&path).await.refused_fields(&["path"], "required");
    api.get(&format!("{path}?path=D.A&from=never&limit=x")).await.refused_fields(&["from", "limit"], "wrong forms");
    for wrong in ["Device.WiFi.", "a%20b", ".A"] {
        api.get(&format!("{path}?path={wrong}")).await.refused_fields(&["path"], wrong);
    }
    assert_eq!(api.get(&format!("{path}?path=Device.Nothing")).await.expect(200, "unknown"), json!([]));
    api.get(&format!("{DEVICES}S-2/history/?path=D.A")).await.refused(404, "no such device");
    let key = api.store.by_serial("S-1").await.expect("the store").expect("the device").key;
    let limits = acsd::model::series::SeriesLimits {
        spacing: std::time::Duration::from_secs(1),
        retention: std::time::Duration::from_hours(24),
        points: 100,
    };
    for (secs, value) in [(1_704_067_200, 5.0), (1_704_067_260, 5.5), (1_704_067_320, -7.0)] {
        let sample = acsd::model::series::Sample { path: "D.A".into(), value };
        let at = acsd::types::time::Timestamp::from_secs(secs);
        api.store.add_samples(key, at, vec![sample], limits).await.expect("kept");
    }
    let point = |time: &str, value: Value| json!({"time": time, "value": value});
    let [one, two, three] = [
        point("2024-01-01T00:00:00Z", json!(5)),
        point("2024-01-01T00:01:00Z", json!(5.5)),
        point("2024-01-01T00:02:00Z", json!(-7)),
    ];
    for (query, wanted) in [
        ("", json!([one, two, three])),
        ("&limit=2", json!([two, three])),
        ("&from=2024-01-01%2000:01:00%2B00:00", json!([two, three])),
        ("&to=2024-01-01T00:01:00Z", json!([one, two])),
        ("&from=2024-01-02", json!([])),
    ] {
        assert_eq!(api.get(&format!("{path}?path=D.A{query}")).await.expect(200, query), wanted, "{query}");
    }
}
