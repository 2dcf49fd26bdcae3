//! How clients are told about limits: [`LimitHeaders`].

mod ietf;
mod value;

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};

pub(crate) use self::value::number as header_number;
use super::{Charge, Decision, LimitState, Verdict};
use crate::clock::Timestamp;
use crate::limit::decision::whole_seconds;

/// Which header fields tell clients about limits.
///
/// | family | fields | default |
/// | --- | --- | --- |
/// | `x_ratelimit` | `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset` | on |
/// | `ietf` | `RateLimit-Policy`, `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-11 | off |
/// | `retry_after` | `Retry-After` in whole seconds (RFC 9110, section 10.2.3), on refusals | on |
///
/// The first family describes the limit that the [`Decision`] is about, the second lists every limit by the name of its
/// quota (of several with one name, the one that matters most). All instants and waits are rounded up, so that a client
/// that waits as told is not too early, and under a fixed window a refusal's `Reset`, `t` and `Retry-After` agree.
/// Under GCRA, `q` is the burst and `w` the time in which all of it comes back, which is the same rate.
///
/// # Why `ietf` is off
/// A widely used npm parser looks at `RateLimit` first, and reads the present draft's syntax as not-a-number even when
/// `X-RateLimit-*` stand beside it.
///
/// # What a handler has set
/// If a response has a field of a family already, the handler speaks for itself: nothing is overwritten, and nothing of
/// that family is added that could contradict it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct LimitHeaders {
    x_ratelimit: bool,
    reset: ResetFormat,
    ietf: bool,
    retry_after: bool,
}

/// How `X-RateLimit-Reset` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ResetFormat {
    /// `2026-01-14T18:00:00.000Z`.
    #[default]
    Iso8601Millis,
    /// Seconds since 1970, rounded up.
    EpochSeconds,
    /// Seconds from now, rounded up.
    DeltaSeconds,
}

/// The names of the first family.
pub(crate) const X_RATELIMIT: [HeaderName; 3] = [LIMIT, REMAINING, RESET];
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

impl LimitHeaders {
    /// `x_ratelimit` with [`ResetFormat::Iso8601Millis`], and `retry_after`.
    pub const fn new() -> Self {
        Self { x_ratelimit: true, reset: ResetFormat::Iso8601Millis, ietf: false, retry_after: true }
    }

    /// No fields at all.
    pub const fn none() -> Self {
        Self { x_ratelimit: false, reset: ResetFormat::Iso8601Millis, ietf: false, retry_after: false }
    }

    /// Sets whether `X-RateLimit-Limit`, `-Remaining` and `-Reset` are sent.
    pub const fn x_ratelimit(mut self, on: bool) -> Self {
        self.x_ratelimit = on;
        self
    }

    /// Sets how `X-RateLimit-Reset` is written.
    pub const fn reset(mut self, format: ResetFormat) -> Self {
        self.reset = format;
        self
    }

    /// Sets whether `RateLimit-Policy` and `RateLimit` are sent.
    pub const fn ietf(mut self, on: bool) -> Self {
        self.ietf = on;
        self
    }

    /// Sets whether `Retry-After` is sent with refusals.
    pub const fn retry_after(mut self, on: bool) -> Self {
        self.retry_after = on;
        self
    }

    /// The fields that can be sent, for `Access-Control-Expose-Headers`.
    pub fn names(&self) -> impl Iterator<Item = HeaderName> + use<> {
        let x = X_RATELIMIT.into_iter().filter({
            let on = self.x_ratelimit;
            move |_| on
        });
        let ietf = [POLICY, STATE].into_iter().filter({
            let on = self.ietf;
            move |_| on
        });
        x.chain(ietf).chain(self.retry_after.then_some(RETRY_AFTER))
    }

    /// Whether every limit has to be reported, not the closest alone.
    #[must_use]
    pub const fn lists_each(&self) -> bool {
        self.ietf
    }

    /// Adds the fields to a response. `charges`, `decision` and `now` are what the limiter was asked and answered.
    pub fn apply(&self, headers: &mut HeaderMap, charges: &[Charge<'_>], decision: &Decision, now: Timestamp) {
        if let Some(report) = self.report(charges, decision, now) {
            self.write(&report, headers);
        }
    }

    /// What the fields will say. Owned, so that it can be kept while the request is served; `None` without a limit.
    pub(crate) fn report(&self, charges: &[Charge<'_>], decision: &Decision, now: Timestamp) -> Option<LimitReport> {
        let ietf = self.ietf.then(|| ietf::values(charges, decision, now).collect());
        decision.state().map(|state| LimitReport { state: *state, now, ietf })
    }

    /// Writes a [`report`](Self::report) into the fields of a response.
    pub(crate) fn write(&self, report: &LimitReport, headers: &mut HeaderMap) {
        // Going through the few fields there are is faster than looking each of ours up.
        let has = |prefix: &str| headers.keys().any(|name| name.as_str().starts_with(prefix));
        let x_ratelimit = self.x_ratelimit && !has("x-ratelimit-");
        let ietf = report.ietf.as_deref().filter(|_| !headers.contains_key(POLICY) && !headers.contains_key(STATE));
        if x_ratelimit {
            headers.insert(LIMIT, value::number(u64::from(report.state.limit)));
            headers.insert(REMAINING, value::number(u64::from(report.state.remaining)));
            headers.insert(RESET, self.reset_value(&report.state, report.now));
        }
        if let Some(values) = ietf {
            for (name, value) in [POLICY, STATE].into_iter().zip(values) {
                headers.insert(name, value.clone());
            }
        }
        if let Some(seconds) = report.state.retry_after_seconds()
            && self.retry_after
            && !headers.contains_key(RETRY_AFTER)
        {
            headers.insert(RETRY_AFTER, value::number(seconds));
        }
    }

    /// What the fields of a response say that has none of them yet; `None` if there are others than those of the first
    /// family and `Retry-After`.
    pub(crate) fn values(&self, report: &LimitReport) -> Option<LimitValues> {
        if report.ietf.is_some() {
            return None;
        }
        let state = &report.state;
        let x_ratelimit = self.x_ratelimit.then(|| {
            let [limit, remaining] = [state.limit, state.remaining].map(|permits| value::number(u64::from(permits)));
            [limit, remaining, self.reset_value(state, report.now)]
        });
        Some(LimitValues { x_ratelimit, retry_after: state.retry_after_seconds().filter(|_| self.retry_after) })
    }

    /// Whether `Retry-After` is among the fields.
    pub(crate) const fn tells_retry_after(&self) -> bool {
        self.retry_after
    }

    fn reset_value(&self, state: &LimitState, now: Timestamp) -> HeaderValue {
        match self.reset {
            ResetFormat::Iso8601Millis => value::iso8601(state.reset),
            ResetFormat::EpochSeconds => value::repeated(value::ceiling(state.reset.unix_micros(), 1_000_000)),
            ResetFormat::DeltaSeconds => value::number(whole_seconds(state.reset.since(now))),
        }
    }
}

/// What the fields of the first family, and `Retry-After`, say of a limit.
#[derive(Debug, Default)]
pub(crate) struct LimitValues {
    pub(crate) x_ratelimit: Option<[HeaderValue; 3]>,
    pub(crate) retry_after: Option<u64>,
}

/// How limits stood when a request was decided on.
#[derive(Debug, Clone)]
pub(crate) struct LimitReport {
    pub(crate) state: LimitState,
    now: Timestamp,
    /// `RateLimit-Policy` and `RateLimit`, if they are sent.
    ietf: Option<Box<[HeaderValue]>>,
}

impl LimitReport {
    /// The limit was looked at, and not asked for: it tells nobody to wait.
    pub(crate) const fn tell_no_wait(&mut self) {
        self.state.verdict = Verdict::Admitted;
    }
}

impl Default for LimitHeaders {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
