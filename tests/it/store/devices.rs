//! The inventory and the tokens.

use std::sync::Arc;

use acsd::model::device::{DeviceTypeId, OrganizationId, Status};
use acsd::model::token::{Role, TokenId, TokenRecord};
use acsd::store::{DeviceFilter, Durability, NewDevice, Page, RegisterError, Store, UpDevice};
use acsd::types::ident::{DeviceKey, SerialNumber};

use super::support::*;

pub(super) async fn registration_refuses_what_is_taken(store: &Arc<dyn Store>) {
    register(store, "A").await;
    let again = store.register(new_device("A")).await;
    assert!(matches!(again, Err(RegisterError::SerialTaken { serial }) if serial.as_str() == "A"));
    let same_identity = NewDevice { identity: Some(identity("A")), ..new_device("B") };
    let refused = store.register(same_identity).await;
    assert!(matches!(refused, Err(RegisterError::IdentityTaken { identity: taken }) if taken == identity("A")));
    let same_key = NewDevice { key: Some(DeviceKey(1)), ..new_device("C") };
    assert!(matches!(store.register(same_key).await, Err(RegisterError::KeyTaken { key: DeviceKey(1) })));
    assert_eq!(store.list(&DeviceFilter::default(), ALL).await.unwrap().count, 1, "what was refused left no trace");

    let racing = (0..20).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move { store.register(new_device("RACE")).await.is_ok() })
    });
    let mut won = 0;
    for task in racing.collect::<Vec<_>>() {
        won += usize::from(task.await.unwrap());
    }
    assert_eq!(won, 1, "one of them wins");
}

pub(super) async fn keys_are_dense_and_never_given_twice(store: &Arc<dyn Store>) {
    let mut keys = Vec::new();
    for serial in ["A", "B", "C"] {
        keys.push(register(store, serial).await.key.0);
    }
    assert_eq!(keys, [1, 2, 3]);
    let wished = store.register(NewDevice { key: Some(DeviceKey(5)), ..new_device("W") }).await.unwrap();
    assert_eq!(wished.key, DeviceKey(5));
    assert!(store.remove(DeviceKey(3)).await.unwrap());
    assert!(!store.remove(DeviceKey(3)).await.unwrap(), "it is gone already");
    let next: Vec<u32> = [register(store, "D").await.key.0, register(store, "E").await.key.0].into();
    assert_eq!(next, [4, 6]);
    let reused = store.register(NewDevice { key: Some(DeviceKey(3)), ..new_device("C") }).await;
    assert!(matches!(reused, Err(RegisterError::KeyTaken { .. })));
    assert_eq!(register(store, "C").await.key, DeviceKey(7), "a removed device's names are free again");
}

pub(super) async fn a_device_is_found_by_identity_serial_and_key(store: &Arc<dyn Store>) {
    for serial in ["A", "B", "серийный 7"] {
        register(store, serial).await;
    }
    let by_identity = store.find(&identity("B")).await.unwrap().expect("there");
    assert_eq!(by_identity.profile.serial_number.as_str(), "B");
    assert_eq!(by_identity.state.identity, Some(identity("B")));
    assert_eq!(store.by_serial("B").await.unwrap(), Some(by_identity.clone()));
    assert_eq!(store.device(by_identity.key).await.unwrap(), Some(by_identity));
    assert_eq!(store.by_serial("серийный 7").await.unwrap().unwrap().key, DeviceKey(3));
    assert_eq!(store.find(&identity("X")).await.unwrap(), None);
    assert_eq!(store.by_serial("b").await.unwrap(), None);
    assert_eq!(store.device(DeviceKey(9)).await.unwrap(), None);
    assert_eq!(store.device(DeviceKey(0)).await.unwrap(), None);
}

pub(super) async fn binding_takes_an_identity_once(store: &Arc<dyn Store>) {
    let ahead = NewDevice { identity: None, ..new_device("A") };
    let key = store.register(ahead).await.unwrap().key;
    let other = register(store, "B").await.key;
    assert_eq!(store.find(&identity("A")).await.unwrap(), None);
    let taken = store.bind(key, &identity("B")).await;
    assert!(matches!(taken, Err(RegisterError::IdentityTaken { .. })));
    store.bind(key, &identity("A")).await.expect("free");
    store.bind(key, &identity("A")).await.expect("a second time changes nothing");
    assert_eq!(store.find(&identity("A")).await.unwrap().unwrap().key, key);
    assert!(matches!(store.bind(other, &identity("Z")).await, Err(RegisterError::IdentityTaken { .. })));
    assert!(matches!(store.bind(DeviceKey(99), &identity("Z")).await, Err(RegisterError::UnknownDevice)));
}

pub(super) async fn an_inform_is_learned(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let id = identity("A");
    let boot = [event("1 BOOT")];
    let values = [value("Device.DeviceInfo.SoftwareVersion", "1.0")];
    for durability in [Durability::Durable, Durability::Relaxed] {
        let (state, learned) =
            store.record_inform(key, facts(&id, 10, &boot, &values), durability).await.unwrap().expect("there");
        assert_eq!(learned.first_contact, durability == Durability::Durable);
        assert_eq!(state.status, Status::Up);
    }
    let device = store.device(key).await.unwrap().unwrap();
    assert_eq!((device.state.informs, &*device.state.software_version), (2, "1.0"));
    assert_eq!(device.state.last_inform, Some(secs(10)));
    let gone = store.record_inform(DeviceKey(9), facts(&id, 10, &[], &[]), Durability::Durable).await.unwrap();
    assert!(gone.is_none());
    let down = store
        .edit_state(
            key,
            Box::new(|state| {
                state.status = Status::Down;
                state.status_change = secs(99);
            }),
        )
        .await
        .unwrap();
    assert_eq!(down.unwrap().state.status, Status::Down);
    assert_eq!(store.figures(secs(100)).devices_up, 0);
    assert!(store.edit_state(DeviceKey(9), Box::new(|_| {})).await.unwrap().is_none());
}

pub(super) async fn concurrent_informs_and_edits_lose_nothing(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let tasks: Vec<_> = (0..60)
        .map(|n| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let id = identity("A");
                let durability = if n % 2 == 0 { Durability::Durable } else { Durability::Relaxed };
                store.record_inform(key, facts(&id, n, &[], &[]), durability).await.unwrap().unwrap();
                let tag = n.to_string();
                store.edit_profile(key, Box::new(move |profile| profile.tags.push(tag))).await.unwrap().unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let device = store.device(key).await.unwrap().unwrap();
    assert_eq!((device.state.informs, device.profile.tags.len()), (60, 61));
}

pub(super) async fn profiles_change_but_not_their_names(store: &Arc<dyn Store>) {
    let before = register(store, "A").await;
    let edited = store
        .edit_profile(
            before.key,
            Box::new(|profile| {
                profile.name = "Attic".to_owned();
                profile.organization = OrganizationId(7);
                profile.serial_number = SerialNumber::try_from("other").unwrap();
                profile.uuid = uuid::Uuid::nil();
                profile.description = "d".repeat(70_000);
            }),
        )
        .await
        .unwrap()
        .expect("there");
    assert_eq!((edited.profile.uuid, edited.profile.serial_number.as_str()), (before.profile.uuid, "A"));
    assert_eq!(store.by_serial("A").await.unwrap(), Some(edited.clone()));
    assert_eq!(edited.profile.name, "Attic");
    let of_seven = DeviceFilter { organization: Some(OrganizationId(7)), ..DeviceFilter::default() };
    assert_eq!(store.list(&of_seven, ALL).await.unwrap().count, 1);
    let shorter = store.edit_profile(before.key, Box::new(|profile| profile.description.truncate(3))).await.unwrap();
    assert_eq!(store.device(before.key).await.unwrap(), shorter);
    assert!(store.edit_profile(DeviceKey(9), Box::new(|_| {})).await.unwrap().is_none());
}

pub(super) async fn filters_count_exactly_and_page(store: &Arc<dyn Store>) {
    for n in 0..30_u32 {
        let mut new = new_device(&format!("S{n}"));
        new.profile.organization = OrganizationId(1 + n % 3);
        new.profile.device_type = DeviceTypeId(1 + n % 2);
        new.profile.is_active = n % 5 != 0;
        let key = store.register(new).await.unwrap().key;
        if n % 2 == 0 {
            let id = identity(&format!("S{n}"));
            store.record_inform(key, facts(&id, 1000 + i64::from(n), &[], &[]), Durability::Relaxed).await.unwrap();
        }
    }
    let any = DeviceFilter::default();
    let org = |n| Some(OrganizationId(n));
    let table = [
        ("all", any.clone(), 30),
        ("organization", DeviceFilter { organization: org(2), ..any.clone() }, 10),
        ("unknown organization", DeviceFilter { organization: org(9), ..any.clone() }, 0),
        ("among", DeviceFilter { among: Some(vec![DeviceKey(4), DeviceKey(4)]), ..any.clone() }, 1),
        ("among, and not", DeviceFilter { among: Some(Vec::new()), ..any.clone() }, 0),
        ("visible", DeviceFilter { visible: Some(vec![OrganizationId(1), OrganizationId(3)]), ..any.clone() }, 20),
        ("none visible", DeviceFilter { visible: Some(Vec::new()), ..any.clone() }, 0),
        (
            "not visible",
            DeviceFilter { visible: Some(vec![OrganizationId(1)]), organization: org(2), ..any.clone() },
            0,
        ),
        ("type", DeviceFilter { device_type: Some(DeviceTypeId(2)), ..any.clone() }, 15),
        ("unknown type", DeviceFilter { device_type: Some(DeviceTypeId(7)), ..any.clone() }, 0),
        ("up", DeviceFilter { status: Some(Status::Up), ..any.clone() }, 15),
        ("down", DeviceFilter { status: Some(Status::Down), ..any.clone() }, 15),
        ("active", DeviceFilter { is_active: Some(true), ..any.clone() }, 24),
        ("inactive", DeviceFilter { is_active: Some(false), ..any.clone() }, 6),
        ("changed", DeviceFilter { status_change_from: Some(secs(1010)), ..any.clone() }, 10),
        (
            "together",
            DeviceFilter {
                organization: org(1),
                status: Some(Status::Up),
                status_change_from: Some(secs(1006)),
                ..any.clone()
            },
            4,
        ),
    ];
    for (case, filter, count) in table {
        let all = store.list(&filter, ALL).await.unwrap();
        assert_eq!((all.count, all.items.len()), (count, usize::try_from(count).unwrap()), "{case}");
        assert!(all.items.is_sorted_by_key(|device| device.key), "{case}");
        let mut paged = Vec::new();
        for offset in (0..=count).step_by(4) {
            let page = store.list(&filter, Page { offset, limit: 4 }).await.unwrap();
            assert_eq!(page.count, count, "{case}");
            paged.extend(page.items);
        }
        assert_eq!(paged, all.items, "{case}: pages join to the whole");
    }
}

pub(super) async fn up_devices_are_listed_for_the_timer(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    register(store, "B").await;
    let id = identity("A");
    let values = [value("Device.ManagementServer.PeriodicInformInterval", "300")];
    store.record_inform(key, facts(&id, 50, &[], &values), Durability::Relaxed).await.unwrap();
    let up = store.up_devices().await.unwrap();
    assert_eq!(up, [UpDevice { key, last_inform: secs(50), interval_secs: Some(300) }]);
}

pub(super) async fn removal_takes_everything(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let other = register(store, "B").await.key;
    let ended = enqueue(store, key, 1).await;
    let claimed = store.claim(key, &[], secs(2)).await.unwrap().unwrap();
    store.settle(&completed(&claimed, 3), &[result(0, "1.0")]).await.unwrap();
    let waiting = enqueue(store, key, 4).await;
    let kept = enqueue(store, other, 5).await;
    assert!(store.remove(key).await.unwrap());

    assert_eq!(store.device(key).await.unwrap(), None);
    assert_eq!(store.find(&identity("A")).await.unwrap(), None);
    assert_eq!(store.by_serial("A").await.unwrap(), None);
    assert_eq!(store.transaction(ended.id).await.unwrap(), None);
    assert_eq!(store.transaction(waiting.id).await.unwrap(), None);
    assert!(store.results(ended.id).await.unwrap().is_empty());
    assert!(store.live(key).await.unwrap().is_empty());
    assert!(!store.has_work(key, secs(9)));
    let listed = store.transactions(&Default::default(), ALL).await.unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&kept));
    let id = identity("A");
    assert!(store.record_inform(key, facts(&id, 9, &[], &[]), Durability::Relaxed).await.unwrap().is_none());
    let refused = store.enqueue(key, work(read("Device.X")), acsd::store::Merge::Never, secs(9)).await;
    assert!(matches!(refused, Err(acsd::store::EnqueueError::UnknownDevice)));
    store.save(&claimed).await.expect("ignored");
    let again = register(store, "A").await;
    assert_ne!(again.key, key);
    assert!(enqueue(store, again.key, 10).await.id > kept.id);
}

pub(super) async fn tokens_are_kept_found_and_revoked(store: &Arc<dyn Store>) {
    let record = |name: &str, byte: u8| TokenRecord {
        id: TokenId(0),
        name: name.to_owned(),
        role: Role::Operator,
        organizations: Some(vec![OrganizationId(1)]),
        hash: [byte; 32],
        prefix: "acsd_ab".to_owned(),
        created_at: secs(1),
        expires_at: None,
        last_used_at: None,
    };
    let first = store.add_token(record("first", 1)).await.unwrap();
    let second = store.add_token(record("second", 2)).await.unwrap();
    assert_eq!((first.id, second.id), (TokenId(1), TokenId(2)));
    assert_eq!(store.tokens(), [first.clone(), second.clone()]);
    assert_eq!(store.token_by_hash(&[2; 32]), Some(second.clone()));
    assert_eq!(store.token_by_hash(&[3; 32]), None);
    for (at, noted) in [(100, 100), (130, 100), (170, 170)] {
        store.touch_token(first.id, secs(at));
        assert_eq!(store.token_by_hash(&[1; 32]).unwrap().last_used_at, Some(secs(noted)), "at {at}");
    }
    let edit = |token: &mut TokenRecord| token.role = Role::Viewer;
    let edited = store.edit_token(second.id, Box::new(edit)).await.unwrap().expect("there");
    assert_eq!((edited.role, edited.name.as_str()), (Role::Viewer, "second"));
    assert_eq!(store.token_by_hash(&[2; 32]), Some(edited), "in force at once");
    assert_eq!(store.edit_token(TokenId(9), Box::new(edit)).await.unwrap(), None);
    assert!(store.remove_token(second.id).await.unwrap());
    assert!(!store.remove_token(second.id).await.unwrap());
    assert_eq!(store.token_by_hash(&[2; 32]), None);
    assert_eq!(store.add_token(record("third", 3)).await.unwrap().id, TokenId(3), "a number is not used again");
}

pub(super) async fn figures_follow(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    register(store, "B").await;
    let id = identity("A");
    store.record_inform(key, facts(&id, 50, &[], &[]), Durability::Relaxed).await.unwrap();
    enqueue(store, key, 60).await;
    enqueue(store, key, 65).await;
    let figures = store.figures(secs(70));
    assert_eq!((figures.devices, figures.devices_up, figures.queue_depth), (2, 1, 2));
    assert_eq!(figures.queue_oldest_ms, 10_000);
    store.health().expect("takes writes");
}
