use crate::model::transaction::Work;
use crate::model::wanted::WantedConfiguration;
use crate::types::value::XsdType;

use super::super::device::{Device, Twist};
use super::super::world::World;
use super::{GET, SET, note, parameters, row, wanted, world};

const A: &str = "Device.X.A";
const B: &str = "Device.X.B";
const PASSWORD: &str = "Device.X.Password";

fn device() -> Device {
    let device =
        Device::with(&[(A, "1", XsdType::UnsignedInt), (B, "b", XsdType::String), (PASSWORD, "", XsdType::String)]);
    Device { masks: [(PASSWORD.to_owned(), "")].into(), ..device }.table("Device.T.", &[])
}

#[test]
fn a_missing_parameter_fails_by_name_before_anything_is_written() {
    let configuration = WantedConfiguration {
        objects: vec![row("Device.T.", &[("Name", "x")], &[])],
        ..parameters(&[(A, "2"), ("Device.No", "x"), (B, "c")])
    };
    let mut world = world(device(), Work::Sync, configuration);
    world.run();
    assert_eq!((world.fault().code, world.sessions), (9005, 1));
    assert!(world.fault().message.contains("Device.No"));
    assert_eq!((world.device.writes, world.device.adds), (0, 0));
    assert_eq!(world.outcome(), [("Device.No", Some("x"), Some(9005))]);
    assert!(world.learned[0].forget.iter().any(|path| &**path == "Device.No"));
}

#[test]
fn a_value_that_is_none_of_its_type_fails_before_anything_is_written() {
    let mut world = world(device(), Work::Sync, parameters(&[(B, "c"), (A, "many")]));
    world.run();
    assert_eq!((world.device.methods(), world.fault().code), (vec![GET], 0));
    assert!(world.fault().message.contains(A), "{:?}", world.fault());
}

#[test]
fn a_refused_parameter_is_named() {
    for bare_faults in [false, true] {
        for (settings, named) in [(vec![(A, "2")], true), (vec![(A, "2"), (B, "c")], true)] {
            let mut device = Device { bare_faults, ..device() };
            device.unwritable.insert(A.to_owned(), 9008);
            let mut world = world(device, Work::Sync, parameters(&settings));
            world.run();
            assert_eq!((world.fault().code, world.sessions, world.device.writes), (9008, 1, 0));
            assert_eq!(world.fault().message.contains(A), named, "{:?}", world.fault());
            if !bare_faults {
                assert_eq!(world.outcome(), [(A, Some("2"), Some(9008))]);
            }
        }
    }
}

#[test]
fn a_refused_read_names_what_was_read() {
    for settings in [vec![(A, "2")], vec![(A, "2"), (B, "c")]] {
        let mut world = world(device().at(0, Twist::Fault(9007)), Work::Sync, parameters(&settings));
        world.run();
        let words = &world.fault().message;
        assert_eq!((world.fault().code, world.device.writes), (9007, 0));
        assert!(settings.iter().all(|(path, _)| words.contains(path)), "{words}");
    }
}

#[test]
fn transient_faults_back_off_and_start_over() {
    for (code, sessions) in [(9001, 2), (9002, 2), (9004, 2), (9006, 2)] {
        for call in [0, 1] {
            let mut world = world(device().at(call, Twist::Fault(code)), Work::Sync, parameters(&[(A, "2")]));
            world.session();
            // A read of a single name that is too much for the device, or a type fault of a read, is no different.
            world.run().assert_completed();
            assert_eq!((world.sessions, world.device.value(A)), (sessions, "2"), "{code} at {call}");
        }
    }
}

#[test]
fn a_write_that_is_too_much_for_the_device_is_split() {
    let mut world = world(device().at(1, Twist::Fault(9004)), Work::Sync, parameters(&[(A, "2"), (B, "c")]));
    world.run().assert_completed();
    assert_eq!((world.device.methods(), world.sessions), (vec![GET, SET, SET, SET, GET], 1));
    assert_eq!((world.device.value(A), world.device.value(B)), ("2", "c"));
}

#[test]
fn a_write_whose_answer_is_lost_is_compared_and_told() {
    let table = [
        (Twist::AnswerLost, vec![GET, SET, GET]),
        (Twist::KilledAfter, vec![GET, SET, GET]),
        (Twist::Silent, vec![GET, SET, GET]),
        (Twist::LostOnTheWay, vec![GET, SET, GET, SET, GET]),
        (Twist::KilledOnTheWay, vec![GET, SET, GET, SET, GET]),
        (Twist::Ignored, vec![GET, SET, GET, SET, GET]),
        (Twist::Mismatch, vec![GET, SET, GET, SET, GET]),
    ];
    for work in [Work::Sync, Work::Reconfigure] {
        for (twist, calls) in table.clone() {
            let mut world = world(device().at(1, twist.clone()), work.clone(), parameters(&[(A, "2"), (B, "c")]));
            world.run().assert_completed();
            assert_eq!((world.device.methods(), world.sessions), (calls, 2), "{work:?} {twist:?}");
            assert_eq!(world.device.writes, 1);
            assert_eq!(world.outcome(), [(A, Some("2"), None), (B, Some("c"), None)], "{twist:?}");
            assert_eq!(note(&world), "2 parameters written");
        }
    }
}

#[test]
fn secrets_of_a_lost_write_are_taken_when_the_rest_was() {
    let table = [(Twist::AnswerLost, None, 1), (Twist::LostOnTheWay, None, 1), (Twist::AnswerLost, Some(()), 2)];
    for (twist, restarted, writes) in table {
        let mut world = World::new(device().at(1, twist), Work::Sync);
        world.wanted = Some(wanted(parameters(&[(A, "2"), (PASSWORD, "word")]), None));
        world.session();
        world.last_boot = restarted.map(|()| world.now);
        world.run().assert_completed();
        assert_eq!((world.device.writes, world.device.value(PASSWORD)), (writes, "word"));
        assert_eq!(world.outcome(), [(A, Some("2"), None), (PASSWORD, None, None)]);
    }
}

#[test]
fn what_an_earlier_session_wrote_is_among_the_results() {
    // A call that may cut the device off comes second, and fails once.
    const VLAN: &str = "Device.X.VLANID";
    let mut device = device().at(2, Twist::Fault(9002));
    device.parameters.insert(VLAN.to_owned(), ("1".to_owned(), XsdType::UnsignedInt));
    let mut world = world(device, Work::Sync, parameters(&[(A, "2"), (VLAN, "7")]));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), [GET, SET, SET, GET, SET, GET]);
    assert_eq!(world.outcome(), [(A, Some("2"), None), (VLAN, Some("7"), None)]);
}

#[test]
fn a_device_that_breaks_off_at_every_write_is_given_up() {
    let mut device = device();
    device.script = (0..20).map(|call| (call * 2 + 1, Twist::LostOnTheWay)).collect();
    let mut world = world(device, Work::Sync, parameters(&[(A, "2")]));
    world.run();
    assert_eq!((world.sessions, world.fault().code), (5, 0));
}
