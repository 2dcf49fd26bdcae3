//! `api-keys scan`

mod allowed;
mod files;
mod finding;
mod history;
mod progress;
mod report;
mod sarif;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, ValueEnum};
use tower_api_key::scan::KeyScanner;

use self::allowed::Allowed;
use self::finding::Findings;
use self::progress::Progress;
use self::report::Report;
use crate::failure::{Failure, Outcome, Verdict};
use crate::keys;
use crate::output::Output;
use crate::settings::Settings;
use crate::store::{Opening, Store};

/// Finds keys in files, and in the history of Git repositories
///
/// A key is known by its prefix and its checksum, so that what only looks like one is not reported. Files are looked at as
/// they are, binary ones too, in ASCII, UTF-8 and UTF-16; ignore files are honoured. With a store, each key that is found
/// is looked up, and its state is told.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is 0 if there is no key, 1 if there is one, and 3 if none was
found and something could not be read. Keys are shown masked; the fingerprint
that JSON and SARIF give of each can be listed in a file for --allow.

Examples:
  api-keys scan
  api-keys scan src config --hidden
  api-keys scan --history --prefix ak,acme_sk
  api-keys scan --format sarif > keys.sarif
  git diff --cached | api-keys scan -")]
pub(crate) struct Scan {
    /// Files and folders; - is the standard input
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Looks at all objects of the Git repositories around the paths as well, deleted and unreachable ones too
    #[arg(long)]
    history: bool,
    /// Looks at hidden files and folders as well
    #[arg(long)]
    hidden: bool,
    /// Looks at what .gitignore and .ignore leave out as well
    #[arg(long)]
    no_ignore: bool,
    /// A file with the fingerprints of keys that are not reported, one a line, with comments behind #
    #[arg(long, value_name = "FILE")]
    allow: Option<PathBuf>,
    /// How the findings are written
    #[arg(long, value_enum, default_value = "plain")]
    format: Format,
    /// How many threads work; as many as there are processors, unless given
    #[arg(long, value_name = "NUMBER")]
    threads: Option<NonZeroUsize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// path:line:column: key
    Plain,
    /// JSON, as --json
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
}

impl Scan {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let format = match (self.format, output.json) {
            (Format::Sarif, true) => return Err(Failure::usage("--json and --format sarif: one of them, not both")),
            (_, true) => Format::Json,
            (format, false) => format,
        };
        let scanner = KeyScanner::new(settings.own_formats()?)?;
        let allowed = self.allow.as_deref().map(Allowed::read).transpose()?.unwrap_or_default();
        // Opened before the work, so that a wrong setting is told at once.
        let store = match settings.store {
            Some(_) => Some(Opening::new(settings)?.existing().await?),
            None => None,
        };
        let start = Instant::now();
        let mut findings = self.look(&scanner)?;
        let seconds = start.elapsed().as_secs_f64();
        findings.found.retain(|finding| !allowed.holds(&finding.fingerprint));
        if let Some(store) = &store {
            look_up(store, &mut findings).await?;
        }
        let report = Report { findings: &findings, seconds, looked_up: store.is_some() };
        report.print(output, format)?;
        match (findings.found.is_empty(), findings.troubles.is_empty()) {
            (false, _) => Ok(Verdict::No),
            (true, true) => Ok(Verdict::Yes),
            (true, false) => Err(Failure::Unavailable(format!("{} could not be read", findings.troubles.len()))),
        }
    }

    fn look(&self, scanner: &KeyScanner) -> Result<Findings, Failure> {
        let threads = self.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let progress = Progress::new();
        let (stdin, paths): (Vec<_>, Vec<_>) = self.paths.iter().cloned().partition(|path| path.as_os_str() == "-");
        let mut findings = Findings::default();
        if !stdin.is_empty() {
            files::standard_input(scanner, &mut findings);
        }
        if !paths.is_empty() {
            let walk = files::Walk { hidden: self.hidden, no_ignore: self.no_ignore, threads };
            files::scan(&paths, walk, scanner, &progress, &mut findings);
        }
        if self.history {
            let around = if paths.is_empty() { vec![PathBuf::from(".")] } else { paths };
            history::scan(&around, threads, scanner, &progress, &mut findings)?;
        }
        progress.end();
        Ok(findings)
    }
}

async fn look_up(store: &Store, findings: &mut Findings) -> Result<(), Failure> {
    for finding in &mut findings.found {
        finding.key = keys::known(store, finding.secret.expose_secret()).await?;
    }
    Ok(())
}
