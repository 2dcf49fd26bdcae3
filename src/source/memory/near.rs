//! Copies of the records that a thread uses most.
//!
//! A record is shared by a count of those who hold it, and a count that several processors write costs each of them
//! several times as much. So a record that a thread looks up again and again is copied for it. The copy stands for that
//! very record: whatever changes it puts another in its place, which this thread finds as everybody does.

use std::cell::RefCell;

use crate::key::{KeyRecord, KeyRef};

/// How many records a thread has copies of.
const PLACES: usize = 64;

#[derive(Default)]
struct Place {
    /// A record and its copy. The record is kept so that no other one gets its address.
    copied: Option<(KeyRef, KeyRef)>,
    /// The address of another record that was looked up after the last use of the copy.
    other: usize,
}

thread_local! {
    static NEAR: RefCell<[Place; PLACES]> = RefCell::new(std::array::from_fn(|_| Place::default()));
}

/// The record, or a copy of it that is this thread's alone.
pub(super) fn near(record: &KeyRef) -> KeyRef {
    let found = NEAR.try_with(|places| {
        let address = record.address();
        // Records are some hundred bytes long.
        let place = &mut places.borrow_mut()[(address >> 6 ^ address >> 14) % PLACES];
        match &place.copied {
            Some((of, copy)) if of.address() == address => {
                place.other = 0;
                copy.clone()
            }
            _ if place.other == address => {
                let copy = KeyRef::from(KeyRecord::clone(record));
                *place = Place { copied: Some((record.clone(), copy.clone())), other: 0 };
                copy
            }
            _ => {
                place.other = address;
                record.clone()
            }
        }
    });
    // A thread that is about to end has no copies left.
    found.unwrap_or_else(|_| record.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyHasher, KeyId};

    fn record(number: usize) -> KeyRef {
        let id = KeyId::new(format!("key_{number}")).unwrap();
        KeyRecord::new(id, KeyHasher::sha256().digest(&number.to_string())).into()
    }

    #[test]
    fn whatever_was_looked_up_before_the_record_is_the_one_that_was_asked_for() {
        let records: Vec<KeyRef> = (0..500).map(record).collect();
        for step in 0..50_000 {
            let wanted = &records[step * step % 7 * (step % 71)];
            let found = near(wanted);
            assert_eq!((&found.id, found.digest), (&wanted.id, wanted.digest));
        }
    }

    #[test]
    fn a_record_that_is_used_again_is_copied_and_its_successor_is_another() {
        let first = record(1);
        let found: Vec<KeyRef> = (0..4).map(|_| near(&first)).collect();
        assert_eq!(found[0].address(), first.address());
        assert_ne!(found[2].address(), first.address());
        assert_eq!(found[2].address(), found[3].address());
        let mut changed = KeyRecord::clone(&first);
        changed.disabled = true;
        let changed = KeyRef::from(changed);
        assert!((0..4).all(|_| near(&changed).disabled));
    }
}
