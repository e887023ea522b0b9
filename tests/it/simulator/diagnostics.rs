//! Diagnostics of the simulated CPE, through sessions with the scripted ACS.

use std::sync::Arc;
use std::time::Duration;

use acsd::simulator::{Autonomy, ChosenEnd, CpeConfig, CpeHandle, DataModel, Misbehaviour, spawn};
use acsd::types::event::EventCode;

use super::acs::ScriptedAcs;
use super::{DEADLINE, assert_clean, config, get, names, next, session, set};

const PING: &str = "Device.IP.Diagnostics.IPPing.";
const DOWNLOAD: &str = "Device.IP.Diagnostics.DownloadDiagnostics.";
const UPLOAD: &str = "Device.IP.Diagnostics.UploadDiagnostics.";
const NEVER: &str = "0001-01-01T00:00:00Z";

/// A request of a test: inputs, then `DiagnosticsState`.
fn request(object: &str, inputs: &[(&str, &str, &str)]) -> String {
    let paths: Vec<String> = inputs.iter().map(|(leaf, ..)| format!("{object}{leaf}")).collect();
    let state = format!("{object}DiagnosticsState");
    let mut values: Vec<(&str, &str, &str)> =
        paths.iter().zip(inputs).map(|(path, (_, ty, value))| (path.as_str(), *ty, *value)).collect();
    values.push((&state, "string", "Requested"));
    set(&values, "")
}

fn ping(host: &str) -> String {
    request(PING, &[("Host", "string", host), ("NumberOfRepetitions", "unsignedInt", "4")])
}

async fn idle(cpe: &CpeHandle) {
    tokio::time::timeout(DEADLINE, cpe.idle()).await.expect("in time");
}

/// Asks for a test and waits for its end; gives the state that it ended with.
async fn run(acs: &ScriptedAcs, cpe: &CpeHandle, object: &str, inputs: &[(&str, &str, &str)]) -> String {
    acs.ask([request(object, inputs)]);
    let report = session(cpe).await;
    assert_clean(&report);
    assert_eq!(report.rpcs[0].fault, None, "{object} {inputs:?}");
    idle(cpe).await;
    state(cpe, object)
}

fn state(cpe: &CpeHandle, object: &str) -> String {
    cpe.value(&format!("{object}DiagnosticsState")).unwrap()
}

fn number(cpe: &CpeHandle, path: &str) -> u64 {
    cpe.value(path).unwrap_or_else(|| panic!("no {path}")).parse().unwrap()
}

async fn with_habit(acs: &ScriptedAcs, habit: Misbehaviour) -> CpeHandle {
    spawn(config(acs).misbehave(habit)).await.unwrap()
}

fn tr098(acs: &ScriptedAcs) -> CpeConfig {
    CpeConfig { data_model: DataModel::tr098(), ..config(acs) }
}

#[tokio::test]
async fn a_test_begins_after_the_session_and_event_8_tells_its_end() {
    let acs = ScriptedAcs::start().await;
    for (model, object) in
        [(DataModel::tr181(), PING), (DataModel::tr098(), "InternetGatewayDevice.IPPingDiagnostics.")]
    {
        let cpe = spawn(CpeConfig { data_model: model, ..config(&acs) }).await.unwrap();
        acs.heard();
        let inputs = [("Host", "string", "example.net"), ("NumberOfRepetitions", "unsignedInt", "4")];
        acs.ask([request(object, &inputs), get(&[&format!("{object}DiagnosticsState")])]);
        let report = session(&cpe).await;
        assert_clean(&report);
        assert!(!report.has_event(EventCode::DiagnosticsComplete));
        assert!(acs.bodies()[2].contains(">Requested</Value>"));
        idle(&cpe).await;
        acs.ask([get(&[object])]);
        let report = session(&cpe).await;
        assert_clean(&report);
        assert!(report.has_event(EventCode::DiagnosticsComplete));
        let results = &acs.bodies()[1];
        assert!(results.contains(">Complete</Value>"), "{results}");
        assert!(results.contains("SuccessCount</Name><Value xsi:type=\"xsd:unsignedInt\">4</Value>"), "{results}");
        assert!(!session(&cpe).await.has_event(EventCode::DiagnosticsComplete));
        assert_eq!(state(&cpe, object), "Complete", "results stay");
    }
}

#[tokio::test]
async fn every_test_runs_on_both_models() {
    let acs = ScriptedAcs::start().await;
    let cpe = spawn(config(&acs)).await.unwrap();
    let scan = "Device.WiFi.NeighboringWiFiDiagnostic.";
    let lookup = "Device.DNS.Diagnostics.NSLookupDiagnostics.";
    let echo = "Device.IP.Diagnostics.UDPEchoDiagnostics.";
    let trace = "Device.IP.Diagnostics.TraceRoute.";
    let url = ("DownloadURL", "string", "http://files.example/10MB.bin");
    let host = ("Host", "string", "example.net");
    assert_eq!(run(&acs, &cpe, DOWNLOAD, &[url]).await, "Complete");
    assert_eq!(number(&cpe, &format!("{DOWNLOAD}TestBytesReceived")), 10_000_240);
    assert!(number(&cpe, &format!("{DOWNLOAD}TotalBytesReceived")) > 10_000_240);
    let upload = [("UploadURL", "string", "ftp://files.example/x"), ("TestFileLength", "unsignedLong", "1000000")];
    assert_eq!(run(&acs, &cpe, UPLOAD, &upload).await, "Complete");
    assert_eq!(run(&acs, &cpe, echo, &[host]).await, "Complete");
    assert!(number(&cpe, &format!("{echo}AverageResponseTime")) > 1000, "microseconds");
    assert_eq!(run(&acs, &cpe, trace, &[host, ("Timeout", "unsignedInt", "100")]).await, "Complete");
    let hops = cpe.rows(&format!("{trace}RouteHops."));
    assert_eq!(number(&cpe, &format!("{trace}RouteHopsNumberOfEntries")), hops.len() as u64);
    let names = [("HostName", "string", "example.net"), ("NumberOfRepetitions", "unsignedInt", "3")];
    assert_eq!(run(&acs, &cpe, lookup, &names).await, "Complete");
    assert_eq!(cpe.rows(&format!("{lookup}Result.")), [1, 2, 3]);
    assert_eq!(run(&acs, &cpe, scan, &[]).await, "Complete");
    let neighbours = cpe.rows(&format!("{scan}Result.")).len();
    assert!(neighbours >= 10, "{neighbours}");
    assert_eq!(run(&acs, &cpe, scan, &[]).await, "Complete");
    assert_eq!(cpe.rows(&format!("{scan}Result.")).first(), Some(&1), "rows begin again");

    let cpe = spawn(tr098(&acs)).await.unwrap();
    let root = "InternetGatewayDevice.";
    let object = |name: &str| format!("{root}{name}.");
    assert_eq!(run(&acs, &cpe, &object("DownloadDiagnostics"), &[url]).await, "Completed");
    let upload = [("UploadURL", "string", "ftp://files.example/x"), ("TestFileLength", "unsignedInt", "1000000")];
    assert_eq!(run(&acs, &cpe, &object("UploadDiagnostics"), &upload).await, "Completed");
    assert!(number(&cpe, "InternetGatewayDevice.UploadDiagnostics.TotalBytesSent") > 1_000_000);
    assert_eq!(cpe.value("InternetGatewayDevice.UploadDiagnostics.TestBytesSent"), None);
    let trace = object("TraceRouteDiagnostics");
    assert_eq!(run(&acs, &cpe, &trace, &[host, ("Timeout", "unsignedInt", "100")]).await, "Complete");
    assert_eq!(cpe.value(&format!("{trace}RouteHops.3.HopHost")).as_deref(), Some("*"));
    assert_eq!(run(&acs, &cpe, &object("NSLookupDiagnostics"), &names).await, "Complete");
    let vendor = object("LANDevice.1.WLANConfiguration.1.X_ACSD_NeighborDiagnostic");
    assert_eq!(run(&acs, &cpe, &vendor, &[]).await, "Complete");
    let row = format!("{vendor}Result.1.");
    assert!(cpe.value(&format!("{row}RSSI")).unwrap().starts_with('-'));
    assert!(cpe.value(&format!("{vendor}ResultNumberOfEntries")).unwrap().parse::<u32>().unwrap() >= 10);
    acs.heard();
    acs.ask([names_of(&vendor)]);
    assert_clean(&session(&cpe).await);
    assert!(acs.bodies()[1].contains(&format!("<Name>{row}BSSID</Name>")));
}

fn names_of(object: &str) -> String {
    names(object, 0)
}

#[tokio::test]
async fn hosts_and_urls_decide_the_state() {
    let acs = ScriptedAcs::start().await;
    let cpe = spawn(config(&acs)).await.unwrap();
    let trace = "Device.IP.Diagnostics.TraceRoute.";
    let lookup = "Device.DNS.Diagnostics.NSLookupDiagnostics.";
    for (object, leaf, value, want) in [
        (PING, "Host", "a.invalid", "Error_CannotResolveHostName"),
        (PING, "Host", "198.51.100.1", "Error_NoRouteToHost"),
        (PING, "Host", "192.0.2.1", "Complete"),
        (trace, "Host", "far.example", "Error_MaxHopCountExceeded"),
        (lookup, "HostName", "a.invalid", "Complete"),
        (lookup, "DNSServer", "a.invalid", "Error_DNSServerNotResolved"),
        (DOWNLOAD, "DownloadURL", "http://a.invalid/x", "Error_CannotResolveHostName"),
        (DOWNLOAD, "DownloadURL", "http://refused.example/x", "Error_InitConnectionFailed"),
        (DOWNLOAD, "DownloadURL", "http://files.example/404", "Error_TransferFailed"),
        (UPLOAD, "UploadURL", "http://192.0.2.1/x", "Error_NoResponse"),
    ] {
        assert_eq!(run(&acs, &cpe, object, &[(leaf, "string", value)]).await, want, "{object} {value}");
    }
    assert_eq!(cpe.rows(&format!("{trace}RouteHops.")).len(), 30, "what was found is kept");
    assert_eq!(cpe.value(&format!("{UPLOAD}EOMTime")).as_deref(), Some(NEVER));
    let mut config = tr098(&acs);
    config.diagnostics_ends = vec!["ipping=Error_Vendor".parse::<ChosenEnd>().unwrap()];
    let cpe = spawn(config).await.unwrap();
    let ping = "InternetGatewayDevice.IPPingDiagnostics.";
    assert_eq!(run(&acs, &cpe, ping, &[("Host", "string", "example.net")]).await, "Error_Vendor");
    let download = "InternetGatewayDevice.DownloadDiagnostics.";
    let url = ("DownloadURL", "string", "http://a.invalid/x");
    assert_eq!(run(&acs, &cpe, download, &[url]).await, "Error_InitConnectionFailed", "TR-098 has no other");
    assert!(session(&cpe).await.has_event(EventCode::DiagnosticsComplete), "errors are told too");
}

#[tokio::test]
async fn only_requested_and_canceled_can_be_written() {
    let acs = ScriptedAcs::start().await;
    let state_path = format!("{PING}DiagnosticsState");
    let interface = format!("{PING}Interface");
    let write = |path: &str, value: &str| set(&[(path, "string", value)], "");
    let cpe = spawn(config(&acs)).await.unwrap();
    let cases = [
        (write(&state_path, "None"), Some(9003)),
        (write(&state_path, "Complete"), Some(9003)),
        (write(&interface, "Device.IP.Interface.7"), Some(9003)),
        (write(&interface, "Device.IP.Interface.1."), Some(9003)),
        (write(&interface, "Device.IP.Interface.1"), None),
        (write(&interface, ""), None),
        (write(&state_path, "Canceled"), None),
    ];
    acs.ask(cases.iter().map(|(body, _)| body.clone()));
    let report = session(&cpe).await;
    assert_clean(&report);
    let faults: Vec<Option<u16>> = report.rpcs.iter().map(|rpc| rpc.fault).collect();
    assert_eq!(faults, cases.iter().map(|(_, fault)| *fault).collect::<Vec<_>>());
    assert_eq!(acs.bodies().iter().filter(|body| body.contains("<FaultCode>9007</FaultCode>")).count(), 4);

    let cpe = spawn(tr098(&acs)).await.unwrap();
    acs.ask([write("InternetGatewayDevice.IPPingDiagnostics.DiagnosticsState", "Canceled")]);
    assert_eq!(session(&cpe).await.rpcs[0].fault, Some(9003), "TR-098 cannot be cancelled");
}

#[tokio::test]
async fn writing_an_input_cancelling_and_rebooting_take_a_running_test_away() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    // Packets to nobody, a minute each: the test does not end by itself.
    config.time_scale = 1.0;
    config.reboot_delay = Duration::from_millis(1);
    let endless = request(PING, &[("Host", "string", "192.0.2.1"), ("Timeout", "unsignedInt", "60000")]);
    let cpe = spawn(config).await.unwrap();
    let host = format!("{PING}Host");
    let canceled = format!("{PING}DiagnosticsState");
    for (path, value) in [(&host, "example.net"), (&canceled, "Canceled")] {
        acs.ask([endless.clone()]);
        assert_clean(&session(&cpe).await);
        acs.ask([get(&[&canceled]), set(&[(path, "string", value)], ""), get(&[&canceled])]);
        acs.heard();
        assert_clean(&session(&cpe).await);
        let bodies = acs.bodies();
        assert!(bodies[1].contains(">Requested<") && bodies[3].contains(">None<"), "{bodies:?}");
        idle(&cpe).await;
    }
    acs.ask([endless, ping("example.net")]);
    assert_clean(&session(&cpe).await);
    idle(&cpe).await;
    assert_eq!(state(&cpe, PING), "Complete", "asking again replaces the test that runs");
    assert_eq!(number(&cpe, &format!("{PING}SuccessCount")), 4);
    cpe.power_cycle();
    assert_eq!((state(&cpe, PING).as_str(), number(&cpe, &format!("{PING}SuccessCount"))), ("None", 0));
    let report = session(&cpe).await;
    assert!(report.has_event(EventCode::Boot) && !report.has_event(EventCode::DiagnosticsComplete));
}

#[tokio::test]
async fn tests_of_different_kinds_run_at_the_same_time() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    let scan = "Device.WiFi.NeighboringWiFiDiagnostic.";
    acs.ask([ping("example.net"), request(scan, &[])]);
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    assert_clean(&next(&mut reports).await);
    let mut told = 0;
    while state(&cpe, PING) != "Complete" || state(&cpe, scan) != "Complete" || told == 0 {
        told += usize::from(next(&mut reports).await.has_event(EventCode::DiagnosticsComplete));
    }
    assert!(told >= 1);
    cpe.stop().await;
}

#[tokio::test]
async fn the_bad_habits_of_tests_show() {
    let acs = ScriptedAcs::start().await;
    let host = [("Host", "string", "example.net")];
    let url = [("DownloadURL", "string", "http://files.example/10MB.bin")];

    let cpe = with_habit(&acs, Misbehaviour::NoEvent8).await;
    assert_eq!(run(&acs, &cpe, PING, &host).await, "Complete");
    assert!(!session(&cpe).await.has_event(EventCode::DiagnosticsComplete));

    let cpe = with_habit(&acs, Misbehaviour::CompletedSpelling).await;
    assert_eq!(run(&acs, &cpe, PING, &host).await, "Completed");

    let cpe = with_habit(&acs, Misbehaviour::NoFractionTimes).await;
    run(&acs, &cpe, DOWNLOAD, &url).await;
    assert_eq!(cpe.value(&format!("{DOWNLOAD}BOMTime")).unwrap().len(), "2024-01-15T10:30:00".len());

    let cpe = with_habit(&acs, Misbehaviour::WrappedCounters).await;
    run(&acs, &cpe, DOWNLOAD, &[("DownloadURL", "string", "http://files.example/5GiB")]).await;
    let test = number(&cpe, &format!("{DOWNLOAD}TestBytesReceived"));
    assert_eq!(test, (5 << 30) + 240 - (1 << 32));
    assert!(number(&cpe, &format!("{DOWNLOAD}TotalBytesReceived")) < test);
    acs.heard();
    acs.ask([get(&[&format!("{DOWNLOAD}TestBytesReceived")])]);
    session(&cpe).await;
    assert!(acs.bodies()[1].contains("xsd:unsignedInt"));

    let cpe = with_habit(&acs, Misbehaviour::DiagnosticInSession).await;
    acs.heard();
    acs.ask([ping("example.net"), get(&[&format!("{PING}DiagnosticsState")])]);
    session(&cpe).await;
    assert!(acs.bodies()[2].contains(">Complete<"));
    assert!(session(&cpe).await.has_event(EventCode::DiagnosticsComplete));

    let cpe = with_habit(&acs, Misbehaviour::RebootDuringTest).await;
    assert_eq!(run(&acs, &cpe, PING, &host).await, "None");
    let report = session(&cpe).await;
    assert!(report.has_event(EventCode::Boot) && !report.has_event(EventCode::DiagnosticsComplete));

    let cpe = with_habit(&acs, Misbehaviour::StateFirst).await;
    let (state_path, host_path) = (format!("{PING}DiagnosticsState"), format!("{PING}Host"));
    let wrong = [(state_path.as_str(), "string", "Requested"), (host_path.as_str(), "string", "example.net")];
    acs.ask([set(&wrong, "")]);
    session(&cpe).await;
    assert_eq!(state(&cpe, PING), "None", "the host came after the state");
    assert_eq!(run(&acs, &cpe, PING, &host).await, "Complete");
}

#[tokio::test]
async fn a_speed_test_on_this_machine_is_a_real_transfer() {
    let acs = ScriptedAcs::start().await;
    let file = acs.file("test.bin", &vec![0x5a; 3_000_000]);
    let cpe = spawn(config(&acs)).await.unwrap();
    let inputs = [
        ("DownloadURL", "string", file.as_str()),
        ("NumberOfConnections", "unsignedInt", "2"),
        ("EnablePerConnectionResults", "boolean", "1"),
    ];
    assert_eq!(run(&acs, &cpe, DOWNLOAD, &inputs).await, "Complete");
    let bytes = number(&cpe, &format!("{DOWNLOAD}TestBytesReceived"));
    assert!((6_000_000..6_001_000).contains(&bytes), "{bytes}");
    assert_eq!(cpe.rows(&format!("{DOWNLOAD}PerConnectionResult.")), [1, 2]);
    let time = |leaf: &str| cpe.value(&format!("{DOWNLOAD}{leaf}")).unwrap();
    let order = ["TCPOpenRequestTime", "TCPOpenResponseTime", "ROMTime", "BOMTime", "EOMTime"].map(time);
    assert!(order.is_sorted() && order[3] < order[4], "{order:?}");
    assert_eq!(order[4].len(), "2024-01-15T10:30:00.000000Z".len());

    let upload = acs.file("up.bin", b"");
    let inputs = [("UploadURL", "string", upload.as_str()), ("TestFileLength", "unsignedLong", "200000")];
    assert_eq!(run(&acs, &cpe, UPLOAD, &inputs).await, "Complete");
    assert_eq!(number(&cpe, &format!("{UPLOAD}TestBytesSent")), 200_000);
    assert!(acs.file_contents("up.bin").is_some_and(|contents| contents.chars().count() > 100_000));
    let order = ["ROMTime", "BOMTime", "EOMTime"].map(|leaf| cpe.value(&format!("{UPLOAD}{leaf}")).unwrap());
    assert!(order.is_sorted() && order[1] < order[2], "{order:?}");

    let missing = format!("{file}.missing");
    assert_eq!(run(&acs, &cpe, DOWNLOAD, &[("DownloadURL", "string", &missing)]).await, "Error_TransferFailed");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!("http://{nobody}/x");
    assert_eq!(run(&acs, &cpe, DOWNLOAD, &[("DownloadURL", "string", &refused)]).await, "Error_InitConnectionFailed");
    let limited = [("UploadURL", "string", upload.as_str()), ("TimeBasedTestDuration", "unsignedInt", "20")];
    assert_eq!(run(&acs, &cpe, UPLOAD, &limited).await, "Complete");
    assert!(number(&cpe, &format!("{UPLOAD}TestBytesSent")) > 0);
}

#[tokio::test]
async fn what_fleets_test_is_counted() {
    let acs = ScriptedAcs::start().await;
    let counters = Arc::new(acsd::simulator::Counters::default());
    let cpe = spawn(CpeConfig { counters: Some(Arc::clone(&counters)), ..config(&acs) }).await.unwrap();
    run(&acs, &cpe, PING, &[("Host", "string", "example.net")]).await;
    run(&acs, &cpe, PING, &[("Host", "string", "a.invalid")]).await;
    let tests = counters.summary().diagnostics;
    let want = [("ipping Complete", 1), ("ipping Error_CannotResolveHostName", 1)];
    assert_eq!(tests.into_iter().collect::<Vec<_>>(), want.map(|(name, n)| (name.to_owned(), n)));
}
