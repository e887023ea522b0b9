//! `/event/`, `/event/stream/`, `/audit/`.

use acsd::api::ApiConfig;
use acsd::model::device::OrganizationId;
use acsd::model::transaction::TransactionStatus;
use axum::body::Body;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, DEVICES, HEADLESS, OPERATOR, STRANGER, TRANSACTIONS, VIEWER, device, operations};

const EVENTS: &str = "/api/v1/event/";
const STREAM: &str = "/api/v1/event/stream/";
const AUDIT: &str = "/api/v1/audit/";

/// One device that has called, done something and failed at something.
async fn with_a_history() -> Api {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let device = api.inform("S", &[]).await;
    for (status, fault) in [(TransactionStatus::Completed, None), (TransactionStatus::Failed, Some((9005, "no such")))]
    {
        let get = json!({"serial_number": "S", "operation": "get", "variables": [{"variable_name": "Device.X"}]});
        api.call("POST", HEADLESS, get).await.expect(201, "scheduled");
        let transaction = api.claim(&device).await;
        api.settle(transaction, status, fault, &[]).await;
    }
    api
}

fn kinds(page: &Value) -> Vec<&str> {
    page["results"].as_array().expect("results").iter().map(|event| event["kind"].as_str().expect("a kind")).collect()
}

#[tokio::test]
async fn events_are_listed_filtered_and_paged() {
    let api = with_a_history().await;
    let page = api.call_as(VIEWER, "GET", EVENTS, Value::Null).await.expect(200, "all");
    assert_eq!(page["count"], 4);
    assert_eq!(kinds(&page), ["transaction_ended", "transaction_ended", "status", "first_contact"]);
    let newest = &page["results"][0];
    assert_eq!(
        (&newest["id"], &newest["serial_number"], &newest["organization_id"]),
        (&json!(4), &json!("S"), &json!(1))
    );
    let data = json!({"id": 2, "kind": "headless", "operation": "get", "status": "failed",
        "fault": {"code": 9005, "message": "no such"}, "requested_by": "Operator"});
    assert_eq!(newest["data"], data);
    assert_eq!(page["results"][2]["data"], json!({"status": "Up"}));
    for (query, count) in [
        ("kind=status,first_contact", 2),
        ("serial_number=S", 4),
        ("serial_number=T", 0),
        ("since=2020-01-01", 4),
        ("since=2120-01-01", 0),
        ("after=3", 1),
        ("after=&kind=", 4),
    ] {
        let page = api.get(&format!("{EVENTS}?{query}")).await.expect(200, query);
        assert_eq!(page["count"], count, "{query}");
    }
    let page =
        api.get(&format!("{EVENTS}?limit=1&offset=1&kind=status,boot,first_contact")).await.expect(200, "a page");
    assert_eq!((kinds(&page), &page["count"], &page["next"]), (vec!["first_contact"], &json!(2), &Value::Null));
    assert!(page["previous"].as_str().expect("a page before").contains("kind=status"));
    let wrong = api.get(&format!("{EVENTS}?kind=nonsense&since=x&after=-1")).await;
    wrong.refused_fields(&["kind", "since", "after"], "all wrong");
    assert_eq!(api.call_as(STRANGER, "GET", EVENTS, Value::Null).await.expect(200, "a stranger")["count"], 0);
    api.call("DELETE", &device("S"), Value::Null).await.expect(204, "removed");
    assert_eq!(api.get(&format!("{EVENTS}?serial_number=S")).await.expect(200, "still there")["count"], 4);
}

struct Stream(hyper::body::Incoming, String);

impl Stream {
    /// The next piece of text; `None`: it is over.
    async fn piece(&mut self) -> Option<String> {
        let frame = self.0.frame().await?;
        Some(String::from_utf8(frame.expect("a frame").into_data().expect("data").to_vec()).expect("text"))
    }

    /// Text until so many events have come.
    async fn events(&mut self, count: usize) -> String {
        while self.1.matches("\ndata: ").count() < count {
            let piece = self.piece().await.expect("the stream goes on");
            self.1.push_str(&piece);
        }
        std::mem::take(&mut self.1)
    }
}

async fn open(api: &Api, token: &str, query: &str, last: Option<&str>) -> Result<Stream, u16> {
    let mut request = api.request("GET", &format!("{STREAM}{query}"), token);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let response = client.request(request.body(Body::empty()).expect("a request")).await.expect("an answer");
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(!response.headers().contains_key("content-encoding"));
    Ok(Stream(response.into_body(), String::new()))
}

#[tokio::test]
async fn the_stream_begins_where_it_is_told_and_goes_on_as_things_happen() {
    let api = with_a_history().await;
    let mut from_now = open(&api, VIEWER, "", None).await.expect("open");
    assert_eq!(from_now.piece().await.expect("a greeting"), "retry: 2000\n\n");
    let mut resumed =
        open(&api, VIEWER, "?kind=status,transaction_ended&since=2120-01-01", Some("2")).await.expect("open");
    let text = resumed.events(2).await;
    assert!(text.contains("id: 3\nevent: transaction_ended\ndata: {\"id\":3,"), "{text}");
    assert!(text.contains("id: 4\n") && !text.contains("id: 2\n"), "{text}");
    let mut stranger = open(&api, STRANGER, "?after=0", None).await.expect("open");
    api.create(json!({"serial_number": "T"})).await;
    api.inform("T", &[]).await;
    let text = from_now.events(2).await;
    assert!(text.starts_with("id: 5\nevent: first_contact\n") && text.contains("\n\nid: 6\nevent: status\n"), "{text}");
    let text = resumed.events(1).await;
    assert!(text.starts_with("id: 6\n"), "{text}");
    let mut all = open(&api, VIEWER, "?after=0&serial_number=S", None).await.expect("open");
    let text = all.events(4).await;
    assert!(text.contains("id: 1\n") && text.contains("id: 4\n"), "{text}");
    for (query, last) in [("?kind=x", None), ("", Some("abc"))] {
        assert_eq!(open(&api, VIEWER, query, last).await.err(), Some(400), "{query}");
    }
    assert_eq!(open(&api, "nobody", "", None).await.err(), Some(401));
    api.draining.cancel();
    assert_eq!(from_now.piece().await, None, "it ends when acsd stops");
    assert_eq!(stranger.piece().await.as_deref(), Some("retry: 2000\n\n"));
    assert_eq!(stranger.piece().await, None, "a stranger has seen nothing");
}

#[tokio::test]
async fn streams_are_limited_and_end_with_their_token() {
    let api = Api::with(ApiConfig { event_streams_max: 2, ..ApiConfig::default() }).await;
    let body = json!({"name": "short", "role": "viewer"});
    let made = api.call_as(ADMIN, "POST", "/api/v1/api_token/", body).await.expect(201, "made");
    let token = made["token"].as_str().expect("the token");
    let mut first = open(&api, token, "", None).await.expect("open");
    let second = open(&api, VIEWER, "", None).await.expect("open");
    assert_eq!(open(&api, VIEWER, "", None).await.err(), Some(503));
    first.piece().await.expect("a greeting");
    let path = format!("/api/v1/api_token/{}/", made["id"]);
    api.call_as(ADMIN, "DELETE", &path, Value::Null).await.expect(204, "revoked");
    // The next thing that happens is the next look at the token.
    api.create(json!({"serial_number": "S"})).await;
    api.inform("S", &[]).await;
    assert_eq!(first.piece().await, None);
    drop((first, second));
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while open(&api, VIEWER, "", None).await.is_err() {
        assert!(tokio::time::Instant::now() < until, "places are given back");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_is_kept_alive_and_its_token_looked_at() {
    let api = Api::start().await;
    let request = api.request("GET", STREAM, VIEWER).body(Body::empty()).expect("a request");
    let response = tower::ServiceExt::oneshot(api.router.clone(), request).await.expect("an answer");
    let mut body = response.into_body();
    let mut piece = async || Some(body.frame().await?.expect("a frame").into_data().expect("data"));
    assert_eq!(piece().await.as_deref(), Some(&b"retry: 2000\n\n"[..]));
    let begun = tokio::time::Instant::now();
    for round in 1..=10 {
        assert_eq!(piece().await.as_deref(), Some(&b": keep-alive\n\n"[..]));
        assert_eq!(begun.elapsed().as_secs(), round * 15, "longer than any request may take");
    }
    let viewer = acsd::auth::token::TokenHash::of(VIEWER).0;
    let token = api.store.token_by_hash(&viewer).expect("the token");
    api.store.remove_token(token.id).await.expect("revoked");
    assert_eq!(piece().await, None);
}

#[tokio::test]
async fn every_write_leaves_a_trail_without_secrets() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S", "username": "u", "password": "very-secret-1"})).await;
    api.call("PATCH", &device("S"), json!({"name": "new", "reboot": true})).await.expect(200, "changed");
    api.call("PATCH", &device("S"), json!({"username": "u2", "password": "very-secret-2"})).await.expect(200, "login");
    api.call("PUT", &operations("S"), json!({"operation": "factory"})).await.expect(200, "ordered");
    let set = json!({"serial_number": "S", "operation": "set", "variables": [
        {"variable_name": "Device.WiFi.AccessPoint.1.Security.KeyPassphrase", "value": "very-secret-3"}]});
    api.call("POST", HEADLESS, set).await.expect(201, "set");
    let parameters = format!("{}parameters/", device("S"));
    api.call("PATCH", &parameters, json!({"Device.X_Password": "very-secret-4"})).await.expect(202, "written");
    api.call("DELETE", &format!("{TRANSACTIONS}2/"), Value::Null).await.expect(204, "canceled");
    let body = json!({"name": "dash", "role": "viewer"});
    let token = api.call_as(ADMIN, "POST", "/api/v1/api_token/", body).await.expect(201, "made");
    api.call_as(ADMIN, "DELETE", &format!("/api/v1/api_token/{}/", token["id"]), Value::Null).await.expect(204, "gone");
    api.call("POST", HEADLESS, json!({"serial_number": "S"})).await.refused_fields(&["operation"], "no write");
    let reply = api.call("DELETE", &device("S"), Value::Null).await;
    let request_id = reply.header("x-request-id").to_owned();
    reply.expect(204, "removed");

    api.call("GET", AUDIT, Value::Null).await.refused(403, "for admins");
    let reply = api.call_as(ADMIN, "GET", &format!("{AUDIT}?limit=50"), Value::Null).await;
    assert!(!reply.text.contains("very-secret") && !reply.text.contains(token["token"].as_str().expect("a token")));
    let page = reply.expect(200, "all");
    let mut results: Vec<&Value> = page["results"].as_array().expect("results").iter().collect();
    results.reverse();
    let words: Vec<String> =
        results.iter().map(|one| format!("{} {} {}", one["action"], one["resource"], one["resource_id"])).collect();
    insta::assert_snapshot!(words.join("\n").replace('"', ""), @"
    create device S
    update device S
    update device S
    order operation 2
    order headless 3
    order headless 4
    cancel transaction 2
    create api_token 6
    delete api_token 6
    delete device S
    ");
    assert_eq!((&results[1]["before"]["name"], &results[1]["after"]["name"]), (&json!("S"), &json!("new")));
    assert_eq!(results[1]["after"]["operations"], json!(["reboot"]));
    assert_eq!(results[1]["before"].get("serial_number"), None, "what is the same is left out");
    assert_eq!((&results[2]["after"]["password"], &results[2]["after"]["username"]), (&json!("***"), &json!("u2")));
    assert_eq!(results[4]["after"]["variables"][0]["value"], "***");
    assert_eq!(results[5]["after"]["parameters"]["Device.X_Password"], "***");
    let last = results.last().expect("an entry");
    assert_eq!(
        (&last["request_id"], &last["token_name"], &last["after"]),
        (&json!(request_id), &json!("Operator"), &Value::Null)
    );
    assert_eq!((&last["organization_id"], &last["serial_number"]), (&json!(1), &json!("S")));
    for (query, count) in [
        ("resource=device", 4),
        ("serial_number=S", 8),
        ("token=1", 2),
        ("since=2120-01-01", 0),
        ("resource=webhook", 0),
    ] {
        let page = api.call_as(ADMIN, "GET", &format!("{AUDIT}?{query}"), Value::Null).await.expect(200, query);
        assert_eq!(page["count"], count, "{query}");
    }
    let wrong = api.call_as(ADMIN, "GET", &format!("{AUDIT}?resource=x&token=y&since=z"), Value::Null).await;
    wrong.refused_fields(&["resource", "token", "since"], "all wrong");
}

#[tokio::test]
async fn a_bound_admin_reads_the_trail_of_its_organizations() {
    let api = Api::start().await;
    let local = |organization: u32| {
        let body = json!({"name": format!("local {organization}"), "role": "admin", "organizations": [organization]});
        async { api.call_as(ADMIN, "POST", "/api/v1/api_token/", body).await }
    };
    let home = local(1).await.expect(201, "made")["token"].as_str().expect("a token").to_owned();
    api.create(json!({"serial_number": "S"})).await;
    let page = api.call_as(&home, "GET", AUDIT, Value::Null).await.expect(200, "its own");
    assert_eq!(page["count"], 2, "the token and the device");
    let elsewhere = acsd::model::token::TokenRecord {
        hash: acsd::auth::token::TokenHash::of("elsewhere").0,
        organizations: Some(vec![OrganizationId(7)]),
        ..api.store.tokens()[0].clone()
    };
    api.store.add_token(elsewhere).await.expect("added");
    assert_eq!(api.call_as("elsewhere", "GET", AUDIT, Value::Null).await.expect(200, "nothing")["count"], 0);
    api.call_as(OPERATOR, "GET", DEVICES, Value::Null).await.expect(200, "reads leave nothing");
    assert_eq!(api.call_as(ADMIN, "GET", AUDIT, Value::Null).await.expect(200, "all")["count"], 2);
}
