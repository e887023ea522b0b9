//! The known parameter tree.

use std::sync::Arc;

use acsd::model::device::{OBSERVED_MAX, Parameter, ParameterPatch, TreePatch};
use acsd::store::{Durability, Page, ParameterQuery, Store};
use acsd::types::ident::DeviceKey;
use acsd::types::value::XsdType;

use super::support::*;

fn learn(values: &[(&str, &str)]) -> TreePatch {
    let one = |(path, value): &(&str, &str)| ParameterPatch {
        path: (*path).into(),
        value: Some(((*value).into(), XsdType::String)),
        writable: None,
        notification: None,
    };
    TreePatch { forget: Vec::new(), learn: values.iter().map(one).collect() }
}

async fn all(store: &Arc<dyn Store>, key: DeviceKey) -> Vec<Parameter> {
    let listing = store.parameters(key, ParameterQuery::default(), ALL).await.unwrap();
    assert_eq!(listing.count, u64::try_from(listing.items.len()).unwrap());
    listing.items
}

async fn shown(store: &Arc<dyn Store>, key: DeviceKey) -> Vec<(String, String)> {
    let text = |p: Parameter| (p.path.into_string(), p.value.map(String::from).unwrap_or_default());
    all(store, key).await.into_iter().map(text).collect()
}

fn texts(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

pub(super) async fn patches_are_learned_and_forgotten(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    store.patch_parameters(key, learn(&[("Device.T.1.B", "b"), ("Device.T.1.A", "a")]), secs(5)).await.unwrap();
    store.patch_parameters(key, learn(&[("Device.T.2.A", "c"), ("Device.T.1.A", "A")]), secs(6)).await.unwrap();
    let flags = ParameterPatch { path: "Device.T.1.".into(), value: None, writable: Some(true), notification: None };
    let notify =
        ParameterPatch { path: "Device.T.1.B".into(), value: None, writable: Some(false), notification: Some(2) };
    store.patch_parameters(key, TreePatch { forget: Vec::new(), learn: vec![flags, notify] }, secs(7)).await.unwrap();
    let tree = all(store, key).await;
    assert_eq!(
        shown(store, key).await,
        texts(&[("Device.T.1.", ""), ("Device.T.1.A", "A"), ("Device.T.1.B", "b"), ("Device.T.2.A", "c")])
    );
    assert_eq!((tree[0].value.as_ref(), tree[0].writable), (None, Some(true)));
    assert_eq!((tree[2].writable, tree[2].notification, tree[2].updated_at), (Some(false), Some(2), secs(7)));
    assert_eq!(tree[1].updated_at, secs(6));

    let paths = ["Device.T.2.A", "Device.T.3.A", "Device.T.1."];
    let known = store.known(key, &paths).await.unwrap();
    assert_eq!(known, [Some(tree[3].clone()), None, Some(tree[0].clone())]);

    let forget = TreePatch { forget: vec!["Device.T.1.".into()], learn: Vec::new() };
    store.patch_parameters(key, forget, secs(8)).await.unwrap();
    assert_eq!(shown(store, key).await, texts(&[("Device.T.2.A", "c")]));
    let other = register(store, "B").await.key;
    assert!(all(store, other).await.is_empty() && all(store, DeviceKey(77)).await.is_empty());
    store.patch_parameters(DeviceKey(77), learn(&[("Device.A", "1")]), secs(9)).await.expect("ignored");
    assert!(all(store, DeviceKey(77)).await.is_empty());
}

pub(super) async fn the_last_informs_lie_over_the_tree(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let id = identity("A");
    store.patch_parameters(key, learn(&[("Device.A", "old"), ("Device.Z", "z")]), secs(5)).await.unwrap();
    let values = [value("Device.A", "new"), value("Device.M", "m")];
    store.record_inform(key, facts(&id, 10, &[], &values), Durability::Relaxed).await.unwrap();
    let want = texts(&[("Device.A", "new"), ("Device.M", "m"), ("Device.Z", "z")]);
    assert_eq!(shown(store, key).await, want);
    assert_eq!(store.known(key, &["Device.A"]).await.unwrap()[0].as_ref().unwrap().updated_at, secs(10));

    store.patch_parameters(key, learn(&[("Device.A", "newer")]), secs(20)).await.unwrap();
    assert_eq!(shown(store, key).await[0].1, "newer", "what was read after the Inform wins");
    store.record_inform(key, facts(&id, 30, &[], &values), Durability::Relaxed).await.unwrap();
    assert_eq!(shown(store, key).await[0].1, "new", "and the next Inform wins over that");
    let forget = TreePatch { forget: vec!["Device.M".into()], learn: Vec::new() };
    store.patch_parameters(key, forget, secs(31)).await.unwrap();
    assert_eq!(shown(store, key).await, texts(&[("Device.A", "new"), ("Device.Z", "z")]));
}

pub(super) async fn a_bootstrap_forgets_the_tree(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let id = identity("A");
    store.patch_parameters(key, learn(&[("Device.A", "a")]), secs(5)).await.unwrap();
    let many: Vec<_> = (0..OBSERVED_MAX + 5).map(|n| format!("Device.N.{n:03}")).collect();
    let values: Vec<_> = many.iter().map(|path| value(path, "v")).collect();
    let (_, learned) = store
        .record_inform(key, facts(&id, 10, &[event("0 BOOTSTRAP")], &values), Durability::Durable)
        .await
        .unwrap()
        .unwrap();
    assert!(learned.bootstrapped);
    let shown: Vec<_> = shown(store, key).await.into_iter().map(|(path, _)| path).collect();
    assert_eq!(shown, many, "the old tree is gone, the Inform's values are all there");
}

pub(super) async fn subtrees_are_searched_and_paged(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    let paths: Vec<String> = (0..50).map(|n| format!("Device.WiFi.SSID.{n}.Name")).collect();
    let mut values: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "guest")).collect();
    values.push(("Device.DeviceInfo.Manufacturer", "Übertragung GmbH"));
    store.patch_parameters(key, learn(&values), secs(5)).await.unwrap();
    let table = [
        (("", ""), 51),
        (("Device.WiFi.", ""), 50),
        (("Device.WiFi.SSID.4", ""), 11),
        (("", "NAME"), 50),
        (("", "übertragung g"), 1),
        (("Device.DeviceInfo.", "guest"), 0),
        (("Device.Nothing.", ""), 0),
    ];
    for ((prefix, search), count) in table {
        let query = ParameterQuery { prefix, search };
        let page = store.parameters(key, query, Page { offset: 0, limit: 3 }).await.unwrap();
        assert_eq!(page.count, count, "{query:?}");
        assert_eq!(page.items.len(), usize::try_from(count.min(3)).unwrap(), "{query:?}");
    }
    let query = ParameterQuery { prefix: "Device.WiFi.", search: "" };
    let page = store.parameters(key, query, Page { offset: 48, limit: 10 }).await.unwrap();
    assert_eq!(page.items.len(), 2);
}

pub(super) async fn large_trees_are_kept(store: &Arc<dyn Store>) {
    let key = register(store, "A").await.key;
    // Values that no compressor can shrink below one record's limit.
    let values: Vec<(String, String)> = (0..3000)
        .map(|n| (format!("Device.Big.{n:05}.Value"), (0..6).map(|_| format!("{:016x}", fastrand::u64(..))).collect()))
        .collect();
    let borrowed: Vec<(&str, &str)> = values.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    store.patch_parameters(key, learn(&borrowed), secs(5)).await.unwrap();
    assert_eq!(shown(store, key).await, values);
    let last = borrowed.last().copied().unwrap();
    let known = store.known(key, &[last.0]).await.unwrap();
    assert_eq!(known[0].as_ref().unwrap().value.as_deref(), Some(last.1));
    let forget = TreePatch { forget: vec!["".into()], learn: learn(&[("Device.A", "a")]).learn };
    store.patch_parameters(key, forget, secs(6)).await.unwrap();
    assert_eq!(shown(store, key).await, texts(&[("Device.A", "a")]));
    store.health().expect("nothing went wrong below");
}
