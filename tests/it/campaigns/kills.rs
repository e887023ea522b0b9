//! The loop is cut off wherever it is, again and again: no device is left out, none has two turns.

use acsd::campaigns::Command;
use acsd::model::campaign::member::Counts;
use acsd::model::campaign::{Campaign, CampaignState, Rollout, Rules};
use acsd::store::Store;
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::types::ident::DeviceKey;
use proptest::prelude::*;
use std::sync::Arc;

use super::world::{EVERY_TENTH_FAILS, NONE_FAILS, World, campaign, memory, rules, sled};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loop_that_is_cut_off_all_the_time_loses_and_repeats_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::over(sled(folder.path()).await, 600).await;
    let rules = Rules { concurrency: 40, retries: 1, ..rules() };
    let rollout = Rollout { canary: 7, steps: vec![20, 60, 100] };
    let id = world.start(Campaign { rules, rollout, ..campaign() }).await;
    let mut kills = 0_u32;
    let until = tokio::time::Instant::now() + crate::support::PATIENCE * 3;
    while world.state(id) != CampaignState::Completed {
        // At a place that is another one each time: behind the next few transactions, in the midst of others.
        let goal = world.scheduled().await + fastrand::u64(1..60);
        while world.scheduled().await < goal && world.state(id) != CampaignState::Completed {
            world.serve(fastrand::usize(0..30), EVERY_TENTH_FAILS).await;
            tokio::task::yield_now().await;
        }
        world = world.crash(folder.path()).await;
        kills += 1;
        assert!(tokio::time::Instant::now() < until, "{kills} kills, {:?}", world.counts(id).await);
    }
    assert_eq!(world.counts(id).await, Counts { total: 600, succeeded: 540, failed: 60, ..Counts::default() });
    assert!(kills > 5, "{kills} kills");
    let ledger = world.ledger(id).await;
    for (device, all) in &ledger {
        let wanted = if device.0 % 10 == 0 { 2 } else { 1 };
        assert_eq!(all.len(), wanted, "device {device} after {kills} kills: {all:#?}");
    }
    assert_eq!(ledger.len(), 600);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_opened_anew_in_the_midst_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::over(sled(folder.path()).await, 200).await;
    let rules = Rules { stop_after_failures: Some(8), concurrency: 30, ..rules() };
    let id = world.start(Campaign { rules, ..campaign() }).await;
    let mut rounds = 0;
    while world.state(id) != CampaignState::Completed {
        world.serve(25, EVERY_TENTH_FAILS).await;
        world.finish().await;
        world = World::over(sled(folder.path()).await, 0).await;
        if world.state(id) == CampaignState::Stopped {
            world.command(id, Command::Resume).await;
        }
        // The loop gets its time.
        world.until(id, |counts| counts.running > 0 || world.state(id) != CampaignState::Running).await;
        rounds += 1;
        assert!(rounds < 200, "{:?}", world.counts(id).await);
    }
    assert_eq!(world.counts(id).await, Counts { total: 200, succeeded: 180, failed: 20, ..Counts::default() });
    assert_eq!(world.done_at_most(id, 1).await, 200);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_was_marked_and_not_given_is_given_once() {
    let mut world = World::over(memory(), 3).await;
    let id = world.start(campaign()).await;
    world.until(id, |counts| counts.running == 3).await;
    // As if it had been cut off before the transactions were noted: one has begun, one has ended, one was never scheduled.
    let mut claimed = world.claimed(3).await;
    claimed.sort_by_key(|one| one.device);
    world.command(id, Command::Pause).await;
    world.until(id, |_| !world.record(id).course.withdrawing).await;
    let keys = [DeviceKey(1), DeviceKey(2), DeviceKey(3)];
    let mut rows = world.store.members(id, &keys).await.expect("rows");
    for row in &mut rows {
        row.standing = acsd::model::campaign::member::Standing::Starting;
        row.transaction = None;
    }
    world.settle(claimed.remove(1), EVERY_TENTH_FAILS).await;
    world.until(id, |counts| counts.succeeded == 1).await;
    let marked: Vec<_> = keys.into_iter().zip(rows).collect();
    world.store.put_members(id, &marked).await.expect("put");
    world.kill().await;
    world.command(id, Command::Resume).await;
    world.until(id, |counts| counts.succeeded == 1 && counts.running == 2).await;
    for one in claimed {
        world.settle(one, NONE_FAILS).await;
    }
    world.quiet(id, CampaignState::Completed).await;
    assert!(world.ledger(id).await.values().all(|all| all.len() == 1));
    world.finish().await;
}

/// Something that happens to a campaign.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Serve(usize),
    Claim(usize),
    Kill,
    Hiccup(u32),
    Pause,
    Resume,
    Pass(i64),
    Yield(u8),
    Remove(u32),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (1_usize..12).prop_map(Happening::Serve),
        1 => (1_usize..4).prop_map(Happening::Claim),
        3 => Just(Happening::Kill),
        2 => (1_u32..6).prop_map(Happening::Hiccup),
        1 => Just(Happening::Pause),
        2 => Just(Happening::Resume),
        2 => (1_i64..400).prop_map(Happening::Pass),
        4 => (1_u8..30).prop_map(Happening::Yield),
        1 => (1_u32..30).prop_map(Happening::Remove),
    ]
}

async fn play(happenings: Vec<Happening>) {
    let memory = Arc::new(MemoryStore::new(MemoryConfig::default()));
    let store: Arc<dyn Store> = memory.clone();
    let mut world = World::over(store, 30).await;
    let rules = Rules { concurrency: 6, device_timeout_secs: 1_000_000, ..rules() };
    let rollout = Rollout { canary: 2, steps: vec![40, 100] };
    let id = world.start(Campaign { rules, rollout, ..campaign() }).await;
    let mut held = Vec::new();
    let mut removed = 0;
    for happening in happenings {
        match happening {
            Happening::Serve(max) => {
                memory.hiccup(0);
                world.serve(max, EVERY_TENTH_FAILS).await;
            }
            Happening::Claim(max) => held.extend(world.claim(max).await),
            Happening::Kill => world.kill().await,
            Happening::Hiccup(writes) => memory.hiccup(writes),
            Happening::Pause => drop(world.campaigns.command(id, Command::Pause, "p").await),
            Happening::Resume => drop(world.campaigns.command(id, Command::Resume, "p").await),
            Happening::Pass(secs) => world.pass(secs),
            Happening::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            Happening::Remove(key)
                if held.iter().all(|one: &acsd::model::transaction::Transaction| one.device.0 != key) =>
            {
                removed += u32::from(world.store.remove(DeviceKey(key)).await.expect("asked"));
            }
            Happening::Remove(_) => {}
        }
    }
    memory.hiccup(0);
    for one in held {
        world.settle(one, EVERY_TENTH_FAILS).await;
    }
    drop(world.campaigns.command(id, Command::Resume, "p").await);
    let mut rounds = 0;
    while world.state(id) != CampaignState::Completed {
        if world.serve(1_000, EVERY_TENTH_FAILS).await == 0 {
            // The store's failures are forgotten after a while, and removed devices are found.
            world.pass(6);
            tokio::task::yield_now().await;
        }
        rounds += 1;
        assert!(rounds < 100_000, "{:?} {:?}", world.counts(id).await, world.record(id));
    }
    let counts = world.counts(id).await;
    assert_eq!((counts.pending, counts.running), (0, 0));
    assert!(counts.total <= 30 && counts.total >= 30 - removed, "{counts:?}");
    assert!(
        counts.skipped <= removed && counts.succeeded + counts.failed + counts.skipped == counts.total,
        "{counts:?}"
    );
    world.done_at_most(id, 1).await;
    world.finish().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_every_device_has_one_turn(happenings in prop::collection::vec(happening(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(play(happenings));
    }
}
