//! Events reach their receivers: signed, in order, over failures and restarts.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use acsd::config::{Config, StoreChoice};
use acsd::model::device::OrganizationId;
use acsd::model::event::{EventData, EventEntry};
use acsd::model::inventory::Organization;
use acsd::model::webhook::Webhook;
use acsd::types::time::{Clock as _, Timestamp};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;

use super::receiver::{Receiver, SECRET, until};
use crate::support::{Acs, config};

fn quick() -> Config {
    let mut config = config();
    (config.webhooks.retry_first_ms, config.webhooks.retry_max_secs) = (1, 1);
    config
}

async fn hook(acs: &Acs, url: String, more: Value) -> String {
    let mut body = json!({"url": url, "secret": SECRET});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let reply = acs.call("POST", "/webhook/", Some(body)).await;
    assert_eq!(reply.status, 201, "{}", reply.body);
    format!("/webhook/{}/", reply.body["id"])
}

/// Something happens to a device.
fn happen(acs: &Acs, serial: &str, data: EventData) {
    let serial = acsd::types::ident::SerialNumber::try_from(serial).unwrap();
    let profile = acsd::model::device::Profile::fresh(serial, Timestamp(1));
    let now = acsd::clock::SystemClock.now();
    acs.daemon.store.append_event(EventEntry::of_device(&profile, now, data)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_from_now_on_are_pushed_in_the_order_of_each_device() {
    let acs = Acs::start(quick()).await;
    let receiver = Receiver::start(None).await;
    happen(&acs, "EARLY", EventData::Boot);
    let url = format!("http://{}/hook?a=b", receiver.address);
    let path = hook(&acs, url, json!({"kinds": ["boot"]})).await;
    for round in 0..200 {
        happen(&acs, &format!("D{}", round % 7), EventData::Boot);
        happen(&acs, &format!("D{}", round % 7), EventData::BootstrapLoop);
    }
    until("delivery", || receiver.ids().len() >= 200).await;
    let taken = receiver.seen.taken.lock().clone();
    assert_eq!(taken.len(), 200, "none twice, none that is not wanted");
    for device in 0..7 {
        let serial = format!("D{device}");
        let ids: Vec<_> = taken.iter().filter(|e| e["serial_number"] == *serial).map(|e| e["id"].as_u64()).collect();
        assert!(ids.is_sorted() && !ids.is_empty(), "{serial}: {ids:?}");
    }
    assert!(receiver.seen.connections.load(Ordering::SeqCst) <= 4, "connections are kept");
    let shown = acs.row_until(&path, |hook| hook["last_delivery_at"].is_string()).await;
    assert_eq!((&shown["state"], &shown["failures"]), (&json!("active"), &json!(0)));
    // What is switched off rests; switched on again, it goes on where it was.
    acs.call("PATCH", &path, Some(json!({"is_active": false}))).await;
    happen(&acs, "D1", EventData::Boot);
    acs.call("PATCH", &path, Some(json!({"is_active": true}))).await;
    until("the rest", || receiver.ids().len() > 200).await;
    acs.call("DELETE", &path, None).await;
    acs.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_fails_gets_everything_later_in_order() {
    let acs = Acs::start(quick()).await;
    let receiver = Receiver::start(None).await;
    let path = hook(&acs, format!("http://{}/", receiver.address), json!({})).await;
    // Also a redirect is no delivery, and is not followed.
    for status in [500, 302, 404] {
        receiver.answer_with(status);
        let before = receiver.seen.refused.load(Ordering::SeqCst);
        happen(&acs, "D", EventData::Boot);
        until("a refusal", || receiver.seen.refused.load(Ordering::SeqCst) > before + 1).await;
        let words = format!("the receiver answered {status}");
        let failing = |hook: &Value| {
            hook["last_error"].as_str().is_some_and(|error| error.starts_with(&words))
                && hook["failures"].as_u64() > Some(1)
        };
        let shown = acs.row_until(&path, failing).await;
        assert_eq!((&shown["state"], shown["failing_since"].is_string()), (&json!("active"), true));
    }
    receiver.answer_with(200);
    until("delivery", || receiver.ids().len() >= 3).await;
    assert!(receiver.ids().is_sorted());
    acs.row_until(&path, |hook| hook["last_error"].is_null() && hook["failures"] == 0).await;
    // Nobody listens at all for a while.
    let (address, seen) = (receiver.address, Arc::clone(&receiver.seen));
    // What of it is still running takes nothing more.
    receiver.answer_with(500);
    drop(receiver);
    happen(&acs, "D", EventData::BootstrapLoop);
    acs.row_until(&path, |hook| hook["failures"].as_u64() > Some(1)).await;
    let receiver = Receiver::at(address, seen, None).await;
    until("delivery", || receiver.ids().len() >= 4).await;
    acs.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_takes_nothing_is_paused_and_can_be_resumed() {
    let mut config = quick();
    config.webhooks.give_up_after_hours = 0;
    let acs = Acs::start(config).await;
    let receiver = Receiver::start(None).await;
    receiver.answer_with(503);
    let path = hook(&acs, format!("http://{}/", receiver.address), json!({})).await;
    happen(&acs, "D", EventData::Boot);
    let paused = acs.row_until(&path, |hook| hook["state"] == "paused").await;
    assert!(paused["paused_reason"].as_str().unwrap().contains("503"), "{paused}");
    happen(&acs, "D", EventData::BootstrapLoop);
    receiver.answer_with(200);
    let reply = acs.call("PATCH", &path, Some(json!({"is_active": true}))).await;
    assert_eq!((&reply.body["state"], &reply.body["paused_reason"]), (&json!("active"), &Value::Null));
    until("delivery", || receiver.kinds() == ["boot", "bootstrap_loop"]).await;
    acs.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_goes_on_after_a_restart_and_says_what_it_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = quick();
    (config.store, config.data_dir) = (StoreChoice::Sled, folder.path().to_owned());
    (config.sled.free_space_floor_bytes, config.sled.ballast_bytes) = (0, 0);
    let acs = Acs::start(config.clone()).await;
    let receiver = Receiver::start(None).await;
    let path = hook(&acs, format!("http://{}/", receiver.address), json!({})).await;
    for _ in 0..20 {
        happen(&acs, "D", EventData::Boot);
    }
    until("delivery", || receiver.ids().len() >= 20).await;
    receiver.answer_with(500);
    for _ in 0..20 {
        happen(&acs, "D", EventData::Boot);
    }
    acs.row_until(&path, |hook| hook["failures"].as_u64() > Some(1)).await;
    acs.daemon.stop().await.unwrap();
    receiver.answer_with(200);
    let acs = Acs::start(config.clone()).await;
    until("the rest", || receiver.ids().len() >= 40).await;
    assert_eq!(receiver.ids(), (1..=40).collect::<Vec<_>>(), "nothing is lost, and here nothing comes twice");
    // While it is switched off, the log is shortened.
    acs.call("PATCH", &path, Some(json!({"is_active": false}))).await;
    // Nothing is under way any more when acsd has been started anew.
    acs.daemon.stop().await.unwrap();
    let acs = Acs::start(config.clone()).await;
    for _ in 0..20 {
        happen(&acs, "D", EventData::Boot);
    }
    let keep = acsd::store::Retention { before: Timestamp(0), max: 5 };
    acs.daemon.store.events_durable().await.unwrap();
    acs.daemon.store.trim_events(keep, 1000).await.unwrap();
    acs.call("PATCH", &path, Some(json!({"is_active": true}))).await;
    until("the last", || receiver.ids().last() == Some(&60)).await;
    let shown = acs.row_until(&path, |hook| hook["missed"] != 0).await;
    assert_eq!((&shown["missed"], receiver.ids().len()), (&json!(15), 45));
    acs.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn receivers_over_tls_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, made.cert.pem()).unwrap();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let receiver = Receiver::start(Some(TlsAcceptor::from(Arc::new(tls)))).await;
    let mut config = quick();
    config.webhooks.ca_file = Some(ca_file);
    let acs = Acs::start(config).await;
    let port = receiver.address.port();
    hook(&acs, format!("https://localhost:{port}/"), json!({"kinds": ["boot"]})).await;
    // The certificate is for another name; and nobody vouches for it here.
    let misnamed = hook(&acs, format!("https://127.0.0.1:{port}/"), json!({"kinds": ["boot"]})).await;
    happen(&acs, "D", EventData::Boot);
    until("delivery", || receiver.ids().len() == 1).await;
    let shown = acs.row_until(&misnamed, |hook| hook["failures"].as_u64() > Some(0)).await;
    assert!(shown["last_error"].as_str().unwrap().starts_with("TLS: "), "{shown}");
    acs.daemon.stop().await.unwrap();
    let strict = Acs::start(quick()).await;
    let path = hook(&strict, format!("https://localhost:{port}/"), json!({})).await;
    happen(&strict, "D", EventData::Boot);
    let shown = strict.row_until(&path, |hook| hook["failures"].as_u64() > Some(0)).await;
    assert!(shown["last_error"].as_str().unwrap().starts_with("TLS: "), "{shown}");
    strict.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bound_webhook_hears_of_its_organizations_and_those_below_them() {
    let acs = Acs::start(quick()).await;
    let receiver = Receiver::start(None).await;
    let path = hook(&acs, format!("http://{}/", receiver.address), json!({"is_active": false})).await;
    for (id, parent) in [(2, Some(1)), (3, None), (4, Some(2))] {
        let make = move |id| Organization {
            id: OrganizationId(id),
            parent: parent.map(OrganizationId),
            ..Organization::first(Timestamp(1))
        };
        acs.daemon.store.organizations().add(Some(id), Box::new(make)).await.unwrap();
    }
    let bind = |hook: &mut Webhook| hook.organizations = Some(vec![OrganizationId(1)]);
    acs.daemon.store.webhooks().edit(1, Box::new(bind)).await.unwrap();
    let happen_in = |organization: Option<u32>| {
        let mut entry = EventEntry::of_nobody(acsd::clock::SystemClock.now(), EventData::Boot);
        entry.head.organization = organization.map(OrganizationId);
        acs.daemon.store.append_event(entry).unwrap();
    };
    [Some(3), None, Some(4), Some(2), Some(1)].into_iter().for_each(happen_in);
    assert_eq!(acs.call("PATCH", &path, Some(json!({"is_active": true}))).await.status, 200);
    until("delivery", || receiver.ids().len() >= 3).await;
    assert_eq!(receiver.ids(), [3, 4, 5]);
    acs.daemon.stop().await.unwrap();
}
