//! What a request takes of its limits, and what a failed attempt takes of its address's.

use std::sync::Arc;
use std::time::Duration;

use super::instruments::{KnownBy, Stage};
use super::{Attempt, Gate, Step, Verdict};
use crate::clock::Timestamp;
use crate::context::Principal;
use crate::error::{BoxError, StoreError};
use crate::instruments::Watch;
use crate::key::KeyRef;
use crate::limit::credits::{CreditState, SpendError};
use crate::limit::{Charge, Charges, Decision, LimitFacts, LimitReport, Limits, Subject};
use crate::rejection::{Rejection, RejectionReason};

/// What a limiter is called in the log.
pub(crate) const LIMITER: &str = "rate limiter";

impl Gate {
    /// Takes the permits of a request whose principal is known, then looks at its scopes, and takes its credits last, so
    /// that nobody pays for a refusal.
    pub(super) fn charge(self: &Arc<Self>, principal: Principal, attempt: Attempt) -> Step {
        let Some(limits) = &self.limits else { return self.charge_nothing(principal, attempt) };
        let taken = {
            let watch = attempt.sample.watch();
            let charges = self.charges(limits, &principal, &attempt);
            let decision = limits.take_now(&charges, attempt.at);
            if decision.is_some() {
                self.instruments.at_once(Stage::Limiter, watch);
            }
            decision.map(|decision| Taken::new(limits, &charges, &decision, &attempt))
        };
        match taken {
            Some(taken) => self.charged(principal, attempt, taken),
            None => {
                let gate = Arc::clone(self);
                Step::Wait(Box::pin(async move { gate.charge_later(principal, attempt).await }))
            }
        }
    }

    async fn charge_later(self: &Arc<Self>, principal: Principal, attempt: Attempt) -> Verdict {
        let Some(limits) = &self.limits else { return self.charge_nothing(principal, attempt).resolve().await };
        let taken = {
            let charges = self.charges(limits, &principal, &attempt);
            let answer = self.within_deadline("take permits", limits.take(&charges, attempt.at)).await;
            answer.map(|decision| Taken::new(limits, &charges, &decision, &attempt))
        };
        match taken {
            Ok(taken) => self.charged(principal, attempt, taken).resolve().await,
            Err(error) => self.charge_refused(self.unavailable(&error), &principal, &attempt, None),
        }
    }

    /// A key with limits of its own, and a layer that counts none: it is not let in as if it had none.
    fn charge_nothing(self: &Arc<Self>, principal: Principal, attempt: Attempt) -> Step {
        if let Some(key) = principal.key()
            && (!key.rate_limits.is_empty() || key.credits.is_some())
        {
            tracing::error!(
                target: "tower_api_key::config",
                key_id = key.id.as_str(),
                "the key has quotas or credits, but the layer has no limits to count them"
            );
            return Step::Done(self.refused(RejectionReason::NotConfigured, None).known_by(attempt.known_by));
        }
        self.charged(principal, attempt, Taken::default())
    }

    fn charged(self: &Arc<Self>, principal: Principal, attempt: Attempt, taken: Taken) -> Step {
        if let Some(reason) = taken.refused.or_else(|| self.judge_scopes(&principal, &attempt.ruling).err()) {
            return Step::Done(self.charge_refused(reason, &principal, &attempt, taken.report));
        }
        let report = taken.report;
        match self.spend_now(&principal, &attempt) {
            Some(spent) => Step::Done(self.paid(spent, principal, attempt, report)),
            None => {
                let gate = Arc::clone(self);
                Step::Wait(Box::pin(async move {
                    let spent = gate.spend_later(&principal, &attempt).await;
                    gate.paid(spent, principal, attempt, report)
                }))
            }
        }
    }

    fn paid(
        &self,
        spent: Result<(), RejectionReason>,
        principal: Principal,
        mut attempt: Attempt,
        report: Option<LimitReport>,
    ) -> Verdict {
        match spent {
            Err(reason) => self.charge_refused(reason, &principal, &attempt, report),
            Ok(()) => {
                let (rehash, known_by) = (attempt.rehash.take(), attempt.known_by);
                Verdict { outcome: Ok(principal), limit: report, rehash, known_by }
            }
        }
    }

    fn charge_refused(
        &self,
        reason: RejectionReason,
        principal: &Principal,
        attempt: &Attempt,
        report: Option<LimitReport>,
    ) -> Verdict {
        let rejection = Rejection::from(reason);
        let rejection = match principal.key() {
            Some(key) => rejection.with_key(key),
            None => rejection,
        };
        self.refused(rejection, report).known_by(attempt.known_by)
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
    pub(super) fn refuse(self: &Arc<Self>, why: impl Into<Rejection>, attempt: Attempt) -> Step {
        let rejection = why.into();
        match self.failures_now(&attempt, Limits::peek_now) {
            Some(peeked) => Step::Done(self.refused(rejection, peeked.shown()).known_by(attempt.known_by)),
            None => {
                let gate = Arc::clone(self);
                Step::Wait(Box::pin(async move {
                    // What is only to be shown is left out when the limiter is away.
                    let peeked = gate.peek_failures(&attempt).await.unwrap_or_default();
                    gate.refused(rejection, peeked.shown()).known_by(attempt.known_by)
                }))
            }
        }
    }

    /// Refuses what may have been a guess, and counts it against its address.
    pub(super) fn fail(self: &Arc<Self>, why: impl Into<Rejection>, attempt: Attempt) -> Step {
        let rejection = why.into();
        match self.failures_now(&attempt, Limits::take_now) {
            Some(taken) => Step::Done(self.failed(rejection, taken).known_by(attempt.known_by)),
            None => {
                let gate = Arc::clone(self);
                Step::Wait(Box::pin(async move {
                    match gate.take_failure(&attempt).await {
                        Ok(taken) => gate.failed(rejection, taken).known_by(attempt.known_by),
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
        let failed = |error: BoxError| StoreError::new(LIMITER, operation, error);
        let watch = Watch::started();
        let answer = self.timed(answer).await;
        self.instruments.waited(Stage::Limiter, watch);
        answer.map_err(|elapsed| failed(elapsed.into()))?.map_err(|error| failed(error.into()))
    }

    fn failed(&self, rejection: Rejection, taken: Taken) -> Verdict {
        self.refused(taken.refused.map_or(rejection, Rejection::from), taken.report)
    }

    fn refused(&self, why: impl Into<Rejection>, limit: Option<LimitReport>) -> Verdict {
        Verdict { outcome: Err(why.into()), limit, rehash: None, known_by: KnownBy::default() }
    }
}

impl Verdict {
    fn known_by(self, known_by: KnownBy) -> Self {
        Self { known_by, ..self }
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
            let quota = decision.charge().and_then(|index| charges.get(index)).map(|charge| charge.quota);
            let (limit, period) = quota.map_or((0, Duration::ZERO), |quota| (quota.limit(), quota.period()));
            RejectionReason::RateLimited { limit, period, retry_after }
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
