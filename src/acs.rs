//! The CWMP endpoint: accept loop, HTTP rules, authentication, and the driver that runs each session action.

pub mod cookie;
pub mod discoveries;
pub mod driver;
pub mod exchange;
pub mod files;
pub mod gate;
pub mod listen;
pub mod recorder;
pub mod sessions;
