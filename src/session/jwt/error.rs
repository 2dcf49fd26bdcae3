//! Why nobody could tell whether a token is good.

use std::sync::Arc;
use std::time::Duration;

use super::key_set::KeySetError;
use crate::error::BoxError;

/// The keys that tokens are signed with could not be had. Goes to the log alone; callers get a 503.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the keys of tokens could not be had")]
pub struct JwtSessionsError(#[source] Arc<Failure>);

/// What went wrong with the last request for them.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the key set could not be fetched")]
    Fetch(#[source] BoxError),
    #[error("the key set did not come within {0:?}")]
    TimedOut(Duration),
    #[error("what came {0}")]
    Unusable(KeySetError),
    #[error("what came has more than {0} bytes")]
    TooLong(usize),
    #[error("the request for the key set ended before it was answered")]
    Ended,
    #[error("there is no Tokio runtime to fetch the key set in")]
    NoRuntime,
    #[error("the key set is older than allowed, and it is too early to ask again")]
    Outdated,
}

impl From<Failure> for JwtSessionsError {
    fn from(failure: Failure) -> Self {
        Self(Arc::new(failure))
    }
}
