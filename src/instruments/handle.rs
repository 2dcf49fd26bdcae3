//! Counters, gauges and histograms that were asked for once.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ::metrics::{Counter, Gauge, Histogram, Label};

/// How many requests that are answered from memory one is timed of, on each thread.
const SAMPLED: u32 = 64;

thread_local! {
    static TURN: Cell<u32> = const { Cell::new(0) };
}

/// Whether the stages of a request are timed that need not wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample(bool);

impl Sample {
    /// Of the next request.
    pub(crate) fn next() -> Self {
        let turn = TURN.get();
        TURN.set(turn.wrapping_add(1));
        Self(turn.is_multiple_of(SAMPLED))
    }

    pub(crate) fn watch(self) -> Watch {
        if self.0 { Watch::started() } else { Watch::default() }
    }
}

/// When something began; nothing, if it is not timed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Watch(Option<Instant>);

impl Watch {
    pub(crate) fn started() -> Self {
        Self(Some(Instant::now()))
    }

    pub(crate) fn stop(self, histogram: &Histogram) {
        if let Watch(Some(started)) = self {
            histogram.record(started.elapsed());
        }
    }
}

/// A gauge that several share, each with a part of its own, which goes with it.
pub(crate) struct Share {
    gauge: Gauge,
    part: AtomicU64,
}

impl Share {
    pub(crate) const fn of(gauge: Gauge) -> Self {
        Self { gauge, part: AtomicU64::new(0) }
    }

    pub(crate) fn set(&self, part: u64) {
        let before = self.part.swap(part, Ordering::Relaxed);
        if part > before {
            self.gauge.increment((part - before) as f64);
        } else if before > part {
            self.gauge.decrement((before - part) as f64);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

pub(crate) fn counter(name: &'static str, labels: &[(&'static str, &str)]) -> Counter {
    ::metrics::counter!(name, owned(labels))
}

pub(crate) fn gauge(name: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
    ::metrics::gauge!(name, owned(labels))
}

pub(crate) fn histogram(name: &'static str, labels: &[(&'static str, &str)]) -> Histogram {
    ::metrics::histogram!(name, owned(labels))
}

fn owned(labels: &[(&'static str, &str)]) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}
