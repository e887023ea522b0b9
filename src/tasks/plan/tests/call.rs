use std::borrow::Cow;
use std::time::Duration;

use crate::cwmp::message::cpe::{DuResult, DuStateChangeComplete};
use crate::cwmp::message::{FaultStruct, Request};
use crate::model::call::results::{ResultList, records};
use crate::model::call::{AttributeChange, Call, DuAction, DuChange, TransferRef};
use crate::model::transaction::{Phase, TransactionStatus, WaitReason, Work};
use crate::tasks::plan::{Attributes, Ending, news};
use crate::types::event::EventCode;
use crate::types::ident::TransactionId;
use crate::types::path::ReadPath;
use crate::types::secret::MaybeSealed;
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::world::World;

const UUID: &str = "11111111-2222-3333-4444-555555555555";
const NAMES: [&str; 3] = ["Device.WiFi.A", "Device.WiFi.B", "Device.WiFi.C"];

fn device() -> Device {
    Device::with(&NAMES.map(|name| (name, "x", XsdType::String)))
}

fn world(device: Device, call: Call) -> World {
    World::new(device, Work::Call(Box::new(call)))
}

fn path(text: &str) -> ReadPath {
    ReadPath::try_from(text).unwrap()
}

fn notify(paths: &[&str], notification: u8) -> Call {
    let change =
        |text: &&str| AttributeChange { path: path(text), notification: Some(notification), access_list: None };
    Call::SetParameterAttributes { changes: paths.iter().map(change).collect() }
}

fn install(urls: &[&str]) -> Call {
    let change = |url: &&str| DuChange {
        action: DuAction::Install,
        uuid: String::new(),
        url: (*url).to_owned(),
        version: String::new(),
        username: "u".to_owned(),
        password: MaybeSealed::from("p"),
        execution_env_ref: String::new(),
    };
    Call::ChangeDuState { operations: urls.iter().map(change).collect() }
}

/// The device's report: a fault code for each operation.
fn report(command_key: &str, codes: &[u16]) -> Request<'static> {
    let result = |code: &u16| DuResult {
        uuid: UUID.into(),
        version: "1.0".into(),
        current_state: if *code == 0 { "Installed" } else { "Failed" }.into(),
        fault: FaultStruct { code: *code, message: "".into() },
        ..DuResult::default()
    };
    let results = codes.iter().map(result).collect();
    Request::DuStateChangeComplete(DuStateChangeComplete { results, command_key: command_key.to_owned().into() })
}

fn waits_for(world: &World) -> Option<WaitReason> {
    match world.transaction.phase {
        Phase::Waiting { reason, .. } => Some(reason),
        _ => None,
    }
}

#[test]
fn a_rare_method_is_called_only_when_the_device_has_it() {
    let mut known = world(device(), Call::GetOptions { name: String::new() });
    known.run().assert_completed();
    assert_eq!(known.device.methods(), ["GetRPCMethods", "GetOptions"]);
    assert_eq!(records(&known.results, ResultList::Options)[0].text("OptionName"), Some("fast"));

    // What it said is remembered, for the software that it runs.
    let methods = known.methods.clone();
    let mut again = world(device(), Call::GetQueuedTransfers);
    again.methods = methods.clone();
    again.run().assert_completed();
    assert_eq!(again.device.methods(), ["GetQueuedTransfers"]);
    let mut other = world(device(), Call::GetQueuedTransfers);
    (other.methods, other.software_version) = (methods, "2.0".to_owned());
    other.run().assert_completed();
    assert_eq!(other.device.methods(), ["GetRPCMethods", "GetQueuedTransfers"]);
}

#[test]
fn a_device_that_dies_of_unknown_methods_is_not_asked() {
    let mut weak = device();
    weak.lacks = ["ChangeDUState", "GetParameterAttributes"].into();
    let mut world = world(weak, install(&["http://h/a"]));
    world.run();
    assert_eq!(world.fault().message, "the device does not have ChangeDUState");
    assert_eq!((world.device.methods(), world.sessions), (vec!["GetRPCMethods"], 1));
}

#[test]
fn a_list_that_cannot_be_right_counts_as_none() {
    for claims in [vec![], vec!["Inform", "TransferComplete"]] {
        let mut odd = device();
        odd.claims = Some(claims);
        let mut world = world(odd, Call::GetAllQueuedTransfers);
        world.run().assert_completed();
        assert_eq!(world.device.methods(), ["GetRPCMethods", "GetAllQueuedTransfers"]);
        assert!(world.methods.is_none());
    }
    for twist in [Twist::Fault(9000), Twist::Mismatch, Twist::Ignored] {
        let mut world = world(device().at(0, twist), Call::GetAllQueuedTransfers);
        world.run().assert_completed();
    }
}

#[test]
fn a_device_that_breaks_off_when_asked_for_its_methods_is_called_in_the_end() {
    let device = device().at(0, Twist::LostOnTheWay).at(1, Twist::LostOnTheWay);
    let mut world = world(device, Call::GetAllQueuedTransfers);
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["GetRPCMethods", "GetRPCMethods", "GetAllQueuedTransfers"]);
}

#[test]
fn get_rpc_methods_asks_and_remembers() {
    let mut world = world(device(), Call::GetRpcMethods);
    world.run().assert_completed();
    let names = records(&world.results, ResultList::Methods);
    assert!(names.iter().any(|name| name.item() == Some("ChangeDUState")));
    assert_eq!(world.methods.as_ref().map(|methods| &*methods.software_version), Some("1.0"));
}

#[test]
fn attributes_are_read_in_batches_and_the_bad_name_is_told() {
    let names = ["Device.WiFi.A", "Device.No", "Device.WiFi.", "Device.WiFi.C"];
    let mut device = device();
    device.attributes.insert("Device.WiFi.C".to_owned(), 2);
    let mut world = world(device, Call::GetParameterAttributes { names: names.map(path).to_vec() });
    world.run();
    assert_eq!(world.fault().code, 9005);
    assert!(world.fault().message.contains("Device.No"), "{}", world.fault().message);
    let read = records(&world.results, ResultList::Parameters);
    let read: Vec<_> = read.iter().map(|one| (one.text("Name").unwrap(), one.number("Notification"))).collect();
    let [a, b, c] = NAMES;
    assert_eq!(read, [(a, Some(0)), ("Device.No", None), (a, Some(0)), (b, Some(0)), (c, Some(2)), (c, Some(2))]);
    let learned = &world.learned[0];
    assert!(learned.learn.iter().any(|one| &*one.path == c && one.notification == Some(2)));
    assert_eq!(learned.forget, ["Device.No".into()]);
}

#[test]
fn a_type_that_forbids_it_is_not_asked_for_attributes() {
    for call in [notify(&NAMES, 1), Call::GetParameterAttributes { names: vec![path("Device.")] }] {
        let mut world = world(device(), call);
        world.attributes = Attributes::Never;
        world.run();
        assert!(world.fault().message.contains("no_attributes"));
        assert!(world.device.calls.is_empty());
    }
}

#[test]
fn attributes_are_set_and_one_that_is_refused_does_not_stop_the_others() {
    let mut device = device();
    device.unnotifiable.insert("Device.WiFi.B".to_owned());
    let mut world = world(device, notify(&NAMES, 2));
    world.run();
    let fault = world.fault();
    assert_eq!((fault.code, fault.message.as_str()), (9009, "Device.WiFi.B: Notification request rejected"));
    let set: Vec<_> = world.device.attributes.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    assert_eq!(set, [("Device.WiFi.A", 2), ("Device.WiFi.C", 2)]);
    let results = records(&world.results, ResultList::Parameters);
    let faults: Vec<_> = results.iter().map(|one| one.fault().map(|fault| fault.code)).collect();
    assert_eq!(faults, [None, Some(9009), None]);
}

#[test]
fn a_change_without_notification_still_sends_a_number_and_a_subtree_is_learned() {
    let changes = vec![AttributeChange {
        path: path("Device.WiFi.A"),
        notification: None,
        access_list: Some(vec!["Subscriber".to_owned()]),
    }];
    let mut access = world(device(), Call::SetParameterAttributes { changes });
    access.run().assert_completed();
    let Request::SetParameterAttributes(sent) = &access.device.calls[0] else { panic!("nothing was set") };
    let sent = &sent.parameters[0];
    assert_eq!((sent.notification_change, sent.notification, sent.access_list_change), (false, 0, true));

    let mut below = world(device(), notify(&["Device.WiFi."], 1));
    below.run().assert_completed();
    assert_eq!(below.device.methods(), ["SetParameterAttributes", "GetParameterAttributes"]);
    let learned = below.learned.iter().flat_map(|patch| &patch.learn).filter(|one| one.notification == Some(1));
    assert_eq!(learned.count(), 3);
}

#[test]
fn attributes_of_unknown_outcome_are_read_back_before_they_are_set_again() {
    let table = [
        (Twist::AnswerLost, vec!["SetParameterAttributes", "GetParameterAttributes"]),
        (Twist::KilledAfter, vec!["SetParameterAttributes", "GetParameterAttributes"]),
        (Twist::Silent, vec!["SetParameterAttributes", "GetParameterAttributes"]),
        (Twist::LostOnTheWay, vec!["SetParameterAttributes", "GetParameterAttributes", "SetParameterAttributes"]),
        (Twist::Ignored, vec!["SetParameterAttributes", "GetParameterAttributes", "SetParameterAttributes"]),
    ];
    for (twist, calls) in table {
        let mut world = world(device().at(0, twist.clone()), notify(&NAMES, 2));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), calls, "{twist:?}");
        assert_eq!(world.device.attributes.len(), 3);
    }
}

#[test]
fn a_scheduled_inform_is_recognised_by_its_key() {
    let mut world = world(device(), Call::ScheduleInform { delay_secs: 60 });
    world.run();
    assert_eq!(waits_for(&world), Some(WaitReason::ScheduledInform));
    let Request::ScheduleInform(sent) = &world.device.calls[1] else { panic!("nothing was scheduled") };
    assert_eq!((sent.delay_secs, sent.command_key.as_ref()), (60, "acsd-7"));
    world.inform(&[(EventCode::Periodic, "")]);
    world.inform(&[(EventCode::Scheduled, ""), (EventCode::MScheduleInform, "somebody's")]);
    assert!(waits_for(&world).is_some());
    world.inform(&[(EventCode::Scheduled, ""), (EventCode::MScheduleInform, "acsd-7")]);
    world.assert_completed();
}

#[test]
fn a_scheduled_inform_without_a_key_is_believed_when_its_time_has_come() {
    let mut world = world(device(), Call::ScheduleInform { delay_secs: 3600 });
    world.run();
    world.inform(&[(EventCode::Scheduled, "")]);
    assert!(waits_for(&world).is_some(), "too early: another's");
    world.now = world.now + Duration::from_secs(3590);
    world.inform(&[(EventCode::Scheduled, "")]);
    world.assert_completed();
}

#[test]
fn a_scheduled_inform_that_never_comes_fails_once_it_was_confirmed() {
    let mut world = world(device(), Call::ScheduleInform { delay_secs: 60 });
    world.run();
    let Phase::Waiting { until, .. } = world.transaction.phase else { panic!("does not wait") };
    assert!(news::overdue(&world.transaction, world.now).is_none());
    let fault = news::overdue(&world.transaction, until).expect("overdue");
    assert_eq!(fault.message, "the device did not Inform as it was scheduled to");
}

#[test]
fn a_schedule_whose_answer_was_lost_is_repeated_only_when_no_inform_came() {
    for twist in [Twist::AnswerLost, Twist::LostOnTheWay, Twist::KilledAfter, Twist::Ignored] {
        let scheduled = || {
            let mut world = world(device().at(1, twist.clone()), Call::ScheduleInform { delay_secs: 60 });
            world.run();
            assert_eq!(waits_for(&world), Some(WaitReason::ScheduledInform), "{twist:?}");
            world
        };
        let mut came = scheduled();
        came.inform(&[(EventCode::MScheduleInform, "acsd-7")]);
        came.assert_completed();

        let mut never = scheduled();
        let Phase::Waiting { until, .. } = never.transaction.phase else { panic!("does not wait") };
        assert!(news::overdue(&never.transaction, until).is_none(), "{twist:?}");
        (never.now, never.methods) = (until, never.methods.take());
        never.transaction.resume();
        never.run();
        let sent = never.device.methods().iter().filter(|name| **name == "ScheduleInform").count();
        assert_eq!((sent, waits_for(&never)), (2, Some(WaitReason::ScheduledInform)), "{twist:?}");
    }
}

#[test]
fn units_are_changed_when_the_device_says_so() {
    let mut world = world(device(), install(&["http://h/a", "http://h/b"]));
    world.run();
    assert_eq!(waits_for(&world), Some(WaitReason::DuStateChange));
    world.calls(&report("of another", &[0, 0]));
    assert!(waits_for(&world).is_some());
    world.calls(&report("acsd-7", &[0, 9015]));
    let fault = world.fault();
    assert_eq!(fault.code, 9015);
    assert!(fault.message.starts_with("install of http://h/b: File transfer failure"), "{}", fault.message);
    assert!(fault.message.ends_with("(1 of 2 operations failed)"), "{}", fault.message);
    let results = records(&world.results, ResultList::Operations);
    assert_eq!(results[0].text("CurrentState"), Some("Installed"));
    assert_eq!((results[0].fault(), results[1].fault().map(|fault| fault.code)), (None, Some(9015)));
}

#[test]
fn an_empty_key_means_the_only_change_that_is_awaited() {
    let mut done = world(device(), install(&["http://h/a"]));
    done.run();
    let mut unclear = done.transaction.clone();
    done.calls(&report("", &[0]));
    done.assert_completed();
    news::called(&mut unclear, &report("", &[0]), 1, done.now);
    assert_eq!(unclear.status, TransactionStatus::InProgress, "there are two");
}

#[test]
fn a_change_of_units_is_never_ordered_twice() {
    for twist in [Twist::AnswerLost, Twist::LostOnTheWay, Twist::KilledAfter, Twist::Silent, Twist::Mismatch] {
        let mut world = world(device().at(1, twist.clone()), install(&["http://h/a"]));
        world.run();
        assert_eq!(waits_for(&world), Some(WaitReason::DuStateChange), "{twist:?}");
        let Phase::Waiting { until, .. } = world.transaction.phase else { panic!("does not wait") };
        let overdue = news::overdue(&world.transaction, until).expect("it is over then");
        assert!(overdue.message.contains("unknown"), "{overdue:?}");
        world.calls(&report("acsd-7", &[0]));
        world.assert_completed();
        let sent = world.device.methods().iter().filter(|name| **name == "ChangeDUState").count();
        assert_eq!(sent, 1, "{twist:?}");
    }
}

#[test]
fn a_change_that_the_device_refuses_at_once_is_a_fault() {
    let mut world = world(device().at(1, Twist::Fault(9003)), install(&["http://h/a"]));
    world.run();
    assert_eq!(world.fault().code, 9003);
    world.calls(&report("acsd-7", &[0]));
    assert_eq!(world.transaction.status, TransactionStatus::Failed);
}

#[test]
fn a_transfer_is_cancelled_by_the_key_that_the_device_has_for_it() {
    let mut device = device();
    device.queued = vec!["acsd-12-3".to_owned(), "acsd-1".to_owned()];
    let transfer = TransferRef::Transaction(TransactionId(12));
    let mut by_id = world(device, Call::CancelTransfer { transfer: transfer.clone() });
    by_id.run().assert_completed();
    assert_eq!(by_id.device.methods(), ["GetRPCMethods", "GetAllQueuedTransfers", "CancelTransfer"]);
    assert_eq!(by_id.device.queued, ["acsd-1"]);

    let mut gone = world(self::device(), Call::CancelTransfer { transfer });
    gone.run();
    assert_eq!(gone.fault().message, "the device's queue does not have the transfer");
}

#[test]
fn whether_a_transfer_was_cancelled_is_looked_for_in_the_queue() {
    let cancel = || Call::CancelTransfer { transfer: TransferRef::Key("theirs".to_owned()) };
    let queued = |twist| {
        let mut device = device().at(1, twist);
        device.queued = vec!["theirs".to_owned()];
        device
    };
    for (twist, sent) in [(Twist::AnswerLost, 1), (Twist::LostOnTheWay, 2), (Twist::Silent, 1), (Twist::Ignored, 2)] {
        let mut world = world(queued(twist.clone()), cancel());
        world.run().assert_completed();
        let cancelled = world.device.methods().iter().filter(|name| **name == "CancelTransfer").count();
        assert_eq!((cancelled, world.device.queued.len()), (sent, 0), "{twist:?}: {:?}", world.device.methods());
    }
    let mut refused = world(queued(Twist::Fault(9021)), cancel());
    refused.run();
    assert_eq!((refused.fault().code, refused.sessions), (9021, 1));
}

#[test]
fn vouchers_of_unknown_outcome_are_not_sent_again() {
    for twist in [Twist::AnswerLost, Twist::KilledAfter, Twist::Silent] {
        let mut world = world(device().at(1, twist), Call::SetVouchers { vouchers: vec!["AAAA".into()] });
        world.run();
        assert!(world.fault().message.contains("unknown"));
        let sent = world.device.methods().iter().filter(|name| **name == "SetVouchers").count();
        assert_eq!(sent, 1);
    }
}

#[test]
fn names_below_an_object_are_told_and_learned() {
    let path = crate::types::path::ObjectPath::try_from("Device.WiFi.").unwrap();
    let mut world = world(device(), Call::GetParameterNames { path });
    world.run();
    assert_eq!(world.ending(), Ending::Completed { note: None });
    let names = records(&world.results, ResultList::Parameters);
    assert_eq!(names.iter().filter_map(|one| one.text("Name")).map(Cow::Borrowed).collect::<Vec<_>>(), NAMES);
    assert_eq!(world.learned[0].learn.len(), 3);
}
