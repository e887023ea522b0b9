use std::collections::BTreeSet;

use crate::model::call::results::{SKIPPED, TOTAL};
use crate::model::device::TreePatch;
use crate::model::transaction::{Phase, TransactionStatus, WaitReason, Work};
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::world::{World, object};

/// `Device.O<o>.T<t>.<row>.P<p>` and a few things more.
fn device(objects: usize, tables: usize, rows: usize) -> Device {
    let mut device = Device::with(&[("Device.RootDataModelVersion", "2.12", XsdType::String)]);
    for o in 0..objects {
        device.parameters.insert(format!("Device.O{o}.Enable"), ("1".to_owned(), XsdType::Boolean));
        device.objects.insert(format!("Device.O{o}.Empty."));
        for (t, row) in (0..tables).flat_map(|t| (1..=rows).map(move |row| (t, row))) {
            for leaf in ["A", "B"] {
                let path = format!("Device.O{o}.T{t}.{row}.{leaf}");
                device.parameters.insert(path, ("x".to_owned(), XsdType::String));
            }
        }
    }
    device
}

/// All names of the device, objects and parameters.
fn names(device: &Device) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for name in device.parameters.keys().chain(&device.objects) {
        names.insert(name.clone());
        names.extend(name.match_indices('.').map(|(dot, _)| name[..=dot].to_owned()));
    }
    names.remove("Device.");
    names
}

fn learned(world: &World) -> BTreeSet<String> {
    let all = world.learned.iter().flat_map(|patch| &patch.learn);
    all.inspect(|one| assert!(one.writable.is_some() && one.value.is_none())).map(|one| one.path.to_string()).collect()
}

fn discover(device: Device) -> World {
    World::new(device, Work::Discover { below: None })
}

/// Sessions until it has ended, as the timer makes it ready again.
fn run(world: &mut World) -> &mut World {
    loop {
        world.run();
        match world.transaction.phase {
            Phase::Waiting { reason, until } => {
                assert_eq!(reason, WaitReason::NextSession);
                assert!(until <= world.now);
                world.transaction.resume();
            }
            _ => return world,
        }
    }
}

fn value(world: &World, name: &str) -> u32 {
    let found = world.results.iter().find(|result| &*result.path == name).expect("counted");
    found.value.as_deref().unwrap().parse().unwrap()
}

#[test]
fn the_whole_tree_is_found() {
    let mut world = discover(device(4, 3, 3));
    run(&mut world).assert_completed();
    let all = names(&world.device);
    assert_eq!(learned(&world), all);
    assert_eq!((value(&world, TOTAL) as usize, value(&world, SKIPPED)), (all.len(), 0));
    assert!(world.device.calls.len() < 30, "few calls: {}", world.device.calls.len());
}

#[test]
fn a_subtree_is_found_alone() {
    let mut world = World::new(device(4, 2, 3), Work::Discover { below: Some(object("Device.O1.")) });
    run(&mut world).assert_completed();
    let all: BTreeSet<_> = names(&world.device).into_iter().filter(|name| name.starts_with("Device.O1.")).collect();
    assert_eq!(learned(&world).len(), all.len() - 1);
}

#[test]
fn what_is_not_there_any_more_is_forgotten() {
    let mut world = discover(device(2, 1, 1));
    for gone in ["Device.O0.T0.9.A", "Device.O0.T0.9.", "Device.O9.X", "Device.Old", "Device.O1.Empty.1.B"] {
        world = world.knows(gone, "x", XsdType::String);
    }
    for still in ["Device.O0.T0.1.A", "Device.O0.T0.1.", "Device.O1.Enable"] {
        world = world.knows(still, "x", XsdType::String);
    }
    run(&mut world).assert_completed();
    let forgotten: BTreeSet<&str> = world.learned.iter().flat_map(|patch| &patch.forget).map(|path| &**path).collect();
    assert_eq!(forgotten, BTreeSet::from(["Device.O0.T0.9.", "Device.O9.", "Device.Old", "Device.O1.Empty.1."]));
}

#[test]
fn a_lost_session_or_a_kill_goes_on_where_it_was() {
    let all = names(&device(6, 12, 2));
    for at in [0, 1, 2, 7, 20, 33, 34, 60] {
        for twist in [Twist::LostOnTheWay, Twist::AnswerLost, Twist::KilledOnTheWay, Twist::KilledAfter] {
            let mut world = discover(device(6, 12, 2).at(at, twist.clone()));
            run(&mut world).assert_completed();
            assert_eq!(learned(&world), all, "{twist:?} at {at}");
            assert_eq!(value(&world, SKIPPED), 0);
            assert!(world.transaction.attempts <= 2);
            let again = world.device.calls.len() - 86;
            assert!(again <= 40, "{twist:?} at {at}: {again} calls more");
        }
    }
}

#[test]
fn a_session_that_breaks_again_and_again_comes_to_its_end() {
    let mut device = device(6, 12, 2);
    for at in (3..400).step_by(9) {
        device = device.at(at, Twist::LostOnTheWay);
    }
    let all = names(&device);
    let mut world = discover(device);
    run(&mut world).assert_completed();
    assert_eq!(learned(&world), all);
}

#[test]
fn a_subtree_that_is_too_much_is_walked_by_levels() {
    let mut device = device(2, 2, 30);
    device.names_max = Some(40);
    let all = names(&device);
    let mut world = discover(device);
    run(&mut world).assert_completed();
    assert_eq!(learned(&world), all);
}

#[test]
fn an_object_that_the_session_breaks_at_is_left_out() {
    for (code, words) in [(None, "the session broke off"), (Some(9002), "9002"), (Some(9004), "9004")] {
        let mut device = device(3, 2, 2);
        device.unlistable.insert("Device.O1.T0.".to_owned(), code);
        let all: BTreeSet<_> =
            names(&device).into_iter().filter(|name| !name.starts_with("Device.O1.T0.") || name.len() == 13).collect();
        let mut world = discover(device);
        run(&mut world).assert_completed();
        let note = world.transaction.note.clone().expect("a note");
        assert!(
            note.contains("left out 1 objects") && note.contains("Device.O1.T0.") && note.contains(words),
            "{note}"
        );
        assert_eq!(learned(&world), all, "{code:?}");
    }
}

#[test]
fn what_vanishes_meanwhile_is_no_fault() {
    let mut device = device(3, 2, 2);
    device.unlistable.insert("Device.O1.".to_owned(), Some(9005));
    let mut world = discover(device);
    run(&mut world).assert_completed();
    assert_eq!(value(&world, SKIPPED), 0);
    assert!(!learned(&world).contains("Device.O1."));
}

#[test]
fn a_large_tree_takes_several_sessions_and_others_have_their_turn() {
    let mut device = device(40, 30, 1);
    device.names_max = Some(100);
    let all = names(&device);
    let mut world = discover(device);
    world.run();
    assert!(matches!(world.transaction.phase, Phase::Waiting { reason: WaitReason::NextSession, .. }));
    run(&mut world).assert_completed();
    assert_eq!(learned(&world), all);
    assert!(world.sessions >= 3 && world.transaction.attempts == 1, "{}", world.sessions);
}

#[test]
fn too_many_names_end_it_with_words() {
    let mut world = discover(device(6, 12, 2));
    world.limits.discovered_names = 50;
    run(&mut world);
    assert_eq!(world.fault().message, "the device has more than 50 names; the first ones are kept");
    assert!(learned(&world).len() > 50);
}

#[test]
fn a_device_that_ignores_next_level_is_taken_at_its_word() {
    let mut device = device(3, 2, 2);
    device.lists_leaves_only = true;
    device.objects.clear();
    let mut world = discover(device);
    run(&mut world).assert_completed();
    assert_eq!(world.device.methods(), ["GetParameterNames"]);
    assert_eq!(learned(&world), world.device.parameters.keys().cloned().collect());
}

#[test]
fn a_root_that_is_refused_fails_with_words() {
    let mut device = device(1, 1, 1);
    device.unlistable.insert("Device.".to_owned(), Some(9000));
    let mut world = discover(device);
    run(&mut world);
    assert_eq!(world.transaction.status, TransactionStatus::Failed);
    assert!(world.fault().message.starts_with("Device.: "), "{}", world.fault().message);
    assert_eq!(world.learned.concat_learned(), 0);
}

#[test]
fn a_root_where_every_session_breaks_fails_in_the_end() {
    let mut device = device(1, 1, 1);
    device.unlistable.insert("Device.".to_owned(), None);
    let mut world = discover(device);
    run(&mut world);
    assert!(world.fault().message.contains("broke off"), "{}", world.fault().message);
}

trait Learned {
    fn concat_learned(&self) -> usize;
}

impl Learned for Vec<TreePatch> {
    fn concat_learned(&self) -> usize {
        self.iter().map(|patch| patch.learn.len() + patch.forget.len()).sum()
    }
}
