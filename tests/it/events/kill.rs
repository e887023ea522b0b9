//! `kill -9`: no event of anything acknowledged is lost, and a receiver hears of everything.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use acsd::simulator::{ConnectionRequests, CpeConfig};
use serde_json::{Value, json};

use super::receiver::{Receiver, SECRET, until};
use crate::crash::Daemon;
use crate::support::{Api, Cpe, PASSWORD, USER};

const CPES: usize = 3;
const KILLS: usize = 3;

async fn spawn_cpe(number: usize, cwmp: SocketAddr) -> Cpe {
    let mut cpe = CpeConfig::new(format!("http://{cwmp}/")).serial(format!("EK-{number}"));
    cpe = cpe.credentials(USER, PASSWORD);
    cpe.connection_requests = ConnectionRequests::Own("127.0.0.1:0".parse().unwrap());
    cpe.time_scale = 0.01;
    cpe.periodic_interval_secs = 100;
    Cpe::spawn(cpe).await
}

/// Every event, oldest first.
async fn events(api: &Api) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    loop {
        let page = api.get(&format!("/event/?limit=500&offset={}", found.len())).await;
        found.extend(page["results"].as_array().unwrap().iter().cloned());
        if page["next"].is_null() {
            found.reverse();
            return found;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_loses_no_event_of_what_was_acknowledged() {
    let mut api = Daemon::start("[webhooks]\nretry_first_ms = 5\nretry_max_secs = 1").await;
    let cwmp = api.cwmp;
    let receiver = Receiver::start(None).await;
    let hook = json!({"url": format!("http://{}/", receiver.address), "secret": SECRET});
    assert_eq!(api.call("POST", "/webhook/", Some(hook)).await.status, 201);
    let mut cpes = Vec::new();
    for number in 0..CPES {
        cpes.push(spawn_cpe(number, cwmp).await);
    }
    for number in 0..CPES {
        api.row_until("/event/?kind=first_contact", |page| page["count"].as_u64() > u64::try_from(number).ok()).await;
    }
    let mut ended: BTreeMap<u64, String> = BTreeMap::new();
    // What was shown under a number stays what it was.
    let mut shown: BTreeMap<u64, Value> = BTreeMap::new();
    for kill in 0..KILLS {
        for number in 0..12 {
            let set =
                json!([{"variable_name": "Device.DeviceInfo.ProvisioningCode", "value": format!("{kill}-{number}")}]);
            let id = api.schedule(&format!("EK-{}", number % CPES), "set", set).await;
            // Half of them are left to end whenever they do.
            if number % 2 == 0 {
                let row = api.ended(&id).await;
                ended.insert(id.parse().unwrap(), row["status"].as_str().unwrap().to_owned());
            }
        }
        shown.extend(events(&api).await.into_iter().map(|event| (event["id"].as_u64().unwrap(), event)));
        api.kill_and_restart().await;
    }
    let now: BTreeMap<u64, Value> =
        events(&api).await.into_iter().map(|event| (event["id"].as_u64().unwrap(), event)).collect();
    for (id, event) in &shown {
        assert_eq!(now.get(id), Some(event), "event {id} was shown");
    }
    let told: BTreeMap<u64, &Value> = now
        .values()
        .filter(|event| event["kind"] == "transaction_ended")
        .map(|event| (event["data"]["id"].as_u64().unwrap(), &event["data"]["status"]))
        .collect();
    for (id, status) in &ended {
        assert_eq!(told.get(id), Some(&&json!(status)), "the end of {id} was acknowledged");
    }
    assert!(ended.len() >= KILLS * 6);
    let wanted: BTreeSet<u64> = now.keys().copied().collect();
    until("delivery", || wanted.is_subset(&receiver.ids().into_iter().collect())).await;
    api.kill();
    for cpe in cpes {
        cpe.finish().await;
    }
}
