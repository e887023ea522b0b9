//! Campaigns: one operation brought to many devices, in steps and within bounds.
//!
//! One loop gives devices their turn ([`Campaigns::run`]). What it does is done so that it may be cut off anywhere:
//!
//! - Who takes part is settled in one write, before anyone has its turn.
//! - A device is marked *starting*, durably, before its transaction is scheduled, and the transaction carries the campaign's
//!   number. A device that is found marked so is looked for in its queue and in the ledger before anything else is done with
//!   it: it is scheduled exactly once.
//! - How a transaction ended is read from the ledger. That it ended is told by [`Queue::ends`]; what is missed there is found by
//!   looking at the devices that are at it, a few at a time.
//! - The state of a campaign is in its record and nowhere else. Operators and the loop change it by the same door, each
//!   change with its event.
//!
//! In memory a campaign that is under way takes 5 bytes for each of its devices; see `roster`.

mod active;
mod commands;
mod judge;
mod order;
mod roster;
mod selection;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::sync::broadcast::error::TryRecvError;
use tokio_util::sync::CancellationToken;

use crate::auth::seal::Sealer;
use crate::devices::presence::Presence;
use crate::model::campaign::member::{Counts, Member, MemberStatus};
use crate::model::campaign::{Campaign, CampaignId, CampaignState};
use crate::store::{Listing, Page, Store, StoreError};
use crate::tasks::queue::{End, Queue};
use crate::telemetry::names;
use crate::types::ident::{DeviceKey, SerialNumber};
use crate::types::time::{Clock, Timestamp};

use active::{Active, Pace};
use roster::Roster;

pub use commands::{Command, CommandError};

/// How often campaigns are looked at when nothing happens: windows open, pauses end.
const TICK: Duration = Duration::from_secs(1);
/// How long a campaign is left alone when the store has failed.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// Most ends that are taken at a time.
const ENDS_BATCH: usize = 1_024;

/// `[campaigns]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CampaignsConfig {
    /// Most campaigns, ended ones included.
    pub max: u32,
    /// Devices that are at it at the same time in a campaign that says nothing of it; at least 1.
    pub concurrency: u32,
    /// A device that has not called in for so long since its turn came makes room for another; its turn is not over. In seconds.
    pub slot_timeout_secs: u32,
    /// In a campaign that says nothing of it, a device that has not called in for so long has failed. In seconds.
    pub device_timeout_secs: u32,
}

impl Default for CampaignsConfig {
    fn default() -> Self {
        Self { max: 1_000, concurrency: 100, slot_timeout_secs: 300, device_timeout_secs: 86_400 }
    }
}

/// What campaigns are carried out with.
#[derive(Clone)]
pub struct Tools {
    /// Holds campaigns, members and devices.
    pub store: Arc<dyn Store>,
    /// Takes the work and has the devices called.
    pub queue: Arc<Queue>,
    /// Knows which devices are in a session.
    pub presence: Arc<Presence>,
    /// Needed to change devices.
    pub sealer: Arc<Sealer>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The service.
pub struct Campaigns {
    tools: Tools,
    config: CampaignsConfig,
    changed: Notify,
    /// Of campaigns that are under way.
    rosters: RwLock<HashMap<CampaignId, Arc<Mutex<Roster>>>>,
    /// Of the one that was looked at last without being under way.
    closed: Mutex<Option<Closed>>,
}

/// The roster of a campaign that is not under way.
struct Closed {
    id: CampaignId,
    /// When the campaign ended.
    at: Timestamp,
    roster: Arc<Mutex<Roster>>,
}

/// A device of a campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberRow {
    /// Which.
    pub device: DeviceKey,
    /// As the API names it; `None`: it was removed before its turn came.
    pub serial_number: Option<SerialNumber>,
    /// The step in which it has its turn, counted from 0.
    pub step: u32,
    /// How it stands.
    pub member: Member,
}

impl Campaigns {
    /// Over the store that has the records.
    #[must_use]
    pub fn new(tools: Tools, config: CampaignsConfig) -> Self {
        Self { tools, config, changed: Notify::new(), rosters: RwLock::default(), closed: Mutex::default() }
    }

    /// What holds where a campaign says nothing.
    #[must_use]
    pub const fn config(&self) -> &CampaignsConfig {
        &self.config
    }

    /// Says that records have changed. Never waits.
    pub fn announce(&self) {
        self.changed.notify_one();
    }

    /// How many of its devices stand where. Exact for one that is under way or has ended; of a draft only the total, which is
    /// what the selection means just now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn counts(&self, campaign: &Campaign) -> Result<Counts, StoreError> {
        if campaign.course.state == CampaignState::Draft {
            let total = selection::count(&*self.tools.store, campaign).await?;
            return Ok(Counts { total, pending: total, ..Counts::default() });
        }
        if let Some(closed) = campaign.course.closed {
            return Ok(closed);
        }
        if !campaign.course.planned {
            return Ok(Counts::default());
        }
        Ok(self.roster(campaign).await?.lock().counts())
    }

    /// What keeps the next device from having its turn, in words; `None`: nothing.
    #[must_use]
    pub fn waiting_for(&self, campaign: &Campaign, counts: &Counts) -> Option<String> {
        let course = &campaign.course;
        if course.state != CampaignState::Running {
            return (counts.running > 0).then(|| format!("{} devices to finish", counts.running));
        }
        if !course.planned {
            return Some("the devices to be selected".to_owned());
        }
        let now = self.tools.clock.now();
        if let Some(at) = course.step_opens_at.filter(|at| *at > now) {
            return Some(format!("the pause between two steps, until {at}"));
        }
        if let Some(window) = &campaign.rules.window
            && window.open_until(now).is_none()
        {
            return Some(match window.opens_after(now) {
                Some(at) => format!("the maintenance window, which opens at {at}"),
                None => "the maintenance window, which never opens".to_owned(),
            });
        }
        None
    }

    /// One page of a campaign's devices, in the order in which they have their turn, and the exact count of all that match.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn devices(
        &self,
        campaign: &Campaign,
        status: Option<MemberStatus>,
        page: Page,
    ) -> Result<Listing<MemberRow>, StoreError> {
        if !campaign.course.planned {
            return Ok(Listing { items: Vec::new(), count: 0 });
        }
        let roster = self.roster(campaign).await?;
        let (found, count) = roster.lock().page(status, page);
        let keys: Vec<DeviceKey> = found.iter().map(|(key, _)| *key).collect();
        let store = &*self.tools.store;
        let rows = store.members(campaign.id, &keys).await?;
        let mut known = store.devices(&keys).await?.into_iter().peekable();
        let items = found.into_iter().zip(rows).map(|((device, step), member)| {
            let present = known.next_if(|one| one.key == device).map(|one| one.profile.serial_number);
            MemberRow { device, serial_number: present.or_else(|| member.serial_number.clone()), step, member }
        });
        Ok(Listing { items: items.collect(), count })
    }

    /// Forgets a campaign and how it stood with its devices; durable. `false`: it was not there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget(&self, id: CampaignId) -> Result<bool, StoreError> {
        let removed = self.tools.store.campaigns().remove(id.0).await?;
        // What a kill leaves here goes at the next start.
        self.tools.store.clear_members(id).await?;
        self.rosters.write().remove(&id);
        self.announce();
        Ok(removed)
    }

    /// The roster of a campaign that is planned: the one that is worked with, else what the store says.
    async fn roster(&self, campaign: &Campaign) -> Result<Arc<Mutex<Roster>>, StoreError> {
        let at_work = self.rosters.read().get(&campaign.id).cloned();
        if let Some(roster) = at_work {
            return Ok(roster);
        }
        // What is not under way changes by a start or a retry only, and is under way then.
        let mark = campaign.course.ended_at.unwrap_or(campaign.created);
        if let Some(closed) = &*self.closed.lock()
            && closed.id == campaign.id
            && closed.at == mark
        {
            return Ok(Arc::clone(&closed.roster));
        }
        let roster = Arc::new(Mutex::new(Roster::load(&*self.tools.store, campaign).await?));
        if campaign.course.closed.is_some() {
            *self.closed.lock() = Some(Closed { id: campaign.id, at: mark, roster: Arc::clone(&roster) });
        }
        Ok(roster)
    }

    /// Gives devices their turn until told to stop. Being dropped in the midst of it does no harm.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        let mut ends = self.tools.queue.ends();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut engine = Engine { shared: Arc::clone(&self), active: HashMap::new() };
        if let Err(error) = self.sweep().await {
            tracing::error!(%error, "what removed campaigns have left behind is still there");
        }
        let mut heard = Vec::new();
        loop {
            let lagged = loop {
                match ends.try_recv() {
                    Ok(end) => heard.push(end),
                    Err(TryRecvError::Lagged(_)) => break true,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break false,
                }
                if heard.len() >= ENDS_BATCH {
                    break false;
                }
            };
            engine.hear(std::mem::take(&mut heard), lagged);
            match shutdown.run_until_cancelled(engine.round()).await {
                None => return,
                Some(Pace::AtOnce) => continue,
                Some(Pace::Idle | Pace::Over) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.changed.notified() => {}
                _ = ticks.tick() => {}
                end = ends.recv() => heard.extend(end),
            }
        }
    }

    /// Removes what is kept of campaigns that are no more.
    async fn sweep(&self) -> Result<(), StoreError> {
        let store = &self.tools.store;
        for id in store.campaigns_with_members().await? {
            if store.campaigns().of(id).is_none() {
                store.clear_members(id).await?;
            }
        }
        Ok(())
    }
}

/// The loop's own.
struct Engine {
    shared: Arc<Campaigns>,
    active: HashMap<CampaignId, Active>,
}

impl Engine {
    fn hear(&mut self, ends: Vec<End>, lagged: bool) {
        for end in ends {
            if let Some(active) = end.campaign.and_then(|id| self.active.get_mut(&id)) {
                active.hear(end.device);
            }
        }
        if lagged {
            self.active.values_mut().for_each(Active::look_at_all);
        }
    }

    /// Takes every campaign a bit further.
    async fn round(&mut self) -> Pace {
        let records = self.shared.tools.store.campaigns().all();
        let is_same = |active: &Active, campaign: &Campaign| active.is_of(campaign) && campaign.is_open();
        self.active.retain(|id, active| {
            let stays = records.get(&id.0).is_some_and(|campaign| is_same(active, campaign));
            if !stays {
                self.shared.rosters.write().remove(id);
            }
            stays
        });
        let mut pace = Pace::Idle;
        let mut running = 0_u32;
        for campaign in records.values().filter(|campaign| campaign.is_open()) {
            running += u32::from(campaign.course.state == CampaignState::Running);
            match self.advance(campaign).await {
                Ok(Pace::AtOnce) => pace = Pace::AtOnce,
                Ok(Pace::Idle | Pace::Over) => {}
                Err(error) => {
                    tracing::error!(%error, campaign.id = campaign.id.0, "campaign {} does not get on", campaign.id.0);
                    let now = self.shared.tools.clock.now();
                    if let Some(active) = self.active.get_mut(&campaign.id) {
                        active.rest_until(now + AFTER_FAILURE);
                    }
                }
            }
        }
        metrics::gauge!(names::CAMPAIGNS_RUNNING).set(running);
        pace
    }

    async fn advance(&mut self, campaign: &Campaign) -> Result<Pace, StoreError> {
        let shared = &self.shared;
        let active = match self.active.entry(campaign.id) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let Some(active) = Active::take_up(shared, campaign).await? else { return Ok(Pace::Idle) };
                shared.rosters.write().insert(campaign.id, active.roster());
                shared.closed.lock().take_if(|closed| closed.id == campaign.id);
                entry.insert(active)
            }
        };
        active.advance(shared).await
    }
}
