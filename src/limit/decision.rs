//! What a limiter answers: [`Decision`], and the [`LimitState`] of each limit.

use std::time::Duration;

use crate::clock::Timestamp;

/// Whether a request is within its limits, and how the limit that matters most stands.
///
/// That limit is the one with the least remaining in proportion; of a refusal, the violated one with the longest wait.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    closest: Option<(usize, LimitState)>,
    each: Option<Box<[LimitState]>>,
}

/// How one limit stands after a decision.
///
/// `limit`, `remaining` and `reset` describe what is left now: after an admitted request's permits were taken, and as
/// before when nothing was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitState {
    /// How many permits can be taken at once: [`Quota::capacity`](super::Quota::capacity).
    pub limit: u32,
    /// How many of them are left.
    pub remaining: u32,
    /// When the window ends (fixed window), or when all permits are back (sliding window, GCRA).
    pub reset: Timestamp,
    /// Whether this charge could be met.
    pub verdict: Verdict,
}

/// Whether a charge could be met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Enough permits were left.
    Admitted,
    /// Enough permits will be there after this wait, if nobody else takes them.
    Refused {
        /// From the instant of the decision.
        wait: Duration,
    },
    /// The cost is above what the quota can ever hold, or the quota is invalid: a mistake of configuration.
    Never {
        /// How long the quota takes to be full again. Waiting for it does not help.
        window: Duration,
    },
}

/// How much a limiter shall report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Detail {
    /// The limit that matters most. Needs no allocation.
    #[default]
    Closest,
    /// Every limit, in the order of the charges, which [`Decision::each`] then returns.
    Each,
}

impl Decision {
    /// The decision on a request without limits.
    pub const UNLIMITED: Self = Self { closest: None, each: None };

    /// From how each charge's limit stands, in the order of the charges. For those who write a limiter.
    ///
    /// The request is admitted if all of its charges are.
    pub fn from_states(states: impl IntoIterator<Item = LimitState>, detail: Detail) -> Self {
        match detail {
            Detail::Closest => Self { closest: closest(states), each: None },
            Detail::Each => {
                let each: Box<[LimitState]> = states.into_iter().collect();
                Self { closest: closest(each.iter().copied()), each: Some(each) }
            }
        }
    }

    /// Whether the request may go on.
    pub fn is_admitted(&self) -> bool {
        self.closest.is_none_or(|(_, state)| state.verdict == Verdict::Admitted)
    }

    /// How the limit that matters most stands; none if there is no limit.
    pub fn state(&self) -> Option<&LimitState> {
        self.closest.as_ref().map(|(_, state)| state)
    }

    /// Which of the charges [`Decision::state`] is about. On a refusal, the one to name to the client.
    pub fn charge(&self) -> Option<usize> {
        self.closest.map(|(index, _)| index)
    }

    /// How each limit stands, in the order of the charges, if that was [asked for](Detail::Each).
    pub fn each(&self) -> Option<&[LimitState]> {
        self.each.as_deref()
    }

    /// How long a refused request has to wait; none if it was admitted.
    ///
    /// For a cost that can never be met it is the time that the quota takes to be full again: clients must be told
    /// something, and this keeps them from hurrying.
    pub fn retry_after(&self) -> Option<Duration> {
        self.state().and_then(|state| state.verdict.wait())
    }

    /// [`Decision::retry_after`] in whole seconds, rounded up, at least 1.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.state().and_then(LimitState::retry_after_seconds)
    }
}

impl LimitState {
    pub(crate) fn retry_after_seconds(&self) -> Option<u64> {
        self.verdict.wait().map(|wait| whole_seconds(wait).max(1))
    }
}

impl Verdict {
    fn wait(self) -> Option<Duration> {
        match self {
            Self::Admitted => None,
            Self::Refused { wait } => Some(wait),
            Self::Never { window } => Some(window),
        }
    }

    /// Orders verdicts by how long they make a client wait.
    fn severity(self) -> (u8, Duration) {
        match self {
            Self::Admitted => (0, Duration::ZERO),
            Self::Refused { wait } => (1, wait),
            Self::Never { window } => (2, window),
        }
    }
}

/// A time in whole seconds, rounded up.
pub(crate) fn whole_seconds(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn closest(states: impl IntoIterator<Item = LimitState>) -> Option<(usize, LimitState)> {
    states.into_iter().enumerate().reduce(
        |first, second| {
            if matters_more(&second.1, &first.1) { second } else { first }
        },
    )
}

/// Whether a client has to mind `state` more: a longer wait, else less remaining in proportion.
pub(crate) fn matters_more(state: &LimitState, than: &LimitState) -> bool {
    let (mine, other) = (state.verdict.severity(), than.verdict.severity());
    if mine != other {
        return mine > other;
    }
    // remaining / limit, compared without dividing.
    let mine = u64::from(state.remaining) * u64::from(than.limit);
    let other = u64::from(than.remaining) * u64::from(state.limit);
    (mine, state.remaining) < (other, than.remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(limit: u32, remaining: u32, verdict: Verdict) -> LimitState {
        LimitState { limit, remaining, reset: Timestamp::UNIX_EPOCH, verdict }
    }

    const WAIT: Verdict = Verdict::Refused { wait: Duration::from_millis(1_001) };
    const LONGER: Verdict = Verdict::Refused { wait: Duration::from_secs(9) };
    const NEVER: Verdict = Verdict::Never { window: Duration::from_secs(1) };

    #[test]
    fn the_limit_with_the_least_remaining_in_proportion_is_reported() {
        let ok = Verdict::Admitted;
        let decision =
            Decision::from_states([state(10, 5, ok), state(1_000, 100, ok), state(5, 1, ok)], Detail::Closest);
        assert!(decision.is_admitted());
        assert_eq!(decision.charge(), Some(1));
        assert_eq!(decision.retry_after_seconds(), None);
        let tied = Decision::from_states([state(10, 0, ok), state(1_000, 0, ok)], Detail::Closest);
        assert_eq!(tied.charge(), Some(0));
    }

    #[test]
    fn of_a_refusal_the_violated_limit_with_the_longest_wait_is_reported() {
        let states = [state(9, 0, Verdict::Admitted), state(9, 3, WAIT), state(9, 4, LONGER)];
        let decision = Decision::from_states(states, Detail::Each);
        assert!(!decision.is_admitted());
        assert_eq!(decision.charge(), Some(2));
        assert_eq!(decision.retry_after_seconds(), Some(9));
        assert_eq!(decision.each(), Some(&states[..]));
        let never = Decision::from_states([state(9, 4, LONGER), state(9, 9, NEVER)], Detail::Closest);
        assert_eq!((never.charge(), never.each()), (Some(1), None));
    }

    #[test]
    fn a_wait_is_rounded_up_to_whole_seconds_and_is_at_least_one() {
        let seconds = |verdict| Decision::from_states([state(9, 0, verdict)], Detail::Closest).retry_after_seconds();
        assert_eq!(seconds(WAIT), Some(2));
        assert_eq!(seconds(Verdict::Refused { wait: Duration::from_secs(2) }), Some(2));
        assert_eq!(seconds(Verdict::Refused { wait: Duration::ZERO }), Some(1));
        assert_eq!(seconds(NEVER), Some(1));
    }

    #[test]
    fn without_a_limit_everything_is_admitted() {
        assert!(Decision::UNLIMITED.is_admitted());
        assert!(Decision::from_states([], Detail::Closest).state().is_none());
    }
}
