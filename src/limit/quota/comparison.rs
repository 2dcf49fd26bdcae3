//! Which of two quotas is the stronger.

use super::{Algorithm, Quota};

impl Quota {
    /// Whether `other` is no stronger than this one: whoever holds `other` can take no more at once, and no more in the
    /// long run.
    ///
    /// A fixed window lets twice its limit pass around the end of a window, and counts as such against the other
    /// algorithms. A quota with a mistake in it covers nothing, and is covered by nothing but [`Quota::UNLIMITED`].
    pub fn covers(&self, other: &Self) -> bool {
        if self.unlimited {
            return true;
        }
        if other.unlimited || self.check_numbers().is_err() || other.check_numbers().is_err() {
            return false;
        }
        match self.algorithm {
            Algorithm::SlidingWindow => other.most_within(u128::from(self.period_micros())) <= u128::from(self.limit),
            _ => other.peak_against(self.algorithm) <= u64::from(self.capacity()) && self.refills_as_fast_as(other),
        }
    }

    /// Whether a key under all of `made` is no stronger than one under all of `maker`: each of the maker's quotas
    /// covers at least one of the made.
    pub fn all_covered(maker: &[Self], made: &[Self]) -> bool {
        maker.iter().all(|own| own.unlimited || made.iter().any(|quota| own.covers(quota)))
    }

    fn refills_as_fast_as(&self, other: &Self) -> bool {
        let parts = |limit: u32, micros: u64| u128::from(limit) * u128::from(micros);
        parts(other.limit, self.period_micros()) <= parts(self.limit, other.period_micros())
    }

    /// The most that can be taken in a moment, in the eyes of a quota with the `judging` algorithm.
    fn peak_against(&self, judging: Algorithm) -> u64 {
        match (judging, self.algorithm) {
            (Algorithm::Gcra, Algorithm::FixedWindow) => u64::from(self.limit) * 2,
            _ => u64::from(self.capacity()),
        }
    }

    /// The most that can be taken in any stretch of time of this length.
    fn most_within(&self, micros: u128) -> u128 {
        let limit = u128::from(self.limit);
        let period = u128::from(self.period_micros());
        let periods = micros.div_ceil(period);
        match self.algorithm {
            Algorithm::FixedWindow => limit * (periods + 1),
            Algorithm::SlidingWindow => limit * periods,
            Algorithm::Gcra => u128::from(self.capacity()) + limit * micros / period,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_made_key_is_never_stronger_than_its_maker() {
        let hourly = Quota::per_hour(100);
        for weaker in [Quota::per_hour(100), Quota::per_hour(1), Quota::per_day(100), Quota::per_minute(1)] {
            assert!(hourly.covers(&weaker), "{weaker}");
        }
        for stronger in [Quota::per_hour(101), Quota::per_minute(2), Quota::per_day(2_400), Quota::UNLIMITED] {
            assert!(!hourly.covers(&stronger), "{stronger}");
        }
        assert!(Quota::UNLIMITED.covers(&Quota::UNLIMITED));
        assert!(Quota::UNLIMITED.covers(&hourly));
        let smooth = hourly.clone().algorithm(Algorithm::Gcra);
        assert!(hourly.covers(&smooth));
        assert!(!smooth.covers(&hourly), "a fixed window passes twice its limit around its end");
        assert!(smooth.covers(&Quota::per_hour(50)));
        assert!(!smooth.covers(&smooth.clone().burst(101)));
        assert!(smooth.covers(&smooth.clone().burst(5)));
        let sliding = hourly.clone().algorithm(Algorithm::SlidingWindow);
        assert!(hourly.covers(&sliding) && sliding.covers(&sliding) && sliding.covers(&Quota::per_day(50)));
        assert!(!sliding.covers(&hourly) && !sliding.covers(&smooth));
        assert!(sliding.covers(&Quota::per_hour(50).algorithm(Algorithm::Gcra)));
    }

    #[test]
    fn every_quota_of_the_maker_holds_for_what_it_makes() {
        let maker = [Quota::per_hour(100), Quota::per_second(2)];
        assert!(Quota::all_covered(&maker, &maker));
        assert!(Quota::all_covered(&maker, &[Quota::per_hour(2)]));
        assert!(!Quota::all_covered(&maker, &[Quota::per_hour(100)]));
        assert!(!Quota::all_covered(&maker, &[]), "no quota is no limit");
        assert!(Quota::all_covered(&[], &[Quota::UNLIMITED]));
        assert!(Quota::all_covered(&[Quota::UNLIMITED], &[]));
    }
}
