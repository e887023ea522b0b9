//! The course of a campaign: stop, resume, pause, cancel, retry; who is left out; steps and slots.

use acsd::campaigns::{Command, CommandError};
use acsd::model::campaign::member::{Counts, MemberStatus};
use acsd::model::campaign::{Campaign, CampaignState, Rollout, Rules, Selection};
use acsd::model::device::OrganizationId;
use acsd::model::event::{EventData, EventKind, EventKinds};
use acsd::store::Page;
use acsd::store::events::EventFilter;
use acsd::types::ident::{DeviceKey, SerialNumber};

use super::world::{EVERY_TENTH_FAILS, NONE_FAILS, World, campaign, memory, rules, sled};

/// A thousand devices of which a hundred fail: it stops each time 25 more have, goes on when told to, and comes to its end.
async fn a_thousand(world: World) {
    let id = world.start(Campaign { rules: Rules { stop_after_failures: Some(25), ..rules() }, ..campaign() }).await;
    let mut stops = 0;
    loop {
        let until = tokio::time::Instant::now() + crate::support::PATIENCE * 3;
        while world.state(id) == CampaignState::Running {
            assert!(world.store.figures(acsd::types::time::Timestamp(0)).queue_depth <= 50, "50 at the same time");
            if world.serve(20, EVERY_TENTH_FAILS).await == 0 {
                tokio::task::yield_now().await;
            }
            assert!(tokio::time::Instant::now() < until, "{:?}", world.counts(id).await);
        }
        if world.state(id) == CampaignState::Completed {
            break;
        }
        let counts = world.quiet(id, CampaignState::Stopped).await;
        stops += 1;
        assert_eq!(
            world.record(id).course.reason.as_deref(),
            Some("25 devices have failed: stop_after_failures is 25")
        );
        assert!(counts.failed >= 25 * stops && counts.failed <= 25 * stops + 20, "{counts:?} at stop {stops}");
        assert_eq!(counts.pending + counts.succeeded + counts.failed, 1_000);
        assert_eq!(world.serve(1_000, NONE_FAILS).await, 0, "what had not begun is withdrawn");
        world.command(id, Command::Resume).await;
    }
    assert!((3..=4).contains(&stops), "{stops} stops");
    let counts = world.counts(id).await;
    assert_eq!(counts, Counts { total: 1_000, succeeded: 900, failed: 100, ..Counts::default() });
    assert_eq!(world.done_at_most(id, 1).await, 1_000);
    for row in world.rows(id, Some(MemberStatus::Failed)).await {
        assert_eq!((row.device.0 % 10, row.member.attempts), (0, 1));
        assert_eq!(row.member.message.as_deref(), Some("Internal error (fault 9002)"));
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_devices_in_memory() {
    a_thousand(World::over(memory(), 1_000).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_devices_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    a_thousand(World::over(sled(folder.path()).await, 1_000).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_come_one_after_the_other_behind_the_canary() {
    let world = World::over(memory(), 100).await;
    let rollout = Rollout { canary: 3, steps: vec![10, 50, 100] };
    let id = world.start(Campaign { rollout, ..campaign() }).await;
    for (step, size, end) in [(0, 3, 3), (1, 7, 10), (2, 40, 50), (3, 50, 100)] {
        let counts = world.until(id, |counts| counts.running == size && counts.succeeded == end - size).await;
        assert_eq!(counts.pending, 100 - end);
        assert_eq!(world.record(id).course.step, step);
        // All but one, so that the step is not over.
        let mut claimed = world.claimed(usize::try_from(size).expect("few")).await;
        assert!(claimed.iter().all(|one| one.device.0 <= end && one.device.0 > end - size), "{step}");
        let last = claimed.pop().expect("one");
        for one in claimed {
            world.settle(one, NONE_FAILS).await;
        }
        world.until(id, |counts| counts.running == 1).await;
        assert_eq!(world.claim(1_000).await.len(), 0, "the next step waits for the last device of this one");
        world.settle(last, NONE_FAILS).await;
    }
    world.quiet(id, CampaignState::Completed).await;
    let steps: Vec<u32> = world.rows(id, None).await.iter().map(|row| row.step).collect();
    let wanted = [vec![0; 3], vec![1; 7], vec![2; 40], vec![3; 50]].concat();
    assert_eq!(steps, wanted);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_begins_after_its_pause() {
    let world = World::over(memory(), 10).await;
    let rollout = Rollout { canary: 2, steps: vec![100] };
    let id = world.start(Campaign { rollout, rules: Rules { step_pause_secs: 600, ..rules() }, ..campaign() }).await;
    world.live(2).await;
    world.serve(10, NONE_FAILS).await;
    world.until(id, |_| world.record(id).course.step == 1).await;
    world.pass(599);
    let counts = world.counts(id).await;
    assert_eq!((counts.running, counts.pending), (0, 8));
    let words = world.campaigns.waiting_for(&world.record(id), &counts).expect("it waits");
    assert!(words.contains("pause between two steps"), "{words}");
    world.pass(1);
    world.until(id, |counts| counts.running == 8).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_that_fails_stops_all() {
    let world = World::over(memory(), 100).await;
    let rollout = Rollout { canary: 2, steps: vec![100] };
    let rules = Rules { stop_failure_share: Some(50), ..rules() };
    let id = world.start(Campaign { rollout, rules, ..campaign() }).await;
    world.serve_until(id, CampaignState::Stopped, |key| key.0 == 2).await;
    let counts = world.quiet(id, CampaignState::Stopped).await;
    assert_eq!((counts.succeeded, counts.failed, counts.pending), (1, 1, 98));
    let reason = world.record(id).course.reason.clone().expect("a reason");
    assert_eq!(reason, "1 of 2 finished devices have failed: stop_failure_share is 50 %");
    world.command(id, Command::Resume).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_withdraws_what_has_not_begun_and_lets_the_rest_finish() {
    let world = World::over(memory(), 100).await;
    let id = world.start(campaign()).await;
    world.until(id, |counts| counts.running == 50).await;
    let begun = world.claimed(5).await;
    world.command(id, Command::Pause).await;
    let counts = world.until(id, |counts| counts.running == 5).await;
    assert_eq!(counts.pending, 95);
    assert_eq!(world.claim(1_000).await.len(), 0);
    for one in begun {
        world.settle(one, EVERY_TENTH_FAILS).await;
    }
    let counts = world.quiet(id, CampaignState::Paused).await;
    assert_eq!((counts.succeeded + counts.failed, counts.pending), (5, 95));
    world.command(id, Command::Resume).await;
    world.serve_until(id, CampaignState::Completed, EVERY_TENTH_FAILS).await;
    let counts = world.counts(id).await;
    assert_eq!((counts.succeeded, counts.failed), (90, 10));
    assert_eq!(world.done_at_most(id, 1).await, 100);
    assert!(world.rows(id, None).await.iter().all(|row| row.member.attempts == 1), "a withdrawn turn is no try");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canceled_campaign_ends_when_its_devices_have() {
    let world = World::over(memory(), 100).await;
    let id = world.start(campaign()).await;
    world.until(id, |counts| counts.running == 50).await;
    let begun = world.claimed(3).await;
    world.command(id, Command::Cancel).await;
    world.until(id, |counts| counts.running == 3).await;
    assert_eq!(world.record(id).course.closed, None, "devices are at it still");
    for one in begun {
        world.settle(one, NONE_FAILS).await;
    }
    world.until(id, |_| world.record(id).course.closed.is_some()).await;
    let counts = world.counts(id).await;
    assert_eq!(counts, Counts { total: 100, pending: 97, succeeded: 3, ..Counts::default() });
    for command in [Command::Start, Command::Pause, Command::Resume, Command::Cancel, Command::Retry] {
        let refused = world.campaigns.command(id, command, "tester").await.expect_err("it has ended");
        assert!(matches!(refused, CommandError::Unsuited { .. }), "{refused:?}");
    }
    assert_eq!(world.rows(id, Some(MemberStatus::Succeeded)).await.len(), 3);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_devices_are_tried_again_by_themselves_and_when_told_to() {
    let world = World::over(memory(), 40).await;
    let id = world.start(Campaign { rules: Rules { retries: 2, ..rules() }, ..campaign() }).await;
    world.serve_until(id, CampaignState::Completed, EVERY_TENTH_FAILS).await;
    assert_eq!(world.counts(id).await, Counts { total: 40, succeeded: 36, failed: 4, ..Counts::default() });
    for row in world.rows(id, None).await {
        assert_eq!(row.member.attempts, if row.device.0 % 10 == 0 { 3 } else { 1 }, "{row:?}");
    }
    world.command(id, Command::Retry).await;
    world.serve_until(id, CampaignState::Completed, |key| key.0 == 20).await;
    assert_eq!(world.counts(id).await, Counts { total: 40, succeeded: 39, failed: 1, ..Counts::default() });
    let row = world.rows(id, Some(MemberStatus::Failed)).await.remove(0);
    assert_eq!((row.device, row.member.attempts), (DeviceKey(20), 6));
    world.command(id, Command::Retry).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    let refused = world.campaigns.command(id, Command::Retry, "tester").await.expect_err("nothing to try");
    assert!(matches!(refused, CommandError::NothingFailed), "{refused:?}");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_cannot_take_part_are_left_out_with_words() {
    let world = World::over(memory(), 20).await;
    let edit =
        |organization| Box::new(move |profile: &mut acsd::model::device::Profile| profile.organization = organization);
    let theirs = OrganizationId(7);
    for key in 1..=10 {
        world.store.edit_profile(DeviceKey(key), edit(theirs)).await.expect("edited");
    }
    let rules = Rules { concurrency: 1, ..rules() };
    let organizations = Some(vec![theirs]);
    let id = world.start(Campaign { organizations, rules, ..campaign() }).await;
    world.until(id, |counts| counts.running == 1).await;
    assert_eq!(world.counts(id).await.total, 10, "only devices of its organizations");
    world.store.remove(DeviceKey(2)).await.expect("removed");
    let inactive = |profile: &mut acsd::model::device::Profile| profile.is_active = false;
    world.store.edit_profile(DeviceKey(3), Box::new(inactive)).await.expect("edited");
    world.store.edit_profile(DeviceKey(4), edit(OrganizationId(1))).await.expect("edited");
    // The one that is at it now is removed, too: nothing ends, so nobody tells.
    world.store.remove(DeviceKey(1)).await.expect("removed");
    world.pass(6);
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    let skipped = world.rows(id, Some(MemberStatus::Skipped)).await;
    let words: Vec<_> =
        skipped.iter().map(|row| (row.device.0, row.member.message.as_deref().unwrap_or_default())).collect();
    assert_eq!(
        words,
        [
            (1, "the device was removed"),
            (2, "the device was removed"),
            (3, "the device is inactive"),
            (4, "the device belongs to another organization now"),
        ]
    );
    assert_eq!(skipped[0].serial_number, SerialNumber::try_from("C-0001").ok(), "known from its turn");
    assert_eq!(skipped[1].serial_number, None);
    assert_eq!(world.counts(id).await.succeeded, 6);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_means_what_the_device_list_shows() {
    let world = World::over(memory(), 20).await;
    let serial = |text: &str| SerialNumber::try_from(text).expect("valid");
    let table = [
        (Selection::default(), 20),
        (Selection { search: "c-001".to_owned(), ..Selection::default() }, 10),
        (
            Selection {
                serial_numbers: Some(vec![serial("C-0001"), serial("C-0002"), serial("none")]),
                ..Selection::default()
            },
            2,
        ),
        (
            Selection {
                serial_numbers: Some(vec![serial("C-0001"), serial("C-0011")]),
                search: "c-001".to_owned(),
                ..Selection::default()
            },
            1,
        ),
        (Selection { tags: vec!["lab".to_owned()], ..Selection::default() }, 0),
    ];
    for (selection, total) in table {
        let id = world.add(Campaign { selection: selection.clone(), ..campaign() }).await;
        assert_eq!(world.counts(id).await.total, total, "{selection:?} as a draft");
        world.command(id, Command::Start).await;
        world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
        assert_eq!(world.counts(id).await.succeeded, total, "{selection:?}");
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_change_of_state_leaves_an_event() {
    let world = World::over(memory(), 20).await;
    let rules = Rules { stop_after_failures: Some(1), ..rules() };
    let id = world.start(Campaign { rules, ..campaign() }).await;
    world.command(id, Command::Pause).await;
    world.command(id, Command::Resume).await;
    world.serve_until(id, CampaignState::Stopped, EVERY_TENTH_FAILS).await;
    world.quiet(id, CampaignState::Stopped).await;
    world.command(id, Command::Resume).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    let filter = EventFilter { kinds: EventKinds::from_iter([EventKind::Campaign]), ..EventFilter::default() };
    let events = world.store.events(&filter, Page { offset: 0, limit: 100 }).await.expect("listed").items;
    let told: Vec<(String, bool)> = events
        .iter()
        .rev()
        .map(|event| match &event.entry.data {
            EventData::Campaign { id: of, state, reason, .. } if *of == id.0 => (state.to_string(), reason.is_some()),
            other => panic!("{other:?}"),
        })
        .collect();
    let wanted = [
        ("running", false),
        ("paused", false),
        ("running", false),
        ("stopped", true),
        ("running", false),
        ("completed", false),
    ];
    assert_eq!(told, wanted.map(|(state, has_reason)| (state.to_owned(), has_reason)));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_campaign_for_nobody_completes_and_one_that_is_forgotten_leaves_nothing() {
    let world = World::over(memory(), 0).await;
    let id = world.start(campaign()).await;
    world.quiet(id, CampaignState::Completed).await;
    assert!(world.campaigns.forget(id).await.expect("forgotten"));
    assert_eq!(world.store.campaigns_with_members().await.expect("read"), []);
    assert!(!world.campaigns.forget(id).await.expect("nothing there"));
    world.finish().await;
}
