//! From when until when a token holds (RFC 7519 §4.1.4 to §4.1.6).

use std::time::Duration;

use serde_json::{Map, Value};

use super::SessionProblem;
use crate::clock::Timestamp;

/// When a session holds, with the tolerance for clocks that differ taken in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Validity {
    not_before: Timestamp,
    /// The first instant at which it no longer holds.
    until: Timestamp,
}

impl Validity {
    #[cfg(feature = "sessions-better-auth")]
    pub(super) fn until(until: Timestamp) -> Self {
        Self { not_before: Timestamp::from_unix_micros(i64::MIN), until }
    }

    /// What the claims `exp`, `nbf` and `iat` say, and `exp` itself. Without `exp` a token would hold for ever: it is
    /// refused.
    pub(super) fn of_claims(
        claims: &Map<String, Value>,
        tolerance: Duration,
    ) -> Result<(Self, Timestamp), SessionProblem> {
        let expires_at = numeric_date(claims, "exp")?.ok_or(SessionProblem::Malformed)?;
        let not_before = numeric_date(claims, "nbf")?.unwrap_or(Timestamp::from_unix_micros(i64::MIN));
        numeric_date(claims, "iat")?;
        let not_before = not_before.saturating_sub(tolerance);
        Ok((Self { not_before, until: expires_at.saturating_add(tolerance) }, expires_at))
    }

    /// No later than `until`.
    #[cfg(feature = "sessions-better-auth")]
    pub(super) fn at_most(self, until: Timestamp) -> Self {
        Self { until: self.until.min(until), ..self }
    }

    pub(super) fn check(&self, now: Timestamp) -> Result<(), SessionProblem> {
        if now >= self.until {
            Err(SessionProblem::Expired)
        } else if now < self.not_before {
            Err(SessionProblem::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// Seconds since the epoch, with or without a fraction (RFC 7519 §2). `None` if there is no such claim, and an error if it
/// is no number.
fn numeric_date(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, SessionProblem> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(Timestamp::from_unix_seconds(seconds)));
    }
    let seconds = value.as_f64().ok_or(SessionProblem::Malformed)?;
    // Casting saturates, and JSON has no NaN.
    Ok(Some(Timestamp::from_unix_micros((seconds * 1e6) as i64)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(claims: &Value, now: i64) -> Result<(), SessionProblem> {
        let (validity, _) = Validity::of_claims(claims.as_object().unwrap(), Duration::from_secs(15))?;
        validity.check(Timestamp::from_unix_seconds(now))
    }

    #[test]
    fn a_session_ends_at_its_time_and_the_tolerance() {
        let cases = [
            (json!({"exp": 1000}), 1014, Ok(())),
            (json!({"exp": 1000}), 1015, Err(SessionProblem::Expired)),
            (json!({"exp": 1000.5}), 1015, Ok(())),
            (json!({"exp": 1e300}), 1_800_000_000, Ok(())),
            (json!({"exp": u64::MAX}), 1_800_000_000, Ok(())),
            (json!({"exp": -1e300}), 0, Err(SessionProblem::Expired)),
            (json!({"exp": 9999, "nbf": 1015}), 1000, Ok(())),
            (json!({"exp": 9999, "nbf": 1016}), 1000, Err(SessionProblem::NotYetValid)),
            (json!({"exp": "9999"}), 1000, Err(SessionProblem::Malformed)),
            (json!({"exp": null}), 1000, Err(SessionProblem::Malformed)),
            (json!({"exp": 9999, "nbf": "1"}), 1000, Err(SessionProblem::Malformed)),
            (json!({"exp": 9999, "iat": "1"}), 1000, Err(SessionProblem::Malformed)),
            (json!({}), 1000, Err(SessionProblem::Malformed)),
        ];
        for (claims, now, expected) in cases {
            assert_eq!(check(&claims, now), expected, "{claims} at {now}");
        }
    }
}
