//! The audit trail: who changed what through the API.

use serde::{Deserialize, Serialize};

use crate::types::ident::SerialNumber;
use crate::types::time::Timestamp;

use super::device::OrganizationId;
use super::token::TokenId;

/// Number of an entry: increasing, never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuditId(pub u64);

/// One entry of the trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Its number.
    pub id: AuditId,
    /// Who did what, when.
    pub entry: AuditEntry,
}

/// An entry without its number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// What the trail is searched by.
    pub head: AuditHead,
    /// The token's name as it was.
    pub token_name: String,
    /// What was done.
    pub action: AuditAction,
    /// Number or serial number of what it was done to.
    pub resource_id: String,
    /// The changed fields as they were, a JSON object; secrets are blanked. `None`: there was nothing.
    pub before: Option<String>,
    /// The changed fields as they are now, a JSON object; secrets are blanked. `None`: nothing is left.
    pub after: Option<String>,
    /// Of the request, as the log names it.
    pub request_id: String,
}

/// What the trail is searched by. The first field of the persisted form, so that it can be read alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// When it was done.
    pub time: Timestamp,
    /// By whom.
    pub token: TokenId,
    /// To what kind of thing.
    pub resource: AuditResource,
    /// Whose it was; `None`: nobody's in particular.
    pub organization: Option<OrganizationId>,
    /// Of which device, if it was one or concerned one.
    pub serial_number: Option<SerialNumber>,
}

/// What was done. Persisted: variants are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuditAction {
    /// Made.
    Create,
    /// Changed.
    Update,
    /// Removed, revoked.
    Delete,
    /// Work was ordered of a device.
    Order,
    /// Work was withdrawn.
    Cancel,
}

impl AuditAction {
    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Order => "order",
            Self::Cancel => "cancel",
        }
    }
}

/// To what kind of thing something was done. Persisted: variants are only ever added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuditResource {
    /// A device.
    Device,
    /// An operation of a device (reboot, factory, sync, ...).
    Operation,
    /// Headless work: parameters and objects read or written.
    Headless,
    /// A transaction of any kind.
    Transaction,
    /// An API token.
    Token,
    /// A device type.
    DeviceType,
    /// An organization.
    Organization,
    /// A location.
    Location,
    /// A webhook.
    Webhook,
    /// A test.
    Diagnostic,
    /// A diagnostic entry.
    DiagnosticEntry,
    /// A firmware image.
    FirmwareImage,
    /// A file of a device, or its transfer.
    File,
    /// A campaign.
    Campaign,
    /// One call of CWMP, or a discovery.
    Rpc,
}

impl AuditResource {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Device,
        Self::Operation,
        Self::Headless,
        Self::Transaction,
        Self::Token,
        Self::DeviceType,
        Self::Organization,
        Self::Location,
        Self::Webhook,
        Self::Diagnostic,
        Self::DiagnosticEntry,
        Self::FirmwareImage,
        Self::File,
        Self::Campaign,
        Self::Rpc,
    ];

    /// The API's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Operation => "operation",
            Self::Headless => "headless",
            Self::Transaction => "transaction",
            Self::Token => "api_token",
            Self::DeviceType => "device_type",
            Self::Organization => "organization",
            Self::Location => "location",
            Self::Webhook => "webhook",
            Self::Diagnostic => "diagnostic",
            Self::DiagnosticEntry => "diagnostic_entry",
            Self::FirmwareImage => "firmware_image",
            Self::File => "file",
            Self::Campaign => "campaign",
            Self::Rpc => "rpc",
        }
    }

    /// Reads the API's word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|resource| resource.as_str() == word)
    }
}
