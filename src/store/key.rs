//! The key layout of stores that keep records under byte keys.
//!
//! | table | key | value |
//! |---|---|---|
//! | `dev` | device | [`State`](crate::model::device::State), rewritten by every Inform |
//! | `profile` | device | [`Profile`](crate::model::device::Profile); a device exists when it has both |
//! | `queue` | device | queue document: live transactions |
//! | `params` | device | known parameter tree, prefix-coded and compressed |
//! | `history` | transaction | an ended transaction, with its results if they are small; void while the queue has it live |
//! | `results` | transaction | its results, if they are large |
//! | `tokens` | token | API token |
//! | `organizations`, `types`, `locations`, `webhooks`, `images`, `files`, `campaigns` | number | what operators keep |
//! | `members` | campaign, device | how a campaign stands with a device; under device 0, who takes part |
//! | `entries` | number | a diagnostic entry |
//! | `series` | device | values of numeric parameters over time |
//! | `events`, `audit` | number | an entry of the log |
//! | `traces` | device, number | a recorded session |
//! | `gone` | device | nothing: the device is being removed, whatever is left of it is to be deleted |
//! | `meta` | a name below | what concerns the whole store |
//!
//! Device, token and number of a small record: 4 bytes; transaction, number of a log and of a recorded session: 8 bytes;
//! all big-endian, so that byte order is numeric order. A value too large for one record lies in parts under its key
//! followed by a generation (1 byte) and a number (2 bytes).

use crate::model::campaign::CampaignId;
use crate::model::token::TokenId;
use crate::model::trace::TraceId;
use crate::types::ident::{DeviceKey, TransactionId};

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Devices,
    Profiles,
    Queues,
    Parameters,
    History,
    Results,
    Tokens,
    Organizations,
    DeviceTypes,
    Locations,
    Webhooks,
    Images,
    Files,
    Campaigns,
    Members,
    Entries,
    Series,
    Events,
    Audit,
    Traces,
    Gone,
    Meta,
}

impl Table {
    /// All.
    pub(super) const ALL: [Self; 22] = [
        Self::Devices,
        Self::Profiles,
        Self::Queues,
        Self::Parameters,
        Self::History,
        Self::Results,
        Self::Tokens,
        Self::Organizations,
        Self::DeviceTypes,
        Self::Locations,
        Self::Webhooks,
        Self::Images,
        Self::Files,
        Self::Campaigns,
        Self::Members,
        Self::Entries,
        Self::Series,
        Self::Events,
        Self::Audit,
        Self::Traces,
        Self::Gone,
        Self::Meta,
    ];

    /// Bytes of a key; those of parts are longer. `None`: keys of any length.
    pub(super) const fn key_bytes(self) -> Option<usize> {
        match self {
            Self::Devices
            | Self::Profiles
            | Self::Queues
            | Self::Parameters
            | Self::Tokens
            | Self::Organizations
            | Self::DeviceTypes
            | Self::Locations
            | Self::Webhooks
            | Self::Images
            | Self::Files
            | Self::Campaigns
            | Self::Entries
            | Self::Series
            | Self::Gone => Some(4),
            Self::History | Self::Results | Self::Members | Self::Events | Self::Audit => Some(8),
            Self::Traces => Some(12),
            Self::Meta => None,
        }
    }

    /// The name on disk; never changes. Of tables of small records it is also the key in `meta` under which the highest
    /// number ever given out is kept.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Devices => "dev",
            Self::Profiles => "profile",
            Self::Queues => "queue",
            Self::Parameters => "params",
            Self::History => "history",
            Self::Results => "results",
            Self::Tokens => "tokens",
            Self::Organizations => "organizations",
            Self::DeviceTypes => "types",
            Self::Locations => "locations",
            Self::Webhooks => "webhooks",
            Self::Images => "images",
            Self::Files => "files",
            Self::Campaigns => "campaigns",
            Self::Members => "members",
            Self::Entries => "entries",
            Self::Series => "series",
            Self::Events => "events",
            Self::Audit => "audit",
            Self::Traces => "traces",
            Self::Gone => "gone",
            Self::Meta => "meta",
        }
    }
}

/// `meta`: version of the layout, a decimal text.
pub(super) const SCHEMA: &[u8] = b"schema";
/// `meta`: who this store is; the same text as in its side file.
pub(super) const STORE_ID: &[u8] = b"id";
/// `meta`: rewritten at each open, to see that a flush reaches the disk.
pub(super) const PROBE: &[u8] = b"probe";
/// `meta`: which device keys may not be given out again.
pub(super) const DEVICE_KEYS: &[u8] = b"device-keys";
/// `meta`: the lowest transaction number that is certainly free.
pub(super) const NEXT_TRANSACTION: &[u8] = b"next-transaction";
/// `meta`: bytes in the tables that are not read at an open, as they were counted last.
pub(super) const LIVE_BYTES: &[u8] = b"live-bytes";
/// `meta`: the highest token number ever given out.
pub(super) const LAST_TOKEN: &[u8] = b"last-token";
/// `meta`: the lowest number of a recorded session that is certainly free.
pub(super) const NEXT_TRACE: &[u8] = b"next-trace";

pub(super) const fn device(key: DeviceKey) -> [u8; 4] {
    key.0.to_be_bytes()
}

pub(super) const fn transaction(id: TransactionId) -> [u8; 8] {
    id.0.to_be_bytes()
}

pub(super) const fn token(id: TokenId) -> [u8; 4] {
    id.0.to_be_bytes()
}

/// The key of a recorded session.
pub(super) fn trace(key: DeviceKey, id: TraceId) -> [u8; 12] {
    let mut place = [0; 12];
    let (device, number) = place.split_at_mut(4);
    device.copy_from_slice(&key.0.to_be_bytes());
    number.copy_from_slice(&id.0.to_be_bytes());
    place
}

/// The number of a recorded session's key; `None`: it is the key of a part.
pub(super) fn read_trace(key: &[u8]) -> Option<TraceId> {
    let number = <[u8; 12]>::try_from(key).ok()?;
    number.last_chunk().copied().map(u64::from_be_bytes).map(TraceId)
}

/// The key of how a campaign stands with a device.
pub(super) fn member(campaign: CampaignId, device: DeviceKey) -> [u8; 8] {
    ((u64::from(campaign.0) << 32) | u64::from(device.0)).to_be_bytes()
}

/// Campaign and device of a member's key; `None`: it is the key of a part.
pub(super) fn read_member(key: &[u8]) -> Option<(CampaignId, DeviceKey)> {
    Some((read_campaign(key)?, DeviceKey(u32::from_be_bytes(key.get(4..)?.try_into().ok()?))))
}

/// The campaign of a member's key, or of a part's.
pub(super) fn read_campaign(key: &[u8]) -> Option<CampaignId> {
    key.first_chunk().copied().map(u32::from_be_bytes).map(CampaignId)
}

/// The key of a small record.
pub(super) const fn number(id: u32) -> [u8; 4] {
    id.to_be_bytes()
}

/// The key of an entry of a log.
pub(super) const fn entry(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}

/// The number of an entry's key; `None`: it is the key of a part.
pub(super) fn read_entry(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}

/// The number of a small record's key; `None`: it is the key of a part.
pub(super) fn read_number(key: &[u8]) -> Option<u32> {
    key.try_into().ok().map(u32::from_be_bytes)
}

/// The device of a key; `None`: it is the key of a part.
pub(super) fn read_device(key: &[u8]) -> Option<DeviceKey> {
    key.try_into().ok().map(u32::from_be_bytes).map(DeviceKey)
}

/// The key of part `number` of the value under `key`.
pub(super) fn part(key: &[u8], generation: u8, number: u16) -> Vec<u8> {
    [key, &[generation], &number.to_be_bytes()].concat()
}
