//! Requests of one charge under a fixed window: `windows.lua`.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{Batch, LEASED_PART, Numbers};
use crate::clock::Timestamp;
use crate::limit::redis::request::{Answer, Item, Request};
use crate::redis_link::RedisLinkError;

/// What is charged, apart from whom: most requests of a batch have it in common.
#[derive(Debug, Default)]
pub(super) struct Charges {
    packed: Vec<u8>,
    places: HashMap<(u32, u32, u32, i64), u16>,
}

impl Charges {
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The place of a charge, from 1 as the script counts.
    fn place(&mut self, item: &Item) -> u16 {
        let rule = &item.rule;
        let next = self.places.len() as u16 + 1;
        *self.places.entry((item.cost, item.extra, rule.capacity, rule.period)).or_insert_with(|| {
            let numbers = [
                u64::from(item.cost),
                u64::from(rule.capacity),
                rule.period.unsigned_abs(),
                item.expiry(),
                u64::from(item.extra),
                u64::from(LEASED_PART),
            ];
            numbers.iter().for_each(|number| self.packed.extend_from_slice(&(*number as f64).to_le_bytes()));
            next
        })
    }
}

impl Batch {
    pub(super) fn add_plain(&mut self, request: &Request, prefix: &str) {
        for item in &request.items {
            let (counter, charge) = (self.keys.place(item.key, prefix), self.charges.place(item));
            self.packed.extend_from_slice(&counter.to_le_bytes());
            self.packed.extend_from_slice(&charge.to_le_bytes());
        }
    }

    pub(super) fn read_windows(&self, reply: &[u8]) -> Result<Vec<Answer>, RedisLinkError> {
        let mut numbers = Numbers(reply);
        let now = Timestamp::from_unix_micros(numbers.next()? as i64);
        let ends = (0..self.keys.indexes.len()).map(|_| {
            let [end, _] = [numbers.next()?, numbers.next()?];
            Ok(end)
        });
        let ends = ends.collect::<Result<Vec<_>, RedisLinkError>>()?;
        let answer = |packed: &[u8]| {
            let [used, more] = [numbers.next()?, numbers.next()?];
            let place = packed.first_chunk().map_or(0, |place| usize::from(u16::from_le_bytes(*place)));
            let end = ends.get(place.wrapping_sub(1)).ok_or(RedisLinkError::Answer)?;
            let taken = more >= 0.0;
            Ok(Answer { now, taken, numbers: SmallVec::from_buf([[*end, used, more.max(0.0)]]) })
        };
        self.packed.chunks_exact(4).map(answer).collect()
    }
}
