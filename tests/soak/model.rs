//! What should be, in the simplest words: which keys are good, and how much of each limit is used.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use tower_api_key::clock::Timestamp;
use tower_api_key::key::KeyId;

pub(crate) const OK: &str = "OK";
pub(crate) const UNAVAILABLE: &str = "AUTH_UNAVAILABLE";
pub(crate) const LIMITED: &str = "RATE_LIMITED";
pub(crate) const SPENT: &str = "USAGE_EXCEEDED";
pub(crate) const NO_SCOPE: &str = "INSUFFICIENT_SCOPE";

/// How much may be done, and what was.
#[derive(Debug, Clone)]
pub(crate) enum Meter {
    Fixed {
        limit: u32,
        period: Duration,
        end: Timestamp,
        used: u32,
    },
    Sliding {
        limit: usize,
        period: Duration,
        taken: VecDeque<Timestamp>,
    },
    /// A permit comes back in each `step`, up to `burst` of them.
    Smooth {
        step: Duration,
        burst: u32,
        full_at: Timestamp,
    },
}

impl Meter {
    pub(crate) const fn fixed(limit: u32, period: Duration) -> Self {
        Self::Fixed { limit, period, end: Timestamp::UNIX_EPOCH, used: 0 }
    }

    pub(crate) const fn sliding(limit: usize, period: Duration) -> Self {
        Self::Sliding { limit, period, taken: VecDeque::new() }
    }

    pub(crate) const fn smooth(step: Duration, burst: u32) -> Self {
        Self::Smooth { step, burst, full_at: Timestamp::UNIX_EPOCH }
    }

    fn admits(&self, at: Timestamp) -> bool {
        match self {
            Self::Fixed { limit, end, used, .. } => at >= *end || used < limit,
            Self::Sliding { limit, period, taken } => {
                taken.iter().filter(|then| then.saturating_add(*period) > at).count() < *limit
            }
            Self::Smooth { step, burst, full_at } => full_at.since(at) + *step <= *step * *burst,
        }
    }

    fn take(&mut self, at: Timestamp) {
        match self {
            Self::Fixed { period, end, used, .. } => {
                if at >= *end {
                    (*end, *used) = (at.saturating_add(*period), 0);
                }
                *used += 1;
            }
            Self::Sliding { period, taken, .. } => {
                taken.push_back(at);
                while taken.front().is_some_and(|then| then.saturating_add(*period) <= at) {
                    taken.pop_front();
                }
            }
            Self::Smooth { step, full_at, .. } => *full_at = at.max(*full_at).saturating_add(*step),
        }
    }
}

/// What may become of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) disabled: bool,
    pub(crate) rotated: bool,
    pub(crate) expires_at: Option<Timestamp>,
}

impl State {
    /// Why the key is refused, if it is.
    pub(crate) fn refusal(&self, at: Timestamp) -> Option<&'static str> {
        if self.revoked_at.is_some() {
            Some("REVOKED_API_KEY")
        } else if self.expires_at.is_some_and(|end| end <= at) {
            Some("EXPIRED_API_KEY")
        } else if self.disabled {
            Some("DISABLED_API_KEY")
        } else {
            None
        }
    }
}

/// A key of the store.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) id: KeyId,
    pub(crate) text: String,
    pub(crate) plan: usize,
    pub(crate) meter: Meter,
    pub(crate) organization: usize,
    pub(crate) writes: bool,
    pub(crate) only_from: Option<IpAddr>,
    pub(crate) credits: Option<u64>,
    pub(crate) state: State,
    /// What it was before a change that no cache was told of, and until when that may be believed: while the store
    /// answers, and while it does not.
    pub(crate) before: Option<(State, Timestamp, Timestamp)>,
    pub(crate) admitted: u64,
}

/// What is asked with a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) at: Timestamp,
    pub(crate) from: IpAddr,
    pub(crate) writes: bool,
    pub(crate) store_is_away: bool,
}

/// All that is known of keys and limits.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) keys: Vec<Key>,
    /// Whether the layer has a memory of its own of what the store said.
    pub(crate) is_cached: bool,
    pub(crate) organizations: Vec<Meter>,
    pub(crate) addresses: HashMap<IpAddr, Meter>,
    failures: HashMap<IpAddr, Meter>,
}

/// How many wrong attempts an address has in a minute.
pub(crate) const FAILURES: u32 = 5;

impl Model {
    /// Whether `seen` is a right answer to a call with this key; if so, the call has happened.
    pub(crate) fn check(&mut self, index: usize, call: Call, seen: &'static str) -> Result<(), String> {
        if call.store_is_away && seen == UNAVAILABLE {
            return Ok(());
        }
        let right = self.right(index, call);
        if !right.contains(&seen) || (call.store_is_away && !self.is_cached) {
            return Err(format!("{seen} instead of {right:?}: {call:?}, {:?}", self.keys[index]));
        }
        if right[0] == seen && right.len() > 1 {
            // Who has seen the change does not unsee it.
            self.keys[index].before = None;
        }
        if [OK, SPENT, NO_SCOPE].contains(&seen) {
            self.meters(index, call).for_each(|meter| meter.take(call.at));
        }
        if seen == OK {
            let key = &mut self.keys[index];
            key.admitted += 1;
            key.credits = key.credits.map(|left| left - 1);
        }
        Ok(())
    }

    /// What may be answered: by what the key is, and then by what it was before a change that went unsaid.
    fn right(&mut self, index: usize, call: Call) -> Vec<&'static str> {
        let Key { state, before, only_from, writes, credits, .. } = self.keys[index].clone();
        let believed = before.filter(|(_, fresh, stale)| call.at < if call.store_is_away { *stale } else { *fresh });
        let within_limits = self.meters(index, call).all(|meter| meter.admits(call.at));
        let states = std::iter::once(state).chain(believed.map(|(state, ..)| state));
        let answer = |state: State| match state.refusal(call.at) {
            Some(refusal) => refusal,
            None if only_from.is_some_and(|address| address != call.from) => "IP_NOT_ALLOWED",
            None if !within_limits => LIMITED,
            None if call.writes && !writes => NO_SCOPE,
            None if credits == Some(0) => SPENT,
            None => OK,
        };
        let mut right: Vec<_> = states.map(answer).collect();
        right.dedup();
        right
    }

    /// All that a call with this key is charged.
    fn meters(&mut self, index: usize, call: Call) -> impl Iterator<Item = &mut Meter> {
        let key = &mut self.keys[index];
        let address = self.addresses.get_mut(&call.from).expect("good calls come from addresses that are known");
        [&mut key.meter, &mut self.organizations[key.organization], address].into_iter()
    }

    /// Whether `seen` is a right answer to a wrong attempt, of which `refusal` is what is wrong.
    pub(crate) fn check_failure(
        &mut self,
        call: Call,
        refusal: &'static str,
        asks_the_store: bool,
        seen: &'static str,
    ) -> Result<(), String> {
        let minute = Duration::from_secs(60);
        let failures = self.failures.entry(call.from).or_insert(Meter::fixed(FAILURES, minute));
        let right = match failures.admits(call.at) {
            false => "TOO_MANY_FAILURES",
            true if asks_the_store && call.store_is_away => UNAVAILABLE,
            true => refusal,
        };
        if right != seen {
            return Err(format!("{seen} instead of {right}: {call:?}, {failures:?}"));
        }
        if right == refusal {
            failures.take(call.at);
        }
        Ok(())
    }

    /// Forgets wrong attempts that no longer count.
    pub(crate) fn forget_failures(&mut self, at: Timestamp) {
        self.failures.retain(|_, meter| matches!(meter, Meter::Fixed { end, .. } if *end > at));
    }

    /// How many addresses have wrong attempts that count.
    pub(crate) fn failing(&self) -> usize {
        self.failures.len()
    }
}
