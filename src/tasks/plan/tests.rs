//! Each procedure against a scripted device.

mod configure;
mod diagnose;
mod device;
mod get;
mod interleavings;
mod restart;
mod rows;
mod set;
mod wanted;
mod world;
