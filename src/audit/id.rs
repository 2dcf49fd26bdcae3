//! What an event is called, which says where it stands among others.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::clock::Timestamp;

/// Names an event, and orders events as they were recorded: a later one is greater, and displays as a greater text.
///
/// `evt_`, the microseconds since 1970-01-01T00:00:00Z in 15 hexadecimal digits, and 8 that differ from process to process.
/// No two events of a process share a microsecond: whoever comes second is moved on by one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuditEventId {
    micros: u64,
    process: u32,
}

impl AuditEventId {
    /// Smaller than any that is given out.
    pub(super) const NONE: Self = Self { micros: 0, process: 0 };

    /// The id of the event that a process has recorded at this microsecond.
    pub fn new(recorded_at: Timestamp, process: u32) -> Self {
        Self { micros: u64::try_from(recorded_at.unix_micros()).unwrap_or(0), process }
    }

    /// When it was recorded, at the earliest.
    pub fn recorded_at(self) -> Timestamp {
        Timestamp::from_unix_micros(i64::try_from(self.micros).unwrap_or(i64::MAX))
    }

    /// The next one of this process, if `self` was its last.
    pub(super) fn next(self, at: Timestamp, process: u32) -> Self {
        let next = Self::new(at, process);
        Self { micros: next.micros.max(self.micros.saturating_add(1)), process }
    }
}

impl fmt::Display for AuditEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "evt_{:015x}{:08x}", self.micros, self.process)
    }
}

impl fmt::Debug for AuditEventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for AuditEventId {
    type Err = InvalidAuditEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("evt_").filter(|digits| digits.len() == 23).ok_or(InvalidAuditEventId(()))?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)) {
            return Err(InvalidAuditEventId(()));
        }
        let (micros, process) = digits.split_at(15);
        let micros = u64::from_str_radix(micros, 16).map_err(|_| InvalidAuditEventId(()))?;
        let process = u32::from_str_radix(process, 16).map_err(|_| InvalidAuditEventId(()))?;
        Ok(Self { micros, process })
    }
}

/// The text is no id of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the id of an event, or a cursor from an earlier answer")]
pub struct InvalidAuditEventId(());

impl Serialize for AuditEventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AuditEventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_ordered_as_they_were_given_and_so_are_their_texts() {
        let at = Timestamp::from_unix_micros(1_768_413_600_000_000);
        let mut last = AuditEventId::NONE;
        for step in [0, 0, -1_000, 5, 5, 1_000_000] {
            let next = last.next(Timestamp::from_unix_micros(at.unix_micros() + step), u32::MAX);
            assert!(next > last && next.to_string() > last.to_string(), "{last} {next}");
            assert_eq!(next.to_string().parse(), Ok(next));
            last = next;
        }
        assert!(AuditEventId::new(Timestamp::MAX, 0).to_string() > last.to_string());
        for text in ["", "evt_", "evt_+00000000000000000000000", "evt_000000000000000000000000", "key_1"] {
            assert!(text.parse::<AuditEventId>().is_err(), "{text}");
        }
    }
}
