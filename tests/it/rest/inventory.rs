//! rest-api.md §4: organizations, locations, and what devices make of them.

use acsd::model::device::TypeOrigin;
use acsd::model::token::Role;
use serde_json::{Value, json};

use super::support::{ADMIN, Api, DEVICES, LOCATIONS, ORGANIZATIONS, TOKENS, TYPES, VIEWER, device, record};

#[track_caller]
fn keys(value: &Value, wanted: &[&str]) {
    let mut given: Vec<&str> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    let mut wanted = wanted.to_vec();
    given.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(given, wanted);
}

#[tokio::test]
async fn a_fresh_store_has_one_organization_and_one_type() {
    let api = Api::start().await;
    let list = api.get(ORGANIZATIONS).await.expect(200, "organizations");
    keys(&list, &["count", "next", "previous", "results"]);
    keys(&list["results"][0], &["id", "name", "short_name", "parent", "created"]);
    assert_eq!((&list["count"], &list["results"][0]["id"]), (&json!(1), &json!(1)));
    let list = api.get(TYPES).await.expect(200, "types");
    assert_eq!((&list["count"], &list["results"][0]["short_name"]), (&json!(1), &json!("generic")));
    let list = api.get(LOCATIONS).await.expect(200, "locations");
    assert_eq!(list["count"], 0);
    for list in [ORGANIZATIONS, TYPES] {
        let reply = api.call_as(ADMIN, "DELETE", &record(list, 1), Value::Null).await;
        assert!(reply.json["dependents"].is_object(), "{}", reply.text);
        reply.refused(409, "the default");
    }
}

#[tokio::test]
async fn organizations_come_and_go() {
    let api = Api::start().await;
    let made = api.make(ORGANIZATIONS, json!({"id": 123, "name": "Zequenze", "short_name": "ZN", "parent": 1})).await;
    for (name, value) in [("id", json!(123)), ("short_name", json!("ZN")), ("parent", json!(1))] {
        assert_eq!(made[name], value, "{name}");
    }
    let path = record(ORGANIZATIONS, 123);
    assert_eq!(api.call_as(VIEWER, "GET", &path, Value::Null).await.expect(200, "get"), made);
    assert_eq!(api.call_as(ADMIN, "PUT", &path, made.clone()).await.expect(200, "sent back"), made);
    let changed = api.call_as(ADMIN, "PATCH", &path, json!({"name": "Z"})).await.expect(200, "patch");
    assert_eq!((&changed["name"], &changed["short_name"]), (&json!("Z"), &json!("ZN")));
    let replaced = api.call_as(ADMIN, "PUT", &path, json!({"name": "Y"})).await.expect(200, "put");
    assert_eq!((&replaced["short_name"], &replaced["parent"]), (&json!("Y"), &Value::Null), "back to the defaults");
    let next = api.make(ORGANIZATIONS, json!({"short_name": "next"})).await;
    assert_eq!((&next["id"], &next["name"]), (&json!(124), &json!("next")));
    let page = api.get(&format!("{ORGANIZATIONS}?limit=1&offset=1")).await.expect(200, "page");
    assert_eq!((&page["count"], &page["results"][0]["id"]), (&json!(3), &json!(123)));
    assert!(page["next"].is_string() && page["previous"].is_string());
    api.call_as(ADMIN, "DELETE", &path, Value::Null).await.expect(204, "gone");
    api.get(&path).await.refused(404, "gone");
    api.call_as(ADMIN, "DELETE", &path, Value::Null).await.refused(404, "gone");
    api.get(&record(ORGANIZATIONS, "x")).await.refused(404, "no number");
}

#[tokio::test]
async fn wrong_organizations_are_refused_with_all_reasons() {
    let api = Api::start().await;
    let post = |body: Value| api.call_as(ADMIN, "POST", ORGANIZATIONS, body);
    post(json!({})).await.refused_fields(&["name"], "nothing");
    post(json!({"name": 5, "short_name": "", "parent": 99, "id": 0, "odd": 1}))
        .await
        .refused_fields(&["name", "short_name", "parent", "id", "odd"], "all wrong");
    for (id, parent) in [(10, json!(1)), (20, json!(10)), (30, json!(20))] {
        api.make(ORGANIZATIONS, json!({"id": id, "name": format!("o{id}"), "parent": parent})).await;
    }
    for (id, parent) in [(10, 30), (10, 10), (1, 30)] {
        let reply = api.call_as(ADMIN, "PATCH", &record(ORGANIZATIONS, id), json!({"parent": parent})).await;
        reply.refused_fields(&["parent"], &format!("{id} below {parent}"));
    }
    post(json!({"id": 10, "name": "again"})).await.refused(409, "the id");
    post(json!({"name": "O20", "parent": 10})).await.refused(409, "the short name beside it");
    post(json!({"name": "o20", "parent": 1})).await.expect(201, "the short name elsewhere");
    let taken = json!({"parent": 1});
    api.call_as(ADMIN, "PATCH", &record(ORGANIZATIONS, 20), taken).await.refused(409, "moved beside its namesake");
}

#[tokio::test]
async fn what_is_referred_to_stays() {
    let api = Api::start().await;
    api.make(ORGANIZATIONS, json!({"id": 5, "name": "five"})).await;
    api.make(ORGANIZATIONS, json!({"id": 6, "name": "six", "parent": 5})).await;
    api.make(TYPES, json!({"id": 5, "name": "five"})).await;
    api.make(LOCATIONS, json!({"id": 5, "name": "five", "organization_id": 5})).await;
    api.make(TOKENS, json!({"name": "t", "role": "viewer", "organizations": [5]})).await;
    let body = json!({"serial_number": "S", "organization_id": 5, "type": 5, "location": 5});
    api.make(DEVICES, body).await;
    let five = api.token("an-admin-of-five", Role::Admin, &[5]).await;
    let hook = json!({"url": "https://receiver.example/", "is_active": false});
    api.call_as(&five, "POST", "/api/v1/webhook/", hook).await.expect(201, "a webhook");
    for (list, dependents) in [
        (ORGANIZATIONS, json!({"devices": 1, "organizations": 1, "tokens": 2, "locations": 1, "webhooks": 1})),
        (TYPES, json!({"devices": 1})),
        (LOCATIONS, json!({"devices": 1})),
    ] {
        let reply = api.call_as(ADMIN, "DELETE", &record(list, 5), Value::Null).await;
        assert_eq!(reply.json["dependents"], dependents, "{list}: {}", reply.text);
        reply.refused(409, list);
    }
    api.call_as(ADMIN, "DELETE", &device("S"), Value::Null).await.expect(204, "the device");
    for list in [TYPES, LOCATIONS] {
        api.call_as(ADMIN, "DELETE", &record(list, 5), Value::Null).await.expect(204, list);
    }
    let reply = api.call_as(ADMIN, "DELETE", &record(ORGANIZATIONS, 5), Value::Null).await;
    assert_eq!(reply.json["dependents"], json!({"organizations": 1, "tokens": 2, "webhooks": 1}));
}

#[tokio::test]
async fn locations_come_and_go() {
    let api = Api::start().await;
    let body = json!({"id": 45, "name": "Headquarters - Building A", "short_name": "HQ_BLDG_A", "address": "Market St",
        "latitude": 37.7749, "longitude": "-122.4194"});
    let made = api.call("POST", LOCATIONS, body).await.expect(201, "an operator");
    let fields = ["id", "name", "short_name", "address", "latitude", "longitude", "organization_id", "created"];
    keys(&made, &fields);
    assert_eq!((&made["latitude"], &made["organization_id"]), (&json!("37.7749"), &Value::Null));
    let path = record(LOCATIONS, 45);
    assert_eq!(api.call("PUT", &path, made.clone()).await.expect(200, "sent back"), made);
    let bare = api.call("PUT", &path, json!({"name": "HQ"})).await.expect(200, "put");
    assert_eq!((&bare["address"], &bare["latitude"], &bare["short_name"]), (&json!(""), &Value::Null, &json!("HQ")));
    api.call("PATCH", &path, json!({"latitude": 91, "name": "", "address": 1, "organization_id": 77}))
        .await
        .refused_fields(&["latitude", "name", "address", "organization_id"], "all wrong");
    api.call("POST", LOCATIONS, json!({"name": "hq"})).await.refused(409, "the short name");
    api.call("POST", LOCATIONS, json!({"name": "X", "id": 45})).await.refused(409, "the id");
    api.call("DELETE", &path, Value::Null).await.expect(204, "gone");
    api.get(&path).await.refused(404, "gone");
}

#[tokio::test]
async fn a_location_is_for_its_organization_and_those_below() {
    let api = Api::start().await;
    for (id, parent) in [(7, None), (70, Some(7)), (8, None)] {
        api.make(ORGANIZATIONS, json!({"id": id, "name": format!("org {id}"), "parent": parent})).await;
    }
    let seven = api.token("seven", Role::Operator, &[7]).await;
    let made = api.call_as(&seven, "POST", LOCATIONS, json!({"name": "ours", "id": 1})).await.expect(201, "made");
    assert_eq!(made["organization_id"], 7, "the maker's own");
    for wrong in [json!(null), json!(8), json!(99)] {
        let body = json!({"name": "theirs", "organization_id": wrong});
        api.call_as(&seven, "POST", LOCATIONS, body).await.refused(403, "outside the token");
    }
    api.make(LOCATIONS, json!({"name": "shared", "id": 2})).await;
    api.call_as(&seven, "GET", &record(LOCATIONS, 2), Value::Null).await.expect(200, "a shared one is seen");
    for (method, body) in [("PATCH", json!({"name": "x"})), ("PUT", json!({"name": "x"})), ("DELETE", Value::Null)] {
        api.call_as(&seven, method, &record(LOCATIONS, 2), body).await.refused(403, "a shared one is not changed");
    }
    for (serial, organization, location, status) in
        [("A", 7, 1, 201), ("B", 70, 1, 201), ("C", 8, 1, 400), ("D", 8, 2, 201), ("E", 7, 9, 400)]
    {
        let body = json!({"serial_number": serial, "organization_id": organization, "location": location});
        let reply = api.call("POST", DEVICES, body).await;
        assert_eq!(reply.status, status, "{serial}: {}", reply.text);
    }
    let moved = json!({"organization_id": 8});
    api.call("PATCH", &device("A"), moved).await.refused_fields(&["location"], "its location stays behind");
    let moved = json!({"organization_id": 8, "location": 2});
    let moved = api.call("PATCH", &device("A"), moved).await.expect(200, "moved with its location");
    assert_eq!(moved["location_short_name"], "shared");
    let reply = api.call("PATCH", &record(LOCATIONS, 2), json!({"organization_id": 7})).await;
    assert_eq!(reply.json["dependents"], json!({"devices": 2}));
    reply.refused(409, "devices of 8 stand there");
    api.call("PATCH", &record(LOCATIONS, 1), json!({"organization_id": 70})).await.expect(200, "only B stands there");
    let found = api.call_as(&seven, "PATCH", &device("B"), json!({"name": "b"})).await.expect(200, "b");
    assert_eq!(found["location"], 1);
}

#[tokio::test]
async fn devices_name_what_there_is() {
    let api = Api::start().await;
    let wrong = json!({"serial_number": "S", "type": 5, "organization_id": 123, "location": 45});
    api.call("POST", DEVICES, wrong.clone()).await.refused_fields(&["type", "organization_id", "location"], "not yet");
    for (query, parameter) in [("type=5", "type"), ("organization=123", "organization"), ("type=x", "type")] {
        api.get(&format!("{DEVICES}?{query}")).await.refused_fields(&[parameter], query);
    }
    api.make(ORGANIZATIONS, json!({"id": 123, "name": "Z"})).await;
    api.make(ORGANIZATIONS, json!({"id": 124, "name": "below", "parent": 123})).await;
    api.make(TYPES, json!({"id": 5, "short_name": "enterprise_router"})).await;
    api.make(LOCATIONS, json!({"id": 45, "name": "HQ", "short_name": "HQ_BLDG_A"})).await;
    let made = api.create(wrong).await;
    for (name, value) in [
        ("type_short_name", json!("enterprise_router")),
        ("location_short_name", json!("HQ_BLDG_A")),
        ("organization_id", json!(123)),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    api.create(json!({"serial_number": "T", "organization_id": 124})).await;
    for (query, count) in [("type=5", 1), ("type=1", 1), ("organization=123", 1), ("organization=124", 1)] {
        let list = api.get(&format!("{DEVICES}?{query}")).await.expect(200, query);
        assert_eq!(list["count"], count, "{query}");
    }
    let row = &api.get(&format!("{DEVICES}?type=5")).await.expect(200, "list")["results"][0];
    assert_eq!(
        (&row["type_short_name"], &row["location_short_name"]),
        (&json!("enterprise_router"), &json!("HQ_BLDG_A"))
    );
    api.call_as(ADMIN, "PATCH", &record(TYPES, 5), json!({"short_name": "er"})).await.expect(200, "renamed");
    assert_eq!(api.get(&device("S")).await.expect(200, "get")["type_short_name"], "er");
}

#[tokio::test]
async fn a_change_that_may_change_the_configuration_is_counted() {
    let api = Api::start().await;
    api.make(TYPES, json!({"id": 5, "name": "five"})).await;
    let made = api.create(json!({"serial_number": "S"})).await;
    let profile = async || api.store.by_serial("S").await.expect("the store").expect("the device").profile;
    let (revision, origin) = (profile().await.revision, profile().await.type_origin);
    assert_eq!(origin, TypeOrigin::Default);
    api.call("PUT", &device("S"), made).await.expect(200, "sent back");
    let same = profile().await;
    assert_eq!((same.revision, same.type_origin), (revision, TypeOrigin::Default), "nothing was chosen");
    let generic = record(TYPES, 1);
    let of_type = |secs: u32| api.call_as(ADMIN, "PATCH", &generic, json!({"update_frequency": secs}));
    of_type(60).await.expect(200, "for all of the type");
    let shown = api.get(&device("S")).await.expect(200, "get");
    assert_eq!(shown["update_frequency"], 60);
    api.call("PUT", &device("S"), shown).await.expect(200, "sent back");
    of_type(90).await.expect(200, "for all of the type");
    assert_eq!(api.get(&device("S")).await.expect(200, "get")["update_frequency"], 90, "the type's still counts");
    let revision = profile().await.revision;
    api.call("PATCH", &device("S"), json!({"tags": ["a"], "debug": true})).await.expect(200, "nothing of it");
    assert_eq!(profile().await.revision, revision);
    let mut last = revision;
    for body in [
        json!({"name": "x"}),
        json!({"customer_id": "x"}),
        json!({"description": "x"}),
        json!({"location_name": "x"}),
        json!({"latitude": "1"}),
        json!({"longitude": "1"}),
        json!({"type": 5}),
    ] {
        api.call("PATCH", &device("S"), body.clone()).await.expect(200, "changed");
        let now = profile().await.revision;
        assert_ne!(now, last, "{body}");
        last = now;
    }
    assert_eq!(profile().await.type_origin, TypeOrigin::Operator);
}
