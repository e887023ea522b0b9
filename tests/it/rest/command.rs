//! `acsd token`, on a store and through a running acsd.

use std::sync::Arc;

use acsd::cli::token::{Output, TokenArgs, TokenError, run};
use acsd::clock::SystemClock;
use acsd::store::Store;
use acsd::store::memory::{MemoryConfig, MemoryStore};
use clap::Parser;
use serde_json::Value;

use super::support::{ADMIN, Api, DEVICES, VIEWER};

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: TokenArgs,
}

async fn token(store: Option<Arc<dyn Store>>, line: &[&str]) -> (Result<(), TokenError>, String) {
    let args = Command::try_parse_from(std::iter::once(&"token").chain(line)).expect("arguments").args;
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let open = async || store.ok_or_else(|| "the store is locked".into());
    let result = run(args, open, &SystemClock, Output { result: &mut out, notes: &mut notes }).await;
    (result, String::from_utf8(out).expect("text"))
}

#[tokio::test]
async fn tokens_are_managed_through_a_running_acsd() {
    let api = Api::start().await;
    let url = format!("http://{}/", api.address);
    let target = ["--url", url.as_str(), "--token", ADMIN];
    let with = |line: &[&'static str]| [line, &target].concat();
    let (made, out) = token(None, &with(&["create", "--name", "n", "--role", "viewer", "--organization", "1"])).await;
    made.expect("made");
    api.call_as(out.trim(), "GET", DEVICES, Value::Null).await.expect(200, "it works");
    let (listed, list) = token(None, &with(&["list"])).await;
    listed.expect("listed");
    let line = list.lines().last().expect("a line");
    assert!(line.trim_start().starts_with("6  acsd_") && line.contains("viewer"), "{list}");
    token(None, &with(&["revoke", "6"])).await.0.expect("revoked");
    api.call_as(out.trim(), "GET", DEVICES, Value::Null).await.refused(401, "revoked");
    let refused = token(None, &["list", "--url", url.as_str(), "--token", VIEWER]).await.0;
    let refused = refused.expect_err("a viewer");
    assert!(matches!(refused, TokenError::Client(_)) && !refused.is_usage(), "{refused:?}");
}

#[tokio::test]
async fn tokens_are_managed_in_a_store_that_nobody_serves() {
    let store = || -> Option<Arc<dyn Store>> { Some(Arc::new(MemoryStore::new(MemoryConfig::default()))) };
    let create = ["create", "--name", "n", "--role", "admin", "--expires-at", "2124-01-01"];
    let (made, out) = token(store(), &create).await;
    made.expect("made");
    assert!(out.starts_with("acsd_") && out.lines().count() == 1, "{out}");
    let past = ["create", "--name", "n", "--role", "admin", "--expires-at", "2001-01-01"];
    let refused = token(store(), &past).await.0.expect_err("it lies behind");
    assert!(matches!(refused, TokenError::Past) && refused.is_usage(), "{refused:?}");
    let elsewhere = token(None, &["list", "--url", "ftp://x", "--token", "t"]).await.0.expect_err("no such scheme");
    assert!(elsewhere.is_usage(), "{elsewhere:?}");
    assert!(matches!(token(store(), &["revoke", "5"]).await.0, Err(TokenError::Unknown(5))));
    assert!(matches!(token(None, &["list"]).await.0, Err(TokenError::Open(_))));
}
