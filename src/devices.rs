//! The inventory: what an Inform teaches acsd of a device, and what operators change about it.

pub mod edit;
pub mod expiry;
pub mod inventory;
pub mod keeper;
pub mod onboard;
pub mod presence;
