//! What the book of uses, caches and shared limiters count.

#[cfg(feature = "redis")]
use ::metrics::Gauge;
use ::metrics::{Counter, Histogram};

use super::Dropped;
use super::handle::{Share, Watch, counter, gauge, histogram};
use crate::metrics;

/// Counts what was lost.
pub(crate) struct Drops(Counter);

impl Drops {
    pub(crate) fn of(what: Dropped) -> Self {
        let what = match what {
            Dropped::Audit => "audit",
            Dropped::Usage => "usage",
            Dropped::UsageInDoubt => "usage_in_doubt",
        };
        Self(counter(metrics::DROPPED, &[("what", what)]))
    }

    pub(crate) fn add(&self, number: u64) {
        self.0.increment(number);
    }
}

/// The instruments of a book of uses.
pub(crate) struct UsageInstruments {
    in_doubt: Drops,
    errors: Counter,
    batches: Histogram,
    expiring: [Share; 3],
}

impl UsageInstruments {
    pub(crate) fn new(store: &str) -> Self {
        Self {
            in_doubt: Drops::of(Dropped::UsageInDoubt),
            errors: counter(metrics::BACKEND_ERRORS, &[("backend", store)]),
            batches: histogram(metrics::STAGE_DURATION, &[("stage", "usage"), ("from", "backend")]),
            expiring: ["1d", "7d", "30d"].map(|within| Share::of(gauge(metrics::EXPIRING_KEYS, &[("within", within)]))),
        }
    }

    pub(crate) fn answered(&self, watch: Watch) {
        watch.stop(&self.batches);
    }

    pub(crate) fn failed(&self) {
        self.errors.increment(1);
    }

    pub(crate) fn in_doubt(&self, uses: u64) {
        self.in_doubt.add(uses);
    }

    /// How many keys expire within a day, seven and thirty.
    pub(crate) fn expiring(&self, keys: [usize; 3]) {
        self.expiring.iter().zip(keys).for_each(|(share, keys)| share.set(keys as u64));
    }
}

#[cfg(feature = "cache")]
pub(crate) use cache::CacheInstruments;

#[cfg(feature = "cache")]
mod cache {
    use super::*;
    use crate::instruments::{Forgotten, Known, LoadEnd};

    /// The instruments of a cache.
    pub(crate) struct CacheInstruments {
        lookups: [Counter; 3],
        loads: [Counter; 5],
        invalidations: [Counter; 4],
        records: Share,
        absences: Share,
        errors: Counter,
        source: Box<str>,
    }

    impl CacheInstruments {
        pub(crate) fn new(source: &str) -> Self {
            metrics::describe();
            let counters = |name, label, value| counter(name, &[("source", source), (label, value)]);
            let entries = |kind| Share::of(gauge(metrics::CACHE_ENTRIES, &[("source", source), ("kind", kind)]));
            Self {
                lookups: ["hit", "absent", "miss"].map(|result| counters(metrics::CACHE_LOOKUPS, "result", result)),
                loads: ["found", "absent", "stale", "failed", "overtaken"]
                    .map(|result| counters(metrics::CACHE_LOADS, "result", result)),
                invalidations: ["key", "digest", "absent", "all"]
                    .map(|what| counters(metrics::CACHE_INVALIDATIONS, "what", what)),
                records: entries("record"),
                absences: entries("absence"),
                errors: counter(metrics::BACKEND_ERRORS, &[("backend", source)]),
                source: source.into(),
            }
        }

        pub(crate) fn looked_up(&self, known: Known) {
            self.lookups[known as usize].increment(1);
        }

        pub(crate) fn loaded(&self, end: LoadEnd) {
            self.loads[end as usize].increment(1);
            // Nobody else hears of this one.
            if end == LoadEnd::Stale {
                self.errors.increment(1);
            }
        }

        pub(crate) fn invalidated(&self, what: Forgotten) {
            self.invalidations[what as usize].increment(1);
        }

        /// Whether the bus is heard. Of a cache without one there is no gauge.
        pub(crate) fn hears(&self, bus: bool) {
            gauge(metrics::CACHE_BUS_CONNECTED, &[("source", &self.source)]).set(u8::from(bus));
        }

        pub(crate) fn entries(&self, records: impl FnOnce() -> usize, absences: impl FnOnce() -> usize) {
            self.records.set(records() as u64);
            self.absences.set(absences() as u64);
        }
    }
}

#[cfg(feature = "redis")]
pub(crate) use limiter::LimiterInstruments;

#[cfg(feature = "redis")]
mod limiter {
    use super::*;
    /// The instruments of a limiter that nodes share.
    pub(crate) struct LimiterInstruments {
        available: Gauge,
        undecided: Counter,
    }

    impl LimiterInstruments {
        pub(crate) fn new(prefix: &str, on_unavailable: &'static str) -> Self {
            metrics::describe();
            let undecided = [("limiter", prefix), ("on_unavailable", on_unavailable)];
            let instruments = Self {
                available: gauge(metrics::LIMITER_AVAILABLE, &[("limiter", prefix)]),
                undecided: counter(metrics::LIMITER_UNDECIDED, &undecided),
            };
            instruments.available(true);
            instruments
        }

        pub(crate) fn available(&self, is_available: bool) {
            self.available.set(u8::from(is_available));
        }

        pub(crate) fn undecided(&self) {
            self.undecided.increment(1);
        }
    }
}
