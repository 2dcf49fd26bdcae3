//! Words in the log about keys that have been in use for long.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRecord};

const DAY: Duration = Duration::from_secs(86_400);

/// How many lines one flush writes.
const MOST: usize = 20;

/// A key that is older than it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reminder {
    pub(super) id: KeyId,
    pub(super) age_days: u64,
}

/// The age of a key in whole days, if it is to be reminded of at `now`.
pub(super) fn age(record: &KeyRecord, after: Option<Duration>, now: Timestamp) -> Option<u64> {
    let age = now.since(record.created_at?);
    let due = age > after? && record.rotation.is_none();
    due.then_some(age.as_secs() / DAY.as_secs())
}

/// The day, UTC, of an instant.
pub(super) fn day(now: Timestamp) -> i64 {
    now.unix_seconds().div_euclid(86_400)
}

/// Counts the lines of one flush.
#[derive(Debug, Default)]
pub(super) struct Reminders {
    written: usize,
    left_out: usize,
}

impl Reminders {
    pub(super) fn write(&mut self, reminders: Vec<Reminder>) {
        for Reminder { id, age_days } in reminders {
            if self.written == MOST {
                self.left_out += 1;
                continue;
            }
            self.written += 1;
            tracing::warn!(target: "tower_api_key::keys", key_id = id.as_str(), age_days, "an old key is in use: rotate it");
        }
    }
}

impl Drop for Reminders {
    fn drop(&mut self) {
        if self.left_out > 0 {
            tracing::warn!(target: "tower_api_key::keys", keys = self.left_out, "further old keys are in use: rotate them");
        }
    }
}
