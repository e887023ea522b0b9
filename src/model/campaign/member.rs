//! How a campaign stands with one device.

use serde::{Deserialize, Serialize};

use crate::types::ident::{SerialNumber, TransactionId};
use crate::types::time::Timestamp;

/// Longest text that is kept of a fault, in bytes.
const MESSAGE_MAX: usize = 512;

/// How a campaign stands with one device. A device that has not had its turn has no such row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Where it stands.
    pub standing: Standing,
    /// The device's serial number, once it was looked at: it may be removed.
    pub serial_number: Option<SerialNumber>,
    /// What carries out the latest try.
    pub transaction: Option<TransactionId>,
    /// Tries so far, the present one included.
    pub attempts: u32,
    /// Of these, tries since it got its turn, or another by an operator's wish: what [`super::Rules::retries`] counts.
    pub tries: u32,
    /// How long earlier transactions of the present try have waited for the device, in milliseconds.
    pub waited_ms: u64,
    /// When its turn came first.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it failed or was skipped; what should be known of one that succeeded.
    pub message: Option<Box<str>>,
}

impl Member {
    /// Of a device that has not had its turn.
    #[must_use]
    pub fn new() -> Self {
        Self {
            standing: Standing::Pending,
            serial_number: None,
            transaction: None,
            attempts: 0,
            tries: 0,
            waited_ms: 0,
            started_at: None,
            ended_at: None,
            message: None,
        }
    }

    /// It has come to an end.
    pub fn end(&mut self, standing: Standing, at: Timestamp, message: Option<&str>) {
        self.standing = standing;
        self.ended_at = Some(at);
        self.say(message);
    }

    /// Notes what should be known, cut where it is long.
    pub fn say(&mut self, message: Option<&str>) {
        self.message = message.map(|text| {
            let cut = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= MESSAGE_MAX).last();
            text.get(..cut.unwrap_or(0)).unwrap_or(text).into()
        });
    }

    /// Its turn has come: it is about to be scheduled.
    pub fn begin(&mut self, at: Timestamp) {
        self.standing = Standing::Starting;
        self.attempts = self.attempts.saturating_add(1);
        self.tries = self.tries.saturating_add(1);
        self.started_at.get_or_insert(at);
        self.message = None;
    }

    /// Nothing was done yet: it is to have its turn later.
    pub fn put_off(&mut self) {
        self.standing = Standing::Pending;
        self.attempts = self.attempts.saturating_sub(1);
        self.tries = self.tries.saturating_sub(1);
    }

    /// It did not come off: it is tried again while there are tries left, and has failed then.
    pub fn fail(&mut self, retries: u32, at: Timestamp, message: &str) {
        if self.tries <= retries {
            self.standing = Standing::Pending;
            self.waited_ms = 0;
            self.say(Some(message));
        } else {
            self.end(Standing::Failed, at, Some(message));
        }
    }

    /// By an operator's wish it is to have another turn.
    pub fn again(&mut self) {
        self.standing = Standing::Pending;
        self.ended_at = None;
        (self.tries, self.waited_ms) = (0, 0);
    }
}

impl Default for Member {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a device stands, as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Standing {
    /// Its turn is still to come.
    Pending,
    /// Its transaction is about to be scheduled, or has been: which of them, its queue and the ledger tell.
    Starting,
    /// Its transaction is scheduled.
    Running,
    /// Done.
    Succeeded,
    /// Not done, and it is not tried again.
    Failed,
    /// There was nothing to do, or it could not be asked of the device.
    Skipped,
}

/// Where a device stands, as the API shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MemberStatus {
    /// Its turn is still to come.
    Pending,
    /// It is at it.
    Running,
    /// Done.
    Succeeded,
    /// Not done.
    Failed,
    /// Left out.
    Skipped,
}

impl MemberStatus {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Running, Self::Succeeded, Self::Failed, Self::Skipped];

    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Skipped => true,
        }
    }
}

impl From<Standing> for MemberStatus {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Pending => Self::Pending,
            Standing::Starting | Standing::Running => Self::Running,
            Standing::Succeeded => Self::Succeeded,
            Standing::Failed => Self::Failed,
            Standing::Skipped => Self::Skipped,
        }
    }
}

/// How many devices of a campaign stand where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All of them.
    pub total: u32,
    /// Their turn is still to come.
    pub pending: u32,
    /// They are at it.
    pub running: u32,
    /// Done.
    pub succeeded: u32,
    /// Not done.
    pub failed: u32,
    /// Left out.
    pub skipped: u32,
}

impl Counts {
    /// The figure for a status.
    pub const fn of(&mut self, status: MemberStatus) -> &mut u32 {
        match status {
            MemberStatus::Pending => &mut self.pending,
            MemberStatus::Running => &mut self.running,
            MemberStatus::Succeeded => &mut self.succeeded,
            MemberStatus::Failed => &mut self.failed,
            MemberStatus::Skipped => &mut self.skipped,
        }
    }

    /// One more.
    pub const fn add(&mut self, status: MemberStatus) {
        let figure = self.of(status);
        *figure = figure.saturating_add(1);
    }

    /// One less.
    pub const fn take(&mut self, status: MemberStatus) {
        let figure = self.of(status);
        *figure = figure.saturating_sub(1);
    }
}
