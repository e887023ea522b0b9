//! What acsd keeps: devices and transactions, as values.
