//! Recorded sessions: bounded per device, newest first, gone with their device.

use std::net::IpAddr;
use std::sync::Arc;

use acsd::model::trace::{Direction, SessionTrace, TraceFilter, TraceId, TraceMessage, TraceOutcome};
use acsd::store::{Page, Store};
use acsd::types::ident::DeviceKey;

use super::support::{ALL, open_at, register, secs};

const EVERY: TraceFilter = TraceFilter { since: None, after: None };

pub(crate) fn trace(at: i64, outcome: TraceOutcome, xml: &str) -> SessionTrace {
    SessionTrace {
        id: TraceId::default(),
        started_at: secs(at),
        ended_at: secs(at + 1),
        address: IpAddr::from([192, 0, 2, 7]),
        events: vec!["2 PERIODIC".into()],
        outcome,
        messages: vec![TraceMessage {
            at: secs(at),
            direction: Direction::In,
            rpc: "Inform".into(),
            xml: xml.into(),
            status: None,
            note: "".into(),
        }],
        omitted: 0,
    }
}

async fn keep(store: &Arc<dyn Store>, key: DeviceKey, at: i64, outcome: TraceOutcome) -> TraceId {
    store.keep_trace(key, trace(at, outcome, "<x/>"), 3).await.expect("kept").expect("the device is there")
}

async fn starts(store: &Arc<dyn Store>, key: DeviceKey, filter: TraceFilter, page: Page) -> (Vec<i64>, u64) {
    let listing = store.traces(key, filter, page).await.expect("listed");
    (listing.items.iter().map(|trace| trace.started_at.as_secs()).collect(), listing.count)
}

pub(super) async fn sessions_are_kept_listed_and_trimmed(store: &Arc<dyn Store>) {
    let (one, other) = (register(store, "1").await.key, register(store, "2").await.key);
    let mut ids = Vec::new();
    for at in 1..=5 {
        ids.push(keep(store, one, at, TraceOutcome::Completed).await);
        keep(store, other, at * 10, TraceOutcome::TimedOut).await;
    }
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    assert_eq!(starts(store, one, EVERY, ALL).await, (vec![5, 4, 3], 3));
    assert_eq!(starts(store, one, EVERY, Page { offset: 1, limit: 1 }).await, (vec![4], 3));
    assert_eq!(starts(store, one, TraceFilter { since: Some(secs(4)), after: None }, ALL).await, (vec![5, 4], 2));
    assert_eq!(starts(store, one, TraceFilter { since: None, after: Some(ids[2]) }, ALL).await, (vec![4, 5], 2));
    assert_eq!(starts(store, other, EVERY, ALL).await, (vec![50, 40, 30], 3));

    let kept = store.trace(one, ids[4]).await.expect("read").expect("there");
    assert_eq!(kept, SessionTrace { id: ids[4], ..trace(5, TraceOutcome::Completed, "<x/>") });
    assert_eq!(store.trace(other, ids[4]).await.expect("read"), None, "of another device");
    assert_eq!(store.trace(one, ids[0]).await.expect("read"), None, "trimmed");

    store.clear_traces(one).await.expect("cleared");
    assert_eq!(starts(store, one, EVERY, ALL).await, (Vec::new(), 0));
    assert!(keep(store, one, 6, TraceOutcome::Completed).await > ids[4], "numbers are never given out twice");
}

pub(super) async fn refusals_alone_push_nothing_out(store: &Arc<dyn Store>) {
    let key = register(store, "1").await.key;
    keep(store, key, 1, TraceOutcome::Completed).await;
    for at in 2..9 {
        keep(store, key, at, TraceOutcome::Refused).await;
    }
    assert_eq!(starts(store, key, EVERY, ALL).await, (vec![8, 1], 2), "only the last of them is kept");
    keep(store, key, 9, TraceOutcome::Completed).await;
    assert_eq!(starts(store, key, EVERY, ALL).await, (vec![9, 8, 1], 3));
}

pub(super) async fn large_sessions_are_kept(store: &Arc<dyn Store>) {
    let key = register(store, "1").await.key;
    // Text that compresses badly, so that it lies in several parts.
    let mut number: u64 = 1;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((number >> 40) % 90).expect("small"))
    };
    let xml: String = std::iter::repeat_with(&mut next).take(400_000).collect();
    for at in 1..=5 {
        store.keep_trace(key, trace(at, TraceOutcome::Completed, &xml), 2).await.expect("kept");
    }
    let listing = store.traces(key, EVERY, ALL).await.expect("listed");
    assert_eq!(listing.items.iter().map(|trace| trace.started_at).collect::<Vec<_>>(), [secs(5), secs(4)]);
    assert!(listing.items.iter().all(|trace| *trace.messages[0].xml == xml));
}

pub(super) async fn sessions_go_with_their_device(store: &Arc<dyn Store>) {
    let (gone, stays) = (register(store, "1").await.key, register(store, "2").await.key);
    for key in [gone, stays] {
        keep(store, key, 1, TraceOutcome::Completed).await;
    }
    assert!(store.remove(gone).await.expect("removed"));
    assert_eq!(starts(store, gone, EVERY, ALL).await, (Vec::new(), 0));
    let late = store.keep_trace(gone, trace(2, TraceOutcome::Completed, "<x/>"), 3).await;
    assert_eq!(late.expect("asked"), None, "nothing is kept of a device that is gone");
    assert_eq!(starts(store, gone, EVERY, ALL).await, (Vec::new(), 0));
    assert_eq!(starts(store, stays, EVERY, ALL).await.1, 1);
}

#[tokio::test]
async fn sessions_and_their_numbers_outlive_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut last = TraceId(0);
    for round in 1..=3 {
        let store: Arc<dyn Store> = open_at(folder.path()).await;
        let known = store.by_serial("1").await.expect("read");
        let key = match known {
            Some(device) => device.key,
            None => register(&store, "1").await.key,
        };
        assert_eq!(starts(&store, key, EVERY, ALL).await.1, round - 1);
        let id =
            store.keep_trace(key, trace(1, TraceOutcome::Completed, "<x/>"), 9).await.expect("kept").expect("there");
        assert!(id > last, "{id} after {last}");
        last = id;
        store.close().await.expect("closes");
    }
}
