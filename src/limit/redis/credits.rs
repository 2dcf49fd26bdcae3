//! Credits that nodes share: [`RedisCredits`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::Value;

use super::builder::{DEFAULT_DEADLINE, DEFAULT_PREFIX, is_prefix};
use crate::clock::Timestamp;
use crate::error::ConfigError;
use crate::limit::Subject;
use crate::limit::credits::{self, CreditChange, CreditRefusal, CreditState, RefillInterval};
use crate::redis_link::{Link, LinkedScript, RedisLinkError};

/// Balances in Redis, that all nodes spend from.
///
/// Exact over all nodes: no credit is spent twice, however many ask at once, and a refusal spends none. A balance begins
/// with what the key's record says, and one that somebody has set since counts
/// ([`CreditState::generation`](credits::CreditState::generation)). A layer with [`Usage`](crate::usage::Usage) adds what
/// its node has spent to the records in batches, and so do the others. Without a layer, [`RedisCredits::changes`] tells.
///
/// Refills come by the clock of the node that asks, since they come by the calendar; each comes once, on whichever node it
/// is noticed first. Balances up to 2⁵³ are exact, and larger ones count as that.
///
/// While Redis gives no answer, no credit is spent: the request is refused with 503. If an answer is lost, the credits may
/// have been spent.
///
/// # What is kept
/// A key of about 60 bytes and 32 bytes of state for each key with credits, for 400 days after it was last used. Where Redis
/// loses it, the balance begins anew with what the record says, so that what was spent since the last batch, and since the
/// record was last read into a cache, can be spent again: let Redis keep its data (`appendonly yes`), and switch on `Usage`.
/// Without it the record says what it said at first, and a balance that is set by hand is taken for one that all that was
/// ever spent has still to be taken from.
///
/// ```no_run
/// # fn run() -> Result<(), tower_api_key::ConfigError> {
/// use tower_api_key::limit::Limits;
/// use tower_api_key::limit::redis::{RedisCredits, RedisRateLimiter};
///
/// const REDIS: &str = "redis://127.0.0.1:6379";
/// let limits = Limits::new(RedisRateLimiter::builder(REDIS).build()?).credits_in_redis(RedisCredits::connect(REDIS)?);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisCredits(Arc<Inner>);

struct Inner {
    link: Link,
    script: LinkedScript,
    prefix: String,
    deadline: Duration,
    spent: Mutex<Spent>,
}

/// What this node has spent and not reported.
#[derive(Default)]
struct Spent {
    by: HashMap<Subject, (CreditState, u64)>,
}

/// Why credits in Redis were not spent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisCreditError {
    /// Not enough are left.
    #[error(transparent)]
    Refused(#[from] CreditRefusal),
    /// Redis gave no answer. They may have been spent.
    #[error("the credits in Redis could not be spent")]
    Unavailable(#[from] RedisLinkError),
}

/// How long a balance is kept, in milliseconds: 400 days.
const KEPT: &str = "34560000000";

/// How many balances may wait to be reported; what is spent of others meanwhile is not.
const MOST_CHANGES: usize = 1 << 20;

/// Up to here doubles are exact.
const MOST: u64 = 1 << 53;

impl RedisCredits {
    /// Balances at this address, under the prefix `tower-api-key`, with a deadline of 100 ms. Opens no connection yet.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn connect(address: impl redis::IntoConnectionInfo) -> Result<Self, ConfigError> {
        Self::with(address, DEFAULT_PREFIX, DEFAULT_DEADLINE)
    }

    /// Balances at this address. `prefix` is what the names of all balances begin with: 1 to 64 of `A-Z a-z 0-9 _ . : -`.
    /// Opens no connection yet.
    ///
    /// # Errors
    /// When the address cannot be read, the prefix has other characters, or the deadline is 0.
    pub fn with(
        address: impl redis::IntoConnectionInfo,
        prefix: impl Into<String>,
        deadline: Duration,
    ) -> Result<Self, ConfigError> {
        Self::over(Link::new(address), prefix.into(), deadline)
    }

    /// Balances in the cluster that these are nodes of, spread over all its slots. Opens no connection yet.
    ///
    /// # Errors
    /// When an address cannot be read or there is none, the prefix has other characters, or the deadline is 0.
    #[cfg(feature = "redis-cluster")]
    #[cfg_attr(docsrs, doc(cfg(feature = "redis-cluster")))]
    pub fn cluster<A: redis::IntoConnectionInfo>(
        nodes: impl IntoIterator<Item = A>,
        prefix: impl Into<String>,
        deadline: Duration,
    ) -> Result<Self, ConfigError> {
        Self::over(Link::cluster(nodes), prefix.into(), deadline)
    }

    fn over(link: Result<Link, ConfigError>, prefix: String, deadline: Duration) -> Result<Self, ConfigError> {
        if !is_prefix(&prefix) {
            return Err(ConfigError::new("prefix", "must be 1 to 64 of A-Z a-z 0-9 _ . : -"));
        }
        if deadline.is_zero() {
            return Err(ConfigError::new("deadline", "must be more than 0"));
        }
        let (link, script) = (link?, LinkedScript::new(include_str!("spend.lua")));
        Ok(Self(Arc::new(Inner { link, script, prefix, deadline, spent: Mutex::default() })))
    }

    /// Spends `cost` credits. `record` is the state on the subject's record, which counts if Redis does not know the subject
    /// yet, or if somebody has set the balance since.
    ///
    /// # Errors
    /// When not enough are left, or Redis gave no answer.
    pub async fn spend(
        &self,
        subject: Subject,
        record: &CreditState,
        cost: u64,
        now: Timestamp,
    ) -> Result<CreditState, RedisCreditError> {
        let key = format!("{}:credits:1:{:02x}:{:032x}", self.0.prefix, subject.kind().tag(), subject.fingerprint());
        let arguments = [&packed(record, cost, now)[..], KEPT.as_bytes()];
        let reply = self.0.script.call(&self.0.link, [key].iter(), &arguments, self.0.deadline).await?;
        let (fits, state) = read(&reply, record).ok_or(RedisLinkError::Answer)?;
        if !fits {
            let refused = credits::spend(&state, cost, now).err().ok_or(RedisLinkError::Answer)?;
            return Err(CreditRefusal::from(refused).into());
        }
        self.note(subject, state, cost);
        Ok(state)
    }

    /// Takes up to `max` balances that this node has changed. Each that could not be stored has to be given back by
    /// [`RedisCredits::failed`].
    #[must_use]
    pub fn changes(&self, max: usize) -> Vec<CreditChange> {
        let mut spent = self.spent();
        let subjects: Vec<_> = spent.by.keys().take(max).copied().collect();
        let change = |subject| {
            let (state, spent) = spent.by.remove(&subject)?;
            Some(CreditChange { subject, state, spent })
        };
        subjects.into_iter().filter_map(change).collect()
    }

    /// The change could not be stored, and will be reported again.
    pub fn failed(&self, change: &CreditChange) {
        self.note(change.subject, change.state, change.spent);
    }

    fn note(&self, subject: Subject, state: CreditState, cost: u64) {
        if cost == 0 {
            return;
        }
        let mut spent = self.spent();
        // Redis has it. The record will not, where nobody reports.
        if spent.by.len() >= MOST_CHANGES && !spent.by.contains_key(&subject) {
            return;
        }
        match spent.by.entry(subject) {
            Entry::Occupied(mut known) => {
                let (newest, spent) = known.get_mut();
                *spent = spent.saturating_add(cost);
                if state.spent >= newest.spent {
                    *newest = state;
                }
            }
            Entry::Vacant(new) => drop(new.insert((state, cost))),
        }
    }

    fn spent(&self) -> MutexGuard<'_, Spent> {
        self.0.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RedisCredits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCredits").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

fn packed(record: &CreditState, cost: u64, now: Timestamp) -> Vec<u8> {
    let every = match record.refill.map(|refill| refill.every) {
        Some(RefillInterval::Every(every)) => {
            u64::try_from(every.as_micros()).unwrap_or(MOST).clamp(1_000_000, MOST) as f64
        }
        _ => 0.0,
    };
    let due = record.refill.and_then(|refill| refill.every.latest_due(record.since, record.since, now));
    let permits = |number: u64| number.min(MOST) as f64;
    let numbers = [
        now.unix_micros() as f64,
        // What is above every balance is refused whatever it is.
        if cost > MOST { f64::INFINITY } else { cost as f64 },
        permits(record.remaining),
        record.refilled_at.unix_micros() as f64,
        permits(record.spent),
        permits(record.generation),
        permits(record.refill.map_or(0, |refill| refill.amount)),
        every,
        due.map_or(f64::NEG_INFINITY, |due| due.unix_micros() as f64),
    ];
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn read(reply: &Value, record: &CreditState) -> Option<(bool, CreditState)> {
    let Value::BulkString(reply) = reply else { return None };
    let (fits, rest) = reply.split_first()?;
    let (numbers, []) = rest.as_chunks::<8>() else { return None };
    let [remaining, refilled_at, spent, generation] = *numbers else { return None };
    let [remaining, refilled_at, spent, generation] =
        [remaining, refilled_at, spent, generation].map(f64::from_le_bytes);
    let state = CreditState {
        remaining: remaining as u64,
        refill: record.refill,
        since: record.since,
        refilled_at: Timestamp::from_unix_micros(refilled_at as i64),
        spent: spent as u64,
        generation: generation as u64,
    };
    Some((*fits == 1, state))
}
