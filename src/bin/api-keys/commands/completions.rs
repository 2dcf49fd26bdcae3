//! `api-keys completions`

use std::io::{self, Write};

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Failure, Outcome, Verdict};

/// Prints a script that completes this command line in a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys completions bash > ~/.bash_completion
  api-keys completions zsh > ~/.zfunc/_api-keys
  api-keys completions fish > ~/.config/fish/completions/api-keys.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "api-keys", &mut script);
        io::stdout().write_all(&script).map_err(Failure::output)?;
        Ok(Verdict::Yes)
    }
}
