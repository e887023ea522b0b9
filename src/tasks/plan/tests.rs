//! Each procedure against a scripted device.
