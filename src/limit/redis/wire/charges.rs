//! What is charged, apart from whom: most requests of a batch have it in common.

use std::collections::HashMap;

use crate::limit::Algorithm;
use crate::limit::counter::Rule;
use crate::limit::redis::request::Item;

/// A lease is at most this part of what is left, beyond what is asked for.
pub(in crate::limit::redis) const LEASED_PART: u32 = 8;

/// The most that is leased at once: with what was taken, up to 2^32, it goes into one number that a double holds exactly.
const MOST_EXTRA: u32 = 1 << 20;

/// The charges that there are, each once, packed as the scripts read them.
#[derive(Debug, Default)]
pub(super) struct Charges {
    packed: Vec<u8>,
    places: HashMap<What, u16, foldhash::fast::RandomState>,
    last: Option<(What, u16)>,
}

/// All that is told of a charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct What {
    algorithm: Algorithm,
    rule: Rule,
    cost: u32,
    total: u64,
    extra: u32,
}

impl Charges {
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The place of a charge, from 1 as the scripts count.
    pub(super) fn place(&mut self, item: &Item) -> u16 {
        let Item { algorithm, rule, cost, total, extra, key: _ } = *item;
        // What is above the capacity is refused whatever it is, and need not be told exactly.
        let total = total.min(u64::from(rule.capacity) + 1);
        let what = What { algorithm, rule, cost, total, extra: extra.min(MOST_EXTRA) };
        if let Some((last, place)) = self.last
            && last == what
        {
            return place;
        }
        let next = self.places.len() as u16 + 1;
        let place = *self.places.entry(what).or_insert_with(|| {
            what.numbers(item).iter().for_each(|number| self.packed.extend_from_slice(&(*number as f64).to_le_bytes()));
            next
        });
        self.last = Some((what, place));
        place
    }
}

impl What {
    fn numbers(&self, item: &Item) -> [u64; 14] {
        let Self { algorithm: _, rule, cost, total, extra } = *self;
        let (cost, capacity) = (u64::from(cost), u64::from(rule.capacity));
        let [(cost_whole, cost_rest), (total_whole, total_rest), (capacity_whole, capacity_rest)] =
            [cost, total, capacity].map(|permits| item.micros_for(permits));
        [
            u64::from(item.group().algorithm),
            cost,
            total,
            capacity,
            rule.period.unsigned_abs(),
            u64::from(extra),
            u64::from(LEASED_PART),
            u64::from(rule.limit),
            cost_whole,
            cost_rest,
            total_whole,
            total_rest,
            capacity_whole,
            capacity_rest,
        ]
    }
}
