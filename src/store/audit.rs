//! The audit trail: who changed what through the API, as long as it is kept.

use crate::model::audit::{AuditEntry, AuditId, AuditRecord, AuditResource};
use crate::model::device::OrganizationId;
use crate::model::token::TokenId;
use crate::types::time::Timestamp;

use super::{Listing, Page, Retention, StoreFuture};

/// The audit trail.
pub trait AuditStore: Send + Sync {
    /// Adds an entry; durable.
    fn add_audit(&self, entry: AuditEntry) -> StoreFuture<'_, AuditId>;

    /// One page, newest first, and the exact count of all that match.
    fn audit<'a>(&'a self, filter: &'a AuditFilter, page: Page) -> StoreFuture<'a, Listing<AuditRecord>>;

    /// Drops old entries, at most `limit` of them; how many it dropped.
    fn trim_audit(&self, keep: Retention, limit: usize) -> StoreFuture<'_, usize>;
}

/// Which entries to list. Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only what concerns these organizations, and what `visible.1` did itself.
    pub visible: Option<(Vec<OrganizationId>, TokenId)>,
    /// Only what this token did.
    pub token: Option<TokenId>,
    /// Only what was done to this kind of thing.
    pub resource: Option<AuditResource>,
    /// Only what concerns this device.
    pub serial_number: Option<String>,
    /// Only at or after this, to the second.
    pub since: Option<Timestamp>,
}
