use std::collections::BTreeMap;

use crate::model::transaction::Work;
use crate::model::wanted::{WantedConfiguration, WantedObject};
use crate::types::value::XsdType;

use super::super::device::{Device, Twist};
use super::super::world::World;
use super::{ADD, GET, LIST, SET, note, parameters, row, wanted, world};

const TABLE: &str = "Device.WiFi.SSID.";
const NAME: &str = "Device.WiFi.SSID.5.SSID";
const PHRASE: &str = "Device.WiFi.SSID.5.Security.KeyPassphrase";

/// Rows 2 and 4, of these names.
fn device(names: [&str; 2]) -> Device {
    let mut device = Device::default().table(TABLE, &[2, 4]);
    for (row, name) in [2, 4].into_iter().zip(names) {
        let mut put = |leaf: &str, value: &str, ty| {
            device.parameters.insert(format!("{TABLE}{row}.{leaf}"), (value.to_owned(), ty));
        };
        put("SSID", name, XsdType::String);
        put("Enable", "0", XsdType::Boolean);
        put("Security.KeyPassphrase", "", XsdType::String);
    }
    let row = vec![
        ("SSID", "", XsdType::String),
        ("Enable", "0", XsdType::Boolean),
        ("Security.KeyPassphrase", "", XsdType::String),
    ];
    Device { row, masks: BTreeMap::from([(PHRASE.to_owned(), "")]), ..device }
}

fn guest() -> Vec<WantedObject<String>> {
    vec![row(TABLE, &[("SSID", "guest")], &[("Enable", "true"), ("Security.KeyPassphrase", "phrase")])]
}

fn only(objects: Vec<WantedObject<String>>) -> WantedConfiguration<String> {
    WantedConfiguration { objects, ..WantedConfiguration::default() }
}

#[test]
fn a_row_is_found_by_its_key_wherever_it_is() {
    for (names, at) in [(["guest", "x"], 2), (["x", "guest"], 4)] {
        let mut world = world(device(names), Work::Sync, only(guest()));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), [LIST, GET, GET, SET, GET]);
        let enable = format!("{TABLE}{at}.Enable");
        assert_eq!(world.device.adds, 0);
        assert_eq!(world.device.reads()[0], ["Device.WiFi.SSID.2.SSID", "Device.WiFi.SSID.4.SSID"]);
        let phrase = format!("{TABLE}{at}.Security.KeyPassphrase");
        // The mask is that of row 5: here the device shows what it has, which is nothing.
        assert_eq!(world.outcome(), [(enable.as_str(), Some("1"), None)]);
        assert_eq!(world.device.value(&phrase), "", "the secret is up to date");
    }
}

#[test]
fn parameters_of_rows_and_others_share_their_calls() {
    let mut device = device(["guest", "x"]);
    device.parameters.insert("Device.A".to_owned(), ("1".to_owned(), XsdType::Int));
    let configuration = WantedConfiguration { objects: guest(), ..parameters(&[("Device.A", "2")]) };
    let mut world = world(device, Work::Sync, configuration);
    world.run().assert_completed();
    assert_eq!(world.device.methods(), [LIST, GET, GET, SET, GET]);
    assert_eq!(world.device.last_write().parameters.len(), 2);
}

#[test]
fn a_missing_row_is_added_once_with_all_its_values() {
    let mut first = world(device(["a", "b"]), Work::Sync, only(guest()));
    first.run().assert_completed();
    assert_eq!(first.device.methods(), [LIST, GET, ADD, GET, SET, GET]);
    assert_eq!(first.device.last_write().parameters.len(), 3, "key and values in one call");
    assert_eq!((first.device.value(NAME), first.device.value(PHRASE)), ("guest", "phrase"));
    assert_eq!(note(&first), "1 row added, 3 parameters written");
    assert_eq!(first.outcome()[2], (PHRASE, None, None));

    let mut second = world(Device { calls: Vec::new(), ..first.device }, Work::Sync, only(guest()));
    second.run().assert_completed();
    assert_eq!((second.device.methods(), second.device.rows(TABLE)), (vec![LIST, GET, GET], vec![2, 4, 5]));
    assert!(second.results.is_empty());
}

#[test]
fn rows_of_an_empty_table_are_added() {
    for denied in [false, true] {
        let mut device = device(["a", "b"]);
        device.objects.retain(|object| object == TABLE);
        device.parameters.clear();
        if denied {
            device = device.at(0, Twist::Fault(9005));
        }
        let objects = vec![row(TABLE, &[("SSID", "a")], &[]), row(TABLE, &[("SSID", "b")], &[])];
        let mut world = world(device, Work::Sync, only(objects));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), [LIST, ADD, GET, SET, GET, ADD, GET, SET, GET]);
        assert_eq!(world.device.rows(TABLE), [5, 6]);
    }
}

#[test]
fn tr_098_rows_work_the_same() {
    const OTHER: &str = "InternetGatewayDevice.LANDevice.1.WLANConfiguration.";
    let mut device = Device::default().table(OTHER, &[1, 3]);
    for (row, name) in [(1, "office"), (3, "Guest")] {
        device.parameters.insert(format!("{OTHER}{row}.SSID"), (name.to_owned(), XsdType::String));
        device.parameters.insert(format!("{OTHER}{row}.BeaconType"), ("Basic".to_owned(), XsdType::String));
    }
    let objects = vec![row(OTHER, &[("SSID", "Guest")], &[("BeaconType", "11i")])];
    let mut world = world(device, Work::Sync, only(objects));
    world.run().assert_completed();
    assert_eq!(world.device.value(&format!("{OTHER}3.BeaconType")), "11i");
    assert_eq!((world.device.value(&format!("{OTHER}1.BeaconType")), world.device.adds), ("Basic", 0));
}

#[test]
fn keys_compare_by_type_and_may_have_several_leaves() {
    const HOSTS: &str = "Device.DHCPv4.Server.Pool.1.StaticAddress.";
    let mut device = Device::default().table(HOSTS, &[1, 2]);
    for row in [1, 2] {
        let mut put = |leaf: &str, value: &str, ty| {
            device.parameters.insert(format!("{HOSTS}{row}.{leaf}"), (value.to_owned(), ty));
        };
        put("Chaddr", "AA:BB:CC:00:11:22", XsdType::String);
        put("Order", &row.to_string(), XsdType::UnsignedInt);
        put("Yiaddr", "0.0.0.0", XsdType::String);
    }
    let key = [("Chaddr", "aa-bb-cc-00-11-22"), ("Order", "02")];
    let mut world = world(device, Work::Sync, only(vec![row(HOSTS, &key, &[("Yiaddr", "192.0.2.9")])]));
    world.run().assert_completed();
    assert_eq!(world.device.value(&format!("{HOSTS}1.Yiaddr")), "0.0.0.0");
    assert_eq!(world.device.value(&format!("{HOSTS}2.Yiaddr")), "192.0.2.9");
}

#[test]
fn of_two_rows_with_the_key_the_first_is_kept_and_the_operator_told() {
    let mut world = world(device(["guest", "guest"]), Work::Sync, only(guest()));
    world.run().assert_completed();
    assert_eq!((world.device.value("Device.WiFi.SSID.2.Enable"), world.device.adds), ("1", 0));
    assert_eq!(world.device.value("Device.WiFi.SSID.4.Enable"), "0");
    assert!(note(&world).contains("more than one row with SSID 'guest'"), "{}", note(&world));
}

#[test]
fn the_same_row_wanted_twice_is_added_once() {
    let objects = vec![
        row(TABLE, &[("SSID", "guest")], &[]),
        row(TABLE, &[("SSID", "guest")], &[("Enable", "1"), ("SSID", "no")]),
    ];
    let mut world = world(device(["a", "b"]), Work::Sync, only(objects));
    world.run().assert_completed();
    assert_eq!((world.device.adds, world.device.value(NAME)), (1, "guest"));
    assert_eq!(world.device.value("Device.WiFi.SSID.5.Enable"), "1");
}

#[test]
fn whatever_is_lost_while_a_row_is_added_there_is_one_row() {
    let lost = [
        Twist::AnswerLost,
        Twist::KilledAfter,
        Twist::LostOnTheWay,
        Twist::KilledOnTheWay,
        Twist::Silent,
        Twist::Unnumbered,
        Twist::Ignored,
        Twist::Mismatch,
        Twist::Fault(9002),
    ];
    for twist in lost {
        // Calls: list, keys, add, types, values, reading back.
        for call in 0..6 {
            let mut world = World::new(device(["a", "b"]).at(call, twist.clone()), Work::Sync);
            world.wanted = Some(wanted(only(guest()), None));
            world.run().assert_completed();
            assert_eq!((world.device.adds, world.device.rows(TABLE)), (1, vec![2, 4, 5]), "{twist:?} at {call}");
            assert_eq!((world.device.value(NAME), world.device.value(PHRASE)), ("guest", "phrase"));
            assert!(world.sessions <= 2);
            assert_eq!(world.outcome().len(), 3, "{twist:?} at {call}");
            assert!(note(&world).starts_with("1 row added, 3 parameters written"), "{}", note(&world));
        }
    }
}

#[test]
fn two_new_rows_after_a_lost_answer_are_not_guessed_at() {
    let mut world = world(device(["a", "b"]).at(2, Twist::AnswerLost), Work::Sync, only(guest()));
    world.session();
    // Somebody else adds one.
    world.device.add(TABLE).unwrap();
    world.run();
    assert!(world.fault().message.contains("cannot be told"), "{:?}", world.fault());
    assert_eq!(world.device.adds, 2);
}

#[test]
fn a_row_whose_values_are_refused_is_taken_away_again() {
    let mut device = device(["a", "b"]);
    device.unwritable.insert("Device.WiFi.SSID.5.Enable".to_owned(), 9007);
    let mut world = world(device, Work::Sync, only(guest()));
    world.run();
    assert_eq!((world.fault().code, world.device.rows(TABLE)), (9007, vec![2, 4]));
    assert!(world.fault().message.contains("Device.WiFi.SSID.5.Enable"), "{:?}", world.fault());
    assert!(world.fault().message.ends_with("the new row was removed again"));
    assert_eq!(world.outcome(), [("Device.WiFi.SSID.5.Enable", Some("1"), Some(9007))]);
}

#[test]
fn a_row_without_a_wanted_leaf_is_taken_away_again() {
    let objects = vec![row(TABLE, &[("SSID", "guest")], &[("No", "1")])];
    let mut world = world(device(["a", "b"]), Work::Sync, only(objects));
    world.run();
    assert_eq!((world.fault().code, world.device.rows(TABLE)), (9005, vec![2, 4]));
    assert!(world.fault().message.contains("Device.WiFi.SSID.5.No"), "{:?}", world.fault());
}

#[test]
fn a_row_that_does_not_keep_its_key_is_taken_away_again() {
    let device = Device { stores: BTreeMap::from([(NAME.to_owned(), (u32::MAX, "gu"))]), ..device(["a", "b"]) };
    let mut world = world(device, Work::Sync, only(guest()));
    world.run();
    assert_eq!(world.device.rows(TABLE), [2, 4]);
    let words = format!("the device keeps changing {NAME} back to 'gu' (wanted 'guest')");
    assert!(world.fault().message.starts_with(&words), "{:?}", world.fault());
    assert!(world.results.is_empty());
}

#[test]
fn a_new_row_that_changes_a_value_back_gets_it_once_more() {
    const ENABLE: &str = "Device.WiFi.SSID.5.Enable";
    let device = Device { stores: BTreeMap::from([(ENABLE.to_owned(), (1, "0"))]), ..device(["a", "b"]) };
    let mut world = world(device, Work::Sync, only(guest()));
    world.run().assert_completed();
    assert_eq!((world.device.value(ENABLE), world.device.rows(TABLE)), ("1", vec![2, 4, 5]));
}

#[test]
fn what_cannot_be_a_key_adds_no_row() {
    let no_key = vec![row(TABLE, &[], &[("Enable", "1")])];
    let unknown = vec![row(TABLE, &[("No", "x")], &[])];
    let hidden = vec![row(TABLE, &[("Security.KeyPassphrase", "x")], &[])];
    for (objects, words) in [(no_key, "no key"), (unknown, "Device.WiFi.SSID.4.No"), (hidden, "is a secret")] {
        let mut world = world(device(["a", "b"]), Work::Sync, only(objects));
        world.run();
        assert!(world.fault().message.contains(words), "{:?}", world.fault());
        assert_eq!((world.device.adds, world.device.writes), (0, 0));
    }
}

#[test]
fn a_refused_add_names_the_table() {
    let mut world = world(device(["a", "b"]), Work::Sync, only(vec![row("Device.No.", &[("Name", "x")], &[])]));
    world.run();
    assert_eq!((world.fault().code, world.sessions), (9005, 1));
    assert!(world.fault().message.contains("Device.No."));
}

#[test]
fn reconfiguring_writes_the_rows_that_are_there() {
    let mut world = world(device(["guest", "b"]), Work::Reconfigure, only(guest()));
    world.run().assert_completed();
    assert_eq!(world.device.adds, 0);
    let sent: Vec<_> = world.device.last_write().parameters.iter().map(|it| it.name.to_string()).collect();
    assert_eq!(sent, ["Device.WiFi.SSID.2.Enable", "Device.WiFi.SSID.2.Security.KeyPassphrase"]);
}
