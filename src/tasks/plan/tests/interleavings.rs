//! Whatever goes wrong in whatever order: transactions end, nothing is done twice silently, and what is said to be done
//! is done.

use proptest::collection::hash_map;
use proptest::prelude::*;

use crate::model::transaction::{Assignment, NewObject, NewValue, TransactionStatus, Work};
use crate::model::wanted::{WantedAttribute, WantedConfiguration};
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::wanted::{parameters, row, wanted};
use super::world::{World, get, object, parameter};

const TABLE: &str = "Device.T.";

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        Just(Twist::LostOnTheWay),
        Just(Twist::AnswerLost),
        Just(Twist::KilledOnTheWay),
        Just(Twist::KilledAfter),
        prop::sample::select(vec![9001, 9002, 9004, 9006]).prop_map(Twist::Fault),
        prop::sample::select(vec![9000, 9003, 9005, 9007, 9008]).prop_map(Twist::Fault),
        Just(Twist::Mismatch),
        Just(Twist::Ignored),
        Just(Twist::Silent),
        Just(Twist::Unnumbered),
    ]
}

fn device() -> Device {
    let device = Device::with(&[
        ("Device.A", "0", XsdType::UnsignedInt),
        ("Device.B", "false", XsdType::Boolean),
        ("Device.C.1.X", "x", XsdType::String),
        ("Device.T.2.Name", "theirs", XsdType::String),
    ]);
    let row = vec![("Enable", "0", XsdType::Boolean), ("Name", "", XsdType::String)];
    Device { row, ..device }.table(TABLE, &[2])
}

fn work() -> impl Strategy<Value = Work> {
    let assign = |path: &str, value: &str| Assignment { path: parameter(path), value: value.into(), ty: None };
    let value = NewValue { leaf: "Enable".to_owned(), value: "1".into(), ty: None };
    let row = |values: &[NewValue]| NewObject { table: object(TABLE), values: values.to_vec() };
    prop_oneof![
        Just(get(&[])),
        Just(get(&["Device.A", "Device.B", "Device.C."])),
        Just(Work::Set { assignments: vec![assign("Device.A", "5"), assign("Device.B", "1")] }),
        Just(Work::AddObject { objects: vec![row(&[]), row(std::slice::from_ref(&value))] }),
        Just(Work::AddObject { objects: vec![row(std::slice::from_ref(&value)), row(&[value])] }),
        Just(Work::DeleteObject { objects: vec![object("Device.T.2."), object("Device.T.9.")] }),
        Just(Work::Reboot),
        Just(Work::FactoryReset),
        Just(Work::Sync),
        Just(Work::Reconfigure),
        Just(Work::DeviceFactory),
    ]
}

/// Two parameters, a notification, and a row that the table does not have.
fn configuration() -> WantedConfiguration<String> {
    let attribute = WantedAttribute { path: parameter("Device.A"), notification: 2 };
    WantedConfiguration {
        objects: vec![row(TABLE, &[("Name", "ours")], &[("Enable", "1")])],
        attributes: vec![attribute],
        ..parameters(&[("Device.A", "5"), ("Device.B", "true")])
    }
}

fn converged(world: &World) {
    let completed = world.transaction.status == TransactionStatus::Completed;
    let device = &world.device;
    // A row whose values were refused goes again, and may be tried again.
    assert!(device.adds <= 1 + device.deletes, "{} rows: {:?}", device.adds, device.calls);
    if completed {
        assert_eq!((device.value("Device.A"), device.value("Device.B")), ("5", "true"));
    }
    if completed && world.transaction.work != Work::DeviceFactory {
        assert_eq!(device.attributes.get("Device.A"), Some(&2));
        let rows = device.rows(TABLE);
        assert_eq!(rows.len(), 2, "{:?}", device.calls);
        let row = object(TABLE).instance(rows[1]);
        let value = |leaf: &str| device.value(row.leaf(leaf).unwrap().as_str());
        assert_eq!((value("Name"), value("Enable")), ("ours", "1"));
        let added = world.results.iter().filter(|result| result.path.starts_with(row.as_str())).count();
        assert_eq!(added, 2, "{:?}", world.results);
    }
}

fn holds(world: &World) {
    let completed = world.transaction.status == TransactionStatus::Completed;
    match &world.transaction.work {
        Work::Set { .. } if completed => {
            assert_eq!((world.device.value("Device.A"), world.device.value("Device.B")), ("5", "true"));
        }
        Work::AddObject { objects } => {
            let wanted = u32::try_from(objects.len()).unwrap();
            assert!(world.device.adds <= wanted, "{} rows for {wanted}: {:?}", world.device.adds, world.device.calls);
            if completed {
                assert_eq!(world.device.adds, wanted);
                for (object, result) in objects.iter().zip(&world.results) {
                    let row = object.table.instance(result.instance_number.expect("a row"));
                    assert!(world.device.objects.contains(row.as_str()));
                    if !object.values.is_empty() {
                        assert_eq!(world.device.value(row.leaf("Enable").unwrap().as_str()), "1");
                    }
                }
            }
        }
        Work::DeleteObject { .. } => {
            assert!(world.device.deletes <= 1);
        }
        Work::Sync | Work::Reconfigure | Work::DeviceFactory => converged(world),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_transaction_ends_truthfully(work in work(), script in hash_map(0_usize..20, twist(), 0..8)) {
        let mut world = World::new(Device { script: script.clone(), ..device() }, work);
        world.wanted = Some(wanted(configuration(), None));
        world.run();
        prop_assert!(world.sessions <= 5 + 20, "{} sessions", world.sessions);
        // A permanent fault in place of a list makes a table look as if it had lost its rows: no such lie here.
        let lies = script.values().any(|twist| *twist == Twist::Fault(9005));
        if !lies {
            holds(&world);
        }
    }
}
