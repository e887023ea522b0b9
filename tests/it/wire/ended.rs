//! Work that ends while a session carries it out.

use acsd::model::transaction::{Assignment, Transaction, TransactionStatus, Work};
use acsd::store::TransactionStore as _;
use acsd::types::path::ParameterPath;
use acsd::types::time::Timestamp;

use super::acs::Acs;
use super::transfers::{Told, ordered};

#[tokio::test]
async fn nothing_is_sent_for_what_has_ended_and_the_next_work_begins() {
    const TYPED: &str = "<c:GetParameterValuesResponse><ParameterList><ParameterValueStruct>\
                         <Name>Device.ManagementServer.PeriodicInformInterval</Name><Value>300</Value>\
                         </ParameterValueStruct></ParameterList></c:GetParameterValuesResponse>";
    let acs = Acs::start(10);
    Told::open(&acs, "1 BOOT", "1").await.until("Nothing").await;
    let path = ParameterPath::try_from("Device.ManagementServer.PeriodicInformInterval").unwrap();
    let assignments = vec![Assignment { path, value: "600".into(), ty: None }];
    let write = ordered(&acs, Work::Set { assignments }).await;
    let next = ordered(&acs, Work::Reboot).await;
    let mut session = Told::open(&acs, "2 PERIODIC", "2").await;
    let (_, asked) = session.post("").await;
    assert!(asked.contains(":GetParameterValues>"), "{asked}");
    let device = session.transaction(write).await.device;
    let end = |transaction: &mut Transaction| {
        transaction.status = TransactionStatus::Failed;
        transaction.completed_at = Some(Timestamp::from_secs(7));
        Vec::new()
    };
    let ended = acs.store.amend(device, write, Box::new(end)).await.unwrap();
    assert!(ended.is_some(), "it was live");
    let (_, asked) = session.post(TYPED).await;
    assert!(asked.contains(":Reboot>"), "{asked}");
    let kept = session.transaction(write).await;
    assert_eq!((kept.status, kept.completed_at), (TransactionStatus::Failed, Some(Timestamp::from_secs(7))));
    assert_eq!(session.transaction(next).await.status, TransactionStatus::InProgress);
}
