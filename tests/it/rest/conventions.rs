//! rest-api.md §1: what holds on every path.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use acsd::api::ApiConfig;
use axum::body::Body;
use bytes::Bytes;
use http::header;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::support::{
    ADMIN, Api, DEVICES, EXPIRED, HEADLESS, OPERATOR, STRANGER, TRANSACTIONS, VIEWER, device, operations,
};

#[tokio::test]
async fn a_valid_token_is_needed_everywhere() {
    let api = Api::start().await;
    let paths = [DEVICES, &device("X"), HEADLESS, TRANSACTIONS, "/api/v1/api_token/", "/api/v1/transaction/1/"];
    for path in paths {
        for (case, value) in [
            ("missing", None),
            ("unknown", Some("Bearer nobody".to_owned())),
            ("expired", Some(format!("Bearer {EXPIRED}"))),
            ("other scheme", Some(format!("Token {ADMIN}"))),
            ("no token", Some("Bearer ".to_owned())),
            ("two tokens", Some(format!("Bearer {ADMIN} {ADMIN}"))),
        ] {
            let mut request = http::Request::builder().uri(format!("http://{}{path}", api.address));
            if let Some(value) = value {
                request = request.header(header::AUTHORIZATION, value);
            }
            let reply = api.send(request.body(Body::empty()).expect("a request")).await;
            assert_eq!(reply.header("www-authenticate"), "Bearer", "{case} {path}");
            reply.refused(401, &format!("{case} {path}"));
        }
    }
}

#[tokio::test]
async fn roles_permit_what_they_say() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let get = json!({"serial_number": "S", "operation": "get"});
    let table: [(&str, String, Value, u16, u16); 9] = [
        ("GET", DEVICES.into(), Value::Null, 200, 200),
        ("POST", DEVICES.into(), json!({"serial_number": "T"}), 403, 201),
        ("PATCH", device("S"), json!({"name": "x"}), 403, 200),
        ("PUT", device("S"), json!({}), 403, 400),
        ("PUT", operations("S"), json!({"operation": "reboot"}), 403, 200),
        ("POST", HEADLESS.into(), get, 403, 201),
        ("DELETE", "/api/v1/transaction/1/".into(), Value::Null, 403, 204),
        ("GET", "/api/v1/api_token/".into(), Value::Null, 403, 403),
        ("DELETE", device("S"), Value::Null, 403, 204),
    ];
    for (method, path, body, viewer, operator) in table {
        let case = format!("{method} {path}");
        let reply = api.call_as(VIEWER, method, &path, body.clone()).await;
        assert_eq!(reply.status, viewer, "viewer {case}: {}", reply.text);
        let reply = api.call_as(OPERATOR, method, &path, body).await;
        assert_eq!(reply.status, operator, "operator {case}: {}", reply.text);
    }
    api.call_as(ADMIN, "GET", "/api/v1/api_token/", Value::Null).await.expect(200, "admin");
}

#[tokio::test]
async fn organizations_outside_a_token_are_not_there() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let ordered = api.call("PUT", &operations("S"), json!({"operation": "reboot"})).await.expect(200, "order");
    let got = api.call("POST", HEADLESS, json!({"serial_number": "S", "operation": "get"})).await.expect(201, "get");
    let got = got["id"].as_str().expect("an id");
    let stranger = |method: &'static str, path: String, body: Value| {
        let api = &api;
        async move { api.call_as(STRANGER, method, &path, body).await }
    };
    for (method, path, body) in [
        ("GET", device("S"), Value::Null),
        ("PATCH", device("S"), json!({"name": "x"})),
        ("DELETE", device("S"), Value::Null),
        ("PUT", operations("S"), json!({"operation": "reboot"})),
        ("POST", HEADLESS.into(), json!({"serial_number": "S", "operation": "get"})),
        ("GET", format!("{HEADLESS}?id={got}"), Value::Null),
        ("GET", format!("{TRANSACTIONS}{}/", ordered["id"]), Value::Null),
        ("DELETE", format!("{TRANSACTIONS}{}/", ordered["id"]), Value::Null),
        ("GET", format!("{}parameters/", device("S")), Value::Null),
    ] {
        stranger(method, path.clone(), body).await.refused(404, &format!("{method} {path}"));
    }
    stranger("GET", format!("{DEVICES}?organization=1"), Value::Null).await.refused(403, "a named organization");
    stranger("POST", DEVICES.into(), json!({"serial_number": "T"})).await.refused(403, "the default organization");
    let unknown = json!({"serial_number": "T", "organization_id": 9});
    stranger("POST", DEVICES.into(), unknown).await.refused(403, "outside, and none that exists");
    let list = stranger("GET", DEVICES.into(), Value::Null).await.expect(200, "the list");
    assert_eq!(list["count"], 0);
    let list = stranger("GET", TRANSACTIONS.into(), Value::Null).await.expect(200, "transactions");
    assert_eq!(list["count"], 0);
    let list = stranger("GET", format!("{HEADLESS}?serial_number=S"), Value::Null).await.expect(200, "headless");
    assert_eq!(list, json!([]));
}

#[tokio::test]
async fn paths_and_methods_answer_in_json() {
    let api = Api::start().await;
    for path in ["/", "/api/v1/", "/api/v1/nothing/", "/api/v2/inventory_device_serial/", "/api/v1/docs/none.css"] {
        api.get(path).await.refused(404, path);
    }
    let reply = api.call("DELETE", DEVICES, Value::Null).await;
    let mut allowed: Vec<&str> = reply.header("allow").split(',').map(str::trim).collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "POST"]);
    reply.refused(405, "DELETE on the list");
    let created = api.call("POST", DEVICES.trim_end_matches('/'), json!({"serial_number": "S"})).await;
    created.expect(201, "without the slash");
    for path in [device("S"), device("S").trim_end_matches('/').to_owned()] {
        api.get(&path).await.expect(200, &path);
    }
}

#[tokio::test]
async fn bodies_are_checked_before_they_are_read() {
    let api = Api::start().await;
    let send = |kind: Option<&'static str>, body: Vec<u8>| {
        let mut request = api.request("POST", DEVICES, OPERATOR);
        if let Some(kind) = kind {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        api.send(request.body(Body::from(body)).expect("a request"))
    };
    let json = Some("application/json");
    for (case, kind, body, status) in [
        ("malformed", json, &b"{\"serial_number\": "[..], 400),
        ("empty", json, b"", 400),
        ("an array", json, b"[]", 400),
        ("not UTF-8", json, b"{\"serial_number\": \"\xff\"}", 400),
        ("a form", Some("application/x-www-form-urlencoded"), b"serial_number=S", 415),
        ("no type", None, b"{}", 415),
        ("another charset", Some("application/json; charset=utf-16"), b"{}", 415),
    ] {
        let reply = send(kind, body.to_vec()).await;
        if case == "malformed" {
            assert!(reply.json["detail"].as_str().expect("text").starts_with("JSON parse error - "), "{}", reply.text);
        }
        reply.refused(status, case);
    }
    let long = |bytes: usize| {
        let body = json!({"serial_number": "S", "x": ""}).to_string();
        let fill = "y".repeat(bytes - body.len());
        json!({"serial_number": "S", "x": fill}).to_string().into_bytes()
    };
    send(json, long(1024 * 1024)).await.refused_fields(&["x"], "at the limit");
    send(json, long(1024 * 1024 + 1)).await.refused(413, "over the limit");
    // Without a length, too.
    let chunks = long(1024 * 1024 + 1).chunks(64 * 1024).rev().map(Bytes::copy_from_slice).collect();
    let request = api.request("POST", DEVICES, OPERATOR).header(header::CONTENT_TYPE, "application/json");
    api.send(request.body(Body::new(Chunks(chunks))).expect("a request")).await.refused(413, "chunked");
    send(Some("application/json; charset=utf-8"), b"{\"serial_number\": \"S\"}".to_vec()).await.expect(201, "fine");
}

/// Many clients read no answer before they have sent everything.
#[tokio::test]
async fn a_client_that_sends_all_of_a_refused_body_gets_its_answer() {
    let api = Api::start().await;
    let long = vec![b' '; 6 * 1024 * 1024];
    for (case, token, path, want) in [
        ("too large", OPERATOR, DEVICES, "HTTP/1.1 413"),
        ("no token", "none", DEVICES, "HTTP/1.1 401"),
        ("no route", OPERATOR, "/api/v1/nothing/", "HTTP/1.1 404"),
    ] {
        let mut stream = TcpStream::connect(api.address).await.expect("connected");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            long.len()
        );
        stream.write_all(head.as_bytes()).await.expect(case);
        stream.write_all(&long).await.expect(case);
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.expect(case);
        assert_eq!(String::from_utf8_lossy(&start), want, "{case}");
    }
}

/// A body in chunks, of unknown length; the last chunk first.
struct Chunks(Vec<Bytes>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[tokio::test]
async fn request_ids_are_kept_when_sane() {
    let api = Api::start().await;
    for (sent, kept) in [("my-id.1", true), ("my id", false)] {
        let request = api.request("GET", DEVICES, VIEWER).header("x-request-id", sent);
        let reply = api.send(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(reply.header("x-request-id") == sent, kept, "{sent}");
    }
}

#[tokio::test]
async fn a_token_that_asks_too_often_is_told_when_to_come_again() {
    let config = ApiConfig { rate_per_second: 1, rate_burst: 3, ..ApiConfig::default() };
    let api = Api::with(config).await;
    for _ in 0..3 {
        api.get(DEVICES).await.expect(200, "within the burst");
    }
    let reply = api.get(DEVICES).await;
    assert!(reply.header("retry-after").parse::<u64>().expect("seconds") >= 1);
    reply.refused(429, "over the burst");
    api.call_as(VIEWER, "GET", DEVICES, Value::Null).await.expect(200, "another token");
    let unlimited = Api::with(ApiConfig { rate_per_second: 0, ..ApiConfig::default() }).await;
    for _ in 0..500 {
        unlimited.get("/api/v1/transaction/1/").await.refused(404, "no limit");
    }
}

#[tokio::test]
async fn a_failing_store_shows_an_id_and_nothing_else() {
    let api = Api::start().await;
    api.get("/readyz").await.expect(200, "ready");
    api.store.close().await.expect("closed");
    let reply = api.get(DEVICES).await;
    assert_eq!(reply.json["request_id"], reply.header("x-request-id"));
    assert!(!reply.text.contains("closed"), "{}", reply.text);
    reply.refused(503, "the store is closed");
    let reply = api.get("/readyz").await;
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json["ready"], false);
    assert!(reply.json["reasons"][0].as_str().expect("a reason").contains("closed"));
    assert_eq!(api.get("/healthz").await.status, 200);
}

#[tokio::test]
async fn health_and_metrics_need_no_token_unless_told() {
    let api = Api::start().await;
    let bare = |api: &Api, path: &str| {
        let request = http::Request::builder().uri(format!("http://{}{path}", api.address));
        request.body(Body::empty()).expect("a request")
    };
    for path in ["/healthz", "/healthz/", "/readyz", "/metrics"] {
        let request = bare(&api, path);
        assert_eq!(api.send(request).await.status, 200, "{path}");
    }
    api.draining.cancel();
    let request = bare(&api, "/readyz");
    let reply = api.send(request).await;
    assert_eq!((reply.status, &reply.json["reasons"][0]), (503, &json!("acsd is stopping")));
    let guarded = Api::with(ApiConfig { metrics_token_required: true, ..ApiConfig::default() }).await;
    let request = bare(&guarded, "/metrics");
    guarded.send(request).await.refused(401, "a guarded scrape");
    assert_eq!(guarded.call_as(VIEWER, "GET", "/metrics", Value::Null).await.status, 200);
}
