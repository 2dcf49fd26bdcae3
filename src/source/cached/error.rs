//! Why a cache could not tell.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::error::BoxError;

/// The source behind the cache could not tell, and nothing that may still be used was in memory.
///
/// Cheap to clone: all who wait for one load get the same error. Its [`source`](Error::source) is the error of the source
/// behind the cache.
#[derive(Debug, Clone)]
pub struct CachedError(Cause);

#[derive(Debug, Clone)]
enum Cause {
    Failed { source_name: Arc<str>, error: Arc<BoxError> },
    TimedOut { source_name: Arc<str>, deadline: Duration },
    Overtaken,
    Ended,
}

impl CachedError {
    pub(super) fn failed(source_name: Arc<str>, error: impl Into<BoxError>) -> Self {
        Self(Cause::Failed { source_name, error: Arc::new(error.into()) })
    }

    pub(super) fn timed_out(source_name: Arc<str>, deadline: Duration) -> Self {
        Self(Cause::TimedOut { source_name, deadline })
    }

    pub(super) const fn overtaken() -> Self {
        Self(Cause::Overtaken)
    }

    pub(super) const fn ended() -> Self {
        Self(Cause::Ended)
    }

    /// Whether the source took longer than its [deadline](super::CachedBuilder::deadline).
    pub const fn is_timeout(&self) -> bool {
        matches!(self.0, Cause::TimedOut { .. })
    }

    /// Whether the source answered, and an invalidation came between the question and the answer, twice in a row.
    pub const fn is_overtaken(&self) -> bool {
        matches!(self.0, Cause::Overtaken)
    }
}

impl fmt::Display for CachedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Cause::Failed { source_name, .. } => write!(f, "the source {source_name} failed"),
            Cause::TimedOut { source_name, deadline } => {
                write!(f, "the source {source_name} did not answer within {deadline:?}")
            }
            Cause::Overtaken => f.write_str("the key changed again and again while it was loaded"),
            Cause::Ended => f.write_str("the runtime ended before the change did"),
        }
    }
}

impl Error for CachedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.0 {
            Cause::Failed { error, .. } => Some(&***error),
            Cause::TimedOut { .. } | Cause::Overtaken | Cause::Ended => None,
        }
    }
}
