//! Connection requests: how acsd asks a CPE to call in (TR-069 §3.2.2).
//!
//! A request carries no command: it only makes the CPE open a session to the ACS URL that it has. Its verdict is a
//! hint; what counts is the Inform that follows or does not.

mod answer;
mod challenge;
pub mod http;
pub mod policy;
pub mod url;
pub mod verdict;
pub mod wake;
