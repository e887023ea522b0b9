//! The command line: one subcommand, one file.

mod check_config;
mod demo;
mod serve;
mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Problem;
use crate::config::args::ServeArgs;

/// Usage or configuration is wrong.
pub const EXIT_USAGE: u8 = 2;

/// A TR-069 (CWMP) auto-configuration server.
#[derive(Debug, Parser)]
#[command(name = "acsd", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon
    Serve(Box<ServeArgs>),
    /// Run the daemon on a fresh temporary store, with simulated CPEs
    Demo(demo::DemoArgs),
    /// Simulated CPEs against any ACS
    Simulate(Box<simulate::SimulateArgs>),
    /// Check a configuration as serve would, and report all problems at once
    CheckConfig(Box<ServeArgs>),
}

/// Runs what the arguments say.
///
/// # Errors
/// Whatever went wrong at run time; exit code 1.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Simulate(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(simulate::run(*args))
        }
        Command::CheckConfig(args) => check_config::run(&args),
    }
}

/// Prints every problem of a configuration.
#[expect(clippy::print_stderr, reason = "this is what the command has to say")]
fn report(problems: &[Problem]) -> ExitCode {
    eprintln!("the configuration has {} problem(s):", problems.len());
    for problem in problems {
        eprintln!("  {problem}");
    }
    ExitCode::from(EXIT_USAGE)
}
