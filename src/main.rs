//! Entry point: arguments, subcommand, exit code.

fn main() {}
