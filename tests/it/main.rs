//! One integration binary: it links once. Every test starts what it needs on free ports and stops it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]
#![allow(clippy::allow_attributes, clippy::pedantic, missing_docs, reason = "tests are read, not called")]

mod auth;
mod campaigns;
mod codec;
mod codec_corpus;
mod config_docs;
mod crash;
mod dependencies;
mod e2e;
mod events;
mod files;
mod foreign;
mod layering;
mod rest;
mod session;
mod simulator;
mod store;
mod support;
mod traces;
mod wire;
