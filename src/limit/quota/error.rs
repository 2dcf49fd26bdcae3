//! What can be wrong with a quota.

/// What is wrong with a [`Quota`](super::Quota).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// A limit of 0 would refuse everything, and does not mean unlimited.
    #[error("the limit must be at least 1 (unlimited is written Quota::UNLIMITED)")]
    ZeroLimit,
    /// A period of 0.
    #[error("the period must be longer than zero")]
    ZeroPeriod,
    /// A period above [`Quota::MAX_PERIOD`](super::Quota::MAX_PERIOD).
    #[error("the period must be at most 366 days")]
    PeriodTooLong,
    /// A burst of 0 would refuse everything.
    #[error("the burst must be at least 1")]
    ZeroBurst,
    /// The burst takes longer than [`Quota::MAX_PERIOD`](super::Quota::MAX_PERIOD) to come back.
    #[error("the burst must come back within 366 days")]
    BurstTooLarge,
    /// A window has no burst.
    #[error("a burst needs Algorithm::Gcra")]
    BurstWithoutGcra,
    /// The name would not be safe in a header field.
    #[error("the name must be 1 to 64 characters out of A-Z a-z 0-9 _ . -")]
    Name,
}
