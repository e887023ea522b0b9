//! rest-api.md §4: device types, and what is wanted of single devices.

use serde_json::{Value, json};

use super::support::{ADMIN, Api, TYPES, device, record};

fn full() -> Value {
    json!({
        "id": 5, "short_name": "enterprise_router", "name": "Enterprise router",
        "match": {"oui": "00D09E", "product_class": "IGD*", "model_name": "", "software_version": ""},
        "parameters": [
            {"path": "Device.ManagementServer.PeriodicInformInterval", "value": "300", "value_type": "integer"},
            {"path": "InternetGatewayDevice.DeviceInfo.ProvisioningCode", "value": "{serial}", "value_type": null},
            {"path": "Device.X.Level", "value": "7", "value_type": "unsignedInt"}
        ],
        "attributes": [{"path": "Device.DeviceInfo.SoftwareVersion", "notification": 2}],
        "objects": [{
            "path": "Device.WiFi.SSID.", "key": {"SSID": "guest"},
            "parameters": {"Enable": true, "MTU": 1500, "Alias": "g", "X.Y": {"value": "1", "value_type": "long"}}
        }],
        "device_factory": [{"path": "Device.X.Reset", "value": "true", "value_type": "boolean"}],
        "health_parameters": [{
            "name": "cpu_usage", "path": "Device.DeviceInfo.ProcessStatus.CPUUsage", "warning_above": 80.0,
            "warning_below": null, "severity": "high", "code": "CPU_HIGH", "message": "The CPU is busy"
        }],
        "location_parameter": "Device.DeviceInfo.X_Location",
        "update_frequency": 600,
        "emission": {
            "xml_declaration": "always", "soap_prefix": "soapenv", "no_parameter_key": true, "no_attributes": null,
            "encoding_style": null, "boolean_form": "word"
        },
        "file_login": "digest",
        "debug": true,
        "neighbor_scan": {
            "state": "Device.X_Scan.State", "start": "1", "done": ["0"], "table": "Device.X_Scan.AP.",
            "columns": {"SSID": "Name"}
        }
    })
}

#[tokio::test]
async fn a_type_is_kept_as_it_was_given() {
    let api = Api::start().await;
    let mut made = api.make(TYPES, full()).await;
    let path = record(TYPES, 5);
    assert_eq!(api.get(&path).await.expect(200, "get"), made);
    assert_eq!(api.call_as(ADMIN, "PUT", &path, made.clone()).await.expect(200, "sent back"), made);
    made.as_object_mut().expect("an object").remove("created");
    assert_eq!(made, full());
    let bare = api.call_as(ADMIN, "PUT", &path, json!({"name": "bare"})).await.expect(200, "put");
    for (name, value) in [
        ("parameters", json!([])),
        ("objects", json!([])),
        ("location_parameter", Value::Null),
        ("update_frequency", Value::Null),
        ("debug", json!(false)),
        ("neighbor_scan", Value::Null),
    ] {
        assert_eq!(bare[name], value, "{name}");
    }
    assert_eq!((&bare["match"]["oui"], &bare["emission"]["soap_prefix"]), (&json!(""), &Value::Null));
    let both = json!(["Device.X", "InternetGatewayDevice.X"]);
    let changed = api.call_as(ADMIN, "PATCH", &path, json!({"location_parameter": both})).await.expect(200, "patch");
    assert_eq!((&changed["location_parameter"], &changed["name"]), (&both, &json!("bare")));
    let none = json!({"location_parameter": null, "match": null, "emission": null});
    let changed = api.call_as(ADMIN, "PATCH", &path, none).await.expect(200, "patch");
    assert_eq!(changed["location_parameter"], Value::Null);
}

#[tokio::test]
async fn a_wrong_type_is_refused_with_all_reasons() {
    let api = Api::start().await;
    let body = json!({
        "name": "", "short_name": 1, "match": {"oui": 5, "odd": 1}, "update_frequency": 0, "debug": "yes", "odd": 1,
        "parameters": [
            {"path": "Device.A", "value": "x", "value_type": "integer"}, {"path": "Device.B"}, 5,
            {"path": "Device.", "value": "x"}, {"path": "Other.C", "value": "x", "value_type": "float"},
            {"path": "Device.D", "value": [], "odd": 1}, {"path": "Device.E", "value": "{serial}", "value_type": "int"}
        ],
        "attributes": [{"path": "Device.A", "notification": 7}, {"path": "Device.B", "notification": 6}],
        "objects": [
            {"path": "Device.T.", "key": {}}, {"path": "Device.T.1.", "key": {"A": "x"}},
            {"path": "Device.T.", "key": {"A": "x", "B Password": "y"}, "parameters": {"A": 1, "C": {"value": "x", "value_type": "int"}}},
            {"path": "Device.T.", "key": {"Password": "y"}}, {"path": "Device.T.", "parameters": {}}
        ],
        "device_factory": {}, "health_parameters": [{"name": "n", "path": "Device.X", "warning_above": "80"}],
        "location_parameter": ["Device.A", "Device.B"], "emission": {"soap_prefix": "x", "no_attributes": 1}
    });
    let errors = api.call_as(ADMIN, "POST", TYPES, body).await.expect(400, "all wrong");
    for name in [
        "name",
        "short_name",
        "match",
        "update_frequency",
        "debug",
        "odd",
        "parameters",
        "attributes",
        "objects",
        "device_factory",
        "health_parameters",
        "location_parameter",
        "emission",
    ] {
        assert!(!errors[name].is_null(), "{name}: {errors}");
    }
    let wrong = |field: &str| -> Vec<Vec<String>> {
        let elements = errors[field].as_array().expect("a list").iter();
        elements.map(|one| one.as_object().expect("an object").keys().cloned().collect()).collect()
    };
    let own = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(
        wrong("parameters"),
        [
            own(&["value"]),
            own(&["value"]),
            own(&["non_field_errors"]),
            own(&["path"]),
            own(&["path", "value_type"]),
            own(&["odd", "value"]),
            own(&[])
        ]
    );
    assert_eq!(wrong("attributes"), [own(&["notification"]), own(&[])]);
    assert_eq!(
        wrong("objects"),
        [own(&["key"]), own(&["path"]), own(&["key", "parameters"]), own(&["key"]), own(&["key"])]
    );
    assert_eq!(wrong("health_parameters"), [own(&["warning_above"])]);
    for (field, value) in [
        ("parameters", json!([{"path": "Device.A", "value": "1"}, {"path": "Device.A", "value": "2"}])),
        ("attributes", json!([{"path": "Device.A", "notification": 1}, {"path": "Device.A", "notification": 1}])),
        ("objects", json!([{"path": "Device.T.", "key": {"A": 1}}, {"path": "Device.T.", "key": {"A": "1"}}])),
        ("location_parameter", json!(5)),
        ("location_parameter", json!("Device.")),
        ("match", json!("*")),
    ] {
        let mut body = json!({"name": "n"});
        body[field] = value.clone();
        api.call_as(ADMIN, "POST", TYPES, body).await.refused_fields(&[field], &value.to_string());
    }
}

#[tokio::test]
async fn short_names_and_matches_are_each_types_own() {
    let api = Api::start().await;
    api.make(TYPES, json!({"name": "a", "match": {"oui": "00D09E"}})).await;
    api.make(TYPES, json!({"name": "b", "match": {"oui": "00D0"}})).await;
    let post = |body: Value| api.call_as(ADMIN, "POST", TYPES, body);
    post(json!({"name": "A"})).await.refused(409, "the short name");
    post(json!({"name": "c", "id": 1})).await.refused(409, "the id");
    post(json!({"name": "Generic", "short_name": "generic"})).await.refused(409, "the short name of the default");
    post(json!({"name": "c", "match": {"oui": "00D09E"}})).await.refused_fields(&["match"], "a tie");
    let tied = json!({"match": {"oui": "00D09E"}});
    api.call_as(ADMIN, "PATCH", &record(TYPES, 3), tied).await.refused_fields(&["match"], "a tie");
}

#[tokio::test]
async fn hidden_values_are_not_shown_and_stars_keep_them() {
    let api = Api::start().await;
    let secret = "Device.ManagementServer.Password";
    let body = json!({
        "id": 5, "name": "five",
        "parameters": [{"path": secret, "value": "hush"}],
        "device_factory": [{"path": "Device.X.Secret", "value": "hush"}],
        "objects": [{"path": "Device.WiFi.AccessPoint.", "key": {"SSIDReference": "x"},
                     "parameters": {"Security.KeyPassphrase": "hush", "PIN": "hush", "Enable": "1"}}]
    });
    let path = record(TYPES, 5);
    let made = api.make(TYPES, body).await;
    assert!(!made.to_string().contains("hush"), "{made}");
    assert_eq!(made["parameters"][0]["value"], "********");
    let stored = || api.store.device_types().get(5).expect("the type");
    let before = stored();
    assert_eq!(before.wanted.parameters[0].value.plain(), None, "sealed");
    assert_eq!(before.device_factory[0].value.plain(), None, "sealed");
    let row = &before.wanted.objects[0];
    let leaf = |leaf: &str| row.parameters[leaf].value.plain();
    assert_eq!((leaf("Security.KeyPassphrase"), leaf("PIN"), leaf("Enable")), (None, None, Some("1")));
    assert_eq!(row.key["SSIDReference"].value.plain(), Some("x"));
    assert_eq!(api.call_as(ADMIN, "PUT", &path, made.clone()).await.expect(200, "sent back"), made);
    assert_eq!((&stored().wanted, stored().revision), (&before.wanted, before.revision), "kept, and no change");
    assert_eq!(stored().device_factory, before.device_factory);
    let other = json!({"parameters": [{"path": secret, "value": "new"}]});
    api.call_as(ADMIN, "PATCH", &path, other).await.expect(200, "changed");
    assert_eq!(stored().revision, before.revision + 1);
    assert_ne!(stored().wanted.parameters, before.wanted.parameters);
    let nothing = json!({"parameters": [{"path": "Device.Y.Password", "value": "********"}]});
    let errors = api.call_as(ADMIN, "PATCH", &path, nothing).await.expect(400, "no such secret");
    assert!(errors["parameters"][0]["value"].is_array(), "{errors}");
    api.create(json!({"serial_number": "S"})).await;
    let override_path = format!("{}configuration/", device("S"));
    let errors = api.call("PUT", &override_path, json!({"parameters": [{"path": secret, "value": "********"}]})).await;
    errors.refused_fields(&["parameters"], "the type's secret is not the device's");
}

#[tokio::test]
async fn a_device_wants_more_than_its_type() {
    let api = Api::start().await;
    api.create(json!({"serial_number": "S"})).await;
    let path = format!("{}configuration/", device("S"));
    let empty = json!({"parameters": [], "attributes": [], "objects": []});
    assert_eq!(api.get(&path).await.expect(200, "get"), empty);
    let wanted = json!({
        "parameters": [{"path": "Device.A", "value": "1", "value_type": "integer"}],
        "attributes": [{"path": "Device.A", "notification": 1}],
        "objects": [{"path": "Device.T.", "key": {"K": "1"}, "parameters": {"V": 2}}]
    });
    assert_eq!(api.call("PUT", &path, wanted.clone()).await.expect(200, "put"), wanted);
    assert_eq!(api.get(&path).await.expect(200, "get"), wanted);
    let revision = async || api.store.by_serial("S").await.expect("the store").expect("the device").profile.revision;
    let before = revision().await;
    api.call("PUT", &path, wanted.clone()).await.expect(200, "the same again");
    assert_eq!(revision().await, before, "is no change");
    let changed = api.call("PATCH", &path, json!({"attributes": []})).await.expect(200, "patch");
    assert_eq!((&changed["attributes"], &changed["parameters"]), (&json!([]), &wanted["parameters"]));
    assert_ne!(revision().await, before);
    api.call("PATCH", &path, json!({"attributes": 1, "odd": 1})).await.refused_fields(&["attributes", "odd"], "wrong");
    assert_eq!(api.call("PUT", &path, json!({})).await.expect(200, "cleared"), empty);
    api.get(&format!("{}configuration/", device("T"))).await.refused(404, "no such device");
}
