//! The command line: one subcommand, one file.

pub mod client;
pub mod token;
