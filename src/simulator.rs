//! Simulated CPEs, on a codec of their own.
//!
//! Used by `acsd simulate`, by the tests and by the benchmarks. A [`spawn`]ed CPE has real state: a data model with
//! types and tables, attributes, events that wait for delivery, timers, transfers, a connection-request listener. It
//! behaves as TR-069 says unless told to [`Misbehave`](Misbehaviour), and it checks everything the ACS sends: each
//! [`SessionReport`] lists the rules that were broken.
//!
//! Nothing here uses the server's codec, messages or authentication, so that a mistake on one side cannot hide on the
//! other; only the plain vocabulary of [`crate::types`] is shared.

mod auth;
mod config;
mod cpe;
mod deployment;
mod diagnostics;
mod envelope;
mod fleet;
mod http;
mod job;
mod listener;
mod misbehave;
mod model;
mod replay;
mod report;
mod rpc;
mod schema;
mod session;
mod soap;
mod state;
mod stats;
mod tls;
mod transfer;
mod tree;
mod xml;

pub use config::{Autonomy, ConnectionRequests, CpeConfig, CpeVersion, CpeVersionError, Credentials, Identity};
pub use cpe::{CpeHandle, Stopped, spawn};
pub use diagnostics::{ChosenEnd, ChosenEndError, TestKind};
pub use fleet::{Fleet, FleetConfig, FleetModel};
pub use listener::ConnectionRequestListener;
pub use misbehave::{FaultPath, FaultPathError, Misbehaviour, MisbehaviourError};
pub use model::{DataModel, ModelError};
pub use replay::{
    Difference, RecordedSession, ReplayConfig, ReplayError, ReplayFailure, ReplayReport, load_recorded, replay,
};
pub use report::{Event, Outcome, Rule, ServedRpc, SessionFailure, SessionReport, Violation};
pub use state::AcsCall;
pub use stats::{Counters, Summary};
pub use tls::{TlsError, TlsTrust};
