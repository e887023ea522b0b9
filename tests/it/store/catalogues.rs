//! Small records: numbers, changes, and what a fresh store has.

use std::sync::Arc;

use acsd::model::device::{DeviceTypeId, OrganizationId};
use acsd::model::inventory::{Location, LocationId, Organization};
use acsd::store::Store;
use acsd::store::catalogue::AddError;
use acsd::types::time::Timestamp;

fn organization(id: u32, name: &str) -> Organization {
    Organization { id: OrganizationId(id), name: name.to_owned(), ..Organization::first(Timestamp(1)) }
}

fn location(id: u32) -> Location {
    Location {
        id: LocationId(id),
        name: "Seattle".to_owned(),
        short_name: "SEA".to_owned(),
        address: String::new(),
        latitude: None,
        longitude: None,
        organization: None,
        created: Timestamp(1),
        revision: 0,
    }
}

pub(super) async fn a_fresh_store_has_its_first_records(store: &Arc<dyn Store>) {
    assert_eq!(store.organizations().of(OrganizationId(1)).expect("there").short_name, "default");
    assert_eq!(store.device_types().of(DeviceTypeId(1)).expect("there").short_name, "generic");
    assert!(store.locations().all().is_empty());
    assert_eq!(store.organizations().all().len(), 1);
}

pub(super) async fn records_are_numbered_and_never_share_a_number(store: &Arc<dyn Store>) {
    let all = store.organizations();
    let second = all.add(None, Box::new(|id| organization(id, "second"))).await.expect("added");
    assert_eq!(second.id, OrganizationId(2));
    let wished = all.add(Some(123), Box::new(|id| organization(id, "wished"))).await.expect("added");
    assert_eq!(wished.id, OrganizationId(123));
    let taken = all.add(Some(123), Box::new(|id| organization(id, "again"))).await;
    assert!(matches!(taken, Err(AddError::Taken { id: 123 })), "{taken:?}");
    assert!(all.remove(123).await.expect("removed"));
    assert!(!all.remove(123).await.expect("asked"));
    let next = all.add(None, Box::new(|id| organization(id, "next"))).await.expect("added");
    assert_eq!(next.id, OrganizationId(124), "a number that was given out is not given out again by itself");
    assert!(all.of(OrganizationId(123)).is_none());
}

pub(super) async fn records_change(store: &Arc<dyn Store>) {
    let all = store.locations();
    let added = all.add(None, Box::new(location)).await.expect("added");
    let before = all.all();
    let edit = |location: &mut Location| location.name = "Tacoma".to_owned();
    let changed = all.edit(added.id.0, Box::new(edit)).await.expect("edited").expect("there");
    assert_eq!((changed.name.as_str(), changed.id), ("Tacoma", added.id));
    assert_eq!(all.of(added.id).expect("there").name, "Tacoma");
    assert_eq!(before.get(&added.id.0).expect("there").name, "Seattle", "a snapshot stays as it was taken");
    assert!(all.edit(99, Box::new(edit)).await.expect("asked").is_none());
}
