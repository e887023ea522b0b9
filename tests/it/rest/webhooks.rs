//! `/webhook/`: the records. Delivery is in `events`.

use serde_json::{Value, json};

use super::support::{ADMIN, Api, OPERATOR, VIEWER};

const WEBHOOKS: &str = "/api/v1/webhook/";

#[tokio::test]
async fn a_webhook_is_made_changed_and_removed_and_its_secret_shown_once() {
    let api = Api::start().await;
    let post = |body: Value| api.call_as(ADMIN, "POST", WEBHOOKS, body);
    let made =
        post(json!({"url": "https://example.net/hook", "kinds": ["status", "boot", "boot"]})).await.expect(201, "made");
    let secret = made["secret"].as_str().expect("a secret").to_owned();
    assert!(secret.len() >= 40, "{secret}");
    for (name, value) in [
        ("id", json!(1)),
        ("kinds", json!(["boot", "status"])),
        ("organizations", Value::Null),
        ("is_active", json!(true)),
        ("state", json!("active")),
        ("failures", json!(0)),
        ("paused_reason", Value::Null),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    let path = format!("{WEBHOOKS}1/");
    let reply = api.call_as(ADMIN, "GET", &path, Value::Null).await;
    assert!(!reply.text.contains("secret"), "{}", reply.text);
    let shown = reply.expect(200, "shown");
    let same = api.call_as(ADMIN, "PATCH", &path, shown.clone()).await.expect(200, "what was got can be sent back");
    assert_eq!(same, shown);
    let body = json!({"url": "http://127.0.0.1:1/", "kinds": null, "is_active": false, "secret": "0123456789abcdef"});
    let changed = api.call_as(ADMIN, "PATCH", &path, body).await.expect(200, "changed");
    assert_eq!((&changed["kinds"], &changed["state"], changed.get("secret")), (&Value::Null, &json!("inactive"), None));
    let replaced =
        api.call_as(ADMIN, "PUT", &path, json!({"url": "https://example.net/2"})).await.expect(200, "replaced");
    assert_eq!((&replaced["is_active"], &replaced["url"]), (&json!(true), &json!("https://example.net/2")));
    api.call_as(ADMIN, "PUT", &path, json!({})).await.refused_fields(&["url"], "PUT needs the URL");
    let wished = post(json!({"url": "https://example.net/", "id": 17, "secret": "given-by-the-caller"}))
        .await
        .expect(201, "wished");
    assert_eq!((&wished["id"], &wished["secret"]), (&json!(17), &json!("given-by-the-caller")));
    post(json!({"url": "https://example.net/", "id": 17})).await.refused(409, "taken");
    let list =
        api.call_as(ADMIN, "GET", &format!("{WEBHOOKS}?limit=1&offset=1"), Value::Null).await.expect(200, "list");
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(2), &json!(17)));
    api.call_as(ADMIN, "DELETE", &path, Value::Null).await.expect(204, "removed");
    for method in ["GET", "DELETE", "PATCH"] {
        let body = if method == "PATCH" { json!({}) } else { Value::Null };
        api.call_as(ADMIN, method, &path, body).await.refused(404, method);
    }
    let trail = api.call_as(ADMIN, "GET", "/api/v1/audit/?resource=webhook", Value::Null).await;
    assert!(!trail.text.contains(&secret) && !trail.text.contains("0123456789abcdef"), "{}", trail.text);
    let trail = trail.expect(200, "the trail");
    assert_eq!(trail["count"], 6);
    let update = &trail["results"][3];
    assert_eq!(update["after"]["secret"], "***", "{update}");
}

#[tokio::test]
async fn wrong_webhooks_are_refused_and_only_admins_may() {
    let api = Api::start().await;
    let post = |body: Value| api.call_as(ADMIN, "POST", WEBHOOKS, body);
    post(json!({})).await.refused_fields(&["url"], "nothing");
    for (name, value) in [
        ("url", json!("ftp://example.net/")),
        ("url", json!("https://u:p@example.net/")),
        ("url", json!("nonsense")),
        ("url", json!(5)),
        ("secret", json!("short")),
        ("secret", json!("with blanks in it all over")),
        ("kinds", json!([])),
        ("kinds", json!(["nonsense"])),
        ("kinds", json!("boot")),
        ("is_active", json!("true")),
        ("odd", json!(1)),
    ] {
        let mut body = json!({"url": "https://example.net/"});
        body[name] = value.clone();
        post(body).await.refused_fields(&[name], &value.to_string());
    }
    for token in [OPERATOR, VIEWER] {
        api.call_as(token, "GET", WEBHOOKS, Value::Null).await.refused(403, token);
        api.call_as(token, "POST", WEBHOOKS, json!({"url": "https://example.net/"})).await.refused(403, token);
    }
}

#[tokio::test]
async fn a_bound_admin_makes_and_sees_bound_webhooks_only() {
    let api = Api::start().await;
    let body = json!({"name": "local", "role": "admin", "organizations": [1]});
    let local = api.call_as(ADMIN, "POST", "/api/v1/api_token/", body).await.expect(201, "made");
    let local = local["token"].as_str().expect("the token");
    api.call_as(ADMIN, "POST", WEBHOOKS, json!({"url": "https://example.net/all"})).await.expect(201, "unbound");
    let made = api.call_as(local, "POST", WEBHOOKS, json!({"url": "https://example.net/1"})).await.expect(201, "bound");
    assert_eq!(made["organizations"], json!([1]));
    let list = api.call_as(local, "GET", WEBHOOKS, Value::Null).await.expect(200, "list");
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &made["id"]));
    api.call_as(local, "DELETE", &format!("{WEBHOOKS}1/"), Value::Null).await.refused(404, "the unbound one");
    assert_eq!(api.call_as(ADMIN, "GET", WEBHOOKS, Value::Null).await.expect(200, "list")["count"], 2);
}
