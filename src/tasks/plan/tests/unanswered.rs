//! Orders of transfers that a device may not have, or ignores (quirks 62 and 71).

use std::time::Duration;

use crate::model::call::RpcMethods;
use crate::model::transaction::{NewObject, Phase, Work};
use crate::model::transfer::{DownloadOrder, TimeWindow};
use crate::types::event::EventCode;
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::transfer::{BOOT, OVER, arrive, boots, configuration, firmware, progress, reason, started, upload, world};
use super::transfers::{Tells, complete};
use super::world::{World, object};

pub(super) fn scheduled() -> Work {
    let Work::Download(order) = firmware() else { panic!("no download") };
    let window = TimeWindow {
        start_secs: 0,
        end_secs: 7_200,
        mode: "1 At Any Time".to_owned(),
        user_message: String::new(),
        max_retries: 1,
    };
    Work::Download(Box::new(DownloadOrder { windows: vec![window], ..*order }))
}

/// A world that does not know what its device can do.
fn unasked(device: Device, work: Work) -> World {
    let mut world = world(device, work);
    world.methods = None;
    world
}

#[test]
fn a_rare_order_is_given_only_to_a_device_that_has_it() {
    for (work, name) in [(upload(), "Upload"), (scheduled(), "ScheduleDownload")] {
        // Asked first, once, and remembered.
        let mut able = unasked(Device::default(), work.clone());
        able.run();
        assert_eq!(able.device.methods(), ["GetRPCMethods", name]);
        assert!(able.methods.as_ref().is_some_and(|methods| &*methods.software_version == "1.0"));
        assert!(reason(&able).is_some());

        let weak = Device { lacks: [name].into(), ..Device::default() };
        let mut unable = unasked(weak, work.clone());
        unable.run();
        assert_eq!(unable.fault().message, format!("the device does not have {name}"));
        assert_eq!((unable.device.methods(), unable.sessions), (vec!["GetRPCMethods"], 1));

        // What is remembered needs no question, unless the device runs something else by now.
        for (version, calls) in [("1.0", vec![]), ("0.9", vec!["GetRPCMethods", name])] {
            let mut known = unasked(Device::default(), work.clone());
            known.methods = RpcMethods::read(["GetParameterValues", "Download"], version, known.now);
            known.run();
            assert_eq!(known.device.methods(), calls, "{version}");
        }
    }
    // Every device that fetches files has it: nothing is asked, and a list without it is not believed.
    for list in [None, Some(["GetParameterValues"])] {
        let mut plain = unasked(Device::default(), firmware());
        plain.methods = list.and_then(|names| RpcMethods::read(names, "1.0", plain.now));
        plain.session();
        assert_eq!(plain.device.methods(), ["Download"], "{list:?}");
    }
}

#[test]
fn a_device_that_does_not_tell_its_methods_is_ordered_all_the_same() {
    for twist in [Twist::Fault(9000), Twist::Mismatch, Twist::Ignored] {
        let mut world = unasked(Device::default().at(0, twist), upload());
        world.session();
        assert_eq!(world.device.methods(), ["GetRPCMethods", "Upload"]);
    }
    let broken = Device::default().at(0, Twist::LostOnTheWay).at(1, Twist::LostOnTheWay);
    let mut world = unasked(broken, upload());
    world.session();
    let deadline = world.transaction.progress.deadline.expect("others get their turn, should it not come back");
    world.run();
    assert_eq!(world.device.methods(), ["GetRPCMethods", "GetRPCMethods", "Upload"]);
    let mut gone = unasked(Device::default().at(0, Twist::KilledOnTheWay), scheduled());
    gone.session();
    gone.now = deadline;
    assert!(gone.overdue().is_some_and(|fault| fault.message.ends_with("to be told to make the file transfer")));
}

/// A transfer whose first call the device has ignored, after that session.
fn ignored(twist: Twist, work: Work, tells: Tells) -> World {
    let mut device = Device::default().at(0, twist);
    device.transfers.tells = tells;
    let world = started(device, work);
    assert_eq!(progress(&world).sends, 1, "it is not told again in the same session");
    world
}

#[test]
fn a_call_that_was_ignored_is_made_again_in_the_next_session() {
    for (work, twist, tells) in [
        (firmware(), Twist::Ignored, Tells::All),
        (upload(), Twist::Ignored, Tells::Some),
        (configuration(), Twist::Mismatch, Tells::All),
        (scheduled(), Twist::Ignored, Tells::All),
    ] {
        let mut world = ignored(twist, work, tells);
        let begin = world.now;
        assert!(matches!(world.transaction.phase, Phase::Ready { .. }), "{:?}", world.transaction.phase);
        world.run();
        assert_eq!((progress(&world).sends, world.device.transfers.taken), (2, 1));
        assert!(world.now.since(begin) < Duration::from_mins(5), "its time is far from over");
        assert!(reason(&world).is_some());
    }
}

#[test]
fn a_call_that_was_carried_out_without_an_answer_is_not_made_again() {
    for (work, tells) in [(firmware(), Tells::All), (configuration(), Tells::Some), (scheduled(), Tells::All)] {
        let world = ignored(Twist::Silent, work, tells);
        assert!(reason(&world).is_some(), "its queue has it");
    }
    // What becomes of it between the sessions is looked at first.
    for (work, version) in [(firmware(), "2.0"), (upload(), "1.0"), (configuration(), "1.0")] {
        let mut world = ignored(Twist::Ignored, work, Tells::All);
        boots(&mut world, version, &[BOOT, OVER, (EventCode::MDownload, "acsd-7-1")]);
        if matches!(world.transaction.work, Work::Upload(_)) {
            arrive(&mut world);
        }
        world.calls(&complete("acsd-7-1", 0));
        world.run().assert_completed();
        assert_eq!(progress(&world).sends, 1, "it is not told again");
    }
    let mut world = ignored(Twist::Ignored, firmware(), Tells::All);
    boots(&mut world, "2.0", &[BOOT]);
    world.run().assert_completed();
    assert_eq!(progress(&world).sends, 1, "its version tells");
}

#[test]
fn a_device_that_ignores_a_call_and_cannot_tell_is_waited_for() {
    for tells in [Tells::Nothing, Tells::NoMethods] {
        let mut world = ignored(Twist::Ignored, firmware(), tells);
        assert!(reason(&world).is_some());
        world.run_out();
        world.run();
        assert_eq!((progress(&world).sends, world.device.transfers.taken), (2, 1));
    }
}

#[test]
fn a_device_that_ignores_every_call_is_not_told_for_ever() {
    // After the first one, each session looks, orders, and looks.
    let ignoring = |device: Device, call| device.at(call, Twist::Ignored);
    let mut world = world([0, 4, 7, 10, 13].into_iter().fold(Device::default(), ignoring), configuration());
    while !world.transaction.status.is_final() {
        world.run();
        world.run_out();
        assert!(world.sessions < 30, "never ends");
    }
    assert_eq!((world.device.transfers.taken, progress(&world).sends), (0, world.limits.attempts));
    assert!(world.fault().message.contains("unknown"), "{:?}", world.fault());
}

#[test]
fn a_row_that_comes_late_is_not_added_twice() {
    // The device ignores the call, and carries it out when the session is over.
    let mut device = Device::default().table("Device.T.", &[2]).at(1, Twist::Ignored);
    device.row = vec![("Enable", "0", XsdType::Boolean)];
    let objects = vec![NewObject { table: object("Device.T."), values: Vec::new() }];
    let mut world = World::new(device, Work::AddObject { objects });
    world.session();
    assert!(matches!(world.transaction.phase, Phase::Ready { .. }));
    world.device.objects.insert("Device.T.3.".to_owned());
    world.run().assert_completed();
    assert_eq!((world.device.adds, world.results[0].instance_number), (0, Some(3)));
}
