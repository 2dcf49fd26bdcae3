//! How much a client may do in how long: [`Quota`], its [`Algorithm`] and what can be wrong with one.

mod comparison;
mod error;
mod name;
mod text;
mod wire;

use std::borrow::Cow;
use std::time::Duration;

pub use self::error::QuotaError;
pub use self::name::QuotaName;

/// How much a client may do in how long: `limit` permits in every `period`.
///
/// ```
/// use std::time::Duration;
/// use tower_api_key::limit::{Algorithm, Quota};
///
/// const HOURLY: Quota = Quota::per_hour(100);
/// let smooth = Quota::per_second(10).burst(20).algorithm(Algorithm::Gcra).named("smooth");
/// let odd = Quota::new(5, Duration::from_secs(600));
///
/// assert_eq!(HOURLY.to_string(), "100 requests per hour");
/// assert_eq!(odd.to_string(), "5 requests per 10 minutes");
/// assert!(smooth.validate().is_ok());
/// assert!(Quota::per_hour(0).validate().is_err(), "0 is a mistake, not unlimited");
/// ```
///
/// As JSON: `{"name":"hourly","limit":100,"windowSeconds":3600,"burst":null,"algorithm":"fixed_window"}`, where only
/// `limit` and `windowSeconds` are required, or `{"unlimited":true}`. Unknown fields are refused.
///
/// A counter belongs to a subject and to the quota's name, period and algorithm. So several quotas on one subject do
/// not share a counter, a changed limit reaches a running window at once, and a changed period starts a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[must_use]
pub struct Quota {
    limit: u32,
    burst: Option<u32>,
    period: Duration,
    algorithm: Algorithm,
    name: Option<QuotaName>,
    unlimited: bool,
    /// A stable hash of name, period and algorithm, kept so that no request has to compute it.
    identity: u64,
}

/// How permits are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Algorithm {
    /// The first request opens a window of one period, in which `limit` permits can be taken. The default: it is what
    /// "100 requests an hour, resets at …" says. Around the end of a window twice the limit can pass in a short time.
    #[default]
    FixedWindow,
    /// No stretch of time as long as one period ever sees more than `limit` permits.
    ///
    /// Exact for up to 64 different instants inside a period. Beyond, instants are counted together at the latest of
    /// them, so that a permit comes back late by at most a 63rd of the period, and never early.
    SlidingWindow,
    /// The generic cell rate algorithm (ITU-T I.371): permits come back one by one, evenly over the period, up to the
    /// [burst](Quota::burst). Exact: nothing is lost or gained when the limit does not divide the period.
    Gcra,
}

impl Quota {
    /// No limit at all. The only way to say so.
    pub const UNLIMITED: Self = {
        let mut quota = Self::new(u32::MAX, Duration::from_secs(1));
        quota.unlimited = true;
        quota
    };

    /// The longest period a quota can have: 366 days.
    pub const MAX_PERIOD: Duration = Duration::from_secs(366 * 86_400);

    /// `limit` permits a second.
    pub const fn per_second(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// `limit` permits a minute.
    pub const fn per_minute(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    /// `limit` permits an hour.
    pub const fn per_hour(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(3_600))
    }

    /// `limit` permits a day of 24 hours.
    pub const fn per_day(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(86_400))
    }

    /// `limit` permits in every `period`, which counts in whole microseconds, rounded up.
    pub const fn new(limit: u32, period: Duration) -> Self {
        Self {
            limit,
            burst: None,
            period,
            algorithm: Algorithm::FixedWindow,
            name: None,
            unlimited: false,
            identity: name::identity(None, period, Algorithm::FixedWindow),
        }
    }

    /// Sets how many permits can be taken at once under [`Algorithm::Gcra`]. Default: the limit.
    pub const fn burst(mut self, permits: u32) -> Self {
        self.burst = Some(permits);
        self
    }

    /// Sets how permits are counted. Default: [`Algorithm::FixedWindow`].
    pub const fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self.identity = name::identity(self.name.as_ref(), self.period, algorithm);
        self
    }

    /// Names the quota, as header fields and logs show it. Default: from the period, such as `hourly` or `600s`.
    pub fn named(mut self, name: impl Into<QuotaName>) -> Self {
        let name = name.into();
        self.identity = name::identity(Some(&name), self.period, self.algorithm);
        self.name = Some(name);
        self
    }

    /// Finds what is wrong with it, if anything.
    ///
    /// # Errors
    /// A limit, burst or period of 0, a period above [`Quota::MAX_PERIOD`], a burst without [`Algorithm::Gcra`] or one
    /// that takes longer than [`Quota::MAX_PERIOD`] to come back, and a name that is not 1 to 64 of
    /// `A-Z a-z 0-9 _ . -`.
    pub fn validate(&self) -> Result<(), QuotaError> {
        if self.unlimited {
            return Ok(());
        }
        self.check_numbers()?;
        match &self.name {
            Some(name) if !name.is_valid() => Err(QuotaError::Name),
            _ => Ok(()),
        }
    }

    /// Whether it is [`Quota::UNLIMITED`].
    pub const fn is_unlimited(&self) -> bool {
        self.unlimited
    }

    /// How many permits a period has; `u32::MAX` when unlimited.
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many permits can be taken at once: the burst under [`Algorithm::Gcra`], else the limit.
    pub const fn capacity(&self) -> u32 {
        match (self.algorithm, self.burst) {
            (Algorithm::Gcra, Some(burst)) => burst,
            _ => self.limit,
        }
    }

    /// How long a period is.
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// How long the whole [capacity](Quota::capacity) takes to come back, which is the period unless there is a burst.
    pub fn window(&self) -> Duration {
        let micros = u128::from(self.capacity()) * u128::from(self.period_micros());
        let micros = micros.div_ceil(u128::from(self.limit.max(1)));
        Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    /// How permits are counted.
    pub const fn counting(&self) -> Algorithm {
        self.algorithm
    }

    /// Its name, or what its period is called.
    pub fn name(&self) -> Cow<'_, str> {
        match &self.name {
            Some(name) => Cow::Borrowed(name.as_str()),
            None => name::of_period(self.period),
        }
    }

    /// A hash of name, period and algorithm, the same on all nodes and in all versions: what tells counters of one
    /// subject apart.
    pub const fn identity(&self) -> u64 {
        self.identity
    }

    /// What each of `nodes` may admit on its own: limit and burst are divided, rounded down and at least 1.
    #[cfg(feature = "redis")]
    pub(crate) fn share(&self, nodes: u32) -> Self {
        if self.unlimited {
            return self.clone();
        }
        // A limit of 0 is a mistake, and stays one.
        let part = |permits: u32| (permits / nodes.max(1)).max(permits.min(1));
        Self { limit: part(self.limit), burst: self.burst.map(part), ..self.clone() }
    }

    /// The period in microseconds, rounded up.
    pub(crate) const fn period_micros(&self) -> u64 {
        self.period
            .as_secs()
            .saturating_mul(1_000_000)
            .saturating_add(self.period.subsec_nanos().div_ceil(1_000) as u64)
    }

    /// The part of [`Quota::validate`] that counting relies on.
    pub(crate) fn check_numbers(&self) -> Result<(), QuotaError> {
        if self.limit == 0 {
            Err(QuotaError::ZeroLimit)
        } else if self.period.is_zero() {
            Err(QuotaError::ZeroPeriod)
        } else if self.period > Self::MAX_PERIOD {
            Err(QuotaError::PeriodTooLong)
        } else {
            self.check_burst()
        }
    }

    fn check_burst(&self) -> Result<(), QuotaError> {
        match self.burst {
            None => Ok(()),
            Some(0) => Err(QuotaError::ZeroBurst),
            Some(_) if self.algorithm != Algorithm::Gcra => Err(QuotaError::BurstWithoutGcra),
            Some(burst) if self.is_beyond_max_period(burst) => Err(QuotaError::BurstTooLarge),
            Some(_) => Ok(()),
        }
    }

    /// Whether so many permits take too long to come back. Asked at every request, hence without dividing.
    fn is_beyond_max_period(&self, permits: u32) -> bool {
        const MAX_MICROS: u128 = Quota::MAX_PERIOD.as_micros();
        u128::from(permits) * u128::from(self.period_micros()) > u128::from(self.limit) * MAX_MICROS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_anywhere_is_a_mistake_and_never_unlimited() {
        let gcra = Quota::per_hour(1).algorithm(Algorithm::Gcra);
        let cases = [
            (Quota::per_hour(0), QuotaError::ZeroLimit),
            (Quota::new(1, Duration::ZERO), QuotaError::ZeroPeriod),
            (Quota::new(1, Duration::MAX), QuotaError::PeriodTooLong),
            (gcra.clone().burst(0), QuotaError::ZeroBurst),
            (gcra.clone().burst(u32::MAX), QuotaError::BurstTooLarge),
            (Quota::per_hour(1).burst(5), QuotaError::BurstWithoutGcra),
            (Quota::per_hour(1).named("has space"), QuotaError::Name),
            (Quota::per_hour(1).named(""), QuotaError::Name),
        ];
        for (quota, expected) in cases {
            assert_eq!(quota.validate(), Err(expected));
            assert!(!quota.is_unlimited());
        }
        for quota in [Quota::UNLIMITED, Quota::per_hour(u32::MAX), gcra.burst(8_784), Quota::new(1, Quota::MAX_PERIOD)]
        {
            assert_eq!(quota.validate(), Ok(()));
        }
    }

    #[test]
    fn what_tells_counters_apart_is_the_same_in_every_version() {
        // Changing these numbers makes nodes of two versions count apart, and forgets what Redis has counted.
        assert_eq!(Quota::per_hour(100).identity(), Quota::per_hour(7).identity());
        assert_eq!(Quota::per_hour(100).identity(), 2_754_084_769_432_701_458);
        assert_eq!(Quota::per_hour(100).named("hourly").identity(), 7_466_601_801_241_920_409);
        assert_ne!(Quota::per_hour(100).identity(), Quota::per_minute(100).identity());
        let gcra = Quota::per_hour(100).named("hourly").algorithm(Algorithm::Gcra);
        assert_eq!(gcra, Quota::per_hour(100).algorithm(Algorithm::Gcra).named("hourly"));
        assert_ne!(gcra.identity(), Quota::per_hour(100).named("hourly").identity());
    }

    #[test]
    fn a_window_is_as_long_as_the_whole_burst_takes_to_come_back() {
        let gcra = Quota::per_hour(100).algorithm(Algorithm::Gcra);
        assert_eq!(gcra.window(), Duration::from_secs(3_600));
        assert_eq!(gcra.clone().burst(10).window(), Duration::from_secs(360));
        assert_eq!(gcra.burst(200).window(), Duration::from_secs(7_200));
    }
}
