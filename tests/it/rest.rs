//! The REST facade over a real socket: every code and field, also with wrong input.

mod campaigns;
mod command;
mod conventions;
mod devices;
mod diagnostics;
mod documented;
mod events;
mod headless;
mod images;
mod import;
mod inventory;
mod listener;
mod matrix;
mod openapi;
mod operations;
mod races;
mod rpc;
mod search;
mod sessions;
mod support;
mod tokens;
mod traces;
mod types;
mod webhooks;
