//! In which hours the uses of a note were.

use crate::clock::Timestamp;
use crate::source::{UsageBucket, UsagePoint};

/// How many hours are told apart before the last one: of a store that is away for longer, the oldest ones become one.
const MOST: usize = 48;

/// In which hours uses were. Only the earlier ones are counted; the latest has the rest.
#[derive(Debug, Default)]
pub(super) struct Hours {
    latest: i64,
    /// In no order, and without an allocation as long as there are none.
    earlier: Vec<(i64, u64)>,
}

impl Hours {
    /// Takes note of `count` uses at this instant, in addition to `known` ones.
    pub(super) fn add(&mut self, at: Timestamp, count: u64, known: u64) {
        let hour = UsageBucket::Hour.index(at);
        if known == 0 {
            self.latest = hour;
        } else if hour > self.latest {
            let rest = known.saturating_sub(self.earlier.iter().map(|(_, count)| count).sum());
            let latest = std::mem::replace(&mut self.latest, hour);
            self.count(latest, rest);
        } else if hour < self.latest {
            self.count(hour, count);
        }
    }

    fn count(&mut self, hour: i64, count: u64) {
        if let Some((_, counted)) = self.earlier.iter_mut().find(|(known, _)| *known == hour) {
            *counted = counted.saturating_add(count);
            return;
        }
        if self.earlier.len() == MOST {
            self.earlier.sort_unstable();
            let (_, oldest) = self.earlier.remove(0);
            self.earlier[0].1 = self.earlier[0].1.saturating_add(oldest);
        }
        self.earlier.push((hour, count));
    }

    /// The earlier hours, and forgets them.
    pub(super) fn take(&mut self) -> Vec<UsagePoint> {
        let mut earlier = std::mem::take(&mut self.earlier);
        earlier.sort_unstable();
        earlier.into_iter().map(|(hour, count)| UsagePoint::new(UsageBucket::Hour.nth(hour), count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(hours: &mut Hours) -> Vec<(i64, u64)> {
        hours.take().into_iter().map(|point| (UsageBucket::Hour.index(point.at), point.count)).collect()
    }

    #[test]
    fn each_use_is_in_its_hour_whatever_order_they_come_in() {
        let mut hours = Hours::default();
        let at = |hour| UsageBucket::Hour.nth(hour).saturating_add(std::time::Duration::from_secs(3_599));
        for (known, hour) in [5, 5, 6, 5, 6, 4, 8].into_iter().enumerate() {
            hours.add(at(hour), 1, known as u64);
        }
        assert_eq!(points(&mut hours), [(4, 1), (5, 3), (6, 2)], "the one in 8 is the rest");
        hours.add(at(9), 1, 0);
        assert_eq!(points(&mut hours), []);
    }

    #[test]
    fn a_store_that_is_away_for_long_costs_the_oldest_hours_their_place_and_no_use() {
        let mut hours = Hours::default();
        for hour in 0..1_000 {
            hours.add(UsageBucket::Hour.nth(hour), 1, hour as u64);
        }
        let points = points(&mut hours);
        assert_eq!((points.len(), points.iter().map(|(_, count)| count).sum::<u64>()), (MOST, 999));
    }
}
