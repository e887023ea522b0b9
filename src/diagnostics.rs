//! Tests that devices run by themselves: where each is in which data model, what it is run with, how long it may take, what
//! the device's words mean, and what its numbers come to (TR-181 `Device.IP.Diagnostics.` and its kin, TR-098, TR-143).
//!
//! Everything here is pure. `tasks::plan` has the procedure that runs a test, and keeps what the device said, word for word,
//! as the results of the transaction; [`findings`] computes from that whenever it is shown, so that a better reading of
//! old results needs no new test.

pub mod channels;
pub mod findings;
pub mod inputs;
pub mod interface;
mod readings;
pub mod site;
pub mod state;
pub mod timing;
