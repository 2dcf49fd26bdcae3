//! Requests of any kind: `decide.lua`.

use smallvec::SmallVec;

use super::{Batch, Index, LEASED_PART, Names, Numbers};
use crate::clock::Timestamp;
use crate::limit::Algorithm;
use crate::limit::redis::request::{Answer, CounterKey, Item, Request};
use crate::redis_link::RedisLinkError;

/// The counters under other algorithms than fixed windows, each once, numbered in the order they came in.
#[derive(Debug, Default)]
pub(super) struct Others {
    counters: Vec<CounterKey>,
    index: Index,
}

impl Others {
    /// The number of the counter of an item, from 0.
    pub(super) fn number(&mut self, item: &Item) -> u16 {
        *self.index.entry(item.key).or_insert_with(|| {
            self.counters.push(item.key);
            self.counters.len() as u16 - 1
        })
    }

    /// Adds their names.
    pub(super) fn name(&self, names: &mut Names) {
        self.counters.iter().for_each(|key| names.add(&[&key.bytes()]));
    }
}

impl Batch {
    pub(super) fn add<'a>(&mut self, request: &Request, items: impl Iterator<Item = (&'a Item, u16)>) {
        self.packed.extend_from_slice(&(request.items.len() as u16).to_le_bytes());
        self.packed.push(u8::from(request.takes));
        items.for_each(|(item, place)| pack(&mut self.packed, item, place));
    }
}

pub(super) fn read<'a>(
    reply: &[u8],
    requests: impl Iterator<Item = &'a Request>,
) -> Result<Vec<Answer>, RedisLinkError> {
    let mut rest = Numbers(reply);
    let now = Timestamp::from_unix_micros(rest.next()? as i64);
    let answer = |request: &Request| {
        let (taken, numbers) = rest.0.split_first().ok_or(RedisLinkError::Answer)?;
        rest.0 = numbers;
        let mut numbers = SmallVec::new();
        for _ in &request.items {
            numbers.push([rest.next()?, rest.next()?, rest.next()?]);
        }
        Ok(Answer { now, taken: *taken == 1, numbers })
    };
    requests.map(answer).collect()
}

fn pack(packed: &mut Vec<u8>, item: &Item, place: u16) {
    let rule = &item.rule;
    // What is above the capacity is refused whatever it is, and need not be told exactly.
    let total = item.total.min(u64::from(rule.capacity) + 1);
    packed.push(match item.algorithm {
        Algorithm::FixedWindow => 1,
        Algorithm::SlidingWindow => 2,
        Algorithm::Gcra => 3,
    });
    packed.extend_from_slice(&place.to_le_bytes());
    packed.extend_from_slice(&item.cost.to_le_bytes());
    let mut number = |number: u64| packed.extend_from_slice(&(number as f64).to_le_bytes());
    [total, u64::from(rule.capacity), rule.period.unsigned_abs()].into_iter().for_each(&mut number);
    match item.algorithm {
        Algorithm::FixedWindow => {
            number(u64::from(item.extra));
            number(u64::from(LEASED_PART));
        }
        Algorithm::SlidingWindow => number(item.expiry()),
        Algorithm::Gcra => {
            number(item.expiry());
            number(u64::from(rule.limit));
            for permits in [u64::from(item.cost), total, u64::from(rule.capacity)] {
                let (whole, rest) = item.micros_for(permits);
                number(whole);
                number(rest);
            }
        }
    }
}
