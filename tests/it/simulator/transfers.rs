//! File transfers of the simulated CPE, from a file server that can be unreliable.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use acsd::simulator::{AcsCall, Autonomy, Counters, CpeConfig, CpeHandle, Misbehaviour, SessionReport, spawn};
use acsd::types::event::EventCode;
use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio::task::JoinSet;

use super::acs::ScriptedAcs;
use super::{DEADLINE, assert_clean, config, download, keyed, next, session};

const FIRMWARE: &str = "1 Firmware Upgrade Image";
const IMAGE: &[u8] = b"Version: 7.0.1\nimage image image image image";

/// Answers each request with the next of these responses, the last one again and again, and keeps the requests' heads.
struct FileServer {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl FileServer {
    async fn start(responses: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/fw", socket.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let mut responses: VecDeque<Vec<u8>> = responses.into_iter().collect();
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&heads);
        tasks.spawn(async move {
            while let Ok((mut stream, _)) = socket.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                seen.lock().unwrap().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
                let response = if responses.len() > 1 { responses.pop_front() } else { responses.front().cloned() };
                // The CPE may have gone.
                let _gone = stream.write_all(&response.unwrap()).await;
                let _gone = stream.shutdown().await;
            }
        });
        Self { url, heads, _tasks: tasks }
    }

    fn heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().unwrap())
    }
}

fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    [format!("HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").as_bytes(), body].concat()
}

fn ok(headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    response("200 OK", &[&[("Content-Length", length.as_str())], headers].concat(), body)
}

fn repr_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(body)))
}

fn schedule(key: &str, url: &str, windows: &[(u32, u32, &str, i32)]) -> String {
    let list: String = windows
        .iter()
        .map(|(start, end, mode, retries)| {
            format!(
                "<TimeWindowStruct><WindowStart>{start}</WindowStart><WindowEnd>{end}</WindowEnd>\
                 <WindowMode>{mode}</WindowMode><UserMessage></UserMessage><MaxRetries>{retries}</MaxRetries>\
                 </TimeWindowStruct>"
            )
        })
        .collect();
    format!(
        "<cwmp:ScheduleDownload><CommandKey>{key}</CommandKey><FileType>{FIRMWARE}</FileType><URL>{url}</URL>\
         <Username></Username><Password></Password><FileSize>0</FileSize><TargetFileName></TargetFileName>\
         <TimeWindowList SOAP-ENC:arrayType=\"cwmp:TimeWindowStruct[{}]\">{list}</TimeWindowList>\
         </cwmp:ScheduleDownload>",
        windows.len()
    )
}

fn upload(key: &str, file_type: &str, url: &str) -> String {
    format!(
        "<cwmp:Upload><CommandKey>{key}</CommandKey><FileType>{file_type}</FileType><URL>{url}</URL>\
         <Username></Username><Password></Password><DelaySeconds>0</DelaySeconds></cwmp:Upload>"
    )
}

async fn idle(cpe: &CpeHandle) {
    tokio::time::timeout(DEADLINE, cpe.idle()).await.expect("in time");
}

/// Has the CPE carry this out; gives the `TransferComplete` and the session that it came in.
async fn reported(acs: &ScriptedAcs, cpe: &CpeHandle, body: String) -> (String, Arc<SessionReport>) {
    acs.ask([body]);
    let report = session(cpe).await;
    assert_clean(&report);
    assert_eq!(report.rpcs[0].fault, None);
    idle(cpe).await;
    acs.heard();
    let report = session(cpe).await;
    assert_clean(&report);
    let bodies = acs.bodies();
    let complete = bodies.iter().find(|body| body.contains(":TransferComplete>"));
    (complete.cloned().unwrap_or_default(), report)
}

fn fault_of(complete: &str) -> u16 {
    let (_, rest) = complete.split_once("<FaultCode>").unwrap_or_else(|| panic!("no fault in {complete:?}"));
    rest.split_once('<').unwrap().0.parse().unwrap()
}

fn version(cpe: &CpeHandle) -> String {
    cpe.value("Device.DeviceInfo.SoftwareVersion").unwrap()
}

async fn with_habit(acs: &ScriptedAcs, habit: Misbehaviour) -> CpeHandle {
    spawn(config(acs).misbehave(habit)).await.unwrap()
}

#[tokio::test]
async fn a_download_is_checked_against_every_statement_about_it() {
    let acs = ScriptedAcs::start().await;
    let digest = hex::encode(Sha256::digest(IMAGE));
    let (right, wrong) = (repr_digest(IMAGE), repr_digest(b"other"));
    let quoted = format!("\"{digest}\"");
    let cases = [
        ("a right Repr-Digest", ok(&[("Repr-Digest", &right)], IMAGE), IMAGE.len(), 0),
        ("a wrong Repr-Digest", ok(&[("Repr-Digest", &wrong)], IMAGE), IMAGE.len(), 9018),
        ("Repr-Digest before ETag", ok(&[("Repr-Digest", &wrong), ("ETag", &quoted)], IMAGE), 0, 9018),
        ("a digest as ETag", ok(&[("ETag", &quoted)], IMAGE), 0, 0),
        ("another digest as ETag", ok(&[("ETag", &quoted)], b"Version: 7.0.2\n"), 0, 9018),
        ("an ETag that is no digest", ok(&[("ETag", "\"v1\"")], IMAGE), 0, 0),
        ("another FileSize", ok(&[], IMAGE), IMAGE.len() + 1, 9018),
        ("no length at all", response("200 OK", &[], IMAGE), IMAGE.len(), 0),
        ("no such file", response("404 Not Found", &[("Content-Length", "0")], b""), 0, 9016),
        ("a login that was not given", response("401 Unauthorized", &[("Content-Length", "0")], b""), 0, 9012),
    ];
    for (case, answer, size, fault) in cases {
        let server = FileServer::start([answer]).await;
        let cpe = spawn(config(&acs)).await.unwrap();
        let (complete, report) = reported(&acs, &cpe, download("k", FIRMWARE, &server.url, size)).await;
        assert_eq!(fault_of(&complete), fault, "{case}");
        assert_eq!(version(&cpe), if fault == 0 { "7.0.1" } else { "1.0.0" }, "{case}");
        assert_eq!(report.has_event(EventCode::ValueChange), fault == 0, "{case}");
        assert!(report.has_event(EventCode::TransferComplete) && report.has_event(EventCode::MDownload), "{case}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cpe = spawn(config(&acs)).await.unwrap();
    let (complete, _) = reported(&acs, &cpe, download("k", FIRMWARE, &format!("http://{nobody}/x"), 0)).await;
    assert_eq!(fault_of(&complete), 9015);
}

#[tokio::test]
async fn a_broken_download_is_taken_up_where_it_broke_off() {
    let acs = ScriptedAcs::start().await;
    let counters = Arc::new(Counters::default());
    let cpe = spawn(CpeConfig { counters: Some(Arc::clone(&counters)), ..config(&acs) }).await.unwrap();
    let digest = repr_digest(IMAGE);
    let whole = IMAGE.len().to_string();
    let headers = [("Content-Length", whole.as_str()), ("ETag", "\"v1\""), ("Repr-Digest", digest.as_str())];
    let range = format!("bytes 20-{}/{}", IMAGE.len() - 1, IMAGE.len());
    let server = FileServer::start([
        response("200 OK", &headers, &IMAGE[..20]),
        response("503 Service Unavailable", &[("Content-Length", "0")], b""),
        response("206 Partial Content", &[("Content-Range", range.as_str())], &IMAGE[20..]),
    ])
    .await;
    let (complete, report) = reported(&acs, &cpe, download("k", FIRMWARE, &server.url, IMAGE.len())).await;
    assert_eq!(fault_of(&complete), 0);
    let events: Vec<EventCode> = report.events.iter().map(|event| event.code).collect();
    use EventCode::{Boot, MDownload, TransferComplete, ValueChange};
    assert_eq!(events, [Boot, ValueChange, TransferComplete, MDownload]);
    assert_eq!(version(&cpe), "7.0.1");
    let heads = server.heads();
    assert!(!heads[0].contains("range:"));
    for head in &heads[1..] {
        assert!(head.contains("\r\nrange: bytes=20-\r\n") && head.contains("\r\nif-range: \"v1\"\r\n"), "{head}");
    }
    let summary = counters.summary();
    assert_eq!((summary.downloads, summary.downloads_verified), (1, 1));
    assert_eq!(summary.bytes_downloaded, IMAGE.len() as u64);

    // A server that always breaks off before the first byte is given up.
    let server = FileServer::start([response("200 OK", &headers, b"")]).await;
    let (complete, _) = reported(&acs, &cpe, download("k", FIRMWARE, &server.url, 0)).await;
    assert_eq!(fault_of(&complete), 9017);
    assert_eq!(server.heads().len(), 6);
}

#[tokio::test]
async fn the_file_server_s_challenge_is_answered() {
    let acs = ScriptedAcs::start().await;
    let cpe = spawn(config(&acs)).await.unwrap();
    for challenge in ["Basic realm=\"files\"", "Digest realm=\"files\", nonce=\"n\", qop=\"auth\", algorithm=MD5"] {
        let refusal = [("WWW-Authenticate", challenge), ("Content-Length", "0")];
        let server = FileServer::start([response("401 Unauthorized", &refusal, b""), ok(&[], IMAGE)]).await;
        let order = download("k", FIRMWARE, &server.url, 0)
            .replace("<Username></Username><Password></Password>", "<Username>u</Username><Password>p</Password>");
        let (complete, _) = reported(&acs, &cpe, order).await;
        assert_eq!(fault_of(&complete), 0);
        let heads = server.heads();
        assert!(!heads[0].contains("authorization:"));
        let scheme = challenge.split(' ').next().unwrap().to_ascii_lowercase();
        assert!(heads[1].contains(&format!("\r\nauthorization: {scheme} ")), "{}", heads[1]);
    }
}

#[tokio::test]
async fn a_slow_line_takes_its_time_and_sessions_go_on_meanwhile() {
    let acs = ScriptedAcs::start().await;
    let contents = vec![0x5a; 20_000];
    let server = FileServer::start([ok(&[], &contents)]).await;
    let mut config = config(&acs);
    config.download_rate = NonZeroU64::new(100_000);
    let cpe = spawn(config).await.unwrap();
    let started = tokio::time::Instant::now();
    acs.ask([download("slow", "2 Web Content", &server.url, contents.len())]);
    assert_clean(&session(&cpe).await);
    acs.ask([keyed("CancelTransfer", "slow"), "<cwmp:GetQueuedTransfers></cwmp:GetQueuedTransfers>".to_owned()]);
    acs.heard();
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!(report.rpcs[0].fault, Some(9021), "it runs");
    assert!(acs.bodies()[2].contains("<CommandKey>slow</CommandKey><State>2</State>"));
    idle(&cpe).await;
    assert!(started.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_configuration_comes_back_as_it_was_sent() {
    let acs = ScriptedAcs::start().await;
    let cpe = spawn(config(&acs)).await.unwrap();
    let url = acs.file("up", b"");
    let (complete, _) = reported(&acs, &cpe, upload("u1", "3 Vendor Configuration File 1", &url)).await;
    assert_eq!(fault_of(&complete), 0);
    assert!(acs.file_contents("up").unwrap().contains("Device.Firewall.Config=High\n"));

    let wanted = "# backup\nDevice.Firewall.Config=Low\nDevice.ManagementServer.URL=http://elsewhere/\n";
    let source = acs.file("config", wanted.as_bytes());
    let order = download("d1", "3 Vendor Configuration File", &source, wanted.len());
    let (complete, report) = reported(&acs, &cpe, order).await;
    assert_eq!(fault_of(&complete), 0);
    assert!(!report.has_event(EventCode::Boot), "no reboot for a configuration");
    assert_eq!(cpe.value("Device.Firewall.Config").as_deref(), Some("Low"));
    assert_eq!(cpe.value("Device.ManagementServer.URL"), Some(acs.url()), "not moved to another ACS");
    reported(&acs, &cpe, upload("u2", "3 Vendor Configuration File 1", &url)).await;
    assert_eq!(acs.file_contents("up").as_deref(), Some(wanted));
    for file_type in ["4 Vendor Log File 1", "2 Vendor Log File"] {
        reported(&acs, &cpe, upload("u3", file_type, &url)).await;
        assert!(acs.file_contents("up").unwrap().contains("serial number SIM000001"));
    }
    acs.ask([upload("u4", "3 Vendor Configuration File 9", &url), upload("u5", "5 Anything", &url)]);
    let faults: Vec<Option<u16>> = session(&cpe).await.rpcs.iter().map(|rpc| rpc.fault).collect();
    assert_eq!(faults, [Some(9003), Some(9003)]);
}

#[tokio::test]
async fn scheduled_downloads_keep_to_their_windows() {
    let acs = ScriptedAcs::start().await;
    let cpe = spawn(config(&acs)).await.unwrap();
    let server = FileServer::start([ok(&[], IMAGE)]).await;
    let windows = [(0, 1, "4 Confirmation Needed", 0), (2, 100_000, "1 At Any Time", -1)];
    let (complete, report) = reported(&acs, &cpe, schedule("second", &server.url, &windows)).await;
    assert_eq!(fault_of(&complete), 0);
    assert!(report.has_event(EventCode::MScheduleDownload) && report.has_event(EventCode::Boot));
    assert_eq!(version(&cpe), "7.0.1");

    let never = [(0, 1, "4 Confirmation Needed", 0)];
    let (complete, _) = reported(&acs, &cpe, schedule("missed", &server.url, &never)).await;
    assert_eq!(fault_of(&complete), 9020);

    let missing = FileServer::start([response("404 Not Found", &[("Content-Length", "0")], b"")]).await;
    let (complete, _) =
        reported(&acs, &cpe, schedule("retried", &missing.url, &[(0, 100_000, "2 Immediately", 2)])).await;
    assert_eq!((fault_of(&complete), missing.heads().len()), (9016, 3));

    acs.ask([
        schedule("none", &server.url, &[]),
        schedule("backwards", &server.url, &[(5, 5, "1 At Any Time", 0)]),
        schedule("overlap", &server.url, &[(0, 9, "1 At Any Time", 0), (8, 20, "1 At Any Time", 0)]),
        schedule("mode", &server.url, &[(0, 9, "7 Never", 0)]),
    ]);
    let faults: Vec<Option<u16>> = session(&cpe).await.rpcs.iter().map(|rpc| rpc.fault).collect();
    assert_eq!(faults, [Some(9003); 4]);
}

#[tokio::test]
async fn the_queue_holds_sixteen() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.time_scale = 1.0;
    let cpe = spawn(config).await.unwrap();
    let later = |n: usize| {
        download(&format!("k{n}"), FIRMWARE, "http://127.0.0.1:9/x", 0)
            .replace("<DelaySeconds>0<", "<DelaySeconds>3600<")
    };
    acs.ask((1..=17).map(later));
    acs.ask(["<cwmp:GetAllQueuedTransfers></cwmp:GetAllQueuedTransfers>".to_owned(), keyed("CancelTransfer", "k16")]);
    let report = session(&cpe).await;
    assert_eq!(report.rpcs[16].fault, Some(9004));
    assert!(acs.bodies().iter().any(|body| body.contains("AllQueuedTransferStruct[16]")));
    acs.ask([later(18), keyed("CancelTransfer", "nobody's")]);
    assert!(session(&cpe).await.rpcs.iter().all(|rpc| rpc.fault.is_none()));
}

/// The reports of a CPE that acts by itself, until one holds what is looked for.
async fn until(
    reports: &mut broadcast::Receiver<Arc<SessionReport>>,
    holds: impl Fn(&SessionReport) -> bool,
) -> Vec<Arc<SessionReport>> {
    let mut seen = Vec::new();
    loop {
        let report = next(reports).await;
        assert_clean(&report);
        let is_it = holds(&report);
        seen.push(report);
        if is_it {
            return seen;
        }
    }
}

#[tokio::test]
async fn the_bad_habits_of_transfers_show() {
    let acs = ScriptedAcs::start().await;
    let server = FileServer::start([ok(&[("Repr-Digest", &repr_digest(IMAGE))], IMAGE)]).await;
    let order = || download("key", FIRMWARE, &server.url, IMAGE.len());

    let cpe = with_habit(&acs, Misbehaviour::NoTransferComplete).await;
    let (complete, report) = reported(&acs, &cpe, order()).await;
    assert_eq!((complete.as_str(), version(&cpe).as_str()), ("", "7.0.1"));
    assert!(report.has_event(EventCode::ValueChange) && !report.has_event(EventCode::TransferComplete));

    let cpe = with_habit(&acs, Misbehaviour::EmptyTransferKey).await;
    let (complete, report) = reported(&acs, &cpe, order()).await;
    assert!(complete.contains("<CommandKey></CommandKey>"), "{complete}");
    assert!(report.events.iter().all(|event| event.command_key.is_empty()));

    let cpe = with_habit(&acs, Misbehaviour::DownloadWithoutVersionChange).await;
    let (complete, report) = reported(&acs, &cpe, order()).await;
    assert_eq!((fault_of(&complete), version(&cpe).as_str()), (0, "1.0.0"));
    assert!(report.has_event(EventCode::Boot) && !report.has_event(EventCode::ValueChange));

    let cpe = with_habit(&acs, Misbehaviour::CorruptDownload).await;
    let (complete, _) = reported(&acs, &cpe, order()).await;
    assert_eq!(fault_of(&complete), 9018);

    let mut config = config(&acs).misbehave(Misbehaviour::TransferCompleteBeforeReboot);
    config.autonomy = Autonomy::Immediate;
    config.periodic_interval_secs = 0;
    acs.ask([order()]);
    let cpe = spawn(config).await.unwrap();
    let mut reports = cpe.reports();
    let seen = until(&mut reports, |report| report.has_event(EventCode::ValueChange)).await;
    let told = seen.iter().position(|report| report.called.contains(&"TransferComplete")).unwrap();
    assert!(!seen[told].has_event(EventCode::Boot) && told + 1 == seen.len() - 1, "told, then booted");
    assert_eq!(version(&cpe), "7.0.1");
    cpe.stop().await;
}

#[tokio::test]
async fn a_share_of_the_fleet_fails_to_upgrade() {
    let acs = ScriptedAcs::start().await;
    let server = FileServer::start([ok(&[], IMAGE)]).await;
    let mut failed = 0;
    for number in 1..=20 {
        let mut config = config(&acs).serial(format!("F{number:03}"));
        config.failing_share_percent = 10;
        config.failing_fault = 9010;
        let (is_failing, cpe) = (config.is_failing(), spawn(config).await.unwrap());
        let (complete, _) = reported(&acs, &cpe, download("k", FIRMWARE, &server.url, 0)).await;
        assert_eq!(fault_of(&complete), if is_failing { 9010 } else { 0 });
        assert_eq!(version(&cpe), if is_failing { "1.0.0" } else { "7.0.1" });
        failed += u32::from(is_failing);
    }
    assert!((1..=3).contains(&failed), "{failed} of 20");
}

#[tokio::test]
async fn calls_of_the_first_session_can_be_chosen() {
    let acs = ScriptedAcs::start().await;
    let mut config = config(&acs);
    config.first_calls = vec![
        AcsCall::RequestDownload(FIRMWARE.to_owned()),
        AcsCall::AutonomousTransferComplete("http://192.0.2.1/fw".to_owned()),
    ];
    let cpe = spawn(config).await.unwrap();
    let report = session(&cpe).await;
    assert_clean(&report);
    assert_eq!(report.called, ["RequestDownload", "AutonomousTransferComplete"]);
    assert!(report.has_event(EventCode::RequestDownload) && report.has_event(EventCode::AutonomousTransferComplete));
    assert!(session(&cpe).await.called.is_empty());
}

#[tokio::test]
async fn deployment_units_are_installed_updated_and_removed() {
    let acs = ScriptedAcs::start().await;
    let cpe = spawn(config(&acs)).await.unwrap();
    let table = "Device.SoftwareModules.DeploymentUnit.";
    let operations = |list: &[(&str, &str)]| {
        let list: String = list
            .iter()
            .map(|(kind, inner)| format!("<Operations xsi:type=\"cwmp:{kind}OpStruct\">{inner}</Operations>"))
            .collect();
        format!("<cwmp:ChangeDUState>{list}<CommandKey>du</CommandKey></cwmp:ChangeDUState>")
    };
    let install = |url: &str| format!("<URL>http://192.0.2.1/{url}</URL>");
    let nowhere = format!("{}<ExecutionEnvRef>Device.SoftwareModules.ExecEnv.9</ExecutionEnvRef>", install("c"));
    acs.ask([operations(&[("Install", &install("a")), ("Install", &install("b")), ("Install", &nowhere)])]);
    assert_clean(&session(&cpe).await);
    acs.heard();
    // An update that names no unit is one of all units.
    acs.ask([operations(&[("Update", "<Version>3.0</Version>")])]);
    let report = session(&cpe).await;
    assert_clean(&report);
    assert!(report.has_event(EventCode::MChangeDuState));
    let told = acs.bodies();
    assert_eq!(told[1].matches("<FaultCode>0</FaultCode>").count(), 2, "{}", told[1]);
    assert!(told[1].contains("<FaultCode>9023</FaultCode>"));
    let version = |row: u32| cpe.value(&format!("{table}{row}.Version")).unwrap();
    assert_eq!((cpe.rows(table), version(1), version(2)), (vec![1, 2], "3.0".to_owned(), "3.0".to_owned()));
    let uuid = cpe.value(&format!("{table}1.UUID")).unwrap();
    acs.ask([operations(&[("Uninstall", &format!("<UUID>{uuid}</UUID>"))])]);
    assert_clean(&session(&cpe).await);
    assert_eq!(cpe.rows(table), [2]);
}

#[tokio::test]
async fn many_download_at_the_same_time() {
    let acs = ScriptedAcs::start().await;
    let contents = vec![0x5a; 1_000_000];
    let url = acs.file("fw", &contents);
    let counters = Arc::new(Counters::default());
    let mut cpes = Vec::new();
    for number in 0..30 {
        let mut config = config(&acs).serial(format!("MANY{number}"));
        config.counters = Some(Arc::clone(&counters));
        let cpe = spawn(config).await.unwrap();
        acs.ask([download("k", FIRMWARE, &url, contents.len())]);
        assert_clean(&session(&cpe).await);
        cpes.push(cpe);
    }
    for cpe in &cpes {
        idle(cpe).await;
        assert_eq!(version(cpe), format!("image-{}", &hex::encode(Sha256::digest(&contents))[..12]));
    }
    let summary = counters.summary();
    assert_eq!((summary.downloads, summary.bytes_downloaded), (30, 30_000_000));
    assert!(summary.transfers_failed.is_empty());
}
