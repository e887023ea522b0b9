//! Members of campaigns: planned at once, rows of those that have had their turn.

use std::sync::Arc;

use acsd::model::campaign::CampaignId;
use acsd::model::campaign::member::{Member, Standing};
use acsd::store::Store;
use acsd::store::campaigns::MemberStore as _;
use acsd::types::ident::{DeviceKey, SerialNumber, TransactionId};

use super::support::{open_at, secs};

const ONE: CampaignId = CampaignId(1);
const OTHER: CampaignId = CampaignId(2);

fn keys(range: std::ops::RangeInclusive<u32>) -> Vec<DeviceKey> {
    range.map(DeviceKey).collect()
}

fn row(standing: Standing, transaction: u64) -> Member {
    Member {
        standing,
        serial_number: SerialNumber::try_from("S-1").ok(),
        transaction: Some(TransactionId(transaction)),
        attempts: 2,
        tries: 1,
        waited_ms: 5,
        started_at: Some(secs(1)),
        ended_at: None,
        message: Some("so".into()),
    }
}

pub(super) async fn members_are_planned_at_once(store: &Arc<dyn Store>) {
    assert_eq!(store.planned_members(ONE).await.expect("read"), None);
    // Every other one, so that the plan is large: it lies in several parts.
    let many: Vec<DeviceKey> = (1..=1_000_000).step_by(2).map(DeviceKey).collect();
    store.plan_members(ONE, &many).await.expect("planned");
    assert_eq!(store.planned_members(ONE).await.expect("read").as_deref(), Some(&*many));
    assert_eq!(store.standings(ONE).await.expect("read"), [], "no row yet");
    store.put_members(ONE, &[(DeviceKey(1), row(Standing::Failed, 7))]).await.expect("put");
    store.plan_members(ONE, &keys(5..=6)).await.expect("planned anew");
    assert_eq!(store.planned_members(ONE).await.expect("read"), Some(keys(5..=6)));
    assert_eq!(store.standings(ONE).await.expect("read"), [], "rows of the earlier plan are gone");
    store.plan_members(ONE, &[]).await.expect("planned for none");
    assert_eq!(store.planned_members(ONE).await.expect("read"), Some(Vec::new()));
}

pub(super) async fn rows_are_kept_and_found(store: &Arc<dyn Store>) {
    store.plan_members(ONE, &keys(1..=300)).await.expect("planned");
    let rows: Vec<_> = (1..=200).map(|key| (DeviceKey(key), row(Standing::Running, u64::from(key)))).collect();
    store.put_members(ONE, &rows).await.expect("put");
    store.put_members(ONE, &[(DeviceKey(3), row(Standing::Succeeded, 9))]).await.expect("put");
    let found = store.members(ONE, &[DeviceKey(3), DeviceKey(250), DeviceKey(2)]).await.expect("read");
    assert_eq!(found, [row(Standing::Succeeded, 9), Member::new(), row(Standing::Running, 2)]);
    assert_eq!(store.members(ONE, &keys(1..=300)).await.expect("read").len(), 300);
    let standings = store.standings(ONE).await.expect("read");
    assert_eq!(standings.len(), 200);
    assert!(standings.is_sorted_by_key(|(key, _)| *key));
    assert_eq!(standings[2], (DeviceKey(3), Standing::Succeeded));
}

pub(super) async fn campaigns_do_not_mix_and_go_whole(store: &Arc<dyn Store>) {
    let last = CampaignId(u32::MAX);
    for campaign in [ONE, OTHER, last] {
        store.plan_members(campaign, &keys(1..=9)).await.expect("planned");
        store.put_members(campaign, &[(DeviceKey(u32::MAX), row(Standing::Failed, 1))]).await.expect("put");
    }
    assert_eq!(store.campaigns_with_members().await.expect("read"), [ONE, OTHER, last]);
    store.clear_members(OTHER).await.expect("cleared");
    store.clear_members(OTHER).await.expect("nothing to clear");
    assert_eq!(store.campaigns_with_members().await.expect("read"), [ONE, last]);
    assert_eq!(store.planned_members(OTHER).await.expect("read"), None);
    assert_eq!(store.members(OTHER, &[DeviceKey(u32::MAX)]).await.expect("read"), [Member::new()]);
    assert_eq!(store.standings(ONE).await.expect("read"), [(DeviceKey(u32::MAX), Standing::Failed)]);
}

#[tokio::test]
async fn members_outlive_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open_at(folder.path()).await;
    let many: Vec<DeviceKey> = (1..=700_000).step_by(2).map(DeviceKey).collect();
    store.plan_members(ONE, &many).await.expect("planned");
    store.put_members(ONE, &[(DeviceKey(4), row(Standing::Starting, 3))]).await.expect("put");
    store.close().await.expect("closes");
    drop(store);
    let store = open_at(folder.path()).await;
    assert_eq!(store.planned_members(ONE).await.expect("read").as_deref(), Some(&*many));
    assert_eq!(store.members(ONE, &[DeviceKey(4)]).await.expect("read"), [row(Standing::Starting, 3)]);
    store.close().await.expect("closes");
}
