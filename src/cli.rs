//! The command line: one subcommand, one file.

mod check_config;
pub mod client;
mod compact;
mod demo;
pub mod export;
pub mod import;
pub mod rpc;
mod serve;
mod simulate;
pub mod token;
pub mod trace;
pub mod transfer;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::app;
use crate::clock::SystemClock;
use crate::config::args::ServeArgs;
use crate::config::{Config, Problem};

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
    /// API tokens: create, list, revoke
    Token(TokenCommand),
    /// Recorded sessions of a device
    Trace(trace::TraceArgs),
    /// One call of CWMP on a device, and what it brings
    Rpc(rpc::RpcArgs),
    /// Write devices to a file, as CSV or JSON lines
    Export(export::ExportArgs),
    /// Create and change devices from a file, CSV or JSON lines
    Import(import::ImportArgs),
    /// Simulated CPEs against any ACS
    Simulate(Box<simulate::SimulateArgs>),
    /// Copy the store of a daemon that is stopped, without the space that is wasted
    Compact(compact::CompactArgs),
    /// Check a configuration as serve would, and report all problems at once
    CheckConfig(Box<ServeArgs>),
}

#[derive(Debug, Args)]
struct TokenCommand {
    #[command(flatten)]
    token: token::TokenArgs,
    /// Configuration file of the daemon [default: acsd.toml, if it is there]
    #[arg(long, global = true, env = "ACSD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded store [default: ./acsd-data]
    #[arg(long, global = true, env = "ACSD_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// Runs what the arguments say.
///
/// # Errors
/// Whatever went wrong at run time; exit code 1.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Token(command) => wait_for(tokens(command)),
        Command::Trace(args) => wait_for(traces(args)),
        Command::Rpc(args) => wait_for(calls(args)),
        Command::Export(args) => wait_for(async { finish(export::run(args, &mut std::io::stderr()).await) }),
        Command::Import(args) => wait_for(async { finish(import::run(args, &mut std::io::stderr()).await) }),
        Command::Simulate(args) => wait_for(simulate::run(*args)),
        Command::Compact(args) => wait_for(compact::run(args)),
        Command::CheckConfig(args) => Ok(check_config::run(&args)),
    }
}

async fn tokens(command: TokenCommand) -> anyhow::Result<ExitCode> {
    let TokenCommand { token, config, data_dir } = command;
    let args = ServeArgs { config, data_dir, ..ServeArgs::default() };
    let config = match Config::load(&args) {
        Ok(config) => config,
        Err(problems) => return Ok(report(&problems)),
    };
    let open = async || {
        // Opening would make a new, empty one: hardly what is meant where tokens are looked for.
        if !tokio::fs::try_exists(&config.data_dir).await? {
            return Err(format!("there is no folder {}", config.data_dir.display()).into());
        }
        match app::open(&config).await {
            Ok((store, _)) => Ok(store),
            Err(error) => Err(error.into()),
        }
    };
    let (mut result, mut notes) = (std::io::stdout(), std::io::stderr());
    let output = token::Output { result: &mut result, notes: &mut notes };
    match token::run(token, open, &SystemClock, output).await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(wrong) if wrong.is_usage() => Ok(misused(&wrong)),
        Err(failed) => Err(failed.into()),
    }
}

async fn traces(args: trace::TraceArgs) -> anyhow::Result<ExitCode> {
    let (mut result, mut notes) = (std::io::stdout(), std::io::stderr());
    let work = trace::run(args, trace::Output { result: &mut result, notes: &mut notes });
    let done = tokio::select! {
        done = work => done,
        stopped = tokio::signal::ctrl_c() => return Ok(stopped.map(|()| ExitCode::SUCCESS)?),
    };
    match done {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // A pager that was closed has seen enough.
        Err(trace::TraceError::Print(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(wrong) if wrong.is_usage() => Ok(misused(&wrong)),
        Err(failed) => Err(failed.into()),
    }
}

async fn calls(args: rpc::RpcArgs) -> anyhow::Result<ExitCode> {
    let (mut result, mut notes) = (std::io::stdout(), std::io::stderr());
    match rpc::run(args, rpc::Output { result: &mut result, notes: &mut notes }).await {
        Ok(code) => Ok(code),
        Err(wrong) if wrong.is_usage() => Ok(misused(&wrong)),
        Err(failed) => Err(failed.into()),
    }
}

fn finish(done: Result<ExitCode, transfer::TransferError>) -> anyhow::Result<ExitCode> {
    match done {
        Ok(code) => Ok(code),
        Err(wrong) if wrong.is_usage() => Ok(misused(&wrong)),
        Err(failed) => Err(failed.into()),
    }
}

/// Says what is wrong with the command line.
#[expect(clippy::print_stderr, reason = "this is what the command has to say")]
fn misused(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("acsd: {error}");
    ExitCode::from(EXIT_USAGE)
}

fn wait_for<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
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
