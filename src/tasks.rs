//! Transactions: the queue of each device and the procedures that carry them out.

pub mod plan;
pub mod queue;
