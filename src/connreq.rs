//! Connection requests: how acsd asks a CPE to call in (TR-069 §3.2.2).

pub mod http;
pub mod policy;
pub mod wake;
