//! Limits that nodes share: [`RedisRateLimiter`], and credits that they share: [`RedisCredits`].
//!
//! ```no_run
//! # fn run() -> Result<(), tower_api_key::ConfigError> {
//! use std::time::Duration;
//! use tower_api_key::limit::redis::{OnUnavailable, RedisRateLimiter};
//! use tower_api_key::limit::{Limits, Quota};
//!
//! let limiter = RedisRateLimiter::builder("redis://127.0.0.1:6379")
//!     .prefix("my-service")
//!     .deadline(Duration::from_millis(50))
//!     .on_unavailable(OnUnavailable::CountLocally { nodes: 3 })
//!     .build()?;
//! let limits = Limits::new(limiter).per_key(Quota::per_hour(100));
//! # Ok(()) }
//! ```

mod builder;
mod credits;
mod desk;
mod error;
mod leases;
mod outage;
mod request;
#[cfg(test)]
mod tests;
mod wire;

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use tokio::runtime::Handle;

pub use self::builder::RedisRateLimiterBuilder;
pub use self::credits::{RedisCreditError, RedisCredits};
use self::desk::Desk;
pub use self::error::RedisLimiterError;
use self::leases::LeaseBook;
pub use self::leases::Leases;
pub use self::outage::OnUnavailable;
use self::outage::Outage;
use self::request::{Item, Plan, Request};
use super::{Charge, Decision, Detail, MemoryRateLimiter, Occupancy, Quota, RateLimiter};
use crate::clock::Timestamp;
use crate::redis_link::Link;
pub use crate::redis_link::RedisLinkError;

/// Counts in Redis (6.0 or newer) or Valkey, for all nodes that use the same one under the same prefix.
///
/// Exact: however many nodes ask at once, never is more admitted than a quota allows, and all charges of a request are
/// taken in one step or not at all. One call of a script decides on them, whatever their number and their algorithms, with
/// the same results as [`MemoryRateLimiter`]. What is asked while Redis is busy goes out together in the next call.
///
/// # Clock
/// Time is that of Redis, never that of a node. What a decision says of instants is translated to the caller's clock, so
/// that [`Retry-After`](crate::limit::LimitState) and resets are right on a node whose clock is wrong.
///
/// # What is kept
/// Counters with the same algorithm and period are together in a hash, one for each period that they are over in. Each takes
/// about 100 bytes of Redis, under a sliding window up to 980, and twice that if it was used in two periods running. A hash is
/// freed in the background when the period after it begins and somebody asks, so that a counter is gone two periods after it
/// was last used at the latest. Where nobody asks, it expires a minute later: Redis frees a million counters in about a second
/// then, in which it serves nobody, unless it is told `lazyfree-lazy-expire yes`.
///
/// Under GCRA with a [burst](Quota::burst) above the limit, that period is two, four, eight … times as long, so that the burst
/// comes back within it. A counter begins anew when a change of its quota makes that another one.
///
/// No key has text behind the prefix and the version of the format, and each has a time to live. Addresses have counters, too:
/// give Redis a `maxmemory`, and the policy `noeviction`, under which it refuses to count when it is full; any other makes it
/// forget counters, those of a whole period at once.
///
/// # When Redis loses its data
/// Everybody then begins anew: at most twice the limit is admitted in that window. The same goes for what a replica had not
/// heard of yet when it took over.
///
/// # When Redis gives no answer
/// Then [`OnUnavailable`] says what becomes of requests, within the [deadline](RedisRateLimiterBuilder::deadline). Redis
/// is tried again after as long a rest, without a restart. A request whose answer was lost may have been counted. The log
/// is told under the target `tower_api_key::limit`, at most once in ten seconds, and again when Redis is back.
///
/// # Cluster
/// All counters of a limiter have its prefix as their hash tag, and so are in one slot: only there can the charges of a
/// request, which have several subjects, be taken in one step. With the feature `redis-cluster`, `RedisRateLimiter::cluster`
/// finds the node that has the slot, and follows it when it moves or fails over. While the slot is on its way from one node to
/// another, Redis gives no answer to some requests, and a hash is moved as a whole: about two seconds for a million counters,
/// in which both nodes serve nobody. One node decides for a whole limiter: limiters with other prefixes are likely to be on
/// others.
///
/// Cheap to clone; clones share the connection. Needs a Tokio runtime with I/O and time.
#[derive(Clone)]
pub struct RedisRateLimiter(Arc<Inner>);

struct Inner {
    desk: Arc<Desk>,
    on_unavailable: OnUnavailable,
    local: Option<MemoryRateLimiter>,
    outage: Outage,
    leases: Option<LeaseBook>,
}

impl RedisRateLimiter {
    /// Settings for a limiter at this address: `redis://[user:password@]host[:port][/database]`, `unix:///path`, or a
    /// [`redis::ConnectionInfo`]. `rediss://` needs the feature `redis-tls`, and trusts the certificates that the system
    /// trusts; for others give it the `ConnectionInfo` of a client made with [`redis::Client::build_with_tls`].
    pub fn builder(address: impl redis::IntoConnectionInfo) -> RedisRateLimiterBuilder {
        RedisRateLimiterBuilder::new(Link::new(address))
    }

    /// Settings for a limiter in the cluster that these are nodes of. Give it several: each is asked for the others.
    ///
    /// See [above](Self#cluster) for what a cluster is asked, and when it gives no answer.
    #[cfg(feature = "redis-cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis-cluster")))]
    pub fn cluster<A: redis::IntoConnectionInfo>(nodes: impl IntoIterator<Item = A>) -> RedisRateLimiterBuilder {
        RedisRateLimiterBuilder::new(Link::cluster(nodes))
    }

    /// How often Redis was asked: once for each request, or with [leases](Leases) for each that this node could not decide,
    /// and for each batch.
    pub fn asked(&self) -> u64 {
        self.0.desk.asked()
    }

    async fn decide(
        &self,
        charges: &[Charge<'_>],
        detail: Detail,
        now: Timestamp,
        takes: bool,
    ) -> Result<Decision, RedisLimiterError> {
        if charges.is_empty() {
            return Ok(Decision::UNLIMITED);
        }
        if let Some(decision) = self.decide_now(charges, detail, now, takes) {
            return Ok(decision);
        }
        let mut plan = Plan::new(charges, takes);
        if plan.request.items.is_empty() {
            return plan.decide(charges, None, &[], detail, now);
        }
        let held = self.0.leases.as_ref().map(|book| book.hold(&mut plan));
        let decided = self.0.desk.ask(plan.request.copy()).await.and_then(|answer| {
            let left = held.map(|held| held.settle(&plan.request.items, &answer)).unwrap_or_default();
            plan.decide(charges, Some(&answer), &left, detail, now)
        });
        match decided {
            Ok(decision) => {
                self.0.outage.answered();
                Ok(decision)
            }
            Err(error @ RedisLimiterError::TooManyCharges(_)) => Err(error),
            Err(error) => self.without_redis(error, charges, detail, now, takes),
        }
    }

    /// The decision, if this node holds what tells.
    fn decide_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp, takes: bool) -> Option<Decision> {
        let (decision, wanted) = self.0.leases.as_ref()?.decide_now(charges, detail, now, takes)?;
        wanted.into_iter().for_each(|batch| self.fetch(batch));
        Some(decision)
    }

    /// Fetches a batch in the background.
    fn fetch(&self, batch: Item) {
        let Ok(runtime) = Handle::try_current() else {
            // To be asked for again.
            return drop(self.0.leases.as_ref().map(|book| book.refilling(&batch)));
        };
        let limiter = self.clone();
        runtime.spawn(async move {
            let Some(book) = &limiter.0.leases else { return };
            let held = book.refilling(&batch);
            let request = Request { items: SmallVec::from_iter([batch]), takes: true };
            // Whoever needs permits and finds none will ask, and see the error.
            if let Ok(answer) = limiter.0.desk.ask(request.copy()).await {
                held.settle(&request.items, &answer);
            }
        });
    }

    fn without_redis(
        &self,
        error: RedisLimiterError,
        charges: &[Charge<'_>],
        detail: Detail,
        now: Timestamp,
        takes: bool,
    ) -> Result<Decision, RedisLimiterError> {
        self.0.outage.failed(&error, self.0.on_unavailable);
        match (self.0.on_unavailable, &self.0.local) {
            (OnUnavailable::Allow, _) => Ok(Decision::UNLIMITED),
            (OnUnavailable::CountLocally { nodes }, Some(local)) => {
                let shares: Vec<Quota> = charges.iter().map(|charge| charge.quota.share(nodes)).collect();
                let charges: Vec<_> =
                    charges.iter().zip(&shares).map(|(charge, quota)| Charge { quota, ..*charge }).collect();
                let decision =
                    if takes { local.take_now(&charges, detail, now) } else { local.peek_now(&charges, detail, now) };
                decision.ok_or(error)
            }
            _ => Err(error),
        }
    }
}

impl RateLimiter for RedisRateLimiter {
    type Error = RedisLimiterError;

    async fn take(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, Self::Error> {
        self.decide(charges, detail, now, true).await
    }

    async fn peek(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, Self::Error> {
        self.decide(charges, detail, now, false).await
    }

    fn take_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        self.decide_now(charges, detail, now, true)
    }

    fn peek_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        self.decide_now(charges, detail, now, false)
    }

    /// Of what this node counts while Redis is away.
    fn occupancy(&self) -> Option<Occupancy> {
        self.0.local.as_ref()?.occupancy()
    }
}

impl fmt::Debug for RedisRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRateLimiter").field("prefix", &self.0.desk.prefix).finish_non_exhaustive()
    }
}
