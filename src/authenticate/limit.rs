//! What a request takes of its limits, and what a failed attempt takes of its address's.

use std::sync::Arc;
use std::time::Duration;

use super::instruments::{KnownBy, Stage};
use super::{Attempt, Gate, Outcome, Step, Verdict};
use crate::clock::Timestamp;
use crate::context::Principal;
use crate::error::{BoxError, StoreError};
use crate::instruments::Watch;
use crate::key::KeyRef;
use crate::limit::credits::{CreditState, SpendError};
use crate::limit::{Charge, Charges, Decision, LimitFacts, Limits, Subject};
use crate::rejection::{Rejection, RejectionReason};

/// What a limiter is called in the log.
pub(crate) const LIMITER: &str = "rate limiter";

impl Gate {
    /// Takes the permits of a request whose principal is known, then looks at its scopes, and takes its credits last, so
    /// that nobody pays for a refusal.
    pub(super) fn charge(self: &Arc<Self>, principal: Principal, attempt: &mut Attempt) -> Step {
        let Some(limits) = &self.limits else { return self.charge_nothing(principal, attempt) };
        let watch = attempt.sample.watch();
        let charges = self.charges(limits, &principal, attempt);
        let Some(decision) = limits.take_now(&charges, attempt.at) else {
            drop(charges);
            let (gate, attempt) = (Arc::clone(self), attempt.take());
            return Step::Wait(Box::pin(async move { gate.charge_later(principal, attempt).await }));
        };
        self.instruments.at_once(Stage::Limiter, watch);
        let refused = attempt.limited(limits, &charges, &decision);
        drop(charges);
        self.charged(principal, refused, attempt)
    }

    async fn charge_later(self: &Arc<Self>, principal: Principal, mut attempt: Attempt) -> Verdict {
        let Some(limits) = &self.limits else {
            return self.charge_nothing(principal, &mut attempt).resolve(attempt).await;
        };
        let taken = {
            let charges = self.charges(limits, &principal, &attempt);
            let answer = self.within_deadline("take permits", limits.take(&charges, attempt.at)).await;
            answer.map(|decision| attempt.limited(limits, &charges, &decision))
        };
        let step = match taken {
            Ok(refused) => self.charged(principal, refused, &mut attempt),
            Err(error) => Step::Done(Err(refused(self.unavailable(&error), &principal))),
        };
        step.resolve(attempt).await
    }

    /// A key with limits of its own, and a layer that counts none: it is not let in as if it had none.
    fn charge_nothing(self: &Arc<Self>, principal: Principal, attempt: &mut Attempt) -> Step {
        if let Some(key) = principal.key()
            && (!key.rate_limits.is_empty() || key.credits.is_some())
        {
            tracing::error!(
                target: "tower_api_key::config",
                key_id = key.id.as_str(),
                "the key has quotas or credits, but the layer has no limits to count them"
            );
            return Step::Done(Err(RejectionReason::NotConfigured.into()));
        }
        self.charged(principal, None, attempt)
    }

    fn charged(
        self: &Arc<Self>,
        principal: Principal,
        limited: Option<RejectionReason>,
        attempt: &mut Attempt,
    ) -> Step {
        if let Some(reason) = limited.or_else(|| self.judge_scopes(&principal, &attempt.ruling).err()) {
            return Step::Done(Err(refused(reason, &principal)));
        }
        match self.spend_now(&principal, attempt) {
            Some(spent) => Step::Done(paid(spent, principal)),
            None => {
                let (gate, attempt) = (Arc::clone(self), attempt.take());
                Step::Wait(Box::pin(async move {
                    let spent = gate.spend_later(&principal, &attempt).await;
                    Verdict { outcome: paid(spent, principal), attempt }
                }))
            }
        }
    }

    /// Spends credits, if the key has some and they are spent in memory.
    fn spend_now(&self, principal: &Principal, attempt: &Attempt) -> Option<Result<(), RejectionReason>> {
        let Some((limits, key, credits)) = self.credits(principal) else { return Some(Ok(())) };
        let cost = u64::from(self.routes.cost(&attempt.ruling));
        let watch = attempt.sample.watch();
        let spent = limits.credits().spend_now(key.subject(), credits, cost, attempt.at)?;
        self.instruments.at_once(Stage::Credits, watch);
        Some(self.spent(spent, attempt))
    }

    async fn spend_later(&self, principal: &Principal, attempt: &Attempt) -> Result<(), RejectionReason> {
        let Some((limits, key, credits)) = self.credits(principal) else { return Ok(()) };
        let cost = u64::from(self.routes.cost(&attempt.ruling));
        let spending = limits.credits().spend(key.subject(), credits, cost, attempt.at);
        let watch = Watch::started();
        let answer = self.timed(spending).await;
        self.instruments.waited(Stage::Credits, watch);
        let spent = answer.unwrap_or_else(|elapsed| Err(SpendError::unavailable(elapsed)));
        self.spent(spent, attempt)
    }

    fn spent(&self, spent: Result<CreditState, SpendError>, attempt: &Attempt) -> Result<(), RejectionReason> {
        spent.map(drop).map_err(|error| match error {
            SpendError::Exhausted(exhausted) => RejectionReason::UsageExceeded {
                retry_after: exhausted.refill_at.map(|refill| refill.since(attempt.at)),
            },
            SpendError::Unavailable(error) => self.unavailable(&error),
        })
    }

    fn credits<'a>(&'a self, principal: &'a Principal) -> Option<(&'a Limits, &'a KeyRef, &'a CreditState)> {
        let key = principal.key()?;
        Some((self.limits.as_ref()?, key, key.credits.as_ref()?))
    }

    fn charges<'a>(&'a self, limits: &'a Limits, principal: &'a Principal, attempt: &Attempt) -> Charges<'a> {
        let mut facts = LimitFacts {
            address: attempt.client.address(),
            route: self.routes.quotas(&attempt.ruling),
            cost: self.routes.cost(&attempt.ruling),
            ..LimitFacts::default()
        };
        if let Some(key) = principal.key() {
            let owner = key.owner.user.as_ref().filter(|_| limits.counts_owners());
            let organization = key.owner.organization.as_ref().filter(|_| limits.counts_organizations());
            facts.client = Some(key.subject());
            facts.quotas = Some(&key.rate_limits);
            facts.plan = key.plan.as_deref();
            facts.owner = owner.map(|user| Subject::owner(user.as_str()));
            facts.organization = organization.map(|id| Subject::organization(id.as_str()));
        } else if let Some(session) = principal.session() {
            let organization = session.organization.as_ref().filter(|_| limits.counts_organizations());
            facts.client = Some(Subject::user(session.user.id.as_str()));
            facts.organization = organization.map(|id| Subject::organization(id.as_str()));
        }
        limits.charges(&facts)
    }

    /// Refuses what was no guess. Shows how the address's limit of failed attempts stands, and uses none of it.
    pub(super) fn refuse(self: &Arc<Self>, why: impl Into<Rejection>, attempt: &mut Attempt) -> Step {
        let rejection = why.into();
        if self.failures_now(attempt, Limits::peek_now).is_some() {
            attempt.tell_no_wait();
            return Step::Done(Err(rejection));
        }
        let (gate, mut attempt) = (Arc::clone(self), attempt.take());
        Step::Wait(Box::pin(async move {
            // What is only to be shown is left out when the limiter is away.
            let _ = gate.peek_failures(&mut attempt).await;
            attempt.tell_no_wait();
            Verdict { outcome: Err(rejection), attempt }
        }))
    }

    /// Refuses what may have been a guess, and counts it against its address.
    pub(super) fn fail(self: &Arc<Self>, why: impl Into<Rejection>, attempt: &mut Attempt) -> Step {
        let rejection = why.into();
        if let Some(refused) = self.failures_now(attempt, Limits::take_now) {
            return Step::Done(Err(refused.map_or(rejection, Rejection::from)));
        }
        let (gate, mut attempt) = (Arc::clone(self), attempt.take());
        Step::Wait(Box::pin(async move {
            let rejection = match gate.take_failure(&mut attempt).await {
                Ok(refused) => refused.map_or(rejection, Rejection::from),
                Err(error) => {
                    attempt.known_by = KnownBy::default();
                    gate.unavailable(&error).into()
                }
            };
            Verdict { outcome: Err(rejection), attempt }
        }))
    }

    /// The refusal of an address that has no failed attempts left.
    pub(super) async fn out_of_attempts(&self, attempt: &mut Attempt) -> Option<Rejection> {
        match self.peek_failures(attempt).await {
            Ok(None) => {
                attempt.limit = None;
                None
            }
            Ok(Some(reason)) => Some(reason.into()),
            Err(error) => Some(self.unavailable(&error).into()),
        }
    }

    /// Asks about failed attempts what the limiter knows without waiting; nothing is taken where none are counted.
    fn failures_now(
        &self,
        attempt: &mut Attempt,
        ask: impl Fn(&Limits, &[Charge<'_>], Timestamp) -> Option<Decision>,
    ) -> Option<Option<RejectionReason>> {
        let Some((limits, charges)) = self.failure_charges(attempt) else { return Some(None) };
        ask(limits, &charges, attempt.at).map(|decision| attempt.failed(limits, &charges, &decision))
    }

    async fn peek_failures(&self, attempt: &mut Attempt) -> Result<Option<RejectionReason>, StoreError> {
        if let Some(peeked) = self.failures_now(attempt, Limits::peek_now) {
            return Ok(peeked);
        }
        let Some((limits, charges)) = self.failure_charges(attempt) else { return Ok(None) };
        let answer = limits.peek(&charges, attempt.at);
        let decision = self.within_deadline("look at failed attempts", answer).await?;
        Ok(attempt.failed(limits, &charges, &decision))
    }

    async fn take_failure(&self, attempt: &mut Attempt) -> Result<Option<RejectionReason>, StoreError> {
        let Some((limits, charges)) = self.failure_charges(attempt) else { return Ok(None) };
        let answer = limits.take(&charges, attempt.at);
        let decision = self.within_deadline("count a failed attempt", answer).await?;
        Ok(attempt.failed(limits, &charges, &decision))
    }

    fn failure_charges(&self, attempt: &Attempt) -> Option<(&Limits, Charges<'_>)> {
        let limits = self.limits.as_ref().filter(|limits| limits.counts_failures())?;
        Some((limits, limits.failure_charges(attempt.client.address()?)))
    }

    async fn within_deadline<E: Into<BoxError>>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<Decision, E>>,
    ) -> Result<Decision, StoreError> {
        let failed = |error: BoxError| StoreError::new(LIMITER, operation, error);
        let watch = Watch::started();
        let answer = self.timed(answer).await;
        self.instruments.waited(Stage::Limiter, watch);
        answer.map_err(|elapsed| failed(elapsed.into()))?.map_err(|error| failed(error.into()))
    }
}

impl Attempt {
    /// Keeps what the limiter said of a request, and says why it is refused, if it is.
    fn limited(&mut self, limits: &Limits, charges: &Charges<'_>, decision: &Decision) -> Option<RejectionReason> {
        self.limit = limits.limit_headers().report(charges, decision, self.at);
        let retry_after = decision.retry_after()?;
        let quota = decision.charge().and_then(|index| charges.get(index)).map(|charge| charge.quota);
        let (limit, period) = quota.map_or((0, Duration::ZERO), |quota| (quota.limit(), quota.period()));
        Some(RejectionReason::RateLimited { limit, period, retry_after })
    }

    /// Keeps what the limiter said of a failed attempt, and says why it is refused, if it is.
    fn failed(&mut self, limits: &Limits, charges: &Charges<'_>, decision: &Decision) -> Option<RejectionReason> {
        self.limit = limits.limit_headers().report(charges, decision, self.at);
        decision.retry_after().map(|retry_after| RejectionReason::TooManyFailures { retry_after })
    }

    /// A limit was only looked at: it tells nobody to wait.
    fn tell_no_wait(&mut self) {
        if let Some(report) = &mut self.limit {
            report.tell_no_wait();
        }
    }
}

fn paid(spent: Result<(), RejectionReason>, principal: Principal) -> Outcome {
    match spent {
        Ok(()) => Ok(principal),
        Err(reason) => Err(refused(reason, &principal)),
    }
}

/// The refusal of somebody who is known.
fn refused(reason: RejectionReason, principal: &Principal) -> Rejection {
    let rejection = Rejection::from(reason);
    match principal.key() {
        Some(key) => rejection.with_key(key),
        None => rejection,
    }
}
