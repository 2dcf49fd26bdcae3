//! A hash table of counters that forgets those that are over.
//!
//! Open addressing with linear probing. Keys are random already, so no hash is computed; a counter that is over is
//! replaced where the probing for a new one meets it, and all of them go when the table is rebuilt to grow or shrink.

use super::key::Key;
use crate::limit::counter::Counter;

#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Option<Slot>>,
    len: usize,
    capacity: usize,
    /// Where to look next for a counter that is over.
    hand: usize,
    forgotten_until: i64,
}

#[derive(Debug)]
struct Slot {
    key: Key,
    counter: Counter,
}

const _: () = assert!(size_of::<Option<Slot>>() == 40, "the memory a subject takes is documented");

/// How many slots a newcomer looks at for a counter that is over when there is no room.
const STEPS: usize = 32;

/// Where the probing for a key ended.
enum Probe {
    Found(usize),
    /// Not found; the slot to put it in, and whether a counter that is over has to leave it.
    Free(usize, bool),
}

impl Table {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: Vec::new(), len: 0, capacity, hand: 0, forgotten_until: i64::MIN }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// The latest instant at which a counter was found to be over and forgotten.
    pub(super) fn forgotten_until(&self) -> i64 {
        self.forgotten_until
    }

    pub(super) fn counter(&self, index: usize) -> &Counter {
        match &self.slots[index] {
            Some(slot) => &slot.counter,
            None => unreachable!("an index is used while the table that gave it is locked and unchanged"),
        }
    }

    pub(super) fn counter_mut(&mut self, index: usize) -> &mut Counter {
        match &mut self.slots[index] {
            Some(slot) => &mut slot.counter,
            None => unreachable!("an index is used while the table that gave it is locked and unchanged"),
        }
    }

    pub(super) fn find(&self, key: Key) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut index = key.slot(self.slots.len());
        loop {
            match &self.slots[index] {
                Some(slot) if slot.key == key => return Some(index),
                Some(_) => index = self.next(index),
                None => return None,
            }
        }
    }

    /// Whether a new key can be inserted within the capacity.
    pub(super) fn has_room(&mut self, key: Key, now: i64) -> bool {
        if self.len < self.capacity {
            return true;
        }
        if !self.slots.is_empty() && matches!(self.probe(key, now), Probe::Free(_, true)) {
            return true;
        }
        self.forget_one(now);
        self.len < self.capacity
    }

    /// Inserts a key that is not in the table, even above the capacity.
    pub(super) fn insert(&mut self, key: Key, counter: Counter, now: i64) {
        if self.slots.is_empty() {
            self.rebuild(now);
        }
        let index = match self.probe(key, now) {
            Probe::Found(index) => index,
            Probe::Free(index, true) => {
                self.forgotten_until = self.forgotten_until.max(now);
                index
            }
            Probe::Free(index, false) if self.len < max_load(self.slots.len()) => {
                self.len += 1;
                index
            }
            Probe::Free(..) => {
                self.rebuild(now);
                self.len += 1;
                self.vacant(key)
            }
        };
        self.slots[index] = Some(Slot { key, counter });
    }

    /// When the first of the counters will be over.
    pub(super) fn earliest_free_at(&self) -> i64 {
        self.slots.iter().flatten().map(|slot| slot.counter.free_at()).min().unwrap_or(i64::MAX)
    }

    fn probe(&self, key: Key, now: i64) -> Probe {
        let mut over = None;
        let mut index = key.slot(self.slots.len());
        while let Some(slot) = &self.slots[index] {
            if slot.key == key {
                return Probe::Found(index);
            }
            if over.is_none() && slot.counter.free_at() <= now {
                over = Some(index);
            }
            index = self.next(index);
        }
        Probe::Free(over.unwrap_or(index), over.is_some())
    }

    /// The first empty slot on the way of a key. There always is one: a table is never full.
    fn vacant(&self, key: Key) -> usize {
        let mut index = key.slot(self.slots.len());
        while self.slots[index].is_some() {
            index = self.next(index);
        }
        index
    }

    fn next(&self, index: usize) -> usize {
        if index + 1 == self.slots.len() { 0 } else { index + 1 }
    }

    /// Forgets one counter that is over, if there is one among the next few. Each call goes on where the last one
    /// ended.
    fn forget_one(&mut self, now: i64) {
        for _ in 0..self.slots.len().min(STEPS) {
            let index = if self.hand < self.slots.len() { self.hand } else { 0 };
            self.hand = index + 1;
            if self.slots[index].as_ref().is_some_and(|slot| slot.counter.free_at() <= now) {
                self.remove(index);
                self.forgotten_until = self.forgotten_until.max(now);
                return;
            }
        }
    }

    /// Empties a slot, and moves those up that would no longer be found behind the gap.
    fn remove(&mut self, index: usize) {
        let (mut gap, mut behind) = (index, self.next(index));
        self.slots[gap] = None;
        self.len -= 1;
        while let Some(slot) = &self.slots[behind] {
            let home = slot.key.slot(self.slots.len());
            // Whether the way from its home to where it is leads over the gap.
            let over_gap = if gap <= behind { home <= gap || home > behind } else { home <= gap && home > behind };
            if over_gap {
                self.slots.swap(gap, behind);
                gap = behind;
            }
            behind = self.next(behind);
        }
    }

    /// Forgets the counters that are over, and makes room for a quarter more than are left.
    fn rebuild(&mut self, now: i64) {
        let live = |slot: &Slot| slot.counter.free_at() > now;
        let count = self.slots.iter().flatten().filter(|slot| live(slot)).count();
        if count < self.len {
            self.forgotten_until = self.forgotten_until.max(now);
        }
        let wanted = (count + count / 4).max(8).min(self.capacity).max(count + 1);
        let mut slots = Vec::new();
        slots.resize_with(slots_for(wanted), || None);
        let old = std::mem::replace(&mut self.slots, slots);
        self.len = count;
        for slot in old.into_iter().flatten().filter(live) {
            let index = self.vacant(slot.key);
            self.slots[index] = Some(slot);
        }
    }
}

/// How many of so many slots may be taken: four in five.
fn max_load(slots: usize) -> usize {
    slots / 5 * 4
}

/// The smallest number of slots that may hold so many counters.
fn slots_for(counters: usize) -> usize {
    counters.div_ceil(4) * 5
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::limit::counter::Rule;
    use crate::limit::memory::key::Seed;
    use crate::limit::{Algorithm, Charge, Quota, Subject};

    const RULE: Rule = Rule { limit: 10, capacity: 10, period: 1_000 };

    fn keys(count: u32) -> Vec<Key> {
        let (seed, quota) = (Seed::random(), Quota::per_second(10));
        (0..count).map(|n| seed.key(&Charge::new(Subject::address(n.to_be_bytes().into()), &quota))).collect()
    }

    fn counter(now: i64) -> Counter {
        let mut counter = Counter::new(Algorithm::FixedWindow);
        let _ = counter.take(&RULE, 1, Timestamp::from_unix_micros(now));
        counter
    }

    #[test]
    fn what_is_live_is_always_found_and_what_is_over_makes_room() {
        let mut table = Table::new(1_000);
        let keys = keys(10_000);
        for (now, key) in (0i64..).zip(&keys) {
            assert_eq!(table.find(*key), None);
            table.insert(*key, counter(now), now);
            // Each lives for 1,000 microseconds, so these are the ones that must be there.
            let oldest = usize::try_from(now - 999).unwrap_or(0);
            assert!((keys[oldest..=usize::try_from(now).unwrap()]).iter().all(|live| table.find(*live).is_some()));
            assert!(table.len() <= 2_000, "{} at {now}", table.len());
        }
    }

    #[test]
    fn there_is_room_up_to_the_capacity_and_again_when_counters_are_over() {
        let mut table = Table::new(100);
        let keys = keys(400);
        for key in &keys[..100] {
            assert!(table.has_room(*key, 0));
            table.insert(*key, counter(0), 0);
        }
        assert!(keys[100..].iter().all(|key| !table.has_room(*key, 999)));
        assert_eq!(table.len(), 100);
        assert_eq!(table.earliest_free_at(), 1_000);
        assert!(keys[100..].iter().all(|key| table.has_room(*key, 1_000)));
        table.insert(keys[100], counter(1_000), 1_000);
        assert_eq!(table.forgotten_until(), 1_000);
    }

    #[test]
    fn whoever_goes_nobody_else_is_lost() {
        for _ in 0..200 {
            let mut table = Table::new(40);
            let keys = keys(40);
            for (lifetime, key) in (0i64..).zip(&keys) {
                table.insert(*key, counter(lifetime), lifetime);
            }
            for now in 1_000..1_040 {
                // One is over now; one look of the hand may come by it or not.
                (0..8).for_each(|_| table.forget_one(now));
                let live = usize::try_from(now - 999).unwrap();
                assert!(keys[live..].iter().all(|key| table.find(*key).is_some()));
                assert_eq!(table.len(), keys.len() - live);
            }
        }
    }

    #[test]
    fn a_table_shrinks_when_most_of_it_is_over() {
        let mut table = Table::new(usize::MAX / 2);
        for key in &keys(10_000) {
            table.insert(*key, counter(0), 0);
        }
        let full = table.slots.len();
        table.rebuild(1_000);
        assert_eq!((table.len(), table.find(keys(1)[0])), (0, None));
        assert!(table.slots.len() < full / 100);
    }
}
