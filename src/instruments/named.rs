//! A bounded number of things, by the names of sources and backends.

use std::sync::OnceLock;

use crate::metrics::MOST_NAMES;

/// What there is for each name, made when it first turns up; one for all names that are too many.
pub(crate) struct Named<T> {
    slots: [OnceLock<(Box<str>, T)>; MOST_NAMES],
    other: T,
    make: fn(&str) -> T,
}

impl<T> Named<T> {
    pub(crate) fn new(make: fn(&str) -> T) -> Self {
        Self { slots: [const { OnceLock::new() }; MOST_NAMES], other: make("other"), make }
    }

    /// The place of `name`. There are [`MOST_NAMES`], and one more.
    pub(crate) fn place(&self, name: &str) -> usize {
        let is_its = |slot: &OnceLock<(Box<str>, T)>| *slot.get_or_init(|| (name.into(), (self.make)(name))).0 == *name;
        self.slots.iter().position(is_its).unwrap_or(MOST_NAMES)
    }

    pub(crate) fn at(&self, place: usize) -> &T {
        self.slots.get(place).and_then(OnceLock::get).map_or(&self.other, |(_, thing)| thing)
    }

    pub(crate) fn of(&self, name: &str) -> &T {
        self.at(self.place(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_place_and_those_that_are_too_many_share_one() {
        let named = Named::new(str::to_owned);
        for round in 0..2 {
            for number in 0..100 {
                let name = format!("source {number}");
                let expected = if number < MOST_NAMES { name.as_str() } else { "other" };
                assert_eq!(named.of(&name), expected, "round {round}");
            }
        }
    }
}
