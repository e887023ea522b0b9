use std::time::Duration;

use crate::cwmp::message::Request;
use crate::model::device_type::DeviceType;
use crate::model::transaction::{Phase, TransactionStatus, WaitReason, Work};
use crate::tasks::plan::Ending;
use crate::types::event::EventCode;
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::world::World;

const UP_TIME: &str = "Device.DeviceInfo.UpTime";

fn device() -> Device {
    Device::with(&[(UP_TIME, "86400", XsdType::UnsignedInt)])
}

fn world(device: Device, work: Work) -> World {
    let mut world = World::new(device, work);
    world.session();
    world
}

fn status(world: &World) -> TransactionStatus {
    world.transaction.status
}

#[test]
fn a_reboot_waits_for_its_own_key() {
    let mut world = world(device(), Work::Reboot);
    let Request::Reboot(reboot) = &world.device.calls[0] else { panic!("no reboot") };
    assert_eq!(reboot.command_key, "acsd-7");
    let Phase::Waiting { reason: WaitReason::Reboot, until } = world.transaction.phase else { panic!("does not wait") };
    assert_eq!(until.since(world.now), Duration::from_mins(15));
    world.inform(&[(EventCode::Periodic, "")]);
    assert_eq!(status(&world), TransactionStatus::InProgress);
    world.inform(&[(EventCode::Boot, ""), (EventCode::MReboot, "acsd-7")]);
    assert_eq!(status(&world), TransactionStatus::Completed);
}

#[test]
fn a_boot_alone_confirms_a_reboot_that_the_device_had_accepted() {
    let table = [vec![(EventCode::Boot, "")], vec![(EventCode::MReboot, "")], vec![(EventCode::Bootstrap, "")]];
    for events in table {
        let mut world = world(device(), Work::Reboot);
        world.inform(&events);
        assert_eq!(status(&world), TransactionStatus::Completed, "{events:?}");
    }
}

#[test]
fn an_empty_post_in_place_of_the_answer_waits_too() {
    for twist in [Twist::Silent, Twist::Ignored] {
        let world = world(device().at(0, twist), Work::Reboot);
        assert!(matches!(world.transaction.phase, Phase::Waiting { .. }));
    }
}

#[test]
fn a_device_that_reboots_in_place_of_an_answer_is_asked_for_its_up_time() {
    let mut world = world(device().at(0, Twist::AnswerLost), Work::Reboot);
    // It comes back, having lost the key.
    world.now = world.now + Duration::from_mins(2);
    world.device.parameters.insert(UP_TIME.to_owned(), ("60".to_owned(), XsdType::UnsignedInt));
    world.inform(&[(EventCode::Boot, "")]);
    world.run().assert_completed();
    assert_eq!(world.device.restarts, 1);
    assert!(matches!(world.ending(), Ending::Completed { note: Some(note) } if note.contains("up time")));
}

#[test]
fn our_key_confirms_even_when_the_answer_was_lost() {
    for twist in [Twist::AnswerLost, Twist::KilledAfter] {
        let mut world = world(device().at(0, twist), Work::Reboot);
        world.inform(&[(EventCode::Boot, ""), (EventCode::MReboot, "acsd-7")]);
        assert_eq!(status(&world), TransactionStatus::Completed);
    }
}

#[test]
fn a_boot_from_before_the_call_that_is_reported_again_confirms_nothing() {
    let mut world = world(device().at(0, Twist::LostOnTheWay), Work::Reboot);
    world.inform(&[(EventCode::Boot, "")]);
    assert_eq!(status(&world), TransactionStatus::InProgress);
    world.run();
    assert_eq!(world.device.methods(), ["Reboot", "GetParameterValues", "Reboot"]);
    assert_eq!(world.device.restarts, 1);
}

#[test]
fn a_device_that_hides_its_up_time_is_judged_by_its_boots() {
    for boots in [false, true] {
        let mut world = world(Device::default().at(0, Twist::AnswerLost), Work::Reboot);
        world.now = world.now + Duration::from_mins(2);
        if boots {
            world.inform(&[(EventCode::Boot, "")]);
        }
        world.run();
        assert_eq!(world.device.restarts, if boots { 1 } else { 2 });
    }
}

#[test]
fn nothing_is_repeated_while_the_up_time_cannot_be_read() {
    for twist in [Twist::Fault(9002), Twist::Ignored, Twist::Mismatch, Twist::LostOnTheWay] {
        let mut world = world(device().at(0, Twist::AnswerLost), Work::Reboot);
        world.device.script.extend((1..9).map(|call| (call, twist.clone())));
        world.run();
        assert_eq!((world.device.restarts, world.sessions), (1, 5), "{twist:?}");
        assert!(world.fault().message.contains("unknown"), "{}", world.fault().message);
    }
}

#[test]
fn the_up_time_is_found_among_other_values() {
    use crate::cwmp::message::Response;
    use crate::cwmp::message::acs::ParameterValues;
    use crate::cwmp::message::inform::ParameterValueStruct;
    use crate::cwmp::session::Answer;
    use crate::model::transaction::OpenWork;
    use crate::tasks::plan::{Context, PlanLimits, Running, Step};

    let world = world(device().at(0, Twist::AnswerLost), Work::Reboot);
    let (limits, known) = (PlanLimits::default(), std::collections::HashMap::new());
    let cx = Context {
        now: world.now + Duration::from_mins(5),
        data_model: crate::model::device::DataModel::Device,
        last_boot: None,
        inform_interval: Duration::from_secs(30),
        boolean_form: crate::cwmp::emission::BooleanForm::Learned,
        jitter: 0,
        names: &crate::tasks::plan::KnownNames::none(),
        known: &known,
        wanted: None,
        methods: None,
        attributes: crate::tasks::plan::Attributes::Allowed,
        software_version: "1.0",
        device_type: &DeviceType::generic(crate::types::time::Timestamp::default()),
        limits: &limits,
    };
    let (mut running, _) = Running::begin(world.transaction, Ok(OpenWork::default()), &cx);
    let parameters = vec![
        ParameterValueStruct::new("Device.Extra", "999999999", XsdType::UnsignedInt),
        ParameterValueStruct::new(UP_TIME, " 60 ", XsdType::UnsignedInt),
    ];
    let answer = Answer::Response(Response::GetParameterValues(ParameterValues { parameters }));
    assert!(matches!(running.answer(&answer, &cx), Step::End(Ending::Completed { .. })));
}

#[test]
fn a_refused_reboot_follows_the_fault() {
    for (code, sessions) in [(9000, 1), (9001, 2), (9002, 5)] {
        let mut device = device();
        device.script.extend((0..9).map(|call| (call, Twist::Fault(code))));
        let mut world = world(device, Work::Reboot);
        world.run();
        assert_eq!((world.sessions, world.fault().code, world.device.restarts), (sessions, code, 0));
    }
}

#[test]
fn a_factory_reset_is_confirmed_by_a_bootstrap_and_nothing_less() {
    let mut world = world(device(), Work::FactoryReset);
    assert!(matches!(world.transaction.phase, Phase::Waiting { reason: WaitReason::Bootstrap, .. }));
    world.inform(&[(EventCode::Boot, "")]);
    assert_eq!(status(&world), TransactionStatus::InProgress);
    world.inform(&[(EventCode::Bootstrap, ""), (EventCode::Boot, "")]);
    assert_eq!(status(&world), TransactionStatus::Completed);
}

#[test]
fn a_restart_is_not_taken_for_a_factory_reset() {
    let mut world = world(device().at(0, Twist::LostOnTheWay), Work::FactoryReset);
    // The device lost power: it is up for a short time, but it has not been reset.
    world.now = world.now + Duration::from_mins(2);
    world.device.parameters.insert(UP_TIME.to_owned(), ("60".to_owned(), XsdType::UnsignedInt));
    world.inform(&[(EventCode::Boot, "")]);
    world.run();
    assert_eq!(world.device.methods(), ["FactoryReset", "FactoryReset"]);
    assert!(matches!(world.transaction.phase, Phase::Waiting { .. }));
}

#[test]
fn a_factory_reset_whose_answer_was_lost_is_confirmed_all_the_same() {
    let mut world = world(device().at(0, Twist::KilledAfter), Work::FactoryReset);
    world.inform(&[(EventCode::Bootstrap, "")]);
    assert_eq!(status(&world), TransactionStatus::Completed);
}
