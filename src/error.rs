//! Errors of configuration and of backends. What a client sees is a [`Rejection`](crate::rejection::Rejection) instead.

use std::error::Error;
use std::fmt;

/// Any error of a user's own type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// One or more settings are wrong. Lists every mistake, not only the first.
///
/// Displays on one line. A setting's value is quoted only where it is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<ConfigProblem>,
}

impl ConfigError {
    /// An error about one setting.
    pub fn new(setting: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self { problems: vec![ConfigProblem { setting: setting.into(), problem: problem.to_string() }] }
    }

    /// Every mistake that was found, in the order of the settings.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }

    /// One error out of all of `errors`, or `Ok` when there are none.
    ///
    /// # Errors
    /// The mistakes of all `errors` together.
    pub fn all(errors: impl IntoIterator<Item = Self>) -> Result<(), Self> {
        let problems: Vec<_> = errors.into_iter().flat_map(|error| error.problems).collect();
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, ConfigProblem { setting, problem }) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{setting}: {problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigError {}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The setting at fault: a builder method or an environment variable.
    pub setting: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A key store or another backend could not answer. Goes to the log, never to a client.
#[derive(Debug, thiserror::Error)]
#[error("{backend} could not {operation}")]
pub struct StoreError {
    backend: String,
    operation: &'static str,
    #[source]
    source: BoxError,
}

impl StoreError {
    /// `backend` is the name of the source, and `operation` a verb phrase such as `find a key`.
    pub fn new(backend: impl Into<String>, operation: &'static str, source: impl Into<BoxError>) -> Self {
        Self { backend: backend.into(), operation, source: source.into() }
    }

    /// The name of the source that failed.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// What it was asked to do.
    pub fn operation(&self) -> &'static str {
        self.operation
    }
}

/// An error with all its causes on one line, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_stands_on_one_line() {
        let errors = [ConfigError::new("PORT", "not a number"), ConfigError::new("realm", "empty")];
        let all = ConfigError::all(errors).unwrap_err();
        assert_eq!(all.to_string(), "PORT: not a number; realm: empty");
        assert_eq!(ConfigError::all([]), Ok(()));
    }

    #[test]
    fn a_store_error_names_source_operation_and_cause() {
        let error = StoreError::new("postgres", "find a key", "connection refused");
        assert_eq!(Chain(&error).to_string(), "postgres could not find a key: connection refused");
    }
}
