//! A store, a queue and the loop of campaigns; devices, which do what the test says; a clock that it sets.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use acsd::auth::seal::Sealer;
use acsd::campaigns::{Campaigns, CampaignsConfig, Command, MemberRow, Tools};
use acsd::connreq::wake::{WakeConfig, Waker};
use acsd::devices::presence::Presence;
use acsd::files::Files;
use acsd::model::campaign::member::{Counts, MemberStatus};
use acsd::model::campaign::{
    Campaign, CampaignId, CampaignOperation, CampaignState, Course, Rollout, Rules, Selection,
};
use acsd::model::device::{PendingSetting, Profile, Setting};
use acsd::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage, ImageId};
use acsd::model::transaction::{Phase, Transaction, TransactionFault, TransactionStatus};
use acsd::store::memory::{MemoryConfig, MemoryStore};
use acsd::store::sled::{StoreConfig, open_sled};
use acsd::store::{NewDevice, Page, Store, TransactionFilter};
use acsd::tasks::queue::Queue;
use acsd::types::ident::{DeviceIdentity, DeviceKey, SerialNumber};
use acsd::types::time::{Clock, Timestamp};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::PATIENCE;

/// A Wednesday, 12:00 UTC.
pub(super) const NOON: i64 = 1_768_392_000;

#[derive(Debug)]
pub(super) struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<SetClock>,
    pub(super) queue: Arc<Queue>,
    pub(super) campaigns: Arc<Campaigns>,
    pub(super) tools: Tools,
    config: CampaignsConfig,
    engine: Option<JoinHandle<()>>,
    stop: CancellationToken,
}

/// What a device answers.
pub(super) type Fails = fn(DeviceKey) -> bool;

pub(super) const NONE_FAILS: Fails = |_| false;
pub(super) const EVERY_TENTH_FAILS: Fails = |key| key.0 % 10 == 0;

pub(super) fn rules() -> Rules {
    Rules {
        step_pause_secs: 0,
        window: None,
        concurrency: 50,
        stop_after_failures: None,
        stop_failure_share: None,
        retries: 0,
        device_timeout_secs: 3_600,
    }
}

pub(super) fn campaign() -> Campaign {
    Campaign {
        id: CampaignId(0),
        name: "test".to_owned(),
        operation: CampaignOperation::Reboot,
        selection: Selection::default(),
        rollout: Rollout::default(),
        rules: rules(),
        organizations: None,
        created: Timestamp::from_secs(NOON),
        created_by: "tester".to_owned(),
        course: Course::draft(),
    }
}

pub(super) fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new(MemoryConfig::default()))
}

pub(super) async fn sled(folder: &Path) -> Arc<dyn Store> {
    let config =
        StoreConfig { cache_bytes: 16 << 20, free_space_floor_bytes: 0, ballast_bytes: 0, ..StoreConfig::new(folder) };
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        match open_sled(config.clone(), Arc::new(SetClock(AtomicI64::new(NOON * 1_000)))).await {
            Ok(store) => return store,
            // A task that was cut off has yet to let go of it.
            Err(error) => assert!(tokio::time::Instant::now() < until, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

impl World {
    /// Over a store, with the loop running.
    pub(super) async fn over(store: Arc<dyn Store>, devices: u32) -> Self {
        for number in 1..=devices {
            let serial = format!("C-{number:04}");
            // They have called in before.
            let identity = Some(DeviceIdentity::new("00D09E", "IGD", &serial).expect("valid"));
            let serial = SerialNumber::try_from(serial.as_str()).expect("valid");
            let profile = Profile::fresh(serial, Timestamp::from_secs(NOON));
            store.register(NewDevice { key: None, identity, profile }).await.expect("registered");
        }
        let mut world = Self::idle(store);
        world.run();
        world
    }

    /// Over a store that has its devices; nobody runs the loop.
    pub(super) fn idle(store: Arc<dyn Store>) -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(NOON * 1_000)));
        let presence = Arc::new(Presence::default());
        let sealer = Arc::new(Sealer::from_key(&[7; 32]));
        let (waker, calls) =
            Waker::new(store.clone(), clock.clone(), presence.clone(), sealer.clone(), WakeConfig::default());
        drop(calls);
        let files = Arc::new(Files::temporary(store.clone(), clock.clone(), &sealer).expect("a folder"));
        let queue = Arc::new(Queue::new(store.clone(), clock.clone(), presence.clone(), waker, files));
        let tools = Tools { store: store.clone(), queue: queue.clone(), presence, sealer, clock: clock.clone() };
        let config = CampaignsConfig::default();
        let campaigns = Arc::new(Campaigns::new(tools.clone(), config.clone()));
        Self { store, clock, queue, campaigns, tools, config, engine: None, stop: CancellationToken::new() }
    }

    fn run(&mut self) {
        self.stop = CancellationToken::new();
        self.engine = Some(tokio::spawn(self.campaigns.clone().run(self.stop.clone())));
    }

    /// The loop is cut off wherever it is, and begins anew knowing nothing.
    pub(super) async fn kill(&mut self) {
        if let Some(engine) = self.engine.take() {
            engine.abort();
            // It may have been told to stop before.
            drop(engine.await);
        }
        self.campaigns = Arc::new(Campaigns::new(self.tools.clone(), self.config.clone()));
        self.run();
    }

    /// The loop is cut off, and with it the store, which is opened anew.
    pub(super) async fn crash(mut self, folder: &Path) -> Self {
        if let Some(engine) = self.engine.take() {
            engine.abort();
            drop(engine.await);
        }
        self.store.close().await.expect("closes");
        drop(self);
        Self::over(sled(folder).await, 0).await
    }

    /// The loop ends in good order.
    pub(super) async fn finish(mut self) {
        self.stop.cancel();
        if let Some(engine) = self.engine.take() {
            engine.await.expect("it ends");
        }
        self.store.close().await.expect("closes");
    }

    pub(super) async fn add(&self, campaign: Campaign) -> CampaignId {
        let make = move |id| Campaign { id: CampaignId(id), ..campaign };
        self.store.campaigns().add(None, Box::new(make)).await.expect("added").id
    }

    pub(super) async fn start(&self, campaign: Campaign) -> CampaignId {
        let id = self.add(campaign).await;
        self.command(id, Command::Start).await;
        id
    }

    pub(super) async fn command(&self, id: CampaignId, command: Command) {
        self.campaigns.command(id, command, "tester").await.expect("followed");
    }

    pub(super) fn record(&self, id: CampaignId) -> Arc<Campaign> {
        self.store.campaigns().of(id).expect("there")
    }

    pub(super) fn state(&self, id: CampaignId) -> CampaignState {
        self.record(id).course.state
    }

    pub(super) async fn counts(&self, id: CampaignId) -> Counts {
        self.campaigns.counts(&self.record(id)).await.expect("counted")
    }

    pub(super) async fn rows(&self, id: CampaignId, status: Option<MemberStatus>) -> Vec<MemberRow> {
        let page = Page { offset: 0, limit: 100_000 };
        let listing = self.campaigns.devices(&self.record(id), status, page).await.expect("listed");
        assert_eq!(usize::try_from(listing.count).expect("few"), listing.items.len());
        listing.items
    }

    /// Time goes by, and the loop notices.
    pub(super) fn pass(&self, secs: i64) {
        self.clock.0.fetch_add(secs * 1_000, Ordering::SeqCst);
        self.campaigns.announce();
    }

    /// The devices that have unstarted work begin it, at most `max` of them.
    pub(super) async fn claim(&self, max: usize) -> Vec<Transaction> {
        let mut claimed = Vec::new();
        for key in self.store.devices_with_work(self.clock.now(), max) {
            claimed.extend(self.store.claim(key, &[], self.clock.now()).await.expect("claimed"));
        }
        claimed
    }

    /// A firmware image whose file is here.
    pub(super) async fn image(&self) -> ImageId {
        let make = |id| FirmwareImage {
            id: ImageId(id),
            name: "image".to_owned(),
            version: "2.0".to_owned(),
            device_type: None,
            file_type: FIRMWARE_FILE_TYPE.to_owned(),
            size: None,
            sha256: None,
            content: Content::Here { sha256: [1; 32], size: 1 },
            created: Timestamp::from_secs(NOON),
        };
        self.store.firmware_images().add(None, Box::new(make)).await.expect("added").id
    }

    /// What is pending of a device's upgrade.
    pub(super) async fn pending(&self, device: DeviceKey) -> Option<PendingSetting> {
        let profile = self.store.device(device).await.expect("read").expect("there").profile;
        profile.pending.into_iter().find(|entry| entry.setting == Setting::FirmwareUpgrade)
    }

    /// The queue ends what has waited too long, until so many transactions wait or run.
    pub(super) async fn tended(&self, left: u64) {
        let shutdown = CancellationToken::new();
        let tending = tokio::spawn(self.queue.clone().tend(shutdown.clone()));
        self.live(left).await;
        shutdown.cancel();
        tending.await.expect("it ends");
    }

    /// Waits until so many transactions wait or run.
    pub(super) async fn live(&self, count: u64) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while self.store.figures(self.clock.now()).queue_depth != count {
            assert!(tokio::time::Instant::now() < until, "{count} transactions");
            tokio::task::yield_now().await;
        }
    }

    /// So many devices begin their work, as soon as they have it.
    pub(super) async fn claimed(&self, count: usize) -> Vec<Transaction> {
        let until = tokio::time::Instant::now() + PATIENCE;
        let mut claimed = Vec::new();
        while claimed.len() < count {
            claimed.extend(self.claim(count - claimed.len()).await);
            assert!(tokio::time::Instant::now() < until, "{} of {count} have work", claimed.len());
            tokio::task::yield_now().await;
        }
        claimed
    }

    /// A device ends what it has begun.
    pub(super) async fn settle(&self, mut transaction: Transaction, fails: Fails) {
        let failed = fails(transaction.device);
        transaction.status = if failed { TransactionStatus::Failed } else { TransactionStatus::Completed };
        transaction.phase = Phase::Ended;
        transaction.completed_at = Some(self.clock.now());
        transaction.fault = failed.then(|| TransactionFault { code: 9002, message: "Internal error".to_owned() });
        self.queue.settle(&transaction, &[]).await.expect("settled");
    }

    /// All devices that have work do it, at most `max` of them; how many did.
    pub(super) async fn serve(&self, max: usize, fails: Fails) -> usize {
        let claimed = self.claim(max).await;
        let count = claimed.len();
        for transaction in claimed {
            self.settle(transaction, fails).await;
        }
        count
    }

    /// Devices do their work until the campaign is in this state.
    pub(super) async fn serve_until(&self, id: CampaignId, state: CampaignState, fails: Fails) {
        let until = tokio::time::Instant::now() + PATIENCE * 3;
        while self.state(id) != state {
            if self.serve(1_000, fails).await == 0 {
                tokio::task::yield_now().await;
            }
            assert!(
                tokio::time::Instant::now() < until,
                "{state:?}: {:?} {:?}",
                self.record(id),
                self.counts(id).await
            );
        }
    }

    /// Waits until the counts are so.
    pub(super) async fn until(&self, id: CampaignId, holds: impl Fn(&Counts) -> bool) -> Counts {
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            let counts = self.counts(id).await;
            if holds(&counts) {
                return counts;
            }
            assert!(tokio::time::Instant::now() < until, "{counts:?} {:?}", self.record(id));
            tokio::task::yield_now().await;
        }
    }

    /// Waits until it is in this state and no device is at it.
    pub(super) async fn quiet(&self, id: CampaignId, state: CampaignState) -> Counts {
        let counts = self.until(id, |counts| self.state(id) == state && counts.running == 0).await;
        let total = counts.pending + counts.running + counts.succeeded + counts.failed + counts.skipped;
        assert_eq!(counts.total, total);
        counts
    }

    /// How many transactions there are.
    pub(super) async fn scheduled(&self) -> u64 {
        let page = Page { offset: 0, limit: 1 };
        self.store.transactions(&TransactionFilter::default(), page).await.expect("listed").count
    }

    /// Transactions of the campaign by device, in the order of their numbers.
    pub(super) async fn ledger(&self, id: CampaignId) -> BTreeMap<DeviceKey, Vec<Transaction>> {
        let page = Page { offset: 0, limit: 1_000_000 };
        let all = self.store.transactions(&TransactionFilter::default(), page).await.expect("listed").items;
        let mut found: BTreeMap<DeviceKey, Vec<Transaction>> = BTreeMap::new();
        for transaction in all.into_iter().rev().filter(|one| one.campaign == Some(id)) {
            found.entry(transaction.device).or_default().push(transaction);
        }
        found
    }

    /// No device has done its work more than `most` times; how many have done it at all.
    pub(super) async fn done_at_most(&self, id: CampaignId, most: usize) -> usize {
        let ledger = self.ledger(id).await;
        let done = |all: &Vec<Transaction>| {
            let begun = |one: &&Transaction| one.started_at.is_some();
            all.iter().filter(begun).count()
        };
        for (device, all) in &ledger {
            assert!(done(all) <= most, "device {device} has had {} turns: {all:#?}", done(all));
            assert!(all.iter().filter(|one| !one.status.is_final()).count() <= 1, "{all:#?}");
        }
        ledger.values().filter(|all| done(all) > 0).count()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(engine) = &self.engine {
            engine.abort();
        }
    }
}
