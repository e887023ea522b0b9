//! What a store on disk has to keep: its content over restarts, and its word about what it finds.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acsd::model::device::{OrganizationId, ParameterPatch, TreePatch};
use acsd::model::inventory::Organization;
use acsd::model::procedure::{InFlight, Progress};
use acsd::model::token::{Role, TokenId, TokenRecord};
use acsd::model::transaction::{Attempt, Phase, Transaction, TransactionStatus};
use acsd::store::sled::{OpenError, SledStore, open_sled as open_with};
use acsd::store::{
    DeviceFilter, Durability, Merge, NewDevice, ParameterQuery, RegisterError, Store, StoreError, TransactionFilter,
};
use acsd::types::ident::{DeviceKey, TransactionId};
use acsd::types::value::XsdType;

use super::support::*;

/// Closes a store and opens it again.
async fn reopen(store: Arc<dyn Store>, folder: &Path) -> Arc<dyn Store> {
    store.close().await.expect("closes");
    drop(store);
    open_at(folder).await
}

/// Changes a closed store behind acsd's back.
pub(super) fn tamper(folder: &Path, change: impl FnOnce(&sled::Db)) {
    let config = sled::Config::new().path(folder.join("store")).segment_size(8 << 20);
    // sled's own threads may hold on to the files of a closed store for a moment.
    let db = (0..1000)
        .find_map(|_| {
            let opened = config.open().ok();
            if opened.is_none() {
                std::thread::park_timeout(Duration::from_millis(10));
            }
            opened
        })
        .expect("opens");
    change(&db);
    db.flush().expect("flushes");
}

pub(super) async fn refusal(folder: &Path) -> OpenError {
    open_with(config(folder), Arc::new(FixedClock)).await.expect_err("refuses")
}

/// A store with a device, closed again.
pub(super) async fn closed_store(folder: &Path) {
    let store: Arc<dyn Store> = open_at(folder).await;
    register(&store, "A").await;
    store.close().await.expect("closes");
}

fn patch(path: &str, text: &str) -> TreePatch {
    let value = Some((text.into(), XsdType::String));
    TreePatch {
        forget: Vec::new(),
        learn: vec![ParameterPatch { path: path.into(), value, writable: None, notification: None }],
    }
}

#[tokio::test]
async fn a_reopened_store_holds_what_it_held() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let id = identity("A");
    let (a, b, gone) = (
        register(&store, "A").await.key,
        store.register(NewDevice { identity: None, ..new_device("B") }).await.unwrap().key,
        register(&store, "GONE").await.key,
    );
    let values = [value("Device.DeviceInfo.SoftwareVersion", "1.0")];
    store.record_inform(a, facts(&id, 10, &[event("1 BOOT")], &values), Durability::Durable).await.unwrap();
    store.patch_parameters(a, patch("Device.X", &"x".repeat(200_000)), secs(11)).await.unwrap();
    store.edit_profile(b, Box::new(|profile| profile.is_active = false)).await.unwrap();
    let (first, second, third) =
        (enqueue(&store, a, 20).await, enqueue(&store, a, 21).await, enqueue(&store, b, 22).await);
    let running = store.claim(a, &[], secs(23)).await.unwrap().unwrap();
    let done = completed(&running, 24);
    store.settle(&done, &[result(0, &"r".repeat(100_000))]).await.unwrap();
    enqueue(&store, gone, 25).await;
    assert!(store.remove(gone).await.unwrap());
    let token = |hash| TokenRecord {
        id: TokenId(0),
        name: "admin".to_owned(),
        role: Role::Admin,
        organizations: None,
        hash: [hash; 32],
        prefix: "acsd".to_owned(),
        created_at: secs(1),
        expires_at: None,
        last_used_at: None,
    };
    let (kept, revoked) = (store.add_token(token(1)).await.unwrap(), store.add_token(token(2)).await.unwrap());
    assert!(store.remove_token(revoked.id).await.unwrap());
    let devices = store.list(&DeviceFilter::default(), ALL).await.unwrap();
    let tree = store.parameters(a, ParameterQuery::default(), ALL).await.unwrap();
    let figures = store.figures(secs(100));

    let store = reopen(store, folder.path()).await;
    assert_eq!(store.list(&DeviceFilter::default(), ALL).await.unwrap(), devices);
    assert_eq!(store.parameters(a, ParameterQuery::default(), ALL).await.unwrap(), tree);
    assert_eq!(store.find(&id).await.unwrap().unwrap().key, a);
    assert_eq!(store.by_serial("GONE").await.unwrap(), None);
    assert_eq!(store.transaction(first.id).await.unwrap(), Some(Transaction { phase: Phase::Ended, ..done }));
    assert_eq!(store.results(first.id).await.unwrap(), [result(0, &"r".repeat(100_000))]);
    assert_eq!(store.live(a).await.unwrap(), [second]);
    assert_eq!(store.live(b).await.unwrap(), [third]);
    assert!(store.has_work(a, secs(30)) && !store.has_work(b, secs(30)));
    assert_eq!(store.tokens(), [kept]);
    let after = store.figures(secs(100));
    assert_eq!((after.devices_up, after.queue_depth), (figures.devices_up, figures.queue_depth));
    assert!(after.disk_bytes > 0);
    assert_eq!(store.add_token(token(3)).await.unwrap().id, TokenId(3), "numbers go on");
    assert_eq!(register(&store, "C").await.key, DeviceKey(4));
    assert_eq!(enqueue(&store, a, 40).await.id, TransactionId(5));
    store.close().await.unwrap();
}

#[tokio::test]
async fn what_was_running_is_ready_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let key = register(&store, "A").await.key;
    enqueue(&store, key, 1).await;
    let mut running = store.claim(key, &[], secs(2)).await.unwrap().unwrap();
    running.progress = Progress { in_flight: Some(InFlight::Reboot { at: secs(2) }), ..Progress::default() };
    store.save(&running).await.unwrap();
    let store = reopen(store, folder.path()).await;
    let attempt = Attempt { at: secs(1_000_000), outcome: "acsd restarted".to_owned() };
    let ready = Transaction { phase: Phase::Ready { not_before: None }, history: vec![attempt], ..running.clone() };
    assert_eq!(store.transaction(running.id).await.unwrap(), Some(ready));
    let again = store.claim(key, &[], secs(3)).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempts, again.progress.in_flight), (running.id, 2, running.progress.in_flight));
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_oldest_history_is_trimmed() {
    let folder = tempfile::tempdir().unwrap();
    let config = acsd::store::sled::StoreConfig { history_max: 3, ..config(folder.path()) };
    let mut ids = Vec::new();
    {
        let store: Arc<dyn Store> = open_with(config.clone(), Arc::new(FixedClock)).await.unwrap();
        let key = register(&store, "A").await.key;
        for at in 0..6 {
            enqueue(&store, key, at).await;
            let running = store.claim(key, &[], secs(at)).await.unwrap().unwrap();
            store.settle(&completed(&running, at), &[result(0, "v")]).await.unwrap();
            ids.push(running.id);
        }
        store.close().await.unwrap();
    }
    let store: Arc<dyn Store> = open_with(config, Arc::new(FixedClock)).await.unwrap();
    // The next end trims what came back with the queue document.
    let key = DeviceKey(1);
    enqueue(&store, key, 9).await;
    let running = store.claim(key, &[], secs(9)).await.unwrap().unwrap();
    store.settle(&completed(&running, 9), &[]).await.unwrap();
    store.close().await.unwrap();
    let listed = store.transactions(&TransactionFilter::default(), ALL).await.unwrap();
    assert_eq!(listed.count, 3);
    assert_eq!(listed.items.last().unwrap().id, ids[4]);
    assert_eq!(store.transaction(ids[0]).await.unwrap(), None);
    assert!(store.results(ids[0]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_newer_schema_is_refused_by_number() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    tamper(folder.path(), |db| {
        db.open_tree("meta").unwrap().insert("schema", "7").unwrap();
    });
    let refused = refusal(folder.path()).await;
    assert!(matches!(refused, OpenError::SchemaTooNew { found: 7, known: 1 }), "{refused}");
    let words = refused.to_string();
    assert!(words.contains("schema 7") && words.contains("schema 1"), "{words}");
}

#[tokio::test]
async fn a_store_that_is_not_the_right_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    let id = fs::read(folder.path().join("store.id")).unwrap();

    fs::remove_file(folder.path().join("store.id")).unwrap();
    assert!(matches!(refusal(folder.path()).await, OpenError::Lost { .. }), "no id");
    fs::write(folder.path().join("store.id"), "another").unwrap();
    assert!(matches!(refusal(folder.path()).await, OpenError::Lost { .. }), "another id");
    fs::write(folder.path().join("store.id"), &id).unwrap();
    fs::rename(folder.path().join("store"), folder.path().join("aside")).unwrap();
    assert!(matches!(refusal(folder.path()).await, OpenError::Lost { .. }), "no store");
    fs::create_dir(folder.path().join("store")).unwrap();
    fs::write(folder.path().join("store/db"), "").unwrap();
    assert!(matches!(refusal(folder.path()).await, OpenError::Lost { .. }), "an empty store");
    fs::remove_dir_all(folder.path().join("store")).unwrap();
    fs::rename(folder.path().join("aside"), folder.path().join("store")).unwrap();
    assert!(open_at(folder.path()).await.by_serial_is("A").await, "nothing was harmed");
}

/// A look at a store that is dropped right after.
trait Look {
    async fn by_serial_is(&self, serial: &str) -> bool;
}

impl Look for SledStore {
    async fn by_serial_is(&self, serial: &str) -> bool {
        let store: &dyn Store = self;
        let found = store.by_serial(serial).await.unwrap().is_some();
        store.close().await.unwrap();
        found
    }
}

#[tokio::test]
async fn a_creation_that_was_cut_off_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    fs::remove_file(folder.path().join("store.id")).unwrap();
    fs::write(folder.path().join("store.new"), "").unwrap();
    assert!(!open_at(folder.path()).await.by_serial_is("A").await);
    assert!(!folder.path().join("store.new").exists());
}

#[tokio::test]
async fn leftovers_of_a_kill_do_not_prevent_opening() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    let leftover = folder.path().join("store/snap.00000000000000FF.generating");
    fs::write(&leftover, "half").unwrap();
    assert!(open_at(folder.path()).await.by_serial_is("A").await);
    assert!(!leftover.exists());
}

#[tokio::test]
async fn a_damaged_store_is_an_error_not_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    let db = folder.path().join("store/db");
    let length = fs::metadata(&db).unwrap().len();
    fs::write(&db, vec![0xa5_u8; usize::try_from(length).unwrap()]).unwrap();
    let refused = refusal(folder.path()).await;
    assert!(matches!(refused, OpenError::Lost { .. } | OpenError::Damaged { .. }), "{refused:?}");
    assert!(refused.to_string().contains("backup"), "it says what to do: {refused}");
}

#[tokio::test]
async fn a_folder_in_use_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open_at(folder.path()).await;
    let refused = refusal(folder.path()).await;
    assert!(matches!(refused, OpenError::Busy { .. }), "{refused:?}");
    assert!(refused.to_string().contains("another acsd"), "{refused}");
    store.close().await.unwrap();
}

#[tokio::test]
async fn half_removed_and_half_registered_devices_disappear() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    for serial in ["REMOVED", "REGISTERED", "KEPT"] {
        let key = register(&store, serial).await.key;
        enqueue(&store, key, 1).await;
        let running = store.claim(key, &[], secs(1)).await.unwrap().unwrap();
        store.settle(&completed(&running, 2), &[result(0, "v")]).await.unwrap();
        store.patch_parameters(key, patch("Device.X", "x"), secs(1)).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    tamper(folder.path(), |db| {
        db.open_tree("gone").unwrap().insert(1_u32.to_be_bytes(), &[]).unwrap();
        db.open_tree("profile").unwrap().remove(2_u32.to_be_bytes()).unwrap();
    });
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let left = store.list(&DeviceFilter::default(), ALL).await.unwrap();
    assert_eq!((left.count, left.items[0].key), (1, DeviceKey(3)));
    let ledger = store.transactions(&TransactionFilter::default(), ALL).await.unwrap();
    assert_eq!(ledger.items.iter().map(|t| t.device).collect::<Vec<_>>(), [DeviceKey(3)]);
    assert_eq!(register(&store, "REMOVED").await.key, DeviceKey(4));
    store.close().await.unwrap();
    drop(store);
    tamper(folder.path(), |db| {
        for (table, rows) in [("gone", 0), ("dev", 2), ("profile", 2), ("queue", 2), ("params", 1), ("history", 1)] {
            assert_eq!(db.open_tree(table).unwrap().len(), rows, "{table}");
        }
    });
}

#[tokio::test]
async fn an_end_that_a_kill_cut_short_has_not_come_about() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let key = register(&store, "A").await.key;
    enqueue(&store, key, 1).await;
    let running = store.claim(key, &[], secs(1)).await.unwrap().unwrap();
    store.close().await.unwrap();
    drop(store);
    let queue = |db: &::sled::Db| db.open_tree("queue").unwrap();
    let mut before = None;
    tamper(folder.path(), |db| before = queue(db).get(key.0.to_be_bytes()).unwrap());
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    store.settle(&completed(&running, 2), &[result(0, "v")]).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    tamper(folder.path(), |db| {
        queue(db).insert(key.0.to_be_bytes(), before.unwrap()).unwrap();
    });
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let live = store.transaction(running.id).await.unwrap().unwrap();
    assert_eq!((live.status, &live.phase), (TransactionStatus::InProgress, &Phase::Ready { not_before: None }));
    assert!(store.results(running.id).await.unwrap().is_empty());
    let again = store.claim(key, &[], secs(3)).await.unwrap().unwrap();
    let results: Vec<_> = (0..200).map(|n| result(n, "w")).collect();
    for results in [&results[..1], &results] {
        enqueue(&store, key, 4).await;
        let next =
            if results.len() == 1 { again.clone() } else { store.claim(key, &[], secs(5)).await.unwrap().unwrap() };
        store.settle(&completed(&next, 5), results).await.unwrap();
        assert_eq!(store.results(next.id).await.unwrap(), results, "small ones and large ones");
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_read_that_a_kill_cut_short_has_not_started() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let key = register(&store, "A").await.key;
    let new = work(read("Device.X"));
    let id = store.enqueue(key, new.clone(), Merge::Never, secs(1)).await.unwrap().id;
    let running = store.claim(key, &[], secs(2)).await.unwrap().unwrap();
    assert_eq!(store.transaction(id).await.unwrap(), Some(running.clone()), "seen at once");
    assert_eq!(store.running(key).await.unwrap(), std::slice::from_ref(&running));
    assert!(store.claim(key, &[], secs(2)).await.unwrap().is_none(), "and not handed out twice");
    // Orderly or not: a claim alone writes nothing.
    store.close().await.unwrap();
    drop(store);
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let waiting = store.transaction(id).await.unwrap().unwrap();
    assert_eq!((waiting.status, waiting.attempts), (TransactionStatus::Scheduled, 0));
    // The next change of the queue takes the claim along.
    let running = store.claim(key, &[], secs(3)).await.unwrap().unwrap();
    store.enqueue(key, new, Merge::Never, secs(4)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let cut_off = store.transaction(id).await.unwrap().unwrap();
    assert_eq!((cut_off.status, cut_off.attempts), (TransactionStatus::InProgress, 1));
    assert_eq!(store.claim(key, &[], secs(5)).await.unwrap().unwrap().id, running.id);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_takes_no_writes() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let key = register(&store, "A").await.key;
    store.close().await.unwrap();
    store.close().await.expect("a second time changes nothing");
    assert!(matches!(store.health(), Err(StoreError::Broken { .. })));
    let refused = store.register(new_device("B")).await;
    assert!(matches!(refused, Err(RegisterError::Store(StoreError::Broken { .. }))));
    assert!(store.edit_profile(key, Box::new(|_| {})).await.is_err());
    assert!(store.device(key).await.unwrap().is_some(), "reading goes on");
}

#[tokio::test]
async fn a_full_disk_takes_no_writes() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    fs::write(folder.path().join("ballast"), "some").unwrap();
    let config = acsd::store::sled::StoreConfig { free_space_floor_bytes: u64::MAX, ..config(folder.path()) };
    let store: Arc<dyn Store> = open_with(config, Arc::new(FixedClock)).await.unwrap();
    assert!(!folder.path().join("ballast").exists(), "the ballast is given up");
    let Err(StoreError::Unavailable { reason }) = store.health() else { panic!("it is full") };
    assert!(reason.contains("full"), "{reason}");
    assert!(store.register(new_device("B")).await.is_err());
    assert!(store.by_serial("A").await.unwrap().is_some(), "reading goes on");
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_does_not_keep_up_refuses_new_work_before_it_is_begun() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    let config = acsd::store::sled::StoreConfig {
        group_commit_linger: Duration::from_secs(2),
        patience: Duration::from_millis(20),
        ..config(folder.path())
    };
    let store: Arc<dyn Store> = open_with(config, Arc::new(FixedClock)).await.unwrap();
    let key = store.by_serial("A").await.unwrap().unwrap().key;
    let slow = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.edit_profile(key, Box::new(|profile| profile.name = "slow".into())).await }
    });
    while store.device(key).await.unwrap().unwrap().profile.name != "slow" {
        tokio::task::yield_now().await;
    }
    let before = store.device(key).await.unwrap().unwrap();
    // What comes at once shares the batch; what comes later is refused long before that is through.
    let identity = before.state.identity.clone().unwrap_or_else(|| identity("A"));
    let boot = [event("1 BOOT")];
    let refused = loop {
        let recorded = store.record_inform(key, facts(&identity, 1, &boot, &[]), Durability::Durable);
        if let Ok(Err(error)) = tokio::time::timeout(Duration::from_millis(100), recorded).await {
            break error;
        }
        assert!(!slow.is_finished(), "a batch this long is noticed");
    };
    assert!(matches!(refused, StoreError::Busy { .. }), "{refused}");
    assert!(store.health().is_ok(), "it will pass");
    let registered = store.register(new_device("B")).await;
    assert!(matches!(registered, Err(RegisterError::Store(StoreError::Busy { .. }))));
    assert!(store.by_serial("B").await.unwrap().is_none(), "nothing was begun");
    store.record_inform(key, facts(&identity, 1, &[], &[]), Durability::Relaxed).await.unwrap().unwrap();
    slow.await.unwrap().unwrap().unwrap();
    while let Err(error) = store.register(new_device("B")).await {
        assert!(matches!(error, RegisterError::Store(StoreError::Busy { .. })), "{error}");
    }
    store.close().await.unwrap();
}

#[tokio::test]
async fn the_ballast_is_placed_where_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let config = acsd::store::sled::StoreConfig { ballast_bytes: 100_000, ..config(folder.path()) };
    let store = open_with(config, Arc::new(FixedClock)).await.unwrap();
    assert_eq!(fs::metadata(folder.path().join("ballast")).unwrap().len(), 100_000);
    store.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_records_are_kept_and_so_is_what_numbers_were_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let store: Arc<dyn Store> = open_at(folder.path()).await;
    let name = |name: &'static str| Box::new(move |record: &mut Organization| record.name = name.to_owned());
    let make = |id| Organization { id: OrganizationId(id), ..Organization::first(secs(1)) };
    store.organizations().edit(1, name("renamed")).await.expect("edited");
    for _ in 0..2 {
        store.organizations().add(None, Box::new(make)).await.expect("added");
    }
    assert!(store.organizations().remove(3).await.expect("removed"));
    let store = reopen(store, folder.path()).await;
    let all = store.organizations().all();
    assert_eq!(all.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(all.get(&1).map(|first| first.name.as_str()), Some("renamed"));
    let next = store.organizations().add(None, Box::new(make)).await.expect("added");
    assert_eq!(next.id, OrganizationId(4), "3 was given out before");
}
