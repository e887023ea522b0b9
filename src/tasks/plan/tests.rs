//! Each procedure against a scripted device.

mod configure;
mod device;
mod diagnose;
mod get;
mod interleavings;
mod restart;
mod rows;
mod set;
mod wanted;
mod world;
