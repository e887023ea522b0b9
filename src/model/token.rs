//! API tokens as they are kept: never the token itself.

use serde::{Deserialize, Serialize};

use crate::types::time::Timestamp;

use super::device::OrganizationId;

/// What a token may do; each role includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Read.
    Viewer,
    /// Read, change devices, schedule work.
    Operator,
    /// Everything, tokens included.
    Admin,
}

/// Number of a token, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TokenId(pub u32);

/// One API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Its number.
    pub id: TokenId,
    /// For people.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Where it may; `None`: everywhere.
    pub organizations: Option<Vec<OrganizationId>>,
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    /// The first characters, to recognise it by.
    pub prefix: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// When it was last presented; kept to the minute.
    pub last_used_at: Option<Timestamp>,
}
