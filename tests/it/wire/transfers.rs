//! What a CPE reports of file transfers is confirmed, and told by the event log (TR-069 A.3.3.2, A.3.3.3).

use acsd::model::event::EventData;
use acsd::model::transaction::{Kind, NewTransaction, Transaction, TransactionStatus, Work};
use acsd::model::transfer::{DownloadOrder, FileRef, RemoteFile};
use acsd::store::events::{EventFilter, EventStore as _};
use acsd::store::{DeviceStore as _, Merge, Page, TransactionStore as _};
use acsd::types::ident::TransactionId;
use acsd::types::time::Timestamp;
use tokio::net::TcpStream;

use super::acs::{Acs, cookie, inform, is_accepted};
use super::harness::Client;

pub(super) fn call(body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:c=\"urn:dslforum-org:cwmp-1-2\">\
         <s:Header><c:ID s:mustUnderstand=\"1\">7</c:ID></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

pub(super) const TIMES: &str =
    "<StartTime>2024-01-01T00:00:00Z</StartTime><CompleteTime>2024-01-01T00:01:00Z</CompleteTime>";

#[tokio::test]
async fn finished_transfers_are_confirmed_and_told() {
    let acs = Acs::start(10);
    let mut client = acs.connect().await;
    let opened = client.exchange("", inform("T-1", "7 TRANSFER COMPLETE", "1")).await;
    let headers = format!("Cookie: {}\r\n", cookie(&opened));
    let ordered = format!(
        "<c:TransferComplete><CommandKey>fw-9</CommandKey><FaultStruct><FaultCode>9010</FaultCode>\
         <FaultString>no such host</FaultString></FaultStruct>{TIMES}</c:TransferComplete>"
    );
    let own = format!(
        "<c:AutonomousTransferComplete><AnnounceURL/><TransferURL/><IsDownload>1</IsDownload>\
         <FileType>1 Firmware Upgrade Image</FileType><FileSize>9</FileSize><TargetFileName/>\
         <FaultStruct><FaultCode>0</FaultCode><FaultString/></FaultStruct>{TIMES}</c:AutonomousTransferComplete>"
    );
    for (body, answer) in [(ordered, "TransferCompleteResponse"), (own, "AutonomousTransferCompleteResponse")] {
        let confirmed = client.exchange(&headers, call(&body)).await;
        assert_eq!(confirmed.status(), 200);
        assert!(String::from_utf8_lossy(&confirmed.body).contains(&format!(":{answer}")), "{confirmed:?}");
    }
    let all = acs.store.events(&EventFilter::default(), Page { offset: 0, limit: 100 }).await.unwrap().items;
    let mut told: Vec<_> = all.into_iter().map(|event| event.entry.data).collect();
    told.retain(|data| matches!(data, EventData::Transfer { .. }));
    told.reverse();
    let failed = EventData::Transfer {
        autonomous: false,
        command_key: "fw-9".into(),
        file_type: None,
        fault_code: 9010,
        fault_message: "no such host".into(),
    };
    let done = EventData::Transfer {
        autonomous: true,
        command_key: "".into(),
        file_type: Some("1 Firmware Upgrade Image".into()),
        fault_code: 0,
        fault_message: "".into(),
    };
    assert_eq!(told, [failed, done]);
}

/// What a device says in one session, POST by POST.
pub(super) struct Told<'a> {
    client: Client<TcpStream>,
    headers: String,
    acs: &'a Acs,
}

impl<'a> Told<'a> {
    pub(super) async fn open(acs: &'a Acs, event: &str, id: &str) -> Self {
        Self::open_with(acs, inform("T-9", event, id)).await
    }

    pub(super) async fn open_with(acs: &'a Acs, inform: String) -> Self {
        let mut client = acs.connect().await;
        let opened = client.exchange("", inform).await;
        assert!(is_accepted(&opened), "{opened:?}");
        let headers = format!("Cookie: {}\r\n", cookie(&opened));
        Self { client, headers, acs }
    }

    pub(super) async fn post(&mut self, body: &str) -> (u16, String) {
        let body = if body.is_empty() { String::new() } else { call(body) };
        let reply = self.client.exchange(&self.headers, body).await;
        (reply.status(), String::from_utf8_lossy(&reply.body).into_owned())
    }

    /// Refuses whatever is asked until it is this, or the session ends.
    pub(super) async fn until(&mut self, method: &str) -> String {
        const NO: &str = "<s:Fault><faultcode>Client</faultcode><faultstring>CWMP fault</faultstring><detail>\
                          <c:Fault><FaultCode>9003</FaultCode><FaultString/></c:Fault></detail></s:Fault>";
        let (_, mut asked) = self.post("").await;
        while !asked.is_empty() && !asked.contains(&format!(":{method}>")) {
            (_, asked) = self.post(NO).await;
        }
        asked
    }

    pub(super) async fn transaction(&self, id: TransactionId) -> Transaction {
        self.acs.store.transaction(id).await.unwrap().unwrap()
    }
}

pub(super) fn complete(key: &str, fault: u16) -> String {
    format!(
        "<c:TransferComplete><CommandKey>{key}</CommandKey><FaultStruct><FaultCode>{fault}</FaultCode>\
         <FaultString/></FaultStruct>{TIMES}</c:TransferComplete>"
    )
}

pub(super) async fn ordered(acs: &Acs, work: Work) -> TransactionId {
    let device = acs.store.by_serial("T-9").await.unwrap().unwrap();
    let new =
        NewTransaction { kind: Kind::Transfer, work, requested_by: "op".to_owned(), expires_at: None, campaign: None };
    acs.store.enqueue(device.key, new, Merge::Never, Timestamp::from_secs(1)).await.unwrap().id
}

pub(super) fn fetch(url: &str) -> Work {
    let file = RemoteFile { url: url.to_owned(), username: String::new(), password: "".into(), size: 5 };
    Work::Download(Box::new(DownloadOrder {
        file: FileRef::Elsewhere(file),
        file_type: "2 Web Content".to_owned(),
        target_file_name: String::new(),
        delay_secs: 0,
        windows: Vec::new(),
    }))
}

pub(super) const STARTED: &str = "<c:DownloadResponse><Status>1</Status><StartTime>0001-01-01T00:00:00Z</StartTime>\
                       <CompleteTime>0001-01-01T00:00:00Z</CompleteTime></c:DownloadResponse>";

#[tokio::test]
async fn a_report_is_on_record_before_it_is_confirmed_and_once_is_enough() {
    let acs = Acs::start(10);
    Told::open(&acs, "1 BOOT", "1").await.until("Nothing").await;
    let id = ordered(&acs, fetch("http://files.example/1")).await;
    let mut told = Told::open(&acs, "2 PERIODIC", "2").await;
    let asked = told.until("Download").await;
    assert!(asked.contains(&format!("<CommandKey>acsd-{id}-1</CommandKey>")), "{asked}");
    assert_eq!(told.post(STARTED).await.0, 204);
    let mut told = Told::open(&acs, "7 TRANSFER COMPLETE", "3").await;
    // The store does not take it: it is not confirmed, and nothing is noted.
    acs.store.hiccup(1);
    let (status, _) = told.post(&complete(&format!("acsd-{id}-1"), 0)).await;
    assert_eq!((status, told.transaction(id).await.status), (503, TransactionStatus::InProgress));
    for number in ["4", "5"] {
        let mut told = Told::open(&acs, "7 TRANSFER COMPLETE", number).await;
        let (status, answer) = told.post(&complete(&format!("acsd-{id}-1"), 0)).await;
        assert!(status == 200 && answer.contains(":TransferCompleteResponse"), "{answer}");
        assert_eq!(told.transaction(id).await.status, TransactionStatus::Completed);
        assert_eq!(told.post("").await.0, 204);
    }
}

#[tokio::test]
async fn a_report_may_come_in_place_of_the_answer() {
    let acs = Acs::start(10);
    Told::open(&acs, "1 BOOT", "1").await.until("Nothing").await;
    let id = ordered(&acs, fetch("http://files.example/1")).await;
    let mut told = Told::open(&acs, "2 PERIODIC", "2").await;
    told.until("Download").await;
    let (status, answer) = told.post(&complete(&format!("acsd-{id}-1"), 0)).await;
    assert!(status == 200 && answer.contains(":TransferCompleteResponse"), "{answer}");
    assert_eq!(told.transaction(id).await.status, TransactionStatus::Completed);
    assert_eq!(told.post(STARTED).await.0, 204, "the answer that comes late is no trouble");
}

#[tokio::test]
async fn a_report_without_a_key_is_not_guessed_when_two_may_be_meant() {
    let acs = Acs::start(10);
    Told::open(&acs, "1 BOOT", "1").await.until("Nothing").await;
    let (first, second) =
        (ordered(&acs, fetch("http://files.example/1")).await, ordered(&acs, fetch("http://files.example/2")).await);
    let mut told = Told::open(&acs, "2 PERIODIC", "2").await;
    told.until("Download").await;
    let (_, asked) = told.post(STARTED).await;
    assert!(asked.contains("http://files.example/2"), "the first one waits, and lets the second one pass: {asked}");
    // In place of the answer to the second.
    assert_eq!(told.post(&complete("", 0)).await.0, 200);
    assert_eq!(told.post(STARTED).await.0, 204);
    for id in [first, second] {
        assert_eq!(told.transaction(id).await.status, TransactionStatus::InProgress);
    }
    let mut told = Told::open(&acs, "7 TRANSFER COMPLETE", "3").await;
    told.post(&complete(&format!("acsd-{second}-1"), 0)).await;
    assert_eq!(told.transaction(second).await.status, TransactionStatus::Completed);
    told.post(&complete("", 0)).await;
    assert_eq!(told.transaction(first).await.status, TransactionStatus::Completed, "now it is the only one");
}

#[tokio::test]
async fn a_request_for_a_file_is_answered_and_told() {
    let acs = Acs::start(10);
    let mut told = Told::open(&acs, "9 REQUEST DOWNLOAD", "1").await;
    let (status, answer) = told
        .post("<c:RequestDownload><FileType>1 Firmware Upgrade Image</FileType><FileTypeArg/></c:RequestDownload>")
        .await;
    assert!(status == 200 && answer.contains(":RequestDownloadResponse"), "{answer}");
    let all = acs.store.events(&EventFilter::default(), Page { offset: 0, limit: 100 }).await.unwrap().items;
    let asked = EventData::DownloadRequested { file_type: "1 Firmware Upgrade Image".into() };
    assert!(all.iter().any(|event| event.entry.data == asked));
    let live = acs.store.live(acs.store.by_serial("T-9").await.unwrap().unwrap().key).await.unwrap();
    assert!(!live.iter().any(|live| matches!(live.work, Work::Download(_))), "no image waits for it");
}
