//! Calls and discoveries over the API: every field, also with wrong input; and `acsd rpc`.

use acsd::cli::rpc::{Output, RpcArgs, RpcError, run};
use acsd::clock::SystemClock;
use acsd::model::audit::AuditResource;
use acsd::model::call::{Call, DuAction, RpcMethods, TransferRef};
use acsd::model::device::Profile;
use acsd::model::transaction::{Kind, TransactionStatus, VariableResult, Work};
use acsd::store::Page;
use acsd::store::audit::AuditFilter;
use acsd::types::ident::TransactionId;
use acsd::types::path::{ObjectPath, ReadPath};
use acsd::types::time::{Clock as _, Timestamp};
use acsd::types::value::XsdType;
use clap::Parser;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::support::{ADMIN, Api, OPERATOR, QUEUE_MAX, VIEWER, device, operations};

const UUID: &str = "11111111-2222-3333-4444-555555555555";

fn rpc(serial: &str) -> String {
    format!("{}rpc/", device(serial))
}

async fn start() -> Api {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api
}

/// What was ordered last. The queue is emptied, so that more can be.
async fn ordered(api: &Api, body: Value) -> Work {
    let case = body.to_string();
    let shown = api.call("POST", &rpc("S"), body).await.expect(202, &case);
    assert_eq!((&shown["kind"], &shown["status"]), (&json!("rpc"), &json!("scheduled")), "{case}");
    let id = shown["id"].as_u64().expect("an id");
    let transaction = api.transaction(id).await;
    assert_eq!(
        (transaction.kind, transaction.work.operation()),
        (Kind::Rpc, shown["operation"].as_str().expect("text"))
    );
    api.call("DELETE", &format!("/api/v1/transaction/{id}/"), Value::Null).await.expect(204, "withdrawn");
    transaction.work
}

async fn call(api: &Api, body: Value) -> Call {
    match ordered(api, body).await {
        Work::Call(call) => *call,
        other => panic!("no call: {other:?}"),
    }
}

#[tokio::test]
async fn every_method_becomes_its_work() {
    let api = start().await;
    let path = |text: &str| ReadPath::try_from(text).expect("a path");
    let object = |text: &str| ObjectPath::try_from(text).expect("a path");
    assert_eq!(call(&api, json!({"method": "GetRPCMethods"})).await, Call::GetRpcMethods);
    let names = vec![path("Device.A"), path("Device.B.")];
    let body = json!({"method": "GetParameterAttributes", "names": ["Device.A", "Device.B."]});
    assert_eq!(call(&api, body).await, Call::GetParameterAttributes { names: names.clone() });
    let body = json!({"method": "GetParameterValues", "names": ["Device.A", "Device.B."]});
    assert_eq!(ordered(&api, body).await, Work::Get { paths: names });
    let below = Call::GetParameterNames { path: object("Device.") };
    assert_eq!(call(&api, json!({"method": "GetParameterNames"})).await, below);
    let body = json!({"method": "GetParameterNames", "path": "Device.B.", "next_level": false});
    assert_eq!(ordered(&api, body).await, Work::Discover { below: Some(object("Device.B.")) });
    assert_eq!(
        call(&api, json!({"method": "ScheduleInform", "delay": 60})).await,
        Call::ScheduleInform { delay_secs: 60 }
    );
    assert_eq!(call(&api, json!({"method": "GetQueuedTransfers"})).await, Call::GetQueuedTransfers);
    assert_eq!(call(&api, json!({"method": "GetAllQueuedTransfers"})).await, Call::GetAllQueuedTransfers);
    let transfer = TransferRef::Key("k".to_owned());
    let body = json!({"method": "CancelTransfer", "command_key": "k"});
    assert_eq!(call(&api, body).await, Call::CancelTransfer { transfer });
    assert_eq!(call(&api, json!({"method": "GetOptions"})).await, Call::GetOptions { name: String::new() });
    assert_eq!(ordered(&api, json!({"method": "Reboot"})).await, Work::Reboot);
    assert_eq!(ordered(&api, json!({"method": "FactoryReset"})).await, Work::FactoryReset);
    let body = json!({"method": "DeleteObject", "path": "Device.T.1."});
    assert_eq!(ordered(&api, body).await, Work::DeleteObject { objects: vec![object("Device.T.1.")] });
    assert!(matches!(ordered(&api, json!({"method": "AddObject", "path": "Device.T."})).await, Work::AddObject { .. }));
    let body = json!({"method": "SetParameterValues", "parameters": [{"path": "Device.A", "value": "1", "value_type": "integer"}]});
    assert!(matches!(ordered(&api, body).await, Work::Set { .. }));
    let body = json!({"method": "SetParameterAttributes",
        "parameters": [{"path": "Device.B.", "notification": 2}, {"path": "Device.A", "access_list": []}]});
    let Call::SetParameterAttributes { changes } = call(&api, body).await else { panic!("another call") };
    assert_eq!((changes[0].notification, changes[1].notification), (Some(2), None));
    assert_eq!(changes[1].access_list, Some(Vec::new()));
}

#[tokio::test]
async fn secrets_of_units_are_sealed_and_blanked() {
    let api = start().await;
    let install = json!({"action": "install", "url": "http://h/a", "username": "u", "password": "hush-hush"});
    let body = json!({"method": "ChangeDUState", "operations": [install, {"action": "uninstall", "uuid": UUID}]});
    let Call::ChangeDuState { operations } = call(&api, body).await else { panic!("another call") };
    assert_eq!((operations[0].action, operations[1].action), (DuAction::Install, DuAction::Uninstall));
    assert_eq!(operations[0].password.plain(), None, "sealed");
    let filter = AuditFilter { resource: Some(AuditResource::Rpc), ..AuditFilter::default() };
    let trail = api.store.audit(&filter, Page { offset: 0, limit: 9 }).await.expect("the trail");
    let told = format!("{:?}", trail.items);
    assert!(told.contains("http://h/a") && !told.contains("hush-hush"), "{told}");
}

#[tokio::test]
async fn vouchers_are_sealed_and_told_of_by_their_sums() {
    let api = start().await;
    let voucher = "c2VjcmV0IHZvdWNoZXI=";
    let Call::SetVouchers { vouchers } = call(&api, json!({"method": "SetVouchers", "vouchers": [voucher]})).await
    else {
        panic!("another call")
    };
    assert_eq!((vouchers.len(), vouchers[0].plain()), (1, None), "sealed");
    let filter = AuditFilter { resource: Some(AuditResource::Rpc), ..AuditFilter::default() };
    let trail = api.store.audit(&filter, Page { offset: 0, limit: 9 }).await.expect("the trail");
    let after = trail.items[0].entry.after.as_deref().expect("what was sent");
    let after: Value = serde_json::from_str(after).expect("JSON");
    let sum = hex::encode(Sha256::digest(voucher));
    assert_eq!(after, json!({"method": "SetVouchers", "vouchers": [{"chars": 20, "sha256": sum}]}));
}

#[tokio::test]
async fn units_come_from_where_no_login_is_in_the_url() {
    let api = start().await;
    let order = async |url: &str| {
        let body =
            json!({"method": "ChangeDUState", "operations": [{"action": "install", "url": url}, {"action": "update"}]});
        api.call("POST", &rpc("S"), body).await
    };
    for url in
        ["http://u:p@h/a", "https://u@h/a", "ftp://h/a", "/a", "http://", &format!("http://h/{}", "a".repeat(1024))]
    {
        let errors = order(url).await.expect(400, url);
        assert!(errors["operations"][0]["url"][0].as_str().is_some_and(|words| !words.is_empty()), "{url}: {errors}");
    }
    order(&format!("https://h:8443/{}?sum=s3cret", "a".repeat(500))).await.expect(202, "longer than of a download");
    let filter = AuditFilter { resource: Some(AuditResource::Rpc), ..AuditFilter::default() };
    let trail = api.store.audit(&filter, Page { offset: 0, limit: 9 }).await.expect("the trail");
    let told = format!("{:?}", trail.items);
    assert!(told.contains("https://h:8443/aaa") && !told.contains("s3cret"), "a link may be signed: {told}");
}

#[tokio::test]
async fn all_that_is_wrong_is_said_at_once() {
    let api = start().await;
    let table = [
        (json!({}), &["method"][..]),
        (json!({"method": "Sing", "names": [], "odd": 1}), &["method", "odd"]),
        (json!({"method": "Download"}), &["method"]),
        (json!({"method": "GetRPCMethods", "names": ["Device.A"]}), &["names"]),
        (json!({"method": "GetParameterAttributes"}), &["names"]),
        (json!({"method": "GetParameterAttributes", "names": []}), &["names"]),
        (json!({"method": "GetParameterValues", "names": ["Device..A"], "x": 1}), &["names", "x"]),
        (json!({"method": "GetParameterNames", "path": "Device.A", "next_level": 1}), &["path", "next_level"]),
        (json!({"method": "ScheduleInform", "delay": 0}), &["delay"]),
        (json!({"method": "ScheduleInform"}), &["delay"]),
        (json!({"method": "CancelTransfer"}), &["command_key"]),
        (json!({"method": "CancelTransfer", "command_key": "k", "transaction": 1}), &["transaction"]),
        (json!({"method": "CancelTransfer", "transaction": 99}), &["transaction"]),
        (json!({"method": "CancelTransfer", "command_key": "k".repeat(33)}), &["command_key"]),
        (json!({"method": "SetVouchers", "vouchers": ["?"]}), &["vouchers"]),
        (json!({"method": "SetVouchers", "vouchers": []}), &["vouchers"]),
        (json!({"method": "SetParameterAttributes", "parameters": []}), &["parameters"]),
        (json!({"method": "SetParameterAttributes", "parameters": [{"path": "Device.A"}]}), &["parameters"]),
        (
            json!({"method": "SetParameterAttributes", "parameters": [{"path": "D.A", "notification": 7}]}),
            &["parameters"],
        ),
        (json!({"method": "SetParameterValues", "parameters": [{"path": "Device.A."}]}), &["parameters"]),
        (json!({"method": "DeleteObject", "path": "Device.T."}), &["path"]),
        (json!({"method": "ChangeDUState", "operations": []}), &["operations"]),
        (json!({"method": "ChangeDUState", "operations": [{"action": "burn"}]}), &["operations"]),
    ];
    for (body, fields) in table {
        let case = body.to_string();
        api.call("POST", &rpc("S"), body).await.refused_fields(fields, &case);
    }
    let operations = json!([
        {"action": "install", "version": "1"},
        {"action": "update", "execution_env_ref": "Device.E.1."},
        {"action": "uninstall", "url": "http://h/"},
        {"action": "uninstall", "uuid": "1-2-3"},
    ]);
    let body = json!({"method": "ChangeDUState", "operations": operations});
    let errors = api.call("POST", &rpc("S"), body).await.expect(400, "units");
    let named =
        |at: usize| errors["operations"][at].as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(named(0), ["url", "version"]);
    assert_eq!((named(1), named(3)), (vec!["execution_env_ref".to_owned()], vec!["uuid".to_owned()]));
    assert_eq!(named(2), ["url", "uuid"]);
    let choices = api.call("POST", &rpc("S"), json!({"method": "Sing"})).await.expect(400, "choices");
    assert!(choices["method"][0].as_str().expect("text").contains("ChangeDUState"), "{choices}");
}

#[tokio::test]
async fn devices_that_cannot_be_called_are_refused() {
    let api = start().await;
    let body = || json!({"method": "GetRPCMethods"});
    api.call("POST", &rpc("nobody"), body()).await.refused(404, "unknown");
    api.call_as(VIEWER, "POST", &rpc("S"), body()).await.refused(403, "a viewer");
    for _ in 0..QUEUE_MAX {
        api.call("POST", &rpc("S"), body()).await.expect(202, "room");
    }
    api.call("POST", &rpc("S"), body()).await.refused(409, "full");
    api.create(json!({"serial_number": "idle", "is_active": false})).await;
    api.call("POST", &rpc("idle"), body()).await.refused(422, "inactive");
}

#[tokio::test]
async fn discoveries_are_ordered_with_the_parameters() {
    let api = start().await;
    let parameters = format!("{}parameters/", device("S"));
    let shown = api.call("POST", &parameters, json!({"discover": "Device.WiFi."})).await.expect(202, "a subtree");
    assert_eq!((&shown["kind"], &shown["operation"]), (&json!("rpc"), &json!("discover")));
    let below = ObjectPath::try_from("Device.WiFi.").ok();
    assert_eq!(api.transaction(shown["id"].as_u64().expect("an id")).await.work, Work::Discover { below });
    let shown = api.call("POST", &parameters, json!({"discover": true})).await.expect(202, "all");
    assert_eq!(api.transaction(shown["id"].as_u64().expect("an id")).await.work, Work::Discover { below: None });
    for (body, fields) in [
        (json!({"discover": "Device.A"}), &["discover"][..]),
        (json!({"discover": false}), &["discover"]),
        (json!({"discover": true, "refresh": "Device."}), &["discover"]),
        (json!({}), &["refresh"]),
    ] {
        let case = body.to_string();
        api.call("POST", &parameters, body).await.refused_fields(fields, &case);
    }
}

fn result(path: &str, value: &str, ty: XsdType) -> VariableResult {
    let (path, value) = (path.into(), Some(value.into()));
    VariableResult { variable: 0, path, value, ty: Some(ty), instance_number: None, fault: None }
}

#[tokio::test]
async fn calls_are_listed_and_shown_with_what_they_brought() {
    let api = start().await;
    let body = json!({"method": "GetAllQueuedTransfers"});
    let id = api.call("POST", &rpc("S"), body).await.expect(202, "ordered")["id"].as_u64().expect("an id");
    api.call("PUT", &operations("S"), json!({"operation": "reboot"})).await.expect(200, "something else");
    let list = api.get(&rpc("S")).await.expect(200, "list");
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &json!(id)));
    let path = format!("{}{id}/", rpc("S"));
    assert_eq!(api.get(&path).await.expect(200, "waits")["result"], Value::Null);
    let device = api.store.by_serial("S").await.expect("the store").expect("there");
    let claimed = api.claim(&device).await;
    let results = [
        result("TransferList.1.CommandKey", "acsd-3", XsdType::String),
        result("TransferList.1.State", "2", XsdType::Long),
        result("TransferList.1.IsDownload", "true", XsdType::Boolean),
    ];
    api.settle(claimed, TransactionStatus::Completed, None, &results).await;
    let shown = api.get(&path).await.expect(200, "ended");
    let transfer = &shown["result"]["transfers"][0];
    assert_eq!(
        (&transfer["command_key"], &transfer["state"], &transfer["is_download"]),
        (&json!("acsd-3"), &json!(2), &json!(true))
    );
    assert_eq!(transfer["file_type"], Value::Null);
    assert_eq!(shown["status"], "completed");
    let reboot = format!("{}{}/", rpc("S"), id + 1);
    api.get(&reboot).await.refused(404, "no call");
    assert_eq!(api.get(&format!("{}?status=failed", rpc("S"))).await.expect(200, "filtered")["count"], 0);
    let one = api.transaction(id).await;
    assert_eq!(one.id, TransactionId(id));
}

#[tokio::test]
async fn what_is_known_of_the_methods_is_shown() {
    let api = start().await;
    let path = format!("{}methods/", rpc("S"));
    assert_eq!(api.get(&path).await.expect(200, "unknown")["methods"], Value::Null);
    let device = api.store.by_serial("S").await.expect("the store").expect("there");
    let methods = RpcMethods::read(["GetParameterValues", "X_Sing"], "1.2", Timestamp::from_secs(60));
    let edit = Box::new(move |profile: &mut Profile| profile.methods = methods);
    api.store.edit_profile(device.key, edit).await.expect("edited");
    let shown = api.get(&path).await.expect(200, "known");
    assert_eq!(shown["methods"], json!(["GetParameterValues", "X_Sing"]));
    assert_eq!(shown["software_version"], "1.2");
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: RpcArgs,
}

async fn command(api: &Api, token: &str, line: &[&str]) -> (Result<bool, RpcError>, String, String) {
    let url = format!("http://{}", api.address);
    let line = [&["rpc"], line, &["--url", &url, "--token", token]].concat();
    let args = Command::try_parse_from(line).expect("arguments").args;
    let (mut result, mut notes) = (Vec::new(), Vec::new());
    let done = run(args, Output { result: &mut result, notes: &mut notes }).await;
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (done.map(|code| code == std::process::ExitCode::SUCCESS), text(result), text(notes))
}

#[tokio::test]
async fn the_command_orders_waits_and_prints() {
    let api = start().await;
    let device = api.store.by_serial("S").await.expect("the store").expect("there");
    let end = async |status, fault, results: &[VariableResult]| {
        let claimed = loop {
            match api.store.claim(device.key, &[], SystemClock.now()).await.expect("the store") {
                Some(claimed) => break claimed,
                None => tokio::task::yield_now().await,
            }
        };
        api.settle(claimed, status, fault, results).await;
    };
    let names = [result("MethodList.1", "Reboot", XsdType::String), result("MethodList.2", "Upload", XsdType::String)];
    let ((done, out, notes), ()) =
        tokio::join!(command(&api, OPERATOR, &["S", "methods"]), end(TransactionStatus::Completed, None, &names));
    assert!(done.expect("asked"), "{notes}");
    assert_eq!(out, "Reboot\nUpload\n");

    let fault = Some((9005, "Invalid parameter name"));
    let discover = ["S", "discover", "Device.No.", "--format", "json"];
    let ((done, out, notes), ()) =
        tokio::join!(command(&api, OPERATOR, &discover), end(TransactionStatus::Failed, fault, &[]));
    assert!(!done.expect("asked"));
    assert_eq!(serde_json::from_str::<Value>(&out).expect("JSON")["operation"], "discover");
    assert!(notes.contains("discover failed: 9005 Invalid parameter name"), "{notes}");

    let (done, out, _) = command(&api, OPERATOR, &["S", "ScheduleInform", "--arg", "delay=60", "--wait", "0"]).await;
    assert!(done.expect("asked"));
    let id: u64 = out.trim().parse().expect("a number");
    assert_eq!(api.transaction(id).await.work, Work::Call(Box::new(Call::ScheduleInform { delay_secs: 60 })));
    let (done, _, notes) = command(&api, OPERATOR, &["S", "transfers", "--wait", "1"]).await;
    assert!(!done.expect("asked") && notes.contains("has not ended within 1 s"), "{notes}");
}

#[tokio::test]
async fn the_command_tells_misuse_from_refusal() {
    let api = start().await;
    let wrong = command(&api, OPERATOR, &["S", "schedule-inform", "soon"]).await.0.expect_err("no number");
    assert!(wrong.is_usage(), "{wrong:?}");
    for line in [&["S", "Sing"][..], &["nobody", "methods"]] {
        let refused = command(&api, ADMIN, line).await.0.expect_err("refused");
        assert!(!refused.is_usage(), "{refused:?}");
    }
    let refused = command(&api, ADMIN, &["S", "Sing"]).await.0.expect_err("refused").to_string();
    assert!(refused.contains("GetRPCMethods"), "{refused}");
}
