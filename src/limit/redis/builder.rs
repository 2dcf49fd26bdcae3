//! Settings of a limiter in Redis.

use std::sync::Arc;
use std::time::Duration;

use super::desk::Desk;
use super::leases::{LeaseBook, Leases};
use super::outage::{OnUnavailable, Outage};
use super::{Inner, RedisRateLimiter};
use crate::error::ConfigError;
use crate::instruments::LimiterInstruments;
use crate::limit::MemoryRateLimiter;
use crate::redis_link::Link;

/// Settings of a [`RedisRateLimiter`].
#[derive(Debug)]
#[must_use]
pub struct RedisRateLimiterBuilder {
    link: Result<Link, ConfigError>,
    prefix: String,
    deadline: Duration,
    on_unavailable: OnUnavailable,
    leases: Option<Leases>,
}

pub(super) const DEFAULT_PREFIX: &str = "tower-api-key";
pub(super) const DEFAULT_DEADLINE: Duration = Duration::from_millis(100);

impl RedisRateLimiterBuilder {
    pub(super) fn new(link: Result<Link, ConfigError>) -> Self {
        Self {
            link,
            prefix: DEFAULT_PREFIX.to_owned(),
            deadline: DEFAULT_DEADLINE,
            on_unavailable: OnUnavailable::default(),
            leases: None,
        }
    }

    /// What the names of all counters begin with, `tower-api-key` by default: 1 to 64 of `A-Z a-z 0-9 _ . : -`. Limiters
    /// with the same prefix count together.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a decision may take, 100 ms by default. Has to be less than the deadline of the layer. After a failure
    /// Redis is left alone for as long.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// What becomes of requests while Redis gives no answer. Default: [`OnUnavailable::Refuse`].
    pub fn on_unavailable(mut self, what: OnUnavailable) -> Self {
        self.on_unavailable = what;
        self
    }

    /// Lets the node take permits of fixed windows by the batch, and decide on most requests by itself. Not by default.
    pub fn leases(mut self, leases: Leases) -> Self {
        self.leases = Some(leases);
        self
    }

    /// The limiter. Opens no connection yet: Redis may be away when a node starts.
    ///
    /// # Errors
    /// When the address cannot be read, the prefix has other characters, or something is 0. Names every such setting.
    pub fn build(self) -> Result<RedisRateLimiter, ConfigError> {
        let shares = match self.on_unavailable {
            OnUnavailable::CountLocally { nodes } => Some(nodes),
            _ => None,
        };
        let problems = [
            (!is_prefix(&self.prefix)).then(|| ConfigError::new("prefix", "must be 1 to 64 of A-Z a-z 0-9 _ . : -")),
            self.deadline.is_zero().then(|| ConfigError::new("deadline", "must be more than 0")),
            (self.leases.as_ref().is_some_and(|leases| leases.max_permits == 0 || leases.capacity == 0))
                .then(|| ConfigError::new("leases", "max_permits and capacity must be at least 1")),
            (shares == Some(0)).then(|| ConfigError::new("on_unavailable", "there is at least 1 node")),
        ];
        let (link, wrong_link) = match self.link {
            Ok(link) => (Some(link), None),
            Err(error) => (None, Some(error)),
        };
        ConfigError::all(wrong_link.into_iter().chain(problems.into_iter().flatten()))?;
        let link = link.ok_or_else(|| ConfigError::new("redis", "no address"))?;
        Ok(RedisRateLimiter(Arc::new(Inner {
            outage: Outage::new(LimiterInstruments::new(&self.prefix, self.on_unavailable.as_str())),
            desk: Arc::new(Desk::new(link, self.prefix, self.deadline)),
            on_unavailable: self.on_unavailable,
            local: shares.map(|_| MemoryRateLimiter::new()),
            leases: self.leases.as_ref().map(LeaseBook::new),
        })))
    }
}

pub(super) fn is_prefix(prefix: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    (1..=64).contains(&prefix.len()) && prefix.bytes().all(valid)
}
