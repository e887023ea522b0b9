//! The main job through the real edges: simulated CPEs over sockets, operators over the API. Every envelope that acsd
//! sends in these tests is checked against the schema of its version.

mod campaigns;
mod configuration;
mod diagnostics;
mod firmware;
mod habits;
mod health;
mod ipv6;
mod kills;
mod process;
mod reports;
mod rpc;
mod secrets;
mod security;
pub(crate) mod traces;
mod transfers;
mod work;
