//! The session cookie: one short name and value, read leniently (cwmp.md §1.1, quirks 10, 11, 64).
