//! What a quota is called, and what tells its counters from others.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::Algorithm;

/// A quota's name: 1 to 64 characters out of `A-Z a-z 0-9 _ . -`. Cheap to clone.
#[derive(Clone)]
pub struct QuotaName {
    text: Text,
    hash: u64,
}

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl QuotaName {
    /// From a text that is part of the program.
    pub const fn from_static(name: &'static str) -> Self {
        Self { text: Text::Static(name), hash: fnv(FNV_OFFSET, name.as_bytes()) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        match &self.text {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }

    pub(super) fn is_valid(&self) -> bool {
        let name = self.as_str();
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        (1..=64).contains(&name.len()) && name.bytes().all(allowed)
    }
}

impl From<&'static str> for QuotaName {
    fn from(name: &'static str) -> Self {
        Self::from_static(name)
    }
}

impl From<String> for QuotaName {
    fn from(name: String) -> Self {
        Self { hash: fnv(FNV_OFFSET, name.as_bytes()), text: Text::Shared(name.into()) }
    }
}

impl PartialEq for QuotaName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for QuotaName {}

impl Hash for QuotaName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for QuotaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for QuotaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a quota without a name of its own is called.
pub(super) fn of_period(period: Duration) -> Cow<'static, str> {
    match (period.as_secs(), period.subsec_nanos()) {
        (1, 0) => Cow::Borrowed("per-second"),
        (60, 0) => Cow::Borrowed("per-minute"),
        (3_600, 0) => Cow::Borrowed("hourly"),
        (86_400, 0) => Cow::Borrowed("daily"),
        (seconds, 0) => Cow::Owned(format!("{seconds}s")),
        _ => Cow::Owned(format!("{}us", period.as_micros())),
    }
}

/// A stable hash of name, period and algorithm.
pub(super) const fn identity(name: Option<&QuotaName>, period: Duration, algorithm: Algorithm) -> u64 {
    let hash = match name {
        Some(name) => name.hash,
        None => FNV_OFFSET,
    };
    let algorithm = match algorithm {
        Algorithm::FixedWindow => 0,
        Algorithm::SlidingWindow => 1,
        Algorithm::Gcra => 2,
    };
    fnv(fnv(hash, &period.as_nanos().to_le_bytes()), &[algorithm])
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a, 64 bits: names of quotas come from the service's own configuration, so nobody picks them to collide.
const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(FNV_PRIME);
        at += 1;
    }
    hash
}
