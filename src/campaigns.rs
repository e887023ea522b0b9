//! Campaigns: one operation brought to many devices, in steps and within bounds.
