//! What a gate counts and times. Without the feature `metrics` it is nothing.

#[cfg(feature = "metrics")]
mod counted;
#[cfg(not(feature = "metrics"))]
mod uncounted;

#[cfg(feature = "metrics")]
pub(crate) use self::counted::{GateInstruments, KnownBy};
#[cfg(not(feature = "metrics"))]
pub(crate) use self::uncounted::{GateInstruments, KnownBy};

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Credential,
    Source,
    Session,
    Limiter,
    Credits,
    Decision,
}
