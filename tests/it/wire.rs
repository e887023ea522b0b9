//! Raw bytes over TCP against the CWMP endpoint, and against scripted CPEs.

mod connreq;
mod endpoint;
mod harness;
mod limits;
mod retry;
mod tls;
