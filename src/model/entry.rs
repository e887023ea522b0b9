//! Diagnostic entries: health checks, maintenance records, issue reports of devices (rest-api.md 2.5).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::time::Timestamp;

/// The `diagnostic_type` of entries that acsd itself refreshes.
pub const HEALTH_CHECK: &str = "health_check";

/// Number of an entry: a sequence of its own, never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EntryId(pub u32);

impl EntryId {
    /// Reads `diag-001`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("diag-")?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten().map(Self)
    }
}

/// `diag-001`: at least three digits.
impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "diag-{:03}", self.0)
    }
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticEntry {
    /// Its number.
    pub id: EntryId,
    /// What lists are filtered by. First in the persisted form, so that it can be read alone.
    pub head: EntryHead,
    /// What lists are searched by; second, for the same reason.
    pub text: EntryText,
    /// What was found: a JSON object.
    pub details: String,
    /// What is wrong.
    pub issues: Vec<Issue>,
    /// A free word.
    pub priority: String,
    /// Keys of `details` that the last check has written: the next one replaces them.
    pub measured: Vec<String>,
    /// When the last check that is in here ended.
    pub checked_at: Option<Timestamp>,
}

/// What lists of entries are filtered by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryHead {
    /// Whose it is; never changes.
    pub device: DeviceKey,
    /// `diagnostic_type`: a free word.
    pub kind: String,
    /// A free word.
    pub status: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When the next check is due.
    pub next_check_due: Option<Timestamp>,
    /// The transaction whose results it waits for.
    pub awaits: Option<TransactionId>,
}

/// What lists of entries are searched by, besides their devices.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EntryText {
    /// Free text.
    pub notes: String,
    /// Who did it.
    pub performed_by: String,
    /// Who said it.
    pub reported_by: String,
}

impl EntryText {
    /// Whether there is anything to search.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.notes.is_empty() && self.performed_by.is_empty() && self.reported_by.is_empty()
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// A free word: `low`, `medium`, `high`.
    pub severity: String,
    /// For people.
    pub message: String,
    /// For programs.
    pub code: String,
    /// Who found it: the next check replaces what checks have found.
    pub origin: IssueOrigin,
}

/// Who found an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IssueOrigin {
    /// A client of the API.
    Client,
    /// A health check.
    Check,
}

impl DiagnosticEntry {
    /// An empty entry.
    #[must_use]
    pub fn new(id: EntryId, device: DeviceKey, kind: impl Into<String>, at: Timestamp) -> Self {
        let head = EntryHead {
            device,
            kind: kind.into(),
            status: String::new(),
            created_at: at,
            updated_at: at,
            next_check_due: None,
            awaits: None,
        };
        Self {
            id,
            head,
            text: EntryText::default(),
            details: "{}".to_owned(),
            issues: Vec::new(),
            priority: String::new(),
            measured: Vec::new(),
            checked_at: None,
        }
    }

    /// Whether acsd refreshes it.
    #[must_use]
    pub fn is_health_check(&self) -> bool {
        self.head.kind == HEALTH_CHECK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_at_least_three_digits_and_are_read_with_any() {
        assert_eq!(EntryId(7).to_string(), "diag-007");
        assert_eq!(EntryId(12_345).to_string(), "diag-12345");
        for (text, want) in [("diag-007", Some(7)), ("diag-7", Some(7)), ("diag-12345", Some(12_345))] {
            assert_eq!(EntryId::parse(text).map(|id| id.0), want, "{text}");
        }
        for text in ["diag-", "diag-x", "diag--1", "diag-+1", "7", "diag-99999999999", "diag_7", ""] {
            assert_eq!(EntryId::parse(text), None, "{text}");
        }
    }
}
