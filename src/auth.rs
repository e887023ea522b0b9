//! Proofs of identity: HTTP Digest and Basic, API tokens, sealed secrets. Pure checks, no I/O but the key file.

pub mod basic;
pub mod digest;
pub mod seal;
pub mod token;
