//! `api-keys`, the operators' command line: `api-keys --help` says what it does.

mod cli;
mod commands;
mod failure;
mod keys;
mod output;
mod settings;
mod store;
mod terminal;
mod trail;
mod values;

use std::process::ExitCode;

use clap::{ColorChoice, Parser};

use crate::cli::Cli;
use crate::failure::{Failure, Outcome};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let choice = match cli.settings.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
    match run(cli) {
        Ok(verdict) => verdict.into(),
        Err(failure) => {
            if !matches!(failure, Failure::Unread) {
                let style = anstyle::AnsiColor::Red.on_default().bold();
                failure::report(format_args!("{style}error:{style:#} {failure}"));
            }
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::unavailable("the program could not start", &error))?;
    runtime.block_on(cli.command.run(&cli.settings))
}
