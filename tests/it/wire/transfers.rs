//! What a CPE reports of file transfers is confirmed, and told by the event log (TR-069 A.3.3.2, A.3.3.3).

use acsd::model::event::EventData;
use acsd::store::Page;
use acsd::store::events::{EventFilter, EventStore as _};

use super::acs::{Acs, cookie, inform};

fn call(body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:c=\"urn:dslforum-org:cwmp-1-2\">\
         <s:Header><c:ID s:mustUnderstand=\"1\">7</c:ID></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

const TIMES: &str = "<StartTime>2024-01-01T00:00:00Z</StartTime><CompleteTime>2024-01-01T00:01:00Z</CompleteTime>";

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
