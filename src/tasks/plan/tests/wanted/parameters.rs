use std::collections::BTreeMap;

use crate::cwmp::emission::BooleanForm;
use crate::cwmp::message::Request;
use crate::model::transaction::{TypeHint, Work};
use crate::model::wanted::{ConfigurationMark, WantedConfiguration};
use crate::types::value::{ValueKind, XsdType};

use super::super::device::{Device, Twist};
use super::super::world::World;
use super::{GET, MARK, SET, note, parameters, wanted, world};

const INTERVAL: &str = "Device.ManagementServer.PeriodicInformInterval";
const ENABLE: &str = "Device.WiFi.SSID.1.Enable";
const SSID: &str = "Device.WiFi.SSID.1.SSID";
const PHRASE: &str = "Device.WiFi.AccessPoint.1.Security.KeyPassphrase";

fn device() -> Device {
    let device = Device::with(&[
        (INTERVAL, "300", XsdType::UnsignedInt),
        (ENABLE, "false", XsdType::Boolean),
        (SSID, "guest", XsdType::String),
        (PHRASE, "old phrase", XsdType::String),
    ]);
    Device { masks: BTreeMap::from([(PHRASE.to_owned(), "")]), ..device }
}

fn settings() -> WantedConfiguration<String> {
    parameters(&[(INTERVAL, "0060"), (ENABLE, "1"), (SSID, "guest"), (PHRASE, "new phrase")])
}

#[test]
fn a_device_converges_in_one_session_and_costs_only_reads_after() {
    let mut first = world(device(), Work::Sync, settings());
    first.run().assert_completed();
    assert_eq!(first.device.methods(), [GET, SET, GET]);
    let sent = first.device.last_write();
    let sent: Vec<_> = sent.parameters.iter().map(|it| (it.name.as_ref(), it.value.as_ref(), it.ty)).collect();
    assert_eq!(sent, [(INTERVAL, "0060", XsdType::UnsignedInt), (ENABLE, "true", XsdType::Boolean)]);
    assert_eq!(first.device.reads()[1], [INTERVAL, ENABLE], "what was written is read back, and no more");
    assert_eq!(first.outcome(), [(INTERVAL, Some("0060"), None), (ENABLE, Some("true"), None)]);
    assert_eq!(note(&first), "2 parameters written");

    let device = Device { calls: Vec::new(), ..first.device };
    let mut second = world(device, Work::Sync, settings());
    second.run().assert_completed();
    assert_eq!((second.device.methods(), second.device.writes), (vec![GET], 1));
    assert!(second.results.is_empty());
    assert_eq!(note(&second), "nothing differed");

    let mut drifted = second.device;
    drifted.parameters.insert(SSID.to_owned(), ("hacked".to_owned(), XsdType::String));
    let mut third = world(drifted, Work::Sync, settings());
    third.run().assert_completed();
    assert_eq!(third.outcome(), [(SSID, Some("guest"), None)]);
}

#[test]
fn what_means_the_same_is_not_written() {
    let table = [
        (XsdType::Boolean, "TRUE", "1"),
        (XsdType::UnsignedInt, "+60", "060"),
        (XsdType::String, "AA-BB-CC-00-11-22", "aa:bb:cc:00:11:22"),
        (XsdType::String, "g, n,b", "b,g,n"),
        (XsdType::DateTime, "2024-01-15T10:30:00Z", "2024-01-15T10:30:00"),
    ];
    for (ty, value, want) in table {
        let mut world = world(Device::with(&[(SSID, value, ty)]), Work::Sync, parameters(&[(SSID, want)]));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), [GET], "{value}");
    }
}

#[test]
fn a_device_that_calls_everything_a_string_gets_its_own_booleans() {
    for (value, want) in [("0", "1"), ("false", "true")] {
        let mut configuration = parameters(&[(ENABLE, "true")]);
        configuration.parameters[0].ty = Some(TypeHint::Kind(ValueKind::Boolean));
        let device = Device::with(&[(ENABLE, value, XsdType::String)]);
        let mut world = world(device, Work::Sync, configuration);
        world.run().assert_completed();
        assert_eq!((world.device.value(ENABLE), world.sessions), (want, 1));
    }
}

#[test]
fn booleans_follow_the_flag() {
    let mut world = world(device(), Work::Sync, parameters(&[(ENABLE, "true")]));
    world.boolean_form = BooleanForm::Digit;
    world.run().assert_completed();
    assert_eq!(world.device.value(ENABLE), "1");
}

#[test]
fn a_device_may_normalise_what_it_is_given() {
    let device = Device { normalises: Some(str::to_lowercase), ..Device::with(&[(SSID, "", XsdType::String)]) };
    let mut world = world(device, Work::Sync, parameters(&[(SSID, "AA:BB:CC:00:11:22")]));
    world.run().assert_completed();
    assert_eq!((world.device.methods(), world.device.value(SSID)), (vec![GET, SET, GET], "aa:bb:cc:00:11:22"));
}

#[test]
fn a_device_that_changes_a_value_back_is_told_of_once_more_and_then_failed() {
    for (times, writes) in [(1, 2), (u32::MAX, 2)] {
        let device = Device { stores: BTreeMap::from([(SSID.to_owned(), (times, "maker"))]), ..device() };
        let mut world = world(device, Work::Sync, parameters(&[(ENABLE, "true"), (SSID, "office")]));
        world.run();
        assert_eq!(world.device.methods(), [GET, SET, GET, SET, GET]);
        assert_eq!((world.device.writes, world.sessions), (writes, 1));
        assert_eq!(world.device.last_write().parameters.len(), 1, "only what it changed back");
        if times == 1 {
            world.assert_completed();
            assert_eq!(world.results.len(), 2);
        } else {
            let words = format!("the device keeps changing {SSID} back to 'maker' (wanted 'office')");
            assert_eq!((world.fault().code, &world.fault().message), (0, &words));
            assert_eq!(world.outcome().last(), Some(&(SSID, Some("maker"), Some(0))));
        }
    }
}

#[test]
fn hidden_values_are_written_when_they_may_have_changed_and_never_read_back() {
    let table = [
        (Work::Sync, Some(MARK), vec![GET]),
        (Work::Sync, Some(ConfigurationMark(9)), vec![GET, SET]),
        (Work::Sync, None, vec![GET, SET]),
        (Work::Reconfigure, Some(MARK), vec![GET, SET]),
    ];
    for mask in ["", "****"] {
        for (work, applied, calls) in table.clone() {
            let device = Device { masks: BTreeMap::from([(PHRASE.to_owned(), mask)]), ..device() };
            let mut world = World::new(device, work.clone());
            world.wanted = Some(wanted(parameters(&[(PHRASE, "new phrase")]), applied));
            world.run().assert_completed();
            assert_eq!(world.device.methods(), calls, "{work:?} {applied:?}");
            let written = calls.contains(&SET);
            assert_eq!(world.device.value(PHRASE), if written { "new phrase" } else { "old phrase" });
            let told: Vec<_> = world.outcome();
            assert_eq!(told, if written { vec![(PHRASE, None, None)] } else { vec![] }, "without the value");
            let learned = world.learned.iter().flat_map(|patch| &patch.learn);
            assert!(learned.filter_map(|it| it.value.as_ref()).all(|(value, _)| !value.contains("phrase")));
        }
    }
}

#[test]
fn a_secret_that_the_device_leaves_out_counts_as_hidden() {
    let mut device = device();
    device.withheld.insert(PHRASE.to_owned());
    let mut world = World::new(device, Work::Sync);
    world.wanted = Some(wanted(settings(), None));
    world.run().assert_completed();
    assert_eq!(world.device.value(PHRASE), "new phrase");
}

#[test]
fn a_secret_that_the_device_shows_is_compared() {
    for (shown, writes) in [("new phrase", 0), ("old phrase", 1)] {
        let device = Device::with(&[(PHRASE, shown, XsdType::String)]);
        let mut world = World::new(device, Work::Sync);
        world.wanted = Some(wanted(parameters(&[(PHRASE, "new phrase")]), None));
        world.run().assert_completed();
        assert_eq!((world.device.writes, world.device.value(PHRASE)), (writes, "new phrase"));
    }
}

#[test]
fn reconfiguring_writes_everything_and_reads_back_what_can_be() {
    let mut world = world(device(), Work::Reconfigure, settings());
    world.run().assert_completed();
    assert_eq!(world.device.methods(), [GET, SET, GET]);
    assert_eq!(world.device.last_write().parameters.len(), 4);
    assert_eq!(world.device.reads()[1], [INTERVAL, ENABLE, SSID]);
    assert_eq!(note(&world), "4 parameters written");
}

#[test]
fn what_may_cut_the_device_off_is_written_last() {
    const URL: &str = "Device.ManagementServer.URL";
    const VLAN: &str = "Device.Ethernet.VLANTermination.1.VLANID";
    let mut device = device();
    device.parameters.insert(URL.to_owned(), ("http://old/".to_owned(), XsdType::String));
    device.parameters.insert(VLAN.to_owned(), ("1".to_owned(), XsdType::UnsignedInt));
    let configuration = parameters(&[(URL, "http://new/"), (INTERVAL, "60"), (VLAN, "7")]);
    let mut world = world(device, Work::Sync, configuration);
    world.run().assert_completed();
    assert_eq!(world.device.methods(), [GET, SET, SET, GET]);
    let last: Vec<_> = world.device.last_write().parameters.iter().map(|it| it.name.as_ref()).collect();
    assert_eq!(last, [URL, VLAN]);
}

#[test]
fn many_parameters_take_several_calls() {
    let paths: Vec<String> = (0..100).map(|number| format!("Device.X.P{number}")).collect();
    let device: Vec<_> = paths.iter().map(|path| (path.as_str(), "a", XsdType::String)).collect();
    let settings: Vec<_> = paths.iter().map(|path| (path.as_str(), "b")).collect();
    let mut world = world(Device::with(&device), Work::Sync, parameters(&settings));
    world.run().assert_completed();
    let sizes = world.device.calls.iter().filter_map(|call| match call {
        Request::SetParameterValues(write) => Some(write.parameters.len()),
        _ => None,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [64, 36]);
    assert_eq!(world.device.reads().iter().map(Vec::len).collect::<Vec<_>>(), [32, 32, 32, 4, 32, 32, 32, 4]);
}

#[test]
fn a_parameter_wanted_twice_is_written_once() {
    let mut world = world(device(), Work::Sync, parameters(&[(SSID, "first"), (SSID, "second")]));
    world.run().assert_completed();
    assert_eq!(world.device.last_write().parameters.len(), 1);
    assert_eq!(world.device.value(SSID), "second");
}

#[test]
fn nothing_wanted_is_nothing_done() {
    for work in [Work::Sync, Work::Reconfigure, Work::DeviceFactory] {
        for settings in [None, Some(wanted(WantedConfiguration::default(), None))] {
            let mut world = World::new(device(), work.clone());
            world.wanted = settings;
            world.run().assert_completed();
            assert!(world.device.calls.is_empty());
            assert_eq!(note(&world), "nothing is wanted of this device");
        }
    }
}

#[test]
fn applied_later_is_said_and_not_read_back() {
    let mut world = world(device().at(1, Twist::Later), Work::Sync, parameters(&[(SSID, "office")]));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), [GET, SET]);
    assert!(note(&world).contains("applies it later"), "{}", note(&world));
}

#[test]
fn the_partial_reset_is_written_without_looking() {
    const RESET: &str = "Device.X_VENDOR.ResetSettings";
    let device = || {
        let device = Device::with(&[(RESET, "0", XsdType::Boolean), (PHRASE, "", XsdType::String)]);
        // It reads back false whatever is written.
        Device { stores: BTreeMap::from([(RESET.to_owned(), (u32::MAX, "0"))]), ..device }
    };
    let configuration = || parameters(&[(RESET, "true"), (PHRASE, "factory")]);
    let mut unknown = world(device(), Work::DeviceFactory, configuration());
    unknown.run().assert_completed();
    assert_eq!(unknown.device.methods(), [GET, SET]);
    assert_eq!(unknown.outcome(), [(RESET, Some("1"), None), (PHRASE, None, None)]);

    let known = world(device(), Work::DeviceFactory, configuration());
    let mut known = known.knows(RESET, "false", XsdType::Boolean).knows(PHRASE, "", XsdType::String);
    known.run().assert_completed();
    assert_eq!(known.device.methods(), [SET]);
    assert_eq!(known.device.last_write().parameters[0].value, "true");
}

#[test]
fn a_partial_reset_that_restarts_the_device_is_not_repeated() {
    use crate::types::event::EventCode;
    const RESET: &str = "Device.X_VENDOR.ResetSettings";
    for restarts in [true, false] {
        let device = Device::with(&[(RESET, "0", XsdType::Boolean)]);
        let device = Device { stores: BTreeMap::from([(RESET.to_owned(), (u32::MAX, "0"))]), ..device };
        let device = device.at(1, Twist::AnswerLost);
        let mut world = world(device, Work::DeviceFactory, parameters(&[(RESET, "true")]));
        world.session();
        if restarts {
            world.inform(&[(EventCode::Boot, "")]);
        }
        world.run().assert_completed();
        assert_eq!(world.device.writes, if restarts { 1 } else { 2 });
        assert_eq!(world.outcome().len(), 1);
    }
}

#[test]
fn no_call_of_a_partial_reset_is_repeated_for_the_sake_of_another() {
    use crate::types::event::EventCode;
    const RESET: &str = "Device.X_VENDOR.ResetSettings";
    const VLAN: &str = "Device.X_VENDOR.VLANReset";
    // Calls: types, the harmless write, the one that may cut the device off.
    for (twist, restarts) in [
        (Twist::AnswerLost, true),
        (Twist::KilledAfter, true),
        (Twist::Fault(9002), false),
        (Twist::Fault(9001), false),
    ] {
        let device = Device::with(&[(RESET, "0", XsdType::Boolean), (VLAN, "0", XsdType::Boolean)]);
        let stores = [(RESET.to_owned(), (u32::MAX, "0")), (VLAN.to_owned(), (u32::MAX, "0"))].into();
        for call in [1, 2] {
            let device =
                Device { stores: BTreeMap::clone(&stores), parameters: device.parameters.clone(), ..Device::default() };
            let device = device.at(call, twist.clone());
            let mut world = world(device, Work::DeviceFactory, parameters(&[(RESET, "true"), (VLAN, "1")]));
            world.session();
            if restarts {
                world.inform(&[(EventCode::Boot, "")]);
            }
            world.run().assert_completed();
            assert_eq!((world.device.writes, world.outcome().len()), (2, 2), "{twist:?} at {call}");
        }
    }
}
