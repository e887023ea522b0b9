use crate::cwmp::message::Request;
use crate::model::transaction::{NewObject, NewValue, TypeHint, Work};
use crate::tasks::plan::Ending;
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::world::{World, object};

const TABLE: &str = "Device.NAT.PortMapping.";
const OTHER: &str = "Device.DHCPv4.Server.Pool.";
const LIST: &str = "GetParameterNames";

fn device() -> Device {
    let device = Device::default().table(TABLE, &[1, 4]).table(OTHER, &[]);
    Device { row: vec![("Enable", "0", XsdType::Boolean), ("ExternalPort", "0", XsdType::UnsignedInt)], ..device }
}

fn row(table: &str, values: &[(&str, &str)]) -> NewObject {
    let values = values
        .iter()
        .map(|(leaf, value)| NewValue { leaf: (*leaf).to_owned(), value: (*value).into(), ty: None })
        .collect();
    NewObject { table: object(table), values }
}

fn add(objects: Vec<NewObject>) -> Work {
    Work::AddObject { objects }
}

fn delete(rows: &[&str]) -> Work {
    Work::DeleteObject { objects: rows.iter().map(|row| object(row)).collect() }
}

fn instances(world: &World) -> Vec<Option<u32>> {
    world.results.iter().map(|result| result.instance_number).collect()
}

#[test]
fn a_row_is_added_and_filled() {
    let mut world = World::new(device(), add(vec![row(TABLE, &[("Enable", "true"), ("ExternalPort", "80")])]));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), [LIST, "AddObject", "GetParameterValues", "SetParameterValues"]);
    assert_eq!(world.device.value("Device.NAT.PortMapping.5.ExternalPort"), "80");
    assert_eq!(world.device.value("Device.NAT.PortMapping.5.Enable"), "1", "in the device's form");
    assert_eq!(world.outcome(), [("Device.NAT.PortMapping.5.", None, None)]);
    assert_eq!(instances(&world), [Some(5)]);
}

#[test]
fn a_table_that_denies_being_listed_while_empty_is_tried() {
    let mut world = World::new(device().at(0, Twist::Fault(9005)), add(vec![row(OTHER, &[])]));
    world.run().assert_completed();
    assert_eq!(world.device.rows(OTHER), [1]);
}

#[test]
fn a_refused_add_names_the_table() {
    let mut world = World::new(device(), add(vec![row("Device.No.", &[])]));
    world.run();
    assert_eq!((world.fault().code, world.sessions), (9005, 1));
    assert_eq!(world.outcome(), [("Device.No.", None, Some(9005))]);
}

#[test]
fn a_lost_answer_is_looked_into_by_comparing_the_table() {
    let table = [
        (Twist::AnswerLost, 2, vec![LIST, "AddObject", LIST]),
        (Twist::KilledAfter, 2, vec![LIST, "AddObject", LIST]),
        (Twist::LostOnTheWay, 2, vec![LIST, "AddObject", LIST, "AddObject"]),
        (Twist::KilledOnTheWay, 2, vec![LIST, "AddObject", LIST, "AddObject"]),
        (Twist::Silent, 1, vec![LIST, "AddObject", LIST]),
        (Twist::Unnumbered, 1, vec![LIST, "AddObject", LIST]),
        // Not again in the same session.
        (Twist::Ignored, 2, vec![LIST, "AddObject", LIST, LIST, "AddObject"]),
        (Twist::Mismatch, 2, vec![LIST, "AddObject", LIST, LIST, "AddObject"]),
    ];
    for (twist, sessions, calls) in table {
        let mut world = World::new(device().at(1, twist.clone()), add(vec![row(TABLE, &[])]));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), calls, "{twist:?}");
        assert_eq!((world.device.adds, world.sessions), (1, sessions), "{twist:?}");
        assert_eq!(instances(&world), [Some(5)], "{twist:?}");
    }
}

#[test]
fn several_new_rows_after_a_lost_answer_are_left_to_the_operator() {
    let mut world = World::new(device().at(1, Twist::AnswerLost), add(vec![row(TABLE, &[])]));
    world.session();
    world.device.add(TABLE).unwrap();
    world.run();
    assert!(world.fault().message.contains("[5, 6]"), "{}", world.fault().message);
    assert_eq!(world.device.rows(TABLE), [1, 4, 5, 6]);
}

#[test]
fn a_number_that_is_used_again_is_still_recognised_as_new() {
    // Row 4 vanishes between two attempts, and the row added next gets its number.
    let device = device().at(1, Twist::LostOnTheWay).at(3, Twist::AnswerLost);
    let mut world = World::new(device, add(vec![row(TABLE, &[])]));
    world.session();
    world.device.objects.remove("Device.NAT.PortMapping.4.");
    world.device.tables.insert(TABLE.to_owned(), 4);
    world.run().assert_completed();
    assert_eq!((world.device.adds, instances(&world)), (1, vec![Some(4)]));
}

#[test]
fn instance_0_without_a_row_fails_at_once() {
    let mut device = device();
    device.script.insert(1, Twist::Unnumbered);
    let mut world = World::new(device, add(vec![row(TABLE, &[])]));
    // The row is there, but not to be seen: as if it had not been added.
    world.device.script.insert(2, Twist::Fault(9005));
    world.run();
    assert!(world.fault().message.contains("instance number"), "{}", world.fault().message);
    assert_eq!((world.sessions, world.device.calls.len()), (1, 3));
}

#[test]
fn rows_are_recognised_however_the_device_lists_them() {
    use crate::cwmp::message::acs::{ParameterInfoStruct, ParameterNames};
    let info = |name: &'static str| ParameterInfoStruct { name: name.into(), writable: true };
    let parameters = vec![info("Device.T.2"), info("Device.T.1.Enable"), info("Device.T.1."), info("Device.TX.9.")];
    let listed = super::super::rows::instances(&object("Device.T."), &ParameterNames { parameters });
    assert_eq!(listed, [1, 2]);
}

#[test]
fn refused_values_are_undone() {
    let mut device = device();
    device.unwritable.insert("Device.NAT.PortMapping.5.ExternalPort".to_owned(), 9007);
    let mut world = World::new(device, add(vec![row(TABLE, &[("ExternalPort", "80")])]));
    world.run();
    assert_eq!(world.fault().code, 9007);
    assert!(world.fault().message.contains("removed again"));
    assert_eq!(world.device.rows(TABLE), [1, 4]);
    assert_eq!(world.outcome(), [(TABLE, None, Some(9007))]);
    let patch = &world.learned[0];
    assert!(patch.learn.iter().all(|learned| !learned.path.starts_with("Device.NAT.PortMapping.5.")), "no ghost row");
}

#[test]
fn a_value_that_fits_no_type_is_undone_before_it_is_sent() {
    let mut world = World::new(device(), add(vec![row(TABLE, &[("ExternalPort", "eighty")])]));
    world.run();
    assert!(world.fault().message.contains("ExternalPort"));
    assert_eq!((world.device.rows(TABLE), world.device.writes), (vec![1, 4], 0));
}

#[test]
fn a_row_that_cannot_be_undone_is_named() {
    let mut device = device();
    device.unwritable.insert("Device.NAT.PortMapping.5.ExternalPort".to_owned(), 9007);
    device.unwritable.insert("Device.NAT.PortMapping.5.".to_owned(), 9001);
    let mut world = World::new(device, add(vec![row(TABLE, &[("ExternalPort", "80")])]));
    world.run();
    assert!(world.fault().message.contains("Device.NAT.PortMapping.5. could not be removed"));
    assert_eq!(instances(&world), [Some(5)]);
}

#[test]
fn a_transient_fault_of_the_values_keeps_the_row_for_the_next_attempt() {
    for twist in [Twist::Fault(9002), Twist::Fault(9001), Twist::Ignored, Twist::AnswerLost, Twist::KilledOnTheWay] {
        for call in [2, 3] {
            let device = device().at(call, twist.clone());
            let mut world = World::new(device, add(vec![row(TABLE, &[("ExternalPort", "80")])]));
            world.run().assert_completed();
            assert_eq!((world.device.adds, world.device.deletes, world.sessions), (1, 0, 2), "{twist:?} at {call}");
            assert_eq!(world.device.value("Device.NAT.PortMapping.5.ExternalPort"), "80");
        }
    }
}

#[test]
fn a_row_whose_values_never_get_there_is_removed() {
    let mut device = device();
    device.unwritable.insert("Device.NAT.PortMapping.5.ExternalPort".to_owned(), 9002);
    let exact = NewValue {
        leaf: "ExternalPort".to_owned(),
        value: "80".into(),
        ty: Some(TypeHint::Exact(XsdType::UnsignedInt)),
    };
    let mut world = World::new(device, add(vec![NewObject { table: object(TABLE), values: vec![exact] }]));
    world.run();
    assert_eq!((world.sessions, world.fault().code, world.device.adds), (5, 9002, 1));
    assert_eq!(world.device.rows(TABLE), [1, 4]);
}

#[test]
fn rows_that_are_done_stay_done_over_a_kill() {
    // Calls: list, add, list, add, list, add.
    for killed_at in 0..6 {
        for twist in [Twist::KilledAfter, Twist::KilledOnTheWay, Twist::AnswerLost] {
            let work = add(vec![row(TABLE, &[]), row(TABLE, &[]), row(OTHER, &[])]);
            let mut world = World::new(device().at(killed_at, twist.clone()), work);
            world.run().assert_completed();
            assert_eq!(world.device.adds, 3, "{twist:?} at {killed_at}");
            assert_eq!(instances(&world), [Some(5), Some(6), Some(1)]);
        }
    }
}

#[test]
fn the_rows_added_before_a_failure_are_reported() {
    let mut world = World::new(device(), add(vec![row(TABLE, &[]), row("Device.No.", &[])]));
    world.run();
    assert_eq!(world.outcome(), [("Device.NAT.PortMapping.5.", None, None), ("Device.No.", None, Some(9005))]);
}

#[test]
fn rows_are_deleted_in_order_and_forgotten() {
    let rows = ["Device.NAT.PortMapping.4.", "Device.NAT.PortMapping.1."];
    let mut world = World::new(device(), delete(&rows));
    world.run().assert_completed();
    assert!(world.device.rows(TABLE).is_empty());
    assert_eq!(world.outcome(), [(rows[0], None, None), (rows[1], None, None)]);
    assert_eq!(world.learned[0].forget, rows.map(Into::into));
}

#[test]
fn what_is_not_there_need_not_be_deleted() {
    let mut world = World::new(device(), delete(&["Device.NAT.PortMapping.9."]));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["DeleteObject"]);
}

#[test]
fn a_lost_answer_to_a_delete_is_looked_into() {
    let table = [
        (Twist::AnswerLost, 2, vec!["DeleteObject", LIST]),
        (Twist::LostOnTheWay, 2, vec!["DeleteObject", LIST, "DeleteObject"]),
        (Twist::KilledAfter, 2, vec!["DeleteObject", LIST]),
        (Twist::Silent, 1, vec!["DeleteObject", LIST]),
        (Twist::Ignored, 2, vec!["DeleteObject", LIST, "DeleteObject"]),
    ];
    for (twist, sessions, calls) in table {
        let mut device = device().at(0, twist.clone());
        device.parameters.insert("Device.NAT.PortMapping.4.Enable".to_owned(), ("1".to_owned(), XsdType::Boolean));
        let mut world = World::new(device, delete(&["Device.NAT.PortMapping.4."]));
        world.run();
        world.assert_completed();
        assert_eq!(world.device.methods(), calls, "{twist:?}");
        assert_eq!((world.sessions, world.device.deletes), (sessions, 1), "{twist:?}");
        assert!(world.learned.iter().any(|patch| !patch.forget.is_empty()), "{twist:?}");
    }
}

#[test]
fn a_refused_delete_names_the_row() {
    let mut device = device();
    device.unwritable.insert("Device.NAT.PortMapping.4.".to_owned(), 9008);
    let mut world = World::new(device, delete(&["Device.NAT.PortMapping.1.", "Device.NAT.PortMapping.4."]));
    world.run();
    assert!(matches!(world.ending(), Ending::Failed(fault) if fault.code == 9008));
    assert_eq!(
        world.outcome(),
        [("Device.NAT.PortMapping.1.", None, None), ("Device.NAT.PortMapping.4.", None, Some(9008))]
    );
    assert!(world.device.calls.iter().all(|call| matches!(call, Request::DeleteObject(_))));
}
