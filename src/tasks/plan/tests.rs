//! Each procedure against a scripted device.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod configure;
mod device;
mod get;
mod interleavings;
mod restart;
mod rows;
mod set;
mod world;
