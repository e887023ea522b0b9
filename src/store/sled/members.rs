//! Members of campaigns on disk: one record for who takes part, and a row for each member that has had its turn.
//!
//! Who takes part lies under the device 0, which no device has: in front of the rows, in one piece or in parts that are
//! shown by one write, so that there never is half a campaign.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::model::campaign::CampaignId;
use crate::model::campaign::member::{Member, Standing};
use crate::store::campaigns::MemberStore;
use crate::store::key::{self, Table};
use crate::store::record::unreadable;
use crate::store::{StoreError, StoreFuture, record};
use crate::types::ident::DeviceKey;

use super::{Core, SledStore, blocking};

/// Where the plan lies.
const PLAN: DeviceKey = DeviceKey(0);
/// More rows than this are read where it may block.
const INLINE_ROWS: usize = 64;

impl Core {
    fn plan_members(&self, campaign: CampaignId, devices: &[DeviceKey]) -> Result<(), StoreError> {
        self.clear_members(campaign)?;
        let plan: RoaringBitmap = devices.iter().map(|device| device.0).collect();
        let mut bytes = Vec::with_capacity(plan.serialized_size());
        plan.serialize_into(&mut bytes).map_err(|error| unreadable("campaign plan", &error))?;
        self.database.put(Table::Members, &key::member(campaign, PLAN), &record::encode_large(&bytes)?)
    }

    fn planned_members(&self, campaign: CampaignId) -> Result<Option<Vec<DeviceKey>>, StoreError> {
        let Some(bytes) = self.database.get(Table::Members, &key::member(campaign, PLAN))? else { return Ok(None) };
        let bytes: Vec<u8> = record::decode("campaign plan", &bytes)?;
        let plan = RoaringBitmap::deserialize_from(&*bytes).map_err(|error| unreadable("campaign plan", &error))?;
        Ok(Some(plan.into_iter().map(DeviceKey).collect()))
    }

    fn put_members(&self, campaign: CampaignId, rows: &[(DeviceKey, Member)]) -> Result<(), StoreError> {
        for (device, row) in rows {
            self.database.put(Table::Members, &key::member(campaign, *device), &record::encode(row, 96)?)?;
        }
        Ok(())
    }

    fn members(&self, campaign: CampaignId, devices: &[DeviceKey]) -> Result<Vec<Member>, StoreError> {
        let row = |device: &DeviceKey| match self.database.get(Table::Members, &key::member(campaign, *device))? {
            Some(bytes) => record::decode("campaign member", &bytes),
            None => Ok(Member::new()),
        };
        devices.iter().map(row).collect()
    }

    fn standings(&self, campaign: CampaignId) -> Result<Vec<(DeviceKey, Standing)>, StoreError> {
        let mut standings = Vec::new();
        self.database.each_below(Table::Members, &key::number(campaign.0), |key, bytes| {
            if let Some((_, device)) = key::read_member(key).filter(|(_, device)| *device != PLAN) {
                standings.push((device, record::decode::<Member>("campaign member", &bytes)?.standing));
            }
            Ok(())
        })?;
        Ok(standings)
    }

    fn clear_members(&self, campaign: CampaignId) -> Result<(), StoreError> {
        // The plan first, which is the lowest key: what a kill leaves are rows of a campaign that has none.
        self.database.purge(Table::Members, &key::number(campaign.0))
    }

    fn campaigns_with_members(&self) -> Result<Vec<CampaignId>, StoreError> {
        let mut found = Vec::new();
        let mut from = 0_u32;
        while let Some(key) = self.database.first_key(Table::Members, &key::number(from))? {
            let Some(campaign) = key::read_campaign(&key) else { break };
            found.push(campaign);
            match campaign.0.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(found)
    }
}

impl MemberStore for SledStore {
    fn plan_members<'a>(&'a self, campaign: CampaignId, devices: &'a [DeviceKey]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.core.health.check()?;
            let devices = devices.to_vec();
            blocking(&self.core, move |core| core.plan_members(campaign, &devices)).await?;
            self.committer.barrier().await
        })
    }

    fn planned_members(&self, campaign: CampaignId) -> StoreFuture<'_, Option<Vec<DeviceKey>>> {
        Box::pin(async move { blocking(&self.core, move |core| core.planned_members(campaign)).await })
    }

    fn put_members<'a>(&'a self, campaign: CampaignId, rows: &'a [(DeviceKey, Member)]) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.core.health.check()?;
            if rows.len() <= INLINE_ROWS {
                self.core.put_members(campaign, rows)?;
            } else {
                let rows = rows.to_vec();
                blocking(&self.core, move |core| core.put_members(campaign, &rows)).await?;
            }
            self.committer.barrier().await
        })
    }

    fn members<'a>(&'a self, campaign: CampaignId, devices: &'a [DeviceKey]) -> StoreFuture<'a, Vec<Member>> {
        Box::pin(async move {
            if devices.len() <= INLINE_ROWS {
                return self.core.members(campaign, devices);
            }
            let devices = devices.to_vec();
            blocking(&Arc::clone(&self.core), move |core| core.members(campaign, &devices)).await
        })
    }

    fn standings(&self, campaign: CampaignId) -> StoreFuture<'_, Vec<(DeviceKey, Standing)>> {
        Box::pin(async move { blocking(&self.core, move |core| core.standings(campaign)).await })
    }

    fn clear_members(&self, campaign: CampaignId) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.core.health.check()?;
            blocking(&self.core, move |core| core.clear_members(campaign)).await?;
            self.committer.barrier().await
        })
    }

    fn campaigns_with_members(&self) -> StoreFuture<'_, Vec<CampaignId>> {
        Box::pin(async move { blocking(&self.core, Core::campaigns_with_members).await })
    }
}
