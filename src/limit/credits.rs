//! Credits: permits that are used up for good, or until a refill.
//!
//! ```
//! use tower_api_key::clock::Timestamp;
//! use tower_api_key::limit::credits::{Credits, Refill, RefillInterval, spend};
//!
//! let made: Timestamp = "2026-01-31T09:00:00Z".parse()?;
//! let state = Credits::new(3).refill(Refill::new(100, RefillInterval::Monthly)).starting(made);
//!
//! let left = spend(&state, 2, made)?;
//! assert_eq!(left.remaining, 1);
//!
//! let refused = spend(&left, 2, made).unwrap_err();
//! assert_eq!(refused.refill_at.map(|at| at.to_string()).as_deref(), Some("2026-02-28T00:00:00.000Z"));
//!
//! let march = spend(&left, 2, "2026-03-31T00:00:00Z".parse()?)?;
//! assert_eq!(march.remaining, 98);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod book;
mod ledger;
mod refill;

use serde::{Deserialize, Serialize};

pub use self::book::{CreditBook, CreditChange, CreditRefusal};
pub(crate) use self::ledger::{CreditLedger, SpendError};
pub use self::refill::{Refill, RefillInterval};
use crate::clock::Timestamp;

/// How many credits a key is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[must_use]
pub struct Credits {
    /// How many it has to begin with.
    pub remaining: u64,
    /// How it gets more, if it does.
    #[serde(default)]
    pub refill: Option<Refill>,
}

/// The credits of a key as they are kept: a balance that [`spend`] turns into the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreditState {
    /// How many are left.
    pub remaining: u64,
    /// How it gets more, if it does.
    pub refill: Option<Refill>,
    /// When it began. Monthly refills come on this day of the month.
    pub since: Timestamp,
    /// The last refill that `remaining` contains; `since` if there was none.
    pub refilled_at: Timestamp,
    /// How many have ever been spent. Tells a newer state from an older one: it never falls.
    pub spent: u64,
    /// How often somebody has set the balance. To be raised by whoever sets `remaining` by hand.
    pub generation: u64,
}

/// Not enough credits were left. None were spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not enough credits: {remaining} left")]
pub struct Exhausted {
    /// How many are left.
    pub remaining: u64,
    /// When there will be enough, unless a refill never makes enough.
    pub refill_at: Option<Timestamp>,
}

impl Credits {
    /// So many credits, and no more.
    pub const fn new(remaining: u64) -> Self {
        Self { remaining, refill: None }
    }

    /// Sets how it gets more.
    pub const fn refill(mut self, refill: Refill) -> Self {
        self.refill = Some(refill);
        self
    }

    /// The state of a key that is given them at this instant.
    pub const fn starting(self, since: Timestamp) -> CreditState {
        let Self { remaining, refill } = self;
        CreditState { remaining, refill, since, refilled_at: since, spent: 0, generation: 0 }
    }
}

impl CreditState {
    /// The state with the refills that are due by `now`.
    ///
    /// A refill brings the balance up to its amount. It never lowers it, and refills that were missed do not add up.
    #[must_use]
    pub fn refilled(mut self, now: Timestamp) -> Self {
        if let Some(refill) = &self.refill
            && let Some(due) = refill.every.latest_due(self.since, self.refilled_at, now)
        {
            self.remaining = self.remaining.max(refill.amount);
            self.refilled_at = due;
        }
        self
    }

    /// When the next refill comes, if there are any.
    #[must_use]
    pub fn next_refill(&self, now: Timestamp) -> Option<Timestamp> {
        let last = self.refilled(now).refilled_at;
        self.refill.and_then(|refill| refill.every.next_due(self.since, last))
    }
}

/// Spends `cost` credits at `now`, after refills that are due.
///
/// # Errors
/// When fewer are left. Nothing has been spent then.
pub fn spend(state: &CreditState, cost: u64, now: Timestamp) -> Result<CreditState, Exhausted> {
    let state = state.refilled(now);
    match state.remaining.checked_sub(cost) {
        Some(remaining) => Ok(CreditState { remaining, spent: state.spent.saturating_add(cost), ..state }),
        None => {
            let enough = state.refill.is_some_and(|refill| refill.amount >= cost);
            let refill_at = if enough { state.next_refill(now) } else { None };
            Err(Exhausted { remaining: state.remaining, refill_at })
        }
    }
}

#[cfg(test)]
mod tests;
