//! Simulated CPEs, on a codec of their own.
