//! When credits come back: [`Refill`].

use std::borrow::Cow;
use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::Timestamp;

/// Brings the balance up to `amount`, every so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refill {
    /// What the balance is brought up to.
    pub amount: u64,
    /// How often.
    pub every: RefillInterval,
}

/// How often credits are refilled. As JSON: `"daily"`, `"monthly"`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefillInterval {
    /// Each time so much time has passed since the credits were given. Shorter than a second counts as a second.
    Every(Duration),
    /// At midnight, UTC.
    Daily,
    /// At midnight, UTC, on the day of the month on which the credits were given, or on the last day of a month that is
    /// too short.
    Monthly,
}

impl Refill {
    /// Up to `amount`, so often.
    pub const fn new(amount: u64, every: RefillInterval) -> Self {
        Self { amount, every }
    }
}

impl RefillInterval {
    /// The latest refill after `last` that is due by `now`.
    pub(crate) fn latest_due(self, since: Timestamp, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let due = match self {
            Self::Every(interval) => {
                let interval = micros(interval);
                let passed = i128::from(now.unix_micros()) - i128::from(last.unix_micros());
                let whole = passed.max(0) / interval * interval;
                Timestamp::from_unix_micros(last.unix_micros().saturating_add(i64::try_from(whole).unwrap_or(i64::MAX)))
            }
            Self::Daily => start_of(civil(now)?)?,
            Self::Monthly => {
                let today = civil(now)?;
                let this_month = in_month(today, day_of(since)?)?;
                let due = if this_month > today { in_month(month_before(today)?, day_of(since)?)? } else { this_month };
                start_of(due)?
            }
        };
        (due > last && due <= now).then_some(due)
    }

    /// The first refill after `last`.
    pub(super) fn next_due(self, since: Timestamp, last: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(interval) => {
                let interval = i64::try_from(micros(interval)).unwrap_or(i64::MAX);
                let next = Timestamp::from_unix_micros(last.unix_micros().saturating_add(interval));
                (next < Timestamp::MAX).then_some(next)
            }
            Self::Daily => start_of(civil(last)?.tomorrow().ok()?),
            Self::Monthly => {
                let day = civil(last)?;
                let this_month = start_of(in_month(day, day_of(since)?)?)?;
                if this_month > last {
                    Some(this_month)
                } else {
                    start_of(in_month(month_after(day)?, day_of(since)?)?)
                }
            }
        }
    }
}

impl Serialize for RefillInterval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Every(interval) => serializer.serialize_u64(interval.as_secs().max(1)),
            Self::Daily => serializer.serialize_str("daily"),
            Self::Monthly => serializer.serialize_str("monthly"),
        }
    }
}

impl<'de> Deserialize<'de> for RefillInterval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire<'a> {
            Seconds(u64),
            #[serde(borrow)]
            Name(Cow<'a, str>),
        }
        match Wire::deserialize(deserializer)? {
            Wire::Seconds(0) => Err(de::Error::custom("a refill interval must be at least one second")),
            Wire::Seconds(seconds) => Ok(Self::Every(Duration::from_secs(seconds))),
            Wire::Name(name) if name == "daily" => Ok(Self::Daily),
            Wire::Name(name) if name == "monthly" => Ok(Self::Monthly),
            Wire::Name(_) => {
                Err(de::Error::custom("a refill interval is \"daily\", \"monthly\" or a number of seconds"))
            }
        }
    }
}

fn micros(interval: Duration) -> i128 {
    i128::try_from(interval.as_micros()).unwrap_or(i128::MAX).max(1_000_000)
}

/// The day, in UTC. None only outside of the years that the calendar knows.
fn civil(instant: Timestamp) -> Option<Date> {
    let instant = jiff::Timestamp::from_microsecond(instant.unix_micros()).ok()?;
    Some(TimeZone::UTC.to_datetime(instant).date())
}

fn day_of(instant: Timestamp) -> Option<i8> {
    civil(instant).map(Date::day)
}

fn start_of(day: Date) -> Option<Timestamp> {
    let midnight = TimeZone::UTC.to_timestamp(day.at(0, 0, 0, 0)).ok()?;
    Some(Timestamp::from_unix_micros(midnight.as_microsecond()))
}

/// The day of this number in the month of `day`, or the last one there is.
fn in_month(day: Date, number: i8) -> Option<Date> {
    Date::new(day.year(), day.month(), number.min(day.days_in_month())).ok()
}

fn month_before(day: Date) -> Option<Date> {
    day.first_of_month().yesterday().ok()
}

fn month_after(day: Date) -> Option<Date> {
    day.last_of_month().tomorrow().ok()
}
