//! `api-keys manual`

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::failure::{Failure, Outcome, Verdict};

/// Prints the manual page, or writes a page for each command
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys manual > api-keys.1
  api-keys manual --pages man1")]
pub(crate) struct Manual {
    /// The folder that pages for each command are written into
    #[arg(long, value_name = "FOLDER")]
    pages: Option<PathBuf>,
}

impl Manual {
    pub(crate) fn run(self) -> Outcome {
        match self.pages {
            Some(folder) => {
                let written =
                    std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(Cli::command(), &folder));
                written.map_err(|error| Failure::unavailable(folder.display(), &error))?;
            }
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(Failure::output)?;
                io::stdout().write_all(&page).map_err(Failure::output)?;
            }
        }
        Ok(Verdict::Yes)
    }
}
