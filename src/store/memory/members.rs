//! Members of campaigns in memory.

use std::collections::BTreeMap;

use crate::model::campaign::CampaignId;
use crate::model::campaign::member::{Member, Standing};
use crate::store::StoreFuture;
use crate::store::campaigns::MemberStore;
use crate::types::ident::DeviceKey;

use super::{MemoryStore, ready};

/// Of one campaign.
#[derive(Debug, Default)]
pub(super) struct Members {
    plan: Option<Vec<DeviceKey>>,
    rows: BTreeMap<DeviceKey, Member>,
}

impl MemberStore for MemoryStore {
    fn plan_members<'a>(&'a self, campaign: CampaignId, devices: &'a [DeviceKey]) -> StoreFuture<'a, ()> {
        let mut plan = devices.to_vec();
        plan.sort_unstable();
        plan.dedup();
        ready(self.step(|inner| {
            inner.members.insert(campaign, Members { plan: Some(plan), rows: BTreeMap::new() });
        }))
    }

    fn planned_members(&self, campaign: CampaignId) -> StoreFuture<'_, Option<Vec<DeviceKey>>> {
        ready(self.step(|inner| inner.members.get(&campaign)?.plan.clone()))
    }

    fn put_members<'a>(&'a self, campaign: CampaignId, rows: &'a [(DeviceKey, Member)]) -> StoreFuture<'a, ()> {
        ready(self.durable_step(|inner| inner.members.entry(campaign).or_default().rows.extend(rows.iter().cloned())))
    }

    fn members<'a>(&'a self, campaign: CampaignId, devices: &'a [DeviceKey]) -> StoreFuture<'a, Vec<Member>> {
        ready(self.step(|inner| {
            let rows = inner.members.get(&campaign).map(|members| &members.rows);
            let row = |device| rows.and_then(|rows| rows.get(device)).cloned().unwrap_or_default();
            devices.iter().map(row).collect()
        }))
    }

    fn standings(&self, campaign: CampaignId) -> StoreFuture<'_, Vec<(DeviceKey, Standing)>> {
        ready(self.step(|inner| {
            let members = inner.members.get(&campaign).into_iter();
            members.flat_map(|members| &members.rows).map(|(device, row)| (*device, row.standing)).collect()
        }))
    }

    fn clear_members(&self, campaign: CampaignId) -> StoreFuture<'_, ()> {
        ready(self.step(|inner| {
            inner.members.remove(&campaign);
        }))
    }

    fn campaigns_with_members(&self) -> StoreFuture<'_, Vec<CampaignId>> {
        ready(self.step(|inner| inner.members.keys().copied().collect()))
    }
}
