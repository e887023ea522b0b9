//! What acsd keeps: devices, types, transactions, tokens and the rest, as values without I/O.

pub mod audit;
pub mod call;
pub mod campaign;
pub mod device;
pub mod device_type;
pub mod diagnostic;
pub mod event;
pub mod file;
pub mod inventory;
pub mod learn;
pub mod matching;
pub mod organizations;
pub mod placeholders;
pub mod procedure;
pub mod token;
pub mod trace;
pub mod transaction;
pub mod transfer;
pub mod upgrade;
pub mod wanted;
pub mod webhook;
