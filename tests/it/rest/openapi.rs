//! The description of the API is complete, and it is served.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::support::{
    ADMIN, Api, DEVICES, DIAGNOSTICS, HEADLESS, LOCATIONS, ORGANIZATIONS, TOKENS, TYPES, VIEWER, device, operations,
    record,
};

const IMAGES: &str = "/api/v1/firmware_image/";

#[tokio::test]
async fn the_description_has_every_route_and_is_served_without_a_token() {
    let api = Api::start().await;
    for path in ["/api/v1/openapi.json", "/api/v1/docs/", "/api/v1/docs", "/api/v1/docs/swagger-ui.css"] {
        let request = http::Request::builder().uri(format!("http://{}{path}", api.address));
        let reply = api.send(request.body(axum::body::Body::empty()).expect("a request")).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
    let described = api.call_as(VIEWER, "GET", "/api/v1/openapi.json", Value::Null).await.expect(200, "description");
    assert_eq!(described["openapi"], "3.1.0");
    let mut routes: Vec<String> = Vec::new();
    for (path, item) in described["paths"].as_object().expect("paths") {
        for method in item.as_object().expect("an item").keys() {
            routes.push(format!("{} {path}", method.to_uppercase()));
            assert!(item[method]["responses"].as_object().is_some_and(|all| !all.is_empty()), "{method} {path}");
        }
    }
    routes.sort_unstable();
    insta::assert_snapshot!(routes.join("\n"), @"
    DELETE /api/v1/api_token/{id}/
    DELETE /api/v1/campaign/{id}/
    DELETE /api/v1/firmware_image/{id}/
    DELETE /api/v1/inventory_device_diags/{id}/
    DELETE /api/v1/inventory_device_serial/{serial_number}/
    DELETE /api/v1/inventory_device_serial/{serial_number}/files/{id}/
    DELETE /api/v1/inventory_device_serial/{serial_number}/sessions/
    DELETE /api/v1/inventory_device_type/{id}/
    DELETE /api/v1/inventory_location/{id}/
    DELETE /api/v1/organization/{id}/
    DELETE /api/v1/transaction/{id}/
    DELETE /api/v1/webhook/{id}/
    GET /api/v1/api_token/
    GET /api/v1/api_token/{id}/
    GET /api/v1/audit/
    GET /api/v1/campaign/
    GET /api/v1/campaign/{id}/
    GET /api/v1/campaign/{id}/devices/
    GET /api/v1/event/
    GET /api/v1/event/stream/
    GET /api/v1/firmware_image/
    GET /api/v1/firmware_image/{id}/
    GET /api/v1/firmware_image/{id}/file/
    GET /api/v1/inventory_device_diags/
    GET /api/v1/inventory_device_diags/{id}/
    GET /api/v1/inventory_device_serial/
    GET /api/v1/inventory_device_serial/export/
    GET /api/v1/inventory_device_serial/{serial_number}/
    GET /api/v1/inventory_device_serial/{serial_number}/configuration/
    GET /api/v1/inventory_device_serial/{serial_number}/files/
    GET /api/v1/inventory_device_serial/{serial_number}/files/{id}/
    GET /api/v1/inventory_device_serial/{serial_number}/files/{id}/file/
    GET /api/v1/inventory_device_serial/{serial_number}/history/
    GET /api/v1/inventory_device_serial/{serial_number}/parameters/
    GET /api/v1/inventory_device_serial/{serial_number}/rpc/
    GET /api/v1/inventory_device_serial/{serial_number}/rpc/methods/
    GET /api/v1/inventory_device_serial/{serial_number}/rpc/{id}/
    GET /api/v1/inventory_device_serial/{serial_number}/sessions/
    GET /api/v1/inventory_device_serial/{serial_number}/sessions/{id}/
    GET /api/v1/inventory_device_serial_diags/
    GET /api/v1/inventory_device_serial_headless_operation/
    GET /api/v1/inventory_device_type/
    GET /api/v1/inventory_device_type/{id}/
    GET /api/v1/inventory_location/
    GET /api/v1/inventory_location/{id}/
    GET /api/v1/organization/
    GET /api/v1/organization/{id}/
    GET /api/v1/transaction/
    GET /api/v1/transaction/{id}/
    GET /api/v1/webhook/
    GET /api/v1/webhook/{id}/
    GET /healthz
    GET /metrics
    GET /readyz
    PATCH /api/v1/api_token/{id}/
    PATCH /api/v1/campaign/{id}/
    PATCH /api/v1/firmware_image/{id}/
    PATCH /api/v1/inventory_device_diags/{id}/
    PATCH /api/v1/inventory_device_serial/{serial_number}/
    PATCH /api/v1/inventory_device_serial/{serial_number}/configuration/
    PATCH /api/v1/inventory_device_serial/{serial_number}/parameters/
    PATCH /api/v1/inventory_device_type/{id}/
    PATCH /api/v1/inventory_location/{id}/
    PATCH /api/v1/organization/{id}/
    PATCH /api/v1/webhook/{id}/
    POST /api/v1/api_token/
    POST /api/v1/campaign/
    POST /api/v1/campaign/{id}/cancel/
    POST /api/v1/campaign/{id}/pause/
    POST /api/v1/campaign/{id}/resume/
    POST /api/v1/campaign/{id}/retry/
    POST /api/v1/campaign/{id}/start/
    POST /api/v1/firmware_image/
    POST /api/v1/inventory_device_diags/
    POST /api/v1/inventory_device_serial/
    POST /api/v1/inventory_device_serial/import/
    POST /api/v1/inventory_device_serial/{serial_number}/files/
    POST /api/v1/inventory_device_serial/{serial_number}/parameters/
    POST /api/v1/inventory_device_serial/{serial_number}/rpc/
    POST /api/v1/inventory_device_serial_diags/
    POST /api/v1/inventory_device_serial_headless_operation/
    POST /api/v1/inventory_device_type/
    POST /api/v1/inventory_location/
    POST /api/v1/organization/
    POST /api/v1/webhook/
    PUT /api/v1/api_token/{id}/
    PUT /api/v1/campaign/{id}/
    PUT /api/v1/firmware_image/{id}/
    PUT /api/v1/firmware_image/{id}/file/
    PUT /api/v1/inventory_device_serial/{serial_number}/
    PUT /api/v1/inventory_device_serial/{serial_number}/configuration/
    PUT /api/v1/inventory_device_serial_operation/{serial_number}/
    PUT /api/v1/inventory_device_type/{id}/
    PUT /api/v1/inventory_location/{id}/
    PUT /api/v1/organization/{id}/
    PUT /api/v1/webhook/{id}/
    ");
    check_references(&described, &described);
}

/// The golden file: what clients generate their code from changes by intent only.
#[tokio::test]
async fn the_description_is_the_one_in_the_repository() {
    let api = Api::start().await;
    let served = api.get("/api/v1/openapi.json").await.expect(200, "description");
    assert_eq!(served, acsd::api::router::description(), "what is served is what is described");
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&served).expect("JSON"));
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(&file, &text).expect("docs/openapi.json can be written");
    }
    let golden = std::fs::read_to_string(&file).expect("docs/openapi.json can be read");
    let differs = golden.lines().zip(text.lines()).position(|(golden, served)| golden != served);
    assert!(
        golden == text,
        "docs/openapi.json is not what acsd serves, from line {} on. If the API was meant to change, refresh the file:\n    \
         UPDATE_OPENAPI=1 cargo test --test it the_description_is_the_one\nand commit it.",
        differs.unwrap_or_else(|| golden.lines().count().min(text.lines().count())) + 1
    );
}

#[tokio::test]
async fn every_operation_is_described_in_full() {
    let api = Api::start().await;
    let described = api.get("/api/v1/openapi.json").await.expect(200, "description");
    let mut ids = BTreeSet::new();
    let tags: Vec<&Value> = described["tags"].as_array().expect("tags").iter().map(|tag| &tag["name"]).collect();
    for (path, item) in described["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an item") {
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().expect("an id")), "{name}: its id is taken");
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{name}: no summary");
            assert!(tags.contains(&&operation["tags"][0]), "{name}: its tag is not described");
            let is_open = path.ends_with('z') || path == "/metrics";
            assert_eq!(operation.get("security").is_some(), is_open, "{name}: who may do it");
            let responses = operation["responses"].as_object().expect("responses");
            let mut wanted = if is_open { vec!["200"] } else { vec!["400", "401", "403", "429", "500", "503"] };
            if path.contains('{') {
                wanted.push("404");
            }
            if operation["requestBody"].is_object() {
                wanted.push("415");
                check_body(&name, &operation["requestBody"], &described);
            }
            for status in wanted {
                assert!(responses.contains_key(status), "{name}: {status} is not described");
            }
            for (status, response) in responses {
                assert!(response["headers"]["X-Request-Id"].is_object(), "{name}: {status}");
                assert_eq!(
                    response["headers"]["Retry-After"].is_object(),
                    ["429", "503"].contains(&&**status),
                    "{name}"
                );
                assert_eq!(response["headers"]["WWW-Authenticate"].is_object(), *status == "401", "{name}");
                assert_eq!(response["content"].is_object(), status != "204", "{name}: {status}");
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                assert!(parameter["description"].is_string(), "{name}: {}", parameter["name"]);
            }
        }
    }
}

/// A request has an example, and takes no unknown fields.
fn check_body(name: &str, body: &Value, whole: &Value) {
    for content in body["content"].as_object().expect("content").values() {
        let schema = content["schema"]["$ref"].as_str().map_or(&content["schema"], |reference| {
            whole.pointer(reference.trim_start_matches('#')).expect("a schema")
        });
        assert!(
            content["example"].is_object() || content["example"].is_string() || schema["example"].is_object(),
            "{name}: no example"
        );
        assert!(is_closed(schema, whole), "{name}: open");
    }
}

/// A text, an object without unknown fields, or one of several such.
fn is_closed(schema: &Value, whole: &Value) -> bool {
    let resolve = |part: &Value| match part["$ref"].as_str() {
        Some(reference) => whole.pointer(reference.trim_start_matches('#')).expect("a schema").clone(),
        None => part.clone(),
    };
    match schema["oneOf"].as_array() {
        Some(forms) => forms.iter().all(|form| is_closed(&resolve(form), whole)),
        None => schema["type"] == "string" || schema["additionalProperties"] != Value::Null,
    }
}

/// The words of the description are those that answers have.
#[tokio::test]
async fn described_words_are_the_ones_in_use() {
    let api = Api::start().await;
    let described = api.get("/api/v1/openapi.json").await.expect(200, "description");
    let words = |schema: &str| described["components"]["schemas"][schema]["enum"].clone();
    assert_eq!(words("RoleWord"), json!(["viewer", "operator", "admin"]));
    assert_eq!(words("StatusWord"), json!(["scheduled", "in_progress", "completed", "failed", "expired", "canceled"]));
    let kinds = ["operation", "headless", "diag", "firmware", "configuration", "transfer", "rpc", "health"];
    assert_eq!(words("KindWord"), json!(kinds));
    assert_eq!(words("FileLoginWord"), json!(["none", "basic", "digest"]));
    assert_eq!(words("OperationWord"), json!(["reboot", "factory", "device_factory", "sync", "reconf"]));
    assert_eq!(words("HeadlessWord"), json!(["get", "set", "add.obj", "del.obj"]));
}

#[tokio::test]
async fn every_described_field_is_read() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api.make(LOCATIONS, json!({"name": "L"})).await;
    let hook = api.make("/api/v1/webhook/", json!({"url": "http://127.0.0.1:9/"})).await;
    let hook = hook["id"].as_u64().expect("an id");
    let image = api.make(IMAGES, json!({"name": "I"})).await["id"].as_u64().expect("an id");
    let described = api.get("/api/v1/openapi.json").await.expect(200, "description");
    let draft = json!({"name": "C", "operation": "sync", "selection": {}});
    let campaign = api.make("/api/v1/campaign/", draft).await["id"].clone();
    for (schema, method, path, count) in [
        ("DeviceCreate", "POST", DEVICES.to_owned(), 19),
        ("DeviceReplace", "PUT", device("S"), 18),
        ("DevicePatch", "PATCH", device("S"), 23),
        ("OperationOrder", "PUT", operations("S"), 1),
        ("HeadlessOrder", "POST", HEADLESS.to_owned(), 3),
        ("DiagnosticOrder", "POST", DIAGNOSTICS.to_owned(), 9),
        ("TokenCreate", "POST", TOKENS.to_owned(), 4),
        ("TokenChange", "PATCH", record(TOKENS, 1), 4),
        ("WebhookCreate", "POST", "/api/v1/webhook/".to_owned(), 5),
        ("WebhookFields", "PUT", record("/api/v1/webhook/", hook), 4),
        ("WebhookChange", "PATCH", record("/api/v1/webhook/", hook), 4),
        ("OrganizationCreate", "POST", ORGANIZATIONS.to_owned(), 4),
        ("OrganizationFields", "PATCH", record(ORGANIZATIONS, 1), 3),
        ("LocationCreate", "POST", LOCATIONS.to_owned(), 7),
        ("LocationFields", "PUT", record(LOCATIONS, 1), 6),
        ("DeviceTypeCreate", "POST", TYPES.to_owned(), 17),
        ("DeviceTypeFields", "PATCH", record(TYPES, 1), 16),
        ("WantedFields", "PATCH", format!("{}configuration/", device("S")), 3),
        ("FirmwareImageCreate", "POST", IMAGES.to_owned(), 7),
        ("FirmwareImageFields", "PATCH", record(IMAGES, image), 6),
        ("ParameterRefresh", "POST", format!("{}parameters/", device("S")), 2),
        ("CampaignCreate", "POST", "/api/v1/campaign/".to_owned(), 16),
        ("CampaignFields", "PATCH", format!("/api/v1/campaign/{campaign}/"), 15),
    ] {
        let mut names = Vec::new();
        properties(&described["components"]["schemas"][schema], &mut names);
        assert_eq!(names.len(), count, "{schema}: {names:?}");
        // An object is right for none of them: each has to be refused for that, and not for being unknown.
        let body: Map<String, Value> = names.iter().map(|name| (name.clone(), json!({"no": "object"}))).collect();
        let errors = api.call_as(ADMIN, method, &path, Value::Object(body)).await.expect(400, schema);
        for name in names {
            match &errors[&name] {
                Value::Array(reasons) => {
                    assert!(!reasons.contains(&json!("Unknown field.")), "{schema}.{name} is unknown");
                }
                // An object, of which the one field given is unknown.
                Value::Object(nested) => assert!(nested.contains_key("no"), "{schema}.{name}: {nested:?}"),
                other => panic!("{schema}.{name} is not read: {other}"),
            }
        }
    }
}

fn properties(schema: &Value, names: &mut Vec<String>) {
    names.extend(schema["properties"].as_object().into_iter().flat_map(Map::keys).cloned());
    for part in schema["allOf"].as_array().into_iter().flatten() {
        properties(part, names);
    }
}

/// Every `$ref` leads somewhere.
fn check_references(part: &Value, whole: &Value) {
    match part {
        Value::Object(object) => {
            if let Some(Value::String(reference)) = object.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("a local reference");
                assert!(whole.pointer(pointer).is_some(), "{reference} leads nowhere");
            }
            object.values().for_each(|value| check_references(value, whole));
        }
        Value::Array(items) => items.iter().for_each(|value| check_references(value, whole)),
        _ => {}
    }
}
