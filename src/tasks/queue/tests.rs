//! The queue's timer, beside whatever else happens to a transaction between the look at the queue and its end.

use std::path::Path;

use crate::auth::seal::Sealer;
use crate::connreq::wake::WakeConfig;
use crate::cwmp::message::cpe::TransferComplete;
use crate::model::procedure::Stage;
use crate::model::transaction::{Phase, TransactionStatus};
use crate::model::transfer::{DownloadOrder, FileRef, RemoteFile, TransferProgress, TransferState};
use crate::store::NewDevice;
use crate::store::memory::{MemoryConfig, MemoryStore};
use crate::store::sled::{SledStore, StoreConfig, open_sled};
use crate::types::ident::{DeviceIdentity, SerialNumber};

use super::*;

const WEB_CONTENT: &str = "2 Web Content";
const FIRMWARE: &str = "1 Firmware Upgrade Image";

/// When everything here is overdue.
const LATE: Timestamp = Timestamp::from_secs(200);

struct LateClock;

impl Clock for LateClock {
    fn now(&self) -> Timestamp {
        LATE
    }
}

struct World {
    store: Arc<dyn Store>,
    queue: Arc<Queue>,
    ends: broadcast::Receiver<End>,
}

async fn sled(folder: &Path) -> Arc<dyn Store> {
    let config =
        StoreConfig { cache_bytes: 16 << 20, free_space_floor_bytes: 0, ballast_bytes: 0, ..StoreConfig::new(folder) };
    open_sled(config, Arc::new(LateClock)).await.unwrap()
}

/// One world over each backend.
async fn worlds(folder: &Path) -> [World; 2] {
    [World::over(Arc::new(MemoryStore::new(MemoryConfig::default()))), World::over(sled(folder).await)]
}

impl World {
    fn over(store: Arc<dyn Store>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(LateClock);
        let presence = Arc::new(Presence::default());
        let sealer = Arc::new(Sealer::from_key(&[7; 32]));
        let (waker, calls) =
            Waker::new(store.clone(), clock.clone(), presence.clone(), sealer.clone(), WakeConfig::default());
        drop(calls);
        let files = Arc::new(Files::temporary(store.clone(), clock.clone(), &sealer).unwrap());
        let queue = Arc::new(Queue::new(store.clone(), clock, presence, waker, files));
        Self { store, ends: queue.ends(), queue }
    }

    async fn device(&self, serial: &str) -> DeviceKey {
        let identity = Some(DeviceIdentity::new("00D09E", "IGD", serial).unwrap());
        let profile = Profile::fresh(SerialNumber::try_from(serial).unwrap(), Timestamp::from_secs(1));
        self.store.register(NewDevice { key: None, identity, profile }).await.unwrap().key
    }

    async fn claim(&self, device: DeviceKey, at: Timestamp) -> Transaction {
        self.store.claim(device, &[], at).await.unwrap().expect("may run")
    }

    /// A download that was sent and confirmed, and is due for another session; a campaign waits for its end.
    async fn begun(&self, serial: &str, file_type: &str) -> Transaction {
        let device = self.device(serial).await;
        let order = DownloadOrder {
            file: FileRef::Elsewhere(RemoteFile {
                url: "http://192.0.2.1/f".to_owned(),
                username: String::new(),
                password: "".into(),
                size: 5,
            }),
            file_type: file_type.to_owned(),
            target_file_name: String::new(),
            delay_secs: 0,
            windows: Vec::new(),
        };
        let new = NewTransaction {
            kind: Kind::Transfer,
            work: Work::Download(Box::new(order)),
            requested_by: "op".to_owned(),
            expires_at: None,
            campaign: Some(CampaignId(1)),
        };
        self.store.enqueue(device, new, Merge::Never, Timestamp::from_secs(1)).await.unwrap();
        let mut begun = self.claim(device, Timestamp::from_secs(2)).await;
        let progress = TransferProgress { sends: 1, state: TransferState::Accepted, ..TransferProgress::default() };
        begun.progress.stage = Some(Box::new(Stage::Transfer(progress)));
        begun.progress.deadline = Some(Timestamp::from_secs(100));
        begun.resume();
        assert!(self.store.save(&begun).await.unwrap());
        begun
    }

    async fn overdue(&self) -> Vec<Transaction> {
        self.store.expire(LATE, TEND_BATCH).await.unwrap()
    }

    async fn report(&self, of: &Transaction) {
        let complete =
            TransferComplete { command_key: format!("acsd-{}-1", of.id).into(), ..TransferComplete::default() };
        self.queue.called(of.device, &Request::TransferComplete(complete), LATE).await.unwrap();
    }

    async fn now(&self, of: &Transaction) -> Transaction {
        self.store.transaction(of.id).await.unwrap().unwrap()
    }

    /// How many ends were announced since this was asked last.
    fn announced(&mut self) -> usize {
        std::iter::from_fn(|| self.ends.try_recv().ok()).count()
    }
}

fn completed(running: &Transaction) -> Transaction {
    let mut ended = running.clone();
    plan::book(&mut ended, &Step::End(Ending::Completed { note: None }), LATE);
    ended
}

#[tokio::test]
async fn what_is_overdue_ends_once() {
    let folder = tempfile::tempdir().unwrap();
    for mut world in worlds(folder.path()).await {
        let begun = world.begun("Q-1", FIRMWARE).await;
        let overdue = world.overdue().await;
        assert_eq!(overdue, std::slice::from_ref(&begun));
        world.queue.tend_to(overdue.clone(), LATE).await;
        let ended = world.now(&begun).await;
        assert_eq!((ended.status, &ended.phase, world.announced()), (TransactionStatus::Failed, &Phase::Ended, 1));
        world.queue.tend_to(overdue, LATE).await;
        // A session that still has it.
        assert!(!world.store.save(&Transaction { phase: Phase::Running, ..begun.clone() }).await.unwrap());
        world.queue.settle(&completed(&begun), &[]).await.unwrap();
        assert_eq!((world.now(&begun).await, world.announced()), (ended, 0));
    }
}

#[tokio::test]
async fn what_a_session_claims_meanwhile_is_the_sessions() {
    let folder = tempfile::tempdir().unwrap();
    for mut world in worlds(folder.path()).await {
        let begun = world.begun("Q-1", FIRMWARE).await;
        let overdue = world.overdue().await;
        let running = world.claim(begun.device, LATE).await;
        world.queue.tend_to(overdue.clone(), LATE).await;
        assert_eq!((world.now(&begun).await, world.announced()), (running.clone(), 0));
        assert!(world.store.save(&running).await.unwrap(), "it may send");
        // The session has broken off: what was found before that says nothing any more.
        let released = Transaction { phase: Phase::Ready { not_before: None }, ..running };
        assert!(world.store.save(&released).await.unwrap());
        world.queue.tend_to(overdue, LATE).await;
        assert_eq!((world.now(&begun).await, world.announced()), (released, 0));
        // It is found again, however.
        world.queue.tend_to(world.overdue().await, LATE).await;
        assert_eq!((world.now(&begun).await.status, world.announced()), (TransactionStatus::Failed, 1));
    }
}

#[tokio::test]
async fn what_a_session_ends_meanwhile_has_ended_so() {
    let folder = tempfile::tempdir().unwrap();
    for mut world in worlds(folder.path()).await {
        let begun = world.begun("Q-1", FIRMWARE).await;
        let overdue = world.overdue().await;
        let ended = completed(&world.claim(begun.device, LATE).await);
        world.queue.settle(&ended, &[]).await.unwrap();
        assert_eq!(world.announced(), 1);
        world.queue.tend_to(overdue, LATE).await;
        assert_eq!((world.now(&begun).await, world.announced()), (ended, 0));
    }
}

#[tokio::test]
async fn what_is_reported_meanwhile_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    for mut world in worlds(folder.path()).await {
        let content = world.begun("Q-1", WEB_CONTENT).await;
        let image = world.begun("Q-2", FIRMWARE).await;
        let overdue = world.overdue().await;
        assert_eq!(overdue.len(), 2);
        world.report(&content).await;
        world.report(&image).await;
        let told = [world.now(&content).await, world.now(&image).await];
        assert_eq!(
            told.each_ref().map(|one| one.status),
            [TransactionStatus::Completed, TransactionStatus::InProgress]
        );
        assert_ne!(told[1].progress.stage, image.progress.stage, "what it was told of is kept for the next session");
        assert_eq!(world.announced(), 1);
        world.queue.tend_to(overdue, LATE).await;
        assert_eq!([world.now(&content).await, world.now(&image).await], told);
        assert_eq!(world.announced(), 0);
    }
}

#[tokio::test]
async fn ends_share_their_flushes() {
    const ROWS: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::over(sled(folder.path()).await);
    for nth in 0..ROWS {
        world.begun(&format!("Q-{nth}"), FIRMWARE).await;
    }
    let overdue = world.overdue().await;
    let before = SledStore::syncs();
    world.queue.tend_to(overdue, LATE).await;
    let syncs = SledStore::syncs() - before;
    assert_eq!(world.announced(), ROWS);
    assert!(syncs < 150, "{ROWS} ends took {syncs} syncs");
}
