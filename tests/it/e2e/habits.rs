//! Every bad habit that the simulator has: sessions hold, work is done, and its state is truthful.

use acsd::simulator::{CpeHandle, Misbehaviour};
use acsd::types::event::EventCode;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, PATIENCE, config};

const CODE: &str = "Device.DeviceInfo.ProvisioningCode";
const TABLE: &str = "Device.NAT.PortMapping.";

/// Keeps the CPE calling until the transaction has ended.
async fn ended(acs: &Acs, cpe: &CpeHandle, id: &str) -> Value {
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        let rows = acs.get(&format!("/inventory_device_serial_headless_operation/?id={id}")).await;
        if !matches!(rows[0]["status"].as_str(), Some("scheduled" | "in_progress")) {
            return rows[0].clone();
        }
        assert!(tokio::time::Instant::now() < until, "transaction {id} does not end: {rows}");
        cpe.session(&[EventCode::Periodic]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn habits_that_harm_nobody_cost_nothing() {
    let harmless = [
        "late=5",
        "wrong-id",
        "missing-id",
        "connection-per-post",
        "blank-post",
        "empty-envelope",
        "empty-post-first",
        "duplicate-inform",
        "no-cookies",
        "stale-cookies",
        "challenge-every-post",
        "odd-prefixes",
        "no-types",
        "self-closing",
        "no-declaration",
        "indented",
        "gzip",
        "chunked",
        "expect-continue",
        "no-content-on-connection-request",
    ];
    let acs = Acs::start(config()).await;
    for (number, habit) in harmless.into_iter().enumerate() {
        let serial = format!("HABIT-{number}");
        let habit: Misbehaviour = habit.parse().unwrap();
        let cpe = Cpe::spawn(acs.cpe(&serial).misbehave(habit.clone())).await;
        cpe.session(&[]).await.unwrap();
        let set = json!([{"variable_name": CODE, "value": "x", "value_type": "string"}]);
        let row = acs.headless(&serial, "set", set).await;
        assert_eq!(row["status"], "completed", "{habit:?}: {row}");
        assert_eq!(cpe.value(CODE).as_deref(), Some("x"), "{habit:?}");
        let row = acs.headless(&serial, "get", json!([{"variable_name": CODE}])).await;
        assert_eq!(row["variables"][0]["value"], "x", "{habit:?}: {row}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_breaks_off_leaves_no_work_behind_and_does_none_twice() {
    let breaks = [
        "drop-before=GetParameterValues#3",
        "drop-before=SetParameterValues#4",
        "drop-after=SetParameterValues#4",
        "drop-before=AddObject#1",
        "drop-after=AddObject#1",
        "drop-before=DeleteObject#1",
        "drop-after=DeleteObject#1",
    ];
    let acs = Acs::start(config()).await;
    for (number, habit) in breaks.into_iter().enumerate() {
        let serial = format!("BREAK-{number}");
        let habit: Misbehaviour = habit.parse().unwrap();
        let cpe = Cpe::spawn(acs.cpe(&serial).misbehave(habit.clone())).await;
        cpe.session(&[]).await.unwrap();
        let before = cpe.rows(TABLE);
        let set = json!([{"variable_name": CODE, "value": "y", "value_type": "string"}]);
        let set = acs.schedule(&serial, "set", set).await;
        let get = acs.schedule(&serial, "get", json!([{"variable_name": CODE}])).await;
        let add = acs.schedule(&serial, "add.obj", json!([{"variable_name": TABLE}])).await;
        for id in [&set, &get] {
            let row = ended(&acs, &cpe, id).await;
            assert_eq!(row["status"], "completed", "{habit:?}: {row}");
        }
        let row = ended(&acs, &cpe, &add).await;
        assert_eq!(row["status"], "completed", "{habit:?}: {row}");
        assert_eq!(cpe.rows(TABLE).len(), before.len() + 1, "{habit:?}: exactly one row");
        let added = format!("{TABLE}{}.", row["variables"][0]["instance_number"]);
        let delete = acs.schedule(&serial, "del.obj", json!([{"variable_name": added}])).await;
        let row = ended(&acs, &cpe, &delete).await;
        assert_eq!(row["status"], "completed", "{habit:?}: {row}");
        assert_eq!(cpe.rows(TABLE), before, "{habit:?}");
        assert_eq!(cpe.value(CODE).as_deref(), Some("y"), "{habit:?}");
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_never_come_right_end_in_a_truthful_state() {
    let mut config = config();
    // Back-offs would outlast the test.
    config.transactions.backoff_first_secs = 0;
    let acs = Acs::start(config).await;
    for habit in [Misbehaviour::EmptyAnswer, Misbehaviour::StaleResponse, Misbehaviour::NoEmptyPost] {
        let serial = format!("NEVER-{habit:?}");
        let silent = habit == Misbehaviour::NoEmptyPost;
        let cpe = Cpe::spawn(acs.cpe(&serial).misbehave(habit)).await;
        cpe.session(&[]).await.unwrap();
        let get = acs.schedule(&serial, "get", json!([{"variable_name": CODE}])).await;
        if silent {
            cpe.session(&[EventCode::Periodic]).await.unwrap();
            let row = acs.get(&format!("/transaction/{get}/")).await;
            assert_eq!(row["status"], "scheduled", "it never gave acsd the turn: {row}");
        } else {
            let row = ended(&acs, &cpe, &get).await;
            let status = row["status"].as_str().unwrap();
            assert!(["completed", "failed"].contains(&status), "{row}");
            assert_eq!(status == "failed", row["fault"] != Value::Null, "{row}");
        }
        cpe.finish().await;
    }
}
