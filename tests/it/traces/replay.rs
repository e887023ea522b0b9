//! Recorded, exported, played again against another acsd.

use std::path::{Path, PathBuf};
use std::process::Output as Finished;
use std::time::Duration;

use acsd::cli::trace::{Output, TraceArgs, run};
use acsd::simulator::{
    Credentials, Difference, ReplayConfig, ReplayFailure, ReplayReport, TlsTrust, load_recorded, replay,
};
use acsd::types::event::EventCode;
use acsd::types::secret::Secret;
use clap::Parser;
use serde_json::{Value, json};

use crate::support::{ADMIN, Acs, Cpe, PASSWORD, USER, config};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: TraceArgs,
}

const SERIAL: &str = "REPLAY/1";
const CODE: &str = "Device.DeviceInfo.ProvisioningCode";

/// The first contact and a session with a `get`, recorded and exported.
async fn exported(folder: &Path) {
    let acs = Acs::start(config()).await;
    crate::e2e::traces::trace_all_devices(&acs).await;
    let cpe = Cpe::spawn(crate::e2e::traces::patient(&acs, SERIAL)).await;
    cpe.session(&[]).await.unwrap();
    acs.schedule(SERIAL, "get", json!([{"variable_name": CODE}])).await;
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    crate::e2e::traces::recorded(&acs, "REPLAY%2F1", 2).await;
    let url = format!("http://{}", acs.daemon.api_address);
    let line = ["trace", SERIAL, "--url", &url, "--token", ADMIN, "--export", folder.to_str().unwrap()];
    let args = Command::try_parse_from(line).unwrap().args;
    let (mut result, mut notes) = (Vec::new(), Vec::new());
    run(args, Output { result: &mut result, notes: &mut notes }).await.unwrap();
    assert_eq!(String::from_utf8(result).unwrap().lines().count(), 2, "the folders are named");
    cpe.finish().await;
}

fn login(password: &str) -> Option<Credentials> {
    Some(Credentials { username: USER.to_owned(), password: Secret::new(password.to_owned()) })
}

async fn play(acs: &Acs, folder: &Path, password: &str) -> Vec<ReplayReport> {
    let config = ReplayConfig {
        acs_url: acs.url(),
        credentials: login(password),
        tls: TlsTrust::default(),
        response_timeout: Duration::from_secs(20),
    };
    let mut reports = Vec::new();
    for session in load_recorded(folder).unwrap() {
        reports.push(replay(&session, &config).await);
    }
    reports
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exported_session_is_held_again_with_a_fresh_acsd() {
    let folder = tempfile::tempdir().unwrap();
    exported(folder.path()).await;
    let mut sessions: Vec<PathBuf> = std::fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().path()).collect();
    sessions.sort();
    let meta: Value = serde_json::from_slice(&std::fs::read(sessions[1].join("session.json")).unwrap()).unwrap();
    assert_eq!((meta["serial_number"].as_str(), meta["outcome"].as_str()), (Some(SERIAL), Some("completed")));
    let files: Vec<Option<&str>> =
        meta["messages"].as_array().unwrap().iter().map(|one| one["file"].as_str()).collect();
    let want = [
        Some("01-in-Inform.xml"),
        Some("02-out-InformResponse.xml"),
        None,
        Some("04-out-GetParameterValues.xml"),
        Some("05-in-GetParameterValuesResponse.xml"),
        None,
    ];
    assert_eq!(files, want, "{meta:#}");

    let fresh = Acs::start(config()).await;
    let reports = play(&fresh, folder.path(), PASSWORD).await;
    assert!(reports[0].is_as_recorded(), "{reports:?}");
    assert!(reports[0].asked.iter().any(|method| method == "SetParameterValues"), "{reports:?}");
    assert!(reports[1].was_held() && !reports[1].is_as_recorded(), "nobody has scheduled the get there: {reports:?}");
    let device = fresh.get("/inventory_device_serial/REPLAY%2F1/").await;
    assert_eq!((device["status"].as_str(), &device["pending_settings"]), (Some("Up"), &Value::Null));

    // Work that the recording has an answer to, by the same parameter and by another one, and work that it has none to.
    let get = |name: &'static str| json!([{"variable_name": name}]);
    let same = fresh.schedule(SERIAL, "get", get(CODE)).await;
    let other = fresh.schedule(SERIAL, "get", get("Device.DeviceInfo.SoftwareVersion")).await;
    let order = json!({"operation": "reboot"});
    let order = fresh.call("PUT", "/inventory_device_serial_operation/REPLAY%2F1/", Some(order)).await;
    assert_eq!(order.status, 200, "{}", order.body);
    let report = play(&fresh, &sessions[1], PASSWORD).await.remove(0);
    assert!(report.was_held(), "{report:?}");
    assert_eq!(report.asked, ["GetParameterValues", "GetParameterValues", "Reboot"]);
    let unanswered = |method: &str, fault| Difference::Unanswered { method: method.to_owned(), fault };
    assert_eq!(report.differences, [unanswered("GetParameterValues", 9005), unanswered("Reboot", 9000)]);
    assert_eq!(fresh.ended(&same).await["status"], "completed");
    assert_eq!(fresh.ended(&other).await["status"], "failed");
    let row = fresh.get(&format!("/transaction/{}/", order.body["id"])).await;
    assert_eq!((row["status"].as_str(), &row["fault"]["code"]), (Some("failed"), &json!(9000)), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_cannot_be_held_is_told_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    exported(folder.path()).await;
    let acs = Acs::start(config()).await;
    let refused = play(&acs, folder.path(), "wrong").await;
    assert_eq!(refused[0].failure, Some(ReplayFailure::Unauthorized));

    let simulate = async |password: &'static str, folder: &Path| -> Finished {
        let (url, folder) = (acs.url(), folder.to_owned());
        let run = move || {
            std::process::Command::new(env!("CARGO_BIN_EXE_acsd"))
                .args(["simulate", "--acs-url", &url, "--username", USER, "--password", password, "--replay"])
                .arg(folder)
                .env_clear()
                .output()
                .unwrap()
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    };
    let good = simulate(PASSWORD, folder.path()).await;
    let words = String::from_utf8(good.stdout).unwrap();
    assert_eq!(good.status.code(), Some(0), "{words}");
    assert!(words.contains("2 sessions: 2 held, 1 as recorded"), "{words}");
    let bad = simulate("wrong", folder.path()).await;
    assert_eq!(bad.status.code(), Some(1));
    assert!(String::from_utf8(bad.stdout).unwrap().contains("not held: the ACS wants another login"));
    let nothing = simulate(PASSWORD, &folder.path().join("none")).await;
    assert_eq!(nothing.status.code(), Some(1));
}

#[test]
fn folders_are_read_with_care() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |meta: &str| {
        std::fs::write(folder.path().join("session.json"), meta).unwrap();
        load_recorded(folder.path()).unwrap_err().to_string()
    };
    assert!(refused("{}").contains("does not describe a session"));
    assert!(refused("{\"messages\": [{\"direction\": \"up\"}]}").contains("does not describe a session"));
    assert!(refused("{\"messages\": [{\"direction\": \"in\", \"file\": \"../x\"}]}").contains("not one in its folder"));
    assert!(refused("{\"messages\": [{\"direction\": \"in\", \"file\": \"x.xml\"}]}").contains("cannot read"));
    let empty = tempfile::tempdir().unwrap();
    assert!(load_recorded(empty.path()).unwrap_err().to_string().contains("holds no session"));
}
