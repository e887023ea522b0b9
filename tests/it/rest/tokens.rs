//! `/api_token/`.

use serde_json::{Value, json};

use super::support::{ADMIN, Api, DEVICES};

const TOKENS: &str = "/api/v1/api_token/";

#[tokio::test]
async fn a_token_is_shown_once_works_and_is_revoked_at_once() {
    let api = Api::start().await;
    let body = json!({"name": "dash", "role": "viewer", "organizations": [1], "expires_at": "2124-01-01"});
    let made = api.call_as(ADMIN, "POST", TOKENS, body).await.expect(201, "made");
    let token = made["token"].as_str().expect("the token").to_owned();
    assert!(token.starts_with(made["prefix"].as_str().expect("a prefix")));
    for (name, value) in [
        ("name", json!("dash")),
        ("role", json!("viewer")),
        ("organizations", json!([1])),
        ("expires_at", json!("2124-01-01T00:00:00Z")),
        ("last_used_at", Value::Null),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    api.call_as(&token, "GET", DEVICES, Value::Null).await.expect(200, "it works");
    let path = format!("{TOKENS}{}/", made["id"]);
    let shown = api.call_as(ADMIN, "GET", &path, Value::Null).await.expect(200, "shown");
    assert!(shown.get("token").is_none() && shown["last_used_at"].is_string(), "{shown}");
    let list = api.call_as(ADMIN, "GET", TOKENS, Value::Null).await.expect(200, "list");
    assert_eq!(list["count"], 6);
    api.call_as(ADMIN, "DELETE", &path, Value::Null).await.expect(204, "revoked");
    api.call_as(&token, "GET", DEVICES, Value::Null).await.refused(401, "revoked");
    api.call_as(ADMIN, "DELETE", &path, Value::Null).await.refused(404, "gone");
}

#[tokio::test]
async fn wrong_tokens_are_not_made() {
    let api = Api::start().await;
    let post = |body: Value| api.call_as(ADMIN, "POST", TOKENS, body);
    post(json!({})).await.refused_fields(&["name", "role"], "nothing");
    post(json!({"name": "", "role": "root", "organizations": [5], "expires_at": "2001-01-01", "odd": 1}))
        .await
        .refused_fields(&["name", "role", "organizations", "expires_at", "odd"], "all wrong");
    for (name, value) in [
        ("organizations", json!([])),
        ("organizations", json!(1)),
        ("organizations", json!(["1"])),
        ("expires_at", json!("soon")),
        ("expires_at", json!(5)),
    ] {
        let mut body = json!({"name": "n", "role": "admin"});
        body[name] = value.clone();
        post(body).await.refused_fields(&[name], &value.to_string());
    }
}

#[tokio::test]
async fn a_bound_admin_makes_and_sees_bound_tokens_only() {
    let api = Api::start().await;
    let body = json!({"name": "local", "role": "admin", "organizations": [1]});
    let made = api.call_as(ADMIN, "POST", TOKENS, body).await.expect(201, "made");
    let local = made["token"].as_str().expect("the token");
    let made = api.call_as(local, "POST", TOKENS, json!({"name": "n", "role": "viewer"})).await.expect(201, "made");
    assert_eq!(made["organizations"], json!([1]), "the maker's own");
    let list = api.call_as(local, "GET", TOKENS, Value::Null).await.expect(200, "list");
    assert_eq!(list["count"], 2);
    api.call_as(local, "DELETE", &format!("{TOKENS}1/"), Value::Null).await.refused(404, "an unbound one");
}
