//! CWMP itself: messages, faults, versions, the codec between them and XML, and the session engine.
//!
//! Nothing in here performs I/O. [`codec`] turns bytes into [`message::Envelope`]s and back, [`session`] decides what
//! the answer to each POST is; sockets, store and clock live elsewhere.

pub mod codec;
pub mod emission;
pub mod fault;
pub mod message;
pub mod session;
pub mod version;
