//! The description of the API is complete, and it is served.

use serde_json::{Map, Value, json};

use super::support::{ADMIN, Api, DEVICES, HEADLESS, VIEWER, device, operations};

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
    DELETE /api/v1/inventory_device_serial/{serial_number}/
    DELETE /api/v1/transaction/{id}/
    GET /api/v1/api_token/
    GET /api/v1/api_token/{id}/
    GET /api/v1/inventory_device_serial/
    GET /api/v1/inventory_device_serial/export/
    GET /api/v1/inventory_device_serial/{serial_number}/
    GET /api/v1/inventory_device_serial/{serial_number}/parameters/
    GET /api/v1/inventory_device_serial_headless_operation/
    GET /api/v1/transaction/
    GET /api/v1/transaction/{id}/
    GET /healthz
    GET /metrics
    GET /readyz
    PATCH /api/v1/inventory_device_serial/{serial_number}/
    PATCH /api/v1/inventory_device_serial/{serial_number}/parameters/
    POST /api/v1/api_token/
    POST /api/v1/inventory_device_serial/
    POST /api/v1/inventory_device_serial/import/
    POST /api/v1/inventory_device_serial/{serial_number}/parameters/
    POST /api/v1/inventory_device_serial_headless_operation/
    PUT /api/v1/inventory_device_serial/{serial_number}/
    PUT /api/v1/inventory_device_serial_operation/{serial_number}/
    ");
    check_references(&described, &described);
}

#[tokio::test]
async fn every_described_field_is_read() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let described = api.get("/api/v1/openapi.json").await.expect(200, "description");
    for (schema, method, path, count) in [
        ("DeviceCreate", "POST", DEVICES.to_owned(), 19),
        ("DeviceFields", "PUT", device("S"), 17),
        ("DevicePatch", "PATCH", device("S"), 22),
        ("OperationOrder", "PUT", operations("S"), 1),
        ("HeadlessOrder", "POST", HEADLESS.to_owned(), 3),
        ("TokenCreate", "POST", "/api/v1/api_token/".to_owned(), 4),
        ("ParameterRefresh", "POST", format!("{}parameters/", device("S")), 1),
    ] {
        let mut names = Vec::new();
        properties(&described["components"]["schemas"][schema], &mut names);
        assert_eq!(names.len(), count, "{schema}: {names:?}");
        // An object is right for none of them: each has to be refused for that, and not for being unknown.
        let body: Map<String, Value> = names.iter().map(|name| (name.clone(), json!({"no": "object"}))).collect();
        let errors = api.call_as(ADMIN, method, &path, Value::Object(body)).await.expect(400, schema);
        for name in names {
            let reasons = errors[&name].as_array().unwrap_or_else(|| panic!("{schema}.{name} is not read"));
            assert!(!reasons.contains(&json!("Unknown field.")), "{schema}.{name} is unknown");
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
