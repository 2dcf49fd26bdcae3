//! How long keys may live.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::ConfigError;

/// How long keys may live, from when they are made; as long as they like, unless set.
///
/// ```
/// use std::time::Duration;
///
/// use tower_api_key::clock::Timestamp;
/// use tower_api_key::source::{KeyLife, KeyLifeRefusal};
///
/// const DAY: Duration = Duration::from_secs(86_400);
///
/// let life = KeyLife::unlimited().default_life(30 * DAY).greatest(90 * DAY);
/// let made = Timestamp::from_unix_seconds(1_768_413_600);
/// assert_eq!(life.end(None, made), Ok(Some(made.saturating_add(30 * DAY))));
/// assert_eq!(
///     life.end(Some(made.saturating_add(91 * DAY)), made),
///     Err(KeyLifeRefusal::TooLong { greatest: 90 * DAY })
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[must_use]
pub struct KeyLife {
    default: Option<Duration>,
    least: Duration,
    greatest: Option<Duration>,
}

impl KeyLife {
    /// Any life, and none that ends by itself.
    pub const fn unlimited() -> Self {
        Self { default: None, least: Duration::ZERO, greatest: None }
    }

    /// The life of a key for which nothing else is said; the greatest there may be, unless set.
    pub const fn default_life(mut self, life: Duration) -> Self {
        self.default = Some(life);
        self
    }

    /// No key may live shorter.
    pub const fn least(mut self, life: Duration) -> Self {
        self.least = life;
        self
    }

    /// No key may live longer, or for ever.
    pub const fn greatest(mut self, life: Duration) -> Self {
        self.greatest = Some(life);
        self
    }

    /// Whether there is a life that all three settings allow.
    ///
    /// # Errors
    /// When they contradict each other. No key can be made then that keeps to them.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let bounds = self.least..=self.greatest.unwrap_or(Duration::MAX);
        if bounds.is_empty() || bounds.end().is_zero() {
            return Err(ConfigError::new("life", "the greatest life must be above zero and the least"));
        }
        match self.default {
            Some(default) if !bounds.contains(&default) => {
                Err(ConfigError::new("life", "the default must be between the least and the greatest life"))
            }
            _ => Ok(()),
        }
    }

    /// When a key ends that was `made` then, and for which the end `asked` is wished, if any is.
    ///
    /// # Errors
    /// When the life until then is too short or too long.
    pub fn end(&self, asked: Option<Timestamp>, made: Timestamp) -> Result<Option<Timestamp>, KeyLifeRefusal> {
        let Some(end) = asked.or_else(|| Some(made.saturating_add(self.default.or(self.greatest)?))) else {
            return Ok(None);
        };
        match self.greatest {
            Some(greatest) if end > made.saturating_add(greatest) => Err(KeyLifeRefusal::TooLong { greatest }),
            _ if !self.least.is_zero() && end < made.saturating_add(self.least) => {
                Err(KeyLifeRefusal::TooShort { least: self.least })
            }
            _ => Ok(Some(end)),
        }
    }

    /// `end`, or the last instant that a key made then may live to, whichever is first.
    pub(crate) fn capped(&self, end: Option<Timestamp>, made: Timestamp) -> Option<Timestamp> {
        let last = self.greatest.map(|greatest| made.saturating_add(greatest));
        end.into_iter().chain(last).min()
    }
}

/// A key cannot have the end that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyLifeRefusal {
    /// It would live shorter than keys have to.
    #[error("a key must live for at least {} seconds", least.as_secs())]
    TooShort {
        /// The least life.
        least: Duration,
    },
    /// It would live longer than keys may, or for ever.
    #[error("a key may live for at most {} seconds", greatest.as_secs())]
    TooLong {
        /// The greatest life.
        greatest: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn an_end_is_held_against_the_least_and_the_greatest_life() {
        let made = Timestamp::from_unix_seconds(1_000);
        let after = |life| Some(made.saturating_add(life));
        let life = KeyLife::unlimited().least(DAY).greatest(3 * DAY);
        for (asked, end) in [
            (None, Ok(after(3 * DAY))),
            (after(DAY), Ok(after(DAY))),
            (after(3 * DAY), Ok(after(3 * DAY))),
            (after(DAY - Duration::from_micros(1)), Err(KeyLifeRefusal::TooShort { least: DAY })),
            (Some(made), Err(KeyLifeRefusal::TooShort { least: DAY })),
            (after(3 * DAY + Duration::from_micros(1)), Err(KeyLifeRefusal::TooLong { greatest: 3 * DAY })),
        ] {
            assert_eq!(life.end(asked, made), end, "{asked:?}");
        }
        assert_eq!(KeyLife::unlimited().end(None, made), Ok(None));
        assert_eq!(KeyLife::unlimited().end(Some(Timestamp::UNIX_EPOCH), made), Ok(Some(Timestamp::UNIX_EPOCH)));
        assert_eq!(life.capped(None, made), after(3 * DAY));
        assert_eq!(life.capped(after(DAY), made), after(DAY));
    }

    #[test]
    fn settings_that_contradict_each_other_are_refused() {
        assert_eq!(KeyLife::unlimited().validate(), Ok(()));
        assert_eq!(KeyLife::unlimited().least(DAY).default_life(DAY).greatest(DAY).validate(), Ok(()));
        for life in [
            KeyLife::unlimited().least(2 * DAY).greatest(DAY),
            KeyLife::unlimited().greatest(Duration::ZERO),
            KeyLife::unlimited().greatest(DAY).default_life(2 * DAY),
            KeyLife::unlimited().least(DAY).default_life(Duration::from_secs(1)),
        ] {
            assert!(life.validate().is_err(), "{life:?}");
        }
    }
}
