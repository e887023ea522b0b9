//! Lists: searches, filters, orderings, the same from every backend and after every change.

use std::net::IpAddr;
use std::sync::Arc;

use acsd::model::device::{Device, DeviceTypeId, OrganizationId, Profile, Status};
use acsd::model::file::ImageId;
use acsd::model::inventory::LocationId;
use acsd::store::listing::OrderField;
use acsd::store::{DeviceFilter, Durability, NewDevice, Page, Store};
use acsd::types::ident::DeviceKey;
use proptest::prelude::*;

use super::support::*;

async fn serials(store: &Arc<dyn Store>, filter: &DeviceFilter) -> Vec<String> {
    let listing = store.list(filter, ALL).await.unwrap();
    assert_eq!(listing.count, u64::try_from(listing.items.len()).unwrap());
    listing.items.into_iter().map(|device| device.profile.serial_number.to_string()).collect()
}

fn search(text: &str) -> DeviceFilter {
    DeviceFilter { search: text.parse().unwrap(), ..DeviceFilter::default() }
}

fn order(text: &str) -> DeviceFilter {
    DeviceFilter { order: text.parse().unwrap(), ..DeviceFilter::default() }
}

/// Informs from an address, with a version and of a maker.
async fn inform(store: &Arc<dyn Store>, device: &Device, at: i64, peer: &str, version: &str, maker: &str) {
    let serial = device.profile.serial_number.as_str();
    let id = identity(serial);
    let values = [value("Device.DeviceInfo.SoftwareVersion", version)];
    let peer: IpAddr = peer.parse().unwrap();
    let facts = acsd::model::learn::InformFacts { peer, manufacturer: maker, ..facts(&id, at, &[], &values) };
    store.record_inform(device.key, facts, Durability::Relaxed).await.unwrap();
}

async fn enter(store: &Arc<dyn Store>, serial: &str, edit: impl FnOnce(&mut Profile)) -> Device {
    let mut new = new_device(serial);
    new.profile.tags.clear();
    edit(&mut new.profile);
    store.register(new).await.unwrap()
}

pub(super) async fn words_are_found_wherever_they_stand(store: &Arc<dyn Store>) {
    let a = enter(store, "ZN-0001", |profile| profile.name = "Lobby Ädelweiß".into()).await;
    enter(store, "ZN-0002", |profile| {
        profile.customer_id = "CUST-77".into();
        profile.tags = vec!["Roof".into(), "north wing".into()];
    })
    .await;
    enter(store, "XX-3", |profile| profile.serial_number_alt = "zn-0001-old".into()).await;
    inform(store, &a, 10, "::ffff:192.0.2.77", "1.0", "Maker").await;
    let table: [(&str, &[&str]); 14] = [
        ("", &["ZN-0001", "ZN-0002", "XX-3"]),
        ("zn-", &["ZN-0001", "ZN-0002", "XX-3"]),
        ("ZN-0001", &["ZN-0001", "XX-3"]),
        ("old", &["XX-3"]),
        ("äDEL", &["ZN-0001"]),
        ("77", &["ZN-0001", "ZN-0002"]),
        ("192.0.2.", &["ZN-0001"]),
        ("ffff", &[]),
        ("roof", &["ZN-0002"]),
        ("wing north", &["ZN-0002"]),
        ("roof lobby", &[]),
        ("zn lobby", &["ZN-0001"]),
        ("0001lobby", &[]),
        ("maker", &[]),
    ];
    for (text, want) in table {
        assert_eq!(serials(store, &search(text)).await, want, "{text:?}");
    }
}

pub(super) async fn lists_are_ordered_by_every_field(store: &Arc<dyn Store>) {
    let table = [
        ("B", "beta", "2", 5, "198.51.100.9", "2.0", "m", 30),
        ("a", "Alpha", "", 9, "198.51.100.10", "1.0", "M", 20),
        ("C", "alpha", "10", 1, "2001:db8::1", "1.0", "a", 10),
    ];
    for (serial, name, customer, created, peer, version, maker, at) in table {
        let device = enter(store, serial, |profile| {
            profile.name = name.into();
            profile.customer_id = customer.into();
            profile.created = secs(created);
        })
        .await;
        inform(store, &device, at, peer, version, maker).await;
    }
    let unseen = enter(store, "D", |profile| profile.created = secs(7)).await;
    let table = [
        ("id", "BaCD"),
        ("-id", "DCaB"),
        ("-id,name", "DCaB"),
        ("serial_number", "aBCD"),
        ("-serial_number", "DCBa"),
        ("name", "aCBD"),
        ("name,-id", "CaBD"),
        ("-name", "DBaC"),
        ("customer_id", "aDCB"),
        ("status", "DBaC"),
        ("-status", "BaCD"),
        ("status,-customer_id", "DBCa"),
        ("status_change", "DCaB"),
        ("last_connection", "DCaB"),
        ("-last_connection", "BaCD"),
        ("created", "CBDa"),
        ("software_version", "DaCB"),
        ("software_version,-created", "DaCB"),
        ("software_version,created", "DCaB"),
        ("manufacturer", "DCBa"),
        ("address", "DBaC"),
        ("-address", "CaBD"),
    ];
    for (text, want) in table {
        assert_eq!(serials(store, &order(text)).await.concat(), want, "{text}");
        let mut paged = String::new();
        for offset in 0..5 {
            let page = store.list(&order(text), Page { offset, limit: 1 }).await.unwrap();
            assert_eq!(page.count, 4);
            paged.extend(page.items.iter().map(|device| device.profile.serial_number.as_str()));
        }
        assert_eq!(paged, want, "{text}, page by page");
    }
    inform(store, &unseen, 40, "192.0.2.1", "0.9", "z").await;
    assert_eq!(serials(store, &order("-last_connection")).await.concat(), "DBaC");
    assert_eq!(serials(store, &order("manufacturer,address")).await.concat(), "CBaD");
}

pub(super) async fn filters_follow_every_change(store: &Arc<dyn Store>) {
    let device = enter(store, "A", |profile| profile.tags = vec!["one".into(), "two".into()]).await;
    let other = enter(store, "B", |profile| profile.location = Some(LocationId(4))).await;
    inform(store, &device, 10, "192.0.2.1", "1.0", "Maker").await;
    let any = DeviceFilter::default();
    let tags = |tags: &[&str]| DeviceFilter { tags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..any.clone() };
    let version = |text: &str| DeviceFilter { software_version: Some(text.into()), ..any.clone() };
    let maker = |text: &str| DeviceFilter { manufacturer: Some(text.into()), ..any.clone() };
    let location = |id| DeviceFilter { location: Some(LocationId(id)), ..any.clone() };
    for (filter, want) in [
        (tags(&["one"]), "A"),
        (tags(&["one", "two"]), "A"),
        (tags(&["one", "three"]), ""),
        (tags(&["ONE"]), ""),
        (version("1.0"), "A"),
        (version("1"), ""),
        (maker("Maker"), "A"),
        (location(4), "B"),
        (location(5), ""),
    ] {
        assert_eq!(serials(store, &filter).await.concat(), want, "{filter:?}");
    }
    let edit = |profile: &mut Profile| {
        profile.tags = vec!["three".into()];
        profile.location = Some(LocationId(5));
        profile.name = "renamed".into();
    };
    store.edit_profile(device.key, Box::new(edit)).await.unwrap();
    inform(store, &device, 20, "192.0.2.99", "2.0", "Other").await;
    for (filter, want) in [
        (tags(&["one"]), ""),
        (tags(&["three"]), "A"),
        (version("1.0"), ""),
        (version("2.0"), "A"),
        (maker("Maker"), ""),
        (maker("Other"), "A"),
        (location(5), "A"),
        (search("renamed"), "A"),
        (search("192.0.2.99"), "A"),
        (search("192.0.2.1"), ""),
    ] {
        assert_eq!(serials(store, &filter).await.concat(), want, "{filter:?}");
    }
    let down = |state: &mut acsd::model::device::State| {
        state.status = Status::Down;
        state.status_change = secs(99);
    };
    store.edit_state(device.key, Box::new(down)).await.unwrap();
    let changed = DeviceFilter { status_change_from: Some(secs(99)), status: Some(Status::Down), ..any.clone() };
    assert_eq!(serials(store, &changed).await, ["A"]);
    store.remove(device.key).await.unwrap();
    for filter in [tags(&["three"]), version("2.0"), maker("Other"), location(5), search("renamed"), changed] {
        assert_eq!(serials(store, &filter).await.concat(), "", "{filter:?}");
    }
    assert_eq!(serials(store, &order("name")).await, ["B"]);
    assert_eq!(store.device(other.key).await.unwrap().unwrap().profile.location, Some(LocationId(4)));
}

pub(super) async fn all_that_match_are_read_in_order(store: &Arc<dyn Store>) {
    for n in 0..100 {
        enter(store, &format!("S{:02}", (n * 37) % 100), |_| {}).await;
    }
    let keys = store.select(&order("-serial_number")).await.unwrap();
    assert!(store.remove(keys[1]).await.unwrap());
    let devices = store.devices(&keys[..4]).await.unwrap();
    let serials: Vec<_> = devices.iter().map(|device| device.profile.serial_number.as_str()).collect();
    assert_eq!((keys.len(), serials.as_slice()), (100, ["S99", "S97", "S96"].as_slice()));
    assert_eq!(store.select(&search("s1")).await.unwrap().len(), 10);
    assert!(store.devices(&[DeviceKey(9999)]).await.unwrap().is_empty());
}

/// Something that happens to one of the devices.
#[derive(Debug, Clone)]
enum Change {
    Edit { name: String, customer: String, tags: Vec<String>, organization: u32, location: Option<u32>, active: bool },
    Inform { at: i64, peer: u8, version: String, maker: String },
    Down { at: i64 },
    Remove,
}

fn word() -> impl Strategy<Value = String> {
    "[aAbB1é]{0,3}"
}

fn change() -> impl Strategy<Value = Change> {
    let tags = proptest::collection::vec("[ab]{1,2}", 0..3);
    let edit = (word(), word(), tags, 1..4_u32, proptest::option::of(1..3_u32), any::<bool>());
    prop_oneof![
        4 => edit.prop_map(|(name, customer, tags, organization, location, active)| Change::Edit {
            name, customer, tags, organization, location, active
        }),
        4 => (0..50_i64, any::<u8>(), word(), word())
            .prop_map(|(at, peer, version, maker)| Change::Inform { at, peer, version, maker }),
        1 => (0..50_i64).prop_map(|at| Change::Down { at }),
        1 => Just(Change::Remove),
    ]
}

fn filter() -> impl Strategy<Value = DeviceFilter> {
    let sometimes = |text: &'static str| proptest::option::weighted(0.2, text);
    let orders = proptest::collection::vec((0..OrderField::ALL.len(), any::<bool>()), 0..3);
    let first = (
        proptest::option::weighted(0.2, proptest::collection::vec(1..4_u32, 0..3)),
        proptest::option::weighted(0.2, 1..4_u32),
        proptest::option::weighted(0.2, any::<bool>()),
        proptest::option::weighted(0.2, any::<bool>()),
        proptest::option::weighted(0.2, 0..50_i64),
    );
    let second = (
        proptest::option::weighted(0.5, "[ab1é.]{1,2}( [ab1]{1,2})?"),
        proptest::collection::vec("[ab]{1,2}", 0..2),
        sometimes("[aAbB1é]{1,3}"),
        sometimes("[aAbB1é]{1,3}"),
        proptest::option::weighted(0.2, 1..4_u32),
        proptest::option::weighted(0.2, 1..4_u32),
        orders,
    );
    (first, second).prop_map(
        |((visible, organization, up, active, from), (words, tags, version, maker, location, image, orders))| {
            let order = |(field, reverse): (usize, bool)| {
                format!("{}{}", if reverse { "-" } else { "" }, OrderField::ALL[field].as_str())
            };
            let orders: Vec<String> = orders.into_iter().map(order).collect();
            DeviceFilter {
                among: None,
                visible: visible.map(|all| all.into_iter().map(OrganizationId).collect()),
                organization: organization.map(OrganizationId),
                device_type: None,
                status: up.map(|up| if up { Status::Up } else { Status::Down }),
                is_active: active,
                status_change_from: from.map(secs),
                search: words.unwrap_or_default().parse().unwrap(),
                tags,
                software_version: version,
                manufacturer: maker,
                location: location.map(LocationId),
                firmware_image: image.map(ImageId),
                order: if orders.is_empty() { Default::default() } else { orders.join(",").parse().unwrap() },
            }
        },
    )
}

async fn apply(store: &Arc<dyn Store>, key: u32, change: Change) {
    let key = DeviceKey(key);
    let Some(device) = store.device(key).await.unwrap() else { return };
    match change {
        Change::Edit { name, customer, tags, organization, location, active } => {
            let edit = move |profile: &mut Profile| {
                profile.name = name;
                profile.customer_id = customer;
                profile.tags = tags;
                profile.organization = OrganizationId(organization);
                profile.device_type = DeviceTypeId(organization);
                profile.location = location.map(LocationId);
                profile.firmware_image = location.map(|location| ImageId(4 - location));
                profile.is_active = active;
            };
            store.edit_profile(key, Box::new(edit)).await.unwrap();
        }
        Change::Inform { at, peer, version, maker } => {
            inform(store, &device, at, &format!("192.0.2.{peer}"), &version, &maker).await;
        }
        Change::Down { at } => {
            let edit = move |state: &mut acsd::model::device::State| {
                state.status = Status::Down;
                state.status_change = secs(at);
            };
            store.edit_state(key, Box::new(edit)).await.unwrap();
        }
        Change::Remove => assert!(store.remove(key).await.unwrap()),
    }
}

async fn same_answers(reference: &Arc<dyn Store>, subject: &Arc<dyn Store>, filters: &[DeviceFilter]) {
    for filter in filters {
        let want = reference.list(filter, ALL).await.unwrap();
        let given = subject.list(filter, ALL).await.unwrap();
        let keys = |devices: &[Device]| devices.iter().map(|device| device.key.0).collect::<Vec<_>>();
        assert_eq!(keys(&given.items), keys(&want.items), "{filter:?}");
        assert_eq!(given.count, want.count, "{filter:?}");
        assert_eq!(subject.select(filter).await.unwrap(), reference.select(filter).await.unwrap());
        for page in [Page { offset: 1, limit: 2 }, Page { offset: want.count / 2, limit: 3 }] {
            let want = reference.list(filter, page).await.unwrap();
            let given = subject.list(filter, page).await.unwrap();
            assert_eq!((keys(&given.items), given.count), (keys(&want.items), want.count), "{filter:?} {page:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, ..ProptestConfig::default() })]

    /// Whatever happens to the devices, the embedded store's index answers as looking at each of them would, also when it has
    /// been built anew.
    #[test]
    fn the_index_answers_as_a_look_at_every_device_would(
        keys in proptest::collection::btree_set(1..3000_u32, 1..60),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), change()), 0..150),
        filters in proptest::collection::vec(filter(), 40),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let reference = open_memory().await.store;
            let folder = tempfile::tempdir().unwrap();
            let subject: Arc<dyn Store> = open_at(folder.path()).await;
            for key in &keys {
                let new = || NewDevice { key: Some(DeviceKey(*key)), ..new_device(&format!("sN{}", key % 977 * 1000 + key)) };
                reference.register(new()).await.unwrap();
                subject.register(new()).await.unwrap();
            }
            let keys: Vec<u32> = keys.into_iter().collect();
            for (place, change) in changes {
                let key = *place.get(&keys);
                apply(&reference, key, change.clone()).await;
                apply(&subject, key, change).await;
            }
            same_answers(&reference, &subject, &filters).await;
            subject.close().await.unwrap();
            drop(subject);
            let subject: Arc<dyn Store> = open_at(folder.path()).await;
            same_answers(&reference, &subject, &filters).await;
            subject.close().await.unwrap();
        });
    }
}
