//! A campaign that is under way: who is looked at, and who has its turn next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::model::campaign::member::{Member, MemberStatus, Standing};
use crate::model::campaign::{Campaign, CampaignId, CampaignState, Judgement, Tally};
use crate::model::device::Device;
use crate::store::{Page, StoreError, TransactionFilter};
use crate::telemetry::names;
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

use super::order::Ordered;
use super::roster::{Place, Roster};
use super::{Campaigns, Tools, selection};

/// Devices that are looked at, or get their turn, at a time.
const CHUNK: usize = 128;
/// How often devices that are at it are looked at although nothing was heard of them.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Of those that take a slot, how many then; of the others a [`CHUNK`].
const SWEPT_SLOTS: usize = 512;

/// How a campaign goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// There is more to do.
    AtOnce,
    /// Something has to happen first.
    Idle,
    /// It needs no more attention.
    Over,
}

/// A campaign that is under way.
pub(super) struct Active {
    id: CampaignId,
    created: Timestamp,
    roster: Arc<Mutex<Roster>>,
    /// The state in which every device that is at it was looked at.
    seen: CampaignState,
    /// How far that has come; `None`: it is done.
    pass: Option<usize>,
    /// Devices of which a transaction has ended.
    heard: BTreeSet<DeviceKey>,
    swept_at: Timestamp,
    /// Where the next sweep goes on.
    swept_slots: usize,
    swept_aside: usize,
    rests_until: Option<Timestamp>,
}

impl Active {
    /// Takes up a campaign, and settles who takes part if that is still open. `None`: there is nothing to do with it.
    pub(super) async fn take_up(shared: &Campaigns, campaign: &Campaign) -> Result<Option<Self>, StoreError> {
        let tools = &shared.tools;
        let planned = if campaign.course.planned {
            campaign.clone()
        } else if campaign.course.state == CampaignState::Running {
            plan(tools, campaign).await?;
            match tools.store.campaigns().of(campaign.id).filter(|campaign| campaign.course.planned) {
                Some(campaign) => Campaign::clone(&campaign),
                None => return Ok(None),
            }
        } else {
            return Ok(None);
        };
        let roster = Roster::load(&*tools.store, &planned).await?;
        Ok(Some(Self {
            id: planned.id,
            created: planned.created,
            roster: Arc::new(Mutex::new(roster)),
            seen: planned.course.state,
            pass: Some(0),
            heard: BTreeSet::new(),
            swept_at: tools.clock.now(),
            swept_slots: 0,
            swept_aside: 0,
            rests_until: None,
        }))
    }

    pub(super) fn roster(&self) -> Arc<Mutex<Roster>> {
        Arc::clone(&self.roster)
    }

    /// Whether this is the record that it was taken up from: numbers may be given out again.
    pub(super) fn is_of(&self, campaign: &Campaign) -> bool {
        self.id == campaign.id && self.created == campaign.created
    }

    /// A transaction of the device has ended.
    pub(super) fn hear(&mut self, device: DeviceKey) {
        self.heard.insert(device);
    }

    /// Something may have been missed.
    pub(super) fn look_at_all(&mut self) {
        self.pass = Some(0);
    }

    /// Leaves it alone for a while, then looks at everything anew: what was half done is found so.
    pub(super) fn rest_until(&mut self, at: Timestamp) {
        self.rests_until = Some(at);
        self.look_at_all();
    }

    /// Takes it a bit further.
    pub(super) async fn advance(&mut self, shared: &Campaigns) -> Result<Pace, StoreError> {
        let tools = &shared.tools;
        let now = tools.clock.now();
        if self.rests_until.is_some_and(|until| now < until) {
            return Ok(Pace::Idle);
        }
        self.rests_until = None;
        let Some(campaign) = tools.store.campaigns().of(self.id) else { return Ok(Pace::Over) };
        if campaign.course.state != self.seen {
            self.seen = campaign.course.state;
            self.look_at_all();
        }
        let heard = std::mem::take(&mut self.heard);
        let heard: Vec<usize> = {
            let roster = self.roster.lock();
            heard.into_iter().filter_map(|device| roster.find(device)).collect()
        };
        for some in heard.chunks(CHUNK) {
            self.look(shared, &campaign, some).await?;
        }
        if let Some(from) = self.pass {
            let found = self.among(&[Place::Starting, Place::Running, Place::Aside], from, CHUNK);
            self.look(shared, &campaign, &found).await?;
            self.pass = found.last().filter(|_| found.len() == CHUNK).map(|last| last + 1);
            return Ok(Pace::AtOnce);
        }
        if campaign.course.withdrawing {
            tools.withdrawn(self.id, self.seen).await?;
            return Ok(Pace::AtOnce);
        }
        if now.since(self.swept_at) >= SWEEP_EVERY {
            self.swept_at = now;
            self.sweep(shared, &campaign).await?;
        }
        // A stop rule may have fired.
        let Some(campaign) = tools.store.campaigns().of(self.id) else { return Ok(Pace::Over) };
        match campaign.course.state {
            CampaignState::Running if campaign.course.state == self.seen => self.run(shared, &campaign).await,
            CampaignState::Canceled => self.close(tools).await,
            CampaignState::Draft
            | CampaignState::Running
            | CampaignState::Paused
            | CampaignState::Stopped
            | CampaignState::Completed => {
                Ok(if campaign.course.state == self.seen { Pace::Idle } else { Pace::AtOnce })
            }
        }
    }

    fn among(&self, places: &[Place], from: usize, max: usize) -> Vec<usize> {
        self.roster.lock().among(places, from, max)
    }

    /// Looks at some devices that are at it: ends may be missed, devices removed, slots taken for too long.
    async fn sweep(&mut self, shared: &Campaigns, campaign: &Campaign) -> Result<(), StoreError> {
        let slots = self.among(&[Place::Starting, Place::Running], self.swept_slots, SWEPT_SLOTS);
        self.swept_slots = slots.last().filter(|_| slots.len() == SWEPT_SLOTS).map_or(0, |last| last + 1);
        let aside = self.among(&[Place::Aside], self.swept_aside, CHUNK);
        self.swept_aside = aside.last().filter(|_| aside.len() == CHUNK).map_or(0, |last| last + 1);
        for some in slots.chunks(CHUNK).chain(aside.chunks(CHUNK)) {
            self.look(shared, campaign, some).await?;
        }
        Ok(())
    }

    /// Brings what is known of some devices in line with their transactions.
    async fn look(&mut self, shared: &Campaigns, campaign: &Campaign, found: &[usize]) -> Result<(), StoreError> {
        let tools = &shared.tools;
        let keys: Vec<DeviceKey> = {
            let roster = self.roster.lock();
            found.iter().filter_map(|at| roster.key(*at)).collect()
        };
        let rows = tools.store.members(self.id, &keys).await?;
        let slot_timeout = Duration::from_secs(shared.config.slot_timeout_secs.into());
        let mut changes = Vec::with_capacity(rows.len());
        for ((at, key), before) in found.iter().zip(keys).zip(rows) {
            let mut member = before.clone();
            let place = tools.judge(campaign, key, &mut member, slot_timeout).await?;
            changes.push(Change { at: *at, key, is_new: member != before, member, place });
        }
        self.keep(tools, campaign, changes).await
    }

    /// Writes rows, then shows them. The first that makes a stop rule fire stops the campaign.
    async fn keep(&self, tools: &Tools, campaign: &Campaign, changes: Vec<Change>) -> Result<(), StoreError> {
        let rows: Vec<_> = changes.iter().filter(|one| one.is_new).map(|one| (one.key, one.member.clone())).collect();
        if !rows.is_empty() {
            tools.store.put_members(self.id, &rows).await?;
        }
        let may_stop = campaign.course.state == CampaignState::Running && !campaign.course.retrying;
        let mut reason = None;
        {
            let mut roster = self.roster.lock();
            for change in changes {
                let was_final = roster.place(change.at).is_some_and(|place| place.status().is_final());
                roster.put(change.at, change.place);
                let status = change.place.status();
                if status.is_final() && !was_final {
                    metrics::counter!(names::CAMPAIGN_DEVICES, "result" => status.as_str()).increment(1);
                }
                let counts = matches!(status, MemberStatus::Succeeded | MemberStatus::Failed) && !was_final;
                if may_stop && counts && reason.is_none() {
                    let judgement = if campaign.rollout.canary > 0 && roster.is_over(0) {
                        Judgement::AtGate
                    } else {
                        Judgement::Midway
                    };
                    reason = campaign.rules.stops(since(campaign, roster.tally()), judgement);
                }
            }
        }
        match reason {
            Some(reason) => tools.stop(self.id, reason).await,
            None => Ok(()),
        }
    }

    /// What a running campaign does next.
    async fn run(&mut self, shared: &Campaigns, campaign: &Campaign) -> Result<Pace, StoreError> {
        let (tools, course) = (&shared.tools, &campaign.course);
        if course.retrying {
            return self.retry(tools, campaign).await;
        }
        let tally = self.roster.lock().tally();
        let step = usize::try_from(course.step).unwrap_or(usize::MAX);
        let (is_over, is_last, counts, had_devices) = {
            let roster = self.roster.lock();
            (roster.is_over(step), step + 1 >= roster.steps(), roster.counts(), roster.has_devices(step))
        };
        if is_over && is_last {
            tools.complete(self.id, counts, tools.clock.now()).await?;
            return Ok(Pace::AtOnce);
        }
        if is_over {
            if let Some(reason) = campaign.rules.stops(since(campaign, tally), Judgement::AtGate) {
                tools.stop(self.id, reason).await?;
                return Ok(Pace::AtOnce);
            }
            let pause = Duration::from_secs(campaign.rules.step_pause_secs.into());
            let opens_at = (had_devices && !pause.is_zero()).then(|| tools.clock.now() + pause);
            tools
                .drive(self.id, CampaignState::Running, |campaign| {
                    campaign.course.step = campaign.course.step.saturating_add(1);
                    // The pause behind a step without devices is the one before it.
                    campaign.course.step_opens_at = opens_at.or(campaign.course.step_opens_at);
                })
                .await?;
            return Ok(Pace::AtOnce);
        }
        self.give_turns(shared, campaign, step).await
    }

    /// Marks those that have failed as to be tried again, some at a time.
    async fn retry(&self, tools: &Tools, campaign: &Campaign) -> Result<Pace, StoreError> {
        let failed = self.among(&[Place::Failed], 0, CHUNK);
        if failed.is_empty() {
            tools.drive(self.id, CampaignState::Running, |campaign| campaign.course.retrying = false).await?;
            return Ok(Pace::AtOnce);
        }
        let keys: Vec<DeviceKey> = {
            let roster = self.roster.lock();
            failed.iter().filter_map(|at| roster.key(*at)).collect()
        };
        let rows = tools.store.members(self.id, &keys).await?;
        let changes = failed.into_iter().zip(keys).zip(rows).map(|((at, key), mut member)| {
            member.again();
            Change { at, key, is_new: true, member, place: Place::Again }
        });
        self.keep(tools, campaign, changes.collect()).await?;
        Ok(Pace::AtOnce)
    }

    /// Has the next devices begin, as many as there are free slots.
    async fn give_turns(&self, shared: &Campaigns, campaign: &Campaign, step: usize) -> Result<Pace, StoreError> {
        let (tools, now) = (&shared.tools, shared.tools.clock.now());
        if campaign.course.step_opens_at.is_some_and(|at| now < at) {
            return Ok(Pace::Idle);
        }
        let closes = match &campaign.rules.window {
            None => None,
            Some(window) => match window.open_until(now) {
                Some(closes) => Some(closes),
                None => return Ok(Pace::Idle),
            },
        };
        let turns: Vec<(usize, DeviceKey)> = {
            let roster = self.roster.lock();
            let concurrency = usize::try_from(campaign.rules.concurrency).unwrap_or(usize::MAX);
            let free = concurrency.saturating_sub(roster.slots());
            let next = roster.next(step, free.min(CHUNK));
            next.into_iter().filter_map(|at| Some((at, roster.key(at)?))).collect()
        };
        if turns.is_empty() {
            return Ok(Pace::Idle);
        }
        let keys: Vec<DeviceKey> = turns.iter().map(|(_, key)| *key).collect();
        let mut devices: HashMap<DeviceKey, Device> =
            tools.store.devices(&keys).await?.into_iter().map(|device| (device.key, device)).collect();
        let rows = tools.store.members(self.id, &keys).await?;
        let (mut changes, mut starting) = (Vec::new(), Vec::new());
        for ((at, key), mut member) in turns.into_iter().zip(rows) {
            let device = devices.remove(&key);
            if let Some(device) = &device {
                member.serial_number = Some(device.profile.serial_number.clone());
            }
            let left_out = tools.left_out(campaign, device.as_ref());
            let place = match (left_out, device) {
                (None, Some(device)) => {
                    member.begin(now);
                    starting.push((at, device, member.clone()));
                    Place::Starting
                }
                (reason, _) => {
                    member.end(Standing::Skipped, now, reason);
                    Place::Skipped
                }
            };
            changes.push(Change { at, key, is_new: true, member, place });
        }
        self.keep(tools, campaign, changes).await?;
        self.schedule(tools, campaign, starting, closes).await?;
        Ok(Pace::AtOnce)
    }

    /// Schedules what devices that are marked as starting have to do, all at once: they share the store's flushes.
    async fn schedule(
        &self,
        tools: &Tools,
        campaign: &Campaign,
        starting: Vec<(usize, Device, Member)>,
        closes: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut under_way = JoinSet::new();
        let shared = Arc::new(campaign.clone());
        let timeout = Duration::from_secs(campaign.rules.device_timeout_secs.into());
        for (at, device, member) in starting {
            let left = timeout.saturating_sub(Duration::from_millis(member.waited_ms)).max(Duration::from_secs(1));
            let expires_at = tools.clock.now() + left;
            let expires_at = closes.map_or(expires_at, |closes| closes.min(expires_at));
            let (tools, campaign) = (tools.clone(), Arc::clone(&shared));
            under_way.spawn(async move {
                let ordered = tools.order(&campaign, &device, expires_at).await;
                (at, device.key, member, ordered)
            });
        }
        let (mut changes, mut failed) = (Vec::new(), None);
        while let Some(done) = under_way.join_next().await {
            // One that panicked stays marked, and is looked for.
            let Ok((at, key, mut member, ordered)) = done else {
                failed = Some(StoreError::Unavailable { reason: "a device's turn broke off".to_owned() });
                continue;
            };
            let now = tools.clock.now();
            match ordered {
                Ok(Ordered::Scheduled(id)) => {
                    member.standing = Standing::Running;
                    member.transaction = Some(id);
                }
                Ok(Ordered::Skipped(reason)) => member.end(Standing::Skipped, now, Some(&reason)),
                Ok(Ordered::Refused(reason)) => member.fail(campaign.rules.retries, now, &reason),
                Err(error) => {
                    failed = Some(error);
                    continue;
                }
            }
            changes.push(Change { at, key, is_new: true, place: member.standing.into(), member });
        }
        // In the order of their turns, whoever was quicker.
        changes.sort_unstable_by_key(|change| change.at);
        self.keep(tools, campaign, changes).await?;
        failed.map_or(Ok(()), Err)
    }

    /// Notes how a canceled campaign has ended with its devices, once none is at it.
    async fn close(&self, tools: &Tools) -> Result<Pace, StoreError> {
        let counts = self.roster.lock().counts();
        if counts.running > 0 {
            return Ok(Pace::Idle);
        }
        tools.drive(self.id, CampaignState::Canceled, |campaign| campaign.course.closed = Some(counts)).await?;
        Ok(Pace::Over)
    }
}

/// Where a device now stands.
struct Change {
    at: usize,
    key: DeviceKey,
    /// Whether the row is to be written.
    is_new: bool,
    member: Member,
    place: Place,
}

/// What has happened since stop rules began to count.
const fn since(campaign: &Campaign, tally: Tally) -> Tally {
    let baseline = campaign.course.baseline;
    Tally {
        succeeded: tally.succeeded.saturating_sub(baseline.succeeded),
        failed: tally.failed.saturating_sub(baseline.failed),
    }
}

/// Settles who takes part. Until the record says so, nothing of it counts.
async fn plan(tools: &Tools, campaign: &Campaign) -> Result<(), StoreError> {
    let devices = selection::keys(&*tools.store, campaign).await?;
    tools.store.plan_members(campaign.id, &devices).await?;
    let newest = tools.store.transactions(&TransactionFilter::default(), Page { offset: 0, limit: 1 }).await?;
    let floor = newest.items.first().map_or(TransactionId(0), |newest| newest.id);
    tracing::info!(campaign.id = campaign.id.0, "campaign {} is for {} devices", campaign.id.0, devices.len());
    tools
        .drive(campaign.id, CampaignState::Running, |campaign| {
            campaign.course.planned = true;
            campaign.course.floor = floor;
        })
        .await
}
