//! What keys were used.

use std::net::IpAddr;

use crate::clock::Timestamp;
use crate::key::{KeyId, KeyRecord};

/// What a key was used since it was last recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyUsage {
    /// The key.
    pub id: KeyId,
    /// When it was last used.
    pub last_used_at: Timestamp,
    /// From where, if that is known.
    pub last_used_ip: Option<IpAddr>,
    /// How often, to be added to what is recorded.
    pub count: u64,
}

impl KeyUsage {
    /// The key was used so often, the last time at this instant.
    pub const fn new(id: KeyId, count: u64, last_used_at: Timestamp) -> Self {
        Self { id, last_used_at, last_used_ip: None, count }
    }

    /// From where it was used the last time.
    #[must_use]
    pub const fn last_used_ip(mut self, address: IpAddr) -> Self {
        self.last_used_ip = Some(address);
        self
    }

    /// Adds this to a record, and touches nothing else of it. Usage may be recorded late: what is known to be later stays.
    pub(crate) fn add_to(&self, record: &mut KeyRecord) {
        record.use_count = record.use_count.saturating_add(self.count);
        if record.last_used_at.is_none_or(|known| known <= self.last_used_at) {
            record.last_used_at = Some(self.last_used_at);
            record.last_used_ip = self.last_used_ip.or(record.last_used_ip);
        }
    }
}
