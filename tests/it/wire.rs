//! Raw bytes over TCP against the CWMP endpoint, and against scripted CPEs.

mod acs;
mod connreq;
mod crowd;
mod discoveries;
mod ended;
mod endpoint;
mod harness;
mod limits;
mod overload;
mod retry;
mod tls;
mod transfers;
mod upgrades;
