//! No more than so many discoveries run at once, of all devices together.

use std::time::Duration;

use acsd::clock::SystemClock;
use acsd::model::transaction::{Kind, NewTransaction, Phase, TransactionStatus, WaitReason, Work};
use acsd::store::{DeviceStore as _, Merge, TransactionStore as _};
use acsd::tasks::plan::PlanLimits;
use acsd::types::ident::TransactionId;
use acsd::types::time::{Clock as _, Timestamp};
use tokio::net::TcpStream;

use super::acs::{Acs, cookie, inform, is_accepted};
use super::harness::Client;

/// A device in its session.
struct Device {
    client: Client<TcpStream>,
    headers: String,
}

impl Device {
    async fn open(acs: &Acs, serial: &str, id: &str) -> Self {
        let mut client = acs.connect().await;
        let opened = client.exchange("", inform(serial, "2 PERIODIC", id)).await;
        assert!(is_accepted(&opened), "{opened:?}");
        Self { headers: format!("Cookie: {}\r\n", cookie(&opened)), client }
    }

    /// Has no more to say; what it is asked.
    async fn turn(&mut self) -> String {
        let reply = self.client.exchange(&self.headers, String::new()).await;
        String::from_utf8_lossy(&reply.body).into_owned()
    }

    /// Refuses; what it is asked next.
    async fn refuse(&mut self) -> String {
        let body = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:c=\"urn:dslforum-org:cwmp-1-2\">\
                    <s:Body><s:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring><detail><c:Fault>\
                    <FaultCode>9003</FaultCode><FaultString/></c:Fault></detail></s:Fault></s:Body></s:Envelope>";
        let reply = self.client.exchange(&self.headers, body.to_owned()).await;
        String::from_utf8_lossy(&reply.body).into_owned()
    }
}

async fn order(acs: &Acs, serial: &str) -> TransactionId {
    let device = acs.store.by_serial(serial).await.unwrap().unwrap();
    let new = NewTransaction {
        kind: Kind::Rpc,
        work: Work::Discover { below: None },
        requested_by: "op".to_owned(),
        expires_at: None,
        campaign: None,
    };
    acs.store.enqueue(device.key, new, Merge::Never, Timestamp::from_secs(1)).await.unwrap().id
}

#[tokio::test]
async fn one_discovery_too_many_waits_for_its_turn() {
    let acs = Acs::start(100);
    let begun = SystemClock.now();
    let places = PlanLimits::default().discoveries;
    let mut held = Vec::new();
    let mut late = None;
    for nth in 0..=places {
        let serial = format!("D-{nth}");
        let mut device = Device::open(&acs, &serial, "1").await;
        let mut asked = device.turn().await;
        while !asked.is_empty() {
            asked = device.refuse().await;
        }
        let id = order(&acs, &serial).await;
        let mut device = Device::open(&acs, &serial, "2").await;
        let asked = device.turn().await;
        if nth < places {
            assert!(asked.contains(":GetParameterNames>"), "{nth}: {asked}");
            held.push((device, id));
        } else {
            assert_eq!(asked, "", "it is let go");
            late = Some((serial, id));
        }
    }
    let (serial, id) = late.unwrap();
    let waiting = acs.store.transaction(id).await.unwrap().unwrap();
    // As unstarted as before: it may be withdrawn.
    assert_eq!((waiting.status, waiting.started_at), (TransactionStatus::Scheduled, None));
    let Phase::Waiting { reason: WaitReason::DiscoveryTurn, until } = waiting.phase else { panic!("{waiting:?}") };
    // It was ordered long ago: its device is not called every other moment.
    assert!(until.since(begun) >= Duration::from_mins(15), "{until:?}");
    assert!(waiting.waiting_for().unwrap().starts_with("its turn"), "{:?}", waiting.waiting_for());

    // The end of one makes room, and so does a session that is superseded.
    let (first, _) = held.first_mut().unwrap();
    let mut asked = first.refuse().await;
    while !asked.is_empty() {
        asked = first.refuse().await;
    }
    let at = acs.store.transaction(held[0].1).await.unwrap().unwrap().completed_at.expect("over");
    acs.store.expire(at + Duration::from_mins(31), 10).await.unwrap();
    let mut device = Device::open(&acs, &serial, "3").await;
    assert!(device.turn().await.contains(":GetParameterNames>"));
    let running = acs.store.transaction(id).await.unwrap().unwrap();
    assert_eq!((running.status, running.attempts), (TransactionStatus::InProgress, 1));
    let mut again = Device::open(&acs, &serial, "4").await;
    assert!(again.turn().await.contains(":GetParameterNames>"), "its own place is free again");
}
