//! The REST facade over a real socket: every code and field, also with wrong input.

mod command;
mod conventions;
mod devices;
mod headless;
mod import;
mod listener;
mod openapi;
mod operations;
mod search;
mod support;
mod tokens;
