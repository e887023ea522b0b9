//! Files that devices send and fetch, ordered over the API.

use acsd::simulator::{ConnectionRequests, CpeConfig};
use acsd::types::event::EventCode;
use serde_json::{Value, json};

use super::firmware::ended;
use crate::crash::Daemon;
use crate::support::{Acs, Cpe, PASSWORD, PATIENCE, USER, config, pause};

async fn order(acs: &Acs, serial: &str, body: Value) -> Value {
    let reply = acs.call("POST", &format!("/inventory_device_serial/{serial}/files/"), Some(body)).await;
    assert_eq!(reply.status, 202, "{}", reply.body);
    assert_eq!(reply.body["kind"], "transfer");
    reply.body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_is_sent_kept_and_fetched_again() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("TR-1")).await;
    cpe.session(&[]).await.unwrap();
    let ordered = order(&acs, "TR-1", json!({"upload": "config"})).await;
    assert_eq!(ordered["operation"], "Upload");
    let row = ended(&acs, &cpe, "TR-1", "transfer").await;
    assert_eq!(row["status"], "completed", "{row}");
    let file = row["result"]["stored_file"].as_u64().unwrap();
    assert!(row["note"].as_str().unwrap().contains(&format!("stored as file {file}")), "{row}");
    order(&acs, "TR-1", json!({"download": file, "target_file_name": "config.xml"})).await;
    let row = ended(&acs, &cpe, "TR-1", "transfer").await;
    assert_eq!((&row["operation"], &row["status"]), (&json!("Download"), &json!("completed")), "{row}");
    let windows = json!([{"start": 0, "end": 3600, "mode": "2 Immediately"}]);
    order(&acs, "TR-1", json!({"download": file, "windows": windows})).await;
    let row = ended(&acs, &cpe, "TR-1", "transfer").await;
    assert_eq!((&row["operation"], &row["status"]), (&json!("ScheduleDownload"), &json!("completed")), "{row}");
    let trail = acs.get("/audit/?resource=file").await;
    assert_eq!(trail["count"], 3, "{trail}");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_sent_by_devices_that_report_oddly() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("TR-KEY").misbehave("empty-transfer-key".parse().unwrap())).await;
    cpe.session(&[]).await.unwrap();
    order(&acs, "TR-KEY", json!({"upload": "log", "index": 1})).await;
    let row = ended(&acs, &cpe, "TR-KEY", "transfer").await;
    assert_eq!(row["status"], "completed", "{row}");
    cpe.finish().await;
    // One that never reports is judged by its file, whether it calls again or not.
    let mut config = config();
    (config.transactions.transfer_timeout_secs, config.transactions.restart_timeout_secs) = (1, 1);
    let acs = Acs::start(config).await;
    let cpe = Cpe::spawn(acs.cpe("TR-MUTE").misbehave("no-transfer-complete".parse().unwrap())).await;
    cpe.session(&[]).await.unwrap();
    order(&acs, "TR-MUTE", json!({"upload": "log"})).await;
    let row = ended(&acs, &cpe, "TR-MUTE", "transfer").await;
    assert_eq!(row["status"], "completed", "{row}");
    assert!(row["note"].as_str().unwrap().contains("did not"), "{row}");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_fetched_fails_in_words() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("TR-404")).await;
    cpe.session(&[]).await.unwrap();
    let url = format!("http://{}/files/nothing", acs.daemon.cwmp_address);
    let body = json!({"download_url": url, "file_type": "2 Web Content", "username": "u", "password": "hush"});
    order(&acs, "TR-404", body).await;
    let row = ended(&acs, &cpe, "TR-404", "transfer").await;
    assert_eq!((&row["status"], &row["fault"]["code"]), (&json!("failed"), &json!(9016)), "{row}");
    let trail = acs.get("/audit/?resource=file").await;
    assert!(!trail.to_string().contains("hush"), "{trail}");
    cpe.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_session_does_not_order_twice() {
    let acs = Acs::start(config()).await;
    for (number, habit) in ["drop-before=Upload#1", "drop-after=Upload#1"].into_iter().enumerate() {
        let serial = format!("TR-LOST-{number}");
        let cpe = Cpe::spawn(acs.cpe(&serial).misbehave(habit.parse().unwrap())).await;
        cpe.session(&[]).await.unwrap();
        order(&acs, &serial, json!({"upload": "config"})).await;
        let row = ended(&acs, &cpe, &serial, "transfer").await;
        assert_eq!(row["status"], "completed", "{habit}: {row}");
        assert_eq!(row["result"]["sends"], 2 - number, "{habit}: {row}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_not_deleted_while_it_makes_a_transfer() {
    let acs = Acs::start(config()).await;
    let cpe = Cpe::spawn(acs.cpe("TR-DEL").misbehave("no-transfer-complete".parse().unwrap())).await;
    cpe.session(&[]).await.unwrap();
    order(&acs, "TR-DEL", json!({"upload": "config", "delay": 3600})).await;
    cpe.session(&[EventCode::Periodic]).await.unwrap();
    acs.row_until("/transaction/?serial_number=TR-DEL&kind=transfer", |all| {
        let waits = all["results"][0]["waiting_for"].as_str().unwrap_or_default();
        waits.contains("the file transfer to finish")
    })
    .await;
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let reply = acs.call("DELETE", "/inventory_device_serial/TR-DEL/", None).await;
        assert_eq!(reply.status, 409, "{}", reply.body);
        if reply.body["detail"].as_str().unwrap().contains("file transfer") {
            break;
        }
        assert!(tokio::time::Instant::now() < until, "the session does not end");
    }
    cpe.finish().await;
}

/// acsd is killed while devices send files: each order ends truthfully, and those that ended well have brought their file.
#[tokio::test(flavor = "multi_thread")]
async fn transfers_outlive_kills() {
    const CPES: usize = 4;
    let mut api = Daemon::start("[transactions]\nbackoff_first_secs = 1\n[files]\nkeep_uploads = 1000").await;
    let cwmp = api.cwmp;
    let mut cpes = Vec::new();
    for number in 0..CPES {
        let mut cpe = CpeConfig::new(format!("http://{cwmp}/")).serial(format!("TR-KILL-{number}"));
        cpe = cpe.credentials(USER, PASSWORD);
        cpe.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
        (cpe.time_scale, cpe.periodic_interval_secs) = (0.01, 100);
        cpes.push(Cpe::spawn(cpe).await);
    }
    let mut acknowledged = Vec::new();
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..4 {
        for number in 0..random.usize(8..24) {
            let path = format!("/inventory_device_serial/TR-KILL-{}/files/", number % CPES);
            let reply = api.call("POST", &path, Some(json!({"upload": "config"}))).await;
            match reply.status {
                202 => acknowledged.push(reply.body["id"].as_u64().unwrap()),
                // One that has not called yet.
                other => assert_eq!(other, 404, "{}", reply.body),
            }
        }
        api.kill_and_restart().await;
    }
    assert!(acknowledged.len() > 10, "there was load: {}", acknowledged.len());
    for id in acknowledged {
        let until = tokio::time::Instant::now() + 3 * PATIENCE;
        let row = loop {
            let row = api.get(&format!("/transaction/{id}/")).await;
            match row["status"].as_str() {
                Some("scheduled" | "in_progress") => {}
                _ => break row,
            }
            assert!(tokio::time::Instant::now() < until, "transaction {id} does not end: {row}");
            pause().await;
        };
        assert_eq!(row["status"], "completed", "{row}");
        assert!(row["result"]["stored_file"].is_u64(), "{row}");
    }
    api.kill();
    for cpe in cpes {
        cpe.finish().await;
    }
}
