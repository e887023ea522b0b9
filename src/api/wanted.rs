//! Wanted configuration as JSON, of types and of single devices alike (rest-api.md §4).
//!
//! What a device would hide, answers hide too: such values are shown as [`MASK`], and a write that sends the mask back
//! keeps what is stored.

pub(super) mod form;
pub(super) mod view;

/// Stands for a hidden value.
pub(super) const MASK: &str = "********";
