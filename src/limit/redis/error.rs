//! Why Redis could not tell.

use std::sync::Arc;

use crate::redis_link::RedisLinkError;

/// Redis could not say whether a request is within its limits. For the log alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisLimiterError {
    /// Redis gave no answer, to this caller and to those who were asked for in the same call.
    #[error("the limits in Redis could not be read")]
    Unavailable(#[from] Arc<RedisLinkError>),
    /// A request has more charges than the script can take at once.
    #[error("a request has more than {0} charges")]
    TooManyCharges(usize),
    /// Whoever asked on behalf of several callers has ended: the Tokio runtime is shutting down.
    #[error("the question was given up")]
    GivenUp,
}

impl From<RedisLinkError> for RedisLimiterError {
    fn from(error: RedisLinkError) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}
