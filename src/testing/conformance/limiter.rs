//! Rules for rate limiters.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use super::must;
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::limit::{Algorithm, Charge, Decision, Detail, LimitState, Quota, RateLimiter, Subject, Verdict};

/// Which clock a limiter goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimiterClock {
    /// What it is told by its callers. The rules then need no time of their own.
    Given,
    /// Its own. The rules then wait for real, a second or two in all, and tell it the time of this process.
    Own,
}

/// All rules for a limiter. `make` makes one each time, in which nothing has been counted yet. Has to run within a Tokio
/// runtime.
///
/// ```
/// # tokio_test::block_on(async {
/// use tower_api_key::limit::MemoryRateLimiter;
/// use tower_api_key::testing::conformance::{self, LimiterClock};
///
/// conformance::rate_limiter(LimiterClock::Given, async || MemoryRateLimiter::new()).await;
/// # });
/// ```
///
/// # Panics
/// When a rule is broken.
pub async fn rate_limiter<L: RateLimiter>(clock: LimiterClock, make: impl AsyncFn() -> L) {
    let make = &make;
    as_many_are_admitted_as_the_quota_says(clock, make).await;
    however_many_ask_at_once_no_more_are_admitted(clock, make).await;
    several_charges_are_taken_together_or_not_at_all(clock, make).await;
    charges_on_one_counter_add_up(clock, make).await;
    subjects_and_quotas_are_counted_apart(clock, make).await;
    a_look_takes_nothing(clock, make).await;
    what_can_never_be_met_is_never_admitted(clock, make).await;
    each_limit_is_reported_in_order(clock, make).await;
    a_changed_limit_reaches_what_was_counted(clock, make).await;
    who_waits_as_told_is_admitted(clock, make).await;
    all_permits_are_back_at_the_reset(clock, make).await;
}

/// The limit is admitted under each algorithm, with what is left told at each step, and then nothing is.
///
/// # Panics
/// When the rule is broken.
pub async fn as_many_are_admitted_as_the_quota_says<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    for quota in algorithms(Quota::per_day(5)) {
        let stand = Stand::new(clock, make).await;
        let charge = Charge::new(Subject::key("k"), &quota);
        for left in [4, 3, 2, 1, 0] {
            let state = admitted(&stand.take(&[charge]).await);
            assert_eq!((state.limit, state.remaining), (5, left), "{quota}");
            assert!(state.reset > stand.now(), "{quota}: permits that were taken are back in the future");
        }
        for _ in 0..3 {
            let decision = stand.take(&[charge]).await;
            let state = refused(&decision);
            assert_eq!((state.limit, state.remaining), (5, 0), "{quota}");
            assert!(decision.retry_after_seconds().is_some_and(|wait| wait <= 86_400), "{quota}: {decision:?}");
        }
    }
    let stand = Stand::new(clock, make).await;
    let burst = Quota::per_day(100).algorithm(Algorithm::Gcra).burst(3);
    for cost in [2, 1] {
        let _ = admitted(&stand.take(&[Charge::new(Subject::key("k"), &burst).cost(cost)]).await);
    }
    let _ = refused(&stand.take(&[Charge::new(Subject::key("k"), &burst)]).await);
}

/// Of many calls that run at once, as many are admitted as the quota says.
///
/// # Panics
/// When the rule is broken.
pub async fn however_many_ask_at_once_no_more_are_admitted<L: RateLimiter>(
    clock: LimiterClock,
    make: &impl AsyncFn() -> L,
) {
    for quota in algorithms(Quota::per_day(50)) {
        let stand = Arc::new(Stand::new(clock, make).await);
        let mut calls = JoinSet::new();
        for _ in 0..200 {
            let (stand, quota) = (Arc::clone(&stand), quota.clone());
            calls.spawn(async move { stand.take(&[Charge::new(Subject::key("k"), &quota)]).await.is_admitted() });
        }
        let admitted = calls.join_all().await.into_iter().filter(|admitted| *admitted).count();
        assert_eq!(admitted, 50, "{quota}");
    }
}

/// A request that one limit refuses takes nothing of the others.
///
/// # Panics
/// When the rule is broken.
pub async fn several_charges_are_taken_together_or_not_at_all<L: RateLimiter>(
    clock: LimiterClock,
    make: &impl AsyncFn() -> L,
) {
    let stand = Stand::new(clock, make).await;
    let wide = algorithms(Quota::per_day(100));
    let narrow = Quota::per_hour(2);
    let subjects = [Subject::key("k"), Subject::owner("o"), Subject::address([192, 0, 2, 1].into())];
    let mut charges: Vec<_> = subjects.into_iter().zip(&wide).map(|(who, quota)| Charge::new(who, quota)).collect();
    charges.insert(1, Charge::new(Subject::key("k"), &narrow));
    for _ in 0..2 {
        let _ = admitted(&stand.take(&charges).await);
    }
    for _ in 0..5 {
        let decision = stand.take(&charges).await;
        assert!(!decision.is_admitted());
        assert_eq!(decision.charge(), Some(1), "the limit that refuses is the one reported");
    }
    for charge in [&charges[0], &charges[2], &charges[3]] {
        let state = admitted(&stand.peek(&[*charge]).await);
        assert_eq!(state.remaining, 98, "{}: a refused request has taken nothing", charge.quota);
    }
}

/// Of several charges on one counter, each leaves room for the others.
///
/// # Panics
/// When the rule is broken.
pub async fn charges_on_one_counter_add_up<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    for quota in algorithms(Quota::per_day(10)) {
        let stand = Stand::new(clock, make).await;
        let charge = Charge::new(Subject::key("k"), &quota).cost(4);
        let state = admitted(&stand.take(&[charge, charge]).await);
        assert_eq!(state.remaining, 2, "{quota}");
        let one = Charge::new(Subject::key("k"), &quota);
        assert!(!stand.take(&[one, one, one]).await.is_admitted(), "{quota}");
        assert_eq!(admitted(&stand.peek(&[one]).await).remaining, 2, "{quota}");
        assert_eq!(admitted(&stand.take(&[one, one]).await).remaining, 0, "{quota}");
    }
}

/// Kinds of subjects, subjects, and quotas of other names, periods and algorithms are counted apart.
///
/// # Panics
/// When the rule is broken.
pub async fn subjects_and_quotas_are_counted_apart<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    let stand = Stand::new(clock, make).await;
    let one = Quota::per_day(1);
    let address = [192, 0, 2, 1].into();
    let route = Subject::route("/a");
    let subjects = [
        Subject::key("a"),
        Subject::key("b"),
        Subject::owner("a"),
        Subject::user("a"),
        Subject::organization("a"),
        Subject::route("a"),
        Subject::key("a").on(route),
        Subject::address(address),
        Subject::failures(address),
        Subject::anonymous(address),
        Subject::address(address).on(route),
    ];
    for subject in subjects {
        let _ = admitted(&stand.take(&[Charge::new(subject, &one)]).await);
        let _ = refused(&stand.take(&[Charge::new(subject, &one)]).await);
    }
    let [_, sliding, gcra] = algorithms(one.clone());
    for other in [sliding, gcra, Quota::per_hour(1), one.named("other")] {
        let _ = admitted(&stand.take(&[Charge::new(Subject::key("a"), &other)]).await);
    }
}

/// A look says what a call would, and takes nothing; neither does a charge of no permits.
///
/// # Panics
/// When the rule is broken.
pub async fn a_look_takes_nothing<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    for quota in algorithms(Quota::per_day(2)) {
        let stand = Stand::new(clock, make).await;
        let charge = Charge::new(Subject::key("k"), &quota);
        for _ in 0..3 {
            assert_eq!(admitted(&stand.peek(&[charge]).await).remaining, 2, "{quota}");
            assert_eq!(admitted(&stand.take(&[charge.cost(0)]).await).remaining, 2, "{quota}");
        }
        assert!(!stand.peek(&[charge, charge.cost(2)]).await.is_admitted(), "{quota}");
        let _ = admitted(&stand.take(&[charge.cost(2)]).await);
        let _ = refused(&stand.peek(&[charge]).await);
        assert_eq!(admitted(&stand.take(&[charge.cost(0)]).await).remaining, 0, "{quota}");
    }
}

/// A cost above the capacity and a quota with a mistake in it are refused for ever, with all that is charged beside them;
/// an unlimited quota refuses nothing.
///
/// # Panics
/// When the rule is broken.
pub async fn what_can_never_be_met_is_never_admitted<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    static UNLIMITED: Quota = Quota::UNLIMITED;
    for quota in algorithms(Quota::per_day(3)) {
        let stand = Stand::new(clock, make).await;
        let charge = Charge::new(Subject::key("k"), &quota);
        let mistaken = [Quota::per_day(0), Quota::new(1, Duration::ZERO)];
        for never in [charge.cost(4), charge.cost(u32::MAX)] {
            assert_never(&stand.take(&[never]).await);
        }
        for never in mistaken.iter().map(|quota| Charge::new(Subject::key("k"), quota)) {
            assert_never(&stand.take(&[charge, never]).await);
            assert_never(&stand.peek(&[never, charge]).await);
        }
        let unlimited = Charge::new(Subject::key("k"), &UNLIMITED).cost(u32::MAX);
        assert!(stand.take(&[unlimited]).await.is_admitted());
        assert_eq!(admitted(&stand.take(&[unlimited, charge]).await).remaining, 2, "{quota}");
    }
    let stand = Stand::new(clock, make).await;
    assert!(stand.take(&[]).await.is_admitted(), "without a limit everything is admitted");
}

/// Every limit is reported if that is asked for, in the order of the charges.
///
/// # Panics
/// When the rule is broken.
pub async fn each_limit_is_reported_in_order<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    let stand = Stand::new(clock, make).await;
    let quotas = [Quota::per_day(30), Quota::per_hour(10).algorithm(Algorithm::Gcra), Quota::per_minute(20)];
    let charges = quotas.each_ref().map(|quota| Charge::new(Subject::key("k"), quota).cost(3));
    let decision = must(stand.limiter.take(&charges, Detail::Each, stand.now()).await);
    let told = decision.each().unwrap_or_default().iter().map(|state| (state.limit, state.remaining));
    assert_eq!(told.collect::<Vec<_>>(), [(30, 27), (10, 7), (20, 17)]);
    assert_eq!(decision.charge(), Some(1), "the limit with the least left in proportion");
    assert!(stand.take(&charges).await.each().is_none(), "not asked for");
}

/// Another limit of the same name and period counts what has been taken under the one before.
///
/// # Panics
/// When the rule is broken.
pub async fn a_changed_limit_reaches_what_was_counted<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    for (wide, narrow) in algorithms(Quota::per_day(10)).iter().zip(&algorithms(Quota::per_day(4))) {
        let stand = Stand::new(clock, make).await;
        let charge = |quota| Charge::new(Subject::key("k"), quota);
        assert_eq!(admitted(&stand.take(&[charge(wide).cost(5)]).await).remaining, 5);
        // GCRA counts time, not permits: half of what was taken under twice the limit.
        if narrow.counting() != Algorithm::Gcra {
            assert_eq!(refused(&stand.take(&[charge(narrow)]).await).remaining, 0);
        }
        assert_eq!(admitted(&stand.take(&[charge(wide)]).await).remaining, 4);
    }
}

/// Whoever waits as long as it was told, and is alone, is admitted.
///
/// # Panics
/// When the rule is broken.
pub async fn who_waits_as_told_is_admitted<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    for quota in algorithms(Quota::new(3, Duration::from_millis(400))) {
        let stand = Stand::new(clock, make).await;
        let charge = Charge::new(Subject::key("k"), &quota);
        let wait = stand.exhaust(charge).await;
        stand.pass(wait).await;
        let _ = admitted(&stand.take(&[charge]).await);
    }
}

/// At the instant at which all permits are said to be back, they are.
///
/// # Panics
/// When the rule is broken.
pub async fn all_permits_are_back_at_the_reset<L: RateLimiter>(clock: LimiterClock, make: &impl AsyncFn() -> L) {
    for quota in algorithms(Quota::new(3, Duration::from_millis(400))) {
        let stand = Stand::new(clock, make).await;
        let charge = Charge::new(Subject::key("k"), &quota);
        let _ = stand.exhaust(charge).await;
        let asked = stand.now();
        let decision = stand.peek(&[charge]).await;
        let reset = decision.state().unwrap_or_else(|| panic!("{quota}: nothing is told")).reset;
        stand.pass(reset.since(asked)).await;
        assert_eq!(admitted(&stand.peek(&[charge]).await).remaining, 3, "{quota}");
    }
}

/// A limiter under test, and the time.
struct Stand<L> {
    limiter: L,
    clock: LimiterClock,
    /// Microseconds that have passed, where time is given.
    passed: AtomicU64,
}

impl<L: RateLimiter> Stand<L> {
    async fn new(clock: LimiterClock, make: &impl AsyncFn() -> L) -> Self {
        Self { limiter: make().await, clock, passed: AtomicU64::new(0) }
    }

    fn now(&self) -> Timestamp {
        match self.clock {
            LimiterClock::Given => Timestamp::from_unix_seconds(1_768_413_600)
                .saturating_add(Duration::from_micros(self.passed.load(Ordering::SeqCst))),
            LimiterClock::Own => SystemClock.now(),
        }
    }

    async fn pass(&self, time: Duration) {
        match self.clock {
            LimiterClock::Given => {
                self.passed.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
            }
            // A timer may be early by what it cannot tell apart.
            LimiterClock::Own => tokio::time::sleep(time + Duration::from_millis(2)).await,
        }
    }

    /// Asks as the layer does: what is known at once first.
    async fn take(&self, charges: &[Charge<'_>]) -> Decision {
        let now = self.now();
        match self.limiter.take_now(charges, Detail::Closest, now) {
            Some(decision) => decision,
            None => must(self.limiter.take(charges, Detail::Closest, now).await),
        }
    }

    async fn peek(&self, charges: &[Charge<'_>]) -> Decision {
        let now = self.now();
        match self.limiter.peek_now(charges, Detail::Closest, now) {
            Some(decision) => decision,
            None => must(self.limiter.peek(charges, Detail::Closest, now).await),
        }
    }

    /// Takes until it is refused, and returns how long to wait.
    async fn exhaust(&self, charge: Charge<'_>) -> Duration {
        for _ in 0..10_000 {
            if let Some(wait) = self.take(&[charge]).await.retry_after() {
                return wait;
            }
        }
        panic!("{}: 10,000 permits of it were admitted in a row", charge.quota)
    }
}

/// A quota under each algorithm.
fn algorithms(quota: Quota) -> [Quota; 3] {
    [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Gcra]
        .map(|algorithm| quota.clone().algorithm(algorithm))
}

fn admitted(decision: &Decision) -> LimitState {
    assert!(decision.is_admitted(), "refused, though there are permits: {decision:?}");
    *decision.state().unwrap_or_else(|| panic!("how the limit stands is not told: {decision:?}"))
}

fn refused(decision: &Decision) -> LimitState {
    assert!(!decision.is_admitted(), "admitted, though the permits are used up: {decision:?}");
    let state = *decision.state().unwrap_or_else(|| panic!("how the limit stands is not told: {decision:?}"));
    assert!(matches!(state.verdict, Verdict::Refused { .. }), "waiting helps: {decision:?}");
    state
}

fn assert_never(decision: &Decision) {
    let verdict = decision.state().map(|state| state.verdict);
    assert!(matches!(verdict, Some(Verdict::Never { .. })), "waiting does not help: {decision:?}");
}
