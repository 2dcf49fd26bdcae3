//! The notes that wait to be written.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::address::{Network, Recent};
use super::hours::Hours;
use super::reminder::{self, Reminder};
use crate::clock::Timestamp;
use crate::instruments::{Dropped, Drops};
use crate::key::{DigestHasher, KeyDigest, KeyId, KeyRecord};
use crate::source::{KeyRehash, KeyUsage};

const SHARDS: usize = 64;

/// What keys were used since it was last written. Bounded however many keys there are.
///
/// A use takes the lock of one shard, for one lookup. Only the first use of a key allocates.
pub(super) struct Book {
    shards: Box<[Mutex<Shard>]>,
    /// Keys in a shard.
    capacity: usize,
    dropped: AtomicU64,
    drops: Drops,
    turn: AtomicUsize,
}

#[derive(Default)]
struct Shard {
    /// By the digests of verified keys, which nobody can choose: they are their own hashes.
    notes: HashMap<KeyDigest, Note, DigestHasher>,
    /// Those with uses that are not written.
    waiting: Vec<KeyDigest>,
}

struct Note {
    id: KeyId,
    count: u64,
    hours: Hours,
    last_at: Timestamp,
    last_ip: Option<IpAddr>,
    recent: Recent,
    rehash: Option<Box<KeyDigest>>,
    /// The day of the last reminder, and the age that the next one is to name.
    reminded_on: i64,
    age_days: Option<u64>,
    #[cfg(feature = "metrics")]
    expires_at: Option<Timestamp>,
}

/// A use of a key.
pub(super) struct Use<'a> {
    pub(super) record: &'a KeyRecord,
    pub(super) at: Timestamp,
    pub(super) address: Option<IpAddr>,
    pub(super) rehash: Option<Box<KeyDigest>>,
    pub(super) age_days: Option<u64>,
}

/// What became of it.
#[derive(Default)]
pub(super) struct Noted {
    pub(super) new_address: bool,
    /// The book is half full with this one.
    pub(super) half_full: bool,
}

/// Notes on their way to the store.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) digests: Vec<KeyDigest>,
    pub(super) usage: Vec<KeyUsage>,
    pub(super) reminders: Vec<Reminder>,
}

impl Batch {
    pub(super) fn uses(&self) -> u64 {
        self.usage.iter().map(|used| used.count).sum()
    }
}

impl Book {
    pub(super) fn new(capacity: usize) -> Self {
        let shards = SHARDS.min(capacity.max(1));
        Self {
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            capacity: capacity.div_ceil(shards),
            dropped: AtomicU64::new(0),
            drops: Drops::of(Dropped::Usage),
            turn: AtomicUsize::new(0),
        }
    }

    /// Notes a use, if there is room.
    pub(super) fn note(&self, used: Use<'_>) -> Noted {
        let digest = used.record.digest;
        let mut shard = self.shard(&digest);
        let Shard { notes, waiting } = &mut *shard;
        if let Some(note) = notes.get_mut(&digest) {
            let waited = note.count > 0;
            let new_address = note.add(used);
            if !waited {
                waiting.push(digest);
            }
            return Noted { new_address, half_full: !waited && self.is_half(waiting.len()) };
        }
        if !shard.has_room(self.capacity) {
            self.drop(1);
            return Noted::default();
        }
        let mut note = Note::new(used.record.id.clone());
        let new_address = note.add(used);
        shard.notes.insert(digest, note);
        shard.waiting.push(digest);
        Noted { new_address, half_full: self.is_half(shard.waiting.len()) }
    }

    /// Takes the notes of up to `most` keys, of every shard in turn. They are written, or put back.
    pub(super) fn take(&self, most: usize) -> Batch {
        let mut batch = Batch::default();
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        for index in 0..self.shards.len() {
            let mut shard = lock(&self.shards[(first + index) % self.shards.len()]);
            let Shard { notes, waiting } = &mut *shard;
            while batch.usage.len() < most
                && let Some(digest) = waiting.pop()
            {
                if let Some(note) = notes.get_mut(&digest) {
                    batch
                        .reminders
                        .extend(note.age_days.take().map(|age| Reminder { id: note.id.clone(), age_days: age }));
                    batch.usage.push(note.take(digest));
                    batch.digests.push(digest);
                }
            }
        }
        batch
    }

    /// Adds notes that could not be written to those that were made meanwhile.
    pub(super) fn put_back(&self, batch: &Batch) {
        for (digest, used) in batch.digests.iter().zip(&batch.usage) {
            let mut shard = self.shard(digest);
            if !shard.notes.contains_key(digest) {
                if !shard.has_room(self.capacity) {
                    self.drop(used.count);
                    continue;
                }
                shard.notes.insert(*digest, Note::new(used.id.clone()));
            }
            let Shard { notes, waiting } = &mut *shard;
            let Some(note) = notes.get_mut(digest) else { continue };
            if note.count == 0 {
                waiting.push(*digest);
            }
            note.add_again(used);
        }
    }

    /// How many keys have uses that are not written.
    pub(super) fn keys(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).waiting.len()).sum()
    }

    /// How many uses are not written.
    pub(super) fn uses(&self) -> u64 {
        let of = |shard: &Mutex<Shard>| lock(shard).notes.values().map(|note| note.count).sum::<u64>();
        self.shards.iter().map(of).sum()
    }

    /// How many keys were used since then and expire after `now` by each of these instants.
    #[cfg(feature = "metrics")]
    pub(super) fn expiring<const N: usize>(&self, since: Timestamp, now: Timestamp, by: [Timestamp; N]) -> [usize; N] {
        let mut expiring = [0; N];
        for shard in &self.shards {
            let shard = lock(shard);
            let used = shard.notes.values().filter(|note| note.last_at >= since);
            for expires_at in used.filter_map(|note| note.expires_at).filter(|expires_at| *expires_at > now) {
                expiring.iter_mut().zip(by).for_each(|(keys, by)| *keys += usize::from(expires_at <= by));
            }
        }
        expiring
    }

    /// How many uses were dropped since this was last asked.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }

    fn drop(&self, uses: u64) {
        self.dropped.fetch_add(uses, Ordering::Relaxed);
        self.drops.add(uses);
    }

    fn is_half(&self, waiting: usize) -> bool {
        waiting == self.capacity.div_ceil(2)
    }

    fn shard(&self, digest: &KeyDigest) -> MutexGuard<'_, Shard> {
        // Other bytes than those that are the hash.
        let byte = usize::from(digest.as_bytes()[31]);
        lock(&self.shards[byte % self.shards.len()])
    }
}

impl Shard {
    /// Whether there is room for another key, made by forgetting those that have been written if need be.
    fn has_room(&mut self, capacity: usize) -> bool {
        if self.notes.len() >= capacity && self.waiting.len() < capacity {
            self.notes.retain(|_, note| note.count > 0);
        }
        self.notes.len() < capacity
    }
}

impl Note {
    fn new(id: KeyId) -> Self {
        let recent = Recent::default();
        let (last_at, reminded_on) = (Timestamp::UNIX_EPOCH, i64::MIN);
        let hours = Hours::default();
        Self {
            id,
            count: 0,
            hours,
            last_at,
            last_ip: None,
            recent,
            rehash: None,
            reminded_on,
            age_days: None,
            #[cfg(feature = "metrics")]
            expires_at: None,
        }
    }

    /// Whether it is from a new address.
    fn add(&mut self, used: Use<'_>) -> bool {
        self.hours.add(used.at, 1, self.count);
        if self.count == 0 {
            // Of what was written there is nothing left to be later than.
            self.last_at = used.at;
        }
        self.count = self.count.saturating_add(1);
        self.last_at = self.last_at.max(used.at);
        #[cfg(feature = "metrics")]
        {
            self.expires_at = used.record.expires_at;
        }
        self.rehash = used.rehash.or(self.rehash.take());
        if used.age_days.is_some() && self.reminded_on != reminder::day(used.at) {
            self.reminded_on = reminder::day(used.at);
            self.age_days = used.age_days;
        }
        let Some(address) = used.address else { return false };
        self.last_ip = Some(address);
        if let Some(recorded) = used.record.last_used_ip {
            // Another process may have seen it.
            self.recent.is_new(Network::of(recorded));
        }
        self.recent.is_new(Network::of(address))
    }

    fn add_again(&mut self, used: &KeyUsage) {
        for point in used.by_hour() {
            self.hours.add(point.at, point.count, self.count);
            self.count = self.count.saturating_add(point.count);
        }
        if self.last_at <= used.last_used_at {
            self.last_at = used.last_used_at;
            self.last_ip = used.last_used_ip.or(self.last_ip);
        }
        if self.rehash.is_none() {
            self.rehash = used.rehash.as_ref().map(|rehash| Box::new(rehash.to));
        }
    }

    fn take(&mut self, digest: KeyDigest) -> KeyUsage {
        let mut usage = KeyUsage::new(self.id.clone(), std::mem::take(&mut self.count), self.last_at);
        usage.last_used_ip = self.last_ip.take();
        usage.earlier = self.hours.take();
        usage.rehash = self.rehash.take().map(|to| KeyRehash { from: digest, to: *to });
        usage
    }
}

/// Locks. A poisoned lock is as good as any: nothing that runs under it leaves a note half-changed.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
