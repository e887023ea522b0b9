//! `kill -9` at any moment of a roll-out, and of tests of every kind: what was ordered ends truthfully, and once.

use std::collections::BTreeMap;
use std::sync::Arc;

use acsd::simulator::{ConnectionRequests, Counters, CpeConfig, CpeHandle, DataModel};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::crash::Daemon;
use crate::support::{Api, PASSWORD, PATIENCE, USER, pause};

/// A CPE that calls every second, tries again soon, and restarts in no time; and what it counts.
fn cpe(acsd: &Daemon, serial: &str, model: Arc<DataModel>) -> (CpeConfig, Arc<Counters>) {
    let mut cpe = CpeConfig::new(format!("http://{}/", acsd.cwmp)).serial(serial).credentials(USER, PASSWORD);
    let counters = Arc::new(Counters::default());
    cpe.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    (cpe.time_scale, cpe.periodic_interval_secs) = (0.01, 100);
    (cpe.data_model, cpe.counters) = (model, Some(Arc::clone(&counters)));
    (cpe, counters)
}

/// A moment: some have been, and nobody knows which is next.
async fn a_while(api: &Api, random: &mut fastrand::Rng) {
    for _ in 0..random.usize(0..40) {
        api.get("/inventory_device_serial/?limit=1").await;
    }
}

/// All rows of a list, newest first.
async fn all(api: &Api, path: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    loop {
        let page = api.get(&format!("{path}&limit=500&offset={}", rows.len())).await;
        rows.extend(page["results"].as_array().unwrap().iter().cloned());
        if page["next"].is_null() {
            return rows;
        }
    }
}

/// An image on record that makes simulated CPEs show this version.
async fn image(api: &Api, version: &str) -> Value {
    let made = api.call("POST", "/firmware_image/", Some(json!({"name": "router.bin", "version": version}))).await;
    assert_eq!(made.status, 201, "{}", made.body);
    let contents = format!("Version: {version}\n{}", "x".repeat(100_000));
    let path = format!("/firmware_image/{}/file/", made.body["id"]);
    let brought = api.bring(&path, Bytes::from(contents)).await;
    assert_eq!(brought.status, 200, "{}", brought.body);
    made.body["id"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_out_outlives_kills_and_flashes_nobody_twice() {
    const CPES: u32 = 60;
    const KILLS: u64 = 6;
    const FAULT: u16 = 9019;
    let mut acsd = Daemon::start("").await;
    let mut cpes = Vec::new();
    for number in 1..=CPES {
        let (mut config, counters) = cpe(&acsd, &format!("ROLL-{number:03}"), DataModel::tr181());
        (config.failing_share_percent, config.failing_fault) = (10, FAULT);
        // They wait for a file server that is down.
        config.download_retries = Some(u32::MAX);
        let is_failing = config.is_failing();
        cpes.push((acsd::simulator::spawn(config).await.unwrap(), is_failing, counters));
    }
    let image = image(&acsd, "7.0.1").await;
    acsd.row_until("/event/?kind=first_contact&limit=1", |page| page["count"] == CPES).await;
    let campaign = json!({
        "name": "roll-out", "operation": "firmware", "firmware_image": image, "selection": {}, "canary": 5,
        "steps": [25, 50, 100], "concurrency": 15, "stop_after_failures": 2,
    });
    let reply = acsd.call("POST", "/campaign/", Some(campaign)).await;
    assert_eq!((reply.status, &reply.body["counts"]["total"]), (201, &json!(CPES)), "{}", reply.body);
    let path = format!("/campaign/{}/", reply.body["id"]);
    assert_eq!(acsd.call("POST", &format!("{path}start/"), None).await.status, 200);

    let mut random = fastrand::Rng::new();
    let (mut kills, mut stops) = (0, 0);
    let until = tokio::time::Instant::now() + 3 * PATIENCE;
    let ended = loop {
        let campaign = acsd.get(&path).await;
        let counts = &campaign["counts"];
        let done = counts["succeeded"].as_u64().unwrap() + counts["failed"].as_u64().unwrap();
        if kills < KILLS && done >= u64::from(CPES) * kills / KILLS {
            a_while(&acsd, &mut random).await;
            acsd.kill_and_restart().await;
            kills += 1;
        } else if campaign["state"] == "stopped" {
            assert!(campaign["reason"].as_str().unwrap().contains("2 devices have failed"), "{campaign}");
            assert_eq!(acsd.call("POST", &format!("{path}resume/"), None).await.status, 200);
            stops += 1;
        } else if campaign["state"] == "completed" {
            break campaign;
        }
        assert!(tokio::time::Instant::now() < until, "{campaign}");
        pause().await;
    };
    let failing = cpes.iter().filter(|(_, is_failing, _)| *is_failing).count();
    assert!(kills == KILLS && stops > 0, "{kills} kills, stopped {stops} times");
    let counts = json!({"total": CPES, "pending": 0, "running": 0, "skipped": 0, "failed": failing,
                        "succeeded": cpes.len() - failing});
    assert_eq!(ended["counts"], counts, "{ended}");

    let mut rows = all(&acsd, "/transaction/?kind=firmware").await;
    // The stop rule withdraws what no device has begun.
    rows.retain(|row| row["status"] != "canceled" || !row["started_at"].is_null());
    assert_eq!(rows.len(), cpes.len(), "one upgrade for each device: {rows:#?}");
    let news = all(&acsd, "/event/?kind=firmware_changed").await;
    assert_eq!(news.len(), cpes.len() - failing, "each has changed its software once");
    for (cpe, is_failing, counters) in cpes {
        let serial = cpe.serial_number().to_owned();
        let row = rows.iter().find(|row| row["serial_number"] == serial).unwrap();
        let (status, code) = if is_failing { ("failed", json!(FAULT)) } else { ("completed", Value::Null) };
        assert_eq!((&row["status"], &row["fault"]["code"]), (&json!(status), &code), "{row}");
        let version = cpe.value("Device.DeviceInfo.SoftwareVersion");
        assert_eq!(version.as_deref(), Some(if is_failing { "1.0.0" } else { "7.0.1" }), "{serial}");
        cpe.stop().await;
        let counted = counters.summary();
        assert_eq!(counted.rpcs.get("Download"), Some(&1), "{serial} was told once: {row}");
        let fetched = u64::from(!is_failing);
        assert_eq!((counted.downloads, counted.downloads_verified), (fetched, fetched), "{serial}: {counted:?}");
        assert_eq!(counted.transfers_failed.get(&FAULT), is_failing.then_some(&1), "{serial}: {counted:?}");
        assert_eq!(counted.violations, 0, "{serial}: {:?}", counted.first_violations);
    }
}

/// What a test is to come to.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Success,
    /// It fails in this state.
    State(&'static str),
    /// The model has no such test.
    Lacking,
}

/// Tests with their targets, and their ends on TR-181 and TR-098.
const TESTS: [(&str, &str, End, End); 10] = [
    ("download", "http://files.example/25MB.bin", End::Success, End::Success),
    ("upload", "http://files.example/in", End::Success, End::Success),
    ("udpecho", "example.net", End::Success, End::Lacking),
    ("traceroute", "example.net", End::Success, End::Success),
    ("dnslookup", "example.net", End::Success, End::Success),
    ("wifi.neighbor", "all", End::Success, End::Lacking),
    ("ipping", "nowhere.invalid", End::State("Error_CannotResolveHostName"), End::State("Error_CannotResolveHostName")),
    (
        "download",
        "http://refused.example/x",
        End::State("Error_InitConnectionFailed"),
        End::State("Error_InitConnectionFailed"),
    ),
    ("ipping", "example.net", End::Success, End::Success),
    ("download", "http://slow.example/3MB.bin", End::Success, End::Success),
];

/// A number of the results of a kind, the parameter it comes from, and how many of the device's units it has.
type Measured = (&'static str, &'static str, &'static str, f64);

const ON_TR_181: [Measured; 7] = [
    ("ipping", "avg_rtt_ms", "Device.IP.Diagnostics.IPPing.AverageResponseTimeDetailed", 1000.0),
    ("udpecho", "avg_rtt_ms", "Device.IP.Diagnostics.UDPEchoDiagnostics.AverageResponseTime", 1000.0),
    ("download", "bytes_downloaded", "Device.IP.Diagnostics.DownloadDiagnostics.TestBytesReceived", 1.0),
    ("upload", "bytes_uploaded", "Device.IP.Diagnostics.UploadDiagnostics.TestBytesSent", 1.0),
    ("traceroute", "hop_count", "Device.IP.Diagnostics.TraceRoute.RouteHopsNumberOfEntries", 1.0),
    ("dnslookup", "success_count", "Device.DNS.Diagnostics.NSLookupDiagnostics.SuccessCount", 1.0),
    ("wifi.neighbor", "networks_found", "Device.WiFi.NeighboringWiFiDiagnostic.ResultNumberOfEntries", 1.0),
];
const ON_TR_098: [Measured; 5] = [
    ("ipping", "avg_rtt_ms", "InternetGatewayDevice.IPPingDiagnostics.AverageResponseTime", 1.0),
    ("download", "bytes_downloaded", "InternetGatewayDevice.DownloadDiagnostics.TestBytesReceived", 1.0),
    ("upload", "bytes_uploaded", "InternetGatewayDevice.UploadDiagnostics.TotalBytesSent", 1.0),
    ("traceroute", "hop_count", "InternetGatewayDevice.TraceRouteDiagnostics.RouteHopsNumberOfEntries", 1.0),
    ("dnslookup", "success_count", "InternetGatewayDevice.NSLookupDiagnostics.SuccessCount", 1.0),
];

/// A device with tests ordered, in their order.
struct Tested {
    cpe: CpeHandle,
    counters: Arc<Counters>,
    is_tr_098: bool,
    ids: Vec<(usize, u64)>,
}

impl Tested {
    async fn start(acsd: &Daemon, number: usize) -> Self {
        let is_tr_098 = number % 2 == 1;
        let model = if is_tr_098 { DataModel::tr098() } else { DataModel::tr181() };
        let (config, counters) = cpe(acsd, &format!("TESTED-{number}"), model);
        Self { cpe: acsd::simulator::spawn(config).await.unwrap(), counters, is_tr_098, ids: Vec::new() }
    }

    async fn order(&mut self, api: &Api, test: usize) {
        let (operation, target, ..) = TESTS[test];
        let body = json!({"serial_number": self.cpe.serial_number(), "operation": operation, "target": target});
        let reply = api.call("POST", "/inventory_device_serial_diags/", Some(body)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        self.ids.push((test, reply.body["id"].as_str().unwrap().trim_start_matches("diag_").parse().unwrap()));
    }

    /// One of a kind that is not over keeps the next ones of its kind waiting, and they say so.
    async fn waits_in_words(&self, api: &Api) {
        for (at, (test, id)) in self.ids.iter().enumerate() {
            let same = |(other, _): &&(usize, u64)| TESTS[*other].0 == TESTS[*test].0;
            let Some((_, earlier)) = self.ids[..at].iter().rev().find(same) else { continue };
            let row = api.get(&format!("/transaction/{id}/")).await;
            // It is asked about last: if it is live now, it was all the time.
            if is_live(&api.get(&format!("/transaction/{earlier}/")).await) {
                let words = row["waiting_for"].as_str().unwrap_or_default();
                assert!(words.starts_with(&format!("the {} test ", TESTS[*test].0)), "{row}");
                assert_eq!(row["status"], "scheduled", "{row}");
            }
        }
    }

    /// All of them once they are over: results by number, as the list of tests has them.
    async fn ended(&self, api: &Api) -> BTreeMap<u64, Value> {
        let mut ended = BTreeMap::new();
        for (_, id) in &self.ids {
            let until = tokio::time::Instant::now() + 3 * PATIENCE;
            loop {
                let row = api.get(&format!("/inventory_device_serial_diags/?id=diag_{id}")).await[0].clone();
                if !is_live(&row) {
                    ended.insert(*id, row);
                    break;
                }
                assert!(tokio::time::Instant::now() < until, "test {id} does not end: {row}");
                pause().await;
            }
        }
        ended
    }

    /// Whether the end of each is the one that it had to come to, and what the device has of the last of each kind.
    fn check(&self, ended: &BTreeMap<u64, Value>) {
        for (test, id) in &self.ids {
            let (row, (_, _, tr_181, tr_098)) = (&ended[id], TESTS[*test]);
            match if self.is_tr_098 { tr_098 } else { tr_181 } {
                End::Success => {
                    let end = (&row["status"], &row["results"]["success"]);
                    assert_eq!(end, (&json!("completed"), &json!(true)), "{row}");
                }
                End::State(state) => {
                    assert_eq!((&row["status"], &row["results"]["error"]), (&json!("failed"), &json!(state)), "{row}");
                }
                End::Lacking => {
                    let words = row["fault"]["message"].as_str().unwrap();
                    assert!(row["status"] == "failed" && words.contains("InternetGatewayDevice"), "{row}");
                }
            }
        }
        let measured: &[Measured] = if self.is_tr_098 { &ON_TR_098 } else { &ON_TR_181 };
        for (operation, result, path, unit) in measured {
            // The tests of a kind are made in the order of their numbers.
            let last = self.ids.iter().rfind(|(test, _)| TESTS[*test].0 == *operation).unwrap().1;
            let shown = ended[&last]["results"][result].as_f64().unwrap();
            let has = self.cpe.value(path).unwrap().parse::<f64>().unwrap() / unit;
            assert!((shown - has).abs() <= 1e-5 * has.max(1.0), "{operation}: {shown}, and the device has {has}");
        }
    }
}

fn is_live(row: &Value) -> bool {
    matches!(row["status"].as_str(), Some("scheduled" | "in_progress"))
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_of_every_kind_outlive_kills_on_both_models() {
    const CPES: usize = 4;
    const KILLS: usize = 6;
    let mut acsd = Daemon::start("[transactions]\nbackoff_first_secs = 1").await;
    let mut devices = Vec::new();
    for number in 0..CPES {
        devices.push(Tested::start(&acsd, number).await);
    }
    acsd.row_until("/event/?kind=first_contact&limit=1", |page| page["count"] == CPES).await;
    let mut random = fastrand::Rng::new();
    for kill in 0..KILLS {
        // Each round brings some more, and kills in the middle of them.
        let tests = TESTS.len() * kill / KILLS..TESTS.len() * (kill + 1) / KILLS;
        for test in tests.clone().chain(tests) {
            for device in &mut devices {
                device.order(&acsd, test).await;
            }
        }
        for device in &devices {
            device.waits_in_words(&acsd).await;
        }
        a_while(&acsd, &mut random).await;
        acsd.kill_and_restart().await;
    }
    for device in devices {
        let ended = device.ended(&acsd).await;
        device.check(&ended);
        let serial = device.cpe.serial_number();
        let rows = all(&acsd, &format!("/transaction/?kind=diag&serial_number={serial}")).await;
        assert_eq!(rows.len(), device.ids.len(), "none was lost, none came to be twice");
        let lacking = rows.iter().filter(|row| row["started_at"].is_null()).count();
        assert_eq!(lacking, 0, "{rows:?}");
        device.cpe.stop().await;
        let counted = device.counters.summary();
        let asked = device.ids.iter().filter(|(test, _)| !device.is_tr_098 || TESTS[*test].3 != End::Lacking).count();
        let (asked, runs) = (u64::try_from(asked).unwrap(), counted.diagnostics.values().sum::<u64>());
        // A start that a kill leaves in doubt may be made again, and nothing else.
        let doubts = u64::try_from(KILLS).unwrap();
        assert!((asked..=asked + doubts).contains(&runs), "{asked} tests, {runs} runs: {:?}", counted.diagnostics);
        assert_eq!(counted.violations, 0, "{:?}", counted.first_violations);
    }
}
