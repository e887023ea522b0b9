//! Each procedure against a scripted device.

mod call;
mod configure;
mod device;
mod diagnose;
mod discover;
mod get;
mod interleavings;
mod restart;
mod rows;
mod set;
mod transfer;
mod transfers;
mod unanswered;
mod vanishing;
mod wanted;
mod world;
