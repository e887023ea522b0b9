//! Changing the state of a campaign: the one door, for operators and for the loop.

use std::sync::Arc;

use crate::model::campaign::member::Counts;
use crate::model::campaign::{Campaign, CampaignId, CampaignState, Tally};
use crate::model::event::{EventData, EventEntry, EventHead, EventKind};
use crate::store::StoreError;
use crate::types::time::Timestamp;

use super::{Campaigns, Tools};

/// What an operator may want of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Select the devices and begin.
    Start,
    /// Begin with no more devices.
    Pause,
    /// Go on.
    Resume,
    /// End it.
    Cancel,
    /// Try those again that have failed.
    Retry,
}

impl Command {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }

    /// The states in which it makes sense.
    const fn suits(self, state: CampaignState) -> bool {
        use CampaignState::{Completed, Draft, Paused, Running, Stopped};
        match self {
            Self::Start => matches!(state, Draft),
            Self::Pause => matches!(state, Running),
            Self::Resume => matches!(state, Paused | Stopped),
            Self::Cancel => matches!(state, Running | Paused | Stopped),
            Self::Retry => matches!(state, Completed | Paused | Stopped),
        }
    }

    fn check(self, campaign: &Campaign) -> Result<(), CommandError> {
        let state = campaign.course.state;
        if self.suits(state) { Ok(()) } else { Err(CommandError::Unsuited { command: self, state }) }
    }

    fn apply(self, campaign: &mut Campaign, present: Counts, by: &str, at: Timestamp) {
        let course = &mut campaign.course;
        course.reason = None;
        match self {
            Self::Start | Self::Resume | Self::Retry => {
                course.state = CampaignState::Running;
                by.clone_into(&mut course.by);
                course.started_at.get_or_insert(at);
                course.ended_at = None;
                course.closed = None;
                // Of those that are tried again none has failed.
                let failed = if self == Self::Retry { 0 } else { present.failed };
                course.baseline = Tally { succeeded: present.succeeded, failed };
                course.retrying |= self == Self::Retry;
            }
            Self::Pause => {
                course.state = CampaignState::Paused;
                course.withdrawing = true;
            }
            Self::Cancel => {
                course.state = CampaignState::Canceled;
                course.withdrawing = true;
                course.ended_at = Some(at);
                if !course.planned {
                    course.closed = Some(Counts::default());
                }
            }
        }
    }
}

/// Why a command was not followed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is no such campaign.
    #[error("there is no such campaign")]
    Unknown,
    /// Not in the state it is in.
    #[error("a campaign that is {} takes no \"{}\"", state.as_str(), command.as_str())]
    Unsuited {
        /// What was wanted.
        command: Command,
        /// Where the campaign stands.
        state: CampaignState,
    },
    /// A retry, and there is nothing to try again.
    #[error("no device has failed")]
    NothingFailed,
    /// The store failed.
    #[error("the change was not stored")]
    Store(#[from] StoreError),
}

impl Campaigns {
    /// Does as an operator wishes; durable. The loop follows.
    ///
    /// # Errors
    /// [`CommandError`].
    pub async fn command(&self, id: CampaignId, command: Command, by: &str) -> Result<Arc<Campaign>, CommandError> {
        let present = self.tools.store.campaigns().of(id).ok_or(CommandError::Unknown)?;
        command.check(&present)?;
        let begun = present.course.state != CampaignState::Draft;
        let counts = if begun { self.counts(&present).await? } else { Counts::default() };
        if command == Command::Retry && counts.failed == 0 {
            return Err(CommandError::NothingFailed);
        }
        let at = self.tools.clock.now();
        let edit = |campaign: &mut Campaign| {
            command.check(campaign)?;
            command.apply(campaign, counts, by, at);
            Ok(())
        };
        let steered = self.tools.steer(id, edit).await?.ok_or(CommandError::Unknown)?;
        if steered.is_ok() {
            self.announce();
        }
        steered
    }
}

impl Tools {
    /// Changes a campaign in one step; durable. Where that changes its state, its event comes first. An edit that refuses
    /// must have changed nothing. `None`: there is no such campaign.
    pub(super) async fn steer<E: Send>(
        &self,
        id: CampaignId,
        edit: impl FnOnce(&mut Campaign) -> Result<(), E> + Send,
    ) -> Result<Option<Result<Arc<Campaign>, E>>, StoreError> {
        let mut outcome = Ok(());
        let mut told = Ok(());
        let (store, at) = (&*self.store, self.clock.now());
        let change = |campaign: &mut Campaign| {
            let before = campaign.course.clone();
            outcome = edit(campaign);
            if outcome.is_ok() && campaign.course.state != before.state {
                told = store.append_event(event_of(campaign, at));
                if told.is_err() {
                    campaign.course = before;
                }
            }
        };
        let edited = store.campaigns().edit(id.0, Box::new(change)).await?;
        told?;
        let Some(campaign) = edited else { return Ok(None) };
        if let Err(refused) = outcome {
            return Ok(Some(Err(refused)));
        }
        store.events_durable().await?;
        Ok(Some(Ok(campaign)))
    }

    /// As [`steer`](Self::steer), for the loop: an edit that finds the campaign in another state than it should be leaves it
    /// alone.
    pub(super) async fn drive(
        &self,
        id: CampaignId,
        state: CampaignState,
        edit: impl FnOnce(&mut Campaign) + Send,
    ) -> Result<(), StoreError> {
        let edit = |campaign: &mut Campaign| {
            let is_there = campaign.course.state == state;
            if is_there {
                edit(campaign);
            }
            if is_there { Ok(()) } else { Err(()) }
        };
        // Whoever was quicker has changed the record, which is read again.
        let _found_elsewhere = self.steer(id, edit).await?;
        Ok(())
    }

    /// A stop rule has fired.
    pub(super) async fn stop(&self, id: CampaignId, reason: String) -> Result<(), StoreError> {
        tracing::warn!(campaign.id = id.0, "campaign {} has stopped: {reason}", id.0);
        self.drive(id, CampaignState::Running, |campaign| {
            campaign.course.state = CampaignState::Stopped;
            campaign.course.withdrawing = true;
            campaign.course.reason = Some(reason);
        })
        .await
    }

    /// Every device has had its turn.
    pub(super) async fn complete(&self, id: CampaignId, counts: Counts, at: Timestamp) -> Result<(), StoreError> {
        tracing::info!(
            campaign.id = id.0,
            "campaign {} is completed: {} of {} failed",
            id.0,
            counts.failed,
            counts.total
        );
        self.drive(id, CampaignState::Running, |campaign| {
            // Someone may have wished for another try just now.
            if !campaign.course.retrying {
                campaign.course.state = CampaignState::Completed;
                campaign.course.ended_at = Some(at);
                campaign.course.closed = Some(counts);
            }
        })
        .await
    }

    /// All that had not begun was looked for.
    pub(super) async fn withdrawn(&self, id: CampaignId, state: CampaignState) -> Result<(), StoreError> {
        self.drive(id, state, |campaign| campaign.course.withdrawing = false).await
    }
}

fn event_of(campaign: &Campaign, time: Timestamp) -> EventEntry {
    let organization = match campaign.organizations.as_deref() {
        Some([only]) => Some(*only),
        Some(_) | None => None,
    };
    EventEntry {
        head: EventHead { time, kind: EventKind::Campaign, organization, serial_number: None },
        data: EventData::Campaign {
            id: campaign.id.0,
            name: campaign.name.as_str().into(),
            state: campaign.course.state.as_str().into(),
            reason: campaign.course.reason.as_deref().map(Into::into),
        },
    }
}
