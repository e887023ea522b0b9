//! `acsd compact`: an offline copy of the store without what is no longer in it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app;
use crate::config::Config;
use crate::config::args::ServeArgs;

#[derive(Debug, Args)]
pub(super) struct CompactArgs {
    /// Configuration file of the daemon [default: acsd.toml, if it is there]
    #[arg(long, env = "ACSD_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of the embedded store [default: ./acsd-data]
    #[arg(long, env = "ACSD_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

#[expect(clippy::print_stdout, reason = "this is what the command has to say")]
pub(super) async fn run(args: CompactArgs) -> anyhow::Result<ExitCode> {
    let args = ServeArgs { config: args.config, data_dir: args.data_dir, ..ServeArgs::default() };
    let config = match Config::load(&args) {
        Ok(config) => config,
        Err(problems) => return Ok(super::report(&problems)),
    };
    let done = app::compact(&config).await?;
    println!("the store took {} MiB, it takes {} MiB now", done.before_bytes >> 20, done.after_bytes >> 20);
    Ok(ExitCode::SUCCESS)
}
