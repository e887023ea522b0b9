//! The ledger.

use std::sync::Arc;

use acsd::model::device::OrganizationId;
use acsd::model::procedure::{InFlight, Progress};
use acsd::model::transaction::{
    Assignment, Kind, NewTransaction, Phase, Transaction, TransactionFault, TransactionStatus, WaitReason, Work,
};
use acsd::store::{CancelError, EnqueueError, Merge, Page, Store, TransactionFilter};
use acsd::types::ident::{DeviceKey, TransactionId};
use acsd::types::path::ParameterPath;
use acsd::types::time::Timestamp;

use super::support::*;

fn ids(transactions: &[Transaction]) -> Vec<TransactionId> {
    transactions.iter().map(|transaction| transaction.id).collect()
}

async fn claim(store: &Arc<dyn Store>, key: DeviceKey, at: i64) -> Option<Transaction> {
    let work = store.has_work(key, secs(at));
    let claimed = store.claim(key, &[], secs(at)).await.unwrap();
    assert_eq!(work, claimed.is_some(), "has_work told the truth at {at}");
    claimed
}

pub(super) async fn numbers_increase_under_concurrent_enqueues(store: &Arc<dyn Store>) {
    let mut keys = Vec::new();
    for n in 0..8 {
        keys.push(register(store, &format!("S{n}")).await.key);
    }
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let (store, key) = (Arc::clone(store), keys[n % keys.len()]);
            tokio::spawn(async move {
                let accepted = enqueue(&store, key, 1).await;
                assert_eq!(store.transaction(accepted.id).await.unwrap().as_ref(), Some(&accepted), "readable at once");
                let next = enqueue(&store, key, 2).await;
                assert!(next.id > accepted.id);
                store.cancel(next.id, secs(3)).await.expect("unstarted");
                accepted.id
            })
        })
        .collect();
    let mut accepted = Vec::new();
    for task in tasks {
        accepted.push(task.await.unwrap());
    }
    accepted.sort_unstable();
    accepted.dedup();
    assert_eq!(accepted.len(), 200);
    let mut found = Vec::new();
    for key in keys {
        let live = store.live(key).await.unwrap();
        assert!(live.is_sorted_by_key(|t| t.id) && live.len() == 25);
        found.extend(ids(&live));
    }
    found.sort_unstable();
    assert_eq!(found, accepted);
    assert_eq!(store.figures(secs(9)).queue_depth, 200);
}

pub(super) async fn queues_are_first_in_first_out(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    assert_eq!(claim(store, key, 1).await, None);
    let (first, second) = (enqueue(store, key, 1).await, enqueue(store, key, 2).await);
    assert_eq!(first.status, TransactionStatus::Scheduled);
    let claimed = claim(store, key, 3).await.unwrap();
    assert_eq!(claimed.id, first.id);
    assert_eq!((claimed.status, &claimed.phase), (TransactionStatus::InProgress, &Phase::Running));
    assert_eq!((claimed.attempts, claimed.started_at), (1, Some(secs(3))));
    assert_eq!(store.transaction(first.id).await.unwrap(), Some(claimed.clone()));
    assert_eq!(claim(store, key, 3).await.unwrap().id, second.id, "what runs is not handed out again");
    assert_eq!(claim(store, key, 3).await, None);
    // The session broke off: the driver releases it, and the next session takes it up first.
    store.save(&Transaction { phase: Phase::Ready { not_before: None }, ..claimed }).await.unwrap();
    let again = claim(store, key, 9).await.unwrap();
    assert_eq!((again.id, again.attempts, again.started_at), (first.id, 2, Some(secs(3))));
}

pub(super) async fn claims_respect_skip_back_off_and_waiting(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let mut queued = Vec::new();
    for at in 0..4 {
        queued.push(enqueue(store, key, at).await.id);
    }
    let skipped = store.claim(key, &queued[..1], secs(5)).await.unwrap().unwrap();
    assert_eq!(skipped.id, queued[1]);
    let backing_off = Transaction {
        phase: Phase::Ready { not_before: Some(secs(100)) },
        fault: Some(TransactionFault { code: 9002, message: "Internal error".to_owned() }),
        ..claim(store, key, 5).await.unwrap()
    };
    assert_eq!(backing_off.id, queued[0]);
    store.save(&backing_off).await.unwrap();
    let waiting = Transaction {
        phase: Phase::Waiting { reason: WaitReason::Reboot, until: secs(200) },
        ..claim(store, key, 6).await.unwrap()
    };
    assert_eq!(waiting.id, queued[2], "a back-off lets later ones pass");
    store.save(&waiting).await.unwrap();
    assert_eq!(claim(store, key, 7).await.unwrap().id, queued[3], "so does waiting for the device");
    assert_eq!(claim(store, key, 99).await, None);
    assert_eq!(claim(store, key, 100).await.unwrap().id, queued[0], "the back-off is over");
    assert_eq!(claim(store, key, 500).await, None, "waiting ends by the timer or the device, not by a claim");
}

pub(super) async fn an_inactive_device_s_queue_is_held(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    enqueue(store, key, 1).await;
    store.edit_profile(key, Box::new(|profile| profile.is_active = false)).await.unwrap();
    assert_eq!(claim(store, key, 2).await, None);
    assert!(store.devices_with_work(secs(2), 10).is_empty());
    assert_eq!(store.live(key).await.unwrap().len(), 1);
    store.edit_profile(key, Box::new(|profile| profile.is_active = true)).await.unwrap();
    assert_eq!(store.devices_with_work(secs(2), 10), [key]);
    assert!(claim(store, key, 2).await.is_some());
}

pub(super) async fn the_same_unstarted_work_is_merged(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let ask = |new: Work| NewTransaction { kind: Kind::Operation, ..work(new) };
    let merge = |new| store.enqueue(key, new, Merge::SameUnstarted, secs(1));
    let first = merge(ask(Work::Reboot)).await.unwrap();
    assert_eq!(merge(ask(Work::Reboot)).await.unwrap(), first);
    let other_work = merge(ask(Work::FactoryReset)).await.unwrap();
    let other_kind = merge(work(Work::Reboot)).await.unwrap();
    assert!(first.id < other_work.id && other_work.id < other_kind.id);
    let separate = store.enqueue(key, ask(Work::Reboot), Merge::Never, secs(1)).await.unwrap();
    assert_ne!(separate.id, first.id);
    for _ in 0..4 {
        claim(store, key, 2).await.unwrap();
    }
    let fresh = merge(ask(Work::Reboot)).await.unwrap();
    assert!(fresh.id > separate.id, "what has started is not merged with");
}

pub(super) async fn a_full_queue_refuses(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let mut last = None;
    for n in 0..QUEUE_MAX {
        last = Some(enqueue(store, key, i64::try_from(n).unwrap()).await);
    }
    let refused = store.enqueue(key, work(Work::Reboot), Merge::Never, secs(99)).await;
    assert!(matches!(refused, Err(EnqueueError::QueueFull { limit: QUEUE_MAX })));
    let merged = store.enqueue(key, work(Work::Reboot), Merge::SameUnstarted, secs(99)).await;
    assert!(merged.is_ok(), "merging needs no room");
    store.cancel(last.unwrap().id, secs(99)).await.unwrap();
    enqueue(store, key, 100).await;
    let unknown = store.enqueue(DeviceKey(99), work(Work::Reboot), Merge::Never, secs(1)).await;
    assert!(matches!(unknown, Err(EnqueueError::UnknownDevice)));
}

pub(super) async fn saved_progress_is_kept(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    enqueue(store, key, 1).await;
    let mut running = claim(store, key, 2).await.unwrap();
    running.progress = Progress { in_flight: Some(InFlight::Reboot { at: secs(2) }), ..Progress::default() };
    running.note_attempt(secs(2), "the device hung up");
    store.save(&running).await.unwrap();
    assert_eq!(store.live(key).await.unwrap(), std::slice::from_ref(&running));
    assert_eq!(store.transaction(running.id).await.unwrap(), Some(running));
}

pub(super) async fn settling_is_idempotent(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    enqueue(store, key, 1).await;
    let running = claim(store, key, 2).await.unwrap();
    let done = completed(&running, 3);
    store.settle(&done, &[result(0, "1.0"), result(1, "x")]).await.unwrap();
    let ended = store.transaction(running.id).await.unwrap().unwrap();
    assert_eq!(ended, Transaction { phase: Phase::Ended, ..done });
    assert_eq!(store.results(running.id).await.unwrap(), [result(0, "1.0"), result(1, "x")]);
    assert!(store.live(key).await.unwrap().is_empty());

    let failed = Transaction { status: TransactionStatus::Failed, ..ended.clone() };
    store.settle(&failed, &[result(0, "other")]).await.expect("ignored");
    store.save(&running).await.expect("ignored");
    assert_eq!(store.transaction(running.id).await.unwrap(), Some(ended));
    assert_eq!(store.results(running.id).await.unwrap()[0], result(0, "1.0"));
    assert!(store.live(key).await.unwrap().is_empty());
    assert!(!store.has_work(key, secs(9)));
    assert_eq!(store.transaction(TransactionId(99)).await.unwrap(), None);
    assert!(store.results(TransactionId(99)).await.unwrap().is_empty());
}

pub(super) async fn large_results_and_large_work_are_kept(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let noise = || (0..4000).map(|_| format!("{:016x}", fastrand::u64(..))).collect::<String>();
    let assignments: Vec<_> = (0..5)
        .map(|n| Assignment {
            path: ParameterPath::try_from(format!("Device.Big.{n}").as_str()).unwrap(),
            value: noise().into(),
            ty: None,
        })
        .collect();
    let big = store
        .enqueue(key, work(Work::Set { assignments }), Merge::Never, secs(1))
        .await
        .expect("work of any size is accepted");
    let small = enqueue(store, key, 2).await;
    assert_eq!(ids(&store.live(key).await.unwrap()), [big.id, small.id]);
    let running = claim(store, key, 3).await.unwrap();
    assert_eq!(running.work, big.work);
    let results: Vec<_> = (0..4).map(|n| result(n, &noise())).collect();
    store.settle(&completed(&running, 4), &results).await.unwrap();
    assert_eq!(store.results(big.id).await.unwrap(), results);
    assert_eq!(store.transaction(big.id).await.unwrap().unwrap().work, big.work);
    assert_eq!(claim(store, key, 5).await.unwrap().id, small.id);
    store.health().expect("nothing went wrong below");
}

pub(super) async fn only_unstarted_work_is_canceled(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let (first, second) = (enqueue(store, key, 1).await, enqueue(store, key, 2).await);
    let canceled = store.cancel(second.id, secs(3)).await.unwrap();
    assert_eq!((canceled.status, canceled.completed_at), (TransactionStatus::Canceled, Some(secs(3))));
    assert_eq!(store.transaction(second.id).await.unwrap(), Some(canceled));
    assert!(matches!(store.cancel(second.id, secs(4)).await, Err(CancelError::Started)));
    let running = claim(store, key, 4).await.unwrap();
    assert!(matches!(store.cancel(first.id, secs(5)).await, Err(CancelError::Started)));
    store.save(&Transaction { phase: Phase::Ready { not_before: None }, ..running }).await.unwrap();
    assert!(matches!(store.cancel(first.id, secs(5)).await, Err(CancelError::Started)), "it had started");
    assert!(matches!(store.cancel(TransactionId(99), secs(5)).await, Err(CancelError::Unknown)));
}

pub(super) async fn deadlines_expire_or_wake(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let until = |at| NewTransaction { expires_at: Some(secs(at)), ..work(Work::Reboot) };
    let add = |new| store.enqueue(key, new, Merge::Never, secs(1));
    let started = add(until(50)).await.unwrap();
    let waiting = Transaction {
        phase: Phase::Waiting { reason: WaitReason::Diagnostics, until: secs(60) },
        ..claim(store, key, 2).await.unwrap()
    };
    assert_eq!(waiting.id, started.id);
    store.save(&waiting).await.unwrap();
    let (soon, late) = (add(until(50)).await.unwrap(), add(until(500)).await.unwrap());
    let endless = add(work(Work::Reboot)).await.unwrap();
    let held = store.claim(key, &[late.id, endless.id], secs(50)).await.unwrap();
    assert_eq!(held, None, "what has expired is not started, even before the timer comes by");

    assert!(store.expire(secs(49), 10).await.unwrap().is_empty());
    let touched = store.expire(secs(55), 10).await.unwrap();
    assert_eq!(ids(&touched), [soon.id]);
    assert_eq!((touched[0].status, touched[0].completed_at), (TransactionStatus::Expired, Some(secs(55))));
    assert_eq!(store.transaction(soon.id).await.unwrap().unwrap().status, TransactionStatus::Expired);
    let touched = store.expire(secs(70), 10).await.unwrap();
    assert_eq!(ids(&touched), [started.id]);
    assert_eq!(touched[0].status, TransactionStatus::InProgress);
    assert_eq!(claim(store, key, 71).await.unwrap().id, started.id, "its procedure decides");
    assert!(store.expire(secs(80), 10).await.unwrap().is_empty());

    for _ in 0..5 {
        add(until(90)).await.unwrap();
    }
    assert_eq!(store.expire(secs(100), 3).await.unwrap().len(), 3, "no more than asked for");
    assert_eq!(store.expire(secs(100), 3).await.unwrap().len(), 2);
    assert_eq!(ids(&store.live(key).await.unwrap()), [started.id, late.id, endless.id]);
}

pub(super) async fn listings_count_exactly_newest_first(store: &Arc<dyn Store>) {
    let mut other = new_device("B");
    other.profile.organization = OrganizationId(2);
    let (a, b) = (register(store, "A").await.key, store.register(other).await.unwrap().key);
    for n in 0..12 {
        let kind = if n % 3 == 0 { Kind::Operation } else { Kind::Headless };
        let new = NewTransaction { kind, ..work(Work::Reboot) };
        store.enqueue(if n % 2 == 0 { a } else { b }, new, Merge::Never, secs(n)).await.unwrap();
    }
    let running = claim(store, a, 20).await.unwrap();
    store.settle(&completed(&running, 21), &[]).await.unwrap();
    claim(store, a, 22).await.unwrap();

    let any = TransactionFilter::default();
    let status = |status| TransactionFilter { status: Some(status), ..TransactionFilter::default() };
    let visible = |ids: &[u32]| Some(ids.iter().copied().map(OrganizationId).collect::<Vec<_>>());
    let table = [
        ("all", any.clone(), 12),
        ("device", TransactionFilter { device: Some(b), ..any.clone() }, 6),
        ("unknown device", TransactionFilter { device: Some(DeviceKey(99)), ..any.clone() }, 0),
        ("kind", TransactionFilter { kind: Some(Kind::Operation), ..any.clone() }, 4),
        ("scheduled", status(TransactionStatus::Scheduled), 10),
        ("in progress", status(TransactionStatus::InProgress), 1),
        ("completed", status(TransactionStatus::Completed), 1),
        ("expired", status(TransactionStatus::Expired), 0),
        ("visible", TransactionFilter { visible: visible(&[2]), ..any.clone() }, 6),
        ("none visible", TransactionFilter { visible: visible(&[]), ..any.clone() }, 0),
        ("together", TransactionFilter { device: Some(a), visible: visible(&[2]), ..any.clone() }, 0),
    ];
    for (case, filter, count) in table {
        let all = store.transactions(&filter, ALL).await.unwrap();
        assert_eq!((all.count, all.items.len()), (count, usize::try_from(count).unwrap()), "{case}");
        assert!(all.items.is_sorted_by_key(|t| std::cmp::Reverse(t.id)), "{case}");
        let mut paged = Vec::new();
        for offset in (0..=count).step_by(5) {
            let page = store.transactions(&filter, Page { offset, limit: 5 }).await.unwrap();
            assert_eq!(page.count, count, "{case}");
            paged.extend(page.items);
        }
        assert_eq!(paged, all.items, "{case}: pages join to the whole");
    }
}

pub(super) async fn concurrent_changes_of_one_queue_lose_nothing(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let rounds = 30;
    let adding = {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for at in 0..rounds {
                enqueue(&store, key, at).await;
            }
        })
    };
    let canceling = {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for at in 0..rounds {
                let extra = enqueue(&store, key, at).await;
                // A session may have been faster.
                assert!(matches!(store.cancel(extra.id, secs(at)).await, Ok(_) | Err(CancelError::Started)));
            }
        })
    };
    let mut settled = 0;
    while !(adding.is_finished() && canceling.is_finished() && !store.has_work(key, secs(1000))) {
        if let Some(running) = store.claim(key, &[], secs(1000)).await.unwrap() {
            store.save(&Transaction { note: Some("seen".to_owned()), ..running.clone() }).await.unwrap();
            store.settle(&completed(&running, 1001), &[result(0, "ok")]).await.unwrap();
            settled += 1;
        } else {
            tokio::task::yield_now().await;
        }
    }
    adding.await.unwrap();
    canceling.await.unwrap();
    let of = |status| TransactionFilter { status: Some(status), ..TransactionFilter::default() };
    let completed = store.transactions(&of(TransactionStatus::Completed), ALL).await.unwrap();
    let canceled = store.transactions(&of(TransactionStatus::Canceled), ALL).await.unwrap();
    assert_eq!((completed.count, completed.count + canceled.count), (settled, 60));
    assert!(completed.items.iter().all(|t| t.attempts == 1), "none was claimed twice");
    assert_eq!(store.figures(Timestamp::default()).queue_depth, 0);
}

pub(super) async fn a_pass_over_live_transactions_misses_none(store: &Arc<dyn Store>) {
    let mut all = Vec::new();
    for n in 0..6 {
        let key = register(store, &format!("S{n}")).await.key;
        all.push(enqueue(store, key, n).await.id);
    }
    let ids = |live: Vec<Transaction>| -> Vec<_> { live.iter().map(|transaction| transaction.id).collect() };
    let first = ids(store.live_after(None, 2).await.unwrap());
    assert_eq!(first, all[..2]);
    // What ended behind us shifts nothing.
    store.cancel(all[0], secs(10)).await.unwrap();
    store.cancel(all[4], secs(10)).await.unwrap();
    let rest = ids(store.live_after(first.last().copied(), 100).await.unwrap());
    assert_eq!(rest, [all[2], all[3], all[5]]);
    assert_eq!(ids(store.live_after(None, 100).await.unwrap()).len(), 4);
    assert!(store.live_after(all.last().copied(), 100).await.unwrap().is_empty());
}

pub(super) async fn devices_with_work_take_turns(store: &Arc<dyn Store>) {
    for n in 0..5 {
        let key = register(store, &format!("S{n}")).await.key;
        if n != 2 {
            enqueue(store, key, 1).await;
        }
    }
    let mut asked = Vec::new();
    for _ in 0..2 {
        let some = store.devices_with_work(secs(2), 2);
        assert_eq!(some.len(), 2);
        asked.extend(some);
    }
    asked.sort_unstable();
    assert_eq!(asked, [1, 2, 4, 5].map(DeviceKey));
    assert_eq!(store.devices_with_work(secs(2), 99).len(), 4);
}

pub(super) async fn a_back_off_can_be_ended(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let waiting = enqueue(store, key, 1).await;
    assert!(!store.hasten(key, waiting.id).await.unwrap(), "it waits for nothing");
    let claimed = store.claim(key, &[], secs(2)).await.unwrap().unwrap();
    assert!(!store.hasten(key, claimed.id).await.unwrap(), "it runs");
    let phase = Phase::Ready { not_before: Some(secs(500)) };
    store.save(&Transaction { phase, ..claimed.clone() }).await.unwrap();
    assert!(!store.has_work(key, secs(3)));
    assert!(store.hasten(key, claimed.id).await.unwrap());
    assert!(store.has_work(key, secs(3)));
    let again = store.claim(key, &[], secs(3)).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempts), (claimed.id, 2));
    store.settle(&completed(&again, 4), &[]).await.unwrap();
    assert!(!store.hasten(key, claimed.id).await.unwrap(), "it has ended");
}
