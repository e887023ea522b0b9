//! Transactions: what an operator scheduled, one row of the ledger each (design.md §4).

mod work;

use serde::{Deserialize, Serialize};

use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

use super::campaign::CampaignId;
use super::procedure::Progress;

pub use work::{Assignment, NewObject, NewValue, OpenWork, Slot, TypeHint, Work};

/// Which part of the API (or acsd itself) a transaction belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// rest-api.md 2.2.
    Operation,
    /// 2.3.
    Headless,
    /// 2.4.
    Diag,
    /// A wanted image.
    Firmware,
    /// acsd's own settings and wanted configuration.
    Configuration,
    /// A file fetched or sent that is no firmware.
    Transfer,
    /// One call of CWMP, or a discovery.
    Rpc,
    /// What a health check reads.
    Health,
}

impl Kind {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Headless => "headless",
            Self::Diag => "diag",
            Self::Firmware => "firmware",
            Self::Configuration => "configuration",
            Self::Transfer => "transfer",
            Self::Rpc => "rpc",
            Self::Health => "health",
        }
    }
}

/// Where a transaction stands, as the API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// Not started.
    Scheduled,
    /// Started, not ended.
    InProgress,
    /// Done.
    Completed,
    /// Not done, and it will not be.
    Failed,
    /// Never started in time.
    Expired,
    /// Withdrawn before it started.
    Canceled,
}

impl TransactionStatus {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Canceled => "canceled",
        }
    }

    /// Whether nothing more will happen.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Scheduled | Self::InProgress => false,
            Self::Completed | Self::Failed | Self::Expired | Self::Canceled => true,
        }
    }
}

/// What a live transaction is doing right now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// May be claimed from `not_before` on. Holds back the ones behind it only while it could be claimed.
    Ready {
        /// Back-off; `None`: at once.
        not_before: Option<Timestamp>,
    },
    /// A session carries it out. After a restart of acsd, or when the session is lost, it is ready and interrupted.
    Running,
    /// Waits for the device across sessions; later ones pass.
    Waiting {
        /// What for.
        reason: WaitReason,
        /// When acsd gives up.
        until: Timestamp,
    },
    /// Ended; see the status.
    Ended,
}

/// Why a transaction waits across sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum WaitReason {
    /// `M Reboot` or `1 BOOT`.
    Reboot,
    /// `0 BOOTSTRAP`.
    Bootstrap,
    /// `8 DIAGNOSTICS COMPLETE`.
    Diagnostics,
    /// `TransferComplete`.
    Transfer,
    /// The new software after `TransferComplete`.
    NewSoftware,
    /// `M ScheduleInform`.
    ScheduledInform,
    /// `DUStateChangeComplete`.
    DuStateChange,
    /// The end of a test that somebody else has started.
    ForeignTest,
    /// Nothing but its turn in the next session: it has had enough of this one.
    NextSession,
    /// The end of one of the discoveries of other devices: no more of them may run at once.
    DiscoveryTurn,
}

/// One row of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// Its number.
    pub id: TransactionId,
    /// Whose queue it is in.
    pub device: DeviceKey,
    /// Which API it belongs to.
    pub kind: Kind,
    /// What is to be done.
    pub work: Work,
    /// Where it stands.
    pub status: TransactionStatus,
    /// What it is doing.
    pub phase: Phase,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it is given up unstarted.
    pub expires_at: Option<Timestamp>,
    /// When its first attempt began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// Sessions that have tried it, the present one included.
    pub attempts: u32,
    /// How the latest attempts ended, oldest first, at most [`ATTEMPTS_KEPT`].
    pub history: Vec<Attempt>,
    /// Why it failed; also the last fault while it backs off.
    pub fault: Option<TransactionFault>,
    /// Something the operator should know of a completed one ("applies after a reboot").
    pub note: Option<String>,
    /// Who asked: a token's name, or `acsd`.
    pub requested_by: String,
    /// The campaign that it belongs to.
    pub campaign: Option<CampaignId>,
    /// What has been done so far.
    pub progress: Progress,
}

/// How many attempts a ledger row remembers.
pub const ATTEMPTS_KEPT: usize = 8;

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Timestamp,
    /// How it ended, in words.
    pub outcome: String,
}

/// A fault in numbers and words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionFault {
    /// The CPE's 9xxx code, or 0 when acsd itself gave up.
    pub code: u16,
    /// For people.
    pub message: String,
}

/// What became of one variable. Kept apart from the row: a whole tree may be among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableResult {
    /// Which variable of the work this answers; several results when a subtree was read.
    pub variable: u32,
    /// Full path; of an added row, its object path.
    pub path: Box<str>,
    /// What was read or written.
    pub value: Option<Box<str>>,
    /// As the device reported it.
    pub ty: Option<XsdType>,
    /// Of an added row.
    pub instance_number: Option<u32>,
    /// Where the CPE named the parameter.
    pub fault: Option<TransactionFault>,
}

/// What is to be scheduled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTransaction {
    /// Which API it belongs to.
    pub kind: Kind,
    /// What is to be done.
    pub work: Work,
    /// Who asks.
    pub requested_by: String,
    /// When it is given up unstarted.
    pub expires_at: Option<Timestamp>,
    /// The campaign that it belongs to.
    pub campaign: Option<CampaignId>,
}

impl Transaction {
    /// Why it waits, in words for operators; `None` while it runs or has ended.
    #[must_use]
    pub fn waiting_for(&self) -> Option<String> {
        match &self.phase {
            Phase::Ready { not_before: Some(at) } => Some(format!("back-off until {at}")),
            // What it waited for has come, or did not come in time: the session that it was begun in was in order.
            Phase::Ready { not_before: None } if self.progress.resumed => {
                Some("the device's next session, in which it goes on".to_owned())
            }
            Phase::Ready { not_before: None } if self.status == TransactionStatus::InProgress => {
                Some("the device's next session: the last one broke off".to_owned())
            }
            Phase::Ready { not_before: None } => Some("the device's next session".to_owned()),
            Phase::Waiting { reason, until } => Some(format!("{}, until {until}", reason.as_str())),
            Phase::Running | Phase::Ended => None,
        }
    }

    /// Takes up again what waited for the device: it may be claimed, which is no new attempt.
    pub fn resume(&mut self) {
        self.phase = Phase::Ready { not_before: None };
        self.progress.resumed = true;
    }

    /// Hands back what was claimed and cannot begin: it waits until then, as unstarted as it was.
    pub fn put_off(&mut self, reason: WaitReason, until: Timestamp) {
        if self.progress.stage.is_none() && self.attempts <= 1 {
            (self.status, self.started_at) = (TransactionStatus::Scheduled, None);
        }
        self.phase = Phase::Waiting { reason, until };
    }

    /// The older one among a device's live transactions that has to end before this one may begin.
    #[must_use]
    pub fn held_by<'t>(&self, live: &'t [Self]) -> Option<&'t Self> {
        let slot = self.work.slot()?;
        live.iter().take_while(|other| other.id < self.id).find(|other| other.work.slot() == Some(slot))
    }

    /// Notes how the present attempt ended.
    pub fn note_attempt(&mut self, at: Timestamp, outcome: impl Into<String>) {
        if self.history.len() >= ATTEMPTS_KEPT {
            self.history.remove(0);
        }
        self.history.push(Attempt { at, outcome: outcome.into() });
    }
}

impl WaitReason {
    /// For operators.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reboot => "the device to come back from the reboot",
            Self::Bootstrap => "the device to come back from the factory reset",
            Self::Diagnostics => "the test to finish on the device",
            Self::Transfer => "the file transfer to finish",
            Self::NewSoftware => "the device to come back with its new software",
            Self::ScheduledInform => "the Inform that was scheduled",
            Self::DuStateChange => "the deployment units to be changed",
            Self::ForeignTest => "a test to finish that somebody else has started on the device",
            Self::NextSession => "the device's next session, to go on",
            Self::DiscoveryTurn => "its turn: as many discoveries as may run at once are underway",
        }
    }
}
