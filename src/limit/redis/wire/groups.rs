//! Counters of fixed windows, in groups that share hashes: `generations.lua`.

use smallvec::SmallVec;

use super::{Index, Names};
use crate::limit::redis::request::{CounterKey, Item};

/// How much longer than its windows a hash is kept, in milliseconds. Whoever asks next frees it in the background, and Redis
/// would free it while everybody waits, so that it is left to expire only where nobody asks.
const KEPT_FOR: u64 = 60_000;

/// The counters that requests touch, each once, numbered in the order they came in.
#[derive(Debug)]
pub(super) struct Groups {
    groups: SmallVec<[Group; 4]>,
    /// Each with the place of its group.
    counters: Vec<(CounterKey, u16)>,
    index: Index,
}

/// Counters with the same period.
#[derive(Debug)]
struct Group {
    period: i64,
    size: u16,
}

/// What the scripts are told of groups.
#[derive(Debug)]
pub(super) struct PackedGroups {
    pub(super) groups: Vec<u8>,
    pub(super) fields: Vec<u8>,
    /// The places of counters by their numbers, from 1 as the scripts count: group by group.
    pub(super) places: Vec<u16>,
}

impl Groups {
    pub(super) fn with_capacity(counters: usize) -> Self {
        Self {
            groups: SmallVec::new(),
            counters: Vec::with_capacity(counters),
            index: Index::with_capacity_and_hasher(counters, Default::default()),
        }
    }

    /// The number of the counter of an item, from 0.
    pub(super) fn number(&mut self, item: &Item) -> u16 {
        let next = self.counters.len() as u16;
        let Self { groups, counters, index } = self;
        *index.entry(item.key).or_insert_with(|| {
            let period = item.rule.period;
            let known = groups.iter().position(|group| group.period == period);
            let group = known.unwrap_or_else(|| {
                groups.push(Group { period, size: 0 });
                groups.len() - 1
            });
            groups[group].size += 1;
            counters.push((item.key, group as u16));
            next
        })
    }

    /// Adds the names of their hashes, three for each group.
    pub(super) fn pack(&self, names: &mut Names) -> PackedGroups {
        let mut packed = Vec::with_capacity(self.groups.len() * 18);
        let mut next: SmallVec<[u16; 4]> = SmallVec::new();
        let mut before = 0;
        for group in &self.groups {
            for generation in 0..3 {
                names.add(&[&group.period.to_be_bytes(), &[generation]]);
            }
            let numbers = [group.period.unsigned_abs(), KEPT_FOR];
            numbers.iter().for_each(|number| packed.extend_from_slice(&(*number as f64).to_le_bytes()));
            packed.extend_from_slice(&group.size.to_le_bytes());
            next.push(before);
            before += group.size;
        }
        let mut fields = vec![0; self.counters.len() * CounterKey::LENGTH];
        let (slots, _) = fields.as_chunks_mut();
        let place = |(key, group): &(CounterKey, u16)| {
            let place = &mut next[usize::from(*group)];
            slots[usize::from(*place)] = key.bytes();
            *place += 1;
            *place
        };
        let places = self.counters.iter().map(place).collect();
        PackedGroups { groups: packed, fields, places }
    }
}
