//! Campaigns: one operation for many devices, in steps (rest-api.md §4).

pub mod member;
pub mod window;

use serde::{Deserialize, Serialize};

use crate::types::ident::{SerialNumber, TransactionId};
use crate::types::time::Timestamp;

use super::device::{DeviceTypeId, OrganizationId, Status};
use super::diagnostic::DiagnosticOrder;
use super::file::ImageId;
use super::inventory::LocationId;
use super::transaction::Assignment;

use member::Counts;
use window::Window;

/// Number of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CampaignId(pub u32);

/// A campaign: what is to be done, and how far it has come. How it stands with each device is kept apart, see
/// [`member::Member`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its number.
    pub id: CampaignId,
    /// For people.
    pub name: String,
    /// What each device is to do.
    pub operation: CampaignOperation,
    /// Which devices.
    pub selection: Selection,
    /// In which portions.
    pub rollout: Rollout,
    /// How fast, when, and until when.
    pub rules: Rules,
    /// Only devices of these organizations and those below them take part; `None`: of all.
    pub organizations: Option<Vec<OrganizationId>>,
    /// When the record was made.
    pub created: Timestamp,
    /// Who made it: a token's name.
    pub created_by: String,
    /// How far it has come.
    pub course: Course,
}

/// What each device of a campaign is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CampaignOperation {
    /// Run this image.
    Firmware(ImageId),
    /// Write these, all or none; secrets are sealed.
    Set(Vec<Assignment>),
    /// Read what is wanted of the device, write what differs.
    Sync,
    /// Write all that is wanted of the device.
    Reconf,
    /// Restart.
    Reboot,
    /// Run a test.
    Diagnostic(Box<DiagnosticOrder>),
}

impl CampaignOperation {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Firmware(_) => "firmware",
            Self::Set(_) => "set",
            Self::Sync => "sync",
            Self::Reconf => "reconf",
            Self::Reboot => "reboot",
            Self::Diagnostic(_) => "diagnostic",
        }
    }
}

/// Which devices take part: the filters of the device list. Everything given must hold; nothing given: all. Looked at when
/// the campaign starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Only of this type.
    pub device_type: Option<DeviceTypeId>,
    /// Only of this organization.
    pub organization: Option<OrganizationId>,
    /// Only at this location.
    pub location: Option<LocationId>,
    /// Only Up, or only Down.
    pub status: Option<Status>,
    /// Only active, or only inactive.
    pub is_active: Option<bool>,
    /// Only with all of these tags.
    pub tags: Vec<String>,
    /// Only with all of these words somewhere; empty: any.
    pub search: String,
    /// Only with exactly this software version.
    pub software_version: Option<String>,
    /// Only of exactly this manufacturer.
    pub manufacturer: Option<String>,
    /// Only these; `None`: any.
    pub serial_numbers: Option<Vec<SerialNumber>>,
}

/// In which portions the devices get their turn, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    /// So many devices first; 0: none.
    pub canary: u32,
    /// Then up to these shares of all devices, in percent: increasing, the last one 100.
    pub steps: Vec<u8>,
}

impl Default for Rollout {
    fn default() -> Self {
        Self { canary: 0, steps: vec![100] }
    }
}

impl Rollout {
    /// Of `total` devices, how many have had their turn at the end of each step: the canary first, if there is one, then the
    /// percentages. Never decreasing; the last one is `total`.
    #[must_use]
    pub fn ends(&self, total: usize) -> Vec<usize> {
        let canary = usize::try_from(self.canary).unwrap_or(usize::MAX).min(total);
        let mut ends: Vec<usize> = (canary > 0).then_some(canary).into_iter().collect();
        // Rounded up: a small share of few devices is one of them.
        let share = |percent: u8| total.saturating_mul(usize::from(percent)).div_ceil(100).clamp(canary, total);
        ends.extend(self.steps.iter().map(|percent| share(*percent)));
        if ends.last() != Some(&total) {
            ends.push(total);
        }
        ends
    }
}

/// How fast a campaign goes, when, and when it stops. May be changed while it is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Pause between two steps, in seconds.
    pub step_pause_secs: u32,
    /// When devices may begin; `None`: at any time.
    pub window: Option<Window>,
    /// Devices that are at it at the same time; at least 1.
    pub concurrency: u32,
    /// Stops when so many devices have failed.
    pub stop_after_failures: Option<u32>,
    /// Stops when at least this share of those that are finished has failed, in percent.
    pub stop_failure_share: Option<u8>,
    /// How often a device that has failed is tried again.
    pub retries: u32,
    /// A device that has not called in for so long since its turn came has failed, in seconds. Time outside the window does not
    /// count.
    pub device_timeout_secs: u32,
}

/// Where a campaign stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CampaignState {
    /// Not begun.
    Draft,
    /// Devices get their turn.
    Running,
    /// An operator has halted it.
    Paused,
    /// A stop rule has halted it.
    Stopped,
    /// Every device has had its turn.
    Completed,
    /// An operator has ended it.
    Canceled,
}

impl CampaignState {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Draft, Self::Running, Self::Paused, Self::Stopped, Self::Completed, Self::Canceled];

    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Canceled => "canceled",
        }
    }
}

/// How far a campaign has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Where it stands.
    pub state: CampaignState,
    /// Why it is there, where that was not an operator's wish.
    pub reason: Option<String>,
    /// Who started or resumed it last: a token's name.
    pub by: String,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Whether it is settled which devices take part.
    pub planned: bool,
    /// The present step, counted from 0.
    pub step: u32,
    /// The present step begins then.
    pub step_opens_at: Option<Timestamp>,
    /// Work that was scheduled before this is not the campaign's.
    pub floor: TransactionId,
    /// What had happened when it was last started, resumed or retried: stop rules count from there.
    pub baseline: Tally,
    /// What has not begun is being withdrawn: a transaction that is found so was withdrawn by the campaign.
    pub withdrawing: bool,
    /// Those that have failed are to be tried again; cleared when they are marked so.
    pub retrying: bool,
    /// Once nothing more happens: how it has ended with its devices.
    pub closed: Option<Counts>,
}

impl Course {
    /// Of a campaign that has not begun.
    #[must_use]
    pub const fn draft() -> Self {
        Self {
            state: CampaignState::Draft,
            reason: None,
            by: String::new(),
            started_at: None,
            ended_at: None,
            planned: false,
            step: 0,
            step_opens_at: None,
            floor: TransactionId(0),
            baseline: Tally { succeeded: 0, failed: 0 },
            withdrawing: false,
            retrying: false,
            closed: None,
        }
    }
}

/// How many devices have come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Well.
    pub succeeded: u32,
    /// Not well.
    pub failed: u32,
}

/// So many devices have to be finished before a share of failures means anything, unless the canary is over.
pub const SHARE_FROM: u32 = 10;

/// What a share of failures is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// In the midst of a step: the share counts from [`SHARE_FROM`] finished devices on.
    Midway,
    /// At the end of a step, or behind the canary: the share counts however few devices there were.
    AtGate,
}

impl Campaign {
    /// Whether something may still happen by itself.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        match self.course.state {
            CampaignState::Draft => false,
            CampaignState::Running
            | CampaignState::Paused
            | CampaignState::Stopped
            | CampaignState::Completed
            | CampaignState::Canceled => self.course.closed.is_none(),
        }
    }
}

impl Rules {
    /// Why the campaign has to stop, given what has happened since it was last started, resumed or retried.
    #[must_use]
    pub fn stops(&self, since: Tally, judgement: Judgement) -> Option<String> {
        if let Some(limit) = self.stop_after_failures
            && since.failed >= limit
        {
            return Some(format!("{} devices have failed: stop_after_failures is {limit}", since.failed));
        }
        let finished = since.succeeded.saturating_add(since.failed);
        let counts = finished >= SHARE_FROM || judgement == Judgement::AtGate;
        if let Some(share) = self.stop_failure_share
            && counts
            && since.failed > 0
            && u64::from(since.failed) * 100 >= u64::from(share) * u64::from(finished)
        {
            return Some(format!(
                "{} of {finished} finished devices have failed: stop_failure_share is {share} %",
                since.failed
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_end_where_their_shares_do() {
        let table: [(u32, &[u8], usize, &[usize]); 9] = [
            (0, &[100], 1000, &[1000]),
            (10, &[100], 1000, &[10, 1000]),
            (5, &[10, 50, 100], 1000, &[5, 100, 500, 1000]),
            (200, &[10, 50, 100], 1000, &[200, 200, 500, 1000]),
            (0, &[1, 100], 10, &[1, 10]),
            (0, &[1, 2, 100], 3, &[1, 1, 3]),
            (5, &[50, 100], 3, &[3, 3, 3]),
            (5, &[100], 0, &[0]),
            (0, &[50], 4, &[2, 4]),
        ];
        for (canary, steps, total, want) in table {
            let rollout = Rollout { canary, steps: steps.to_vec() };
            assert_eq!(rollout.ends(total), want, "{canary} {steps:?} of {total}");
        }
    }

    #[test]
    fn stop_rules_count_exactly() {
        let rules = |count, share| Rules {
            step_pause_secs: 0,
            window: None,
            concurrency: 1,
            stop_after_failures: count,
            stop_failure_share: share,
            retries: 0,
            device_timeout_secs: 60,
        };
        let table = [
            (Some(3), None, (100, 2), Judgement::Midway, false),
            (Some(3), None, (100, 3), Judgement::Midway, true),
            (Some(1), None, (0, 1), Judgement::Midway, true),
            (None, Some(10), (0, 1), Judgement::Midway, false),
            (None, Some(10), (0, 1), Judgement::AtGate, true),
            (None, Some(10), (8, 1), Judgement::Midway, false),
            (None, Some(10), (9, 1), Judgement::Midway, true),
            (None, Some(10), (10, 1), Judgement::Midway, false),
            (None, Some(1), (50, 0), Judgement::AtGate, false),
            (None, None, (0, 1000), Judgement::AtGate, false),
        ];
        for (count, share, (succeeded, failed), judgement, want) in table {
            let stops = rules(count, share).stops(Tally { succeeded, failed }, judgement);
            assert_eq!(stops.is_some(), want, "{count:?} {share:?} {succeeded} {failed} {judgement:?}: {stops:?}");
        }
    }
}
