//! Upgrades by what the device says on the wire: reports that come late, at once, with a fault, of something else, or never.

use std::time::Duration;

use acsd::model::event::EventData;
use acsd::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage, ImageId};
use acsd::model::transaction::{Transaction, TransactionStatus, Work};
use acsd::model::transfer::{DownloadOrder, FileRef};
use acsd::store::catalogue::CatalogueStore as _;
use acsd::store::events::{EventFilter, EventStore as _};
use acsd::store::{DeviceStore as _, Page, TransactionStore as _};
use acsd::types::ident::TransactionId;
use acsd::types::time::Timestamp;

use super::acs::{Acs, inform};
use super::transfers::{STARTED, TIMES, Told, complete, fetch, ordered};

const OLD: &str = "1.0";
const NEW: &str = "2.0";

/// An Inform with these events that says what the device runs.
fn runs(version: &str, events: &[&str], id: &str) -> String {
    let events: Vec<_> = events.iter().map(|code| format!("<EventCode>{code}</EventCode>")).collect();
    let events = events.join("<CommandKey/></EventStruct><EventStruct>");
    let parameters = format!(
        "<ParameterList><ParameterValueStruct><Name>Device.DeviceInfo.SoftwareVersion</Name>\
         <Value>{version}</Value></ParameterValueStruct></ParameterList>"
    );
    inform("T-9", "EVENTS", id)
        .replace("<EventCode>EVENTS</EventCode>", &events)
        .replace("<ParameterList/>", &parameters)
}

/// A device that runs the old version, and an image of the new one for it.
async fn upgrade(acs: &Acs) -> TransactionId {
    Told::open_with(acs, runs(OLD, &["1 BOOT"], "1")).await.until("Nothing").await;
    let make = |id| FirmwareImage {
        id: ImageId(id),
        name: "router.bin".to_owned(),
        version: NEW.to_owned(),
        device_type: None,
        file_type: FIRMWARE_FILE_TYPE.to_owned(),
        size: None,
        sha256: None,
        content: Content::Here { sha256: [1; 32], size: 9 },
        created: Timestamp::from_secs(1),
    };
    let image = acs.store.firmware_images().add(None, Box::new(make)).await.unwrap();
    let order = DownloadOrder {
        file: FileRef::Image(image.id),
        file_type: FIRMWARE_FILE_TYPE.to_owned(),
        target_file_name: String::new(),
        delay_secs: 0,
        windows: Vec::new(),
    };
    ordered(acs, Work::Download(Box::new(order))).await
}

/// The device has been told to fetch it, and has answered so.
async fn told(acs: &Acs, answer: &str) -> TransactionId {
    let id = upgrade(acs).await;
    let mut told = Told::open_with(acs, runs(OLD, &["2 PERIODIC"], "2")).await;
    let asked = told.until("Download").await;
    assert!(asked.contains(&format!("<CommandKey>acsd-{id}-1</CommandKey>")), "{asked}");
    assert_eq!(told.post(answer).await.0, 204);
    id
}

async fn row(acs: &Acs, id: TransactionId) -> Transaction {
    acs.store.transaction(id).await.unwrap().unwrap()
}

/// The device calls in, says this, and is asked for nothing more.
async fn says(acs: &Acs, inform: String, calls: &[String]) {
    let mut told = Told::open_with(acs, inform).await;
    for call in calls {
        let (status, answer) = told.post(call).await;
        assert!(status == 200 && answer.contains("Response"), "{answer}");
    }
    let (status, asked) = told.post("").await;
    assert_eq!((status, asked.as_str()), (204, ""));
}

#[tokio::test]
async fn a_report_that_comes_during_the_back_off_counts() {
    // After a fault that deserves another try.
    let acs = Acs::start(10);
    let id = told(&acs, STARTED).await;
    let key = format!("acsd-{id}-1");
    says(&acs, runs(OLD, &["7 TRANSFER COMPLETE", "M Download"], "3"), &[complete(&key, 9010)]).await;
    let waits = row(&acs, id).await;
    let words = waits.waiting_for().unwrap();
    assert!(waits.status == TransactionStatus::InProgress && words.contains("back-off"), "{waits:?}");
    // The device has tried again by itself.
    let boot = runs(NEW, &["1 BOOT", "7 TRANSFER COMPLETE", "M Download"], "4");
    says(&acs, boot, &[complete(&key, 0)]).await;
    assert_eq!(row(&acs, id).await.status, TransactionStatus::Completed);
    says(&acs, runs(NEW, &["2 PERIODIC"], "5"), &[]).await;

    // After sessions that broke off with the call: the device has it, and was never able to say so.
    let acs = Acs::start(10);
    let id = upgrade(&acs).await;
    for (number, asked) in [("2", "Download"), ("3", "GetRPCMethods")] {
        Told::open_with(&acs, runs(OLD, &["2 PERIODIC"], number)).await.until(asked).await;
    }
    let key = format!("acsd-{id}-1");
    let boot = runs(NEW, &["1 BOOT", "7 TRANSFER COMPLETE", "M Download"], "4");
    says(&acs, boot, &[complete(&key, 0)]).await;
    assert_eq!(row(&acs, id).await.status, TransactionStatus::Completed);
}

#[tokio::test]
async fn a_restart_into_the_new_software_is_enough() {
    let acs = Acs::start(10);
    let id = told(&acs, STARTED).await;
    // A restart of its own is not.
    says(&acs, runs(OLD, &["1 BOOT"], "3"), &[]).await;
    assert_eq!(row(&acs, id).await.status, TransactionStatus::InProgress);
    says(&acs, runs(NEW, &["1 BOOT", "4 VALUE CHANGE"], "4"), &[]).await;
    let done = row(&acs, id).await;
    assert_eq!(done.status, TransactionStatus::Completed);
    assert!(done.note.as_deref().unwrap().contains("TransferComplete"), "{done:?}");
    // The report that comes at last is confirmed, and changes nothing.
    says(&acs, runs(NEW, &["7 TRANSFER COMPLETE"], "5"), &[complete(&format!("acsd-{id}-1"), 9010)]).await;
    assert_eq!(row(&acs, id).await, done);
}

#[tokio::test]
async fn what_is_done_at_once_is_done_when_the_device_shows_it() {
    const DONE: &str = "<c:DownloadResponse><Status>0</Status><StartTime>2024-01-01T00:00:00Z</StartTime>\
                        <CompleteTime>2024-01-01T00:00:09Z</CompleteTime></c:DownloadResponse>";
    let acs = Acs::start(10);
    let id = told(&acs, DONE).await;
    let waits = row(&acs, id).await;
    assert!(waits.waiting_for().unwrap().contains("new software"), "{waits:?}");
    says(&acs, runs(NEW, &["1 BOOT"], "3"), &[]).await;
    assert_eq!(row(&acs, id).await.status, TransactionStatus::Completed);
    // Another file is there as soon as the device says so.
    let id = ordered(&acs, fetch("http://files.example/1")).await;
    let mut told = Told::open_with(&acs, runs(NEW, &["2 PERIODIC"], "4")).await;
    told.until("Download").await;
    assert_eq!(told.post(DONE).await.0, 204);
    assert_eq!(row(&acs, id).await.status, TransactionStatus::Completed);
}

#[tokio::test]
async fn a_report_with_a_fault_fails_in_words_or_is_tried_again_later() {
    for (fault, status) in [(9016, TransactionStatus::Failed), (9010, TransactionStatus::InProgress)] {
        let acs = Acs::start(10);
        let id = told(&acs, STARTED).await;
        let before = Timestamp::from_secs(0);
        let report = complete(&format!("acsd-{id}-1"), fault);
        says(&acs, runs(OLD, &["7 TRANSFER COMPLETE", "M Download"], "3"), &[report]).await;
        let row = row(&acs, id).await;
        let words = row.fault.clone().unwrap();
        assert_eq!((row.status, words.code), (status, fault), "{row:?}");
        assert!(words.message.starts_with("File transfer failure"), "{words:?}");
        assert!(row.completed_at.is_none_or(|at| at.since(before) > Duration::ZERO));
        // And not at once.
        says(&acs, runs(OLD, &["1 BOOT"], "4"), &[]).await;
    }
}

#[tokio::test]
async fn what_a_device_fetches_by_itself_is_no_report_of_what_it_was_told() {
    let acs = Acs::start(10);
    let id = told(&acs, STARTED).await;
    let own = |fault: u16| {
        format!(
            "<c:AutonomousTransferComplete><AnnounceURL/><TransferURL>http://maker.example/fw</TransferURL>\
             <IsDownload>1</IsDownload><FileType>{FIRMWARE_FILE_TYPE}</FileType><FileSize>9</FileSize><TargetFileName/>\
             <FaultStruct><FaultCode>{fault}</FaultCode><FaultString/></FaultStruct>{TIMES}</c:AutonomousTransferComplete>"
        )
    };
    let asks =
        format!("<c:RequestDownload><FileType>{FIRMWARE_FILE_TYPE}</FileType><FileTypeArg/></c:RequestDownload>");
    let events = ["9 REQUEST DOWNLOAD", "10 AUTONOMOUS TRANSFER COMPLETE"];
    says(&acs, runs(OLD, &events, "3"), &[asks, own(9010), own(0)]).await;
    let waits = row(&acs, id).await;
    assert!(waits.status == TransactionStatus::InProgress && waits.fault.is_none(), "{waits:?}");
    let all = acs.store.events(&EventFilter::default(), Page { offset: 0, limit: 100 }).await.unwrap().items;
    let told = |data: &EventData| matches!(data, EventData::Transfer { autonomous: true, .. });
    assert_eq!(all.iter().filter(|event| told(&event.entry.data)).count(), 2);
    assert!(all.iter().any(|event| matches!(event.entry.data, EventData::DownloadRequested { .. })));
    let device = acs.store.by_serial("T-9").await.unwrap().unwrap().key;
    assert_eq!(acs.store.live(device).await.unwrap().len(), 1, "its wish is heard, and brings nothing by itself");
    // Its own file was the image.
    says(&acs, runs(NEW, &["1 BOOT"], "4"), &[]).await;
    assert_eq!(row(&acs, id).await.status, TransactionStatus::Completed);
}
