//! What a request takes of its limits, and what a failed attempt takes of its address's.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Attempt, Gate, Step, Verdict};
use crate::clock::Timestamp;
use crate::context::Principal;
use crate::error::{BoxError, StoreError};
use crate::key::KeyRef;
use crate::limit::credits::CreditRefusal;
use crate::limit::{Charge, Charges, Decision, LimitFacts, LimitReport, Limits, Subject};
use crate::rejection::{Rejection, RejectionReason};

impl Gate {
    /// Takes the permits of a request whose principal is known, then looks at its scopes, and takes its credits last, so
    /// that nobody pays for a refusal.
    pub(super) fn charge(self: &Arc<Self>, principal: Principal, attempt: Attempt) -> Step {
        let Some(limits) = &self.limits else { return Step::Done(self.charge_nothing(principal, attempt)) };
        let taken = {
            let charges = self.charges(limits, &principal, &attempt);
            limits.take_now(&charges, attempt.at).map(|decision| Taken::new(limits, &charges, &decision, &attempt))
        };
        match taken {
            Some(taken) => Step::Done(self.charged(principal, attempt, taken)),
            None => {
                let gate = Arc::clone(self);
                Step::Wait(Box::pin(async move { gate.charge_later(principal, attempt).await }))
            }
        }
    }

    async fn charge_later(&self, principal: Principal, attempt: Attempt) -> Verdict {
        let Some(limits) = &self.limits else { return self.charge_nothing(principal, attempt) };
        let taken = {
            let charges = self.charges(limits, &principal, &attempt);
            let answer = self.within_deadline("take permits", limits.take(&charges, attempt.at)).await;
            answer.map(|decision| Taken::new(limits, &charges, &decision, &attempt))
        };
        match taken {
            Ok(taken) => self.charged(principal, attempt, taken),
            Err(error) => self.refused(self.unavailable(&error), None),
        }
    }

    /// A key with limits of its own, and a layer that counts none: it is not let in as if it had none.
    fn charge_nothing(&self, principal: Principal, attempt: Attempt) -> Verdict {
        if let Some(key) = principal.key()
            && (!key.rate_limits.is_empty() || key.credits.is_some())
        {
            tracing::error!(
                target: "tower_api_key::config",
                key_id = key.id.as_str(),
                "the key has quotas or credits, but the layer has no limits to count them"
            );
            return self.refused(RejectionReason::NotConfigured, None);
        }
        self.charged(principal, attempt, Taken::default())
    }

    fn charged(&self, principal: Principal, attempt: Attempt, taken: Taken) -> Verdict {
        let reason = taken.refused.or_else(|| {
            let key = principal.key()?;
            self.judge_scopes(key, &attempt.ruling).and_then(|()| self.spend_credits(key, &attempt)).err()
        });
        match reason {
            Some(reason) => {
                let rejection = Rejection::from(reason);
                let rejection = match principal.key() {
                    Some(key) => rejection.with_key(&key.id),
                    None => rejection,
                };
                self.refused(rejection, taken.report)
            }
            None => {
                let state = taken.report.as_ref().map(|report| report.state);
                Verdict { outcome: Ok(self.context(principal, attempt, state)), limit: taken.report }
            }
        }
    }

    fn spend_credits(&self, key: &KeyRef, attempt: &Attempt) -> Result<(), RejectionReason> {
        let (Some(limits), Some(credits)) = (&self.limits, &key.credits) else { return Ok(()) };
        let cost = u64::from(self.routes.cost(&attempt.ruling));
        match limits.credits().spend(Subject::key(key.id.as_str()), credits, cost, attempt.at) {
            Ok(_) => Ok(()),
            Err(CreditRefusal::Exhausted(exhausted)) => Err(RejectionReason::UsageExceeded {
                retry_after: exhausted.refill_at.map(|refill| refill.since(attempt.at)),
            }),
            Err(refusal) => Err(self.unavailable(&StoreError::new("credit book", "spend credits", refusal))),
        }
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
            facts.client = Some(Subject::key(key.id.as_str()));
            facts.quotas = Some(&key.rate_limits);
            facts.plan = key.plan.as_deref();
            facts.owner = owner.map(|user| Subject::owner(user.as_str()));
            facts.organization = organization.map(|id| Subject::organization(id.as_str()));
        } else if let Some(user) = principal.user() {
            facts.client = Some(Subject::user(user.id.as_str()));
        }
        limits.charges(&facts)
    }

    /// Refuses what was no guess. Shows how the address's limit of failed attempts stands, and uses none of it.
    pub(super) fn refuse(self: &Arc<Self>, why: impl Into<Rejection>, attempt: Attempt) -> Step {
        let rejection = why.into();
        match self.failures_now(&attempt, Limits::peek_now) {
            Some(peeked) => Step::Done(self.refused(rejection, peeked.shown())),
            None => {
                let gate = Arc::clone(self);
                Step::Wait(Box::pin(async move {
                    // What is only to be shown is left out when the limiter is away.
                    let peeked = gate.peek_failures(&attempt).await.unwrap_or_default();
                    gate.refused(rejection, peeked.shown())
                }))
            }
        }
    }

    /// Refuses what may have been a guess, and counts it against its address.
    pub(super) fn fail(self: &Arc<Self>, reason: RejectionReason, attempt: Attempt) -> Step {
        match self.failures_now(&attempt, Limits::take_now) {
            Some(taken) => Step::Done(self.refused(taken.refused.unwrap_or(reason), taken.report)),
            None => {
                let gate = Arc::clone(self);
                Step::Wait(Box::pin(async move {
                    match gate.take_failure(&attempt).await {
                        Ok(taken) => gate.refused(taken.refused.unwrap_or(reason), taken.report),
                        Err(error) => gate.refused(gate.unavailable(&error), None),
                    }
                }))
            }
        }
    }

    /// The refusal of an address that has no failed attempts left.
    pub(super) async fn out_of_attempts(&self, attempt: &Attempt) -> Option<Verdict> {
        match self.peek_failures(attempt).await {
            Ok(Taken { refused, report }) => refused.map(|reason| self.refused(reason, report)),
            Err(error) => Some(self.refused(self.unavailable(&error), None)),
        }
    }

    /// Asks about failed attempts what the limiter knows without waiting; nothing is taken where none are counted.
    fn failures_now(
        &self,
        attempt: &Attempt,
        ask: impl Fn(&Limits, &[Charge<'_>], Timestamp) -> Option<Decision>,
    ) -> Option<Taken> {
        let Some((limits, charges)) = self.failure_charges(attempt) else { return Some(Taken::default()) };
        ask(limits, &charges, attempt.at).map(|decision| Taken::failures(limits, &charges, &decision, attempt))
    }

    async fn peek_failures(&self, attempt: &Attempt) -> Result<Taken, StoreError> {
        if let Some(peeked) = self.failures_now(attempt, Limits::peek_now) {
            return Ok(peeked);
        }
        let Some((limits, charges)) = self.failure_charges(attempt) else { return Ok(Taken::default()) };
        let answer = limits.peek(&charges, attempt.at);
        let decision = self.within_deadline("look at failed attempts", answer).await?;
        Ok(Taken::failures(limits, &charges, &decision, attempt))
    }

    async fn take_failure(&self, attempt: &Attempt) -> Result<Taken, StoreError> {
        let Some((limits, charges)) = self.failure_charges(attempt) else { return Ok(Taken::default()) };
        let answer = limits.take(&charges, attempt.at);
        let decision = self.within_deadline("count a failed attempt", answer).await?;
        Ok(Taken::failures(limits, &charges, &decision, attempt))
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
        let failed = |error: BoxError| StoreError::new("rate limiter", operation, error);
        self.timed(answer).await.map_err(|elapsed| failed(elapsed.into()))?.map_err(|error| failed(error.into()))
    }

    fn refused(&self, why: impl Into<Rejection>, limit: Option<LimitReport>) -> Verdict {
        Verdict { outcome: Err(why.into()), limit }
    }
}

/// What came of asking the limiter.
#[derive(Default)]
struct Taken {
    refused: Option<RejectionReason>,
    report: Option<LimitReport>,
}

impl Taken {
    /// Of a request.
    fn new(limits: &Limits, charges: &Charges<'_>, decision: &Decision, attempt: &Attempt) -> Self {
        let refused = decision.retry_after().map(|retry_after| {
            let quota = decision.charge().and_then(|index| charges.get(index)).map(|charge| charge.quota.to_string());
            RejectionReason::RateLimited { limit: quota.map_or(Cow::Borrowed(""), Cow::Owned), retry_after }
        });
        Self { refused, report: limits.limit_headers().report(charges, decision, attempt.at) }
    }

    /// Of a failed attempt.
    fn failures(limits: &Limits, charges: &Charges<'_>, decision: &Decision, attempt: &Attempt) -> Self {
        let refused = decision.retry_after().map(|retry_after| RejectionReason::TooManyFailures { retry_after });
        Self { refused, report: limits.limit_headers().report(charges, decision, attempt.at) }
    }

    /// How a limit stands that was only looked at: it tells nobody to wait.
    fn shown(self) -> Option<LimitReport> {
        self.report.map(LimitReport::without_wait)
    }
}
