use crate::tasks::plan::Ending;
use crate::types::value::XsdType;

use super::device::{Device, PartialPaths, Twist};
use super::world::{World, get};

fn tree() -> Device {
    Device::with(&[
        ("Device.A.One", "1", XsdType::UnsignedInt),
        ("Device.A.Two", "2", XsdType::String),
        ("Device.B.1.Name", "b1", XsdType::String),
        ("Device.B.2.Name", "b2", XsdType::String),
        ("Device.RootDataModelVersion", "2.15", XsdType::String),
    ])
    .table("Device.Empty.", &[])
}

fn note(world: &World) -> String {
    match world.ending() {
        Ending::Completed { note } => note.unwrap_or_default(),
        Ending::Failed(fault) => panic!("{fault:?}"),
    }
}

#[test]
fn names_and_subtrees_come_back_in_the_order_asked() {
    let mut world = World::new(tree(), get(&["Device.B.", "Device.A.Two", "Device.A.One"]));
    world.run().assert_completed();
    let paths: Vec<_> = world.results.iter().map(|result| (result.variable, &*result.path)).collect();
    let want = [(0, "Device.B.1.Name"), (0, "Device.B.2.Name"), (1, "Device.A.Two"), (2, "Device.A.One")];
    assert_eq!(paths, want);
    assert_eq!(world.results[3].ty, Some(XsdType::UnsignedInt));
    assert_eq!(world.learned[0].learn.len(), 4);
}

#[test]
fn an_empty_table_is_no_fault() {
    let mut world = World::new(tree(), get(&["Device.Empty."]));
    world.run().assert_completed();
    assert_eq!(world.outcome(), [("Device.Empty.", None, None)]);
}

#[test]
fn no_paths_means_the_whole_tree_child_by_child() {
    let mut world = World::new(tree(), get(&[]));
    world.run().assert_completed();
    assert_eq!(world.device.methods()[0], "GetParameterNames");
    let reads = world.device.reads();
    assert_eq!(reads, [["Device.RootDataModelVersion"], ["Device.A."], ["Device.B."], ["Device.Empty."]]);
    assert_eq!(world.results.len(), 5);
    assert!(world.results.iter().all(|result| result.variable == 0));
}

#[test]
fn names_go_in_batches() {
    let parameters: Vec<_> = (0..7).map(|n| format!("Device.X.P{n}")).collect();
    let table: Vec<_> = parameters.iter().map(|path| (path.as_str(), "v", XsdType::String)).collect();
    let names: Vec<_> = parameters.iter().map(String::as_str).collect();
    let mut world = World::new(Device::with(&table), get(&names));
    world.limits.batch = 3;
    world.run().assert_completed();
    assert_eq!(world.device.reads().iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
    let variables: Vec<_> = world.results.iter().map(|result| result.variable).collect();
    assert_eq!(variables, [0, 1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_denied_name_is_found_by_bisection_and_the_rest_is_read() {
    let names = ["Device.A.One", "Device.No", "Device.A.Two", "Device.B.1.Name"];
    for names_the_name in [false, true] {
        let mut world = World::new(Device { names_the_name, ..tree() }, get(&names));
        world.run();
        let Ending::Failed(fault) = world.ending() else { panic!("completed") };
        assert_eq!(fault.code, 9005);
        assert!(fault.message.contains("Device.No"), "the fault names the parameter: {}", fault.message);
        let faults: Vec<_> =
            world.outcome().iter().map(|(path, value, code)| (*path, value.is_some(), *code)).collect();
        let want = [
            ("Device.A.One", true, None),
            ("Device.No", false, Some(9005)),
            ("Device.A.Two", true, None),
            ("Device.B.1.Name", true, None),
        ];
        assert_eq!(faults, want);
        let calls = world.device.calls.len();
        assert_eq!(calls, if names_the_name { 3 } else { 5 }, "a fault that names the parameter saves calls");
        assert!(world.learned[0].forget.iter().any(|path| &**path == "Device.No"));
        assert_eq!(world.sessions, 1, "permanent");
    }
}

#[test]
fn a_name_that_is_left_out_is_reported_but_not_forgotten() {
    let mut device = tree();
    device.withheld.insert("Device.A.Two".to_owned());
    let mut world = World::new(device, get(&["Device.A.One", "Device.A.Two"]));
    world.run();
    assert_eq!(world.outcome()[1], ("Device.A.Two", None, Some(0)));
    assert!(world.fault().message.contains("Device.A.Two"));
    assert!(world.learned[0].forget.is_empty());
}

#[test]
fn a_subtree_that_is_too_much_is_split_into_its_children() {
    let mut world = World::new(Device { values_max: Some(2), ..tree() }, get(&["Device."]));
    world.run().assert_completed();
    assert_eq!(world.results.len(), 5);
    assert_eq!(world.sessions, 1);
}

#[test]
fn a_device_that_expands_no_partial_path_is_read_level_by_level() {
    for partial_paths in [PartialPaths::Itself, PartialPaths::Nothing, PartialPaths::Refused] {
        let literal = || Device { partial_paths, ..tree() };
        for paths in [&["Device."][..], &[]] {
            let mut world = World::new(literal(), get(paths));
            world.run().assert_completed();
            assert_eq!(note(&world), "", "nothing is left out");
            assert_eq!(world.results.len(), 5, "{partial_paths:?}: {:?}", world.results);
            assert!(world.results.iter().all(|result| result.value.is_some() && !result.path.ends_with('.')));
            let valued = world.learned.iter().flat_map(|patch| &patch.learn).filter(|it| it.value.is_some());
            assert!(valued.clone().all(|it| !it.path.ends_with('.')), "no object has a value");
        }
        let mut world = World::new(literal(), get(&["Device.Empty."]));
        world.run().assert_completed();
        assert_eq!(world.outcome(), [("Device.Empty.", None, None)]);
        let mut world = World::new(literal(), get(&["Device.No."]));
        world.run();
        assert_eq!(world.outcome(), [("Device.No.", None, Some(9005))]);
    }
}

#[test]
fn a_batch_that_is_too_much_is_halved() {
    let names = ["Device.A.One", "Device.A.Two", "Device.B.1.Name", "Device.B.2.Name"];
    let mut world = World::new(Device { values_max: Some(1), ..tree() }, get(&names));
    world.run().assert_completed();
    assert_eq!(world.results.len(), 4);
}

#[test]
fn what_the_device_lists_but_denies_is_left_out() {
    for code in [9001, 9002, 9003, 9005] {
        let mut device = tree();
        device.unreadable.insert("Device.A.Ghost".to_owned(), code);
        device.unreadable.insert("Device.RootGhost".to_owned(), code);
        let mut world = World::new(device, get(&[]));
        world.run().assert_completed();
        assert!(note(&world).contains("Device."), "{code}: {}", note(&world));
        assert_eq!(world.results.len(), 5, "{code}");
        assert!(world.results.iter().all(|result| result.fault.is_none()));
        assert_eq!(world.sessions, 1);
    }
}

#[test]
fn a_tree_of_which_nothing_can_be_read_is_no_success() {
    let mut device = Device::default();
    device.unreadable.insert("Device.A.X".to_owned(), 9002);
    let mut world = World::new(device, get(&[]));
    world.run();
    assert!(matches!(world.ending(), Ending::Failed(fault) if fault.code == 9002));
    assert_eq!(world.sessions, 5);
}

#[test]
fn transient_faults_back_off_doubling_and_give_up_after_five_attempts() {
    let mut device = tree();
    device.unreadable.insert("Device.A.One".to_owned(), 9002);
    let mut world = World::new(device, get(&["Device.A.One"]));
    let mut waits = Vec::new();
    for _ in 0..4 {
        world.session();
        waits.push(world.backoff());
    }
    assert_eq!(waits, [30, 60, 120, 240]);
    world.run();
    assert_eq!((world.sessions, world.fault().code), (5, 9002));
    assert_eq!(world.transaction.history.len(), 5);
}

#[test]
fn one_more_try_after_9001_and_none_after_9000() {
    for (code, sessions) in [(9000, 1), (9001, 2), (9003, 1), (9007, 1)] {
        let mut device = tree();
        device.unreadable.insert("Device.A.One".to_owned(), code);
        let mut world = World::new(device, get(&["Device.A.One"]));
        world.run();
        assert_eq!((world.sessions, world.fault().code), (sessions, code));
    }
}

#[test]
fn a_read_whose_answer_never_came_is_repeated() {
    for twist in [Twist::LostOnTheWay, Twist::AnswerLost, Twist::KilledAfter, Twist::Mismatch, Twist::Ignored] {
        let mut world = World::new(tree().at(0, twist.clone()), get(&["Device.A.One"]));
        world.run().assert_completed();
        assert_eq!((world.sessions, world.results.len()), (2, 1), "{twist:?}");
    }
}

#[test]
fn the_first_lost_session_does_not_wait_and_a_call_that_kills_every_session_ends() {
    let mut device = tree();
    device.script.extend((0..5).map(|call| (call, Twist::LostOnTheWay)));
    let mut world = World::new(device, get(&["Device.A.One"]));
    world.session();
    assert_eq!(world.backoff(), 0);
    world.session();
    assert_eq!(world.backoff(), 30, "so that it cannot hold up the rest of the queue");
    world.run();
    assert_eq!(world.sessions, 5);
    assert!(world.fault().message.contains("unknown"));
}

#[test]
fn a_read_that_broke_the_session_off_is_repeated_level_by_level() {
    for paths in [vec!["Device.B."], vec![], vec!["Device."]] {
        let mut world = World::new(Device { dies_of_what_it_lacks: true, ..tree() }, get(&paths));
        world.run().assert_completed();
        assert_eq!(world.sessions, 2, "{paths:?}");
        let reads = world.device.reads();
        assert_eq!(reads.iter().flatten().filter(|name| name.ends_with('.')).count(), 1, "{reads:?}");
        assert!(world.outcome().iter().any(|(path, value, _)| *path == "Device.B.2.Name" && *value == Some("b2")));
        assert_eq!(world.results.len(), if paths == ["Device.B."] { 2 } else { 5 }, "{:?}", world.outcome());
    }
}

#[test]
fn a_name_that_broke_the_session_off_is_looked_up_before_it_is_asked_again() {
    let device = Device { dies_of_what_it_lacks: true, ..tree() };
    let mut world = World::new(device, get(&["Device.A.One", "Device.A.No", "Device.No.One", "Device.B.1.Name"]));
    world.run();
    assert_eq!(world.sessions, 2);
    let Ending::Failed(fault) = world.ending() else { panic!("completed") };
    assert!(fault.message.contains("Device.A.No"), "{}", fault.message);
    let outcome: Vec<_> = world.outcome().iter().map(|(path, value, _)| (*path, *value)).collect();
    let want =
        [("Device.A.One", Some("1")), ("Device.A.No", None), ("Device.No.One", None), ("Device.B.1.Name", Some("b1"))];
    assert_eq!(outcome, want);
}

#[test]
fn a_device_that_cannot_list_is_asked_again_as_before() {
    for paths in [["Device.A."], ["Device.A.One"]] {
        let device = tree().at(0, Twist::AnswerLost).at(1, Twist::Fault(9000));
        let mut world = World::new(device, get(&paths));
        world.run().assert_completed();
        assert_eq!(world.device.methods(), ["GetParameterValues", "GetParameterNames", "GetParameterValues"]);
    }
}

#[test]
fn objects_are_found_by_what_they_contain() {
    let mut world = World::new(Device { lists_leaves_only: true, ..tree() }, get(&[]));
    world.run().assert_completed();
    assert_eq!(world.device.reads(), [["Device.RootDataModelVersion"], ["Device.A."], ["Device.B."]]);
    assert_eq!(world.results.len(), 5);
}

#[test]
fn each_read_that_broke_off_is_tried_the_other_way() {
    let device = tree().at(0, Twist::LostOnTheWay).at(1, Twist::LostOnTheWay);
    let mut world = World::new(device, get(&["Device.A."]));
    world.run().assert_completed();
    assert_eq!(world.device.methods(), ["GetParameterValues", "GetParameterNames", "GetParameterValues"]);
}

#[test]
fn what_a_batch_leaves_out_is_asked_for_by_itself() {
    let names = ["Device.A.One", "Device.A.Two", "Device.B.1.Name"];
    let mut world = World::new(Device { last_name_only: true, ..tree() }, get(&names));
    world.run().assert_completed();
    assert_eq!(world.outcome().iter().map(|(path, ..)| *path).collect::<Vec<_>>(), names);
    assert!(world.results.iter().all(|result| result.value.is_some()));
    assert_eq!(world.device.reads().iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1]);
}
