//! The ledger, where transactions wait for their device or for each other.

use std::sync::Arc;

use acsd::model::diagnostic::{DiagnosticKind, DiagnosticOrder};
use acsd::model::transaction::{Phase, Transaction, TransactionStatus, WaitReason, Work};
use acsd::store::{Merge, Page, Store, TransactionFilter};
use acsd::types::ident::DeviceKey;

use super::support::*;

fn test(kind: DiagnosticKind) -> Work {
    Work::Diagnose(Box::new(DiagnosticOrder {
        kind,
        target: "192.0.2.1".to_owned(),
        upload_size: None,
        count: None,
        size: None,
        timeout_secs: None,
        max_hops: None,
        interface: None,
    }))
}

async fn order(store: &Arc<dyn Store>, key: DeviceKey, kind: DiagnosticKind) -> Transaction {
    store.enqueue(key, work(test(kind)), Merge::Never, secs(1)).await.expect("accepted")
}

async fn claim(store: &Arc<dyn Store>, key: DeviceKey, at: i64) -> Option<Transaction> {
    let has_work = store.has_work(key, secs(at));
    let claimed = store.claim(key, &[], secs(at)).await.expect("reads");
    assert_eq!(has_work, claimed.is_some(), "has_work told the truth at {at}");
    claimed
}

fn waits(claimed: Transaction, until: i64) -> Transaction {
    Transaction { phase: Phase::Waiting { reason: WaitReason::Diagnostics, until: secs(until) }, ..claimed }
}

/// A device has one object for each kind of test.
pub(super) async fn one_test_of_a_kind_at_a_time(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let first = order(store, key, DiagnosticKind::IpPing).await;
    let second = order(store, key, DiagnosticKind::IpPing).await;
    let other = order(store, key, DiagnosticKind::DnsLookup).await;
    let claimed = claim(store, key, 2).await.expect("the first");
    assert_eq!(claimed.id, first.id);
    store.save(&waits(claimed.clone(), 100)).await.expect("saved");
    let claimed_other = claim(store, key, 2).await.expect("one of another kind");
    assert_eq!(claimed_other.id, other.id);
    store.save(&waits(claimed_other, 100)).await.expect("saved");
    assert!(claim(store, key, 3).await.is_none(), "the second one has to wait for the first");
    assert!(store.devices_with_work(secs(3), 10).is_empty(), "nor is its device called for that");
    let live = store.live(key).await.expect("reads");
    let held = live.iter().find(|one| one.id == second.id).and_then(|one| one.held_by(&live));
    assert_eq!(held.map(|one| one.id), Some(first.id));
    store.settle(&completed(&claimed, 5), &[]).await.expect("settled");
    assert_eq!(claim(store, key, 6).await.map(|one| one.id), Some(second.id));
}

/// To be taken up again after waiting is no new attempt, to be taken up after a broken session is one.
pub(super) async fn resumed_work_counts_no_attempt(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let ordered = order(store, key, DiagnosticKind::IpPing).await;
    let claimed = claim(store, key, 2).await.expect("runs");
    store.save(&waits(claimed, 100)).await.expect("saved");
    assert!(claim(store, key, 50).await.is_none());
    let resume = Box::new(|transaction: &mut Transaction| {
        transaction.resume();
        Vec::new()
    });
    let amended = store.amend(key, ordered.id, resume).await.expect("amended").expect("live");
    assert_eq!(amended.phase, Phase::Ready { not_before: None });
    let resumed = claim(store, key, 51).await.expect("resumed");
    assert_eq!(resumed.attempts, 1);
    store.save(&Transaction { phase: Phase::Ready { not_before: None }, ..resumed }).await.expect("saved");
    let again = claim(store, key, 52).await.expect("once more");
    assert_eq!(again.attempts, 2);
    store.save(&waits(again, 100)).await.expect("saved");
    let woken = store.expire(secs(100), 10).await.expect("expires");
    assert_eq!(
        woken.iter().map(|one| (one.id, one.status)).collect::<Vec<_>>(),
        [(ordered.id, TransactionStatus::InProgress)]
    );
    assert_eq!(claim(store, key, 101).await.expect("resumed by the timer").attempts, 2);
}

pub(super) async fn work_past_its_deadline_is_handed_out(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    order(store, key, DiagnosticKind::IpPing).await;
    let mut claimed = claim(store, key, 2).await.expect("runs");
    claimed.progress.deadline = Some(secs(200));
    claimed.resume();
    store.save(&claimed).await.expect("saved");
    assert!(store.expire(secs(199), 10).await.expect("expires").is_empty());
    let overdue = store.expire(secs(200), 10).await.expect("expires");
    assert_eq!(overdue, [claimed.clone()], "as it is: its service decides what becomes of it");
    assert_eq!(store.live(key).await.expect("reads"), [claimed]);
}

pub(super) async fn what_is_amended_into_its_end_has_ended(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let ordered = order(store, key, DiagnosticKind::IpPing).await;
    claim(store, key, 2).await.expect("runs");
    let end = |transaction: &mut Transaction| {
        transaction.status = TransactionStatus::Completed;
        transaction.completed_at = Some(secs(9));
        vec![result(0, "1.0")]
    };
    let ended = store.amend(key, ordered.id, Box::new(end)).await.expect("amended").expect("it was live");
    assert_eq!(ended.status, TransactionStatus::Completed);
    assert!(store.live(key).await.expect("reads").is_empty());
    assert_eq!(store.results(ordered.id).await.expect("reads"), [result(0, "1.0")]);
    let filter = TransactionFilter { status: Some(TransactionStatus::Completed), ..TransactionFilter::default() };
    let listed = store.transactions(&filter, Page { offset: 0, limit: 10 }).await.expect("lists");
    assert_eq!((listed.count, listed.items.first().map(|one| one.phase.clone())), (1, Some(Phase::Ended)));
    assert_eq!(store.amend(key, ordered.id, Box::new(end)).await.expect("reads"), None, "it is not live any more");
}
