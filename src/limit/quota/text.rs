//! How a quota reads in a sentence.

use std::fmt;
use std::time::Duration;

use super::{Algorithm, Quota};

/// `100 requests per hour`, `1 request per second`, `5 requests per 10 minutes`, `unlimited`.
impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.unlimited {
            return f.write_str("unlimited");
        }
        let plural = if self.limit == 1 { "" } else { "s" };
        write!(f, "{} request{plural} per ", self.limit)?;
        write_period(f, self.period)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::FixedWindow => "fixed window",
            Self::SlidingWindow => "sliding window",
            Self::Gcra => "GCRA",
        })
    }
}

const UNITS: [(u128, &str); 6] = [
    (86_400_000_000_000, "day"),
    (3_600_000_000_000, "hour"),
    (60_000_000_000, "minute"),
    (1_000_000_000, "second"),
    (1_000_000, "millisecond"),
    (1_000, "microsecond"),
];

/// Writes the period in the largest unit that it is a whole number of.
fn write_period(f: &mut fmt::Formatter<'_>, period: Duration) -> fmt::Result {
    let nanos = period.as_nanos();
    let (count, unit) = match UNITS.iter().find(|(length, _)| nanos != 0 && nanos.is_multiple_of(*length)) {
        Some((length, unit)) => (nanos / length, *unit),
        None => (nanos, "nanosecond"),
    };
    match count {
        1 => f.write_str(unit),
        count => write!(f, "{count} {unit}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_as_a_person_would_write_it() {
        let cases = [
            (Quota::per_hour(100), "100 requests per hour"),
            (Quota::per_second(1), "1 request per second"),
            (Quota::new(5, Duration::from_secs(600)), "5 requests per 10 minutes"),
            (Quota::new(5, Duration::from_secs(90)), "5 requests per 90 seconds"),
            (Quota::new(2, Duration::from_millis(250)), "2 requests per 250 milliseconds"),
            (Quota::per_day(1_000), "1000 requests per day"),
            (Quota::new(0, Duration::ZERO), "0 requests per 0 nanoseconds"),
            (Quota::UNLIMITED, "unlimited"),
        ];
        for (quota, text) in cases {
            assert_eq!(quota.to_string(), text);
        }
    }
}
