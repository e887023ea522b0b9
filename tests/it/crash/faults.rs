//! Disks that fail, fill up or hold something else: the daemon says so, acknowledges nothing, and ends with 1.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

use acsd::simulator::{Autonomy, CpeConfig, Outcome, SessionFailure};
use serde_json::{Value, json};

use super::{free_address, ready, serve};
use crate::support::{Api, PASSWORD, PATIENCE, USER};

const SCHEDULE: &str = "/inventory_device_serial_headless_operation/";

/// A folder for a daemon, and where it listens.
struct Place {
    folder: tempfile::TempDir,
    cwmp: SocketAddr,
    api: SocketAddr,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), cwmp: free_address(), api: free_address() };
        place.configure("");
        place
    }

    fn configure(&self, sled: &str) {
        let settings = format!("[api.limits]\nrate_per_second = 0\n[sled]\nballast_bytes = 0\n{sled}\n");
        fs::write(self.folder.path().join("acsd.toml"), settings).unwrap();
    }

    /// A daemon, run by `runner`.
    fn start(&self, runner: Command) -> Child {
        // Not a pipe: nobody reads before the end.
        let log = fs::File::create(self.folder.path().join("log")).unwrap();
        serve(runner, self.folder.path(), self.cwmp, self.api)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("strace (package strace) has to be installed")
    }

    /// What the last daemon logged.
    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// A daemon that works.
    async fn working(&self) -> (Api, Child) {
        let (mut child, api) = (self.start(plainly()), self.client());
        ready(&api, &mut child).await;
        (api, child)
    }

    fn client(&self) -> Api {
        Api::at(self.api)
    }
}

/// Nothing special.
fn plainly() -> Command {
    Command::new("env")
}

/// Lets a system call fail: in each thread, from its `first` use on.
fn failing(call: &str, error: &str, first: u32) -> Command {
    let mut strace = Command::new("strace");
    // `-D`: the daemon is the child, strace stands aside.
    strace.args(["-D", "-f", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    strace.args(["-e", &format!("inject={call}:error={error}:when={first}+")]);
    strace
}

/// Status and body; `None`: nobody answers.
fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    let mut connection = TcpStream::connect(address).ok()?;
    write!(connection, "GET {path} HTTP/1.1\r\nhost: acsd\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn order(number: usize) -> Option<Value> {
    let text = format!("order {number}");
    let variables = json!([{"variable_name": "Device.DeviceInfo.ProvisioningCode", "value": text}]);
    Some(json!({"serial_number": "FAULT", "operation": "set", "variables": variables}))
}

async fn register(api: &Api) {
    let reply = api.call("POST", "/inventory_device_serial/", Some(json!({"serial_number": "FAULT"}))).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
}

fn end(mut child: Child) {
    child.kill().ok();
    child.wait().unwrap();
}

/// Works until the disk fails, and sees what is left.
async fn acknowledges_nothing_after(call: &str, error: &str, first: u32) {
    let place = Place::new();
    let (api, child) = place.working().await;
    register(&api).await;
    end(child);

    let mut child = place.start(failing(call, error, first));
    let api = place.client();
    ready(&api, &mut child).await;
    let mut acknowledged = Vec::new();
    let refused = loop {
        let reply = api.call("POST", SCHEDULE, order(acknowledged.len())).await;
        if reply.status != 201 {
            break reply;
        }
        acknowledged.push(reply.body["id"].as_str().unwrap().to_owned());
        assert!(acknowledged.len() < 200, "{call} never failed");
    };
    assert!(matches!(refused.status, 500 | 503), "{}", refused.body);

    // It says so as long as it is there, takes nothing more, and ends by itself.
    let (status, reasons) = get(place.api, "/readyz").expect("it is not that quick");
    assert_eq!(status, 503);
    assert!(reasons.contains("the store takes no writes any more"), "{reasons}");
    let until = tokio::time::Instant::now() + PATIENCE;
    let code = loop {
        if let Some(code) = child.try_wait().unwrap() {
            break code;
        }
        if let Ok(reply) = api.try_call("POST", SCHEDULE, order(0)).await {
            assert!(reply.status >= 500, "acknowledged on a broken store: {}", reply.body);
        }
        assert!(tokio::time::Instant::now() < until, "acsd does not end");
    };
    let words = place.log();
    assert_eq!(code.code(), Some(1), "{words}");
    assert!(words.contains("the store takes no more writes"), "{words}");

    let (api, child) = place.working().await;
    assert_eq!(get(place.api, "/readyz").unwrap().0, 200);
    for id in &acknowledged {
        let reply = api.call("GET", &format!("/transaction/{id}/"), None).await;
        assert_eq!(reply.status, 200, "transaction {id} of {} was acknowledged", acknowledged.len());
    }
    assert_eq!(api.call("POST", SCHEDULE, order(0)).await.status, 201);
    end(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_that_fails_ends_acsd() {
    acknowledges_nothing_after("fdatasync", "EIO", 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_ends_acsd() {
    acknowledges_nothing_after("pwrite64", "ENOSPC", 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_opened_is_exit_code_1() {
    let place = Place::new();
    end(place.working().await.1);
    let mut child = place.start(failing("pwrite64", "ENOSPC", 1));
    let code = child.wait().unwrap();
    let words = place.log();
    assert_eq!(code.code(), Some(1), "{words}");
    assert!(words.contains("No space left"), "{words}");

    let db = place.folder.path().join("data/store/db");
    let whole = fs::read(&db).unwrap();
    fs::write(&db, vec![0xa5; whole.len()]).unwrap();
    let mut child = place.start(plainly());
    let code = child.wait().unwrap();
    let words = place.log();
    assert_eq!(code.code(), Some(1), "{words}");
    assert!(words.contains("restore a backup") && words.contains("data"), "it says what to do: {words}");
    fs::write(&db, whole).unwrap();
    end(place.working().await.1);
}

#[tokio::test(flavor = "multi_thread")]
async fn below_the_floor_nothing_is_acknowledged() {
    let place = Place::new();
    let (api, child) = place.working().await;
    register(&api).await;
    end(child);

    place.configure(&format!("free_space_floor_bytes = {}", i64::MAX));
    let (api, mut child) = place.working().await;
    let (status, reasons) = get(place.api, "/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(reasons.contains("nearly full"), "{reasons}");
    for body in [order(0), order(1)] {
        let refused = api.call("POST", SCHEDULE, body).await;
        assert_eq!(refused.status, 503, "{}", refused.body);
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains("Try again later"), "{detail}");
    }
    let mut cpe = CpeConfig::new(format!("http://{}/", place.cwmp)).serial("FULL").credentials(USER, PASSWORD);
    cpe.autonomy = Autonomy::OnDemand;
    let cpe = acsd::simulator::spawn(cpe).await.unwrap();
    assert_eq!(cpe.session(&[]).await.unwrap().outcome, Outcome::Failed(SessionFailure::Status(503)));
    assert_eq!(api.call("GET", "/inventory_device_serial/FAULT/", None).await.status, 200, "reading goes on");
    assert!(child.try_wait().unwrap().is_none(), "it waits for room");
    end(child);
    let words = place.log();
    assert!(words.contains("nearly full"), "{words}");

    place.configure("");
    let (api, child) = place.working().await;
    assert_eq!(get(place.api, "/readyz").unwrap().0, 200);
    assert_eq!(api.call("POST", SCHEDULE, order(0)).await.status, 201);
    end(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn side_files_raise_an_alarm_and_work_goes_on() {
    let place = Place::new();
    let (api, child) = place.working().await;
    register(&api).await;
    let alarm = |raised: u8| format!("acsd_store_alarm{{alarm=\"side_files\"}} {raised}");
    assert!(get(place.api, "/metrics").unwrap().1.contains(&alarm(0)));
    let side_file = place.folder.path().join("data/store/blobs/0");
    fs::write(&side_file, "one that sled would not sync").unwrap();

    // The flush that this waits for looks first.
    assert_eq!(api.call("POST", SCHEDULE, order(0)).await.status, 201);
    let (status, words) = get(place.api, "/readyz").unwrap();
    assert_eq!(status, 200, "work is taken: {words}");
    assert!(words.contains("side files"), "{words}");
    assert!(get(place.api, "/metrics").unwrap().1.contains(&alarm(1)));
    assert_eq!(place.log().matches("side files").count(), 1, "once: {}", place.log());

    fs::remove_file(&side_file).unwrap();
    assert_eq!(api.call("POST", SCHEDULE, order(1)).await.status, 201);
    assert!(get(place.api, "/readyz").unwrap().1.contains("side files"), "until it has been looked into");
    end(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn compact_copies_a_stopped_store_and_refuses_a_running_one() {
    let place = Place::new();
    let (api, child) = place.working().await;
    register(&api).await;
    let id = api.call("POST", SCHEDULE, order(0)).await.body["id"].as_str().unwrap().to_owned();
    let compact = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acsd"));
        command.args(["compact", "--data-dir"]).arg(place.folder.path().join("data"));
        command.current_dir(place.folder.path()).output().unwrap()
    };
    let refused = compact();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("another acsd"), "{refused:?}");
    end(child);
    let done = compact();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8_lossy(&done.stdout).contains("MiB now"), "{done:?}");
    let (api, child) = place.working().await;
    assert_eq!(api.call("GET", &format!("/transaction/{id}/"), None).await.status, 200);
    end(child);
}
