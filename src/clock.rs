//! The one source of time.
//!
//! Every decision that depends on time (expiry, limits, overlap, audit) reads it from a [`Clock`], once a request. The
//! clock is a value: tests put a fake one in its place, so that nothing has to sleep.

mod written;

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant of wall time, in microseconds since 1970-01-01T00:00:00Z.
///
/// Displays, serialises and parses as ISO 8601 in UTC with milliseconds, `2026-01-14T18:00:00.000Z`. Any RFC 3339
/// offset is accepted when parsing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Self = Self(0);

    /// The last instant there is, 9999-12-30T22:00:00.000Z: later ones could not be written in every time zone with a
    /// year of four digits. Arithmetic and parsing saturate here.
    pub const MAX: Self = Self(253_402_207_200_000_000);

    /// From whole seconds since the epoch, saturating at [`Timestamp::MAX`] and at its negative.
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self::clamped(seconds.saturating_mul(1_000_000))
    }

    /// From milliseconds since the epoch, saturating at [`Timestamp::MAX`] and at its negative.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self::clamped(millis.saturating_mul(1_000))
    }

    /// From microseconds since the epoch, saturating at [`Timestamp::MAX`] and at its negative.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self::clamped(micros)
    }

    const fn clamped(micros: i64) -> Self {
        if micros > Self::MAX.0 {
            Self::MAX
        } else if micros < -Self::MAX.0 {
            Self(-Self::MAX.0)
        } else {
            Self(micros)
        }
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Whole milliseconds since the epoch, rounded towards the past.
    pub const fn unix_millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Microseconds since the epoch.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// This instant moved `by` into the future, saturating at [`Timestamp::MAX`].
    pub fn saturating_add(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self::clamped(self.0.saturating_add(by))
    }

    /// This instant moved `by` into the past, saturating.
    pub fn saturating_sub(self, by: Duration) -> Self {
        let by = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        Self::clamped(self.0.saturating_sub(by))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }

    /// The next whole millisecond, for instants that are written down with milliseconds and must not come too early.
    pub(crate) const fn rounded_up_to_millis(self) -> Self {
        Self::clamped((self.0.saturating_add(999)).div_euclid(1_000) * 1_000)
    }

    /// As it is displayed, but with microseconds: reads back as the same instant.
    pub(crate) fn exact(self) -> String {
        format!("{:.6}", self.to_jiff())
    }

    /// An HTTP date (RFC 9110 §5.6.7), `Wed, 14 Jan 2026 18:00:00 GMT`; `None` before the year 0.
    pub(crate) fn to_http_date(self) -> Option<String> {
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&self.to_jiff()).ok()
    }

    fn to_jiff(self) -> jiff::Timestamp {
        // Within four-digit years by construction, which is within what jiff can hold.
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(written) = self.written()
            && let Ok(text) = std::str::from_utf8(&written)
        {
            return f.write_str(text);
        }
        let millis = jiff::Timestamp::from_millisecond(self.unix_millis()).unwrap_or_else(|_| self.to_jiff());
        write!(f, "{millis:.3}")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<jiff::Timestamp>() {
            Ok(parsed) => Ok(Self::clamped(parsed.as_microsecond())),
            // "The end of 9999" is what many write for never.
            Err(_) if is_in_the_last_hours(text) => Ok(Self::MAX),
            Err(_) => Err(ParseTimestampError(())),
        }
    }
}

fn is_in_the_last_hours(text: &str) -> bool {
    let civil = text.strip_suffix(['Z', 'z']).and_then(|civil| civil.parse::<jiff::civil::DateTime>().ok());
    civil.is_some_and(|civil| civil >= jiff::civil::date(9999, 12, 30).at(22, 0, 0, 0))
}

/// The text is not an RFC 3339 date and time with an offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a date and time such as 2026-01-14T18:00:00Z")]
pub struct ParseTimestampError(());

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::UNIX_EPOCH.saturating_add(after),
            Err(before) => Self::UNIX_EPOCH.saturating_sub(before.duration()),
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        match u64::try_from(time.0) {
            Ok(after) => UNIX_EPOCH + Duration::from_micros(after),
            Err(_) => UNIX_EPOCH - Duration::from_micros(time.0.unsigned_abs()),
        }
    }
}

/// Where the time comes from.
///
/// Implementations must never step back: a later call returns the same instant or a later one.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

/// The clock of the operating system, kept from stepping back.
///
/// When the system's clock is set back, this one stands still until the system's has caught up. All values of this type
/// share that memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The latest instant that any [`SystemClock`] has returned, in steps coarse enough that a busy process seldom writes it.
static LATEST: AtomicI64 = AtomicI64::new(i64::MIN);

/// How far time may advance, in microseconds, before [`LATEST`] is written again: writing it on every call would make
/// all cores share one cache line. A step back by less than this can go unseen.
const LATEST_STEP: i64 = 1_000;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let read = Timestamp::from(SystemTime::now());
        let latest = LATEST.load(Ordering::Relaxed);
        if read.0 < latest {
            return Timestamp(latest);
        }
        if read.0.saturating_sub(latest) >= LATEST_STEP {
            LATEST.fetch_max(read.0, Ordering::Relaxed);
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_utc_with_milliseconds() {
        let instant = Timestamp::from_unix_micros(1_768_413_600_123_456);
        assert_eq!(instant.to_string(), "2026-01-14T18:00:00.123Z");
        assert_eq!(Timestamp::UNIX_EPOCH.to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-30T22:00:00.000Z");
    }

    #[test]
    fn an_http_date_is_in_gmt() {
        let date = Timestamp::from_unix_millis(1_768_413_600_999).to_http_date();
        assert_eq!(date.as_deref(), Some("Wed, 14 Jan 2026 18:00:00 GMT"));
    }

    #[test]
    fn any_offset_is_read_and_anything_else_is_refused() {
        let parsed: Timestamp = "2026-01-14T20:00:00+02:00".parse().unwrap();
        assert_eq!(parsed.to_string(), "2026-01-14T18:00:00.000Z");
        assert_eq!("9999-12-31T23:59:59Z".parse(), Ok(Timestamp::MAX));
        for text in ["", "2026-01-14", "tomorrow", "2026-13-01T00:00:00Z", "1768413600"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX.saturating_add(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix_seconds(i64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::UNIX_EPOCH.since(Timestamp::MAX), Duration::ZERO);
        assert_eq!(SystemTime::from(Timestamp::from_unix_seconds(-1)), UNIX_EPOCH - Duration::from_secs(1));
    }

    #[test]
    fn the_system_clock_never_steps_back() {
        let mut last = SystemClock.now();
        for _ in 0..10_000 {
            let now = SystemClock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
