//! Permits of leases that a call has set aside while it asks Redis for the rest.

use std::time::Instant;

use smallvec::SmallVec;

use super::lease::Told;
use super::{LeaseBook, Place};
use crate::limit::Algorithm;
use crate::limit::redis::request::{Answer, CounterKey, Item, Plan};

/// Given back when dropped, unless the call has taken them.
#[derive(Debug)]
pub(in crate::limit::redis) struct Held<'a> {
    book: &'a LeaseBook,
    parts: SmallVec<[Part; 4]>,
    asked: Instant,
}

#[derive(Debug)]
struct Part {
    key: CounterKey,
    /// Which item of the request it is about.
    item: usize,
    permits: u32,
    window: i64,
    /// Whether this call fetches a batch as well.
    refills: bool,
}

impl LeaseBook {
    /// Sets aside what this node holds for a request, so that Redis is asked only for the rest, and for the next batch.
    pub(in crate::limit::redis) fn hold<'a>(&'a self, plan: &mut Plan) -> Held<'a> {
        let asked = Instant::now();
        let mut held = Held { book: self, parts: SmallVec::new(), asked };
        let takes = plan.request.takes;
        let items = &mut plan.request.items;
        for index in 0..items.len() {
            let key = items[index].key;
            let is_alone = items.iter().filter(|item| item.key == key).count() == 1;
            let item = &mut items[index];
            // Charges that share a counter are added up by Redis.
            if item.algorithm != Algorithm::FixedWindow || !is_alone {
                continue;
            }
            let mut shard = self.shard(Place::of(&key));
            let Some(lease) = self.lease(&mut shard, key, &item.rule, asked) else { continue };
            let mut part = Part { key, item: index, permits: 0, window: lease.window(), refills: false };
            if takes {
                part.permits = lease.take_some(item.cost, asked);
                item.cost -= part.permits;
                item.total = u64::from(item.cost);
                if let Some(extra) = lease.next_batch(asked) {
                    (item.extra, part.refills) = (extra, true);
                }
            } else if item.total <= u64::from(item.rule.capacity) {
                item.total = item.total.saturating_sub(u64::from(lease.permits()));
            }
            held.parts.push(part);
        }
        held
    }

    /// Makes note of a batch that is fetched in the background.
    pub(in crate::limit::redis) fn refilling(&self, item: &Item) -> Held<'_> {
        let part = Part { key: item.key, item: 0, permits: 0, window: i64::MIN, refills: true };
        Held { book: self, parts: SmallVec::from_iter([part]), asked: Instant::now() }
    }
}

impl Held<'_> {
    /// Takes note of the answer of Redis. Returns what is left now of each item of the request, here and in Redis, where
    /// this node knows more of that than the answer says.
    pub(in crate::limit::redis) fn settle(mut self, plan: &[Item], answer: &Answer) -> SmallVec<[Option<u32>; 4]> {
        let mut left = SmallVec::from_elem(None, plan.len());
        let heard = Instant::now();
        for part in std::mem::take(&mut self.parts) {
            let mut shard = self.book.shard(Place::of(&part.key));
            let Some(lease) = shard.leases.get_mut(&part.key) else { continue };
            let [window, used, granted] = answer.numbers.get(part.item).copied().unwrap_or_default();
            let granted = if answer.taken { granted as u32 } else { 0 };
            if part.refills {
                lease.end_refill(granted, heard);
            }
            let told = Told { window: window as i64, used: used as u32, now: answer.now, asked: self.asked, heard };
            if !answer.taken {
                lease.give_back(part.permits, part.window);
            }
            lease.told(&told, granted);
            if let Some(left) = left.get_mut(part.item) {
                *left = Some(lease.left());
            }
        }
        left
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        for part in &self.parts {
            let mut shard = self.book.shard(Place::of(&part.key));
            if let Some(lease) = shard.leases.get_mut(&part.key) {
                lease.give_back(part.permits, part.window);
                if part.refills {
                    lease.fail_refill(Instant::now());
                }
            }
        }
    }
}
