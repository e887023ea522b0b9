//! Keeping devices configured: when a type, a location or an organization changes, its devices are brought up to date.

pub mod upkeep;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::model::device::{Device, DeviceTypeId, OrganizationId};
use crate::model::inventory::LocationId;
use crate::store::{DeviceFilter, Store, StoreError};
use crate::tasks::queue::Queue;
use crate::types::time::Clock;

use self::upkeep::{Occasion, Tended, Upkeep, Wake};

/// Devices looked at in one go.
const PAGE: usize = 128;
/// Devices that get work at the same time: they share the store's flushes.
const AT_ONCE: usize = 16;
/// Pause after a page of which some device got work: not more than a few hundred devices are called in a second.
const PAUSE: Duration = Duration::from_millis(250);

/// What was changed, and so which devices may be out of date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// What a type wants.
    DeviceType(DeviceTypeId),
    /// A location that values may be made from.
    Location(LocationId),
    /// An organization that values may be made from.
    Organization(OrganizationId),
}

/// Takes note of changes and has the devices that they concern configured.
///
/// What is announced is kept in memory only: a device whose configuration is out of date is found at its next Inform
/// anyway, by its mark. Announcing makes it happen at once.
#[derive(Debug, Default)]
pub struct Keeper {
    announced: Mutex<BTreeSet<Change>>,
    news: Notify,
}

/// What the keeper works with.
#[derive(Clone)]
pub struct Tools {
    /// Holds devices and catalogues.
    pub store: Arc<dyn Store>,
    /// Takes the work and has the devices called.
    pub queue: Arc<Queue>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Keeper {
    /// Says that something has changed. Never waits.
    pub fn announce(&self, change: Change) {
        self.announced.lock().insert(change);
        self.news.notify_one();
    }

    /// Brings the devices up to date that announced changes concern, until told to stop.
    pub async fn run(self: Arc<Self>, tools: Tools, shutdown: CancellationToken) {
        loop {
            let next = self.announced.lock().pop_first();
            let Some(change) = next else {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = self.news.notified() => continue,
                }
            };
            match shutdown.run_until_cancelled(tools.bring(change)).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::error!(%error, "after a change not every device was looked at: the others are at their next Inform");
                }
            }
        }
    }
}

impl Tools {
    async fn bring(&self, change: Change) -> Result<(), StoreError> {
        let mut filter = DeviceFilter { is_active: Some(true), ..DeviceFilter::default() };
        match change {
            Change::DeviceType(id) => filter.device_type = Some(id),
            Change::Organization(id) => filter.organization = Some(id),
            Change::Location(id) => filter.location = Some(id),
        }
        // Chosen once: what is done to the devices, and what operators do meanwhile, moves none past another.
        let concerned = self.store.select(&filter).await?;
        let mut failed = Ok(());
        for page in concerned.chunks(PAGE) {
            match self.tend(self.store.devices(page).await?.into_iter()).await {
                Ok(Tended::Something) => tokio::time::sleep(PAUSE).await,
                Ok(Tended::Nothing) => {}
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    /// Whether any of them got work. One that fails takes nothing from the others.
    async fn tend(&self, devices: impl Iterator<Item = Device>) -> Result<Tended, StoreError> {
        let mut under_way = JoinSet::new();
        let mut all = Ok(Tended::Nothing);
        for device in devices.filter(|device| self.upkeep().is_due(device, Occasion::Other)) {
            if under_way.len() >= AT_ONCE
                && let Some(ended) = under_way.join_next().await
            {
                all = and(all, ended);
            }
            let (tools, now) = (self.clone(), self.clock.now());
            under_way.spawn(async move { tools.upkeep().tend(&device, Occasion::Other, Wake::Call, now).await });
        }
        while let Some(ended) = under_way.join_next().await {
            all = and(all, ended);
        }
        all
    }

    fn upkeep(&self) -> Upkeep<'_> {
        Upkeep { store: &*self.store, queue: &self.queue }
    }
}

/// A panic costs one device its turn: its next Inform finds it out of date.
fn and(
    all: Result<Tended, StoreError>,
    one: Result<Result<Tended, StoreError>, JoinError>,
) -> Result<Tended, StoreError> {
    match (all, one) {
        (Err(error), _) | (Ok(_), Ok(Err(error))) => Err(error),
        (Ok(_), Ok(Ok(Tended::Something))) => Ok(Tended::Something),
        (Ok(all), Ok(Ok(Tended::Nothing))) => Ok(all),
        (Ok(all), Err(error)) => {
            tracing::error!(%error, "a device was not looked at after a change");
            Ok(all)
        }
    }
}
