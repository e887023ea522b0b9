//! When devices may begin, and how long they are waited for.

use acsd::model::campaign::member::MemberStatus;
use acsd::model::campaign::window::Window;
use acsd::model::campaign::{Campaign, CampaignState, Rules};

use super::world::{NONE_FAILS, World, campaign, memory, rules};

/// 14:00 to 16:00 in Berlin, in January: from 13:00 to 15:00 UTC, an hour behind the noon at which the tests begin.
fn afternoon() -> Window {
    Window { days: [true; 7], from: 14 * 60, to: 16 * 60, time_zone: "Europe/Berlin".to_owned() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_begin_only_while_the_window_is_open() {
    let world = World::over(memory(), 4).await;
    let rules = Rules { window: Some(afternoon()), concurrency: 2, device_timeout_secs: 100_000, ..rules() };
    let id = world.start(Campaign { rules, ..campaign() }).await;
    world.until(id, |counts| counts.total == 4).await;
    world.pass(3_599);
    let counts = world.counts(id).await;
    assert_eq!(counts.pending, 4);
    let words = world.campaigns.waiting_for(&world.record(id), &counts);
    assert_eq!(words.as_deref(), Some("the maintenance window, which opens at 2026-01-14T13:00:00Z"));
    world.pass(1);
    world.until(id, |counts| counts.running == 2).await;
    world.live(2).await;
    let begun = world.claimed(1).await.remove(0);
    let waits = if begun.device.0 == 1 { 2 } else { 1 };
    // The one that has begun may finish outside; the other one may not begin any more.
    world.pass(7_200);
    assert_eq!(world.claim(10).await.len(), 0, "it has not called in before the window closed");
    let expired = world.store.expire(acsd::types::time::Clock::now(&*world.clock), 10).await.expect("looked at");
    assert_eq!(expired.iter().map(|one| one.device.0).collect::<Vec<_>>(), [waits]);
    world.pass(6);
    let counts = world.until(id, |counts| counts.running == 1).await;
    assert_eq!((counts.pending, counts.failed), (3, 0));
    world.settle(begun, NONE_FAILS).await;
    world.until(id, |counts| counts.succeeded == 1).await;
    assert_eq!(world.counts(id).await.pending, 3);
    // The next day.
    world.pass(22 * 3_600);
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    assert_eq!(world.counts(id).await.succeeded, 4);
    assert_eq!(world.done_at_most(id, 1).await, 4);
    assert!(world.rows(id, None).await.iter().all(|row| row.member.attempts == 1));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_never_calls_in_has_failed_and_its_work_is_withdrawn() {
    let world = World::over(memory(), 2).await;
    let id = world.start(Campaign { rules: Rules { device_timeout_secs: 600, ..rules() }, ..campaign() }).await;
    world.until(id, |counts| counts.running == 2).await;
    world.live(2).await;
    let quick = world.claimed(1).await.remove(0);
    world.pass(600);
    world.store.expire(acsd::types::time::Clock::now(&*world.clock), 10).await.expect("looked at");
    world.pass(6);
    let counts = world.until(id, |counts| counts.failed == 1).await;
    assert_eq!(counts.running, 1, "the one that has begun is waited for");
    world.settle(quick, NONE_FAILS).await;
    world.quiet(id, CampaignState::Completed).await;
    let failed = world.rows(id, Some(MemberStatus::Failed)).await.remove(0);
    assert_eq!(failed.member.message.as_deref(), Some("unreachable: it has not called in within 600 s"));
    assert_eq!(world.claim(10).await.len(), 0);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_outside_the_window_does_not_count_as_silence() {
    let world = World::over(memory(), 1).await;
    // An hour and a half of patience, with windows of an hour.
    let window = Window { to: 15 * 60, ..afternoon() };
    let rules = Rules { window: Some(window), device_timeout_secs: 5_400, ..rules() };
    let id = world.start(Campaign { rules, ..campaign() }).await;
    world.until(id, |counts| counts.total == 1).await;
    world.pass(3_600);
    world.until(id, |counts| counts.running == 1).await;
    for (wait, failed) in [(3_600, 0), (1_800, 1)] {
        world.live(1).await;
        world.pass(wait);
        world.store.expire(acsd::types::time::Clock::now(&*world.clock), 10).await.expect("looked at");
        world.pass(6);
        let counts = world.until(id, |counts| counts.running == 0).await;
        assert_eq!(counts.failed, failed);
        if failed == 0 {
            world.pass(23 * 3_600 - 6);
            world.until(id, |counts| counts.running == 1).await;
        }
    }
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_devices_make_room_and_count_again_when_they_begin() {
    let world = World::over(memory(), 30).await;
    let id = world.start(Campaign { rules: Rules { concurrency: 5, ..rules() }, ..campaign() }).await;
    world.until(id, |counts| counts.running == 5).await;
    world.live(5).await;
    // A dead street: nobody calls in within the five minutes that a slot is held.
    world.pass(301);
    let counts = world.until(id, |counts| counts.running == 10).await;
    assert_eq!((counts.failed, counts.pending), (0, 20));
    // The street is back: its devices take slots, and nobody else begins.
    let begun = world.claimed(10).await;
    world.pass(6);
    world.pass(301);
    assert_eq!(world.counts(id).await.running, 10);
    for one in begun {
        world.settle(one, NONE_FAILS).await;
    }
    world.until(id, |counts| counts.running == 5).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    assert_eq!(world.counts(id).await.succeeded, 30);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_counts_from_ten_finished_devices_on() {
    let world = World::over(memory(), 100).await;
    let rules = Rules { stop_failure_share: Some(30), concurrency: 1, ..rules() };
    let id = world.start(Campaign { rules, ..campaign() }).await;
    world.serve_until(id, CampaignState::Stopped, |key| key.0 <= 5).await;
    let counts = world.quiet(id, CampaignState::Stopped).await;
    assert_eq!((counts.failed, counts.succeeded), (5, 5), "at the tenth device");
    world.finish().await;
}
