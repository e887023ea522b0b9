//! Entry point: arguments, subcommand, exit code.

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stderr, reason = "the last word of a command that failed")]
fn main() -> ExitCode {
    match acsd::cli::run(acsd::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("acsd: {error:#}");
            ExitCode::FAILURE
        }
    }
}
