use std::time::Duration;

use proptest::collection::hash_map;
use proptest::prelude::*;

use crate::cwmp::message::Request;
use crate::model::device::DataModel;
use crate::model::device_type::NeighborScan;
use crate::model::diagnostic::{DiagnosticKind, DiagnosticOrder};
use crate::model::procedure::{InFlight, Stage};
use crate::model::transaction::{Phase, TransactionStatus, WaitReason, Work};
use crate::tasks::plan::news;
use crate::types::event::EventCode;
use crate::types::value::XsdType;

use super::device::{Device, Twist};
use super::world::{World, object, parameter};

pub(super) const PING: &str = "Device.IP.Diagnostics.IPPing.";
/// The inputs of [`ping`].
const SAME: [(&str, &str); 4] =
    [("Host", "8.8.8.8"), ("NumberOfRepetitions", "5"), ("Timeout", "1000"), ("DataBlockSize", "64")];
/// What the device shows of a run that was none of ours.
const STALE: &str = "99";
pub(super) const DONE: [(EventCode, &str); 1] = [(EventCode::DiagnosticsComplete, "")];
const BOOT: [(EventCode, &str); 1] = [(EventCode::Boot, "")];

pub(super) fn order(kind: DiagnosticKind, target: &str) -> DiagnosticOrder {
    DiagnosticOrder {
        kind,
        target: target.to_owned(),
        upload_size: None,
        count: None,
        size: None,
        timeout_secs: None,
        max_hops: None,
        interface: None,
    }
}

pub(super) fn work(order: DiagnosticOrder) -> Work {
    Work::Diagnose(Box::new(order))
}

pub(super) fn ping() -> Work {
    work(order(DiagnosticKind::IpPing, "8.8.8.8"))
}

fn with_interface(interface: &str) -> Work {
    work(DiagnosticOrder { interface: Some(interface.to_owned()), ..order(DiagnosticKind::IpPing, "8.8.8.8") })
}

/// A device with one object: `text` and `number` parameters of it.
fn device_at(object: &str, text: &[(&str, &str)], number: &[(&str, &str)]) -> Device {
    let text = text.iter().map(|(leaf, value)| (format!("{object}{leaf}"), *value, XsdType::String));
    let number = number.iter().map(|(leaf, value)| (format!("{object}{leaf}"), *value, XsdType::UnsignedInt));
    let parameters = text.chain(number).map(|(path, value, ty)| (path, (value.to_owned(), ty))).collect();
    Device { parameters, ..Device::default() }
}

/// One that can ping.
pub(super) fn pinger() -> Device {
    device_at(
        PING,
        &[("DiagnosticsState", "None"), ("Interface", ""), ("Host", "")],
        &[
            ("NumberOfRepetitions", "1"),
            ("Timeout", "5000"),
            ("DataBlockSize", "32"),
            ("DSCP", "0"),
            ("SuccessCount", "0"),
            ("FailureCount", "0"),
            ("AverageResponseTime", "0"),
        ],
    )
}

pub(super) fn set(world: &mut World, path: &str, value: &str) {
    let ty = world.device.parameters.get(path).map_or(XsdType::String, |(_, ty)| *ty);
    world.device.parameters.insert(path.to_owned(), (value.to_owned(), ty));
}

pub(super) fn state(world: &mut World, word: &str) {
    set(world, &format!("{PING}DiagnosticsState"), word);
}

/// The device is done with it.
pub(super) fn finish(world: &mut World) {
    state(world, "Complete");
    set(world, &format!("{PING}SuccessCount"), "4");
    set(world, &format!("{PING}FailureCount"), "1");
}

pub(super) fn started(device: Device, work: Work) -> World {
    let mut world = World::new(device, work);
    world.session();
    world
}

#[track_caller]
fn waits(world: &World) -> u64 {
    match &world.transaction.phase {
        Phase::Waiting { reason: WaitReason::Diagnostics, until } => until.since(world.now).as_secs(),
        other => panic!("it does not wait for the device: {other:?}, {:?}", world.transaction.fault),
    }
}

/// The timer has found that it has waited long enough.
pub(super) fn timer(world: &mut World) {
    if let Phase::Waiting { until, .. } = world.transaction.phase {
        world.now = until;
        world.transaction.resume();
        assert_eq!(news::overdue(&world.transaction, world.now), None);
    }
    world.session();
}

/// Sessions until the end, of a device that runs what it is told to.
fn see_through(world: &mut World, reports: bool) {
    see_through_to(world, reports, "Complete");
}

/// The same, of one that has this word for the end of a test.
fn see_through_to(world: &mut World, reports: bool, word: &str) {
    for _ in 0..60 {
        match world.transaction.phase {
            Phase::Ready { .. } => world.session(),
            Phase::Waiting { .. } => timer(world),
            Phase::Running | Phase::Ended => break,
        }
        // The session is over: what was requested runs.
        if world.device.value(&format!("{PING}DiagnosticsState")) == "Requested" {
            finish(world);
            state(world, word);
            if reports && !world.transaction.status.is_final() {
                world.inform(&DONE);
            }
        }
    }
}

pub(super) fn value(world: &World, leaf: &str) -> String {
    let found = world.results.iter().rev().find(|result| result.path.ends_with(leaf));
    found.and_then(|result| result.value.as_deref()).unwrap_or("(none)").to_owned()
}

fn written(world: &World) -> Vec<String> {
    let write = world.device.last_write();
    let short = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    write.parameters.iter().map(|one| format!("{}={}", short(&one.name), one.value)).collect()
}

#[test]
fn a_test_is_found_started_awaited_and_read() {
    let mut world = started(pinger(), ping());
    let methods = world.device.methods();
    let want =
        ["GetParameterNames", "GetParameterValues", "GetParameterNames", "SetParameterValues", "GetParameterValues"];
    assert_eq!(methods, want, "the object, its inputs, whether it can; the start; whether it is done already");
    // Nobody asked for an interface or a DSCP: they are as they are to be.
    let inputs =
        ["Host=8.8.8.8", "NumberOfRepetitions=5", "Timeout=1000", "DataBlockSize=64", "DiagnosticsState=Requested"];
    assert_eq!(written(&world), inputs);
    // 5 × (1 + 1) s, and 60 s; three calls went by.
    assert!((60..=70).contains(&waits(&world)), "{}", waits(&world));
    let deadline = world.transaction.progress.deadline.expect("a deadline").since(world.now).as_secs();
    // 10 s and 5 min, and half of that to come.
    assert!((450..=460).contains(&deadline), "{deadline}");
    finish(&mut world);
    world.inform(&DONE);
    world.run().assert_completed();
    assert_eq!((value(&world, ".SuccessCount"), value(&world, ".FailureCount")), ("4".into(), "1".into()));
    assert_eq!(world.transaction.attempts, 1);
    let learned = world.learned.iter().flat_map(|patch| &patch.learn);
    assert!(learned.clone().any(|one| &*one.path == "Device.IP.Diagnostics.IPPing.Host" && one.value.is_some()));
}

#[test]
fn a_second_test_needs_no_discovery() {
    let mut world = World::new(pinger(), ping());
    for leaf in ["DiagnosticsState", "Interface", "Host", "NumberOfRepetitions", "Timeout", "DataBlockSize", "DSCP"] {
        let ty = world.device.parameters[&format!("{PING}{leaf}")].1;
        world = world.knows(&format!("{PING}{leaf}"), "", ty);
    }
    world.session();
    assert_eq!(world.device.methods(), ["GetParameterValues", "SetParameterValues", "GetParameterValues"]);
    waits(&world);
}

#[test]
fn what_is_known_but_gone_is_looked_for_again() {
    let old = "Device.IP.Diagnostics.IPPing.";
    let device = device_at("Device.LAN.IPPingDiagnostics.", &[("DiagnosticsState", "None"), ("Host", "")], &[]);
    let mut world = World::new(device, ping());
    for leaf in ["DiagnosticsState", "Host", "NumberOfRepetitions", "Timeout", "DataBlockSize"] {
        world = world.knows(&format!("{old}{leaf}"), "", XsdType::String);
    }
    world.session();
    waits(&world);
    assert!(world.device.last_write().parameters[0].name.starts_with("Device.LAN.IPPingDiagnostics."));
}

#[test]
fn a_test_that_the_model_lacks_fails_at_once() {
    let none = || Device::with(&[("Device.DeviceInfo.UpTime", "1", XsdType::UnsignedInt)]);
    for (kind, words) in [
        (DiagnosticKind::IpPing, "Device.IP.Diagnostics.IPPing."),
        (DiagnosticKind::UdpEcho, "Device.IP.Diagnostics.UDPEchoDiagnostics."),
        (DiagnosticKind::WifiNeighbor, "Device.WiFi.NeighboringWiFiDiagnostic."),
    ] {
        let world = started(none(), work(order(kind, "h")));
        assert_eq!(world.transaction.status, TransactionStatus::Failed, "{kind:?}");
        assert!(world.fault().code == 0 && world.fault().message.contains(words), "{:?}", world.fault());
    }
    let mut gateway = World::new(none(), work(order(DiagnosticKind::WifiNeighbor, "all")));
    gateway.data_model = DataModel::InternetGatewayDevice;
    gateway.session();
    assert!(
        gateway.fault().message.contains("the data model InternetGatewayDevice has no object"),
        "{:?}",
        gateway.fault()
    );
    assert!(gateway.device.calls.is_empty());
}

#[test]
fn a_device_that_says_that_it_cannot_is_believed() {
    let capability = |four, six| {
        let mut device = pinger();
        for (version, can) in [(4, four), (6, six)] {
            let path = format!("Device.IP.Diagnostics.IPv{version}PingSupported");
            device.parameters.insert(path, (can, XsdType::Boolean));
        }
        started(device, ping())
    };
    let cannot = capability("false".to_owned(), "0".to_owned());
    assert!(cannot.fault().message.contains("Device.IP.Diagnostics.IPv4PingSupported"), "{:?}", cannot.fault());
    waits(&capability("true".to_owned(), "false".to_owned()));
}

#[test]
fn what_an_earlier_test_left_is_put_back_unless_refused() {
    let mut device = pinger();
    device.parameters.insert(format!("{PING}DSCP"), ("46".to_owned(), XsdType::UnsignedInt));
    let world = started(device, ping());
    assert!(written(&world).contains(&"DSCP=0".to_owned()), "{:?}", written(&world));
    for bare_faults in [false, true] {
        let mut device = pinger();
        device.bare_faults = bare_faults;
        device.parameters.insert(format!("{PING}DSCP"), ("46".to_owned(), XsdType::UnsignedInt));
        device.unwritable.insert(format!("{PING}DSCP"), 9007);
        let world = started(device, ping());
        waits(&world);
        assert_eq!(world.device.value(&format!("{PING}Host")), "8.8.8.8");
    }
}

#[test]
fn a_device_that_wants_two_calls_gets_them() {
    // The third call is the one that writes all.
    let world = started(pinger().at(3, Twist::Fault(9003)), ping());
    waits(&world);
    let writes: Vec<usize> = world
        .device
        .calls
        .iter()
        .filter_map(|call| match call {
            Request::SetParameterValues(write) => Some(write.parameters.len()),
            _ => None,
        })
        .collect();
    assert_eq!(writes, [5, 4, 1]);
}

#[test]
fn a_refused_input_is_named() {
    let mut device = pinger();
    device.unwritable.insert(format!("{PING}Host"), 9007);
    let world = started(device, ping());
    assert_eq!(world.fault().code, 9007);
    assert!(world.fault().message.contains("IPPing.Host"), "{:?}", world.fault());
    assert_eq!(world.transaction.status, TransactionStatus::Failed);
}

#[test]
fn interfaces_are_found_and_tried_with_a_dot() {
    let path = "Device.IP.Interface.3";
    for wish in ["WAN", "pppoe", "Device.IP.Interface.3", "Device.IP.Interface.3."] {
        let mut device = pinger();
        device.parameters.insert(format!("{path}.Alias"), ("wan".to_owned(), XsdType::String));
        device.parameters.insert(format!("{path}.Name"), ("pppoe".to_owned(), XsdType::String));
        let world = started(device, with_interface(wish));
        waits(&world);
        assert_eq!(written(&world)[0], format!("Interface={path}"), "{wish}");
    }
    let mut dotted = pinger();
    dotted.unwritable.insert(format!("{PING}Interface"), 9007);
    let mut world = World::new(dotted, with_interface(path));
    world.session();
    // It refuses either form.
    assert_eq!(world.fault().code, 9007);
    assert_eq!(written(&world)[0], format!("Interface={path}."));
    let world = started(pinger(), with_interface("attic"));
    assert!(world.fault().message.contains("\"attic\""), "{:?}", world.fault());
}

#[test]
fn a_device_that_is_done_within_the_session_is_read_there() {
    let mut device = pinger();
    device.stores.insert(format!("{PING}DiagnosticsState"), (1, "COMPLETED"));
    let world = started(device, ping());
    world.assert_completed();
    assert_eq!(world.transaction.attempts, 1);
}

/// One whose last test was the very same as [`ping`].
fn repeated(state: &str) -> Device {
    let mut device = pinger();
    for (leaf, value) in SAME.into_iter().chain([("DiagnosticsState", state), ("SuccessCount", STALE)]) {
        if let Some((present, _)) = device.parameters.get_mut(&format!("{PING}{leaf}")) {
            value.clone_into(present);
        }
    }
    device
}

#[test]
fn results_of_an_earlier_run_are_not_taken() {
    let same = || {
        let mut device = repeated("Complete");
        // The device begins after the session, and shows what it did before until then.
        device.stores.insert(format!("{PING}DiagnosticsState"), (1, "Complete"));
        device
    };
    let mut world = started(same(), ping());
    waits(&world);
    // A restart in between: nothing says that the test ran.
    world.inform(&BOOT);
    world.run();
    assert!(world.fault().message.contains("restarted"), "{:?}", world.fault());

    let mut world = started(same(), ping());
    finish(&mut world);
    world.inform(&DONE);
    world.run().assert_completed();

    // Whether it began is not known, and the object looks as before: it is started again.
    for events in [BOOT, DONE] {
        // Not even an event 8 tells: that may be another test's.
        let mut world = started(same().at(3, Twist::LostOnTheWay), ping());
        world.inform(&events);
        world.run();
        waits(&world);
        assert_eq!(world.device.writes, 1, "{events:?}");
    }
}

#[test]
fn the_report_of_another_test_does_not_make_old_results_new() {
    let same = || {
        let mut device = repeated("Complete");
        // As it was before, until the device begins after the session.
        device.stores.insert(format!("{PING}DiagnosticsState"), (1, "Complete"));
        device
    };
    let mut world = started(same(), ping());
    waits(&world);
    // That of a traceroute, say; this one has not begun.
    world.inform_among(&DONE, 1);
    world.session();
    assert!(waits(&world) > 0);
    // Its own, when no other is outstanding any more.
    finish(&mut world);
    world.inform(&DONE);
    world.run().assert_completed();
    // One event for both: it is looked at when it has had its time.
    let mut world = started(same(), ping());
    finish(&mut world);
    world.inform_among(&DONE, 1);
    world.session();
    assert!(waits(&world) > 0);
    timer(&mut world);
    world.assert_completed();
    // A device that shows the order at once: what it says next is of this test.
    let mut world = started(repeated("Complete"), ping());
    waits(&world);
    finish(&mut world);
    world.inform_among(&DONE, 1);
    world.run().assert_completed();
}

#[test]
fn inputs_that_were_written_alone_do_not_make_old_results_new() {
    // The first write, of all, is refused; the second has the inputs alone, the third the start. The device does not reset
    // the state when its inputs change.
    let ways = [
        Twist::Silent,
        Twist::Ignored,
        Twist::Mismatch,
        Twist::AnswerLost,
        Twist::KilledAfter,
        Twist::LostOnTheWay,
        Twist::KilledOnTheWay,
        Twist::Fault(9002),
    ];
    for (call, twist) in [4, 5].into_iter().flat_map(|call| ways.iter().map(move |twist| (call, twist))) {
        for reports in [false, true] {
            let mut device = pinger().at(3, Twist::Fault(9001)).at(call, twist.clone());
            for (leaf, value) in [("DiagnosticsState", "Complete"), ("SuccessCount", STALE)] {
                let ty = device.parameters[&format!("{PING}{leaf}")].1;
                device.parameters.insert(format!("{PING}{leaf}"), (value.to_owned(), ty));
            }
            let mut world = World::new(device, ping());
            see_through(&mut world, reports);
            world.assert_completed();
            assert_eq!(value(&world, ".SuccessCount"), "4", "{call}, {twist:?}, {reports}");
        }
    }
}

#[test]
fn a_foreign_test_that_was_in_the_way_is_not_taken_for_this_one() {
    for word in ["Requested", "Complete"] {
        let mut device = repeated("Requested");
        device.lacks.insert("SetParameterValues");
        let mut world = started(device, ping());
        while world.transaction.progress.in_flight.is_none() {
            timer(&mut world);
            assert!(world.sessions < 30, "never");
        }
        // The start was lost; what runs, or has ended since, is the other test.
        world.device.lacks.clear();
        state(&mut world, word);
        see_through(&mut world, false);
        world.assert_completed();
        assert_eq!((world.device.writes, value(&world, ".SuccessCount").as_str()), (1, "4"), "{word}");
    }
}

#[test]
fn error_states_end_the_test_as_such() {
    for word in
        ["Error_CannotResolveHostName", "Error_NoRouteToHost", "Error_Internal", "Error_Other", "Error", "error_Odd"]
    {
        let mut world = started(pinger(), ping());
        state(&mut world, word);
        world.inform(&DONE);
        world.run();
        assert_eq!(world.transaction.status, TransactionStatus::Failed, "{word}");
        assert!(world.fault().code == 0 && world.fault().message.contains(word), "{:?}", world.fault());
        assert_eq!(value(&world, ".DiagnosticsState"), word);
    }
}

#[test]
fn hops_are_kept_when_there_were_too_many() {
    let trace = "InternetGatewayDevice.TraceRouteDiagnostics.";
    let device = device_at(
        trace,
        &[("DiagnosticsState", "None"), ("Interface", ""), ("Host", "")],
        &[("NumberOfTries", "1"), ("Timeout", "1"), ("DataBlockSize", "1"), ("DSCP", "0"), ("MaxHopCount", "1")],
    );
    let mut world =
        World::new(device, work(DiagnosticOrder { max_hops: Some(4), ..order(DiagnosticKind::Traceroute, "h") }));
    world.data_model = DataModel::InternetGatewayDevice;
    world.session();
    assert_eq!(
        written(&world),
        [
            "Host=h",
            "NumberOfTries=3",
            "Timeout=2000",
            "DataBlockSize=38",
            "MaxHopCount=4",
            "DiagnosticsState=Requested"
        ]
    );
    set(&mut world, &format!("{trace}DiagnosticsState"), "Error_MaxHopCountExceeded");
    set(&mut world, &format!("{trace}RouteHops.1.HopHost"), "10.0.0.1");
    world.inform(&DONE);
    world.run();
    assert!(world.fault().message.contains("Error_MaxHopCountExceeded"));
    assert_eq!(value(&world, "RouteHops.1.HopHost"), "10.0.0.1");
    // Rows of the next test may be fewer.
    assert!(world.learned.iter().any(|patch| patch.forget.iter().any(|path| path.ends_with("RouteHops."))));
}

#[test]
fn a_test_that_a_restart_or_somebody_else_reset_is_lost() {
    let table = [(BOOT, "restarted"), (DONE, "reset")];
    for (events, words) in table {
        let mut world = started(pinger(), ping());
        state(&mut world, "None");
        world.inform(&events);
        world.run();
        assert!(world.fault().message.contains(words), "{:?}", world.fault());
    }
    let mut world = started(pinger(), ping());
    state(&mut world, "Canceled");
    world.inform(&DONE);
    world.run();
    assert!(world.fault().message.contains("called off"), "{:?}", world.fault());
    let mut world = started(pinger(), ping());
    finish(&mut world);
    set(&mut world, &format!("{PING}Host"), "192.0.2.9");
    world.inform(&DONE);
    world.run();
    assert!(world.fault().message.contains("another test"), "{:?}", world.fault());
}

#[test]
fn the_report_of_another_test_is_not_this_one_s() {
    let mut world = started(pinger(), ping());
    let before = world.transaction.phase.clone();
    world.inform(&DONE);
    world.session();
    assert!(waits(&world) > 0);
    let until = |phase: &Phase| match phase {
        Phase::Waiting { until, .. } => *until,
        _ => panic!("waits"),
    };
    assert_eq!(until(&world.transaction.phase), until(&before), "it is looked at when it was to be");
    finish(&mut world);
    world.inform(&DONE);
    world.run().assert_completed();
    assert_eq!(world.transaction.attempts, 1, "it is one attempt");
}

#[test]
fn a_device_that_never_reports_is_asked() {
    let mut world = started(pinger(), ping());
    finish(&mut world);
    timer(&mut world);
    world.assert_completed();
}

#[test]
fn a_test_that_never_ends_times_out_and_is_called_off() {
    let mut world = started(pinger(), ping());
    let begin = world.now;
    for _ in 0..20 {
        if world.transaction.status.is_final() {
            break;
        }
        timer(&mut world);
    }
    assert!(world.fault().message.contains("timed out"), "{:?}", world.fault());
    // 5 × 2 s and 5 min.
    let took = world.now.since(begin).as_secs();
    assert!((300..=330).contains(&took), "{took}");
    assert_eq!(world.device.value(&format!("{PING}DiagnosticsState")), "Canceled");

    // TR-098 has no word for it.
    let gateway = "InternetGatewayDevice.IPPingDiagnostics.";
    let mut world = World::new(device_at(gateway, &[("DiagnosticsState", "None"), ("Host", "")], &[]), ping());
    world.data_model = DataModel::InternetGatewayDevice;
    world.session();
    for _ in 0..20 {
        if world.transaction.status.is_final() {
            break;
        }
        timer(&mut world);
    }
    assert!(world.fault().message.contains("timed out"), "{:?}", world.fault());
    assert_eq!(world.device.value(&format!("{gateway}DiagnosticsState")), "Requested");
}

#[test]
fn a_device_that_never_comes_back_has_failed_at_the_deadline() {
    let mut world = started(pinger(), ping());
    timer(&mut world);
    let deadline = world.transaction.progress.deadline.expect("a deadline");
    assert_eq!(news::overdue(&world.transaction, deadline - Duration::from_secs(1)), None);
    let fault = news::overdue(&world.transaction, deadline).expect("over");
    assert!(fault.message.contains("did not come back"), "{fault:?}");
}

#[test]
fn somebody_else_s_test_is_waited_for_but_not_for_ever() {
    let mut device = pinger();
    device.parameters.insert(format!("{PING}DiagnosticsState"), ("Requested".to_owned(), XsdType::String));
    let mut world = started(device, ping());
    let Phase::Waiting { reason, .. } = world.transaction.phase else { panic!("waits: {:?}", world.transaction) };
    assert_eq!((reason, world.device.writes), (WaitReason::ForeignTest, 0));
    state(&mut world, "Complete");
    world.inform(&DONE);
    world.session();
    waits(&world);
    assert_eq!(world.device.writes, 1);

    let mut device = pinger();
    device.parameters.insert(format!("{PING}DiagnosticsState"), ("Requested".to_owned(), XsdType::String));
    let mut world = started(device, ping());
    let begin = world.now;
    while world.device.writes == 0 {
        timer(&mut world);
        assert!(world.sessions < 30, "never");
    }
    assert!(world.now.since(begin) >= Duration::from_mins(15));
    waits(&world);
}

#[test]
fn an_unknown_start_is_looked_into() {
    // The call that starts the test is the fourth.
    for twist in [Twist::LostOnTheWay, Twist::KilledOnTheWay] {
        let mut world = started(pinger().at(3, twist.clone()), ping());
        assert!(matches!(world.transaction.progress.in_flight, Some(InFlight::StartTest { .. })), "{twist:?}");
        world.run();
        waits(&world);
        assert_eq!(world.device.writes, 1, "{twist:?}: it never arrived");
    }
    for twist in [Twist::AnswerLost, Twist::KilledAfter] {
        let mut world = started(pinger().at(3, twist.clone()), ping());
        world.run();
        waits(&world);
        assert_eq!(world.device.writes, 1, "{twist:?}: it runs");
        finish(&mut world);
        world.inform(&DONE);
        world.run().assert_completed();

        let mut world = started(pinger().at(3, twist.clone()), ping());
        finish(&mut world);
        world.inform(&DONE);
        world.run().assert_completed();
        assert_eq!(world.device.writes, 1, "{twist:?}: it has run");
    }
    for twist in [Twist::Silent, Twist::Ignored, Twist::Mismatch] {
        let mut world = started(pinger().at(3, twist.clone()), ping());
        world.run();
        waits(&world);
        assert_eq!(world.device.writes, 1, "{twist:?}");
    }
}

#[test]
fn a_session_that_breaks_while_results_are_read_costs_nothing() {
    for twist in [Twist::AnswerLost, Twist::KilledAfter, Twist::Fault(9002)] {
        for call in [5, 6] {
            let mut world = started(pinger().at(call, twist.clone()), ping());
            finish(&mut world);
            world.inform(&DONE);
            world.run().assert_completed();
            assert_eq!((world.device.writes, value(&world, ".SuccessCount").as_str()), (1, "4"), "{twist:?} {call}");
        }
    }
}

#[test]
fn large_tables_are_read_row_by_row() {
    let scan = "Device.WiFi.NeighboringWiFiDiagnostic.";
    let mut world = World::new(
        device_at(scan, &[("DiagnosticsState", "None")], &[("ResultNumberOfEntries", "0")]),
        work(order(DiagnosticKind::WifiNeighbor, "all")),
    );
    world.session();
    set(&mut world, &format!("{scan}DiagnosticsState"), "Complete");
    for row in 1..=20 {
        for (leaf, value) in [("SSID", "x"), ("Channel", "6"), ("SignalStrength", "-60")] {
            set(&mut world, &format!("{scan}Result.{row}.{leaf}"), value);
        }
    }
    world.device.values_max = Some(10);
    world.inform(&DONE);
    world.run().assert_completed();
    let ssids = world.results.iter().filter(|result| result.path.ends_with(".SSID")).count();
    assert_eq!(ssids, 20);
}

#[test]
fn a_vendor_s_scan_is_made_as_the_type_describes_it() {
    let scan = NeighborScan {
        state: parameter("InternetGatewayDevice.X_Scan.State"),
        start: "1".to_owned(),
        done: vec!["0".to_owned()],
        table: object("InternetGatewayDevice.X_Results.AP."),
        columns: vec![("SSID".to_owned(), "Name".to_owned())],
    };
    let device = Device::with(&[
        ("InternetGatewayDevice.X_Scan.State", "0", XsdType::Boolean),
        ("InternetGatewayDevice.X_Results.AP.1.Name", "old", XsdType::String),
    ]);
    let mut world = World::new(device, work(order(DiagnosticKind::WifiNeighbor, "all")));
    world.data_model = DataModel::InternetGatewayDevice;
    world.device_type.neighbor_scan = Some(scan.clone());
    world.session();
    waits(&world);
    assert_eq!(world.device.value("InternetGatewayDevice.X_Scan.State"), "1");
    set(&mut world, "InternetGatewayDevice.X_Scan.State", "0");
    set(&mut world, "InternetGatewayDevice.X_Results.AP.1.Name", "new");
    world.inform(&DONE);
    world.run().assert_completed();
    assert_eq!(value(&world, "AP.1.Name"), "new");
    let kept = world.transaction.progress.stage.as_deref();
    assert!(matches!(kept, Some(Stage::Test(test)) if test.scan.as_deref() == Some(&scan)), "{kept:?}");
}

#[test]
fn values_that_do_not_fit_the_device_are_not_sent() {
    let upload = "InternetGatewayDevice.UploadDiagnostics.";
    let device = device_at(upload, &[("DiagnosticsState", "None"), ("UploadURL", "")], &[("TestFileLength", "0")]);
    let order = DiagnosticOrder {
        upload_size: Some(crate::model::diagnostic::UploadSize::Number(8192)),
        ..order(DiagnosticKind::Upload, "http://h/")
    };
    let mut world = World::new(device, work(order));
    world.data_model = DataModel::InternetGatewayDevice;
    world.session();
    assert!(world.fault().message.contains("TestFileLength"), "{:?}", world.fault());
    assert_eq!(world.device.writes, 0);
}

fn trouble() -> impl Strategy<Value = Twist> {
    prop_oneof![
        Just(Twist::LostOnTheWay),
        Just(Twist::AnswerLost),
        Just(Twist::KilledOnTheWay),
        Just(Twist::KilledAfter),
        prop::sample::select(vec![9001, 9002, 9003, 9004, 9007, 9008]).prop_map(Twist::Fault),
        Just(Twist::Mismatch),
        Just(Twist::Ignored),
        Just(Twist::Silent),
        Just(Twist::Later),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1000), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever goes wrong: the test ends, and what is told is what the device measured for it.
    #[test]
    fn every_test_ends_truthfully(
        script in hash_map(0_usize..20, trouble(), 0..8),
        same_before in any::<bool>(),
        reports in any::<bool>(),
        word in prop::sample::select(vec!["Complete", "completed", "Error_Foo", "Finished"]),
        word_before in prop::sample::select(vec!["Complete", "Requested", "InProgress", "Finished"]),
        inform_interval in prop::sample::select(vec![30, 3600]),
    ) {
        let mut device = pinger();
        device.script = script;
        let before = [("DiagnosticsState", word_before), ("SuccessCount", STALE)];
        for (leaf, value) in before.iter().chain(SAME.iter().filter(|_| same_before)) {
            if let Some((present, _)) = device.parameters.get_mut(&format!("{PING}{leaf}")) {
                (*value).clone_into(present);
            }
        }
        let mut world = World::new(device, ping());
        world.inform_interval = Duration::from_secs(inform_interval);
        see_through_to(&mut world, reports, word);
        prop_assert!(world.transaction.status.is_final(), "{:?}", world.transaction);
        if world.transaction.status == TransactionStatus::Completed {
            prop_assert_eq!(value(&world, ".SuccessCount"), "4");
            prop_assert!(world.device.writes > 0 && word.eq_ignore_ascii_case(&value(&world, ".DiagnosticsState")));
        }
    }
}
