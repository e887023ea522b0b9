//! The event log and the audit trail: what is appended by itself, what is found, what is dropped.

use std::net::IpAddr;
use std::sync::Arc;

use acsd::model::audit::{AuditAction, AuditEntry, AuditHead, AuditId, AuditResource};
use acsd::model::device::{OrganizationId, ParameterPatch, Status, TreePatch};
use acsd::model::event::{BLANKED, Event, EventData, EventEntry, EventId, EventKind, RefusalReason};
use acsd::model::token::TokenId;
use acsd::model::transaction::TransactionStatus;
use acsd::store::audit::AuditFilter;
use acsd::store::events::EventFilter;
use acsd::store::{Durability, Page, Retention, Store};
use acsd::types::ident::SerialNumber;
use acsd::types::value::XsdType;

use super::support::*;

pub(super) async fn all(store: &Arc<dyn Store>) -> Vec<Event> {
    store.events_durable().await.unwrap();
    let mut listing = store.events(&EventFilter::default(), ALL).await.unwrap();
    assert_eq!(listing.count, listing.items.len() as u64);
    listing.items.reverse();
    listing.items
}

async fn kinds(store: &Arc<dyn Store>) -> Vec<&'static str> {
    all(store).await.iter().map(|event| event.entry.head.kind.as_str()).collect()
}

fn refusal(at: i64, organization: Option<u32>, serial: Option<&str>) -> EventEntry {
    let data = EventData::AuthenticationRefused {
        address: IpAddr::from([192, 0, 2, 1]),
        username: None,
        reason: RefusalReason::Credentials,
    };
    let mut entry = EventEntry::of_nobody(secs(at), data);
    entry.head.organization = organization.map(OrganizationId);
    entry.head.serial_number = serial.map(|serial| SerialNumber::try_from(serial).unwrap());
    entry
}

pub(super) async fn events_are_numbered_filtered_and_paged(store: &Arc<dyn Store>) {
    let mut news = store.watch_events();
    for at in 0..10 {
        let organization = (at % 3 != 0).then_some(u32::try_from(at % 3).unwrap());
        store.append_event(refusal(at, organization, Some(["A", "B"][usize::try_from(at % 2).unwrap()]))).unwrap();
    }
    store.events_durable().await.unwrap();
    assert_eq!(*news.borrow_and_update(), EventId(10));
    let found = async |filter: EventFilter, page: Page| {
        let listing = store.events(&filter, page).await.unwrap();
        (listing.items.iter().map(|event| event.id.0).collect::<Vec<_>>(), listing.count)
    };
    let everything = EventFilter::default();
    assert_eq!(found(everything.clone(), ALL).await, ((1..=10).rev().collect(), 10));
    assert_eq!(found(everything.clone(), Page { offset: 8, limit: 5 }).await, (vec![2, 1], 10));
    let of = |serial: &str| EventFilter { serial_number: Some(serial.to_owned()), ..EventFilter::default() };
    assert_eq!(found(of("A"), Page { offset: 0, limit: 2 }).await, (vec![9, 7], 5));
    assert_eq!(found(of("C"), ALL).await, (vec![], 0));
    let visible = EventFilter { visible: Some(vec![OrganizationId(2)]), ..EventFilter::default() };
    assert_eq!(found(visible, ALL).await, (vec![9, 6, 3], 3));
    let nobody = EventFilter { visible: Some(vec![]), ..EventFilter::default() };
    assert_eq!(found(nobody, ALL).await, (vec![], 0));
    let recent = EventFilter { since: Some(secs(7)), after: EventId(8), ..EventFilter::default() };
    assert_eq!(found(recent, ALL).await, (vec![10, 9], 2));
    let none = EventFilter { kinds: [EventKind::Boot].into_iter().collect(), ..EventFilter::default() };
    assert_eq!(found(none.clone(), ALL).await, (vec![], 0));
    let batch = store.events_after(EventId(3), &of("B"), 2).await.unwrap();
    assert_eq!(batch.events.iter().map(|event| event.id.0).collect::<Vec<_>>(), [4, 6]);
    assert_eq!((batch.up_to, batch.trimmed), (EventId(6), 0));
    assert_eq!(store.events_after(EventId(3), &none, 2).await.unwrap().up_to, EventId(10), "nothing but looked at");
    let listing = store.events(&everything, Page { offset: 9, limit: 1 }).await.unwrap();
    assert_eq!(listing.items[0].entry, refusal(0, None, Some("A")));
}

pub(super) async fn informs_leave_their_events(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let id = identity("A");
    let inform = async |at: i64, events: &[&'static str], values: &[(&str, &str)]| {
        let events: Vec<_> = events.iter().map(|raw| event(raw)).collect();
        let values: Vec<_> = values.iter().map(|(path, text)| value(path, text)).collect();
        let durability = if at % 2 == 0 { Durability::Durable } else { Durability::Relaxed };
        store.record_inform(key, facts(&id, at, &events, &values), durability).await.unwrap();
    };
    inform(10, &["0 BOOTSTRAP", "1 BOOT"], &[("Device.DeviceInfo.SoftwareVersion", "1")]).await;
    inform(11, &["2 PERIODIC"], &[("Device.DeviceInfo.SoftwareVersion", "1")]).await;
    assert_eq!(kinds(store).await, ["first_contact", "bootstrap", "boot", "status"]);
    inform(13, &["1 BOOT"], &[("Device.DeviceInfo.SoftwareVersion", "2")]).await;
    let learn = |path: &str| ParameterPatch {
        path: path.into(),
        value: Some(("old".into(), XsdType::String)),
        writable: None,
        notification: None,
    };
    let patch =
        TreePatch { forget: vec![], learn: vec![learn("Device.A"), learn("Device.B"), learn("Device.KeyPassphrase")] };
    store.patch_parameters(key, patch, secs(14)).await.unwrap();
    let values = [
        ("Device.DeviceInfo.SoftwareVersion", "2"),
        ("Device.A", "new"),
        ("Device.B", "old"),
        ("Device.KeyPassphrase", "x"),
    ];
    inform(16, &["4 VALUE CHANGE"], &values).await;
    inform(18, &["4 VALUE CHANGE"], &values).await;
    let found = all(store).await;
    let rest: Vec<_> = found[4..].iter().map(|event| event.entry.data.clone()).collect();
    let change = |path: &str, old: &str, new: &str| EventData::ValueChange {
        path: path.into(),
        old: Some(old.into()),
        new: new.into(),
    };
    assert_eq!(
        rest,
        [
            EventData::Boot,
            EventData::FirmwareChanged { old: "1".into(), new: "2".into() },
            change("Device.A", "old", "new"),
            change("Device.KeyPassphrase", BLANKED, BLANKED),
        ],
        "what was known from a read counts, and the same Inform again changes nothing"
    );
    let head = &found[0].entry.head;
    assert_eq!((head.time, head.organization), (secs(10), Some(OrganizationId(1))));
    assert_eq!(head.serial_number.as_ref().map(SerialNumber::as_str), Some("A"));
}

pub(super) async fn ends_and_silence_leave_their_events(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    store.record_inform(key, facts(&identity("A"), 1, &[], &[]), Durability::Relaxed).await.unwrap();
    for at in 0..3 {
        enqueue(store, key, at).await;
    }
    let running = store.claim(key, &[], secs(5)).await.unwrap().unwrap();
    let ended = completed(&running, 6);
    for _ in 0..2 {
        store.settle(&ended, &[result(0, "x")]).await.unwrap();
    }
    let listed = store.transactions(&acsd::store::TransactionFilter::default(), ALL).await.unwrap();
    store.cancel(listed.items[0].id, secs(7)).await.unwrap();
    store
        .edit_state(key, Box::new(|state| (state.status, state.status_change) = (Status::Down, secs(9))))
        .await
        .unwrap();
    store.edit_state(key, Box::new(|state| state.informs += 1)).await.unwrap();
    let found = all(store).await;
    let data: Vec<_> = found.iter().skip(2).map(|event| event.entry.data.clone()).collect();
    let EventData::TransactionEnded { id, status, fault, .. } = &data[0] else { panic!("{data:?}") };
    assert_eq!((*id, *status, fault), (running.id, TransactionStatus::Completed, &None));
    assert!(matches!(&data[1], EventData::TransactionEnded { status: TransactionStatus::Canceled, .. }));
    assert_eq!(data[2..], [EventData::Status { status: Status::Down }]);
    assert!(store.remove(key).await.unwrap());
    assert_eq!(all(store).await, found, "events outlive their device");
}

pub(super) async fn old_events_are_dropped_in_steps(store: &Arc<dyn Store>) {
    for at in 0..20 {
        store.append_event(refusal(at, None, None)).unwrap();
    }
    store.events_durable().await.unwrap();
    let old = Retention { before: secs(5), max: 100 };
    assert_eq!(store.trim_events(old, 3).await.unwrap(), 3);
    assert_eq!(store.trim_events(old, 3).await.unwrap(), 2);
    assert_eq!(store.trim_events(Retention { before: secs(0), max: 4 }, 100).await.unwrap(), 11);
    let left: Vec<u64> = all(store).await.iter().map(|event| event.id.0).collect();
    assert_eq!(left, [17, 18, 19, 20]);
    let batch = store.events_after(EventId(10), &EventFilter::default(), 1).await.unwrap();
    assert_eq!((batch.events[0].id, batch.trimmed), (EventId(17), 6));
    assert_eq!(store.trim_events(Retention { before: secs(999), max: 1 }, 100).await.unwrap(), 3, "the newest stays");
}

pub(super) fn audit_entry(at: i64, token: u32, resource: AuditResource, organization: Option<u32>) -> AuditEntry {
    AuditEntry {
        head: AuditHead {
            time: secs(at),
            token: TokenId(token),
            resource,
            organization: organization.map(OrganizationId),
            serial_number: (resource == AuditResource::Device).then(|| SerialNumber::try_from("A").unwrap()),
        },
        token_name: "dash".to_owned(),
        action: AuditAction::Update,
        resource_id: "A".to_owned(),
        before: Some(r#"{"name":"a"}"#.to_owned()),
        after: Some(format!(r#"{{"name":"{}"}}"#, "b".repeat(usize::try_from(at).unwrap() * 1000))),
        request_id: "r".to_owned(),
    }
}

pub(super) async fn the_audit_trail_is_kept_and_found(store: &Arc<dyn Store>) {
    let entries = [
        audit_entry(1, 1, AuditResource::Device, Some(1)),
        audit_entry(2, 1, AuditResource::Token, None),
        audit_entry(3, 2, AuditResource::Device, Some(2)),
        audit_entry(90, 2, AuditResource::Webhook, None),
    ];
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(store.add_audit(entry.clone()).await.unwrap(), AuditId(at as u64 + 1));
    }
    let found = async |filter: AuditFilter| {
        let listing = store.audit(&filter, ALL).await.unwrap();
        assert_eq!(listing.count, listing.items.len() as u64);
        listing.items.iter().map(|record| record.id.0).collect::<Vec<_>>()
    };
    assert_eq!(found(AuditFilter::default()).await, [4, 3, 2, 1]);
    assert_eq!(found(AuditFilter { token: Some(TokenId(2)), ..AuditFilter::default() }).await, [4, 3]);
    assert_eq!(found(AuditFilter { resource: Some(AuditResource::Token), ..AuditFilter::default() }).await, [2]);
    assert_eq!(found(AuditFilter { serial_number: Some("A".to_owned()), ..AuditFilter::default() }).await, [3, 1]);
    assert_eq!(found(AuditFilter { since: Some(secs(3)), ..AuditFilter::default() }).await, [4, 3]);
    let bound = AuditFilter { visible: Some((vec![OrganizationId(2)], TokenId(1))), ..AuditFilter::default() };
    assert_eq!(found(bound).await, [3, 2, 1], "its organization's, and its own");
    let newest = store.audit(&AuditFilter::default(), Page { offset: 0, limit: 1 }).await.unwrap();
    assert_eq!(newest.items[0].entry, entries[3], "large ones are whole");
    assert_eq!(store.trim_audit(Retention { before: secs(3), max: 100 }, 100).await.unwrap(), 2);
    assert_eq!(found(AuditFilter::default()).await, [4, 3]);
}
