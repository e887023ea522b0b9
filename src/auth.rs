//! Proofs of identity: HTTP Digest and Basic, API tokens, sealed secrets.
//!
//! The checks are pure: header text, secret and time in, verdict out. Only [`seal`] touches the disk (its key file),
//! and only it and [`random`] ask the operating system for randomness.

pub mod authorization;
pub mod basic;
pub mod digest;
pub mod params;
pub mod random;
pub mod seal;
pub mod token;
