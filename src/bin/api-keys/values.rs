//! Values of arguments.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Zoned};
use serde_json::{Map, Value};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::is_web_origin;
use tower_api_key::limit::{Algorithm, Quota};

/// When something ends or began: `30d`, `2027-01-01`, `2027-01-01T12:00:00Z`, `never`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Instant {
    Never,
    At(Timestamp),
    /// So far from now.
    Away(Length),
}

/// A length of time: `90s`, `1d`, `2 weeks`, `6mo`, `P30D`. A month has as many days as it has from now on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length(Span);

impl Length {
    /// From `now` on.
    pub(crate) fn after(self, now: Timestamp) -> Timestamp {
        moved(now, self.0)
    }

    /// Up to `now`.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        moved(now, -self.0)
    }

    pub(crate) fn duration(self, now: Timestamp) -> Duration {
        self.after(now).since(now)
    }
}

impl Instant {
    /// The instant, if there is one, where a length of time is meant from `now` on.
    pub(crate) fn ahead(self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Never => None,
            Self::At(instant) => Some(instant),
            Self::Away(length) => Some(length.after(now)),
        }
    }
}

fn moved(now: Timestamp, by: Span) -> Timestamp {
    let start = jiff::Timestamp::from_microsecond(now.unix_micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let there = Zoned::new(start, TimeZone::UTC).saturating_add(by);
    Timestamp::from_unix_micros(there.timestamp().as_microsecond())
}

pub(crate) fn length(text: &str) -> Result<Length, String> {
    let span: Span = text.trim().parse().map_err(|_| "expected a length of time such as 90s, 12h or 30d".to_owned())?;
    if span.is_negative() { Err("must not be negative".to_owned()) } else { Ok(Length(span)) }
}

pub(crate) fn instant(text: &str) -> Result<Instant, String> {
    let text = text.trim();
    if text == "never" {
        return Ok(Instant::Never);
    }
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Ok(Instant::At(instant));
    }
    if let Ok(date) = text.parse::<Date>() {
        let start = date.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
        return Ok(Instant::At(Timestamp::from_unix_seconds(start.timestamp().as_second())));
    }
    let expected = "expected 30d, 2027-01-01, 2027-01-01T12:00:00Z or never";
    length(text).map(Instant::Away).map_err(|_| expected.to_owned())
}

/// `100/hour`, `10/s`, `5/10m`, `smooth=10/second:gcra:20`, `unlimited`.
pub(crate) fn quota(text: &str) -> Result<Quota, String> {
    if text == "unlimited" {
        return Ok(Quota::UNLIMITED);
    }
    let (name, rest) = text.split_once('=').map_or((None, text), |(name, rest)| (Some(name), rest));
    let mut parts = rest.split(':');
    let expected = || "expected [NAME=]LIMIT/PERIOD[:fixed|sliding|gcra[:BURST]], such as 100/hour".to_owned();
    let (limit, per) = parts.next().and_then(|amount| amount.split_once('/')).ok_or_else(expected)?;
    let mut quota = Quota::new(limit.parse().map_err(|_| expected())?, period(per).ok_or_else(expected)?);
    quota = match parts.next() {
        None => quota,
        Some("fixed") => quota.algorithm(Algorithm::FixedWindow),
        Some("sliding") => quota.algorithm(Algorithm::SlidingWindow),
        Some("gcra") => quota.algorithm(Algorithm::Gcra),
        Some(_) => return Err(expected()),
    };
    if let Some(burst) = parts.next() {
        quota = quota.burst(burst.parse().map_err(|_| expected())?);
    }
    if let Some(name) = name {
        quota = quota.named(name.to_owned());
    }
    if parts.next().is_some() {
        return Err(expected());
    }
    quota.validate().map_err(|error| error.to_string())?;
    Ok(quota)
}

fn period(text: &str) -> Option<Duration> {
    let seconds = match text {
        "s" | "second" => 1,
        "m" | "minute" => 60,
        "h" | "hour" => 3_600,
        "d" | "day" => 86_400,
        _ => return length(text).ok().map(|length| length.duration(Timestamp::UNIX_EPOCH)),
    };
    Some(Duration::from_secs(seconds))
}

/// Trimmed, 1 to 100 characters, none of them a control character.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name.chars().count() {
        0 => Err("must not be empty".to_owned()),
        101.. => Err("must have at most 100 characters".to_owned()),
        _ if name.chars().any(char::is_control) => Err("must have no control characters".to_owned()),
        _ => Ok(name.to_owned()),
    }
}

pub(crate) fn origin(text: &str) -> Result<String, String> {
    if is_web_origin(text) { Ok(text.to_owned()) } else { Err("expected https://app.example.com".to_owned()) }
}

/// `KEY=VALUE`, where the value is a text.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "expected a JSON object".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_a_date_or_a_length_of_time() {
        let now: Timestamp = "2026-01-14T18:00:00Z".parse().unwrap();
        for (text, ahead) in [
            ("never", None),
            ("90s", Some("2026-01-14T18:01:30.000Z")),
            ("30d", Some("2026-02-13T18:00:00.000Z")),
            ("1mo", Some("2026-02-14T18:00:00.000Z")),
            ("2 weeks", Some("2026-01-28T18:00:00.000Z")),
            ("P1Y", Some("2027-01-14T18:00:00.000Z")),
            ("2027-01-01", Some("2027-01-01T00:00:00.000Z")),
            ("2027-01-01T12:00:00+01:00", Some("2027-01-01T11:00:00.000Z")),
            ("9999y", Some("9999-12-30T22:00:00.000Z")),
        ] {
            let instant = instant(text).unwrap().ahead(now).map(|instant| instant.to_string());
            assert_eq!(instant.as_deref(), ahead, "{text}");
        }
        assert_eq!(length("1h").unwrap().before(now).to_string(), "2026-01-14T17:00:00.000Z");
        for text in ["", "soon", "30", "-1d", "1d ago", "2027-13-01", "30 parsecs"] {
            assert!(instant(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_quota_is_written_as_limit_and_period() {
        assert_eq!(quota("100/hour"), Ok(Quota::per_hour(100)));
        assert_eq!(quota("5/10m"), Ok(Quota::new(5, Duration::from_secs(600))));
        assert_eq!(
            quota("smooth=10/s:gcra:20"),
            Ok(Quota::per_second(10).algorithm(Algorithm::Gcra).burst(20).named("smooth"))
        );
        assert_eq!(quota("unlimited"), Ok(Quota::UNLIMITED));
        for text in
            ["", "0/hour", "5", "5/", "/hour", "5/hour:leaky", "5/hour:fixed:3", "5/hour:gcra:3:4", "a b=5/hour"]
        {
            assert!(quota(text).is_err(), "{text}");
        }
    }
}
