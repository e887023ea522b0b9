//! Upgrades by campaigns: within their window and their patience, and by nobody else.

use acsd::campaigns::Command;
use acsd::devices::edit::Editor;
use acsd::devices::keeper::upkeep::{Occasion, Tended, Upkeep, Wake};
use acsd::model::campaign::member::MemberStatus;
use acsd::model::campaign::window::Window;
use acsd::model::campaign::{Campaign, CampaignId, CampaignOperation, CampaignState, Rules};
use acsd::model::device::{PendingSetting, Profile, Setting};
use acsd::model::file::ImageId;
use acsd::model::transaction::{Kind, TransactionStatus};
use acsd::types::ident::DeviceKey;
use acsd::types::time::Clock;

use super::world::{NONE_FAILS, World, campaign, memory, rules, sled};

const DEVICE: DeviceKey = DeviceKey(1);

/// 13:00 to 15:00, an hour behind the noon at which the tests begin.
fn afternoon() -> Window {
    Window { days: [true; 7], from: 13 * 60, to: 15 * 60, time_zone: "UTC".to_owned() }
}

fn upgrade(image: ImageId, rules: Rules) -> Campaign {
    Campaign { operation: CampaignOperation::Firmware(image), rules, ..campaign() }
}

/// The device calls in: acsd looks whether it has something for it.
async fn inform(world: &World) -> Tended {
    let device = world.store.device(DEVICE).await.expect("read").expect("there");
    let upkeep = Upkeep { store: &*world.store, queue: &world.queue };
    upkeep.tend(&device, Occasion::Boot, Wake::IsHere, world.clock.now()).await.expect("looked at")
}

/// The turn of the device is cut off when its record is written and nothing is scheduled yet.
async fn cut_off(world: &World, image: ImageId, campaign: CampaignId) {
    let at = world.clock.now();
    let edit = move |profile: &mut Profile| {
        profile.firmware_image = Some(image);
        let entry = PendingSetting::uncarried(Setting::FirmwareUpgrade, at);
        profile.pending.push(PendingSetting { campaign: Some(campaign), ..entry });
    };
    world.store.edit_profile(DEVICE, Box::new(edit)).await.expect("written").expect("there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_that_calls_when_the_window_has_closed_is_not_upgraded() {
    let world = World::over(memory(), 1).await;
    let rules = Rules { window: Some(afternoon()), device_timeout_secs: 100_000, ..rules() };
    let id = world.start(upgrade(world.image().await, rules)).await;
    world.until(id, |counts| counts.total == 1).await;
    world.pass(3_600);
    world.live(1).await;
    world.pass(7_200);
    assert_eq!(world.claim(10).await.len(), 0, "the window has closed");
    world.tended(0).await;
    let pending = world.pending(DEVICE).await.expect("still wanted");
    assert_eq!(pending.failed.as_deref(), Some("it was not started in time"));
    inform(&world).await;
    assert_eq!(world.claim(10).await.len(), 0, "nobody else brings it");
    world.until(id, |counts| counts.running == 0).await;
    // The next day.
    world.pass(22 * 3_600);
    world.live(1).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    assert_eq!(world.counts(id).await.succeeded, 1);
    assert_eq!(world.done_at_most(id, 1).await, 1);
    assert_eq!(world.pending(DEVICE).await, None);
    world.finish().await;
}

/// Devices end their upgrade before its order has come to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn devices_that_are_quick_have_had_their_turn() {
    const DEVICES: u32 = 200;
    let world = World::over(memory(), DEVICES).await;
    let id = world.start(upgrade(world.image().await, rules())).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    let counts = world.counts(id).await;
    assert_eq!((counts.succeeded, counts.skipped), (DEVICES, 0));
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_device_fails_when_the_patience_is_over() {
    let world = World::over(memory(), 1).await;
    let rules = Rules { device_timeout_secs: 600, ..rules() };
    let id = world.start(upgrade(world.image().await, rules)).await;
    world.live(1).await;
    world.until(id, |counts| counts.running == 1).await;
    world.pass(600);
    world.tended(0).await;
    world.quiet(id, CampaignState::Completed).await;
    let failed = world.rows(id, Some(MemberStatus::Failed)).await.remove(0);
    assert_eq!(failed.member.message.as_deref(), Some("unreachable: it has not called in within 600 s"));
    assert_eq!(world.ledger(id).await[&DEVICE][0].status, TransactionStatus::Expired);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_that_is_cut_off_is_given_by_the_campaign_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::over(sled(folder.path()).await, 1).await;
    let image = world.image().await;
    let rules = Rules { window: Some(afternoon()), device_timeout_secs: 100_000, ..rules() };
    let id = world.start(upgrade(image, rules)).await;
    world.until(id, |counts| counts.total == 1).await;
    cut_off(&world, image, id).await;
    let world = world.crash(folder.path()).await;
    assert!(world.pending(DEVICE).await.is_some(), "the record was written");
    for _ in 0..2 {
        assert_eq!(inform(&world).await, Tended::Nothing, "it is the campaign's, whose window is closed");
    }
    assert_eq!(world.scheduled().await, 0);
    world.pass(3_600);
    world.live(1).await;
    inform(&world).await;
    world.serve_until(id, CampaignState::Completed, NONE_FAILS).await;
    assert_eq!(world.done_at_most(id, 1).await, 1);
    assert_eq!(world.scheduled().await, 1, "it was brought once");
    assert_eq!(world.pending(DEVICE).await, None);
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_campaign_has_left_behind_is_said_to_have_failed() {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::over(sled(folder.path()).await, 1).await;
    let image = world.image().await;
    let id = world.start(upgrade(image, Rules { window: Some(afternoon()), ..rules() })).await;
    world.until(id, |counts| counts.total == 1).await;
    cut_off(&world, image, id).await;
    world.command(id, Command::Cancel).await;
    world.until(id, |_| world.record(id).course.closed.is_some()).await;
    inform(&world).await;
    let failed = world.pending(DEVICE).await.and_then(|PendingSetting { failed, .. }| failed);
    assert_eq!(failed.as_deref(), Some("its campaign ended before it was ordered"));
    assert_eq!(world.scheduled().await, 0);
    // An operator may ask for it all the same.
    let device = world.store.device(DEVICE).await.expect("read").expect("there");
    let editor = Editor {
        store: &*world.store,
        queue: &world.queue,
        presence: &world.tools.presence,
        sealer: &world.tools.sealer,
        clock: &*world.clock,
        work_expires_after: None,
    };
    let ordered = editor.upgrade(&device, image, "operator", None).await.expect("ordered").expect("scheduled");
    assert_eq!((ordered.kind, ordered.expires_at), (Kind::Firmware, None));
    world.finish().await;
}
