//! What was acknowledged survives power cuts, which leave of unsynced writes whatever the kernel had happened to write.
//!
//! A child works on a store under strace (package `strace`). Its trace is replayed up to a random moment, once for each
//! cut: what a sync has covered is kept, of the rest each page and each folder keeps a random part. What the child had
//! acknowledged before that moment has to be in the store that is left.

mod disk;
mod trace;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use acsd::store::Store;

use super::embedded::{closed_store, tamper};
use super::kill::{self, Acknowledged};
use super::support::*;
use disk::{Disk, Syncs};
use trace::{Action, Event};

/// How often a child works, each time on what the last cut left.
const ROUNDS: usize = 3;
/// Moments of each round at which the power is cut.
const CUTS: usize = 5;
/// How much of what was not synced reaches the disk all the same: all but nothing, half, nearly all.
const LUCK: [f64; 3] = [0.02, 0.5, 0.98];

/// Lets a child work on a store and says what it did.
fn record(role: &str, folder: &Path) -> Vec<Event> {
    let output = tempfile::NamedTempFile::new().unwrap();
    let mut strace = Command::new("strace");
    strace.args(trace::OPTIONS).arg("-o").arg(output.path());
    let status = kill::command(strace, role, folder)
        .stdout(Stdio::null())
        .status()
        .expect("strace (package strace) has to be installed");
    assert!(status.success(), "the child failed, or strace may not trace: {status}");
    trace::read(&String::from_utf8_lossy(&fs::read(output.path()).unwrap()), folder)
}

/// Notes what was acknowledged before line `cut`.
fn note(acknowledged: &mut Acknowledged, events: &[Event], cut: usize) {
    for event in events.iter().take_while(|event| event.began < cut) {
        if let Action::Say(text) = &event.action {
            text.lines().for_each(|line| acknowledged.note(line));
        }
    }
}

/// A moment between the first and the last acknowledgement.
fn moment(events: &[Event], random: &mut fastrand::Rng) -> usize {
    let acks: Vec<usize> = events
        .iter()
        .filter(|event| matches!(&event.action, Action::Say(text) if text.contains("ack ")))
        .map(|event| event.began)
        .collect();
    random.usize(acks[0]..=*acks.last().unwrap())
}

/// What a cut at line `cut` leaves, in a folder of its own.
fn leave(before: &Disk, events: &[Event], cut: usize, syncs: Syncs, random: &mut fastrand::Rng) -> tempfile::TempDir {
    let mut disk = before.clone();
    disk.replay(events, cut, syncs);
    disk.cut(LUCK[random.usize(..LUCK.len())], random);
    let folder = tempfile::tempdir().unwrap();
    disk.store(folder.path());
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_power_cuts() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut unguarded_losses = 0;
    for round in 0..ROUNDS {
        let before = Disk::load(folder.path());
        let events = record("work a while", folder.path());

        let mut whole = before.clone();
        whole.replay(&events, usize::MAX, Syncs::Counted);
        whole.finish();
        assert_eq!(whole.digest(), Disk::load(folder.path()).digest(), "the trace tells all that was done");

        for number in 0..CUTS {
            let cut = moment(&events, &mut random);
            println!("seed {seed}, round {round}, cut {number}: line {cut}");
            let mut known = acknowledged.clone();
            note(&mut known, &events, cut);

            let left = leave(&before, &events, cut, Syncs::WithoutGuard, &mut random);
            unguarded_losses += usize::from(known.is_lost(left.path()).await);

            let left = leave(&before, &events, cut, Syncs::Counted, &mut random);
            let store: Arc<dyn Store> = open_at(left.path()).await;
            known.check(&store).await;
            store.close().await.unwrap();
            if number == CUTS - 1 {
                (folder, acknowledged) = (left, known);
            }
        }
    }
    println!("without the guard {unguarded_losses} of {} cuts lost something", ROUNDS * CUTS);
    assert!(acknowledged.len() > 20, "there was work");
    assert!(unguarded_losses > 0, "without the guard something is lost, or this test sees nothing");
}

/// sled never syncs its side files; a store that has one is synced with its whole file system.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_side_files_the_whole_file_system_is_synced() {
    let folder = tempfile::tempdir().unwrap();
    closed_store(folder.path()).await;
    tamper(folder.path(), |db| {
        db.open_tree("meta").unwrap().insert("huge", vec![7; 3 << 20]).unwrap();
    });
    assert_eq!(fs::read_dir(folder.path().join("store/blobs")).unwrap().count(), 1);
    let events = record("work a while", folder.path());
    let mut owing = BTreeSet::new();
    let (mut acks, mut syncs) = (0, 0);
    for event in &events {
        match &event.action {
            Action::SyncData(_) => assert!(owing.insert(event.thread) || syncs == 0, "a sync of one file only"),
            Action::SyncFileSystem => {
                owing.remove(&event.thread);
                if syncs == 0 {
                    // The switch itself, which makes up for the syncs before.
                    owing.clear();
                }
                syncs += 1;
            }
            Action::Say(text) if text.contains("ack ") => acks += 1,
            _ => {}
        }
    }
    assert!(owing.is_empty(), "each sync of the file was followed by one of the file system");
    assert!(acks > 20 && syncs > 5, "{acks} acknowledgements, {syncs} syncs");
}
