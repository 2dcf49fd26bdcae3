//! Where the credits of a service are spent from: the memory of this process, or what nodes share.

use super::{CreditBook, CreditChange, CreditRefusal, CreditState};
use crate::clock::Timestamp;
use crate::error::{BoxError, StoreError};
use crate::limit::Subject;
#[cfg(feature = "redis")]
use crate::limit::redis::{RedisCreditError, RedisCredits};

/// One of the ledgers there are.
#[derive(Debug)]
pub(crate) enum CreditLedger {
    Memory(CreditBook),
    #[cfg(feature = "redis")]
    Redis(RedisCredits),
}

/// Why credits were not spent.
#[derive(Debug)]
pub(crate) enum SpendError {
    /// Not enough are left.
    Exhausted(super::Exhausted),
    /// The ledger could not tell.
    Unavailable(StoreError),
}

impl CreditLedger {
    /// Takes what was spent here, to be added to the records of keys. Each has to be answered by [`CreditLedger::stored`] or
    /// [`CreditLedger::failed`].
    pub(crate) fn changes(&self) -> Vec<CreditChange> {
        match self {
            Self::Memory(book) => book.changes(usize::MAX),
            #[cfg(feature = "redis")]
            Self::Redis(credits) => credits.changes(usize::MAX),
        }
    }

    /// The change is on its record.
    pub(crate) fn stored(&self, change: &CreditChange) {
        match self {
            Self::Memory(book) => book.stored(change),
            // What Redis has counts, whatever stands on the record.
            #[cfg(feature = "redis")]
            Self::Redis(_) => {}
        }
    }

    /// The change is not on its record, and will be among the next ones.
    pub(crate) fn failed(&self, change: &CreditChange) {
        match self {
            Self::Memory(book) => book.failed(change),
            #[cfg(feature = "redis")]
            Self::Redis(credits) => credits.failed(change),
        }
    }

    /// Spends at once, if that can be done without waiting; else ask [`CreditLedger::spend`].
    pub(crate) fn spend_now(
        &self,
        subject: Subject,
        record: &CreditState,
        cost: u64,
        now: Timestamp,
    ) -> Option<Result<CreditState, SpendError>> {
        match self {
            Self::Memory(book) => Some(book.spend(subject, record, cost, now).map_err(SpendError::from)),
            #[cfg(feature = "redis")]
            Self::Redis(_) => None,
        }
    }

    pub(crate) async fn spend(
        &self,
        subject: Subject,
        record: &CreditState,
        cost: u64,
        now: Timestamp,
    ) -> Result<CreditState, SpendError> {
        match self {
            Self::Memory(book) => book.spend(subject, record, cost, now).map_err(SpendError::from),
            #[cfg(feature = "redis")]
            Self::Redis(credits) => credits.spend(subject, record, cost, now).await.map_err(|error| match error {
                RedisCreditError::Refused(refusal) => refusal.into(),
                error @ RedisCreditError::Unavailable(_) => SpendError::unavailable(error),
            }),
        }
    }
}

impl Default for CreditLedger {
    fn default() -> Self {
        Self::Memory(CreditBook::default())
    }
}

impl SpendError {
    pub(crate) fn unavailable(error: impl Into<BoxError>) -> Self {
        Self::Unavailable(StoreError::new("credits", "spend credits", error))
    }
}

impl From<CreditRefusal> for SpendError {
    fn from(refusal: CreditRefusal) -> Self {
        match refusal {
            CreditRefusal::Exhausted(exhausted) => Self::Exhausted(exhausted),
            CreditRefusal::Full => Self::unavailable(refusal),
        }
    }
}
