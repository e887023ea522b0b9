//! The REST facade over a real socket: every code and field, also with wrong input.

mod conventions;
mod devices;
mod headless;
mod openapi;
mod operations;
mod support;
mod tokens;
