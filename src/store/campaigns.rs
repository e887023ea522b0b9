//! Members of campaigns: who takes part, and how it stands with each.

use crate::model::campaign::CampaignId;
use crate::model::campaign::member::{Member, Standing};
use crate::types::ident::DeviceKey;

use super::StoreFuture;

/// Members of campaigns. Who takes part is settled once, in one step; a row is kept only of members that have had their turn,
/// so that a campaign of a million devices is made as fast as one of ten.
///
/// One caller at a time writes the rows of a campaign.
pub trait MemberStore: Send + Sync {
    /// Settles who takes part in a campaign, in the order of their keys; durable, all of them or none. Rows of an earlier plan go.
    fn plan_members<'a>(&'a self, campaign: CampaignId, devices: &'a [DeviceKey]) -> StoreFuture<'a, ()>;

    /// Who takes part, in the order of their keys; `None`: that is not settled.
    fn planned_members(&self, campaign: CampaignId) -> StoreFuture<'_, Option<Vec<DeviceKey>>>;

    /// Writes rows; durable. Each by itself: a kill may leave some of them written.
    fn put_members<'a>(&'a self, campaign: CampaignId, rows: &'a [(DeviceKey, Member)]) -> StoreFuture<'a, ()>;

    /// The rows of these devices, in their order; of one that has none, how a member begins.
    fn members<'a>(&'a self, campaign: CampaignId, devices: &'a [DeviceKey]) -> StoreFuture<'a, Vec<Member>>;

    /// Where every member stands that has a row, in the order of their keys.
    fn standings(&self, campaign: CampaignId) -> StoreFuture<'_, Vec<(DeviceKey, Standing)>>;

    /// Forgets who takes part, and all rows; durable.
    fn clear_members(&self, campaign: CampaignId) -> StoreFuture<'_, ()>;

    /// Campaigns of which anything is kept here.
    fn campaigns_with_members(&self) -> StoreFuture<'_, Vec<CampaignId>>;
}
