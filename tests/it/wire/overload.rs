//! Too many sessions: who is refused first, that the limit is one, and that nothing is left over (design.md §7).

use std::sync::Arc;
use std::time::Duration;

use acsd::acs::listen::ListenConfig;
use acsd::clock::SystemClock;
use acsd::model::device::Profile;
use acsd::model::transaction::{Kind, NewTransaction, Work};
use acsd::store::sled::{StoreConfig, open_sled};
use acsd::store::{DeviceStore as _, Merge, NewDevice, Store as _, TransactionStore as _};
use acsd::types::ident::{DeviceIdentity, DeviceKey, SerialNumber};
use acsd::types::time::Timestamp;
use tokio::net::TcpStream;

use super::acs::{Acs, connect, cookie, inform, is_accepted, serve};
use super::harness::{Client, Reply};

/// A device without work, now and after its first contact.
async fn idle_device(acs: &Acs, serial: &str) -> DeviceKey {
    let identity = DeviceIdentity::new("00D09E", "P", serial).unwrap();
    let profile = Profile {
        is_active: false,
        ..Profile::fresh(SerialNumber::try_from(serial).unwrap(), Timestamp::from_secs(1))
    };
    let key = acs.store.register(NewDevice { key: None, identity: Some(identity), profile }).await.unwrap().key;
    let (mut client, opened) = open(acs, serial, "0 BOOTSTRAP").await;
    let headers = format!("Cookie: {}\r\n", cookie(&opened));
    assert_eq!(client.exchange(&headers, "").await.status(), 204);
    let edit = |profile: &mut Profile| {
        profile.is_active = true;
        // Else it would be given now what it was not then.
        profile.pending.clear();
    };
    acs.store.edit_profile(key, Box::new(edit)).await.unwrap();
    key
}

async fn open(acs: &Acs, serial: &str, event: &str) -> (Client<TcpStream>, Reply) {
    let mut client = acs.connect().await;
    let reply = client.exchange("", inform(serial, event, "1")).await;
    (client, reply)
}

/// Opens sessions that stay open.
async fn hold(acs: &Acs, numbers: std::ops::Range<u32>) -> Vec<(Client<TcpStream>, Reply)> {
    let mut held = Vec::new();
    for number in numbers {
        let (client, opened) = open(acs, &format!("HELD-{number}"), "6 CONNECTION REQUEST").await;
        assert!(is_accepted(&opened), "{number}: {opened:?}");
        held.push((client, opened));
    }
    held
}

fn assert_told_to_wait(reply: &Reply) -> u64 {
    assert_eq!((reply.status(), reply.header("Connection")), (503, vec!["close"]), "{reply:?}");
    let after = reply.header("Retry-After")[0].parse().unwrap();
    assert!((30..90).contains(&after), "{after}");
    after
}

#[tokio::test]
async fn idle_devices_periodic_informs_are_refused_first_and_everything_else_last() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let figures = recorder.handle();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let acs = Acs::start(10);
    idle_device(&acs, "IDLE").await;
    let busy = idle_device(&acs, "BUSY").await;
    for serial in ["BOOTS", "CALLED", "CHANGED"] {
        idle_device(&acs, serial).await;
    }
    let new = NewTransaction {
        kind: Kind::Headless,
        work: Work::Get { paths: Vec::new() },
        requested_by: "test".to_owned(),
        expires_at: None,
        campaign: None,
    };
    acs.store.enqueue(busy, new, Merge::Never, Timestamp::from_secs(1)).await.unwrap();

    let mut held = hold(&acs, 0..7).await;
    let (mut client, opened) = open(&acs, "IDLE", "2 PERIODIC").await;
    assert!(is_accepted(&opened), "below four fifths of the limit all come in");
    client.exchange(&format!("Cookie: {}\r\n", cookie(&opened)), "").await;
    held.extend(hold(&acs, 7..8).await);

    let mut waits = Vec::new();
    for _ in 0..20 {
        let (mut client, refused) = open(&acs, "IDLE", "2 PERIODIC").await;
        waits.push(assert_told_to_wait(&refused));
        client.closed().await;
    }
    assert!(waits.iter().any(|wait| *wait != waits[0]), "spread: {waits:?}");
    for (serial, event) in [("BUSY", "2 PERIODIC"), ("BOOTS", "1 BOOT"), ("CALLED", "6 CONNECTION REQUEST")] {
        let (mut client, opened) = open(&acs, serial, event).await;
        assert!(is_accepted(&opened), "{serial}: {opened:?}");
        let next = client.exchange(&format!("Cookie: {}\r\n", cookie(&opened)), "").await;
        assert_eq!(next.status(), if serial == "BUSY" { 200 } else { 204 }, "{serial}: the session goes on");
    }
    // BUSY's call is out. One more, and the house is full.
    held.extend(hold(&acs, 8..9).await);
    for (serial, event) in [("BOOTS", "1 BOOT"), ("CALLED", "6 CONNECTION REQUEST"), ("CHANGED", "4 VALUE CHANGE")] {
        assert_told_to_wait(&open(&acs, serial, event).await.1);
    }
    let text = figures.render();
    for (reason, count) in [("overload_periodic", 20), ("overload", 3)] {
        let line = format!("acsd_cwmp_refused_total{{reason=\"{reason}\"}} {count}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
    // Open sessions are served all the while, and leave nothing behind.
    for (mut client, opened) in held {
        let headers = format!("Cookie: {}\r\n", cookie(&opened));
        let call = client.exchange(&headers, "").await;
        assert_eq!(call.status(), 200, "a new device gets its settings");
    }
    assert_eq!(acs.driver.open_sessions(), 10);
}

#[tokio::test]
async fn a_device_that_begins_anew_takes_no_second_place() {
    let acs = Acs::start(1);
    let (_lost, first) = open(&acs, "ANEW", "1 BOOT").await;
    assert!(is_accepted(&first));
    assert_told_to_wait(&open(&acs, "OTHER", "1 BOOT").await.1);
    let mut again = acs.connect().await;
    let second = again.exchange("", inform("ANEW", "1 BOOT", "2")).await;
    assert!(is_accepted(&second), "{second:?}");
    assert_ne!(cookie(&first), cookie(&second));
    assert_eq!(acs.driver.open_sessions(), 1);
    assert_told_to_wait(&open(&acs, "OTHER", "1 BOOT").await.1);
}

/// The CPE refuses whatever it was asked.
const FAULT: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:c=\"urn:dslforum-org:cwmp-1-2\">\
    <s:Body><s:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring><detail><c:Fault>\
    <FaultCode>9000</FaultCode><FaultString>no</FaultString></c:Fault></detail></s:Fault></s:Body></s:Envelope>";

#[tokio::test]
async fn informs_at_the_same_time_do_not_slip_past_the_limit_together() {
    let folder = tempfile::tempdir().unwrap();
    // Each Inform waits for the disk between the door and its session.
    let config = StoreConfig {
        group_commit_linger: Duration::from_millis(50),
        cache_bytes: 16 << 20,
        free_space_floor_bytes: 0,
        ballast_bytes: 0,
        ..StoreConfig::new(folder.path())
    };
    let store = open_sled(config, Arc::new(SystemClock)).await.unwrap();
    let (driver, address) = serve(Arc::clone(&store) as _, "127.0.0.1:0", ListenConfig::default(), 5);
    let mut opening = tokio::task::JoinSet::new();
    for number in 0..30 {
        opening.spawn(async move {
            let mut client = connect(address).await;
            let reply = client.exchange("", inform(&format!("CROWD-{number}"), "1 BOOT", "1")).await;
            (client, reply)
        });
    }
    let mut opened = Vec::new();
    while let Some(ended) = opening.join_next().await {
        let (client, reply) = ended.unwrap();
        if reply.status() == 200 {
            opened.push((client, reply));
        } else {
            assert_told_to_wait(&reply);
        }
    }
    assert_eq!((opened.len(), driver.open_sessions()), (5, 5));
    for (client, opened) in &mut opened {
        let headers = format!("Cookie: {}\r\n", cookie(opened));
        let mut next = client.exchange(&headers, "").await;
        while next.status() == 200 {
            next = client.exchange(&headers, FAULT).await;
        }
        assert_eq!(next.status(), 204);
    }
    assert_eq!(driver.open_sessions(), 0);
    // Nobody who was refused has kept a place.
    for number in 0..5 {
        let mut client = connect(address).await;
        assert!(is_accepted(&client.exchange("", inform(&format!("LATE-{number}"), "1 BOOT", "1")).await));
    }
    store.close().await.unwrap();
}
