//! Imports over the API, and `acsd import` and `export`.

use std::path::Path;

use acsd::api::ApiConfig;
use acsd::cli::transfer::TransferError;
use acsd::cli::{export, import};
use axum::body::Body;
use clap::Parser;
use http::header;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, DEVICES, OPERATOR, STRANGER, VIEWER, device};

const IMPORT: &str = "/api/v1/inventory_device_serial/import/";
const JSONL: &str = "application/x-ndjson";

impl Api {
    async fn import(&self, token: &str, query: &str, kind: &str, body: &str) -> (Vec<Value>, Value) {
        let request = self.request("POST", &format!("{IMPORT}{query}"), token).header(header::CONTENT_TYPE, kind);
        let reply = self.send(request.body(Body::from(body.to_owned())).expect("a request")).await;
        assert_eq!((reply.status, reply.header("content-type")), (200, JSONL), "{}", reply.text);
        let mut lines: Vec<Value> =
            reply.text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let mut last = lines.pop().expect("a summary");
        (lines, last["summary"].take())
    }
}

fn results(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["result"].as_str().expect("a word")).collect()
}

#[tokio::test]
async fn lines_create_and_change_and_bad_ones_stop_nobody() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "KNOWN", "name": "before", "customer_id": "kept"})).await;
    let body = [
        r#"{"serial_number": "NEW", "name": "n", "tags": ["a"], "id": 50}"#,
        r#"{"serial_number": "KNOWN", "name": "after"}"#,
        r#"{"serial_number": "KNOWN", "name": "after", "status": "Up"}"#,
        "",
        "not json",
        "[1]",
        r#"{"name": "nobody"}"#,
        r#"{"serial_number": "X", "type": "1", "colour": "red"}"#,
        r#"{"serial_number": "Y", "id": 50}"#,
        r#"{"serial_number": "TWICE", "name": "one"}"#,
        r#"{"serial_number": "TWICE", "name": "two"}"#,
        r#"{"serial_number": "KNOWN", "username": "u"}"#,
    ]
    .join("\n");
    let (lines, summary) = api.import(OPERATOR, "", JSONL, &body).await;
    let numbers: Vec<u64> = lines.iter().map(|line| line["line"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, [1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12], "in the order of the body");
    assert_eq!(
        results(&lines),
        ["created", "updated", "unchanged", "error", "error", "error", "error", "error", "created", "updated", "error"]
    );
    assert_eq!(lines[0], json!({"line": 1, "serial_number": "NEW", "result": "created"}));
    let fields = |at: usize| lines[at]["errors"].as_object().expect("errors").keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(3), ["non_field_errors"]);
    assert_eq!(fields(5), ["serial_number"]);
    assert_eq!(fields(6), ["colour", "type"]);
    assert_eq!(fields(7), ["non_field_errors"], "the id is taken");
    assert_eq!(fields(10), ["password"]);
    let want = json!({"lines": 11, "created": 2, "updated": 2, "unchanged": 1, "errors": 6, "dry_run": false, "complete": true});
    assert_eq!(summary, want);
    let known = api.get(&device("KNOWN")).await.expect(200, "known");
    assert_eq!((&known["name"], &known["customer_id"]), (&json!("after"), &json!("kept")));
    assert_eq!(api.get(&device("TWICE")).await.expect(200, "twice")["name"], "two");
    assert_eq!(api.get(&device("NEW")).await.expect(200, "new")["id"], 50);
}

#[tokio::test]
async fn modes_dry_runs_and_short_reports() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "A"})).await;
    let body = "{\"serial_number\": \"A\", \"name\": \"x\"}\n{\"serial_number\": \"B\"}\n";
    let (lines, _) = api.import(OPERATOR, "?dry_run=true", JSONL, body).await;
    assert_eq!(results(&lines), ["updated", "created"]);
    assert_eq!(api.get(&device("A")).await.expect(200, "A")["name"], "A", "nothing was done");
    api.get(&device("B")).await.refused(404, "nothing was done");
    let (lines, _) = api.import(OPERATOR, "?mode=update", JSONL, body).await;
    assert_eq!(results(&lines), ["updated", "error"]);
    let (lines, summary) = api.import(OPERATOR, "?mode=create&report=errors", JSONL, body).await;
    assert_eq!((results(&lines), &lines[0]["serial_number"]), (vec!["error"], &json!("A")));
    assert_eq!((&summary["created"], &summary["errors"]), (&json!(1), &json!(1)));
    let (lines, summary) = api.import(OPERATOR, "", "application/jsonl; charset=utf-8", "").await;
    assert_eq!((lines.len(), &summary["complete"]), (0, &json!(true)));
}

#[tokio::test]
async fn an_import_keeps_to_its_token() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "OURS", "name": "ours"})).await;
    let body = [
        r#"{"serial_number": "OURS", "name": "theirs", "organization_id": 7}"#,
        r#"{"serial_number": "N", "organization_id": 1}"#,
        r#"{"serial_number": "N"}"#,
    ]
    .join("\n");
    let (lines, _) = api.import(STRANGER, "", JSONL, &body).await;
    assert_eq!(results(&lines), ["error", "error", "error"]);
    assert!(lines[1]["errors"]["organization_id"].is_array(), "{lines:?}");
    assert!(lines[2]["errors"]["organization_id"].is_array(), "the default is not theirs: {lines:?}");
    let (lines, _) = api.import(STRANGER, "?mode=update", JSONL, &body).await;
    assert_eq!(lines[0]["errors"], json!({"serial_number": ["There is no device with this serial number."]}));
    assert_eq!(api.get(&device("OURS")).await.expect(200, "ours")["name"], "ours");
    let refused = |token: &'static str, query: &'static str, kind: &'static str| {
        let request = api.request("POST", &format!("{IMPORT}{query}"), token).header(header::CONTENT_TYPE, kind);
        api.send(request.body(Body::from("{}")).expect("a request"))
    };
    refused(VIEWER, "", JSONL).await.refused(403, "a viewer");
    refused("nobody", "", JSONL).await.refused(401, "nobody");
    for kind in ["application/json", "text/plain", "text/csv; charset=latin1", ""] {
        refused(OPERATOR, "", kind).await.refused(415, kind);
    }
    let wrong = refused(OPERATOR, "?mode=x&dry_run=maybe&report=none", JSONL).await;
    wrong.refused_fields(&["mode", "dry_run", "report"], "parameters");
}

#[tokio::test]
async fn tables_are_read_by_their_header() {
    let api = Api::with(ApiConfig { import_line_bytes: 100, ..ApiConfig::default() }).await;
    api.create(json!({"serial_number": "A", "customer_id": "c", "name": "a"})).await;
    let long = "x".repeat(200);
    let table = format!(
        "\u{feff}serial_number,name,customer_id,tags,is_active,update_frequency\r\nA,,,\"x;y\",false,\r\n\
         B,\"two, \"\"b\"\"\",9,,,600\r\nC,{long},,,,\r\nD,short\r\nE,e,,,maybe,soon\r\n"
    );
    let (lines, summary) = api.import(OPERATOR, "", "text/csv; charset=utf-8", &table).await;
    assert_eq!(results(&lines), ["updated", "created", "error", "error", "error"], "{lines:?}");
    let numbers: Vec<u64> = lines.iter().map(|line| line["line"].as_u64().expect("a number")).collect();
    assert_eq!((numbers, &summary["complete"]), (vec![2, 3, 4, 5, 6], &json!(true)));
    let errors = lines[4]["errors"].as_object().expect("errors");
    assert!(errors.contains_key("is_active") && errors.contains_key("update_frequency"), "{errors:?}");
    let a = api.get(&device("A")).await.expect(200, "A");
    assert_eq!((&a["name"], &a["customer_id"], &a["tags"]), (&json!("a"), &json!(""), &json!(["x", "y"])));
    assert_eq!(a["is_active"], false);
    let b = api.get(&device("B")).await.expect(200, "B");
    assert_eq!(
        (&b["name"], &b["update_frequency"], &b["customer_id"]),
        (&json!("two, \"b\""), &json!(600), &json!("9"))
    );
    let (lines, _) = api.import(OPERATOR, "", "text/csv", "name\nx\n").await;
    assert!(lines[0]["errors"]["serial_number"].is_array(), "{lines:?}");
}

#[tokio::test]
async fn what_was_exported_comes_back_without_effect() {
    let api = Api::start().await;
    for n in 0..300 {
        let tags = if n % 2 == 0 { json!(["a;b", "c"]) } else { json!(["=x", "north"]) };
        let body = json!({
            "serial_number": format!("S{n}"), "name": format!("-n {n} \"x\""), "customer_id": "+1, \"2\"",
            "description": "two\nlines\r\n", "tags": tags, "latitude": "-1.50", "update_frequency": 60 + n,
            "is_active": n % 3 == 0, "username": "u", "password": "p"
        });
        api.create(body).await;
    }
    for (format, kind) in [("csv", "text/csv"), ("jsonl", JSONL)] {
        let path = format!("/api/v1/inventory_device_serial/export/?format={format}");
        let file = api.get(&path).await.text;
        let (_, summary) = api.import(OPERATOR, "?report=errors", kind, &file).await;
        assert_eq!((&summary["unchanged"], &summary["errors"]), (&json!(300), &json!(0)), "{format}: {summary}");
        let elsewhere = Api::start().await;
        let (lines, summary) = elsewhere.import(OPERATOR, "?report=errors", kind, &file).await;
        assert_eq!(summary["created"], 300, "{format}: {lines:?}");
        let copy = elsewhere.get(&path).await.text;
        assert_eq!(copy.lines().count(), file.lines().count(), "{format}");
    }
}

#[derive(Parser)]
struct Import {
    #[command(flatten)]
    args: import::ImportArgs,
}

#[derive(Parser)]
struct Export {
    #[command(flatten)]
    args: export::ExportArgs,
}

async fn import_with(api: &Api, token: &str, line: &[&str]) -> (Result<bool, TransferError>, String) {
    let url = format!("http://{}", api.address);
    let line = ["import", "--url", &url, "--token", token].into_iter().chain(line.iter().copied());
    let args = Import::try_parse_from(line).expect("arguments").args;
    let mut notes = Vec::new();
    let done = import::run(args, &mut notes).await;
    let succeeded = done.map(|code| code == std::process::ExitCode::SUCCESS);
    (succeeded, String::from_utf8(notes).expect("text"))
}

async fn export_with(api: &Api, token: &str, line: &[&str]) -> (Result<(), TransferError>, String) {
    let url = format!("http://{}", api.address);
    let line = ["export", "--url", &url, "--token", token].into_iter().chain(line.iter().copied());
    let args = Export::try_parse_from(line).expect("arguments").args;
    let mut notes = Vec::new();
    let done = export::run(args, &mut notes).await;
    (done.map(|code| assert_eq!(code, std::process::ExitCode::SUCCESS)), String::from_utf8(notes).expect("text"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path")
}

#[tokio::test]
async fn the_commands_carry_an_inventory_over() {
    let api = Api::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, report) = (folder.path().join("devices.jsonl"), folder.path().join("report.jsonl"));
    // More than all the buffers between the two hold.
    let lines: String =
        (0..20_000).map(|n| format!("{{\"serial_number\": \"S{n:06}\", \"tags\": [\"t{}\"]}}\n", n % 2)).collect();
    std::fs::write(&file, lines).expect("written");
    let (done, notes) = import_with(&api, ADMIN, &[text(&file), "--dry-run"]).await;
    assert!(done.expect("done") && notes.contains("would be created 20000"), "{notes}");
    let few: String =
        (0..1000).map(|n| format!("{{\"serial_number\": \"S{n:06}\", \"tags\": [\"t{}\"]}}\n", n % 2)).collect();
    std::fs::write(&file, few).expect("written");
    let (done, notes) = import_with(&api, ADMIN, &[text(&file), "--report", text(&report)]).await;
    assert!(done.expect("done") && notes.contains("created 1000, updated 0, unchanged 0, failed 0"), "{notes}");
    assert_eq!(std::fs::read_to_string(&report).expect("a report").lines().count(), 1001);
    assert_eq!(api.get(DEVICES).await.expect(200, "list")["count"], 1000);

    let table = folder.path().join("devices.csv");
    let (done, notes) =
        export_with(&api, VIEWER, &["-o", text(&table), "--filter", "tag=t1", "--filter", "ordering=-id"]).await;
    done.expect("exported");
    assert_eq!(notes, "500 devices exported\n");
    let written = std::fs::read_to_string(&table).expect("a table");
    assert!(written.lines().nth(1).expect("a row").starts_with("S000999,1000,"), "{written:.200}");
    let (done, notes) = import_with(&api, OPERATOR, &[text(&table)]).await;
    assert!(done.expect("done") && notes.contains("unchanged 500"), "{notes}");

    std::fs::write(&table, "serial_number,type\nS000001,77\nS000002,1\n").expect("written");
    let (done, notes) = import_with(&api, OPERATOR, &[text(&table), "--mode", "update"]).await;
    assert!(!done.expect("done") && notes.contains("line 2 (S000001)") && notes.contains("failed 1"), "{notes}");
    let (done, notes) = import_with(&api, OPERATOR, &[text(&table), "--quiet"]).await;
    assert!(!done.expect("done") && notes.is_empty(), "{notes}");

    let refused = import_with(&api, VIEWER, &[text(&table)]).await.0.expect_err("a viewer");
    assert!(!refused.is_usage(), "{refused:?}");
    let kept = std::fs::read(&table).expect("the file");
    let refused = export_with(&api, VIEWER, &["-o", text(&table), "--filter", "ordering=colour"]).await.0;
    assert!(refused.expect_err("no such field").to_string().contains("ordering"));
    assert_eq!(std::fs::read(&table).expect("the file"), kept, "a refused export leaves the file alone");
    let missing = import_with(&api, OPERATOR, &["/nowhere/at/all.csv"]).await.0.expect_err("no file");
    assert!(matches!(missing, TransferError::Read { .. }), "{missing:?}");
}
