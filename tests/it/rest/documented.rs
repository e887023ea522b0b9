//! The vendor's own examples run as they stand, once their ids were created.

use serde_json::{Value, json};

use super::support::{Api, DEVICES, LOCATIONS, ORGANIZATIONS, TYPES, device, operations};

async fn vendors_inventory() -> Api {
    let api = Api::start().await;
    api.make(ORGANIZATIONS, json!({"id": 123, "name": "Zequenze Networks", "short_name": "ZN"})).await;
    api.make(TYPES, json!({"id": 5, "name": "Enterprise router", "short_name": "enterprise_router"})).await;
    let place = json!({"id": 45, "name": "Headquarters - Building A", "short_name": "HQ_BLDG_A"});
    api.make(LOCATIONS, place).await;
    api
}

#[tokio::test]
async fn the_examples_of_the_device_page_run() {
    let api = vendors_inventory().await;
    let body = r#"{
      "name": "Branch Office Router",
      "serial_number": "ZN987654321",
      "customer_id": "CUST-67890",
      "type": 5,
      "organization_id": 123,
      "location_name": "Branch Office - Seattle",
      "description": "Primary router for Seattle branch",
      "username": "device_admin",
      "password": "secure_password_123",
      "is_active": true,
      "latitude": "47.6062",
      "longitude": "-122.3321"
    }"#;
    let sent: Value = serde_json::from_str(body).expect("JSON");
    let made = api.create(sent.clone()).await;
    for (name, value) in sent.as_object().expect("an object").iter().filter(|(name, _)| *name != "password") {
        assert_eq!(&made[name], value, "{name}");
    }
    for (name, value) in
        [("type_short_name", json!("enterprise_router")), ("status", json!("Down")), ("pending_settings", Value::Null)]
    {
        assert_eq!(made[name], value, "{name}");
    }
    api.create(json!({"serial_number": "ZN123456789", "type": 5, "organization_id": 123, "location": 45})).await;
    let query = "?organization=123&status=false&limit=50&update_status=false&type=5";
    let list = api.get(&format!("{DEVICES}{query}")).await.expect(200, "the list");
    assert_eq!((&list["count"], &list["results"][1]["location_short_name"]), (&json!(2), &json!("HQ_BLDG_A")));
    let body = r#"{
      "name": "Updated Office Router - Main Floor",
      "customer_id": "CUST-12345",
      "is_active": true,
      "type": 5,
      "description": "Updated description - Primary internet gateway",
      "organization_id": 123,
      "location_name": "Headquarters - Building A - Floor 2",
      "latitude": "37.7749",
      "longitude": "-122.4194",
      "username": "admin_user",
      "password": "new_secure_password",
      "update_frequency": 600
    }"#;
    let body: Value = serde_json::from_str(body).expect("JSON");
    let put = api.call("PUT", &device("ZN123456789"), body).await.expect(200, "PUT");
    assert_eq!((&put["location"], &put["update_frequency"]), (&Value::Null, &json!(600)));
    let moved = json!({"location_name": "Headquarters - Building B", "latitude": "37.7750", "longitude": "-122.4195"});
    let patched = api.call("PATCH", &device("ZN123456789"), moved).await.expect(200, "PATCH");
    assert_eq!(patched["latitude"], "37.7750");
    api.call("PATCH", &device("ZN123456789"), json!({"reboot": true})).await.expect(200, "a reboot");
    let synced = json!({"sync": true, "debug": true});
    let synced = api.call("PATCH", &device("ZN123456789"), synced).await.expect(200, "a sync");
    assert_eq!(synced["debug"], true);
    for word in ["reboot", "factory", "sync", "reconf"] {
        let order = json!({"operation": word});
        api.call("PUT", &operations("ZN123456789"), order).await.expect(200, "the operation page");
    }
    let next = json!({"organization_id": 1, "location_name": "Elsewhere"});
    let moved = api.call("PATCH", &device("ZN987654321"), next).await.expect(200, "organization migration");
    assert_eq!(moved["organization_id"], 1);
    api.call("DELETE", &device("ZN987654321"), Value::Null).await.expect(204, "DELETE");
}
