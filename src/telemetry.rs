//! Logs and metrics: set-up, names, closed label enums.
