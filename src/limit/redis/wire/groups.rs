//! Counters in groups that share hashes: `generations.lua`.

use smallvec::SmallVec;

use super::{Index, Names};
use crate::limit::redis::request::{CounterKey, GroupKey, Item};

/// How much longer than its counters a hash is kept, in milliseconds. Whoever asks next frees it in the background, and Redis
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

/// Counters with the same algorithm and span.
#[derive(Debug)]
struct Group {
    key: GroupKey,
    size: u16,
    /// How many counters are in groups before it.
    before: u16,
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
            let key = item.group();
            let known = groups.iter().position(|group| group.key == key);
            let group = known.unwrap_or_else(|| {
                groups.push(Group { key, size: 0, before: 0 });
                groups.len() - 1
            });
            groups[group].size += 1;
            counters.push((item.key, group as u16));
            next
        })
    }

    /// Adds the names of their hashes, three for each group.
    pub(super) fn pack(mut self, names: &mut Names) -> PackedGroups {
        // The scripts want them in the order of their algorithms.
        let mut order: SmallVec<[&mut Group; 4]> = self.groups.iter_mut().collect();
        order.sort_by_key(|group| group.key.algorithm);
        let (mut packed, mut before) = (Vec::with_capacity(order.len() * 19), 0);
        for group in order {
            let GroupKey { algorithm, span } = group.key;
            for generation in 0..3 {
                names.add(&[&[algorithm], &span.to_be_bytes(), &[generation]]);
            }
            packed.push(algorithm);
            [span, KEPT_FOR].iter().for_each(|number| packed.extend_from_slice(&(*number as f64).to_le_bytes()));
            packed.extend_from_slice(&group.size.to_le_bytes());
            group.before = before;
            before += group.size;
        }
        let mut fields = vec![0; self.counters.len() * CounterKey::LENGTH];
        let (slots, _) = fields.as_chunks_mut();
        let place = |(key, group): &(CounterKey, u16)| {
            let place = &mut self.groups[usize::from(*group)].before;
            slots[usize::from(*place)] = key.bytes();
            *place += 1;
            *place
        };
        let places = self.counters.iter().map(place).collect();
        PackedGroups { groups: packed, fields, places }
    }
}
