//! `/api_token/`.

use acsd::model::token::Role;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, DEVICES, ORGANIZATIONS, TOKENS, device, record};

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

#[tokio::test]
async fn a_token_is_changed_in_force_at_once() {
    let api = Api::start().await;
    api.make(ORGANIZATIONS, json!({"id": 7, "name": "seven"})).await;
    let made = api.make(TOKENS, json!({"name": "t", "role": "viewer", "organizations": [1]})).await;
    let (path, token) = (record(TOKENS, &made["id"]), made["token"].as_str().expect("the token"));
    api.call_as(token, "POST", DEVICES, json!({"serial_number": "S"})).await.refused(403, "a viewer");
    let changed = api.call_as(ADMIN, "PATCH", &path, json!({"role": "operator"})).await.expect(200, "patched");
    assert_eq!((&changed["name"], &changed["organizations"]), (&json!("t"), &json!([1])));
    assert!(changed.get("token").is_none());
    api.call_as(token, "POST", DEVICES, json!({"serial_number": "S"})).await.expect(201, "an operator");
    api.call_as(ADMIN, "PATCH", &path, json!({"organizations": [7, 7]})).await.expect(200, "moved");
    api.call_as(token, "GET", &device("S"), Value::Null).await.refused(404, "no longer its own");
    let shown = api.call_as(ADMIN, "GET", &path, Value::Null).await.expect(200, "shown");
    assert_eq!(shown["organizations"], json!([7]));
    let put = api.call_as(ADMIN, "PUT", &path, shown.clone()).await.expect(200, "sent back");
    assert_eq!(put["organizations"], shown["organizations"]);
    let put = api.call_as(ADMIN, "PUT", &path, json!({"name": "u", "role": "viewer"})).await.expect(200, "replaced");
    assert_eq!((&put["organizations"], &put["expires_at"]), (&Value::Null, &Value::Null));
    api.call_as(ADMIN, "PUT", &path, json!({})).await.refused_fields(&["name", "role"], "nothing");
    api.call_as(ADMIN, "PATCH", &path, json!({"organizations": [9]}))
        .await
        .refused_fields(&["organizations"], "unknown");
    api.call_as(ADMIN, "PATCH", &record(TOKENS, 99), json!({})).await.refused(404, "no such token");
}

#[tokio::test]
async fn a_parent_covers_its_children_as_the_tree_is_now() {
    let api = Api::start().await;
    for (id, parent) in [(7, None), (70, None), (700, Some(70))] {
        api.make(ORGANIZATIONS, json!({"id": id, "name": format!("org {id}"), "parent": parent})).await;
    }
    api.create(json!({"serial_number": "S", "organization_id": 700})).await;
    let seven = api.token("seven", Role::Admin, &[7]).await;
    let get = async |path: &str| api.call_as(&seven, "GET", path, Value::Null).await;
    get(&device("S")).await.refused(404, "elsewhere");
    api.call_as(ADMIN, "PATCH", &record(ORGANIZATIONS, 70), json!({"parent": 7})).await.expect(200, "moved");
    get(&device("S")).await.expect(200, "below it now");
    assert_eq!(get(DEVICES).await.expect(200, "list")["count"], 1);
    get(&format!("{DEVICES}?organization=700")).await.expect(200, "named");
    assert_eq!(get(&format!("{DEVICES}?organization=7")).await.expect(200, "named")["count"], 0, "exactly that one");
    assert_eq!(get(ORGANIZATIONS).await.expect(200, "organizations")["count"], 3);
    api.call_as(ADMIN, "PATCH", &record(ORGANIZATIONS, 70), json!({"parent": null})).await.expect(200, "moved back");
    get(&device("S")).await.refused(404, "elsewhere again");
}

#[tokio::test]
async fn a_bound_admin_rules_below_its_organizations() {
    let api = Api::start().await;
    for (id, parent) in [(7, Some(1)), (70, Some(7)), (8, None)] {
        api.make(ORGANIZATIONS, json!({"id": id, "name": format!("org {id}"), "parent": parent})).await;
    }
    let seven = api.token("seven", Role::Admin, &[7]).await;
    let call = async |method: &str, path: &str, body: Value| api.call_as(&seven, method, path, body).await;
    let own = call("GET", &record(ORGANIZATIONS, 7), Value::Null).await.expect(200, "its own");
    assert_eq!(own["parent"], Value::Null, "what is above is not told");
    let made = call("POST", ORGANIZATIONS, json!({"name": "new"})).await.expect(201, "below its own");
    assert_eq!(made["parent"], 7);
    for (case, body) in [("at the top", json!(null)), ("elsewhere", json!(8)), ("nowhere", json!(99))] {
        let body = json!({"name": "x", "parent": body});
        call("POST", ORGANIZATIONS, body.clone()).await.refused(403, case);
        call("PATCH", &record(ORGANIZATIONS, 70), body).await.refused(403, case);
    }
    for (method, body) in [("PATCH", json!({"name": "x"})), ("PUT", json!({"name": "x"})), ("DELETE", Value::Null)] {
        call(method, &record(ORGANIZATIONS, 7), body).await.refused(403, "its own");
    }
    let child = call("GET", &record(ORGANIZATIONS, 70), Value::Null).await.expect(200, "get");
    assert_eq!(call("PUT", &record(ORGANIZATIONS, 70), child.clone()).await.expect(200, "sent back"), child);
    let token = json!({"name": "t", "role": "admin", "organizations": [70]});
    call("POST", TOKENS, token).await.expect(201, "a token below");
    for organizations in [json!([1]), json!([7, 8])] {
        let token = json!({"name": "t", "role": "viewer", "organizations": organizations});
        call("POST", TOKENS, token).await.refused(403, "a token beyond");
    }
}
