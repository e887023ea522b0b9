//! What is recorded of sessions: that no secret is in it, and that it can be played again.

mod blanking;
mod replay;
