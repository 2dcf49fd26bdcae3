//! What keys were used.

use std::net::IpAddr;

use super::series::{UsageBucket, UsagePoint};
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyId, KeyRecord};
use crate::limit::credits::{CreditChange, CreditState};

/// What a key was used since it was last recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUsage {
    /// The key.
    pub id: KeyId,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// From where, if that is known.
    pub last_used_ip: Option<IpAddr>,
    /// How often, to be added to what is recorded.
    pub count: u64,
    /// How many of these uses were in earlier hours (UTC) than the last one was, hour by hour. Most often none.
    pub earlier: Vec<UsagePoint>,
    /// The digest that its record is to have from now on.
    pub rehash: Option<KeyRehash>,
    /// What it has spent of its credits.
    pub credits: Option<CreditChange>,
}

/// A new digest in place of the one that a key was found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRehash {
    /// The digest that the record must still have.
    pub from: KeyDigest,
    /// The one that it is to have instead: of the same key, under the store's current pepper.
    pub to: KeyDigest,
}

impl KeyUsage {
    /// The key was used so often, the last time at this instant.
    pub const fn new(id: KeyId, count: u64, last_used_at: Timestamp) -> Self {
        Self { id, last_used_at, last_used_ip: None, count, earlier: Vec::new(), rehash: None, credits: None }
    }

    /// From where it was used the last time.
    #[must_use]
    pub fn last_used_ip(mut self, address: IpAddr) -> Self {
        self.last_used_ip = Some(address);
        self
    }

    /// How many of the uses were in earlier hours, by the instants at which these began.
    #[must_use]
    pub fn earlier(mut self, hours: impl IntoIterator<Item = (Timestamp, u64)>) -> Self {
        self.earlier = hours.into_iter().map(|(at, count)| UsagePoint::new(at, count)).collect();
        self
    }

    /// The digest that its record is to have from now on.
    #[must_use]
    pub fn rehash(mut self, rehash: KeyRehash) -> Self {
        self.rehash = Some(rehash);
        self
    }

    /// What it has spent of its credits.
    #[must_use]
    pub fn credits(mut self, change: CreditChange) -> Self {
        self.credits = Some(change);
        self
    }

    /// How often in which hour. All together these are [`count`](Self::count), and hours without a use are not among them.
    pub fn by_hour(&self) -> impl Iterator<Item = UsagePoint> + '_ {
        let mut left = self.count;
        let earlier = self.earlier.iter().map(move |point| {
            let count = point.count.min(left);
            left -= count;
            UsagePoint::new(UsageBucket::Hour.start(point.at), count)
        });
        let before: u64 = self.earlier.iter().fold(0, |sum, point| sum.saturating_add(point.count));
        let last = UsagePoint::new(UsageBucket::Hour.start(self.last_used_at), self.count.saturating_sub(before));
        earlier.chain([last]).filter(|point| point.count > 0)
    }

    /// Adds this to a record, and touches nothing else of it: what [`KeyStore::record_usage`](super::KeyStore::record_usage)
    /// makes of a record.
    ///
    /// Usage may be recorded late: what is known to be later stays, and a digest is replaced only if it is still the one
    /// that the key was found by. Whether another record has the new digest, in which case the old one has to stay, only
    /// the store can tell.
    pub fn add_to(&self, record: &mut KeyRecord) {
        record.use_count = record.use_count.saturating_add(self.count);
        if record.last_used_at.is_none_or(|known| known <= self.last_used_at) {
            record.last_used_at = Some(self.last_used_at);
            record.last_used_ip = self.last_used_ip.or(record.last_used_ip);
        }
        if let Some(rehash) = self.rehash.filter(|rehash| rehash.from == record.digest) {
            record.digest = rehash.to;
        }
        if let (Some(change), Some(balance)) = (&self.credits, &mut record.credits) {
            *balance = balance_after(change, balance, self.last_used_at);
        }
    }
}

/// The balance after a change. If nobody else has changed it, that is the balance of who spent; else as much less.
fn balance_after(change: &CreditChange, balance: &CreditState, at: Timestamp) -> CreditState {
    let alone = balance.spent.saturating_add(change.spent) == change.state.spent;
    if alone && balance.generation == change.state.generation {
        return change.state;
    }
    let balance = balance.refilled(at);
    CreditState {
        remaining: balance.remaining.saturating_sub(change.spent),
        spent: balance.spent.saturating_add(change.spent),
        ..balance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uses_of_all_hours_are_the_uses_there_were() {
        let hour = |index| UsageBucket::Hour.nth(index);
        let last = hour(9).saturating_add(std::time::Duration::from_secs(60));
        let counts = |usage: &KeyUsage| usage.by_hour().map(|point| (point.at, point.count)).collect::<Vec<_>>();
        let usage = KeyUsage::new(KeyId::from_static("key_1"), 5, last);
        assert_eq!(counts(&usage), [(hour(9), 5)]);
        let spread =
            usage.clone().earlier([(hour(7), 1), (hour(8).saturating_add(std::time::Duration::from_secs(5)), 3)]);
        assert_eq!(counts(&spread), [(hour(7), 1), (hour(8), 3), (hour(9), 1)]);
        let wrong = usage.earlier([(hour(7), 4), (hour(8), 4)]);
        assert_eq!(counts(&wrong), [(hour(7), 4), (hour(8), 1)], "never more than there were");
    }
}
