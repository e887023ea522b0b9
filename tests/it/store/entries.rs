//! Diagnostic entries: numbered, filtered, searched, bounded, gone with their device.

use std::sync::Arc;

use acsd::model::device::{OrganizationId, Profile};
use acsd::model::entry::{DiagnosticEntry, EntryId, HEALTH_CHECK};
use acsd::model::event::EventData;
use acsd::store::entries::{DueCheck, EntryFilter};
use acsd::store::{Page, Store};
use acsd::types::ident::{DeviceKey, TransactionId};

use super::support::{ALL, open_at, register, secs};

pub(super) fn entry(id: EntryId, device: DeviceKey, kind: &str, at: i64) -> DiagnosticEntry {
    DiagnosticEntry::new(id, device, kind, secs(at))
}

async fn add(store: &Arc<dyn Store>, device: DeviceKey, kind: &'static str, status: &'static str) -> EntryId {
    let make = Box::new(move |id| {
        let mut made = entry(id, device, kind, 10);
        made.head.status = status.to_owned();
        made
    });
    store.add_entry(device, make, 100).await.expect("added").expect("the device is there").id
}

async fn note(store: &Arc<dyn Store>, id: EntryId, notes: &'static str) {
    let edit = Box::new(move |entry: &mut DiagnosticEntry| {
        entry.text.notes = notes.to_owned();
        Vec::new()
    });
    store.edit_entry(id, edit).await.expect("edited").expect("there");
}

async fn found(store: &Arc<dyn Store>, filter: &EntryFilter, page: Page) -> (Vec<u32>, u64) {
    let listing = store.entries(filter, page).await.expect("listed");
    (listing.items.iter().map(|entry| entry.id.0).collect(), listing.count)
}

fn of_kind(kind: &str) -> EntryFilter {
    EntryFilter { kind: Some(kind.to_owned()), ..EntryFilter::default() }
}

pub(super) async fn entries_are_numbered_filtered_and_paged(store: &Arc<dyn Store>) {
    let (one, other) = (register(store, "1").await.key, register(store, "2").await.key);
    let elsewhere = |profile: &mut Profile| profile.organization = OrganizationId(7);
    store.edit_profile(other, Box::new(elsewhere)).await.expect("edited");
    for number in 0..6 {
        let device = if number % 2 == 0 { one } else { other };
        let id = add(store, device, if number < 3 { "maintenance" } else { "issue_report" }, "open").await;
        assert_eq!(id.0, number + 1);
    }
    let all = EntryFilter::default();
    assert_eq!(found(store, &all, ALL).await, (vec![6, 5, 4, 3, 2, 1], 6));
    assert_eq!(found(store, &all, Page { offset: 2, limit: 2 }).await, (vec![4, 3], 6));
    assert_eq!(found(store, &of_kind("maintenance"), Page { offset: 1, limit: 1 }).await, (vec![2], 3));
    assert_eq!(found(store, &of_kind("other"), ALL).await, (vec![], 0));
    let device = EntryFilter { device: Some(other), ..of_kind("issue_report") };
    assert_eq!(found(store, &device, ALL).await, (vec![6, 4], 2));
    let visible = EntryFilter { visible: Some(vec![OrganizationId(7)]), ..EntryFilter::default() };
    assert_eq!(found(store, &visible, Page { offset: 0, limit: 1 }).await, (vec![6], 3));

    let close = |entry: &mut DiagnosticEntry| {
        entry.head.status = "closed".to_owned();
        // Neither may change.
        (entry.id, entry.head.device) = (EntryId(99), DeviceKey(99));
        Vec::new()
    };
    let closed = store.edit_entry(EntryId(2), Box::new(close)).await.expect("edited").expect("there");
    assert_eq!((closed.id, closed.head.device), (EntryId(2), other));
    let status = EntryFilter { status: Some("closed".to_owned()), ..EntryFilter::default() };
    assert_eq!(found(store, &status, ALL).await, (vec![2], 1));
    assert_eq!(store.entry(EntryId(2)).await.expect("read"), Some(closed));

    assert!(store.remove_entry(EntryId(6)).await.expect("removed"));
    assert!(!store.remove_entry(EntryId(6)).await.expect("asked"));
    assert_eq!(store.entry(EntryId(6)).await.expect("read"), None);
    assert_eq!(found(store, &all, ALL).await.1, 5);
    assert_eq!(add(store, one, "x", "").await, EntryId(7), "a number is never given out twice");
}

pub(super) async fn searches_find_texts_and_devices(store: &Arc<dyn Store>) {
    let (one, other) = (register(store, "SN-ONE").await.key, register(store, "SN-OTHER").await.key);
    let named = |profile: &mut Profile| profile.name = "Kölner Dom".to_owned();
    store.edit_profile(other, Box::new(named)).await.expect("edited");
    for device in [one, other, one, other] {
        add(store, device, "maintenance", "").await;
    }
    note(store, EntryId(1), "Cable REPLACED by hand").await;
    note(store, EntryId(2), "replaced").await;
    for (words, ids) in [
        ("replaced", vec![2, 1]),
        ("cable hand", vec![1]),
        ("sn-o", vec![4, 3, 2, 1]),
        ("KÖLNER", vec![4, 2]),
        ("dom replaced", vec![2]),
        ("sn-one cable", vec![1]),
        ("nowhere", vec![]),
    ] {
        let filter = EntryFilter { search: words.parse().expect("words"), ..of_kind("maintenance") };
        let count = u64::try_from(ids.len()).expect("few");
        assert_eq!(found(store, &filter, ALL).await, (ids.clone(), count), "{words}");
        let page = Page { offset: 1, limit: 1 };
        let second: Vec<u32> = ids.get(1).copied().into_iter().collect();
        assert_eq!(found(store, &filter, page).await, (second, count), "{words}");
    }
}

pub(super) async fn entries_change_with_their_events(store: &Arc<dyn Store>) {
    let device = register(store, "1").await.key;
    let id = add(store, device, HEALTH_CHECK, "ok").await;
    let issue =
        || EventData::HealthIssue { entry: id.0, code: "CPU".into(), severity: "medium".into(), message: "hot".into() };
    let found = vec![issue()];
    let edit = Box::new(move |entry: &mut DiagnosticEntry| {
        entry.head.updated_at = secs(77);
        found
    });
    store.edit_entry(id, edit).await.expect("edited").expect("there");
    let events = super::logs::all(store).await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.entry.head.time, &event.entry.data), (secs(77), &issue()));
    assert_eq!(store.edit_entry(EntryId(5), Box::new(|_| Vec::new())).await.expect("asked"), None);
}

pub(super) async fn a_device_has_one_health_check_to_begin_with(store: &Arc<dyn Store>) {
    let device = register(store, "1").await.key;
    let ensure = || {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let make = Box::new(move |id| entry(id, device, HEALTH_CHECK, 10));
            store.health_check(device, make, 9).await.expect("made").expect("there").id
        })
    };
    let all: Vec<_> = (0..8).map(|_| ensure()).collect();
    for made in all {
        assert_eq!(made.await.expect("runs"), EntryId(1));
    }
    let second = add(store, device, HEALTH_CHECK, "manual").await;
    add(store, device, "maintenance", "").await;
    assert_eq!(ensure().await.expect("runs"), second, "the newest");
    let checks = store.health_checks_of(device).await.expect("read");
    assert_eq!(checks.iter().map(|entry| entry.id.0).collect::<Vec<_>>(), [2, 1]);

    let link = Box::new(|entry: &mut DiagnosticEntry| {
        entry.head.awaits = Some(TransactionId(5));
        entry.head.next_check_due = Some(secs(99));
        Vec::new()
    });
    store.edit_entry(second, link).await.expect("edited");
    let due = store.due_checks().await.expect("read");
    let linked = DueCheck { device, due: Some(secs(99)), awaits: Some(TransactionId(5)) };
    assert!(due.len() == 2 && due.contains(&linked), "{due:?}");
    let late = store.health_check(DeviceKey(99), Box::new(|id| entry(id, DeviceKey(99), HEALTH_CHECK, 1)), 9).await;
    assert_eq!(late.expect("asked"), None, "there is no such device");
}

pub(super) async fn the_oldest_entries_make_room(store: &Arc<dyn Store>) {
    let device = register(store, "1").await.key;
    let check = add(store, device, HEALTH_CHECK, "ok").await;
    for _ in 0..5 {
        let make = Box::new(move |id| entry(id, device, "maintenance", 10));
        store.add_entry(device, make, 3).await.expect("added");
    }
    assert_eq!(found(store, &EntryFilter::default(), ALL).await, (vec![6, 5, check.0], 3));
}

pub(super) async fn old_entries_are_dropped_in_steps(store: &Arc<dyn Store>) {
    let device = register(store, "1").await.key;
    for at in 1..=6_i64 {
        let make = Box::new(move |id| entry(id, device, "maintenance", at * 100));
        store.add_entry(device, make, 100).await.expect("added");
    }
    let touch = |entry: &mut DiagnosticEntry| {
        entry.head.updated_at = secs(10_000);
        Vec::new()
    };
    store.edit_entry(EntryId(2), Box::new(touch)).await.expect("edited");
    assert_eq!(store.trim_entries(secs(450), EntryId(0), 2).await.expect("trimmed"), Some(EntryId(2)));
    assert_eq!(found(store, &EntryFilter::default(), ALL).await.0, [6, 5, 4, 3, 2]);
    assert_eq!(store.trim_entries(secs(450), EntryId(2), 100).await.expect("trimmed"), None);
    assert_eq!(found(store, &EntryFilter::default(), ALL).await.0, [6, 5, 2], "what has changed since stays");
}

pub(super) async fn entries_go_with_their_device(store: &Arc<dyn Store>) {
    let (gone, stays) = (register(store, "1").await.key, register(store, "2").await.key);
    for device in [gone, stays, gone] {
        add(store, device, "maintenance", "").await;
    }
    assert!(store.remove(gone).await.expect("removed"));
    assert_eq!(found(store, &EntryFilter::default(), ALL).await, (vec![2], 1));
    assert_eq!(store.entry(EntryId(1)).await.expect("read"), None);
    let late = store.add_entry(gone, Box::new(move |id| entry(id, gone, "x", 1)), 9).await.expect("asked");
    assert_eq!(late, None, "nothing is kept of a device that is gone");
    assert_eq!(add(store, stays, "x", "").await, EntryId(4));
}

pub(super) async fn devices_are_found_by_uuid(store: &Arc<dyn Store>) {
    let devices = [register(store, "1").await, register(store, "2").await];
    for device in &devices {
        assert_eq!(store.by_uuid(device.profile.uuid).await.expect("read").as_ref(), Some(device));
    }
    assert_eq!(store.by_uuid(uuid::Uuid::new_v4()).await.expect("read"), None);
    store.remove(devices[0].key).await.expect("removed");
    assert_eq!(store.by_uuid(devices[0].profile.uuid).await.expect("read"), None);
}

#[tokio::test]
async fn entries_and_their_numbers_outlive_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    for round in 0..3_u32 {
        let store: Arc<dyn Store> = open_at(folder.path()).await;
        let device = match store.by_serial("1").await.expect("read") {
            Some(device) => device.key,
            None => register(&store, "1").await.key,
        };
        let (ids, count) = found(&store, &of_kind("maintenance"), ALL).await;
        assert_eq!((ids.len(), count), (usize::try_from(round).expect("few"), u64::from(round)));
        let kept = add(&store, device, "maintenance", "open").await;
        note(&store, kept, "after a while").await;
        let dropped = add(&store, device, "x", "").await;
        assert_eq!((kept.0, dropped.0), (round * 2 + 1, round * 2 + 2), "the last number was given out");
        store.remove_entry(dropped).await.expect("removed");
        let search = EntryFilter { search: "while".parse().expect("a word"), ..EntryFilter::default() };
        assert_eq!(found(&store, &search, ALL).await.1, u64::from(round) + 1);
        store.close().await.expect("closes");
    }
}
