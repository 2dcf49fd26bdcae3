//! What the rooms of the crate count and time. Without the feature `metrics` every type here is empty, and every call nothing.

#[cfg(feature = "metrics")]
mod handle;
#[cfg(feature = "metrics")]
mod named;
#[cfg(not(feature = "metrics"))]
mod off;
#[cfg(feature = "metrics")]
mod parts;

#[cfg(not(feature = "metrics"))]
use self::off as parts;

#[cfg(all(feature = "cache", not(feature = "redis")))]
pub(crate) use self::parts::CacheInstruments;
#[cfg(all(feature = "redis", not(feature = "cache")))]
pub(crate) use self::parts::LimiterInstruments;
#[cfg(all(feature = "cache", feature = "redis"))]
pub(crate) use self::parts::{CacheInstruments, LimiterInstruments};
pub(crate) use self::parts::{Drops, UsageInstruments};

#[cfg(feature = "metrics")]
pub(crate) use self::handle::{Sample, Share, Watch, counter, gauge, histogram};
#[cfg(feature = "metrics")]
pub(crate) use self::named::Named;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::{Sample, Watch};

/// What is lost when a memory is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "nobody asks which it is"))]
pub(crate) enum Dropped {
    /// Events that the audit trail had no room for.
    Audit,
    /// Uses that were not noted.
    Usage,
    /// Uses that a store was told of and never answered.
    UsageInDoubt,
}

/// What a cache knew.
#[cfg(feature = "cache")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    Record,
    Absence,
    Nothing,
}

/// What a cache was told to forget.
#[cfg(feature = "cache")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forgotten {
    Key,
    Digest,
    Absent,
    All,
}

/// How a load of a cache ended.
#[cfg(feature = "cache")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadEnd {
    Found,
    Absent,
    Stale,
    Failed,
    Overtaken,
}
