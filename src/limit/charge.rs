//! What a request is charged: [`Charge`], and the short list of them, [`Charges`].

use std::ops::Deref;

use smallvec::SmallVec;

use super::{Quota, Subject};

/// So many permits, out of this quota, for this subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge<'a> {
    /// Whose permits they are.
    pub subject: Subject,
    /// How many there are.
    pub quota: &'a Quota,
    /// How many are taken. At 0 nothing is, and the charge is admitted whenever its quota can be.
    pub cost: u32,
}

impl<'a> Charge<'a> {
    /// One permit.
    pub const fn new(subject: Subject, quota: &'a Quota) -> Self {
        Self { subject, quota, cost: 1 }
    }

    /// Sets how many permits are taken.
    #[must_use]
    pub const fn cost(mut self, permits: u32) -> Self {
        self.cost = permits;
        self
    }
}

/// All that one request is charged. Up to eight need no allocation.
#[derive(Debug, Clone, Default)]
pub struct Charges<'a>(SmallVec<[Charge<'a>; 8]>);

impl<'a> Charges<'a> {
    /// Appends a charge, unless its quota is [`Quota::UNLIMITED`], which nobody needs to count.
    pub fn push(&mut self, charge: Charge<'a>) {
        if !charge.quota.is_unlimited() {
            self.0.push(charge);
        }
    }
}

impl<'a> Deref for Charges<'a> {
    type Target = [Charge<'a>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<'a> FromIterator<Charge<'a>> for Charges<'a> {
    fn from_iter<I: IntoIterator<Item = Charge<'a>>>(charges: I) -> Self {
        let mut all = Self::default();
        charges.into_iter().for_each(|charge| all.push(charge));
        all
    }
}
