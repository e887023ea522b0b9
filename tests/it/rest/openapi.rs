//! The description of the API is complete, and it is served.

use serde_json::{Map, Value, json};

use super::support::{
    ADMIN, Api, DEVICES, HEADLESS, LOCATIONS, ORGANIZATIONS, TOKENS, TYPES, VIEWER, device, operations, record,
};

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
    DELETE /api/v1/inventory_device_serial/{serial_number}/sessions/
    DELETE /api/v1/inventory_device_type/{id}/
    DELETE /api/v1/inventory_location/{id}/
    DELETE /api/v1/organization/{id}/
    DELETE /api/v1/transaction/{id}/
    DELETE /api/v1/webhook/{id}/
    GET /api/v1/api_token/
    GET /api/v1/api_token/{id}/
    GET /api/v1/audit/
    GET /api/v1/event/
    GET /api/v1/event/stream/
    GET /api/v1/inventory_device_serial/
    GET /api/v1/inventory_device_serial/export/
    GET /api/v1/inventory_device_serial/{serial_number}/
    GET /api/v1/inventory_device_serial/{serial_number}/configuration/
    GET /api/v1/inventory_device_serial/{serial_number}/parameters/
    GET /api/v1/inventory_device_serial/{serial_number}/sessions/
    GET /api/v1/inventory_device_serial/{serial_number}/sessions/{id}/
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
    PATCH /api/v1/inventory_device_serial/{serial_number}/
    PATCH /api/v1/inventory_device_serial/{serial_number}/configuration/
    PATCH /api/v1/inventory_device_serial/{serial_number}/parameters/
    PATCH /api/v1/inventory_device_type/{id}/
    PATCH /api/v1/inventory_location/{id}/
    PATCH /api/v1/organization/{id}/
    PATCH /api/v1/webhook/{id}/
    POST /api/v1/api_token/
    POST /api/v1/inventory_device_serial/
    POST /api/v1/inventory_device_serial/import/
    POST /api/v1/inventory_device_serial/{serial_number}/parameters/
    POST /api/v1/inventory_device_serial_headless_operation/
    POST /api/v1/inventory_device_type/
    POST /api/v1/inventory_location/
    POST /api/v1/organization/
    POST /api/v1/webhook/
    PUT /api/v1/api_token/{id}/
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

#[tokio::test]
async fn every_described_field_is_read() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    api.make(LOCATIONS, json!({"name": "L"})).await;
    let described = api.get("/api/v1/openapi.json").await.expect(200, "description");
    for (schema, method, path, count) in [
        ("DeviceCreate", "POST", DEVICES.to_owned(), 19),
        ("DeviceFields", "PUT", device("S"), 17),
        ("DevicePatch", "PATCH", device("S"), 22),
        ("OperationOrder", "PUT", operations("S"), 1),
        ("HeadlessOrder", "POST", HEADLESS.to_owned(), 3),
        ("TokenCreate", "POST", TOKENS.to_owned(), 4),
        ("TokenCreate", "PATCH", record(TOKENS, 1), 4),
        ("WebhookFields", "POST", "/api/v1/webhook/".to_owned(), 4),
        ("OrganizationCreate", "POST", ORGANIZATIONS.to_owned(), 4),
        ("OrganizationFields", "PATCH", record(ORGANIZATIONS, 1), 3),
        ("LocationCreate", "POST", LOCATIONS.to_owned(), 7),
        ("LocationFields", "PUT", record(LOCATIONS, 1), 6),
        ("DeviceTypeCreate", "POST", TYPES.to_owned(), 13),
        ("DeviceTypeFields", "PATCH", record(TYPES, 1), 12),
        ("WantedFields", "PATCH", format!("{}configuration/", device("S")), 3),
        ("ParameterRefresh", "POST", format!("{}parameters/", device("S")), 1),
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
