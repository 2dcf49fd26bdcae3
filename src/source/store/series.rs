//! How often a key was used, by the hour and by the day.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How many hours, and how many days, a [`Series`] goes back.
const HOURS: i64 = 14 * 24;
const DAYS: i64 = 400;

/// A part of a series: an hour, or a day of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageBucket {
    /// An hour.
    Hour,
    /// A day of UTC.
    Day,
}

impl UsageBucket {
    /// How long it is.
    pub const fn length(self) -> Duration {
        Duration::from_secs(self.seconds() as u64)
    }

    /// When the one begins that has this instant in it.
    pub const fn start(self, at: Timestamp) -> Timestamp {
        self.nth(self.index(at))
    }

    const fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Its number since 1970-01-01T00:00:00Z.
    pub(crate) const fn index(self, at: Timestamp) -> i64 {
        at.unix_seconds().div_euclid(self.seconds())
    }

    /// When the one of that number begins.
    pub(crate) const fn nth(self, index: i64) -> Timestamp {
        Timestamp::from_unix_seconds(index.saturating_mul(self.seconds()))
    }
}

/// Which part of a series to read: the buckets from that of `from` up to that of the instant before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageRange {
    /// An instant in the first bucket.
    pub from: Timestamp,
    /// The end, which is not in the range itself.
    pub to: Timestamp,
    /// What is counted together.
    pub bucket: UsageBucket,
}

impl UsageRange {
    /// From the bucket of `from` to the end of that which `to` is in or ends.
    pub const fn new(from: Timestamp, to: Timestamp, bucket: UsageBucket) -> Self {
        Self { from, to, bucket }
    }

    /// The numbers of the buckets, the first one and the one behind the last.
    pub(crate) fn indices(&self) -> std::ops::Range<i64> {
        let last = self.to.saturating_sub(Duration::from_micros(1));
        let end = if self.to > self.from { self.bucket.index(last) + 1 } else { self.bucket.index(self.from) };
        self.bucket.index(self.from)..end
    }
}

/// How often a key was used in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UsagePoint {
    /// When the bucket begins.
    pub at: Timestamp,
    /// How often.
    pub count: u64,
}

impl UsagePoint {
    /// So many uses in the bucket that begins then.
    pub const fn new(at: Timestamp, count: u64) -> Self {
        Self { at, count }
    }
}

/// A series that is kept in memory or in a file: the last 14 days by the hour, and the last 400 by the day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::source) struct Series {
    hours: BTreeMap<i64, u64>,
    days: BTreeMap<i64, u64>,
}

impl Series {
    /// Adds the uses of an hour.
    pub(in crate::source) fn add(&mut self, hour: Timestamp, count: u64) {
        add(&mut self.hours, UsageBucket::Hour.index(hour), count, HOURS);
        add(&mut self.days, UsageBucket::Day.index(hour), count, DAYS);
    }

    /// The buckets of a range in which there are uses.
    pub(in crate::source) fn points(&self, range: &UsageRange) -> Vec<UsagePoint> {
        let kept = match range.bucket {
            UsageBucket::Hour => &self.hours,
            UsageBucket::Day => &self.days,
        };
        let within = range.indices();
        if within.is_empty() {
            return Vec::new();
        }
        kept.range(within).map(|(index, count)| UsagePoint::new(range.bucket.nth(*index), *count)).collect()
    }
}

/// Adds to a bucket, and forgets those that are too old beside the latest one.
fn add(buckets: &mut BTreeMap<i64, u64>, index: i64, count: u64, kept: i64) {
    let latest = buckets.last_key_value().map_or(index, |(latest, _)| index.max(*latest));
    let oldest = latest.saturating_sub(kept - 1);
    if index >= oldest {
        let bucket = buckets.entry(index).or_default();
        *bucket = bucket.saturating_add(count);
    }
    while buckets.first_key_value().is_some_and(|(first, _)| *first < oldest) {
        buckets.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_goes_back_so_far_and_no_further() {
        let mut series = Series::default();
        let hour = |index| UsageBucket::Hour.nth(index);
        for index in 0..24 * 500 {
            series.add(hour(index), 2);
        }
        assert_eq!((series.hours.len() as i64, series.days.len() as i64), (HOURS, DAYS));
        let all = |bucket| series.points(&UsageRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX, bucket));
        assert!(all(UsageBucket::Day).iter().all(|point| point.count == 48));
        assert_eq!(all(UsageBucket::Day).last().unwrap().at, UsageBucket::Day.nth(499));
        assert_eq!(all(UsageBucket::Hour).first().unwrap().at, hour(24 * 500 - HOURS));
        series.add(hour(0), 1);
        assert_eq!((series.hours.len() as i64, series.days.len() as i64), (HOURS, DAYS), "what is too old is not kept");
    }

    #[test]
    fn a_range_has_the_buckets_that_it_touches() {
        let at = |seconds| Timestamp::from_unix_seconds(seconds);
        let indices = |from, to| UsageRange::new(at(from), at(to), UsageBucket::Hour).indices();
        assert_eq!(indices(3_600, 7_200), 1..2);
        assert_eq!(indices(3_599, 7_201), 0..3);
        assert!(indices(7_200, 7_200).is_empty() && indices(7_200, 0).is_empty());
    }
}
