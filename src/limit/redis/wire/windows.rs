//! Requests of one charge under a fixed window: `windows.lua`.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::{Batch, LEASED_PART, Numbers};
use crate::clock::Timestamp;
use crate::limit::redis::request::{Answer, CounterKey, Item};
use crate::redis_link::RedisLinkError;

/// What is charged, apart from whom: most requests of a batch have it in common.
#[derive(Debug, Default)]
pub(super) struct Charges {
    packed: Vec<u8>,
    places: HashMap<What, u16, foldhash::fast::RandomState>,
    last: Option<(What, u16)>,
}

/// The most that is leased at once: with what was taken, up to 2^32, it goes into one number that a double holds exactly.
const MOST_EXTRA: u32 = 1 << 20;

/// Cost, extra, capacity and period.
type What = (u32, u32, u32, i64);

impl Charges {
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// The place of a charge, from 1 as the script counts.
    fn place(&mut self, item: &Item) -> u16 {
        let rule = &item.rule;
        let what = (item.cost, item.extra, rule.capacity, rule.period);
        if let Some((last, place)) = self.last
            && last == what
        {
            return place;
        }
        let next = self.places.len() as u16 + 1;
        let place = *self.places.entry(what).or_insert_with(|| {
            let (cost, extra, part) =
                (u64::from(item.cost), u64::from(item.extra.min(MOST_EXTRA)), u64::from(LEASED_PART));
            let numbers = [cost, u64::from(rule.capacity), rule.period.unsigned_abs(), extra, part];
            numbers.iter().for_each(|number| self.packed.extend_from_slice(&(*number as f64).to_le_bytes()));
            next
        });
        self.last = Some((what, place));
        place
    }
}

impl Batch {
    pub(super) fn add_plain<'a>(&mut self, items: impl Iterator<Item = (&'a Item, u16)>) {
        for (item, counter) in items {
            let charge = self.charges.place(item);
            self.packed.extend_from_slice(&counter.to_le_bytes());
            self.packed.extend_from_slice(&charge.to_le_bytes());
        }
    }

    pub(super) fn read_windows(&self, reply: &[u8]) -> Result<Vec<Answer>, RedisLinkError> {
        let mut numbers = Numbers(reply);
        let now = Timestamp::from_unix_micros(numbers.next()? as i64);
        let ends = (0..self.fields.len() / CounterKey::LENGTH).map(|_| {
            let end = numbers.next()?;
            // What was taken in the end, by all requests.
            let (_, rest) = numbers.0.split_first_chunk::<4>().ok_or(RedisLinkError::Answer)?;
            numbers.0 = rest;
            Ok(end)
        });
        let ends = ends.collect::<Result<Vec<_>, RedisLinkError>>()?;
        let answer = |packed: &[u8]| {
            let number = numbers.next()?;
            let taken = number >= 0.0;
            let (more, used) = if taken {
                (number as u64 >> 32, number as u64 & u64::from(u32::MAX))
            } else {
                (0, (-1.0 - number) as u64)
            };
            let place = packed.first_chunk().map_or(0, |place| usize::from(u16::from_le_bytes(*place)));
            let end = ends.get(place.wrapping_sub(1)).ok_or(RedisLinkError::Answer)?;
            Ok(Answer { now, taken, numbers: SmallVec::from_buf([[*end, used as f64, more as f64]]) })
        };
        self.packed.chunks_exact(4).map(answer).collect()
    }
}
