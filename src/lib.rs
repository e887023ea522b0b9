//! acsd: a TR-069 (CWMP) auto-configuration server.
//!
//! Data flows one way: bytes → [`acs`] → [`cwmp::codec`] → message → [`cwmp::session`] → action → driver → services →
//! [`store`]; results return as values. `ARCHITECTURE.md` has the map, the ranks and the invariants.

pub mod acs;
pub mod api;
pub mod app;
pub mod auth;
pub mod campaigns;
pub mod cli;
pub mod clock;
pub mod config;
pub mod connreq;
pub mod cwmp;
pub mod devices;
pub mod diagnostics;
pub mod events;
pub mod files;
pub mod health;
pub mod model;
pub mod simulator;
pub mod store;
pub mod tasks;
pub mod telemetry;
pub mod tls;
pub mod types;
pub mod webhooks;
