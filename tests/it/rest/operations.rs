//! rest-api.md 2.2 and `/transaction/`.

use acsd::model::transaction::TransactionStatus;
use serde_json::{Value, json};

use super::support::{Api, TRANSACTIONS, device, operations};

#[tokio::test]
async fn an_operation_is_scheduled_once_while_it_waits() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "ABC123456789"})).await;
    let order = |word: &'static str| api.call_owned("PUT", operations("ABC123456789"), json!({"operation": word}));
    let first = order("reboot").await.expect(200, "reboot");
    assert_eq!(first, json!({"id": 1, "operation": "reboot"}));
    assert_eq!(order("reboot").await.expect(200, "again"), first);
    assert_eq!(order("factory").await.expect(200, "factory"), json!({"id": 2, "operation": "factory"}));
    let known = api.inform("ABC123456789", &[]).await;
    api.claim(&known).await;
    assert_eq!(order("reboot").await.expect(200, "it has started")["id"], 3);
}

#[tokio::test]
async fn what_cannot_be_done_says_why() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let order = |body: Value| api.call_owned("PUT", operations("S"), body);
    order(json!({"operation": "device_factory"})).await.refused(422, "its type defines none");
    for body in [json!({"operation": "explode"}), json!({"operation": 5}), json!({"operation": null}), json!({})] {
        order(body.clone()).await.refused_fields(&["operation"], &body.to_string());
    }
    order(json!({"operation": "reboot", "odd": 1})).await.refused_fields(&["odd"], "unknown field");
    api.call("PUT", &operations("none"), json!({"operation": "reboot"})).await.refused(404, "unknown device");
    api.call("PATCH", &device("S"), json!({"is_active": false})).await.expect(200, "inactive");
    order(json!({"operation": "reboot"})).await.refused(422, "inactive");
    api.call("POST", &operations("S"), json!({"operation": "reboot"})).await.refused(405, "method");
}

#[tokio::test]
async fn transactions_are_listed_shown_and_withdrawn() {
    let api = Api::start().await;
    for serial in ["S", "T"] {
        api.create(json!({"serial_number": serial})).await;
        api.call("PUT", &operations(serial), json!({"operation": "reboot"})).await.expect(200, "order");
    }
    let shown = api.get(&format!("{TRANSACTIONS}1/")).await.expect(200, "one");
    for (name, value) in [
        ("id", json!(1)),
        ("serial_number", json!("S")),
        ("kind", json!("operation")),
        ("operation", json!("reboot")),
        ("status", json!("scheduled")),
        ("started_at", Value::Null),
        ("completed_at", Value::Null),
        ("attempts", json!(0)),
        ("waiting_for", json!("the device's next session")),
        ("fault", Value::Null),
        ("note", Value::Null),
        ("result", Value::Null),
        ("requested_by", json!("Operator")),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert_eq!(shown.as_object().map(serde_json::Map::len), Some(14));
    for (query, count) in [
        ("", 2),
        ("serial_number=S", 1),
        ("serial_number=none", 0),
        ("kind=operation", 2),
        ("kind=diag", 0),
        ("status=scheduled", 2),
        ("status=failed", 0),
    ] {
        let list = api.get(&format!("{TRANSACTIONS}?{query}")).await.expect(200, query);
        assert_eq!(list["count"], count, "{query}");
    }
    let list = api.get(&format!("{TRANSACTIONS}?limit=1")).await.expect(200, "newest first");
    assert_eq!((&list["results"][0]["id"], list["next"].is_string()), (&json!(2), true));
    api.get(&format!("{TRANSACTIONS}?kind=x&status=y")).await.refused_fields(&["kind", "status"], "words");
    for id in ["99", "x", "-1"] {
        api.get(&format!("{TRANSACTIONS}{id}/")).await.refused(404, id);
        api.call("DELETE", &format!("{TRANSACTIONS}{id}/"), Value::Null).await.refused(404, id);
    }
    let path = device("S");
    api.call("PATCH", &path, json!({"is_active": false})).await.expect(200, "inactive");
    let held = api.get(&format!("{TRANSACTIONS}1/")).await.expect(200, "held");
    assert_eq!(held["waiting_for"], "the device to be made active, then the device's next session");
    api.call("PATCH", &path, json!({"is_active": true})).await.expect(200, "active");
    let device = api.inform("S", &[]).await;
    let started = api.claim(&device).await;
    api.call("DELETE", &format!("{TRANSACTIONS}1/"), Value::Null).await.refused(409, "it has started");
    api.settle(started, TransactionStatus::Failed, Some((9002, "internal error")), &[]).await;
    api.call("DELETE", &format!("{TRANSACTIONS}1/"), Value::Null).await.refused(409, "it has ended");
    let shown = api.get(&format!("{TRANSACTIONS}1/")).await.expect(200, "failed");
    assert_eq!(shown["fault"], json!({"code": 9002, "message": "internal error"}));
    api.call("DELETE", &format!("{TRANSACTIONS}2/"), Value::Null).await.expect(204, "withdraw");
    assert_eq!(api.get(&format!("{TRANSACTIONS}2/")).await.expect(200, "withdrawn")["status"], "canceled");
}
