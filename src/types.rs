//! The vocabulary every other part speaks: identities, paths, values, events, secrets, time.
//!
//! Rank 0: nothing here knows of a socket, a store or a clock of the operating system. Raw strings become these
//! types at the codec and at the REST boundary; below them a value of such a type is its own proof of validity.

pub mod event;
pub mod ident;
pub mod network;
pub mod path;
pub mod secret;
pub mod time;
pub mod value;
