//! The same types without the feature: nothing is kept, and nothing done.

#![allow(clippy::unused_self, reason = "the same calls do something with the feature")]

use super::Dropped;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watch(());

pub(crate) struct Drops;

pub(crate) struct UsageInstruments;

impl Sample {
    pub(crate) fn next() -> Self {
        Self
    }

    pub(crate) fn watch(self) -> Watch {
        Watch(())
    }
}

impl Watch {
    pub(crate) fn started() -> Self {
        Self(())
    }
}

impl Drops {
    pub(crate) fn of(_: Dropped) -> Self {
        Self
    }

    pub(crate) fn add(&self, _: u64) {}
}

impl UsageInstruments {
    pub(crate) fn new(_: &str) -> Self {
        Self
    }

    pub(crate) fn answered(&self, _: Watch) {}

    pub(crate) fn failed(&self) {}

    pub(crate) fn in_doubt(&self, _: u64) {}
}

#[cfg(feature = "cache")]
pub(crate) use cache::CacheInstruments;

#[cfg(feature = "cache")]
mod cache {
    use crate::instruments::{Forgotten, Known, LoadEnd};

    pub(crate) struct CacheInstruments;

    impl CacheInstruments {
        pub(crate) fn new(_: &str) -> Self {
            Self
        }

        pub(crate) fn looked_up(&self, _: Known) {}

        pub(crate) fn loaded(&self, _: LoadEnd) {}

        pub(crate) fn invalidated(&self, _: Forgotten) {}

        pub(crate) fn hears(&self, _: bool) {}

        pub(crate) fn entries(&self, _: impl FnOnce() -> usize, _: impl FnOnce() -> usize) {}
    }
}

#[cfg(feature = "redis")]
pub(crate) use limiter::LimiterInstruments;

#[cfg(feature = "redis")]
mod limiter {
    pub(crate) struct LimiterInstruments;

    impl LimiterInstruments {
        pub(crate) fn new(_: &str, _: &'static str) -> Self {
            Self
        }

        pub(crate) fn available(&self, _: bool) {}

        pub(crate) fn undecided(&self) {}
    }
}
