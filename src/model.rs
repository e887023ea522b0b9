//! What acsd keeps: devices, transactions and tokens, as values without I/O.

pub mod device;
pub mod learn;
pub mod procedure;
pub mod token;
pub mod transaction;
