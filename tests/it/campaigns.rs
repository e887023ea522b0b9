//! Campaigns over real stores and queues, with devices that a test plays: exactly once, in order, within bounds.

mod course;
mod firmware;
mod kills;
mod rules;
mod world;
