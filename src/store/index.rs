//! What backends hold in memory beside their records, so that lists, counts and "is there work" never touch a disk.

pub(super) mod device;
pub(super) mod keys;
pub(super) mod ledger;
pub(super) mod live;
pub(super) mod log;
