//! Transfers among whatever may happen to them.

use proptest::prelude::*;

use super::*;

/// What happens to a device that makes a transfer, between sessions.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// It installs the image, restarts, and reports.
    Installs,
    /// As before, but it says nothing of the transfer.
    InstallsSilently,
    /// It reports that it has fetched the image, and restarts later.
    ReportsThenInstalls,
    /// It reports a fault.
    Fails(u16),
    /// It reports success, and stays as it is.
    Lies,
    /// It restarts.
    Restarts,
    /// It is reset, and forgets what it was to do.
    IsReset,
    /// It Informs, and nothing else.
    Informs,
    /// It says once more what it said last.
    RepeatsItself,
    /// Nothing is heard of it for as long as a transfer may take.
    IsSilent,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        Just(Happening::Installs),
        Just(Happening::InstallsSilently),
        Just(Happening::ReportsThenInstalls),
        prop::sample::select(vec![9010, 9015, 9016, 9018, 9800]).prop_map(Happening::Fails),
        Just(Happening::Lies),
        Just(Happening::Restarts),
        Just(Happening::IsReset),
        Just(Happening::Informs),
        Just(Happening::RepeatsItself),
        Just(Happening::IsSilent),
    ]
}

/// Lets it happen, if it can.
fn happen(world: &mut World, what: Happening, said: &mut Option<Request<'static>>) {
    world.now = world.now + Duration::from_mins(1);
    let has_order = !world.device.transfers.queue.is_empty();
    let mut report = |world: &mut World, fault| {
        let report = world.device.transfers.finish(fault);
        world.calls(&report);
        *said = Some(report);
    };
    match what {
        Happening::Installs if has_order => {
            boots(world, "2.0", &[BOOT, OVER]);
            report(world, 0);
        }
        Happening::InstallsSilently if has_order => {
            world.device.transfers.queue.clear();
            boots(world, "2.0", &[BOOT]);
        }
        Happening::ReportsThenInstalls if has_order => {
            world.inform(&[OVER]);
            report(world, 0);
            boots(world, "2.0", &[BOOT]);
        }
        Happening::Fails(code) if has_order => {
            world.inform(&[OVER]);
            report(world, code);
        }
        Happening::Lies if has_order => {
            world.inform(&[OVER]);
            report(world, 0);
        }
        Happening::Restarts => {
            let version = world.software_version.clone();
            boots(world, &version, &[BOOT]);
        }
        Happening::IsReset => {
            world.device.transfers.queue.clear();
            let version = world.software_version.clone();
            boots(world, &version, &[(EventCode::Bootstrap, ""), BOOT]);
        }
        Happening::RepeatsItself => {
            if let Some(said) = said {
                world.calls(said);
            }
        }
        Happening::IsSilent => {
            // Whatever it was doing, it has given up.
            world.device.transfers.queue.clear();
            world.run_out();
        }
        _ => world.inform(&[(EventCode::Periodic, "")]),
    }
}

fn twist() -> impl Strategy<Value = Twist> {
    prop_oneof![
        Just(Twist::LostOnTheWay),
        Just(Twist::AnswerLost),
        Just(Twist::KilledOnTheWay),
        Just(Twist::KilledAfter),
        prop::sample::select(vec![9001, 9002, 9010, 9012]).prop_map(Twist::Fault),
        Just(Twist::Mismatch),
        Just(Twist::Ignored),
        Just(Twist::Silent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(3000), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens in whatever order: an upgrade ends, what is said to be done is done, and no device is told twice
    /// while it is at it (the device itself sees to that).
    #[test]
    fn every_upgrade_ends_truthfully(
        script in prop::collection::hash_map(0_usize..12, twist(), 0..5),
        happenings in prop::collection::vec(happening(), 0..12),
        tells in prop::sample::select(vec![Tells::All, Tells::Some, Tells::Nothing, Tells::NoMethods]),
        in_a_window in any::<bool>(),
    ) {
        let mut device = Device { script, ..Device::default() };
        device.transfers.tells = tells;
        let work = if in_a_window { super::super::unanswered::scheduled() } else { firmware() };
        let mut world = world(device, work);
        world.methods = None;
        let mut happenings = happenings.into_iter();
        let mut said = None;
        let mut steps = 0;
        while !world.transaction.status.is_final() {
            steps += 1;
            prop_assert!(steps < 200, "never ends: {:?}", world.transaction);
            world.run();
            if !world.transaction.status.is_final() {
                happen(&mut world, happenings.next().unwrap_or(Happening::IsSilent), &mut said);
            }
        }
        let completed = world.transaction.status == TransactionStatus::Completed;
        if completed {
            prop_assert_eq!(&world.software_version, "2.0");
        } else {
            prop_assert!(!world.fault().message.is_empty());
        }
        prop_assert!(world.device.transfers.taken <= world.limits.attempts);
    }
}
