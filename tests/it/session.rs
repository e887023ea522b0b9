//! The session engine under every order of messages: cwmp.md §1.2 and the quirks that bend it.

mod rules;
mod sequences;
mod support;
