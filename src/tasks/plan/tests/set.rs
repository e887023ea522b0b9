use crate::cwmp::emission::BooleanForm;
use crate::model::transaction::{Assignment, TypeHint, Work};
use crate::tasks::plan::Ending;
use crate::types::secret::Sealed;
use crate::types::value::{ValueKind, XsdType};

use super::device::{Device, Twist};
use super::world::{World, parameter};

const ENABLE: &str = "Device.WiFi.SSID.1.Enable";
const SSID: &str = "Device.WiFi.SSID.1.SSID";

fn device() -> Device {
    Device::with(&[(ENABLE, "true", XsdType::Boolean), (SSID, "old", XsdType::String)])
}

fn assign(assignments: &[(&str, &str, Option<TypeHint>)]) -> Work {
    let assignments = assignments
        .iter()
        .map(|(path, value, ty)| Assignment { path: parameter(path), value: (*value).into(), ty: *ty })
        .collect();
    Work::Set { assignments }
}

fn world(device: Device) -> World {
    World::new(device, assign(&[(SSID, "new", None), (ENABLE, "0", None)])).knows(SSID, "old", XsdType::String).knows(
        ENABLE,
        "true",
        XsdType::Boolean,
    )
}

#[test]
fn known_types_are_used_and_the_device_s_boolean_form_kept() {
    let mut world = world(device());
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["SetParameterValues"]);
    let sent: Vec<_> = world.device.last_write().parameters.iter().map(|p| (p.value.as_ref(), p.ty)).collect();
    assert_eq!(sent, [("new", XsdType::String), ("false", XsdType::Boolean)]);
    assert_eq!(world.device.last_write().parameter_key, "7");
    assert_eq!(world.outcome(), [(SSID, Some("new"), None), (ENABLE, Some("0"), None)]);
}

#[test]
fn booleans_follow_the_flag() {
    let table = [(BooleanForm::Digit, "0"), (BooleanForm::Word, "false"), (BooleanForm::Learned, "false")];
    for (form, want) in table {
        let mut world = world(device());
        world.boolean_form = form;
        world.run().assert_completed();
        assert_eq!(world.device.last_write().parameters[1].value, want, "{form:?}");
    }
}

#[test]
fn unknown_types_are_read_first_in_the_same_session() {
    let hints = [None, Some(TypeHint::Kind(ValueKind::String))];
    for hint in hints {
        let mut world = World::new(device(), assign(&[(ENABLE, "no", hint)]));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), ["GetParameterValues", "SetParameterValues"]);
        assert_eq!(world.device.last_write().parameters[0].ty, XsdType::Boolean, "the device knows better: {hint:?}");
        assert_eq!(world.device.value(ENABLE), "false");
        assert_eq!(world.sessions, 1);
    }
}

#[test]
fn an_exact_type_is_taken_as_it_stands() {
    let mut world = World::new(device(), assign(&[(SSID, "new", Some(TypeHint::Exact(XsdType::String)))]));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["SetParameterValues"]);
}

#[test]
fn nothing_is_sent_when_one_of_them_cannot_work() {
    let table = [
        (assign(&[(SSID, "new", None), (ENABLE, "maybe", None)]), ENABLE, 0),
        (assign(&[(SSID, "new", None), ("Device.No", "1", None)]), "Device.No", 9005),
    ];
    for (work, path, code) in table {
        let mut world = World::new(device(), work);
        world.run();
        assert_eq!(world.fault().code, code);
        assert!(world.fault().message.contains(path), "{}", world.fault().message);
        assert_eq!(world.outcome().iter().filter(|(_, _, code)| code.is_some()).count(), 1);
        assert_eq!((world.device.writes, world.device.value(SSID), world.sessions), (0, "old", 1));
    }
}

#[test]
fn faults_are_laid_at_the_parameter_that_has_them() {
    let mut refusing = device();
    refusing.unwritable.insert(ENABLE.to_owned(), 9008);
    let mut world = world(refusing);
    world.run();
    assert_eq!(
        world.outcome().iter().map(|(path, _, code)| (*path, *code)).collect::<Vec<_>>(),
        [(SSID, None), (ENABLE, Some(9008))]
    );
    assert_eq!((world.fault().code, world.sessions), (9008, 1));
    assert!(world.fault().message.contains(ENABLE));
    assert_eq!(world.device.value(SSID), "old");
}

#[test]
fn a_name_that_has_gone_is_forgotten() {
    let mut world = World::new(device(), assign(&[("Device.Gone", "1", None)])).knows("Device.Gone", "", XsdType::Int);
    world.run();
    assert_eq!(world.fault().code, 9005);
    assert_eq!(world.learned[0].forget, ["Device.Gone".into()]);
}

#[test]
fn a_bare_fault_without_a_list_is_understood() {
    let mut refusing = Device { bare_faults: true, ..device() };
    refusing.unwritable.insert(ENABLE.to_owned(), 9007);
    let mut world = world(refusing);
    world.run();
    assert_eq!((world.fault().code, world.sessions), (9007, 1));
}

#[test]
fn after_9006_the_type_is_read_again_and_the_write_tried_once_more() {
    let mut world = World::new(device(), assign(&[(ENABLE, "0", None)])).knows(ENABLE, "1", XsdType::UnsignedInt);
    world.session();
    assert_eq!(world.backoff(), 30);
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["SetParameterValues", "GetParameterValues", "SetParameterValues"]);

    let always = device().at(0, Twist::Fault(9006)).at(2, Twist::Fault(9006));
    let mut world = World::new(always, assign(&[(ENABLE, "0", None)])).knows(ENABLE, "1", XsdType::Boolean);
    world.run();
    assert_eq!((world.sessions, world.fault().code), (2, 9006));
}

#[test]
fn transient_faults_are_retried_and_9001_once() {
    for (code, sessions) in [(9001, 2), (9002, 5), (9004, 5), (9800, 1)] {
        let mut refusing = device();
        refusing.script.extend((0..9).map(|call| (call, Twist::Fault(code))));
        let mut world = world(refusing);
        world.run();
        assert_eq!((world.sessions, world.fault().code), (sessions, code));
    }
}

#[test]
fn status_1_completes_with_a_note() {
    let mut world = world(device().at(0, Twist::Later));
    world.run();
    assert!(matches!(world.ending(), Ending::Completed { note: Some(note) } if note.contains("later")));
}

#[test]
fn an_unknown_outcome_is_read_back_before_anything_is_repeated() {
    let table = [
        (Twist::AnswerLost, vec!["SetParameterValues", "GetParameterValues"], 2),
        (Twist::KilledAfter, vec!["SetParameterValues", "GetParameterValues"], 2),
        (Twist::LostOnTheWay, vec!["SetParameterValues", "GetParameterValues", "SetParameterValues"], 2),
        (Twist::KilledOnTheWay, vec!["SetParameterValues", "GetParameterValues", "SetParameterValues"], 2),
        // The session goes on: the device is asked in the same one.
        (Twist::Silent, vec!["SetParameterValues", "GetParameterValues"], 1),
        // It is not repeated in the same session.
        (Twist::Ignored, vec!["SetParameterValues", "GetParameterValues", "SetParameterValues"], 2),
        (Twist::Mismatch, vec!["SetParameterValues", "GetParameterValues", "SetParameterValues"], 2),
    ];
    for (twist, calls, sessions) in table {
        let mut world = world(device().at(0, twist.clone()));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), calls, "{twist:?}");
        assert_eq!((world.sessions, world.device.writes), (sessions, 1), "{twist:?}");
        assert_eq!(world.device.value(SSID), "new");
    }
}

#[test]
fn a_read_back_that_fails_is_itself_tried_again() {
    let mut world = world(device().at(0, Twist::AnswerLost).at(1, Twist::Fault(9002)).at(2, Twist::AnswerLost));
    world.run().assert_completed();
    assert_eq!(world.device.writes, 1);
    assert_eq!(world.device.methods()[1..], ["GetParameterValues"; 3]);
}

#[test]
fn a_refused_read_back_says_that_the_outcome_is_unknown() {
    let mut world = world(device().at(0, Twist::AnswerLost).at(1, Twist::Fault(9000)));
    world.run();
    assert_eq!(world.fault().code, 9000);
    assert!(world.fault().message.contains("unknown"));
}

#[test]
fn equal_values_in_another_spelling_count_as_written() {
    let mut world = World::new(device().at(0, Twist::AnswerLost), assign(&[(ENABLE, "no", None)])).knows(
        ENABLE,
        "1",
        XsdType::Boolean,
    );
    world.run().assert_completed();
    assert_eq!((world.device.value(ENABLE), world.device.writes), ("0", 1));
}

#[test]
fn secrets_are_written_again_because_they_cannot_be_read_back() {
    const KEY: &str = "Device.WiFi.AccessPoint.1.Security.KeyPassphrase";
    let device = Device::with(&[(KEY, "", XsdType::String)]).at(0, Twist::LostOnTheWay);
    let mut world = World::new(device, assign(&[(KEY, "secret-word", None)])).knows(KEY, "", XsdType::String);
    world.run().assert_completed();
    assert_eq!(world.device.value(KEY), "secret-word");
    let learned = world.learned.iter().flat_map(|patch| &patch.learn);
    assert!(learned.filter_map(|patch| patch.value.as_ref()).all(|(value, _)| &**value != "secret-word"));
    assert!(world.results.iter().all(|result| result.value.is_none()), "{:?}", world.results);
}

#[test]
fn a_secret_that_does_not_open_fails_the_transaction_before_any_call() {
    const KEY: &str = "Device.WiFi.AccessPoint.1.Security.KeyPassphrase";
    let mut work = assign(&[(SSID, "new", None), (KEY, "secret-word", None)]);
    work.seal(|_| Ok::<_, ()>(Sealed(Box::new([1])))).expect("seals");
    let mut world = World::new(device(), work);
    world.run();
    assert_eq!((world.sessions, world.device.writes), (1, 0));
    assert!(world.device.methods().is_empty());
    let message = &world.fault().message;
    assert!(message.contains(KEY) && message.contains("another key file"), "{message}");
}
