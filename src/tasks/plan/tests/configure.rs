use crate::model::device::Setting;
use crate::model::transaction::Work;
use crate::tasks::plan::{Ending, Wanted};
use crate::types::secret::Secret;
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::world::World;

const ENABLE: &str = "Device.ManagementServer.PeriodicInformEnable";
const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";

fn device(enable: &str, interval: &str) -> Device {
    Device::with(&[
        (ENABLE, enable, XsdType::Boolean),
        (INTERVAL, interval, XsdType::UnsignedInt),
        ("Device.ManagementServer.Username", "", XsdType::String),
        ("Device.ManagementServer.Password", "", XsdType::String),
        ("Device.ManagementServer.ConnectionRequestUsername", "", XsdType::String),
        ("Device.ManagementServer.ConnectionRequestPassword", "", XsdType::String),
    ])
}

fn world(device: Device, setting: Setting, wanted: Option<Wanted>) -> World {
    let mut world = World::new(device, Work::Configure(setting));
    world.wanted = wanted;
    world
}

fn login() -> Wanted {
    Wanted::Login { username: "user".to_owned(), password: Secret::new("word".to_owned()) }
}

fn interval(secs: Option<u32>) -> Wanted {
    Wanted::Interval { secs, fallback_secs: 300 }
}

#[test]
fn logins_are_written_and_written_again_when_the_answer_is_lost() {
    let table = [
        (Setting::Credentials, "Username", "Password"),
        (Setting::ConnectionRequest, "ConnectionRequestUsername", "ConnectionRequestPassword"),
    ];
    for (setting, user, word) in table {
        for twist in [None, Some(Twist::AnswerLost), Some(Twist::KilledOnTheWay), Some(Twist::Ignored)] {
            let mut device = device("1", "60");
            device.script.extend(twist.clone().map(|twist| (1, twist)));
            let mut world = world(device, setting, Some(login()));
            world.run().assert_completed();
            assert_eq!(world.device.value(&format!("Device.ManagementServer.{user}")), "user");
            assert_eq!(world.device.value(&format!("Device.ManagementServer.{word}")), "word");
            assert_eq!(world.sessions, 1 + u32::from(twist.is_some()));
            assert!(world.results.is_empty(), "no secret among the results");
            let learned = world.learned.iter().flat_map(|patch| &patch.learn);
            assert!(learned.into_iter().all(|it| it.value.is_none()), "nor in the tree");
        }
    }
}

#[test]
fn a_wanted_interval_is_written() {
    let mut world = world(device("false", "86400"), Setting::UpdateFrequency, Some(interval(Some(60))))
        .knows(ENABLE, "false", XsdType::Boolean)
        .knows(INTERVAL, "86400", XsdType::UnsignedInt);
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["SetParameterValues"], "what is known is not listed again");
    assert_eq!((world.device.value(ENABLE), world.device.value(INTERVAL)), ("true", "60"));
    assert_eq!(learned_interval(&world).as_deref(), Some("60"), "so that it is not brought again");
}

/// The last that was learned of it.
fn learned_interval(world: &World) -> Option<String> {
    let mut learned = world.learned.iter().flat_map(|patch| &patch.learn).rev();
    learned.find(|it| &*it.path == INTERVAL)?.value.as_ref().map(|(text, _)| text.to_string())
}

#[test]
fn without_a_wanted_interval_the_device_keeps_its_own() {
    let table = [
        (("1", "86400"), ("1", "86400")),
        (("0", "86400"), ("1", "300")),
        (("false", "60"), ("true", "300")),
        (("1", "0"), ("1", "300")),
    ];
    for ((enable, secs), want) in table {
        let mut world = world(device(enable, secs), Setting::UpdateFrequency, Some(interval(None)));
        world.run().assert_completed();
        assert_eq!((world.device.value(ENABLE), world.device.value(INTERVAL)), want);
        assert_eq!(learned_interval(&world).as_deref(), Some(want.1), "{enable} {secs}");
        assert_eq!(world.sessions, 1);
    }
}

#[test]
fn what_is_no_longer_wanted_ends_quietly() {
    let mut world = world(device("1", "60"), Setting::Credentials, None);
    world.run();
    assert!(matches!(world.ending(), Ending::Completed { note: Some(_) }));
    assert!(world.device.calls.is_empty());
}

#[test]
fn a_refusal_is_told_apart() {
    for (code, sessions) in [(9008, 1), (9001, 2), (9002, 5)] {
        let mut device = device("1", "60");
        device.unwritable.insert("Device.ManagementServer.Password".to_owned(), code);
        let mut world = world(device, Setting::Credentials, Some(login()));
        world.run();
        assert_eq!((world.fault().code, world.sessions), (code, sessions));
        assert!(!world.fault().message.contains("word;"), "never the password itself");
    }
}

#[test]
fn a_device_without_the_parameter_is_never_told_its_name() {
    let mut bare = device("1", "60");
    bare.parameters.remove("Device.ManagementServer.Password");
    let mut world = world(bare, Setting::Credentials, Some(login()));
    world.run();
    assert!(world.fault().message.contains("Device.ManagementServer.Password"), "{:?}", world.fault());
    assert_eq!(world.device.methods(), ["GetParameterNames"]);
}

#[test]
fn a_location_is_written_where_the_type_maps_it_and_remembered() {
    const SPOT: &str = "Device.X_Vendor.Location";
    let located = || Wanted::Location { path: SPOT.try_into().expect("a path"), name: "Main street".to_owned() };
    for twist in [None, Some(Twist::AnswerLost), Some(Twist::KilledOnTheWay)] {
        let mut device = Device::with(&[(SPOT, "", XsdType::String)]);
        device.script.extend(twist.clone().map(|twist| (0, twist)));
        let mut world = world(device, Setting::LocationUpdate, Some(located()));
        world.run().assert_completed();
        assert_eq!(world.device.value(SPOT), "Main street", "{twist:?}");
        let learned = world.learned.iter().flat_map(|patch| &patch.learn).next().expect("learned");
        assert_eq!((&*learned.path, learned.value.as_ref().map(|(text, _)| &**text)), (SPOT, Some("Main street")));
    }
    let mut world = world(Device::with(&[]), Setting::LocationUpdate, Some(located()));
    world.run();
    assert!(world.fault().message.contains(SPOT), "{:?}", world.fault());
}

#[test]
fn an_agent_that_dies_of_being_asked_for_names_is_not_asked_again() {
    let device = device("1", "60").at(0, Twist::LostOnTheWay);
    let mut world = world(device, Setting::Credentials, Some(login()));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["GetParameterNames", "SetParameterValues"]);
}
