//! rest-api.md 2.4.

use acsd::model::diagnostic::DiagnosticKind;
use acsd::model::procedure::{Stage, TestProgress};
use acsd::model::transaction::{Transaction, TransactionStatus, VariableResult};
use acsd::types::ident::TransactionId;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, DIAGNOSTICS, HEADLESS, QUEUE_MAX, TRANSACTIONS, TYPES, VIEWER, record};

const FIELDS: [&str; 9] =
    ["serial_number", "operation", "target", "upload_size", "count", "size", "timeout", "max_hops", "interface"];

fn results(object: &str, values: &[(&str, &str)]) -> Vec<VariableResult> {
    let result = |(leaf, value): &(&str, &str)| VariableResult {
        variable: 0,
        path: format!("{object}{leaf}").into(),
        value: Some((*value).into()),
        ty: None,
        instance_number: None,
        fault: None,
    };
    values.iter().map(result).collect()
}

/// A device runs its next test, which was made with `object`, and reports these values.
async fn run(api: &Api, serial: &str, object: &str, status: TransactionStatus, values: &[(&str, &str)]) -> Transaction {
    let device = api.store.by_serial(serial).await.expect("the store").expect("the device");
    let mut claimed = api.claim(&device).await;
    let test = TestProgress { object: object.into(), ..TestProgress::default() };
    claimed.progress.stage = Some(Box::new(Stage::Test(test)));
    let fault = (status == TransactionStatus::Failed).then_some((0, "the device ended the test with an error"));
    api.settle(claimed.clone(), status, fault, &results(object, values)).await;
    claimed
}

async fn start() -> Api {
    let api = Api::start().await;
    api.create(json!({"serial_number": "SN123456789"})).await;
    api
}

fn order(operation: &str, target: &str) -> Value {
    json!({"serial_number": "SN123456789", "operation": operation, "target": target})
}

async fn post(api: &Api, body: Value) -> Value {
    let case = body.to_string();
    api.call("POST", DIAGNOSTICS, body).await.expect(201, &case)
}

async fn show(api: &Api, id: &Value) -> Value {
    let path = format!("{DIAGNOSTICS}?id={}", id.as_str().expect("an id"));
    api.get(&path).await.expect(200, "by id")[0].clone()
}

#[tokio::test]
async fn the_documented_examples_are_accepted_and_echoed() {
    let api = start().await;
    let bodies = [
        order("download", "http://speedtest.example.com/1GB.bin"),
        json!({"serial_number": "SN123456789", "operation": "ipping", "target": "8.8.8.8", "count": 10, "size": 64,
            "timeout": 2}),
        json!({"serial_number": "SN123456789", "operation": "upload", "target": "http://h/", "upload_size": "10",
            "interface": "wan"}),
        json!({"serial_number": "SN123456789", "operation": "upload", "target": "ftp://h/", "upload_size": 10}),
    ];
    for (n, body) in (1..).zip(bodies) {
        let made = post(&api, body.clone()).await;
        for field in FIELDS {
            assert_eq!(made[field], body[field], "{field}");
        }
        assert_eq!((&made["id"], &made["status"]), (&json!(format!("diag_{n}")), &json!("scheduled")));
        assert!(made["created_at"].as_str().expect("a time").ends_with('Z'));
        assert_eq!(made.as_object().map(serde_json::Map::len), Some(12));
        let shown = show(&api, &made["id"]).await;
        for field in FIELDS {
            assert_eq!(shown[field], made[field], "{field}");
        }
        assert!(shown["results"].is_null() && shown["completed_at"].is_null(), "{shown}");
    }
    let trail = api.call_as(ADMIN, "GET", "/api/v1/audit/?resource=diagnostic", Value::Null).await.expect(200, "trail");
    assert_eq!(trail["count"], 4, "{trail}");
    // What a GET gave can be sent back, as often as the queue takes it.
    let shown = show(&api, &json!("diag_2")).await;
    api.call("DELETE", &record(TRANSACTIONS, 1), Value::Null).await.expect(204, "room for the next");
    for _ in 3..QUEUE_MAX {
        assert_eq!(post(&api, shown.clone()).await["count"], 10);
    }
    api.call("POST", DIAGNOSTICS, shown).await.refused(409, "the queue is full");
}

#[tokio::test]
async fn wrong_orders_name_all_that_is_wrong() {
    let api = start().await;
    let send = |body: Value| api.call_owned("POST", DIAGNOSTICS.to_owned(), body);
    send(json!({})).await.refused_fields(&["serial_number", "operation", "target"], "nothing");
    let wrong = json!({"serial_number": 5, "operation": "pinging", "target": " ", "upload_size": [], "count": 0,
        "size": 65_536, "timeout": "1", "max_hops": 65, "interface": "", "odd": 1});
    let all = [&FIELDS[..], &["odd"]].concat();
    send(wrong).await.refused_fields(&all, "all of it");
    let with = |field: &str, value: Value| {
        let mut body = order("ipping", "8.8.8.8");
        body[field] = value;
        body
    };
    for (field, value) in [("max_hops", json!(3)), ("upload_size", json!(3)), ("count", json!(1.5)), ("size", json!(0))]
    {
        send(with(field, value)).await.refused_fields(&[field], field);
    }
    for field in ["upload_size", "count", "size", "timeout", "max_hops", "interface"] {
        api.call("POST", DIAGNOSTICS, with(field, Value::Null)).await.expect(201, "null is not given");
        let id = api.get(DIAGNOSTICS).await.json[0]["id"].as_str().expect("an id").replace("diag_", "");
        api.call("DELETE", &record(TRANSACTIONS, id), Value::Null).await.expect(204, "room for the next");
    }
    for target in ["ssh://h/", "h", "http://a:b@h/", &format!("http://h/{}", "x".repeat(256))] {
        send(order("download", target)).await.refused_fields(&["target"], target);
    }
    send(json!({"serial_number": "NOBODY", "operation": "ipping", "target": "h"})).await.refused(404, "no device");
    let off = json!({"serial_number": "OFF", "is_active": false});
    api.create(off).await;
    send(json!({"serial_number": "OFF", "operation": "ipping", "target": "h"})).await.refused(422, "inactive");
    api.call_as(VIEWER, "POST", DIAGNOSTICS, order("ipping", "h")).await.refused(403, "a viewer");
}

#[tokio::test]
async fn lists_are_arrays_with_their_neighbours() {
    let api = start().await;
    for target in ["a", "b", "c"] {
        post(&api, order("ipping", target)).await;
    }
    api.create(json!({"serial_number": "OTHER"})).await;
    post(&api, json!({"serial_number": "OTHER", "operation": "dnslookup", "target": "d"})).await;
    let get = json!({"serial_number": "OTHER", "operation": "get"});
    api.call("POST", HEADLESS, get).await.expect(201, "of another kind");
    let targets = |reply: &Value| -> Vec<String> {
        let rows = reply.as_array().expect("a bare array").iter();
        rows.map(|row| row["target"].as_str().expect("a target").to_owned()).collect()
    };
    let list = api.get(DIAGNOSTICS).await;
    assert_eq!(
        (targets(&list.json), list.header("x-total-count")),
        (vec!["d".into(), "c".into(), "b".into(), "a".into()], "4")
    );
    let page = api.get(&format!("{DIAGNOSTICS}?serial_number=SN123456789&limit=1&offset=1")).await;
    assert_eq!((targets(&page.json), page.header("x-total-count")), (vec!["b".into()], "3"));
    assert!(page.header("link").contains("rel=\"next\"") && page.header("link").contains("rel=\"prev\""));
    for (query, count) in [("status=scheduled", "4"), ("status=completed", "0"), ("serial_number=NOBODY", "0")] {
        assert_eq!(api.get(&format!("{DIAGNOSTICS}?{query}")).await.header("x-total-count"), count, "{query}");
    }
    for id in ["diag_1", "1"] {
        let found = api.get(&format!("{DIAGNOSTICS}?id={id}")).await.expect(200, id);
        assert_eq!(targets(&found), ["a"], "{id}");
    }
    for id in ["diag_5", "5", "diag_99", "x", "diag_", "diag_diag_1"] {
        api.get(&format!("{DIAGNOSTICS}?id={id}")).await.refused(404, id);
    }
    api.get(&format!("{DIAGNOSTICS}?status=maybe")).await.refused_fields(&["status"], "a status");
    // Never merged, and told what they wait for.
    let rows = api.get(&format!("{TRANSACTIONS}?kind=diag&serial_number=SN123456789")).await.expect(200, "ledger");
    let waiting: Vec<&Value> =
        rows["results"].as_array().expect("rows").iter().map(|row| &row["waiting_for"]).collect();
    assert_eq!(waiting[0], "the ipping test 1 to end");
    assert_eq!(waiting[1], "the ipping test 1 to end");
    assert!(waiting[2].as_str().is_some_and(|words| words.contains("session")), "{rows}");
    let one = api.get(&record(TRANSACTIONS, 3)).await.expect(200, "one");
    assert_eq!(one["waiting_for"], "the ipping test 1 to end");
}

#[tokio::test]
async fn results_are_the_documented_fields_as_numbers() {
    let api = start().await;
    let ip = "Device.IP.Diagnostics.";
    let completed = TransactionStatus::Completed;

    let id = post(&api, order("download", "http://h/1GB.bin")).await["id"].clone();
    let values = [
        ("DiagnosticsState", "Complete"),
        ("BOMTime", "2024-01-15T10:30:00.000000Z"),
        ("EOMTime", "2024-01-15T10:31:29.200000Z"),
        ("TestBytesReceived", "1073741824"),
    ];
    run(&api, "SN123456789", &format!("{ip}DownloadDiagnostics."), completed, &values).await;
    let shown = show(&api, &id).await;
    assert_eq!(shown["status"], "completed");
    assert!(shown["completed_at"].is_string() && shown["fault"].is_null(), "{shown}");
    // 8,589,934,592 bit / 89.2 s
    let want = json!({"download_speed_mbps": 96.299715, "bytes_downloaded": 1_073_741_824_u64, "duration_seconds": 89.2,
        "success": true});
    assert_eq!(shown["results"], want);

    let id = post(&api, order("ipping", "8.8.8.8")).await["id"].clone();
    let values = [
        ("DiagnosticsState", "Complete"),
        ("SuccessCount", "5"),
        ("FailureCount", "0"),
        ("MinimumResponseTimeDetailed", "12400"),
        ("MaximumResponseTimeDetailed", "15800"),
        ("AverageResponseTimeDetailed", "14000"),
    ];
    run(&api, "SN123456789", &format!("{ip}IPPing."), completed, &values).await;
    let want = json!({"packets_sent": 5, "packets_received": 5, "packet_loss_percent": 0, "min_rtt_ms": 12.4,
        "max_rtt_ms": 15.8, "avg_rtt_ms": 14, "success": true});
    assert_eq!(show(&api, &id).await["results"], want);

    let id = post(&api, order("traceroute", "h")).await["id"].clone();
    let values = [
        ("ResponseTime", "9"),
        ("RouteHops.1.Host", "10.0.0.1"),
        ("RouteHops.1.RTTimes", "1,0"),
        ("RouteHops.2.Host", "h"),
        ("RouteHops.2.HostAddress", "192.0.2.1"),
        ("RouteHops.2.RTTimes", "9,10"),
        ("RouteHops.2.ErrorCode", "3"),
    ];
    run(&api, "SN123456789", &format!("{ip}TraceRoute."), completed, &values).await;
    let want = json!({"hop_count": 2, "response_time_ms": 9, "success": true, "hops": [
        {"hop": 1, "host": "10.0.0.1", "address": "10.0.0.1", "rtt_ms": [1, null], "error_code": 0},
        {"hop": 2, "host": "h", "address": "192.0.2.1", "rtt_ms": [9, 10], "error_code": 3}]});
    assert_eq!(show(&api, &id).await["results"], want);

    let id = post(&api, order("dnslookup", "example.net")).await["id"].clone();
    let values = [
        ("SuccessCount", "1"),
        ("Result.1.Status", "Success"),
        ("Result.1.AnswerType", "NonAuthoritative"),
        ("Result.1.HostNameReturned", "example.net"),
        ("Result.1.IPAddresses", "192.0.2.1,192.0.2.2"),
        ("Result.1.DNSServerIP", "192.0.2.53"),
        ("Result.1.ResponseTime", "21"),
    ];
    run(&api, "SN123456789", "Device.DNS.Diagnostics.NSLookupDiagnostics.", completed, &values).await;
    let want = json!({"success_count": 1, "success": true, "lookups": [{"status": "Success",
        "answer_type": "NonAuthoritative", "host_name": "example.net", "addresses": ["192.0.2.1", "192.0.2.2"],
        "dns_server": "192.0.2.53", "response_time_ms": 21}]});
    assert_eq!(show(&api, &id).await["results"], want);
}

#[tokio::test]
async fn scans_estimate_the_channels() {
    let api = start().await;
    let id = post(&api, order("wifi.neighbor", "2.4GHz")).await["id"].clone();
    let values = [
        ("Result.1.SSID", "upstairs"),
        ("Result.1.BSSID", "00:11:22:33:44:55"),
        ("Result.1.Channel", "1"),
        ("Result.1.SignalStrength", "-65"),
        ("Result.1.OperatingFrequencyBand", "2.4GHz"),
        ("Result.1.OperatingChannelBandwidth", "20MHz"),
        ("Result.1.SecurityModeEnabled", "WPA2"),
        ("Result.1.OperatingStandards", "g,n"),
        ("Result.2.Channel", "36"),
        ("Result.2.SignalStrength", "-35"),
    ];
    run(&api, "SN123456789", "Device.WiFi.NeighboringWiFiDiagnostic.", TransactionStatus::Completed, &values).await;
    let want = json!({"networks_found": 1, "strongest_signal_dbm": -65, "channel_utilization": {"1": 25, "6": 0, "11": 0},
        "recommended_channel": 6, "recommended_channels": {"2.4GHz": 6}, "success": true, "networks": [
            {"ssid": "upstairs", "bssid": "00:11:22:33:44:55", "channel": 1, "band": "2.4GHz", "bandwidth": "20MHz",
             "signal_dbm": -65, "security": "WPA2", "standards": "g,n"}]});
    assert_eq!(show(&api, &id).await["results"], want);
}

#[tokio::test]
async fn failures_tell_the_state_and_what_is_known() {
    let api = start().await;
    let failed = TransactionStatus::Failed;
    let object = "Device.IP.Diagnostics.TraceRoute.";
    let id = post(&api, order("traceroute", "h")).await["id"].clone();
    let values =
        [("DiagnosticsState", "Error_MaxHopCountExceeded"), ("RouteHops.1.Host", "*"), ("RouteHops.1.RTTimes", "0")];
    run(&api, "SN123456789", object, failed, &values).await;
    let hop = json!({"hop": 1, "host": null, "address": null, "rtt_ms": [null], "error_code": 0});
    let want = json!({"success": false, "error": "Error_MaxHopCountExceeded", "hop_count": 1, "hops": [hop]});
    assert_eq!(show(&api, &id).await["results"], want);

    let id = post(&api, order("ipping", "h")).await["id"].clone();
    run(
        &api,
        "SN123456789",
        "Device.IP.Diagnostics.IPPing.",
        failed,
        &[("DiagnosticsState", "Error_CannotResolveHostName")],
    )
    .await;
    let shown = show(&api, &id).await;
    assert_eq!(shown["results"], json!({"success": false, "error": "Error_CannotResolveHostName"}));
    assert_eq!(shown["fault"]["code"], 0);

    // No state tells of it: words do.
    let id = post(&api, order("upload", "http://h/")).await["id"].clone();
    run(&api, "SN123456789", "Device.IP.Diagnostics.UploadDiagnostics.", failed, &[]).await;
    let want = json!({"success": false, "error": "the device ended the test with an error"});
    assert_eq!(show(&api, &id).await["results"], want);

    // It was carried out, but the numbers say nothing.
    let id = post(&api, order("ipping", "h")).await["id"].clone();
    run(
        &api,
        "SN123456789",
        "Device.IP.Diagnostics.IPPing.",
        TransactionStatus::Completed,
        &[("DiagnosticsState", "Complete")],
    )
    .await;
    let want = json!({"packets_sent": 0, "packets_received": 0, "packet_loss_percent": null, "min_rtt_ms": null,
        "max_rtt_ms": null, "avg_rtt_ms": null, "success": false});
    assert_eq!(show(&api, &id).await["results"], want);

    let id = post(&api, order("ipping", "h")).await["id"].clone();
    let number: u64 = id.as_str().expect("an id").replace("diag_", "").parse().expect("a number");
    api.call("DELETE", &record(TRANSACTIONS, number), Value::Null).await.expect(204, "withdrawn");
    let shown = show(&api, &id).await;
    assert_eq!((&shown["status"], &shown["results"]), (&json!("canceled"), &Value::Null));
    assert!(api.store.transaction(TransactionId(number)).await.expect("the store").is_some());
}

#[tokio::test]
async fn every_operation_has_its_place_in_the_description() {
    let api = Api::start().await;
    let described = api.get("/api/v1/openapi.json").await.expect(200, "description");
    let words = DiagnosticKind::ALL.map(DiagnosticKind::as_str);
    assert_eq!(described["components"]["schemas"]["DiagnosticWord"]["enum"], json!(words));
}

#[tokio::test]
async fn a_type_describes_its_vendor_s_scan() {
    let api = Api::start().await;
    let scan = json!({"state": "InternetGatewayDevice.X_Scan.State", "start": "1", "done": ["0"],
        "table": "InternetGatewayDevice.X_Scan.AP.", "columns": {"SSID": "Name", "SignalStrength": "RSSI"}});
    let made = api.make(TYPES, json!({"name": "vendor", "neighbor_scan": scan})).await;
    assert_eq!(made["neighbor_scan"], scan);
    let path = record(TYPES, made["id"].as_u64().expect("an id"));
    let change = |body: Value| api.call_as(ADMIN, "PATCH", &path, body);
    let short = json!({"state": "Device.X.S", "table": "Device.X.T."});
    let changed = change(json!({"neighbor_scan": short})).await.expect(200, "defaults");
    let want = json!({"state": "Device.X.S", "start": "Requested", "done": [], "table": "Device.X.T.", "columns": {}});
    assert_eq!(changed["neighbor_scan"], want);
    assert_eq!(change(json!({"debug": false})).await.expect(200, "kept")["neighbor_scan"], want);
    let wrong = json!({"state": "D.", "table": "D.T", "done": 5, "columns": {"Noise": "x", "SSID": 5}, "odd": 1});
    let reply = change(json!({"neighbor_scan": wrong})).await;
    for field in ["state", "table", "done", "columns", "odd"] {
        assert!(!reply.json["neighbor_scan"][field].is_null(), "{field}: {}", reply.text);
    }
    reply.refused_fields(&["neighbor_scan"], "all of it");
    let apart = json!({"state": "Device.X.S", "table": "InternetGatewayDevice.T."});
    change(json!({"neighbor_scan": apart})).await.refused_fields(&["neighbor_scan"], "of two models");
    assert_eq!(change(json!({"neighbor_scan": null})).await.expect(200, "none")["neighbor_scan"], Value::Null);
}
