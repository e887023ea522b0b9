//! What is secret is in no file but the key's: neither what is wanted of devices nor what is ordered for them.

use std::path::Path;

use acsd::config::StoreChoice;
use serde_json::{Value, json};

use crate::support::{Acs, Cpe, config};

const SERIAL: &str = "SEALED-1";
const NTP: &str = "Device.Time.NTPServer1";
const OF_TYPE: &str = "Device.LANConfigSecurity.ConfigPassword";
const OWN: &str = "Device.ManagementServer.STUNPassword";
const USERS: &str = "Device.Users.User.";
/// In every secret here, and in nothing else.
const MARK: &str = "hush-hush";

/// Whether any file below a folder contains a text.
fn holds(folder: &Path, text: &str) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

async fn write(acs: &Acs, method: &str, path: &str, body: Value) -> Value {
    let reply = acs.call(method, path, Some(body)).await;
    assert!((200..300).contains(&reply.status), "{method} {path}: {}", reply.body);
    reply.body
}

async fn want_secrets(acs: &Acs) {
    let user = json!({"path": USERS, "key": {"Username": "ops"}, "parameters": {"Password": "hush-hush-row"}});
    let body = json!({"name": "Home", "match": {"product_class": "Sim*"}, "debug": true,
        "parameters": [{"path": OF_TYPE, "value": "hush-hush-{serial}"}, {"path": NTP, "value": "to-be-found"}],
        "objects": [user], "device_factory": [{"path": OWN, "value": "hush-hush-reset"}]});
    write(acs, "POST", "/inventory_device_type/", body).await;
    write(acs, "POST", "/inventory_device_serial/", json!({"serial_number": SERIAL})).await;
    let own = json!({"parameters": [{"path": OWN, "value": "hush-hush-own"}]});
    let shown = write(acs, "PUT", &format!("/inventory_device_serial/{SERIAL}/configuration/"), own).await;
    assert_eq!(shown["parameters"][0]["value"], "********");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_data_folder_before_or_after_the_device_got_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    (config.store, config.data_dir) = (StoreChoice::Sled, folder.path().to_owned());
    (config.sled.free_space_floor_bytes, config.sled.ballast_bytes) = (0, 0);
    let acs = Acs::start(config).await;
    want_secrets(&acs).await;
    assert!(!holds(folder.path(), MARK), "wanted");

    let cpe = Cpe::spawn(acs.cpe(SERIAL)).await;
    cpe.session(&[]).await.unwrap();
    for status in ["scheduled", "in_progress"] {
        let path = format!("/transaction/?serial_number={SERIAL}&status={status}");
        acs.row_until(&path, |page| page["count"] == 0).await;
    }
    let value = |path: &str| cpe.value(path).unwrap_or_default();
    assert_eq!((value(OF_TYPE), value(OWN)), ("hush-hush-SEALED-1".to_owned(), "hush-hush-own".to_owned()));
    let passwords = (1..=4).map(|row| value(&format!("{USERS}{row}.Password")));
    assert!(passwords.into_iter().any(|password| password == "hush-hush-row"), "the row has its password");

    let set = acs.headless(SERIAL, "set", json!([{"variable_name": OWN, "value": "hush-hush-set"}])).await;
    assert_eq!((&set["status"], &set["variables"][0]["value"]), (&json!("completed"), &json!("********")), "{set}");
    assert_eq!(value(OWN), "hush-hush-set");
    let values = json!([{"variable_name": "Password", "value": "hush-hush-new"}]);
    let add = acs.headless(SERIAL, "add.obj", json!([{"variable_name": USERS, "values": values}])).await;
    assert_eq!(add["status"], "completed", "{add}");
    let path = add["variables"][0]["object_path"].as_str().unwrap();
    assert_eq!(value(&format!("{path}Password")), "hush-hush-new");
    let values = json!([{"variable_name": "PIN", "value": "hush-hush-pin"}]);
    let refused = acs.headless(SERIAL, "add.obj", json!([{"variable_name": USERS, "values": values}])).await;
    assert_eq!(refused["status"], "failed", "{refused}");
    let reset = write(
        &acs,
        "PUT",
        &format!("/inventory_device_serial_operation/{SERIAL}/"),
        json!({"operation": "device_factory"}),
    )
    .await;
    let row = format!("/transaction/{}/", reset["id"]);
    let row = acs.row_until(&row, |row| row["completed_at"] != Value::Null).await;
    assert_eq!((&row["status"], value(OWN)), (&json!("completed"), "hush-hush-reset".to_owned()), "{row}");
    for status in ["scheduled", "in_progress"] {
        let path = format!("/transaction/?serial_number={SERIAL}&status={status}");
        acs.row_until(&path, |page| page["count"] == 0).await;
    }
    cpe.finish().await;
    acs.daemon.stop().await.unwrap();
    assert!(holds(folder.path(), "to-be-found"), "what is no secret is found this way");
    assert!(!holds(folder.path(), MARK), "brought");
}
