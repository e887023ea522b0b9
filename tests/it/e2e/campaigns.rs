//! A campaign over simulated CPEs, by the binary itself, which is killed in the middle of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use acsd::simulator::{ConnectionRequests, CpeConfig};
use serde_json::{Value, json};

use crate::crash::Daemon;
use crate::support::{Acs, Api, Cpe, PASSWORD, PATIENCE, USER, config, pause};

const CPES: usize = 30;
const KILLS: usize = 4;
const TABLE: &str = "Device.DeviceInfo.ProvisioningCode";

async fn spawn_cpe(number: usize, cwmp: SocketAddr) -> Cpe {
    let mut cpe = CpeConfig::new(format!("http://{cwmp}/")).serial(format!("CAMP-{number:02}"));
    cpe = cpe.credentials(USER, PASSWORD);
    cpe.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    // Periodic Informs every second, retries after some 50 ms.
    cpe.time_scale = 0.01;
    cpe.periodic_interval_secs = 100;
    Cpe::spawn(cpe).await
}

/// Everything the ledger has of the campaign's kind, by device.
async fn writes(api: &Api) -> BTreeMap<String, Vec<Value>> {
    let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page = api.get(&format!("/transaction/?kind=headless&limit=500&offset={offset}")).await;
        for row in page["results"].as_array().unwrap() {
            found.entry(row["serial_number"].as_str().unwrap().to_owned()).or_default().push(row.clone());
            offset += 1;
        }
        if page["next"].is_null() {
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle_of_a_campaign_loses_and_repeats_nothing() {
    let mut api = Daemon::start("").await;
    let cwmp = api.cwmp;
    let mut cpes = Vec::new();
    for number in 0..CPES {
        cpes.push(spawn_cpe(number, cwmp).await);
    }
    let all = u64::try_from(CPES).unwrap();
    api.row_until("/event/?kind=first_contact&limit=1", |page| page["count"].as_u64() == Some(all)).await;
    let campaign = json!({
        "name": "roll-out", "operation": "set",
        "variables": [{"variable_name": TABLE, "value": "campaign", "value_type": "string"}],
        "selection": {"search": "CAMP-"}, "canary": 2, "steps": [50, 100], "concurrency": 3,
    });
    let reply = api.call("POST", "/campaign/", Some(campaign)).await;
    assert_eq!((reply.status, &reply.body["counts"]["total"]), (201, &json!(all)), "{}", reply.body);
    let path = format!("/campaign/{}/", reply.body["id"]);
    assert_eq!(api.call("POST", &format!("{path}start/"), None).await.status, 200);
    let done = |campaign: &Value| campaign["counts"]["succeeded"].as_u64().unwrap_or(0);
    for kill in 1..=KILLS {
        let enough = all * u64::try_from(kill).unwrap() / u64::try_from(KILLS + 2).unwrap();
        let before = api.row_until(&path, |campaign| done(campaign) >= enough).await;
        api.kill_and_restart().await;
        let after = api.row_until(&path, |campaign| campaign["counts"]["total"] == json!(all)).await;
        assert!(done(&after) >= done(&before), "what was shown is kept: {before} {after}");
    }
    let until = tokio::time::Instant::now() + 3 * PATIENCE;
    let ended = loop {
        let campaign = api.get(&path).await;
        if campaign["state"] == "completed" {
            break campaign;
        }
        assert!(tokio::time::Instant::now() < until, "{campaign}");
        pause().await;
    };
    assert_eq!((done(&ended), &ended["counts"]["failed"]), (all, &json!(0)), "{ended}");
    let writes = writes(&api).await;
    assert_eq!(writes.len(), CPES);
    for (serial, rows) in writes {
        assert_eq!(rows.len(), 1, "{serial} has had one turn: {rows:?}");
    }
    api.kill();
    for cpe in cpes {
        assert_eq!(cpe.value(TABLE).as_deref(), Some("campaign"));
        cpe.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_roll_out_brings_the_image_to_every_device_that_lacks_it() {
    let acs = Acs::start(config()).await;
    let image = super::firmware::image(&acs, "7.0.1", "7.0.1").await;
    let mut cpes = Vec::new();
    for number in 0..4 {
        let mut cpe = acs.cpe(&format!("ROLL-{number}"));
        // They look in again and again, while they restart, too.
        cpe.periodic_interval_secs = 300;
        let cpe = Cpe::spawn(cpe).await;
        cpe.session(&[]).await.unwrap();
        cpes.push(cpe);
    }
    // One has it already.
    let first = json!({"name": "one", "operation": "firmware", "firmware_image": image,
                       "selection": {"serial_numbers": ["ROLL-0"]}});
    let all = json!({"name": "all", "operation": "firmware", "firmware_image": image, "selection": {}, "canary": 1});
    for (campaign, succeeded, skipped) in [(first, 1, 0), (all, 3, 1)] {
        let reply = acs.call("POST", "/campaign/", Some(campaign)).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        let path = format!("/campaign/{}/", reply.body["id"]);
        assert_eq!(acs.call("POST", &format!("{path}start/"), None).await.status, 200);
        let ended = acs.row_until(&path, |campaign| campaign["state"] == "completed").await;
        let counts = (&ended["counts"]["succeeded"], &ended["counts"]["skipped"], &ended["counts"]["failed"]);
        let rows = acs.get(&format!("{path}devices/")).await;
        assert_eq!(counts, (&json!(succeeded), &json!(skipped), &json!(0)), "{ended} {rows}");
        if skipped > 0 {
            let row = &rows["results"][0];
            assert_eq!((&row["status"], &row["serial_number"]), (&json!("skipped"), &json!("ROLL-0")), "{row}");
            assert!(row["message"].as_str().unwrap().contains("already"), "{row}");
        }
    }
    for cpe in cpes {
        assert_eq!(cpe.value("Device.DeviceInfo.SoftwareVersion").as_deref(), Some("7.0.1"));
        cpe.finish().await;
    }
}
