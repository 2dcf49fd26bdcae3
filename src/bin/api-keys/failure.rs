//! Why a command did not do what it was asked to, and the exit code that says so.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use tower_api_key::ConfigError;
use tower_api_key::source::JsonFileError;
use tower_api_key::source::sql::SqlKeysError;

/// What a command came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was done, or the answer is yes.
    Yes,
    /// The answer is no, and has been told.
    No,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(match verdict {
            Verdict::Yes => 0,
            Verdict::No => 1,
        })
    }
}

/// Why there is no answer. Displays on one line, and never shows a key or the address of a store.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What the store has does not allow it: there is no such key, or it is revoked.
    Refused(String),
    /// The command line or a setting is wrong.
    Usage(String),
    /// Something could not be read or written: the store, a file, a repository.
    Unavailable(String),
    /// Nobody reads the output any more.
    Unread,
}

pub(crate) type Outcome = Result<Verdict, Failure>;

impl Failure {
    pub(crate) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// `what` could not be done, with all causes.
    pub(crate) fn unavailable(what: impl fmt::Display, error: &(dyn Error + 'static)) -> Self {
        Self::Unavailable(format!("{what}: {}", chain(error)))
    }

    /// The output could not be written.
    pub(crate) fn output(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Unread,
            _ => Self::unavailable("the output could not be written", &error),
        }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            // What shells say of a program that a closed pipe has ended: not 0, since nothing was told to the end.
            Self::Unread => 141,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unavailable(_) => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(text) | Self::Usage(text) | Self::Unavailable(text) => f.write_str(&one_line(text)),
            Self::Unread => f.write_str("the output is not read any more"),
        }
    }
}

impl Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<JsonFileError> for Failure {
    fn from(error: JsonFileError) -> Self {
        match error.life() {
            Some(refusal) => Self::Refused(refusal.to_string()),
            None => Self::Unavailable(chain(&error)),
        }
    }
}

impl From<SqlKeysError> for Failure {
    fn from(error: SqlKeysError) -> Self {
        match &error {
            SqlKeysError::Config(error) => Self::Usage(format!("--store, {error}")),
            SqlKeysError::Life(refusal) => Self::Refused(refusal.to_string()),
            SqlKeysError::SchemaTooOld { .. } => Self::Unavailable(format!("{error}: `api-keys migrate` does")),
            _ => Self::Unavailable(format!("the store could not answer: {}", chain(&error))),
        }
    }
}

/// An error and its causes, each said once.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|character| !character.is_control()).collect()
}

/// A line on the standard error.
pub(crate) fn report(line: impl fmt::Display) {
    // If nobody reads it, nobody needs it.
    drop(std::io::Write::write_fmt(&mut anstream::stderr(), format_args!("{line}\n")));
}
