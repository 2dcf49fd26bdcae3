//! The ways to a record, each of the size of a pointer to it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRecord, KeyRef};
use crate::source::store::{KeyCursor, Series};
use crate::source::{KeyUsage, UsagePoint, UsageRange};

/// What only management asks for. Its lock is also the one that writers hold, so that no change is lost. Trees, since they
/// have never to be laid out anew.
#[derive(Clone, Default)]
pub(super) struct Index {
    by_id: BTreeSet<ById>,
    by_age: BTreeSet<ByAge>,
    /// When those that were used were used.
    series: BTreeMap<KeyId, Series>,
    /// How many changes were made.
    pub(super) changes: u64,
}

#[derive(Clone)]
struct ById(KeyRef);

#[derive(Clone)]
struct ByAge(KeyRef);

impl Index {
    /// The same records, and no changes yet.
    pub(super) fn fork(&self) -> Self {
        Self { changes: 0, series: BTreeMap::new(), ..self.clone() }
    }

    pub(super) fn get(&self, id: &KeyId) -> Option<&KeyRef> {
        self.by_id.get(id.as_str()).map(|found| &found.0)
    }

    /// The record, in place of the one that has its id.
    pub(super) fn put(&mut self, record: &KeyRef) {
        self.changes += 1;
        self.by_id.replace(ById(record.clone()));
        self.by_age.replace(ByAge(record.clone()));
    }

    pub(super) fn remove(&mut self, record: &KeyRecord) {
        self.changes += 1;
        self.by_id.remove(record.id.as_str());
        self.by_age.remove(record as &dyn Placed);
        self.series.remove(&record.id);
    }

    /// Adds to the series of the keys that there are.
    pub(super) fn count(&mut self, usage: &[KeyUsage]) {
        for used in usage {
            if self.get(&used.id).is_some() {
                let series = self.series.entry(used.id.clone()).or_default();
                used.by_hour().for_each(|point| series.add(point.at, point.count));
            }
        }
    }

    pub(super) fn points(&self, id: &KeyId, range: &UsageRange) -> Vec<UsagePoint> {
        self.series.get(id).map(|series| series.points(range)).unwrap_or_default()
    }

    pub(super) fn oldest_first(&self) -> impl Iterator<Item = &KeyRef> {
        self.by_age.iter().map(|found| &found.0)
    }

    /// Those that are older than a place in the list, the newest first.
    pub(super) fn newest_first_before(&self, end: Option<&KeyCursor>) -> impl Iterator<Item = &KeyRef> {
        let end = end.map_or(Bound::Unbounded, |end| Bound::Excluded(end as &dyn Placed));
        self.by_age.range::<dyn Placed, _>((Bound::Unbounded, end)).rev().map(|found| &found.0)
    }
}

impl Ord for ById {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.id.as_str().cmp(other.0.id.as_str())
    }
}

impl PartialOrd for ById {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for ById {}

impl Borrow<str> for ById {
    fn borrow(&self) -> &str {
        self.0.id.as_str()
    }
}

/// What stands at a place in the list of all keys: by age, and by id among those of one instant.
trait Placed {
    fn place(&self) -> (Timestamp, &str);
}

impl Placed for KeyRecord {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at.unwrap_or(Timestamp::UNIX_EPOCH), self.id.as_str())
    }
}

impl Placed for KeyCursor {
    fn place(&self) -> (Timestamp, &str) {
        (self.created_at, self.id.as_str())
    }
}

impl<'a> Borrow<dyn Placed + 'a> for ByAge {
    fn borrow(&self) -> &(dyn Placed + 'a) {
        &*self.0
    }
}

impl Ord for dyn Placed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place().cmp(&other.place())
    }
}

impl PartialOrd for dyn Placed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Placed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for dyn Placed + '_ {}

impl Ord for ByAge {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.place().cmp(&other.0.place())
    }
}

impl PartialOrd for ByAge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByAge {
    fn eq(&self, other: &Self) -> bool {
        self.0.place() == other.0.place()
    }
}

impl Eq for ByAge {}
