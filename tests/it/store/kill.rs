//! What was acknowledged survives `kill -9`, and every durable call waits for a sync of its own.
//!
//! The test binary runs itself as a child that works on a store and reports each acknowledgement on its standard output.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use acsd::model::event::EventData;
use acsd::model::series::Sample;
use acsd::model::transaction::{Phase, TransactionStatus, VariableResult};
use acsd::store::entries::EntryFilter;
use acsd::store::series::Span;
use acsd::store::sled::SledStore;
use acsd::store::{DeviceFilter, Durability, Store, TransactionFilter};
use acsd::types::ident::{DeviceKey, TransactionId};

use super::support::*;

const FOLDER: &str = "ACSD_TEST_STORE_FOLDER";
const ROLE: &str = "ACSD_TEST_STORE_ROLE";
const WORKERS: u32 = 8;
const ROUNDS: u32 = 6;
/// Of each worker that is not killed.
const ROUNDS_OF_A_WHILE: i64 = 3;

fn spawn(role: &str, folder: &Path) -> Child {
    command(Command::new("env"), role, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the test binary runs itself")
}

/// This test binary as a child with a role, run by `runner`.
pub(super) fn command(mut runner: Command, role: &str, folder: &Path) -> Command {
    runner
        .arg(std::env::current_exe().unwrap())
        .args(["store::kill::child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(ROLE, role);
    runner
}

/// Does nothing unless a test started this process as its child.
#[test]
fn child() {
    let (Ok(folder), Ok(role)) = (std::env::var(FOLDER), std::env::var(ROLE)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    match role.as_str() {
        "work" => runtime.block_on(work_on_store(Path::new(&folder), i64::MAX)),
        "work a while" => runtime.block_on(work_on_store(Path::new(&folder), ROUNDS_OF_A_WHILE)),
        "count" => runtime.block_on(count_syncs(Path::new(&folder))),
        other => panic!("no such role: {other}"),
    }
}

fn report(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // Nobody listens any more: nothing is left to be done.
    if writeln!(out, "ack {line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

/// What the results of a transaction have to be, of all sizes.
fn results_of(id: TransactionId) -> Vec<VariableResult> {
    let mut random = fastrand::Rng::with_seed(id.0);
    let words = if id.0.is_multiple_of(5) { 12_000 } else { random.usize(1..40) };
    let text: String = (0..words).map(|_| format!("{:016x}", random.u64(..))).collect();
    vec![result(0, &text), result(1, "end")]
}

async fn work_on_store(folder: &Path, rounds: i64) {
    let store: Arc<dyn Store> = open_at(folder).await;
    let workers: Vec<_> =
        (0..WORKERS).map(|worker| tokio::spawn(work_on(Arc::clone(&store), worker, rounds))).collect();
    for worker in workers {
        worker.await.expect("works until it is done or killed");
    }
    store.close().await.expect("closes");
}

async fn work_on(store: Arc<dyn Store>, worker: u32, rounds: i64) {
    for round in 0..rounds {
        let serial = format!("{}-{worker}-{round}", std::process::id());
        let key = register(&store, &serial).await.key;
        report(format_args!("registered {key}"));
        let id = identity(&serial);
        for at in 0..3 {
            store.record_inform(key, facts(&id, at, &[], &[]), Durability::Durable).await.unwrap().unwrap();
        }
        report(format_args!("informed {key}"));
        for at in 0..4 {
            let accepted = enqueue(&store, key, at).await;
            report(format_args!("enqueued {} {key}", accepted.id));
        }
        for at in 0..3 {
            let running = store.claim(key, &[], secs(at)).await.unwrap().unwrap();
            report(format_args!("claimed {} {key}", running.id));
            store.settle(&completed(&running, at), &results_of(running.id)).await.unwrap();
            report(format_args!("settled {} {key}", running.id));
        }
        store.edit_profile(key, Box::new(|profile| profile.name = "edited".to_owned())).await.unwrap();
        report(format_args!("edited {key}"));
        let make = Box::new(move |id| super::entries::entry(id, key, "maintenance", round));
        let entry = store.add_entry(key, make, 9).await.unwrap().unwrap();
        report(format_args!("noted {} {key}", entry.id.0));
        // Not waited for, but whole when it is there.
        let samples = vec![Sample { path: "D.A".into(), value: 0.5 }, Sample { path: "D.B".into(), value: 7.0 }];
        assert_eq!(store.add_samples(key, secs(round), samples, super::series::LIMITS).await.unwrap(), 2);
        if round % 3 == 2 {
            assert!(store.remove(key).await.unwrap());
            report(format_args!("removed {key}"));
        }
    }
}

/// What has been acknowledged, over all rounds.
#[derive(Default, Clone)]
pub(super) struct Acknowledged {
    devices: BTreeMap<u32, BTreeSet<String>>,
    /// How far each has come, and its device.
    transactions: BTreeMap<u64, (String, DeviceKey)>,
    /// Diagnostic entries, and their devices.
    entries: BTreeMap<u32, DeviceKey>,
}

impl Acknowledged {
    pub(super) fn note(&mut self, line: &str) {
        // The harness of the child may write in front of its first line.
        let Some((_, words)) = line.split_once("ack ") else { return };
        match words.split(' ').collect::<Vec<_>>()[..] {
            [verb, key] => {
                self.devices.entry(key.parse().unwrap()).or_default().insert(verb.to_owned());
            }
            ["noted", id, key] => {
                self.entries.insert(id.parse().unwrap(), DeviceKey(key.parse().unwrap()));
            }
            [verb, id, key] => {
                let far = (verb.to_owned(), DeviceKey(key.parse().unwrap()));
                self.transactions.insert(id.parse().unwrap(), far);
            }
            _ => panic!("the child said {words:?}"),
        }
    }

    /// Transactions.
    pub(super) fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether the store does not open, or something is missing from it.
    pub(super) async fn is_lost(&self, folder: &Path) -> bool {
        let opened = acsd::store::sled::open_sled(config(folder), Arc::new(FixedClock)).await;
        let Ok(store) = opened else { return true };
        let store: Arc<dyn Store> = store;
        let mut lost = false;
        for (id, (_, device)) in &self.transactions {
            let removed = self.devices.get(&device.0).is_some_and(|verbs| verbs.contains("edited"));
            let found = store.transaction(TransactionId(*id)).await;
            lost |= !removed && !matches!(found, Ok(Some(_)));
        }
        store.close().await.ok();
        lost
    }

    pub(super) async fn check(&self, store: &Arc<dyn Store>) {
        for (key, verbs) in &self.devices {
            let device = store.device(DeviceKey(*key)).await.unwrap();
            if verbs.contains("removed") {
                assert_eq!(device, None, "device {key} came back");
                continue;
            }
            // A removal that was not acknowledged may have happened.
            let Some(device) = device else {
                assert!(verbs.contains("edited"), "device {key} is lost");
                continue;
            };
            assert!(!verbs.contains("informed") || device.state.informs == 3, "device {key} forgot its Informs");
            assert!(!verbs.contains("edited") || device.profile.name == "edited", "device {key} forgot its name");
            assert_eq!(store.by_serial(device.profile.serial_number.as_str()).await.unwrap(), Some(device));
        }
        let listed = store.transactions(&TransactionFilter::default(), ALL).await.unwrap();
        assert_eq!(listed.count, u64::try_from(listed.items.len()).unwrap());
        let known: BTreeMap<u64, _> = listed.items.into_iter().map(|t| (t.id.0, t)).collect();
        let devices = store.list(&DeviceFilter::default(), ALL).await.unwrap();
        let devices: BTreeSet<_> = devices.items.iter().map(|device| device.key).collect();
        for (id, (verb, device)) in &self.transactions {
            match known.get(id) {
                // Whether the device may be missing has been looked at above.
                None => assert!(!devices.contains(device), "transaction {id} was {verb} and is lost"),
                Some(t) if verb == "claimed" => assert_ne!(t.status, TransactionStatus::Scheduled, "{id}"),
                Some(t) if verb == "settled" => assert_eq!(t.status, TransactionStatus::Completed, "{id}"),
                Some(_) => {}
            }
        }
        self.check_entries(store, &devices).await;
        self.check_events(store, &known).await;
        for (id, transaction) in known {
            assert!(devices.contains(&transaction.device), "transaction {id} has no device");
            let results = store.results(TransactionId(id)).await.unwrap();
            match transaction.status {
                TransactionStatus::Completed => {
                    assert_eq!(results, results_of(TransactionId(id)), "{id}");
                    assert_eq!((transaction.phase, transaction.attempts >= 1), (Phase::Ended, true), "{id}");
                }
                TransactionStatus::Scheduled | TransactionStatus::InProgress => {
                    assert!(results.is_empty(), "{id}");
                    assert_eq!(transaction.phase, Phase::Ready { not_before: None }, "{id}");
                }
                other => panic!("nobody made {id} {other:?}"),
            }
        }
    }
}

impl Acknowledged {
    /// Entries are there as long as their device is, and values are there whole.
    async fn check_entries(&self, store: &Arc<dyn Store>, devices: &BTreeSet<DeviceKey>) {
        let listed = store.entries(&EntryFilter::default(), ALL).await.unwrap();
        assert_eq!(listed.count, u64::try_from(listed.items.len()).unwrap());
        let known: BTreeMap<u32, DeviceKey> =
            listed.items.iter().map(|entry| (entry.id.0, entry.head.device)).collect();
        for (id, device) in &self.entries {
            let wanted = devices.contains(device).then_some(device);
            assert_eq!(known.get(id), wanted, "entry {id} of device {device}");
        }
        for device in devices {
            let of = |path: &'static str| store.points(*device, path, Span::default());
            let (one, other) = (of("D.A").await.unwrap(), of("D.B").await.unwrap());
            assert_eq!(one.len(), other.len(), "device {device}");
        }
        assert!(known.values().all(|device| devices.contains(device)), "an entry has no device");
    }

    /// Whatever is known to have happened has its event: numbers without gaps, and nothing that ended without a word.
    async fn check_events(&self, store: &Arc<dyn Store>, known: &BTreeMap<u64, acsd::model::transaction::Transaction>) {
        let events = super::logs::all(store).await;
        assert!(events.windows(2).all(|pair| pair[0].id.0 + 1 == pair[1].id.0), "a gap");
        let mut ended = BTreeSet::new();
        let mut informed = BTreeSet::new();
        for event in events {
            match event.entry.data {
                EventData::TransactionEnded { id, .. } => drop(ended.insert(id.0)),
                EventData::FirstContact { reported_serial, .. } => drop(informed.insert(reported_serial)),
                _ => {}
            }
        }
        for (id, (verb, _)) in &self.transactions {
            assert!(verb != "settled" || ended.contains(id), "the end of {id} was acknowledged and has no event");
        }
        for (id, transaction) in known {
            assert!(!transaction.status.is_final() || ended.contains(id), "{id} has ended without an event");
        }
        for device in store.list(&DeviceFilter::default(), ALL).await.unwrap().items {
            let serial = device.profile.serial_number;
            assert!(device.state.informs == 0 || informed.contains(&serial), "{serial} has come without an event");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut child = spawn("work", folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = fastrand::usize(20..400);
        let mut seen = 0;
        for line in lines.by_ref() {
            acknowledged.note(&line.unwrap());
            seen += 1;
            if seen == until {
                break;
            }
        }
        assert_eq!(seen, until, "the child stopped by itself in round {round}");
        child.kill().expect("SIGKILL");
        // What it had already written counts as acknowledged too; a line cut short does not.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        for line in rest.iter().take(rest.len().saturating_sub(1)) {
            acknowledged.note(line);
        }
        child.wait().unwrap();

        let store: Arc<dyn Store> = open_at(folder.path()).await;
        acknowledged.check(&store).await;
        store.close().await.unwrap();
    }
    assert!(acknowledged.transactions.len() > 20);
}

/// Every durable call, one at a time, with nothing else in the process: the counter must move during each.
async fn count_syncs(folder: &Path) {
    let store: Arc<dyn Store> = open_at(folder).await;
    let id = identity("A");
    macro_rules! synced {
        ($call:expr) => {{
            let before = SledStore::syncs();
            let answer = $call.await.unwrap();
            assert!(SledStore::syncs() > before, "{}", stringify!($call));
            answer
        }};
    }
    let key = synced!(store.register(new_device("A"))).key;
    let ahead = synced!(store.register(acsd::store::NewDevice { identity: None, ..new_device("B") })).key;
    synced!(store.bind(ahead, &identity("B")));
    synced!(store.record_inform(key, facts(&id, 1, &[], &[]), Durability::Durable));
    synced!(store.edit_profile(key, Box::new(|profile| profile.debug = true)));
    for at in 0..3 {
        synced!(store.enqueue(key, work(read("Device.X")), acsd::store::Merge::Never, secs(at)));
    }
    // A read has not started until something else is written; what changes a device has.
    let running = store.claim(key, &[], secs(5)).await.unwrap().unwrap();
    synced!(store.save(&acsd::model::transaction::Transaction { note: Some("n".to_owned()), ..running.clone() }));
    synced!(store.settle(&completed(&running, 6), &results_of(running.id)));
    synced!(store.cancel(TransactionId(2), secs(7)));
    synced!(store.cancel(TransactionId(3), secs(7)));
    synced!(store.enqueue(key, work(acsd::model::transaction::Work::Reboot), acsd::store::Merge::Never, secs(8)));
    synced!(store.claim(key, &[], secs(9))).unwrap();
    synced!(store.add_audit(super::logs::audit_entry(1, 1, acsd::model::audit::AuditResource::Token, None)));
    let entry =
        synced!(store.add_entry(key, Box::new(|id| super::entries::entry(id, key, "maintenance", 9)), 9)).unwrap();
    let change = |entry: &mut acsd::model::entry::DiagnosticEntry| entry.head.status = "done".to_owned();
    synced!(store.edit_entry(
        entry.id,
        Box::new(move |entry| {
            change(entry);
            Vec::new()
        })
    ));
    synced!(store.health_check(key, Box::new(|id| super::entries::entry(id, key, "health_check", 9)), 9));
    synced!(store.remove_entry(entry.id));
    synced!(store.remove(key));

    // Nobody sees a change before it is on the disk.
    for round in 0..20 {
        let key = register(&store, &format!("V{round}")).await.key;
        let before = SledStore::syncs();
        let accepting = Arc::clone(&store);
        let accepting = tokio::spawn(async move { enqueue(&accepting, key, 1).await });
        while store.live(key).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(SledStore::syncs() > before, "seen before it was synced");
        accepting.await.unwrap();
    }

    // Many callers share a flush.
    let key = register(&store, "C").await.key;
    let mut waiting = Vec::new();
    for at in 0..50 {
        waiting.push(enqueue(&store, key, at).await);
    }
    let before = SledStore::syncs();
    let saves = (0..500).map(|n: usize| {
        let (store, mut changed) = (Arc::clone(&store), waiting[n % waiting.len()].clone());
        changed.note = Some(n.to_string());
        tokio::spawn(async move { store.save(&changed).await.unwrap() })
    });
    for save in saves.collect::<Vec<_>>() {
        save.await.unwrap();
    }
    let syncs = SledStore::syncs() - before;
    assert!(syncs < 250, "500 changes took {syncs} syncs");
    report(format_args!("counted 0"));
    store.close().await.unwrap();
}

#[test]
fn durable_calls_wait_for_a_sync_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let output = spawn("count", folder.path()).wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("ack counted"), "{said}");
}
