//! What backends hold in memory beside their records, so that lists, counts and "is there work" never touch a disk.

mod arena;
pub(super) mod device;
mod dictionary;
pub(super) mod entries;
pub(super) mod keys;
pub(super) mod ledger;
pub(super) mod live;
pub(super) mod log;
mod names;
pub(super) mod scan;
mod segment;
