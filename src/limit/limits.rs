//! The limits of a service: [`Limits`].

mod error;
mod facts;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

pub use self::error::LimitsError;
use self::error::Problem;
pub use self::facts::{LimitFacts, RouteQuotas};
use super::credits::CreditLedger;
#[cfg(feature = "redis")]
use super::redis::RedisCredits;
use super::{
    Charge, Charges, Decision, Detail, LimitHeaders, LimiterError, Quota, RateLimiter, SharedRateLimiter, Subject,
};
use crate::clock::Timestamp;

/// Which quotas hold for whom, and the limiter that counts.
///
/// Every setting can be given several times: each quota then holds, and each needs a [name](Quota::named) of its own.
///
/// # Which quota a key has
/// Those on its record, else those of its plan, else those set here. [`Quota::UNLIMITED`] at any of these ends the
/// search and means no limit; an empty list is nothing, and the search goes on.
///
/// # Failed attempts
/// They count by address, apart from requests. Peek at [`Limits::failure_charges`] before a credential is looked up,
/// and take them when it was wrong. If that take is refused, others from the same address have used up the permits
/// meanwhile: answer as if the peek had been refused, and no more than the quota ever hear that they guessed wrong.
#[derive(Debug, Clone)]
#[must_use]
pub struct Limits {
    limiter: SharedRateLimiter,
    per_key: Vec<Quota>,
    per_owner: Vec<Quota>,
    per_organization: Vec<Quota>,
    per_address: Vec<Quota>,
    anonymous: Vec<Quota>,
    failures: Vec<Quota>,
    plans: BTreeMap<String, Vec<Quota>>,
    credits: Arc<CreditLedger>,
    headers: LimitHeaders,
}

impl Limits {
    /// No limits yet, to be counted by `limiter`.
    pub fn new(limiter: impl RateLimiter) -> Self {
        Self {
            limiter: SharedRateLimiter::new(limiter),
            per_key: Vec::new(),
            per_owner: Vec::new(),
            per_organization: Vec::new(),
            per_address: Vec::new(),
            anonymous: Vec::new(),
            failures: Vec::new(),
            plans: BTreeMap::new(),
            credits: Arc::default(),
            headers: LimitHeaders::new(),
        }
    }

    /// Adds a quota for each key, and for each person with a session. A quota on the record or of its plan replaces it.
    pub fn per_key(mut self, quota: Quota) -> Self {
        self.per_key.push(quota);
        self
    }

    /// Adds a quota for each owner, over all their keys.
    pub fn per_owner(mut self, quota: Quota) -> Self {
        self.per_owner.push(quota);
        self
    }

    /// Adds a quota for each organization, over all its keys and members.
    pub fn per_organization(mut self, quota: Quota) -> Self {
        self.per_organization.push(quota);
        self
    }

    /// Adds a quota for each address (IPv6: each /64), whoever calls from it.
    pub fn per_address(mut self, quota: Quota) -> Self {
        self.per_address.push(quota);
        self
    }

    /// Sets the quotas of each key that is on this plan.
    pub fn plan(mut self, name: impl Into<String>, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.plans.insert(name.into(), quotas.into_iter().collect());
        self
    }

    /// Adds a quota for each address that anonymous requests come from, where the layer lets them through.
    pub fn anonymous(mut self, quota: Quota) -> Self {
        self.anonymous.push(quota);
        self
    }

    /// Adds a quota of failed attempts for each address (IPv6: each /64).
    pub fn failures(mut self, quota: Quota) -> Self {
        self.failures.push(quota);
        self
    }

    /// Spends credits in Redis, from balances that all nodes share. Default: in the memory of this process.
    #[cfg(feature = "redis")]
    pub fn credits_in_redis(mut self, credits: RedisCredits) -> Self {
        self.credits = Arc::new(CreditLedger::Redis(credits));
        self
    }

    /// Sets which header fields tell clients about limits. Default: [`LimitHeaders::new`].
    pub fn headers(mut self, headers: LimitHeaders) -> Self {
        self.headers = headers;
        self
    }

    /// Finds every mistake, each with the setting it is in. None: all is well.
    #[must_use]
    pub fn validate(&self) -> Vec<LimitsError> {
        let mut errors = Vec::new();
        for (setting, quotas) in self.settings() {
            error::check(&setting, quotas, &mut errors);
            if quotas.is_empty() && setting.starts_with("plan") {
                errors.push(LimitsError::new(&setting, None, Problem::EmptyPlan));
            }
        }
        errors
    }

    /// Finds every quota that a request of this cost could never meet. `setting` names where the cost is set.
    ///
    /// Quotas on records are not known here: under one that is too small such a request is refused each time.
    #[must_use]
    pub fn validate_cost(&self, setting: &str, cost: u32) -> Vec<LimitsError> {
        let too_small = |quota: &&Quota| !quota.is_unlimited() && quota.capacity() < cost;
        let settings = self.settings().filter(|(setting, _)| setting != "failures");
        settings
            .flat_map(|(other, quotas)| {
                quotas.iter().filter(too_small).map(move |quota| {
                    let problem = Problem::CostAboveQuota { cost, quota: format!("{other}, {quota}") };
                    LimitsError::new(setting, None, problem)
                })
            })
            .collect()
    }

    /// What a request is charged.
    #[must_use]
    pub fn charges<'a>(&'a self, facts: &LimitFacts<'a>) -> Charges<'a> {
        let mut charges = Charges::default();
        let mut add = |subject: Option<Subject>, quotas: &'a [Quota]| {
            if let Some(subject) = subject {
                quotas.iter().for_each(|quota| charges.push(Charge::new(subject, quota).cost(facts.cost)));
            }
        };
        add(facts.client, self.quotas_of_client(facts));
        add(facts.owner, &self.per_owner);
        add(facts.organization, &self.per_organization);
        if !self.per_address.is_empty() {
            add(facts.address.map(Subject::address), &self.per_address);
        }
        if facts.client.is_none() && !self.anonymous.is_empty() {
            add(facts.address.map(Subject::anonymous), &self.anonymous);
        }
        if let Some(route) = facts.route.filter(|route| !route.quotas.is_empty()) {
            add(Some(facts.subject_on(route.route)), route.quotas);
        }
        charges
    }

    /// What a failed attempt from this address is charged. See [Failed attempts](Limits#failed-attempts).
    #[must_use]
    pub fn failure_charges(&self, address: IpAddr) -> Charges<'_> {
        let subject = Subject::failures(address);
        self.failures.iter().map(|quota| Charge::new(subject, quota)).collect()
    }

    /// Takes all charges or none, if the limiter can tell at once whether to; else ask [`Limits::take`].
    #[must_use]
    pub fn take_now(&self, charges: &[Charge<'_>], now: Timestamp) -> Option<Decision> {
        self.limiter.take_now(charges, self.detail(), now)
    }

    /// Says what [`Limits::take_now`] would, and takes nothing.
    #[must_use]
    pub fn peek_now(&self, charges: &[Charge<'_>], now: Timestamp) -> Option<Decision> {
        self.limiter.peek_now(charges, self.detail(), now)
    }

    /// Takes all charges or none.
    ///
    /// # Errors
    /// When the limiter could not tell.
    pub async fn take(&self, charges: &[Charge<'_>], now: Timestamp) -> Result<Decision, LimiterError> {
        self.limiter.take(charges, self.detail(), now).await
    }

    /// Says what [`Limits::take`] would, and takes nothing.
    ///
    /// # Errors
    /// When the limiter could not tell.
    pub async fn peek(&self, charges: &[Charge<'_>], now: Timestamp) -> Result<Decision, LimiterError> {
        self.limiter.peek(charges, self.detail(), now).await
    }

    /// Which header fields tell clients about limits.
    pub const fn limit_headers(&self) -> &LimitHeaders {
        &self.headers
    }

    /// The limiter that counts.
    #[must_use]
    pub const fn limiter(&self) -> &SharedRateLimiter {
        &self.limiter
    }

    /// The balances of keys that have credits.
    pub(crate) fn credits(&self) -> &CreditLedger {
        &self.credits
    }

    pub(crate) const fn counts_owners(&self) -> bool {
        !self.per_owner.is_empty()
    }

    pub(crate) const fn counts_organizations(&self) -> bool {
        !self.per_organization.is_empty()
    }

    pub(crate) const fn counts_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    fn quotas_of_client<'a>(&'a self, facts: &LimitFacts<'a>) -> &'a [Quota] {
        let plan = || facts.plan.and_then(|name| self.plans.get(name)).map(Vec::as_slice);
        let some = |quotas: &&[Quota]| !quotas.is_empty();
        facts.quotas.filter(some).or_else(|| plan().filter(some)).unwrap_or(&self.per_key)
    }

    fn detail(&self) -> Detail {
        if self.headers.lists_each() { Detail::Each } else { Detail::Closest }
    }

    fn settings(&self) -> impl Iterator<Item = (String, &[Quota])> {
        let named = [
            ("per_key", &self.per_key),
            ("per_owner", &self.per_owner),
            ("per_organization", &self.per_organization),
            ("per_address", &self.per_address),
            ("anonymous", &self.anonymous),
            ("failures", &self.failures),
        ];
        let plans = self.plans.iter().map(|(name, quotas)| (format!("plan {name:?}"), quotas.as_slice()));
        named.into_iter().map(|(name, quotas)| (name.to_owned(), quotas.as_slice())).chain(plans)
    }
}

#[cfg(test)]
mod tests;
