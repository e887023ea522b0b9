mod random;

use std::time::Duration;

use crate::cwmp::message::Request;
use crate::model::call::RpcMethods;
use crate::model::file::{ImageId, StoredFileId};
use crate::model::procedure::Stage;
use crate::model::transaction::{Phase, TransactionStatus, WaitReason, Work};
use crate::model::transfer::{
    DownloadOrder, FileRef, RemoteFile, TimeWindow, TransferProgress, TransferState, UploadOrder,
};
use crate::tasks::plan::{Ending, TransferOffer, Wanted};
use crate::types::event::EventCode;
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

use super::device::{Device, Twist};
use super::transfers::{Tells, complete};
use super::world::World;

pub(super) const BOOT: (EventCode, &str) = (EventCode::Boot, "");
pub(super) const OVER: (EventCode, &str) = (EventCode::TransferComplete, "");

fn download(file: FileRef, file_type: &str) -> Work {
    Work::Download(Box::new(DownloadOrder {
        file,
        file_type: file_type.to_owned(),
        target_file_name: String::new(),
        delay_secs: 0,
        windows: Vec::new(),
    }))
}

pub(super) fn firmware() -> Work {
    download(FileRef::Image(ImageId(3)), "1 Firmware Upgrade Image")
}

pub(super) fn configuration() -> Work {
    download(FileRef::Stored(StoredFileId(4)), "3 Vendor Configuration File")
}

pub(super) fn upload() -> Work {
    Work::Upload(Box::new(UploadOrder {
        file_type: "4 Vendor Log File 1".to_owned(),
        alternatives: Vec::new(),
        delay_secs: 0,
    }))
}

pub(super) fn offer(version: &str) -> TransferOffer {
    TransferOffer {
        url: "http://acs/files/x".to_owned(),
        username: String::new(),
        password: Secret::new(String::new()),
        size: 5 << 30,
        version: version.into(),
        arrived: None,
    }
}

/// A world whose device runs 1.0 and is offered 2.0.
pub(super) fn world(device: Device, work: Work) -> World {
    let mut world = World::new(device, work);
    world.wanted = Some(Wanted::Transfer(offer("2.0")));
    let is_rare = match &world.transaction.work {
        Work::Download(order) => !order.windows.is_empty(),
        _ => true,
    };
    if is_rare {
        // What a device can do that was asked is not asked again.
        world.methods = RpcMethods::read(world.device.transfers.names(), "1.0", world.now);
    }
    world
}

pub(super) fn started(device: Device, work: Work) -> World {
    let mut world = world(device, work);
    world.session();
    world
}

pub(super) fn arrive(world: &mut World) {
    world.wanted = Some(Wanted::Transfer(TransferOffer { arrived: Some(StoredFileId(9)), ..offer("") }));
}

pub(super) fn reason(world: &World) -> Option<WaitReason> {
    match world.transaction.phase {
        Phase::Waiting { reason, .. } => Some(reason),
        _ => None,
    }
}

pub(super) fn progress(world: &World) -> TransferProgress {
    match world.transaction.progress.stage.as_deref() {
        Some(Stage::Transfer(progress)) => progress.clone(),
        other => panic!("no transfer: {other:?}"),
    }
}

pub(super) fn note(world: &World) -> String {
    match world.ending() {
        Ending::Completed { note } => note.unwrap_or_default(),
        Ending::Failed(fault) => panic!("failed: {fault:?}"),
    }
}

/// The device restarts into a version, and Informs.
pub(super) fn boots(world: &mut World, version: &str, events: &[(EventCode, &str)]) {
    world.now = world.now + Duration::from_mins(3);
    world.software_version = version.to_owned();
    world.inform(events);
}

#[test]
fn firmware_that_is_reported_after_the_restart_is_there() {
    let mut world = started(Device::default(), firmware());
    let Request::Download(call) = &world.device.calls[0] else { panic!("no download") };
    assert_eq!((call.command_key.as_ref(), call.file_size), ("acsd-7-1", 0), "a size that does not fit is not told");
    assert_eq!(reason(&world), Some(WaitReason::Transfer));
    let Phase::Waiting { until, .. } = world.transaction.phase else { panic!("does not wait") };
    assert!(world.transaction.progress.deadline.is_some_and(|deadline| deadline > until));
    boots(&mut world, "2.0", &[BOOT, OVER, (EventCode::MDownload, "acsd-7-1")]);
    assert_eq!(world.transaction.status, TransactionStatus::InProgress, "TransferComplete is on its way");
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run().assert_completed();
    assert_eq!((note(&world).as_str(), world.device.transfers.taken), ("", 1));
    world.calls(&report);
    assert_eq!(world.transaction.status, TransactionStatus::Completed, "once more does no harm");
}

#[test]
fn versions_are_compared_without_blanks_and_a_device_that_runs_the_image_is_left_alone() {
    let mut world = world(Device::default(), firmware());
    world.software_version = " 2.0 ".to_owned();
    world.run().assert_completed();
    assert_eq!(world.device.transfers.taken, 0);
    assert!(note(&world).contains("runs software 2.0 already"));
}

#[test]
fn a_device_that_never_reports_is_seen_by_its_version() {
    let mut world = started(Device::default(), firmware());
    boots(&mut world, "2.0", &[BOOT]);
    world.assert_completed();
    assert!(note(&world).contains("no TransferComplete"));
}

#[test]
fn a_report_before_the_restart_is_not_the_end() {
    let mut world = started(Device::default(), firmware());
    world.inform(&[OVER]);
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run();
    assert_eq!(reason(&world), Some(WaitReason::NewSoftware));
    boots(&mut world, "2.0", &[BOOT]);
    world.assert_completed();
}

#[test]
fn a_device_that_comes_back_with_the_old_software_has_failed() {
    let words = "the device came back with software 1.0 instead of 2.0";
    // The report comes with the restart ...
    let mut world = started(Device::default(), firmware());
    boots(&mut world, "1.0", &[BOOT, OVER]);
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run();
    assert_eq!(world.fault().message, words);
    // ... or before it.
    let mut world = started(Device::default(), firmware());
    world.inform(&[OVER]);
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run();
    boots(&mut world, "1.0", &[BOOT]);
    assert_eq!(world.fault().message, words);
}

#[test]
fn a_restart_of_its_own_before_the_report_proves_nothing() {
    let mut world = started(Device::default(), firmware());
    boots(&mut world, "1.0", &[BOOT]);
    assert_eq!(reason(&world), Some(WaitReason::Transfer));
    world.inform(&[OVER]);
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run();
    assert_eq!(reason(&world), Some(WaitReason::NewSoftware));
    world.run_out();
    assert!(world.run().fault().message.contains("came back with software 1.0 instead of 2.0"));
}

#[test]
fn a_device_that_does_not_restart_has_failed_in_the_end() {
    let mut world = started(Device::default(), firmware());
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run();
    world.run_out();
    assert!(world.run().fault().message.contains("did not come back with software 2.0 in time: it runs 1.0"));
}

#[test]
fn an_image_without_a_version_is_there_after_report_and_restart() {
    for (version, words) in [("1.0", "same as before"), ("2.0-custom", "")] {
        let mut world = World::new(Device::default(), firmware());
        world.wanted = Some(Wanted::Transfer(offer("")));
        world.session();
        boots(&mut world, version, &[BOOT, OVER]);
        let report = world.device.transfers.finish(0);
        world.calls(&report);
        world.run().assert_completed();
        assert!(note(&world).contains(words), "{}", note(&world));
    }
}

#[test]
fn a_configuration_is_there_when_it_is_reported() {
    let mut world = started(Device::default(), configuration());
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.assert_completed();
}

#[test]
fn what_is_done_at_once_is_not_waited_for() {
    let mut device = Device::default();
    device.transfers.done_at_once = true;
    started(device, configuration()).assert_completed();
    let mut device = Device::default();
    device.transfers.done_at_once = true;
    let mut world = started(device, firmware());
    assert_eq!(reason(&world), Some(WaitReason::NewSoftware), "its version still has to show");
    boots(&mut world, "2.0", &[BOOT]);
    world.assert_completed();
}

#[test]
fn an_upload_is_complete_when_its_file_is_here() {
    let mut world = started(Device::default(), upload());
    arrive(&mut world);
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run().assert_completed();
    assert_eq!((note(&world).as_str(), progress(&world).stored), ("stored as file 9", Some(StoredFileId(9))));
    let mut world = started(Device::default(), upload());
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run();
    assert_eq!(world.fault().message, "the device reported the upload as complete, but no file came");
}

#[test]
fn an_upload_that_is_never_reported_is_judged_by_its_file() {
    for has_come in [true, false] {
        let mut world = started(Device::default(), upload());
        if has_come {
            arrive(&mut world);
        }
        world.run_out();
        world.run();
        if has_come {
            assert_eq!(note(&world), "stored as file 9; the device did not report the end of it");
        } else {
            assert!(world.fault().message.contains("not reported"));
        }
    }
}

#[test]
fn faults_are_tried_again_as_they_deserve() {
    let table = [(9010, 5), (9011, 5), (9014, 5), (9015, 5), (9017, 5), (9018, 2), (9001, 2)];
    let permanent = [9012, 9013, 9016, 9019, 9020].map(|code| (code, 1));
    for (code, sends) in table.into_iter().chain(permanent) {
        let mut world = world(Device::default(), configuration());
        while matches!(world.transaction.phase, Phase::Ready { .. }) {
            world.run();
            if reason(&world).is_some() {
                let report = world.device.transfers.finish(code);
                world.calls(&report);
                world.session();
                assert!(world.transaction.status.is_final() || world.backoff() > 0, "{code} is tried again at once");
            }
        }
        assert_eq!((world.device.transfers.taken, world.fault().code), (sends, code));
        let keys: std::collections::BTreeSet<_> = (1..=sends).map(|nth| format!("acsd-7-{nth}")).collect();
        let sent = world.device.calls.iter().filter_map(|call| match call {
            Request::Download(download) => Some(download.command_key.to_string()),
            _ => None,
        });
        assert_eq!(sent.collect::<std::collections::BTreeSet<_>>(), keys, "a key of its own for each");
    }
}

#[test]
fn faults_are_told_in_the_standards_words_and_the_devices() {
    let mut world = started(Device::default(), configuration());
    let key = world.device.transfers.queue.pop().unwrap();
    let Request::TransferComplete(mut report) = complete(&key, 9016) else { panic!() };
    report.fault.message = "404".into();
    world.calls(&Request::TransferComplete(report));
    world.run();
    assert_eq!(world.fault().message, "File transfer failure: unable to access file (the device says: 404)");
}

#[test]
fn keys_that_say_nothing_are_taken_for_the_only_transfer() {
    for (key, others, is_ours) in [("", 0, true), ("", 1, false), ("fw", 0, true), ("fw", 1, false)] {
        let mut world = started(Device::default(), configuration());
        world.calls_among(&complete(key, 0), others);
        assert_eq!(world.transaction.status.is_final(), is_ours, "{key:?} {others}");
    }
    for key in ["acsd-6-1", "acsd-7-2"] {
        let mut world = started(Device::default(), configuration());
        world.calls(&complete(key, 0));
        assert!(!world.transaction.status.is_final(), "{key} is another's");
    }
}

#[test]
fn a_late_report_of_an_earlier_call_counts_if_it_went_well() {
    for (fault, is_over) in [(0, true), (9010, false)] {
        let mut world = started(Device::default().at(0, Twist::LostOnTheWay), configuration());
        world.run();
        assert_eq!(progress(&world).sends, 2);
        world.calls(&complete("acsd-7-1", fault));
        assert_eq!(world.transaction.status.is_final(), is_over);
    }
}

#[test]
fn a_report_of_what_is_over_is_none_of_the_next_attempts() {
    let mut world = started(Device::default(), configuration());
    let report = world.device.transfers.finish(9010);
    world.calls(&report);
    world.session();
    assert_eq!(progress(&world).state, TransferState::Idle);
    world.calls(&report);
    world.calls(&complete("", 0));
    assert!(!world.transaction.status.is_final(), "nothing is underway");
}

#[test]
fn a_lost_answer_is_looked_into_before_the_call_is_repeated() {
    for twist in [Twist::AnswerLost, Twist::KilledAfter] {
        for tells in [Tells::All, Tells::Some] {
            let mut device = Device::default().at(0, twist.clone());
            device.transfers.tells = tells;
            let mut world = started(device, firmware());
            world.run();
            assert_eq!((world.device.transfers.taken, reason(&world)), (1, Some(WaitReason::Transfer)));
            boots(&mut world, "2.0", &[BOOT]);
            world.assert_completed();
        }
    }
    let mut world = started(Device::default().at(0, Twist::LostOnTheWay), firmware());
    world.run();
    assert_eq!(world.device.methods(), ["Download", "GetRPCMethods", "GetAllQueuedTransfers", "Download"]);
    assert_eq!((world.device.transfers.taken, reason(&world)), (1, Some(WaitReason::Transfer)));
}

#[test]
fn a_device_that_cannot_tell_is_waited_for_before_the_call_is_repeated() {
    for tells in [Tells::Nothing, Tells::NoMethods] {
        let mut device = Device::default().at(0, Twist::LostOnTheWay);
        device.transfers.tells = tells;
        let mut world = started(device, firmware());
        world.run();
        assert_eq!((progress(&world).sends, reason(&world)), (1, Some(WaitReason::Transfer)));
        world.run_out();
        world.run();
        assert_eq!((progress(&world).sends, world.device.transfers.taken), (2, 1));
    }
}

#[test]
fn an_image_that_shows_in_nothing_is_not_brought_twice_on_a_guess() {
    let mut device = Device::default().at(0, Twist::AnswerLost);
    device.transfers.tells = Tells::Nothing;
    let mut world = World::new(device, firmware());
    world.wanted = Some(Wanted::Transfer(offer("")));
    world.run();
    world.run_out();
    world.run();
    assert_eq!(world.device.transfers.taken, 1);
    assert!(world.fault().message.contains("never said what became of"), "{}", world.fault().message);
}

#[test]
fn a_success_counts_while_the_transaction_backs_off() {
    for (work, version) in [(firmware(), "2.0"), (upload(), "1.0"), (configuration(), "1.0")] {
        let mut world = started(Device::default(), work);
        let report = world.device.transfers.finish(9010);
        world.calls(&report);
        world.session();
        assert!(world.backoff() > 0);
        world.calls(&complete("acsd-7-2", 0));
        assert!(world.backoff() > 0, "that call was never made");
        world.software_version = version.to_owned();
        if matches!(world.transaction.work, Work::Upload(_)) {
            arrive(&mut world);
        }
        world.calls(&complete("acsd-7-1", 0));
        assert_eq!(world.backoff(), 0);
        world.run().assert_completed();
        assert_eq!(world.device.transfers.taken, 1);
    }
    // Software that is not in use yet is waited for.
    let mut world = started(Device::default(), firmware());
    let report = world.device.transfers.finish(9010);
    world.calls(&report);
    world.session();
    world.calls(&complete("acsd-7-1", 0));
    world.run();
    assert_eq!((reason(&world), world.device.transfers.taken), (Some(WaitReason::NewSoftware), 1));
}

#[test]
fn a_file_is_asked_for_by_its_other_names() {
    let names = ["3 Vendor Configuration File 1", "3 Vendor Configuration File", "1 Vendor Configuration File"];
    let work = || {
        let alternatives = names[1..].iter().map(|name| (*name).to_owned()).collect();
        Work::Upload(Box::new(UploadOrder { file_type: names[0].to_owned(), alternatives, delay_secs: 0 }))
    };
    let asked = |world: &World| -> Vec<String> {
        let types = world.device.calls.iter().filter_map(|call| match call {
            Request::Upload(call) => Some(call.file_type.to_string()),
            _ => None,
        });
        types.collect()
    };
    // Refused at once, and after a while.
    let mut world = started(Device::default().at(0, Twist::Fault(9003)), work());
    assert_eq!(
        (asked(&world), reason(&world)),
        (names[..2].to_vec().iter().map(|name| (*name).to_owned()).collect(), Some(WaitReason::Transfer))
    );
    let report = world.device.transfers.finish(9010);
    world.calls(&report);
    world.run();
    assert_eq!((asked(&world), world.backoff()), (names.map(str::to_owned).to_vec(), 0));
    arrive(&mut world);
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run().assert_completed();
    // None of them, and a fault that says nothing of the name.
    for (code, sends) in [(9003, 3), (9012, 1)] {
        let device = (0..3).fold(Device::default(), |device, nth| device.at(nth, Twist::Fault(code)));
        let mut world = started(device, work());
        world.run();
        assert_eq!((asked(&world).len(), world.fault().code), (sends, code));
    }
}

#[test]
fn a_file_that_has_come_is_not_asked_for_again() {
    let mut world = started(Device::default(), upload());
    let report = world.device.transfers.finish(9010);
    world.calls(&report);
    world.session();
    arrive(&mut world);
    world.run().assert_completed();
    assert_eq!(world.device.transfers.taken, 1);
}

#[test]
fn a_restart_that_announces_a_report_is_judged_without_it() {
    let announced = [BOOT, (EventCode::MDownload, "acsd-7-1")];
    for (version, words) in
        [("2.0", Ok("no TransferComplete")), ("1.5", Err("came back with software 1.5 instead of 2.0"))]
    {
        for events in [&announced[..], &[BOOT]] {
            let mut world = started(Device::default(), firmware());
            boots(&mut world, version, events);
            world.run();
            match words {
                Ok(words) => assert!(note(&world).contains(words)),
                Err(words) => assert!(world.fault().message.contains(words), "{}", world.fault().message),
            }
            world.calls(&complete("acsd-7-1", 0));
        }
    }
    let mut world = started(Device::default(), firmware());
    boots(&mut world, "1.5", &announced);
    let report = world.device.transfers.finish(9018);
    world.calls(&report);
    world.session();
    assert_eq!((world.fault().code, world.backoff() > 0), (9018, true), "the report says more");
    let mut world = started(Device::default(), firmware());
    boots(&mut world, "1.0", &announced);
    world.run();
    assert_eq!(reason(&world), Some(WaitReason::Transfer), "that restart proves nothing");
}

#[test]
fn the_wanted_version_is_seen_in_any_inform() {
    for event in [EventCode::ValueChange, EventCode::Periodic, EventCode::ConnectionRequest] {
        for twist in [None, Some(Twist::Silent)] {
            let device = twist.into_iter().fold(Device::default(), |device, twist| device.at(0, twist));
            let mut world = started(device, firmware());
            world.inform(&[(event, "")]);
            assert!(reason(&world).is_some(), "it runs the old software");
            boots(&mut world, "1.7", &[(event, "")]);
            assert!(reason(&world).is_some(), "it has not restarted");
            boots(&mut world, "2.0", &[(event, "")]);
            world.run().assert_completed();
            assert!(note(&world).contains("no TransferComplete"));
        }
    }
}

#[test]
fn a_queue_without_keys_holds_ours() {
    let mut device = Device::default().at(0, Twist::AnswerLost);
    device.transfers.loses_keys = true;
    let mut world = started(device, firmware());
    world.run();
    assert_eq!((world.device.transfers.taken, reason(&world)), (1, Some(WaitReason::Transfer)));
}

#[test]
fn a_reset_in_between_is_judged_by_the_version() {
    let reset = (EventCode::Bootstrap, "");
    for (version, completes) in [("2.0", true), ("1.0", false)] {
        let mut world = started(Device::default(), firmware());
        boots(&mut world, version, &[reset, BOOT]);
        if completes {
            world.assert_completed();
        } else {
            assert!(world.fault().message.contains("reset to factory defaults"));
        }
    }
    let mut world = started(Device::default(), configuration());
    world.inform(&[reset]);
    assert!(world.fault().message.contains("reset to factory defaults"));
    let mut world = started(Device::default(), upload());
    arrive(&mut world);
    world.inform(&[reset]);
    world.run().assert_completed();
}

#[test]
fn a_report_may_come_before_the_answer_to_the_call() {
    // The answer is lost, and the report is there when the next session begins.
    let mut world = started(Device::default().at(0, Twist::AnswerLost), upload());
    arrive(&mut world);
    let report = world.device.transfers.finish(0);
    world.calls(&report);
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["Upload"]);
}

#[test]
fn a_device_that_stays_away_has_failed() {
    let mut world = started(Device::default(), firmware());
    assert!(world.overdue().is_none(), "not yet");
    world.run_out();
    assert!(world.overdue().is_none(), "it is called");
    world.now = world.transaction.progress.deadline.unwrap();
    assert!(world.overdue().unwrap().message.contains("did not come back in time"));
}

#[test]
fn a_list_of_methods_that_is_too_short_keeps_nobody_from_an_upgrade() {
    // The list is a remembered one, or was asked for since the call was lost.
    for remembered in [true, false] {
        let mut device = Device::default();
        device.transfers.lists = Some(vec!["GetParameterValues", "SetParameterValues"]);
        let mut world = world(device.at(0, Twist::LostOnTheWay), firmware());
        if remembered {
            world.methods = RpcMethods::read(world.device.transfers.names(), "1.0", world.now);
        }
        world.run();
        world.run_out();
        world.run();
        assert_eq!((world.device.transfers.taken, reason(&world)), (1, Some(WaitReason::Transfer)), "{remembered}");
    }
    // A device that truly lacks it says so itself.
    let refuses = started(Device::default().at(0, Twist::Fault(9000)), firmware());
    assert_eq!((refuses.fault().code, refuses.fault().message.as_str()), (9000, "Download: Method not supported"));
    // What no device has to have is not called where the list lacks it.
    let mut world = world(Device::default(), upload());
    world.methods = RpcMethods::read(["GetParameterValues"], "1.0", world.now);
    assert_eq!(world.run().fault().message, "the device does not have Upload");
    assert!(world.device.calls.is_empty());
}

#[test]
fn what_cannot_be_offered_fails_in_words() {
    let mut world = World::new(Device::default(), firmware());
    world.wanted = Some(Wanted::NoTransfer("the firmware image is gone"));
    assert_eq!(world.run().fault().message, "the firmware image is gone");
    let mut world = World::new(Device::default(), firmware());
    world.wanted = Some(Wanted::Transfer(TransferOffer { url: "h".repeat(257), ..offer("") }));
    assert!(world.run().fault().message.contains("257 characters"));
    assert_eq!(world.device.transfers.taken, 0);
}

#[test]
fn a_file_elsewhere_is_fetched_with_its_own_login() {
    let file = RemoteFile {
        url: "http://files.example/1".to_owned(),
        username: "u".to_owned(),
        password: "p".into(),
        size: 70_000,
    };
    let mut world = World::new(Device::default(), download(FileRef::Elsewhere(file), "2 Web Content"));
    world.session();
    let Request::Download(call) = &world.device.calls[0] else { panic!("no download") };
    assert_eq!((call.username.as_ref(), call.password.as_ref(), call.file_size), ("u", "p", 70_000));
}

#[test]
fn time_windows_count_from_the_first_call() {
    let window = |start_secs, end_secs| TimeWindow {
        start_secs,
        end_secs,
        mode: "1 At Any Time".to_owned(),
        user_message: String::new(),
        max_retries: 1,
    };
    let Work::Download(order) = firmware() else { panic!() };
    let windows = vec![window(10, 20), window(3_600, 7_200)];
    let mut world = started(Device::default(), Work::Download(Box::new(DownloadOrder { windows, ..*order })));
    let Phase::Waiting { until, .. } = world.transaction.phase else { panic!("does not wait") };
    assert!(until.since(world.now) > Duration::from_hours(2), "{:?}", until.since(world.now));
    let report = world.device.transfers.finish(9015);
    world.calls(&report);
    world.run();
    let told = |world: &World| match world.device.calls.last() {
        Some(Request::ScheduleDownload(call)) => {
            call.windows.iter().map(|window| (window.start_secs, window.end_secs)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let later = told(&world);
    assert_eq!(later.len(), 1, "the first one is over: {later:?}");
    assert!(later[0].0 < 3_600 && later[0].1 < 7_200);
    let report = world.device.transfers.finish(9015);
    world.calls(&report);
    world.now = world.now + Duration::from_hours(3);
    world.run();
    assert_eq!(world.fault().message, "the time windows are over");
}

#[test]
fn keys_fit_however_long_acsd_has_been_in_use() {
    let mut world = World::new(Device::default(), configuration());
    world.wanted = Some(Wanted::Transfer(offer("")));
    world.transaction.id = crate::types::ident::TransactionId(u64::MAX);
    world.session();
    assert_eq!(world.device.transfers.taken, 1, "the device has measured the key");
    assert!(world.transaction.progress.deadline > Some(Timestamp::default()));
}
