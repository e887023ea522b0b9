//! Group commit: one thread inserts what has piled up, flushes once, publishes, and answers all who wait.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use crate::model::device::{Profile, State};
use crate::model::event::EventEntry;
use crate::store::index::keys::KeyFloor;
use crate::store::index::ledger::Row;
use crate::store::key::{self, Table};
use crate::store::queue::QueueDocument;
use crate::store::record;
use crate::store::{BATCH_SIZE, COMMIT_SECONDS, FLUSHES, SYNCS, StoreError};
use crate::types::ident::{DeviceKey, TransactionId};

use super::{Core, sync};

/// Most changes that wait for the committer; more callers wait for a place.
const WAITING_MAX: usize = 2048;

/// From this many changes in a batch on the next flush is put off a little, so that fewer flushes serve more changes each.
const BUSY_BATCH: usize = 16;
/// How far apart flushes then begin, if the disk is not slower anyway; a fast disk rests as long as it has worked.
const BUSY_PACE: Duration = Duration::from_millis(4);

/// What is to become durable.
pub(super) enum Step {
    /// Whatever has been written before.
    Barrier,
    /// The next version of a device's queue.
    Queue(QueueStep),
    /// A device is to go.
    Remove {
        /// Which.
        key: DeviceKey,
        /// Keys that may not be given out again.
        floor: KeyFloor,
    },
}

/// A queue document and what ended by it.
pub(super) struct QueueStep {
    pub(super) key: DeviceKey,
    pub(super) document: Arc<QueueDocument>,
    pub(super) encoded: Vec<u8>,
    /// What ended by it.
    pub(super) ended: Option<EndedStep>,
}

/// A transaction that ended.
pub(super) struct EndedStep {
    pub(super) row: Row,
    /// Its record in the history.
    pub(super) record: Vec<u8>,
    /// Its results, if the record does not have them.
    pub(super) results: Option<Vec<u8>>,
    /// What the event log says of it; `None`: the device is just being removed.
    pub(super) event: Option<Box<EventEntry>>,
}

struct Commit {
    step: Step,
    queued: Instant,
    done: oneshot::Sender<Result<(), StoreError>>,
}

/// The callers' end.
pub(super) struct Committer {
    sender: mpsc::Sender<Request>,
    /// Since when a batch has been in the making.
    working: watch::Receiver<Option<Instant>>,
    patience: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Request {
    Commit(Commit),
    Stop,
}

/// A place in the line. Taken before any lock, so that handing over never waits.
pub(super) struct Place<'a>(mpsc::Permit<'a, Request>);

/// Tells when a change is durable.
#[must_use = "a change is durable when its ticket says so"]
pub(super) struct Ticket(oneshot::Receiver<Result<(), StoreError>>);

impl Place<'_> {
    /// Hands a change over; changes become durable in this order.
    pub(super) fn submit(self, step: Step) -> Ticket {
        let (done, ticket) = oneshot::channel();
        self.0.send(Request::Commit(Commit { step, queued: Instant::now(), done }));
        Ticket(ticket)
    }
}

impl Ticket {
    /// Waits for it.
    pub(super) async fn durable(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> StoreError {
    StoreError::Unavailable { reason: "its writer has stopped".to_owned() }
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(core: &Arc<Core>) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (progress, working) = watch::channel(None);
        let core = Arc::clone(core);
        let patience = core.config.patience;
        let thread = thread::Builder::new()
            .name("acsd-store-commit".to_owned())
            .spawn(move || run(&core, receiver, &progress))?;
        Ok(Self { sender, working, patience, thread: Mutex::new(Some(thread)) })
    }

    /// Asked before new work is begun: whether the disk keeps up. Waits a while if it does not.
    pub(super) async fn keeps_up(&self) -> Result<(), StoreError> {
        let is_stuck = |since: &Option<Instant>| since.is_some_and(|since| since.elapsed() >= self.patience);
        if !is_stuck(&self.working.borrow()) {
            return Ok(());
        }
        let mut working = self.working.clone();
        match timeout(self.patience, working.wait_for(|since| !is_stuck(since))).await {
            // Without its writer the store says so by itself.
            Ok(_) => Ok(()),
            Err(_) => Err(StoreError::Busy { reason: "the disk does not keep up".to_owned() }),
        }
    }

    /// Waits for a place in the line.
    pub(super) async fn place(&self) -> Result<Place<'_>, StoreError> {
        self.sender.reserve().await.map(Place).map_err(|_| stopped())
    }

    /// Makes everything written so far durable.
    pub(super) async fn barrier(&self) -> Result<(), StoreError> {
        self.place().await?.submit(Step::Barrier).durable().await
    }

    /// Asks for a flush that nobody waits for; `false`: the line is full, or there is no more flush.
    pub(super) fn nudge(&self) -> bool {
        let Ok(place) = self.sender.try_reserve() else { return false };
        drop(Place(place).submit(Step::Barrier));
        true
    }

    /// Commits what waits, refuses what comes later, and ends the thread.
    pub(super) async fn close(&self, core: &Core) -> Result<(), StoreError> {
        let last = match self.place().await {
            Ok(place) => {
                core.health.close();
                place.submit(Step::Barrier).durable().await
            }
            Err(_) => return Ok(()),
        };
        // The thread may have stopped by itself meanwhile; then there is nobody to tell.
        if self.sender.send(Request::Stop).await.is_ok() {
            self.sender.closed().await;
        }
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            tokio::task::spawn_blocking(move || thread.join()).await.map_err(|_| stopped())?.map_err(|_| stopped())?;
        }
        last
    }
}

fn run(core: &Core, mut receiver: mpsc::Receiver<Request>, progress: &watch::Sender<Option<Instant>>) {
    let mut batch = Vec::with_capacity(WAITING_MAX);
    let mut stopping = false;
    let mut linger = core.config.group_commit_linger;
    while !stopping {
        let mut next = receiver.blocking_recv();
        if next.is_some() {
            progress.send_replace(Some(Instant::now()));
        }
        if linger > Duration::ZERO && next.is_some() {
            thread::park_timeout(linger);
        }
        loop {
            match next {
                Some(Request::Commit(commit)) => batch.push(commit),
                Some(Request::Stop) | None => stopping = true,
            }
            if stopping || batch.len() >= WAITING_MAX {
                break;
            }
            match receiver.try_recv() {
                Ok(request) => next = Some(request),
                Err(_) => break,
            }
        }
        if !batch.is_empty() {
            let (size, began) = (batch.len(), Instant::now());
            commit(core, &mut batch);
            progress.send_replace(None);
            linger = core.config.group_commit_linger.max(rest_after(size, began.elapsed()));
        }
    }
}

/// How long to wait for company after a batch that took `took`.
fn rest_after(size: usize, took: Duration) -> Duration {
    if size < BUSY_BATCH { Duration::ZERO } else { took.min(BUSY_PACE.saturating_sub(took)) }
}

/// Makes a batch durable. A panic below ends the store, not the thread: callers are to be answered.
fn commit(core: &Core, batch: &mut Vec<Commit>) {
    let size = batch.len();
    let outcome = catch_unwind(AssertUnwindSafe(|| write(core, batch)))
        .unwrap_or_else(|_| Err(core.health.fail("its writer panicked")));
    match &outcome {
        Ok(()) => {
            metrics::counter!(FLUSHES).increment(1);
            #[expect(clippy::cast_precision_loss, reason = "a statistic")]
            {
                metrics::histogram!(BATCH_SIZE).record(size as f64);
                metrics::gauge!(SYNCS).set(sync::count() as f64);
            }
        }
        Err(error) => {
            // Part of the batch may have been inserted and may yet reach the disk: memory no longer knows what is true.
            core.health.fail(error.to_string());
        }
    }
    let seconds = metrics::histogram!(COMMIT_SECONDS);
    for commit in batch.drain(..) {
        seconds.record(commit.queued.elapsed());
        // A caller that no longer waits needs no answer.
        commit.done.send(outcome.clone()).ok();
    }
    if outcome.is_ok() {
        trim(core);
    }
}

fn write(core: &Core, batch: &[Commit]) -> Result<(), StoreError> {
    let mut removed = Vec::new();
    for commit in batch {
        match &commit.step {
            Step::Barrier => {}
            Step::Queue(step) => insert_queue(core, step)?,
            Step::Remove { key, floor } => removed.push((*key, delete(core, *key, floor)?)),
        }
    }
    let marks = core.logs.marks();
    core.database.flush()?;
    let mut removed = removed.into_iter();
    for commit in batch {
        match &commit.step {
            Step::Barrier => {}
            Step::Queue(step) => publish_queue(core, step),
            Step::Remove { .. } => {
                if let Some((key, records)) = removed.next() {
                    publish_removal(core, key, records)?;
                }
            }
        }
    }
    // Last: whoever is told of an event finds what it is about.
    core.logs.show(marks);
    Ok(())
}

fn insert_queue(core: &Core, step: &QueueStep) -> Result<(), StoreError> {
    let database = &core.database;
    if let Some(ended) = &step.ended {
        let id = key::transaction(ended.row.id);
        if let Some(results) = &ended.results {
            database.put(Table::Results, &id, results)?;
        }
        // Before the document: whatever a kill leaves of an end that did not come about, the document is right.
        database.put(Table::History, &id, &ended.record)?;
    }
    if let Some(event) = step.ended.as_ref().and_then(|ended| ended.event.as_ref()) {
        core.note(event)?;
    }
    database.put(Table::Queues, &key::device(step.key), &step.encoded)
}

fn publish_queue(core: &Core, step: &QueueStep) {
    {
        let mut ledger = core.ledger.write();
        for transaction in &step.document.live {
            ledger.put(Row::from(transaction));
        }
        if let Some(ended) = &step.ended {
            ledger.put(ended.row);
        }
    }
    core.live.write().replace(step.key, &step.document.live);
    core.stripes.lock(step.key).publish(step.key, &step.document);
}

/// The two records of a removed device, for its names.
type Records = (Option<State>, Option<Profile>);

fn delete(core: &Core, key: DeviceKey, floor: &KeyFloor) -> Result<Records, StoreError> {
    let database = &core.database;
    let next = core.next_transaction.load(Ordering::Relaxed);
    database.put(Table::Meta, key::DEVICE_KEYS, &record::encode(floor, 64)?)?;
    database.put(Table::Meta, key::NEXT_TRANSACTION, &record::encode(&next, 16)?)?;
    database.put(Table::Gone, &key::device(key), &[])?;
    let _tree = core.tree_locks.lock(key);
    let _stripe = core.stripes.lock(key);
    // What cannot be read can still be deleted; only its names stay taken until the next start.
    let unreadable = |error| tracing::warn!(device.id = %key, "a record of device {key}, which is removed: {error}");
    let records = (
        core.state(key).map_err(unreadable).unwrap_or_default(),
        core.profile(key).map_err(unreadable).unwrap_or_default(),
    );
    let transactions = core.ledger.read().of_device(key);
    purge(core, key, &transactions)?;
    Ok(records)
}

/// Deletes all that belongs to a device.
pub(super) fn purge(core: &Core, key: DeviceKey, transactions: &[TransactionId]) -> Result<(), StoreError> {
    for table in [Table::Profiles, Table::Devices, Table::Queues, Table::Parameters, Table::Traces, Table::Series] {
        core.database.purge(table, &key::device(key))?;
    }
    core.purge_entries(key)?;
    for id in transactions {
        core.database.purge(Table::History, &key::transaction(*id))?;
        core.database.purge(Table::Results, &key::transaction(*id))?;
    }
    Ok(())
}

fn publish_removal(core: &Core, key: DeviceKey, (state, profile): Records) -> Result<(), StoreError> {
    core.ledger.write().remove_device(key);
    core.live.write().remove(key);
    core.stripes.lock(key).forget(key);
    if let Some(profile) = profile {
        let identity = state.and_then(|state| state.identity);
        core.devices.write().forget(key, identity.as_ref(), &profile);
    }
    core.database.remove(Table::Gone, &key::device(key)).map(drop)
}

/// Forgets the oldest that ended, beyond what is to be kept.
fn trim(core: &Core) {
    let trimmed = core.ledger.write().trim(core.config.history_max.max(1));
    for id in trimmed {
        for table in [Table::History, Table::Results] {
            if let Err(error) = core.database.remove(table, &key::transaction(id)) {
                tracing::warn!(transaction.id = %id, "an old transaction was not deleted: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_rest_only_under_load_and_on_fast_disks() {
        let table = [(1, 1, 0), (BUSY_BATCH, 1, 1), (BUSY_BATCH, 3, 1), (BUSY_BATCH, 10, 0)];
        for (size, took, rest) in table {
            let rested = rest_after(size, Duration::from_millis(took));
            assert_eq!(rested, Duration::from_millis(rest), "{size} changes in {took} ms");
        }
    }
}
