//! The seven tests, run by simulated CPEs: results are what the device's own parameters come to.

use acsd::simulator::{ConnectionRequests, CpeConfig, DataModel, Misbehaviour};
use acsd::types::event::EventCode;
use serde_json::{Value, json};

use crate::crash::Daemon;
use crate::support::{Acs, Api, Cpe, PASSWORD, PATIENCE, USER, config};

const PING: &str = "Device.IP.Diagnostics.IPPing.";
const ALL: [(&str, &str); 7] = [
    ("download", "http://files.example/25MB.bin"),
    ("upload", "http://files.example/in"),
    ("ipping", "example.net"),
    ("udpecho", "example.net"),
    ("traceroute", "example.net"),
    ("dnslookup", "example.net"),
    ("wifi.neighbor", "all"),
];

fn order(serial: &str, operation: &str, target: &str) -> Value {
    json!({"serial_number": serial, "operation": operation, "target": target})
}

async fn schedule(api: &Api, body: Value) -> String {
    let reply = api.call("POST", "/inventory_device_serial_diags/", Some(body)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    reply.body["id"].as_str().unwrap().to_owned()
}

async fn shown(api: &Api, id: &str) -> Value {
    api.get(&format!("/inventory_device_serial_diags/?id={id}")).await[0].clone()
}

/// The test once it has ended.
async fn ended(api: &Api, id: &str) -> Value {
    let until = tokio::time::Instant::now() + 2 * PATIENCE;
    loop {
        let rows = api.get(&format!("/inventory_device_serial_diags/?id={id}&update_status=true")).await;
        let row = rows[0].clone();
        if !matches!(row["status"].as_str(), Some("scheduled" | "in_progress")) {
            return row;
        }
        assert!(tokio::time::Instant::now() < until, "test {id} does not end: {row}");
    }
}

async fn run(api: &Api, body: Value) -> Value {
    let id = schedule(api, body).await;
    ended(api, &id).await
}

async fn cpe(config: CpeConfig) -> Cpe {
    let cpe = Cpe::spawn(config).await;
    cpe.session(&[]).await.unwrap();
    cpe
}

fn number(cpe: &Cpe, path: &str) -> f64 {
    cpe.value(path).unwrap_or_else(|| panic!("no {path}")).parse().unwrap()
}

#[track_caller]
fn near(shown: &Value, want: f64) {
    let shown = shown.as_f64().unwrap_or_else(|| panic!("{shown} is no number"));
    assert!((shown - want).abs() <= 1e-5 * want.abs().max(1.0), "{shown}, not {want}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_seven_run_on_tr_181() {
    let acs = Acs::start(config()).await;
    let cpe = cpe(acs.cpe("DIAG-181")).await;
    for (operation, target) in ALL {
        let row = run(&acs, order("DIAG-181", operation, target)).await;
        assert_eq!((&row["status"], &row["results"]["success"]), (&json!("completed"), &json!(true)), "{row}");
    }
    let at = |object: &str, leaf: &str| number(&cpe, &format!("Device.IP.Diagnostics.{object}.{leaf}"));
    let rows = acs.get("/inventory_device_serial_diags/?serial_number=DIAG-181").await;
    let results = |operation: &str| {
        let rows = rows.as_array().unwrap();
        rows.iter().find(|row| row["operation"] == operation).map(|row| row["results"].clone()).unwrap()
    };
    let ping = results("ipping");
    assert_eq!(ping["packets_sent"], 5);
    near(&ping["avg_rtt_ms"], at("IPPing", "AverageResponseTimeDetailed") / 1000.0);
    near(&ping["min_rtt_ms"], at("IPPing", "MinimumResponseTimeDetailed") / 1000.0);
    let echo = results("udpecho");
    near(&echo["avg_rtt_ms"], at("UDPEchoDiagnostics", "AverageResponseTime") / 1000.0);
    let download = results("download");
    near(&download["bytes_downloaded"], at("DownloadDiagnostics", "TestBytesReceived"));
    let (bytes, secs) =
        (download["bytes_downloaded"].as_f64().unwrap(), download["duration_seconds"].as_f64().unwrap());
    near(&download["download_speed_mbps"], bytes * 8.0 / 1e6 / secs);
    let upload = results("upload");
    near(&upload["bytes_uploaded"], at("UploadDiagnostics", "TestBytesSent"));
    assert_eq!(at("UploadDiagnostics", "TestFileLength"), 10_485_760.0);
    let route = results("traceroute");
    near(&route["hop_count"], at("TraceRoute", "RouteHopsNumberOfEntries"));
    near(&route["response_time_ms"], at("TraceRoute", "ResponseTime"));
    let scan = results("wifi.neighbor");
    near(&scan["networks_found"], number(&cpe, "Device.WiFi.NeighboringWiFiDiagnostic.ResultNumberOfEntries"));
    assert!(scan["channel_utilization"]["6"].is_u64() && scan["channel_utilization"]["36"].is_u64(), "{scan}");
    let lookup = results("dnslookup");
    assert_eq!((&lookup["success_count"], &lookup["lookups"][0]["status"]), (&json!(1), &json!("Success")));
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tr_098_runs_what_its_model_has() {
    let acs = Acs::start(config()).await;
    let mut gateway = acs.cpe("DIAG-098");
    gateway.data_model = DataModel::tr098();
    let cpe = cpe(gateway).await;
    for (operation, target) in ALL {
        let row = run(&acs, order("DIAG-098", operation, target)).await;
        let lacks = matches!(operation, "udpecho" | "wifi.neighbor");
        assert_eq!(row["status"], if lacks { "failed" } else { "completed" }, "{row}");
        if lacks {
            assert!(row["fault"]["message"].as_str().unwrap().contains("InternetGatewayDevice"), "{row}");
        } else {
            assert_eq!(row["results"]["success"], true, "{row}");
        }
    }
    let ping = "InternetGatewayDevice.IPPingDiagnostics.AverageResponseTime";
    let shown = run(&acs, order("DIAG-098", "ipping", "example.net")).await;
    near(&shown["results"]["avg_rtt_ms"], number(&cpe, ping));
    let upload = run(&acs, order("DIAG-098", "upload", "http://files.example/in")).await;
    near(&upload["results"]["bytes_uploaded"], number(&cpe, "InternetGatewayDevice.UploadDiagnostics.TotalBytesSent"));

    // Its vendor has a scan of its own, which the type describes.
    let object = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.1.X_ACSD_NeighborDiagnostic.";
    let scan = json!({"state": format!("{object}DiagnosticsState"), "table": format!("{object}Result."),
        "columns": {"SignalStrength": "RSSI"}});
    let patch = acs.call("PATCH", "/inventory_device_type/1/", Some(json!({"neighbor_scan": scan}))).await;
    assert_eq!(patch.status, 200, "{}", patch.body);
    let row = run(&acs, order("DIAG-098", "wifi.neighbor", "2.4GHz")).await;
    assert_eq!(row["status"], "completed", "{row}");
    assert!(
        row["results"]["networks_found"].as_u64() > Some(0) && row["results"]["strongest_signal_dbm"].is_i64(),
        "{row}"
    );
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interfaces_are_found_in_both_models() {
    let acs = Acs::start(config()).await;
    for (serial, model, object) in [
        ("DIAG-IF1", DataModel::tr181(), PING),
        ("DIAG-IF2", DataModel::tr098(), "InternetGatewayDevice.IPPingDiagnostics."),
    ] {
        let mut config = acs.cpe(serial);
        config.data_model = model;
        let cpe = cpe(config).await;
        for interface in ["wan", "lan"] {
            let mut body = order(serial, "ipping", "example.net");
            body["interface"] = json!(interface);
            let row = run(&acs, body).await;
            assert_eq!(row["status"], "completed", "{interface}: {row}");
            let path = cpe.value(&format!("{object}Interface")).unwrap();
            assert!(path.contains("Interface.") || path.contains("Connection."), "{serial} {interface}: {path:?}");
        }
        let mut body = order(serial, "ipping", "example.net");
        body["interface"] = json!("attic");
        let row = run(&acs, body).await;
        assert!(row["results"]["error"].as_str().unwrap().contains("attic"), "{row}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn error_states_are_told_as_the_device_has_them() {
    let acs = Acs::start(config()).await;
    let cpe = cpe(acs.cpe("DIAG-ERR")).await;
    let table = [
        ("ipping", "nowhere.invalid", "Error_CannotResolveHostName"),
        ("ipping", "198.51.100.7", "Error_NoRouteToHost"),
        ("traceroute", "nowhere.invalid", "Error_CannotResolveHostName"),
        ("download", "http://refused.example/x", "Error_InitConnectionFailed"),
        ("download", "http://files.example/404", "Error_TransferFailed"),
        ("upload", "http://nowhere.invalid/x", "Error_CannotResolveHostName"),
        ("udpecho", "nowhere.invalid", "Error_CannotResolveHostName"),
    ];
    for (operation, target, state) in table {
        let row = run(&acs, order("DIAG-ERR", operation, target)).await;
        assert_eq!((&row["status"], &row["results"]["error"]), (&json!("failed"), &json!(state)), "{row}");
    }
    let mut far = order("DIAG-ERR", "traceroute", "far.example");
    far["max_hops"] = json!(5);
    let row = run(&acs, far).await;
    assert_eq!(row["results"]["error"], "Error_MaxHopCountExceeded", "{row}");
    assert_eq!(row["results"]["hops"].as_array().map(Vec::len), Some(5), "{row}");
    // Nothing was answered, but the test ran.
    let row = run(&acs, order("DIAG-ERR", "ipping", "192.0.2.1")).await;
    assert_eq!((&row["status"], &row["results"]["packet_loss_percent"]), (&json!("completed"), &json!(100)), "{row}");
    assert_eq!(row["results"]["avg_rtt_ms"], Value::Null);
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_habits_of_tests_are_borne() {
    let acs = Acs::start(config()).await;
    // 5 GiB in counters of 32 bits.
    let wrapped = cpe(acs.cpe("DIAG-WRAP").misbehave(Misbehaviour::WrappedCounters)).await;
    let row = run(&acs, order("DIAG-WRAP", "download", "http://files.example/5GiB.bin")).await;
    assert_eq!(row["results"]["bytes_downloaded"], (5_u64 << 30) + 240, "{row}");
    assert!(number(&wrapped, "Device.IP.Diagnostics.DownloadDiagnostics.TestBytesReceived") < 4e9);
    wrapped.finish().await;
    let habits = [
        "completed-spelling",
        "no-fraction-times",
        "diagnostic-in-session",
        "state-first",
        "interface-with-dot",
        "wrapped-counters",
    ];
    for (at, name) in habits.into_iter().enumerate() {
        let serial = format!("DIAG-H{at}");
        let habit: Misbehaviour = name.parse().unwrap();
        let cpe = cpe(acs.cpe(&serial).misbehave(habit)).await;
        for (operation, target) in [("ipping", "example.net"), ("download", "http://slow.example/3MB.bin")] {
            let mut body = order(&serial, operation, target);
            body["interface"] = json!("wan");
            let row = run(&acs, body).await;
            assert_eq!(row["status"], "completed", "{name}: {row}");
            assert_eq!(row["results"]["success"], true, "{name}: {row}");
        }
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_left_behind_changes_no_transfer() {
    const OBJECT: &str = "Device.IP.Diagnostics.DownloadDiagnostics.";
    // As it was left, and as the test is to find it.
    let inputs = [
        ("TimeBasedTestDuration", "7", "0"),
        ("TimeBasedTestMeasurementInterval", "3", "0"),
        ("TimeBasedTestMeasurementOffset", "2", "0"),
        ("NumberOfConnections", "4", "1"),
    ];
    let acs = Acs::start(config()).await;
    let cpe = cpe(acs.cpe("DIAG-LEFT")).await;
    let left = inputs.map(|(leaf, left, _)| {
        let name = format!("{OBJECT}{leaf}");
        json!({"variable_name": name, "value": left, "value_type": "unsignedInt"})
    });
    let row = acs.headless("DIAG-LEFT", "set", json!(left)).await;
    assert_eq!(row["status"], "completed", "{row}");
    let row = run(&acs, order("DIAG-LEFT", "download", "http://files.example/25MB.bin")).await;
    assert_eq!((&row["status"], &row["results"]["success"]), (&json!("completed"), &json!(true)), "{row}");
    assert!(!row["results"]["note"].to_string().contains("full loading"), "{row}");
    for (leaf, _, want) in inputs {
        assert_eq!(cpe.value(&format!("{OBJECT}{leaf}")).as_deref(), Some(want), "{leaf}");
    }
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_never_reports_is_asked_in_time() {
    let mut config = config();
    config.transactions.test_margin_secs = 0;
    let acs = Acs::start(config).await;
    let cpe = cpe(acs.cpe("DIAG-8").misbehave(Misbehaviour::NoEvent8)).await;
    let mut body = order("DIAG-8", "ipping", "example.net");
    body["count"] = json!(1);
    let row = run(&acs, body).await;
    assert_eq!(row["results"]["packets_received"], 1, "{row}");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_in_the_middle_loses_the_test_and_says_so() {
    let acs = Acs::start(config()).await;
    let cpe = cpe(acs.cpe("DIAG-BOOT").misbehave(Misbehaviour::RebootDuringTest)).await;
    let row = run(&acs, order("DIAG-BOOT", "ipping", "example.net")).await;
    assert_eq!(row["status"], "failed", "{row}");
    assert!(row["results"]["error"].as_str().unwrap().contains("restarted"), "{row}");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_that_break_off_cost_no_test() {
    let acs = Acs::start(config()).await;
    // Onboarding takes three writes and two reads.
    let breaks = [
        "drop-before=SetParameterValues#4",
        "drop-after=SetParameterValues#4",
        "drop-before=GetParameterValues#3",
        "drop-after=GetParameterValues#4",
        "drop-before=GetParameterValues#5",
    ];
    for (at, name) in breaks.into_iter().enumerate() {
        let serial = format!("DIAG-B{at}");
        let habit: Misbehaviour = name.parse().unwrap();
        let cpe = cpe(acs.cpe(&serial).misbehave(habit)).await;
        let id = schedule(&acs, order(&serial, "ipping", "example.net")).await;
        let until = tokio::time::Instant::now() + PATIENCE;
        let row = loop {
            let row = shown(&acs, &id).await;
            if !matches!(row["status"].as_str(), Some("scheduled" | "in_progress")) {
                break row;
            }
            assert!(tokio::time::Instant::now() < until, "{name}: {row}");
            cpe.session(&[EventCode::Periodic]).await.unwrap();
        };
        assert_eq!(row["status"], "completed", "{name}: {row}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_test_of_a_kind_at_a_time_and_two_kinds_at_once() {
    let acs = Acs::start(config()).await;
    let mut slow = acs.cpe("DIAG-TWO");
    // Slow enough to be looked at while they run.
    slow.time_scale = 0.2;
    let cpe = cpe(slow).await;
    let first = schedule(&acs, order("DIAG-TWO", "ipping", "192.0.2.1")).await;
    let second = schedule(&acs, order("DIAG-TWO", "ipping", "example.net")).await;
    let other = schedule(&acs, order("DIAG-TWO", "dnslookup", "example.net")).await;
    let transaction = |id: &str| format!("/transaction/{}/", id.replace("diag_", ""));
    acs.row_until(&transaction(&first), |row| {
        row["waiting_for"].as_str().is_some_and(|words| words.contains("test to finish"))
    })
    .await;
    let held = acs.get(&transaction(&second)).await;
    assert_eq!(held["waiting_for"], format!("the ipping test {} to end", first.replace("diag_", "")), "{held}");
    assert_eq!(ended(&acs, &other).await["status"], "completed");
    assert_eq!(shown(&acs, &first).await["status"], "in_progress", "the other kind does not wait for it");
    assert_eq!(ended(&acs, &first).await["results"]["packets_received"], 0);
    assert_eq!(ended(&acs, &second).await["results"]["packets_received"], 5);
    cpe.finish().await;
}

/// `kill -9` again and again while tests are started, run, and are read: each ends, with what the device measured.
#[tokio::test(flavor = "multi_thread")]
async fn tests_outlive_acsd() {
    const KILLS: usize = 6;
    let mut api = Daemon::start("").await;
    let cwmp = api.cwmp;
    let mut device = CpeConfig::new(format!("http://{cwmp}/")).serial("DIAG-KILL").credentials(USER, PASSWORD);
    device.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    // Periodic Informs every second, tests of some 50 ms.
    (device.time_scale, device.periodic_interval_secs) = (0.01, 100);
    let cpe = Cpe::spawn(device).await;
    api.row_until("/inventory_device_serial/?limit=1", |page| page["count"] == 1).await;
    let mut ids = Vec::new();
    for round in 0..KILLS {
        for (operation, target) in ALL {
            ids.push((operation, schedule(&api, order("DIAG-KILL", operation, target)).await));
        }
        // At another point each time: while they start, run, or are read.
        let (_, id) = &ids[ids.len() - 1 - round];
        let has_begun = |row: &Value| row["status"] != "scheduled";
        api.row_until(&format!("/transaction/{}/", id.replace("diag_", "")), has_begun).await;
        api.kill_and_restart().await;
    }
    for (operation, id) in &ids {
        let row = ended(&api, id).await;
        assert_eq!(
            (&row["status"], &row["results"]["success"]),
            (&json!("completed"), &json!(true)),
            "{operation}: {row}"
        );
    }
    api.kill();
    cpe.finish().await;
}
