//! The CWMP endpoint: accept loop, HTTP rules, authentication, and the driver that runs each session action.

pub mod cookie;
pub mod exchange;
pub mod listen;
