//! Removals and new references that cross each other, over a store whose writes take their time.

use std::sync::Arc;

use acsd::api::ApiConfig;
use acsd::clock::SystemClock;
use acsd::store::sled::{StoreConfig, open_sled};
use serde_json::{Value, json};

use super::support::{ADMIN, Api, DEVICES, LOCATIONS, ORGANIZATIONS, TOKENS, TYPES, device, record};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_refers_to_what_was_removed_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = StoreConfig { free_space_floor_bytes: 0, ballast_bytes: 0, ..StoreConfig::new(folder.path()) };
    let store = open_sled(config, Arc::new(SystemClock)).await.expect("opens");
    let api = Api::over(store, ApiConfig { rate_per_second: 0, ..ApiConfig::default() }).await;
    api.create(json!({"serial_number": "S"})).await;
    let fixed = device("S");
    for round in (100..150).map(|round| round * 100) {
        let name = format!("r{round}");
        for list in [ORGANIZATIONS, TYPES, LOCATIONS] {
            api.make(list, json!({"id": round, "name": name})).await;
        }
        let create = json!({"serial_number": name, "type": round, "organization_id": round, "location": round});
        let change = json!({"type": round, "location": round});
        let token = json!({"name": name, "role": "viewer", "organizations": [round]});
        let remove = async |list: &str| api.call_as(ADMIN, "DELETE", &record(list, round), Value::Null).await.status;
        let (created, changed, bound, below, organization, device_type, location) = tokio::join!(
            api.call_as(ADMIN, "POST", DEVICES, create),
            api.call_as(ADMIN, "PATCH", &fixed, change),
            api.call_as(ADMIN, "POST", TOKENS, token),
            api.call_as(ADMIN, "POST", ORGANIZATIONS, json!({"name": "below", "parent": round})),
            remove(ORGANIZATIONS),
            remove(TYPES),
            remove(LOCATIONS),
        );
        for (case, status) in [("organization", organization), ("type", device_type), ("location", location)] {
            assert!(matches!(status, 204 | 409), "{case}: {status}");
        }
        for (case, reply, done) in
            [("create", created, 201), ("change", changed, 200), ("token", bound, 201), ("below", below, 201)]
        {
            assert!(reply.status == done || reply.status == 400, "{case}: {} {}", reply.status, reply.text);
        }
        check(&api).await;
        api.call_as(ADMIN, "PATCH", &device("S"), json!({"type": 1, "location": null})).await.expect(200, "freed");
    }
}

/// Everything that is referred to is there.
async fn check(api: &Api) {
    let store = &api.store;
    let list = api.get(&format!("{DEVICES}?limit=500")).await.expect(200, "devices");
    for row in list["results"].as_array().expect("rows") {
        let number = |name: &str| row[name].as_u64().and_then(|id| u32::try_from(id).ok());
        assert!(number("organization_id").is_some_and(|id| store.organizations().get(id).is_some()), "{row}");
        assert!(number("type").is_some_and(|id| store.device_types().get(id).is_some()), "{row}");
        assert!(number("location").is_none_or(|id| store.locations().get(id).is_some()), "{row}");
    }
    let organizations = store.organizations().all();
    assert!(organizations.values().filter_map(|one| one.parent).all(|parent| organizations.contains_key(&parent.0)));
    // The stranger of these tests is bound to one that there is not.
    let tokens = store.tokens().into_iter().filter(|token| token.name.starts_with('r'));
    assert!(
        tokens.flat_map(|token| token.organizations.unwrap_or_default()).all(|id| organizations.contains_key(&id.0))
    );
}
