//! The description of the API is complete, and it is served.

use serde_json::Value;

use super::support::{Api, VIEWER};

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
    POST /api/v1/inventory_device_serial/{serial_number}/parameters/
    POST /api/v1/inventory_device_serial_headless_operation/
    PUT /api/v1/inventory_device_serial/{serial_number}/
    PUT /api/v1/inventory_device_serial_operation/{serial_number}/
    ");
    check_references(&described, &described);
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
