//! `kill -9` under load: what was acknowledged is there, with a truthful state, and nothing ran twice.

#[cfg(target_os = "linux")]
mod faults;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use acsd::simulator::{ConnectionRequests, CpeConfig};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::support::{ADMIN, Api, Cpe, PASSWORD, PATIENCE, USER, pause};

const CPES: usize = 6;
const KILLS: u32 = 6;
const TABLE: &str = "Device.NAT.PortMapping.";

/// Addresses that were given out, until the process ends.
static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());

/// An address that is free now, and for nobody but acsd as long as this process lives: a socket that is bound to it without
/// listening keeps the kernel from giving the port to other tests, and to connections, while acsd is down.
pub(crate) fn free_address() -> SocketAddr {
    let socket = TcpSocket::new_v4().unwrap();
    // As acsd does: then both may be bound.
    socket.set_reuseaddr(true).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    HELD.lock().unwrap().push(socket);
    address
}

/// A daemon that does not outlive its test.
struct Started(Child);

impl Deref for Started {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn start(folder: &Path, cwmp: SocketAddr, api: SocketAddr) -> Started {
    let mut command = serve(Command::new("env"), folder, cwmp, api);
    let command = command.env("ACSD_LOG", "error").stdout(Stdio::null()).stderr(Stdio::inherit());
    Started(command.spawn().unwrap())
}

/// acsd as a daemon that is killed again and again, and a client of its API.
pub(crate) struct Daemon {
    folder: tempfile::TempDir,
    pub(crate) cwmp: SocketAddr,
    address: SocketAddr,
    child: Started,
    api: Api,
}

impl Deref for Daemon {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Daemon {
    /// One that is ready, with these settings besides those of all tests.
    pub(crate) async fn start(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // No ballast: a disk that others write to would take its time for it.
        let settings = format!("[api.limits]\nrate_per_second = 0\n[sled]\nballast_bytes = 0\n{settings}\n");
        std::fs::write(folder.path().join("acsd.toml"), settings).unwrap();
        let (cwmp, address) = (free_address(), free_address());
        let mut child = start(folder.path(), cwmp, address);
        let api = Api::at(address);
        ready(&api, &mut child).await;
        Self { folder, cwmp, address, child, api }
    }

    /// `kill -9`, and another one that takes over.
    pub(crate) async fn kill_and_restart(&mut self) {
        self.kill();
        self.child = start(self.folder.path(), self.cwmp, self.address);
        ready(&self.api, &mut self.child).await;
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// acsd as a daemon, run by `runner`.
pub(crate) fn serve(mut runner: Command, folder: &Path, cwmp: SocketAddr, api: SocketAddr) -> Command {
    runner
        .arg(env!("CARGO_BIN_EXE_acsd"))
        .args(["serve", "--config"])
        .arg(folder.join("acsd.toml"))
        .current_dir(folder)
        .env("ACSD_DATA_DIR", folder.join("data"))
        .env("ACSD_CWMP_LISTEN", cwmp.to_string())
        .env("ACSD_API_LISTEN", api.to_string())
        .env("ACSD_ADMIN_TOKEN", ADMIN)
        .env("ACSD_ONBOARDING_USERNAME", USER)
        .env("ACSD_ONBOARDING_PASSWORD", PASSWORD);
    runner
}

pub(crate) async fn ready(api: &Api, child: &mut Child) {
    // Where others use the disk and the processor, too, a start may take a while.
    let until = tokio::time::Instant::now() + 3 * PATIENCE;
    while api.try_call("GET", "/inventory_device_serial/?limit=1", None).await.is_err() {
        assert_eq!(child.try_wait().unwrap(), None, "the store opens after every kill");
        assert!(tokio::time::Instant::now() < until, "acsd does not start");
        pause().await;
    }
}

async fn spawn_cpe(number: usize, cwmp: SocketAddr) -> Cpe {
    let mut cpe = CpeConfig::new(format!("http://{cwmp}/")).serial(format!("CRASH-{number}"));
    cpe = cpe.credentials(USER, PASSWORD);
    cpe.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    // Periodic Informs every second, retries after some 50 ms.
    cpe.time_scale = 0.01;
    cpe.periodic_interval_secs = 100;
    Cpe::spawn(cpe).await
}

fn add(serial: &str) -> Value {
    json!({"serial_number": serial, "operation": "add.obj", "variables": [{"variable_name": TABLE}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_and_nothing_runs_twice() {
    let mut api = Daemon::start("").await;
    let cwmp = api.cwmp;
    let mut cpes = Vec::new();
    for number in 0..CPES {
        cpes.push(spawn_cpe(number, cwmp).await);
    }
    let rows_before: Vec<usize> = cpes.iter().map(|cpe| cpe.rows(TABLE).len()).collect();
    // Acknowledged additions per device, and those whose answer the kill cut off: they may or may not be there.
    let mut acknowledged: BTreeMap<u64, usize> = BTreeMap::new();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..KILLS {
        let last = random.usize(10..60);
        for number in 0..last {
            let device = number % CPES;
            let body = add(&format!("CRASH-{device}"));
            let reply = api.call("POST", "/inventory_device_serial_headless_operation/", Some(body)).await;
            // A device that has not called yet is unknown: it will.
            if reply.status == 201 {
                acknowledged.insert(reply.body["id"].as_str().unwrap().parse().unwrap(), device);
            } else {
                assert!(matches!(reply.status, 404 | 409), "{}", reply.body);
            }
        }
        api.kill_and_restart().await;
        for id in acknowledged.keys() {
            let reply = api.call("GET", &format!("/transaction/{id}/"), None).await;
            assert_eq!(reply.status, 200, "transaction {id} was acknowledged");
        }
    }
    assert!(acknowledged.len() > 20, "there was load: {}", acknowledged.len());
    let mut added = [0_usize; CPES];
    for (id, device) in &acknowledged {
        let until = tokio::time::Instant::now() + 3 * PATIENCE;
        loop {
            let row = api.get(&format!("/transaction/{id}/")).await;
            match row["status"].as_str() {
                Some("completed") => break,
                Some("scheduled" | "in_progress") => {}
                other => panic!("transaction {id} ended as {other:?}: {row}"),
            }
            assert!(tokio::time::Instant::now() < until, "transaction {id} does not end: {row}");
            pause().await;
        }
        added[*device] += 1;
    }
    api.kill();
    for (device, cpe) in cpes.iter().enumerate() {
        let grown = cpe.rows(TABLE).len() - rows_before[device];
        assert_eq!(grown, added[device], "device {device} has one row for each transaction");
    }
    for cpe in cpes {
        cpe.finish().await;
    }
}
