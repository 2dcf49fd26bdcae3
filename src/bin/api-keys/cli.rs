//! The command line.

use clap::{Parser, Subcommand};

use crate::commands::{
    audit, completions, disable, enable, import, list, manual, migrate, new, purge, rename, revoke, rotate, scan, show,
    verify,
};
use crate::failure::Outcome;
use crate::output::Output;
use crate::settings::Settings;

const AFTER_HELP: &str = "\
Exit codes:
  0    done, or the answer is yes
  1    the answer is no: a bad key, keys found by scan, refused rows, no such key
  2    the command line or a setting is wrong
  3    a store, a file or a repository could not be read or written
  141  nobody read the output to its end

Keys are read from the standard input or from a prompt, never from arguments,
and printed once, when they are made. Answers go to the standard output, all
else to the standard error: tables on a terminal, columns with a tab between
them in a pipe, JSON with --json.

Examples:
  export API_KEYS_STORE=sqlite://keys.db
  api-keys migrate
  api-keys new ci --scope deploy:write --expires 90d
  api-keys list --state active
  api-keys scan --history";

/// Makes, lists, changes, checks and finds API keys
#[derive(Debug, Parser)]
#[command(name = "api-keys", version, after_long_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

// One value of it is made, and used once.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    New(new::New),
    List(list::List),
    Show(show::Show),
    Rename(rename::Rename),
    Disable(disable::Disable),
    Enable(enable::Enable),
    Revoke(revoke::Revoke),
    Rotate(rotate::Rotate),
    Import(import::Import),
    Verify(verify::Verify),
    Scan(scan::Scan),
    Audit(audit::Audit),
    Migrate(migrate::Migrate),
    Purge(purge::Purge),
    Completions(completions::Completions),
    Manual(manual::Manual),
}

impl Command {
    pub(crate) async fn run(self, settings: &Settings) -> Outcome {
        let output = Output::new(settings.json);
        match self {
            Self::New(command) => command.run(settings, output).await,
            Self::List(command) => command.run(settings, output).await,
            Self::Show(command) => command.run(settings, output).await,
            Self::Rename(command) => command.run(settings, output).await,
            Self::Disable(command) => command.run(settings, output).await,
            Self::Enable(command) => command.run(settings, output).await,
            Self::Revoke(command) => command.run(settings, output).await,
            Self::Rotate(command) => command.run(settings, output).await,
            Self::Import(command) => command.run(settings, output).await,
            Self::Verify(command) => command.run(settings, output).await,
            Self::Scan(command) => command.run(settings, output).await,
            Self::Audit(command) => command.run(settings, output).await,
            Self::Migrate(command) => command.run(settings, output).await,
            Self::Purge(command) => command.run(settings, output).await,
            Self::Completions(command) => command.run(),
            Self::Manual(command) => command.run(),
        }
    }
}
