//! `acsd check-config`: the same checks as `serve`.

use std::process::ExitCode;

use crate::config::Config;
use crate::config::args::ServeArgs;

#[expect(clippy::print_stdout, reason = "this is what the command has to say")]
pub(super) fn run(args: &ServeArgs) -> ExitCode {
    match Config::load(args) {
        Ok(config) => {
            for warning in config.warnings() {
                println!("warning: {warning}");
            }
            match args.config_file() {
                Some(path) => println!("{}: good", path.display()),
                None => println!("no configuration file; the defaults are good"),
            }
            ExitCode::SUCCESS
        }
        Err(problems) => super::report(&problems),
    }
}
