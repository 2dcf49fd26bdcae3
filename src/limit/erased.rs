//! A limiter without its type.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::{Charge, Decision, Detail, Occupancy, RateLimiter};
use crate::clock::Timestamp;

/// Any [`RateLimiter`], so that what holds one needs no type parameter. Cheap to clone; clones share their counters.
#[derive(Clone)]
pub struct SharedRateLimiter(Arc<dyn ErasedRateLimiter>);

/// A limiter could not tell. The cause is for the log alone.
#[derive(Debug, thiserror::Error)]
#[error("the rate limiter could not answer")]
pub struct LimiterError(#[source] Box<dyn Error + Send + Sync>);

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The object-safe twin of [`RateLimiter`]. Asked for a future only when there is no answer at once.
trait ErasedRateLimiter: Send + Sync {
    fn take_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision>;

    fn peek_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision>;

    fn take<'a>(
        &'a self,
        charges: &'a [Charge<'a>],
        detail: Detail,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimiterError>>;

    fn peek<'a>(
        &'a self,
        charges: &'a [Charge<'a>],
        detail: Detail,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimiterError>>;

    fn occupancy(&self) -> Option<Occupancy>;
}

impl SharedRateLimiter {
    /// Forgets the type of `limiter`.
    pub fn new(limiter: impl RateLimiter) -> Self {
        Self(Arc::new(limiter))
    }

    /// Takes the permits of all charges or of none, if that can be told without waiting. Allocates no future.
    pub fn take_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        match charges {
            [] => Some(Decision::UNLIMITED),
            charges => self.0.take_now(charges, detail, now),
        }
    }

    /// Says what [`SharedRateLimiter::take_now`] would, and takes nothing.
    pub fn peek_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        match charges {
            [] => Some(Decision::UNLIMITED),
            charges => self.0.peek_now(charges, detail, now),
        }
    }

    /// Takes the permits of all charges, or of none. To be asked when [`SharedRateLimiter::take_now`] could not tell.
    ///
    /// # Errors
    /// When the limiter could not tell.
    pub async fn take(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, LimiterError> {
        match charges {
            [] => Ok(Decision::UNLIMITED),
            charges => self.0.take(charges, detail, now).await,
        }
    }

    /// Says what [`SharedRateLimiter::take`] would, and takes nothing.
    ///
    /// # Errors
    /// When the limiter could not tell.
    pub async fn peek(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, LimiterError> {
        match charges {
            [] => Ok(Decision::UNLIMITED),
            charges => self.0.peek(charges, detail, now).await,
        }
    }

    /// How full the limiter is, if it says so.
    #[must_use]
    pub fn occupancy(&self) -> Option<Occupancy> {
        self.0.occupancy()
    }
}

impl fmt::Debug for SharedRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedRateLimiter")
    }
}

impl<L: RateLimiter> ErasedRateLimiter for L {
    fn take_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        RateLimiter::take_now(self, charges, detail, now)
    }

    fn peek_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        RateLimiter::peek_now(self, charges, detail, now)
    }

    fn take<'a>(
        &'a self,
        charges: &'a [Charge<'a>],
        detail: Detail,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move {
            RateLimiter::take(self, charges, detail, now).await.map_err(|error| LimiterError(error.into()))
        })
    }

    fn peek<'a>(
        &'a self,
        charges: &'a [Charge<'a>],
        detail: Detail,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Decision, LimiterError>> {
        Box::pin(async move {
            RateLimiter::peek(self, charges, detail, now).await.map_err(|error| LimiterError(error.into()))
        })
    }

    fn occupancy(&self) -> Option<Occupancy> {
        RateLimiter::occupancy(self)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::limit::{MemoryRateLimiter, Quota, Subject};

    /// A limiter that always has to ask elsewhere, and fails.
    struct Away;

    impl RateLimiter for Away {
        type Error = std::io::Error;

        async fn take(&self, _: &[Charge<'_>], _: Detail, _: Timestamp) -> Result<Decision, Self::Error> {
            Err(std::io::Error::other("connection refused"))
        }

        async fn peek(&self, _: &[Charge<'_>], _: Detail, _: Timestamp) -> Result<Decision, Self::Error> {
            Err(std::io::Error::other("connection refused"))
        }
    }

    fn ready<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("nothing here has to wait"),
        }
    }

    #[test]
    fn a_limiter_that_cannot_tell_neither_admits_nor_refuses() {
        let limiter = SharedRateLimiter::new(Away);
        let quota = Quota::per_hour(1);
        let charges = [Charge::new(Subject::key("k"), &quota)];
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(limiter.take_now(&charges, Detail::Closest, now), None);
        assert_eq!(limiter.peek_now(&charges, Detail::Closest, now), None);
        let error = ready(limiter.take(&charges, Detail::Closest, now)).unwrap_err();
        assert!(!error.to_string().contains("connection"), "the cause is for the log");
        assert_eq!(error.source().unwrap().to_string(), "connection refused");
        assert!(ready(limiter.peek(&charges, Detail::Closest, now)).is_err());
        assert!(ready(limiter.take(&[], Detail::Closest, now)).unwrap().is_admitted(), "nothing to ask");
    }

    #[test]
    fn memory_answers_at_once_and_the_same_when_waited_for() {
        let limiter = SharedRateLimiter::new(MemoryRateLimiter::with_capacity(10));
        let quota = Quota::per_hour(2);
        let charges = [Charge::new(Subject::key("k"), &quota)];
        let now = Timestamp::UNIX_EPOCH;
        assert!(limiter.take_now(&charges, Detail::Closest, now).unwrap().is_admitted());
        assert!(ready(limiter.take(&charges, Detail::Closest, now)).unwrap().is_admitted());
        assert!(!limiter.peek_now(&charges, Detail::Closest, now).unwrap().is_admitted());
        assert!(!ready(limiter.peek(&charges, Detail::Closest, now)).unwrap().is_admitted());
    }
}
