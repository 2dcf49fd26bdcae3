//! Limits: how much who may do in how long.
//!
//! A [`Quota`] says how much, a [`Subject`] who, and a [`Charge`] puts the two together with a cost. A [`RateLimiter`]
//! answers with a [`Decision`] on all charges of a request at once. [`Limits`] is what a service configures: which
//! quotas hold for keys, owners, organizations, addresses and plans. [`LimitHeaders`] tells clients how they stand, and
//! [`Credits`](credits::Credits) are permits that are used up for good, or until a refill.
//!
//! ```
//! use tower_api_key::clock::Timestamp;
//! use tower_api_key::limit::{LimitFacts, Limits, MemoryRateLimiter, Quota, Subject};
//!
//! let limits = Limits::new(MemoryRateLimiter::new()).per_key(Quota::per_hour(2)).per_key(Quota::per_second(1));
//! assert!(limits.validate().is_empty());
//!
//! let noon: Timestamp = "2026-01-14T12:00:00Z".parse()?;
//! let facts = LimitFacts { client: Some(Subject::key("key_1")), ..LimitFacts::default() };
//! let first = limits.take_now(&limits.charges(&facts), noon).expect("memory answers at once");
//! assert!(first.is_admitted());
//!
//! let second = limits.take_now(&limits.charges(&facts), noon).expect("memory answers at once");
//! assert!(!second.is_admitted());
//! assert_eq!(second.retry_after_seconds(), Some(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod credits;
#[cfg(feature = "redis")]
pub mod redis;

mod charge;
mod counter;
mod decision;
mod erased;
mod headers;
mod limits;
mod memory;
mod quota;
mod subject;

use std::error::Error;
use std::future::Future;

pub use self::charge::{Charge, Charges};
pub use self::decision::{Decision, Detail, LimitState, Verdict};
pub use self::erased::{LimiterError, SharedRateLimiter};
pub use self::headers::{LimitHeaders, ResetFormat};
pub(crate) use self::headers::{LimitReport, LimitValues, X_RATELIMIT, header_number};
pub use self::limits::{LimitFacts, Limits, LimitsError, RouteQuotas};
pub use self::memory::MemoryRateLimiter;
pub use self::quota::{Algorithm, Quota, QuotaError, QuotaName};
pub use self::subject::{Subject, SubjectKind};
use crate::clock::Timestamp;

/// Counts what subjects take, and says when it is enough.
///
/// What an implementation promises:
///
/// 1. All charges of a call are taken, or none.
/// 2. However many calls run at once, never is more admitted than each quota allows.
/// 3. Charges are counted apart by subject (kind and fingerprint) and [quota identity](Quota::identity).
/// 4. A cost above the quota's capacity, and a quota with a mistake in it, is never admitted ([`Verdict::Never`]).
/// 5. What it keeps is bounded, however many subjects turn up.
/// 6. "Could not tell" is an error, never a decision.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a rate limiter",
    note = "use `MemoryRateLimiter`, or implement `RateLimiter`"
)]
pub trait RateLimiter: Send + Sync + 'static {
    /// Why it could not tell. Goes to the log, never to a client.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// Takes the permits of all charges, or of none.
    fn take(
        &self,
        charges: &[Charge<'_>],
        detail: Detail,
        now: Timestamp,
    ) -> impl Future<Output = Result<Decision, Self::Error>> + Send;

    /// Says what [`RateLimiter::take`] would, and takes nothing.
    fn peek(
        &self,
        charges: &[Charge<'_>],
        detail: Detail,
        now: Timestamp,
    ) -> impl Future<Output = Result<Decision, Self::Error>> + Send;

    /// [`RateLimiter::take`] for those who know the answer without waiting. None, having taken nothing, means to ask
    /// `take`; that is the default.
    fn take_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        let _ = (charges, detail, now);
        None
    }

    /// [`RateLimiter::peek`] for those who know the answer without waiting. None means to ask `peek`; that is the
    /// default.
    fn peek_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        let _ = (charges, detail, now);
        None
    }

    /// How many counters this process keeps; none, unless implemented. Asked now and then, and not by requests.
    fn occupancy(&self) -> Option<Occupancy> {
        None
    }
}

/// How full a limiter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Occupancy {
    /// How many counters there are.
    pub entries: usize,
    /// How many there can be.
    pub capacity: usize,
}
