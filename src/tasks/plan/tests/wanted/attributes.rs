use crate::cwmp::message::Request;
use crate::model::transaction::Work;
use crate::model::wanted::WantedConfiguration;
use crate::tasks::plan::{Attributes, Wanted};
use crate::types::value::XsdType;

use super::super::device::{Device, Twist};
use super::super::world::World;
use super::{GET, SET, attributes, note, parameters, world};

const ADDRESS: &str = "Device.IP.Interface.1.IPv4Address.1.IPAddress";
const STATUS: &str = "Device.WiFi.SSID.1.Status";
const SSID: &str = "Device.WiFi.SSID.1.SSID";

fn device() -> Device {
    let device = Device::with(&[
        (ADDRESS, "192.0.2.1", XsdType::String),
        (STATUS, "Up", XsdType::String),
        (SSID, "guest", XsdType::String),
    ]);
    Device { attributes: [(STATUS.to_owned(), 1)].into(), ..device }
}

fn only(wanted: &[(&str, u8)]) -> WantedConfiguration<String> {
    WantedConfiguration { attributes: attributes(wanted), ..WantedConfiguration::default() }
}

#[test]
fn only_attributes_that_differ_are_set() {
    let mut world = world(device(), Work::Sync, only(&[(ADDRESS, 2), (STATUS, 1)]));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["GetParameterAttributes", "SetParameterAttributes"]);
    assert_eq!(world.device.attributes.get(ADDRESS), Some(&2));
    assert!(matches!(&world.device.calls[1], Request::SetParameterAttributes(set) if set.parameters.len() == 1));
    assert_eq!((note(&world).as_str(), world.outcome()), ("1 attribute set", vec![(ADDRESS, None, None)]));
    let learned: Vec<_> = world.learned[0].learn.iter().map(|it| (it.path.as_ref(), it.notification)).collect();
    assert_eq!(learned.last(), Some(&(ADDRESS, Some(2))));

    world.device.calls.clear();
    let mut again = super::world(world.device, Work::Sync, only(&[(ADDRESS, 2), (STATUS, 1)]));
    again.run().assert_completed();
    assert_eq!((again.device.methods(), note(&again).as_str()), (vec!["GetParameterAttributes"], "nothing differed"));
}

#[test]
fn a_device_that_must_not_be_asked_is_not() {
    let configuration =
        WantedConfiguration { attributes: attributes(&[(ADDRESS, 2)]), ..parameters(&[(SSID, "office")]) };
    let mut world = World::new(device(), Work::Sync);
    world.wanted = Some(match super::wanted(configuration, None) {
        Wanted::Configuration { effective, applied, .. } => {
            Wanted::Configuration { effective, applied, attributes: Attributes::Never }
        }
        other => other,
    });
    world.run().assert_completed();
    assert_eq!(world.device.methods(), [GET, SET, GET]);
    assert!(note(&world).contains("attributes were left alone"), "{}", note(&world));
}

#[test]
fn a_refused_notification_names_its_parameter() {
    for names_the_name in [true, false] {
        let device = Device { unnotifiable: [ADDRESS.to_owned()].into(), names_the_name, ..device() };
        let mut world = world(device, Work::Sync, only(&[(SSID, 2), (ADDRESS, 2), (STATUS, 2)]));
        world.run();
        assert_eq!((world.fault().code, world.sessions), (9009, 1));
        assert!(world.fault().message.contains(ADDRESS), "{:?}", world.fault());
    }
}

#[test]
fn an_attribute_of_a_missing_parameter_fails_before_anything_is_written() {
    let configuration =
        WantedConfiguration { attributes: attributes(&[(STATUS, 2), ("Device.No", 2)]), ..parameters(&[(SSID, "x")]) };
    let mut world = world(device(), Work::Sync, configuration);
    world.run();
    assert_eq!((world.fault().code, world.device.writes), (9005, 0));
    assert!(world.fault().message.contains("Device.No"), "{:?}", world.fault());
}

#[test]
fn attributes_start_over_when_the_session_breaks() {
    for twist in [Twist::AnswerLost, Twist::KilledOnTheWay, Twist::Fault(9002), Twist::Ignored] {
        for call in [0, 1] {
            let mut world = world(device().at(call, twist.clone()), Work::Sync, only(&[(ADDRESS, 2)]));
            world.run().assert_completed();
            assert_eq!((world.device.attributes.get(ADDRESS), world.sessions), (Some(&2), 2));
        }
    }
}
