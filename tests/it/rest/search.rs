//! The device list's searches, filters and orderings, and the export that shares them.

use acsd::model::inventory::Location;
use acsd::types::time::Timestamp;
use acsd::types::value::XsdType;
use serde_json::{Value, json};

use super::support::{Api, DEVICES, STRANGER, VIEWER, device};

const EXPORT: &str = "/api/v1/inventory_device_serial/export/";

fn serials(list: &Value) -> Vec<&str> {
    list["results"].as_array().expect("rows").iter().map(|row| row["serial_number"].as_str().expect("text")).collect()
}

async fn filled() -> Api {
    let api = Api::start().await;
    let location = |id| Location {
        id: acsd::model::inventory::LocationId(id),
        name: "Main".into(),
        short_name: "main".into(),
        address: String::new(),
        latitude: None,
        longitude: None,
        organization: None,
        created: Timestamp::from_secs(1),
        revision: 0,
    };
    api.store.locations().add(Some(5), Box::new(location)).await.expect("a location");
    api.create(json!({"serial_number": "ZN-1", "name": "Lobby", "tags": ["roof", "north"], "customer_id": "C-9"}))
        .await;
    api.create(json!({"serial_number": "ZN-2", "name": "attic", "tags": ["roof"]})).await;
    api.create(json!({"serial_number": "AB-3", "name": "Shed, \"old\"", "customer_id": "C-9"})).await;
    api.inform("ZN-1", &[("Device.DeviceInfo.SoftwareVersion", "=1.0", XsdType::String)]).await;
    api
}

#[tokio::test]
async fn lists_are_searched_filtered_and_ordered() {
    let api = filled().await;
    let table: [(&str, &[&str]); 17] = [
        ("search=zn", &["ZN-1", "ZN-2"]),
        ("search=lobby+192.0.2.7", &["ZN-1"]),
        ("search=", &["ZN-1", "ZN-2", "AB-3"]),
        ("search=c-9&ordering=serial_number", &["AB-3", "ZN-1"]),
        ("tag=roof", &["ZN-1", "ZN-2"]),
        ("tag=roof,north", &["ZN-1"]),
        ("tag=roof&tag=north", &["ZN-1"]),
        ("tag=ROOF", &[]),
        ("software_version=%3D1.0", &["ZN-1"]),
        ("software_version=1", &[]),
        ("manufacturer=Maker", &["ZN-1"]),
        ("manufacturer=Maker&status=0", &[]),
        ("location=5", &[]),
        ("ordering=name", &["ZN-2", "ZN-1", "AB-3"]),
        ("ordering=-name", &["AB-3", "ZN-1", "ZN-2"]),
        ("ordering=-status,-id", &["ZN-1", "AB-3", "ZN-2"]),
        ("ordering=-last_connection,customer_id", &["ZN-1", "ZN-2", "AB-3"]),
    ];
    for (query, want) in table {
        let list = api.get(&format!("{DEVICES}?{query}")).await.expect(200, query);
        assert_eq!(serials(&list), want, "{query}");
        assert_eq!(list["count"], want.len(), "{query}");
    }
    let page = api.get(&format!("{DEVICES}?ordering=-serial_number&limit=1&offset=1")).await.expect(200, "a page");
    assert_eq!((serials(&page), page["count"].as_u64()), (vec!["ZN-1"], Some(3)));
    let next = page["next"].as_str().expect("a link");
    assert!(next.contains("ordering=-serial_number"), "{next}");
    for (query, fields) in [
        ("ordering=nothing", &["ordering"] as &[&str]),
        ("ordering=id,name,status,created", &["ordering"]),
        ("location=6&ordering=password", &["location", "ordering"]),
        ("location=x", &["location"]),
        ("type=9&organization=8", &["organization", "type"]),
        ("search=a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q", &["search"]),
    ] {
        api.get(&format!("{DEVICES}?{query}")).await.refused_fields(fields, query);
        api.get(&format!("{EXPORT}?{query}")).await.refused_fields(fields, query);
    }
    let others = api.call_as(STRANGER, "GET", &format!("{DEVICES}?search=zn"), Value::Null).await;
    assert_eq!(others.expect(200, "others")["count"], 0);
}

#[tokio::test]
async fn an_export_holds_what_the_list_would_and_no_secrets() {
    let api = filled().await;
    api.create(json!({"serial_number": "S-4", "username": "user-4", "password": "its-own-secret"})).await;
    let csv = api.call_as(VIEWER, "GET", &format!("{EXPORT}?ordering=-name&tag="), Value::Null).await;
    assert_eq!((csv.status, csv.header("content-type")), (200, "text/csv; charset=utf-8"));
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"devices.csv\"");
    assert_eq!(csv.header("x-total-count"), "4");
    let lines: Vec<&str> = csv.text.split("\r\n").collect();
    assert!(lines[0].starts_with("serial_number,id,name,customer_id,"), "{}", lines[0]);
    assert!(lines[1].starts_with("AB-3,3,\"Shed, \"\"old\"\"\",C-9,"), "{}", lines[1]);
    assert!(lines[3].starts_with("ZN-1,1,Lobby,C-9,") && lines[3].contains("roof;north"), "{}", lines[3]);
    assert!(lines[3].contains(",Maker,'=1.0,"), "what a device says is no formula: {}", lines[3]);
    assert_eq!((lines.len(), lines[5]), (6, ""));
    let json = api.get(&format!("{EXPORT}?format=jsonl&search=s-4")).await;
    assert_eq!(json.header("content-type"), "application/x-ndjson");
    let row: Value = serde_json::from_str(json.text.trim()).expect("one line");
    assert_eq!((&row["serial_number"], &row["id"], &row["tags"]), (&json!("S-4"), &json!(4), &json!([])));
    for text in [&csv.text, &json.text] {
        assert!(!text.contains("secret") && !text.contains("user-4"), "{text}");
    }
    let none = api.call_as(STRANGER, "GET", EXPORT, Value::Null).await;
    assert_eq!(none.text.lines().count(), 1, "the header alone: {}", none.text);
    api.get(&format!("{EXPORT}?format=xml")).await.refused_fields(&["format"], "no such format");
    api.call_as(STRANGER, "GET", &format!("{EXPORT}?organization=1"), Value::Null).await.refused(403, "named");
}

#[tokio::test]
async fn devices_may_be_called_import_and_export() {
    let api = Api::start().await;
    for serial in ["import", "export"] {
        api.create(json!({"serial_number": serial})).await;
        let changed = api.call("PATCH", &device(serial), json!({"name": "changed"})).await.expect(200, serial);
        assert_eq!((&changed["serial_number"], &changed["name"]), (&json!(serial), &json!("changed")));
    }
    assert_eq!(api.get(&device("import")).await.expect(200, "its path")["name"], "changed");
    assert_eq!(api.get(&device("%65xport")).await.expect(200, "written otherwise")["name"], "changed");
    assert!(api.get(&device("export")).await.text.starts_with("serial_number,"));
    api.get(&format!("{}parameters/", device("export"))).await.expect(200, "below it");
    for serial in ["import", "export"] {
        assert_eq!(api.call("DELETE", &device(serial), Value::Null).await.status, 204);
    }
    api.get(&device("import")).await.refused(404, "gone");
    assert_eq!(api.call("POST", EXPORT, json!({})).await.status, 405);
}
