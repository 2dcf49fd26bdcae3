//! One part of the counters, behind one lock.

use super::key::Key;
use super::table::Table;
use crate::clock::Timestamp;
use crate::limit::counter::{Counter, Rule};
use crate::limit::{Charge, LimitState};

/// Counters of subjects of their own, and counters that newcomers share while there is no room.
#[derive(Debug)]
pub(super) struct Shard {
    own: Table,
    shared: Table,
    groups: usize,
}

/// Where a counter is, or would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Own(usize),
    Shared(usize),
    NewOwn,
    NewShared(Key),
    /// There is no room for it.
    Nowhere,
}

impl Shard {
    pub(super) fn new(capacity: usize) -> Self {
        let shared = capacity.div_ceil(4).max(1);
        Self { own: Table::new(capacity), shared: Table::new(shared), groups: shared.div_ceil(4) }
    }

    pub(super) fn entries(&self) -> usize {
        self.own.len() + self.shared.len()
    }

    pub(super) fn max_entries(&self) -> usize {
        self.own.capacity() + self.shared.capacity()
    }

    /// How a charge of `cost` permits would fare, and where it is counted. A place holds until the next call.
    pub(super) fn look(
        &mut self,
        key: Key,
        charge: &Charge<'_>,
        rule: &Rule,
        cost: u64,
        now: Timestamp,
    ) -> (Place, LimitState) {
        if let Some(index) = self.own.find(key) {
            return (Place::Own(index), self.own.counter(index).look(rule, cost, now));
        }
        let place = self.place_newcomer(key, charge, now);
        let state = match place {
            Place::Shared(index) => self.shared.counter(index).look(rule, cost, now),
            Place::Nowhere => {
                let room_at = self.own.earliest_free_at().min(self.shared.earliest_free_at());
                rule.without_room(Timestamp::from_unix_micros(room_at), now)
            }
            _ => Counter::new(charge.quota.counting()).look(rule, cost, self.not_forgotten(now)),
        };
        (place, state)
    }

    /// Takes the permits of a charge whose counter is there, if it is admitted.
    pub(super) fn take_known(&mut self, key: Key, cost: u32, rule: &Rule, now: Timestamp) -> Option<LimitState> {
        let index = self.own.find(key)?;
        let counter = self.own.counter_mut(index);
        counter.admits(rule, u64::from(cost), now).then(|| counter.take(rule, cost, now))
    }

    /// Takes the permits of a charge that [`Shard::look`] has admitted at this place.
    pub(super) fn take(
        &mut self,
        place: Place,
        key: Key,
        charge: &Charge<'_>,
        rule: &Rule,
        now: Timestamp,
    ) -> LimitState {
        let start = self.not_forgotten(now);
        let (table, key) = match place {
            Place::Own(index) => return self.own.counter_mut(index).take(rule, charge.cost, now),
            Place::Shared(index) => return self.shared.counter_mut(index).take(rule, charge.cost, now),
            // An earlier charge of the same request took the room: one counter too many is better than one too few.
            Place::NewOwn | Place::Nowhere => (&mut self.own, key),
            Place::NewShared(group) => (&mut self.shared, group),
        };
        let mut counter = Counter::new(charge.quota.counting());
        let state = counter.take(rule, charge.cost, start);
        table.insert(key, counter, now.unix_micros());
        state
    }

    /// While the newcomers' group has a counter that is not over, this one may have used it before, and goes on so.
    fn place_newcomer(&mut self, key: Key, charge: &Charge<'_>, now: Timestamp) -> Place {
        let group = key.of_group(charge, self.groups);
        let shared = self.shared.find(group);
        match shared {
            Some(index) if self.shared.counter(index).free_at() > now.unix_micros() => Place::Shared(index),
            _ if self.own.has_room(key, now.unix_micros()) => Place::NewOwn,
            Some(index) => Place::Shared(index),
            None if self.shared.has_room(group, now.unix_micros()) => Place::NewShared(group),
            None => Place::Nowhere,
        }
    }

    /// `now`, but not before an instant by which a counter was found to be over and forgotten.
    fn not_forgotten(&self, now: Timestamp) -> Timestamp {
        let forgotten = self.own.forgotten_until().max(self.shared.forgotten_until());
        now.max(Timestamp::from_unix_micros(forgotten))
    }
}
