//! The health of devices: diagnostic entries, checks, and values over time.
