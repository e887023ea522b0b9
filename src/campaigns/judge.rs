//! Where a device stands, by what has become of its transaction.

use std::time::Duration;

use crate::model::campaign::member::{Member, Standing};
use crate::model::campaign::{Campaign, CampaignState};
use crate::model::transaction::{Transaction, TransactionStatus};
use crate::store::StoreError;
use crate::types::ident::DeviceKey;

use super::Tools;
use super::order::{REMOVED, Withdrawn};
use super::roster::Place;

impl Tools {
    /// Where a device stands that has had its turn, by what has become of its transaction. What there is to do about it is
    /// done; the row has to be written.
    pub(super) async fn judge(
        &self,
        campaign: &Campaign,
        device: DeviceKey,
        member: &mut Member,
        slot_timeout: Duration,
    ) -> Result<Place, StoreError> {
        let present = match member.standing {
            Standing::Pending | Standing::Succeeded | Standing::Failed | Standing::Skipped => {
                return Ok(member.standing.into());
            }
            Standing::Starting => match self.find_ordered(campaign, device, member).await? {
                Some(found) => {
                    member.standing = Standing::Running;
                    member.transaction = Some(found.id);
                    Some(found)
                }
                None => {
                    member.put_off();
                    return Ok(Place::Again);
                }
            },
            Standing::Running => match member.transaction {
                Some(id) => self.store.transaction(id).await?,
                None => None,
            },
        };
        let Some(transaction) = present else { return self.lost(campaign, device, member).await };
        if transaction.status.is_final() {
            return Ok(self.conclude(campaign, member, &transaction));
        }
        if transaction.status != TransactionStatus::Scheduled {
            return Ok(Place::Running);
        }
        let now = self.clock.now();
        if campaign.course.state == CampaignState::Running {
            let is_late = now.since(transaction.created_at) >= slot_timeout;
            return Ok(if is_late { Place::Aside } else { Place::Running });
        }
        match self.withdraw(&transaction, &campaign.course.by).await? {
            Withdrawn::Done => {
                member.waited_ms = member.waited_ms.saturating_add(millis(now.since(transaction.created_at)));
                member.put_off();
                Ok(Place::Again)
            }
            Withdrawn::TooLate => match self.store.transaction(transaction.id).await? {
                Some(ended) if ended.status.is_final() => Ok(self.conclude(campaign, member, &ended)),
                Some(_) | None => Ok(Place::Running),
            },
        }
    }

    /// Its transaction is not there any more.
    async fn lost(&self, campaign: &Campaign, device: DeviceKey, member: &mut Member) -> Result<Place, StoreError> {
        let now = self.clock.now();
        if self.store.devices(&[device]).await?.is_empty() {
            member.end(Standing::Skipped, now, Some(REMOVED));
        } else {
            let reason = "the ledger no longer has its transaction: what became of it is not known";
            member.fail(campaign.rules.retries, now, reason);
        }
        Ok(member.standing.into())
    }

    /// Takes over how the transaction has ended.
    fn conclude(&self, campaign: &Campaign, member: &mut Member, ended: &Transaction) -> Place {
        let at = ended.completed_at.unwrap_or_else(|| self.clock.now());
        let is_wanted = campaign.course.state == CampaignState::Running && !campaign.course.withdrawing;
        match ended.status {
            TransactionStatus::Completed => member.end(Standing::Succeeded, at, ended.note.as_deref()),
            TransactionStatus::Canceled if is_wanted => {
                member.end(Standing::Skipped, at, Some("its transaction was withdrawn"));
            }
            TransactionStatus::Canceled => member.put_off(),
            TransactionStatus::Expired => {
                member.waited_ms = member.waited_ms.saturating_add(millis(at.since(ended.created_at)));
                let timeout = u64::from(campaign.rules.device_timeout_secs);
                if member.waited_ms >= timeout * 1_000 {
                    let words = format!("unreachable: it has not called in within {timeout} s");
                    member.fail(campaign.rules.retries, at, &words);
                } else {
                    // The window has closed: its turn goes on when it opens.
                    member.put_off();
                }
            }
            TransactionStatus::Failed | TransactionStatus::Scheduled | TransactionStatus::InProgress => {
                let words = match &ended.fault {
                    Some(fault) if fault.code != 0 => format!("{} (fault {})", fault.message, fault.code),
                    Some(fault) => fault.message.clone(),
                    None => "it failed".to_owned(),
                };
                member.fail(campaign.rules.retries, at, &words);
            }
        }
        member.standing.into()
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
