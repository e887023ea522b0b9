//! The session engine: a value that is told messages and says what to do.
