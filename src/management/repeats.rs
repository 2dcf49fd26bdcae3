//! Which requests have made which keys, for a day.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Timestamp;
use crate::key::KeyId;

/// How long a request is remembered that has made a key.
const DAY: Duration = Duration::from_secs(86_400);
/// How many are remembered; of more, the oldest are forgotten. Each takes about 200 bytes.
const MOST: usize = 10_000;

/// Which requests have made which keys.
///
/// Kept in this process. A node knows nothing of what another one was asked, nor of what was before its start: where
/// repeats may reach another node, what a caller gets is a second key. Nothing here is secret, and of requests that made
/// no key nothing is kept, so that [`Repeats::claim`] and [`Claim::keep`] are all that a table in a database would have to do.
#[derive(Debug, Clone)]
pub(super) struct Repeats {
    table: Arc<Mutex<Table>>,
    most: usize,
}

/// A request, by the digest of who makes it, what it is about, and its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Request(pub(super) [u8; 32]);

/// The digest of a request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 32]);

/// What has become of the same request before.
#[derive(Debug)]
pub(super) enum Earlier {
    /// Nothing: the request is the caller's to carry out.
    None(Claim),
    /// It has made this key.
    Made(KeyId),
    /// It is under way.
    UnderWay,
    /// It had another body.
    Other,
    /// It cannot be told apart: too many are under way.
    Full,
}

#[derive(Debug, Default)]
struct Table {
    entries: HashMap<Request, Entry>,
    /// Those that have made a key, and when they are forgotten; the oldest first.
    made: VecDeque<(Timestamp, Request)>,
}

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    /// `None`: under way.
    key: Option<KeyId>,
}

impl Default for Repeats {
    fn default() -> Self {
        Self::with_capacity(MOST)
    }
}

impl Repeats {
    fn with_capacity(most: usize) -> Self {
        Self { table: Arc::default(), most }
    }

    /// What has become of `request` before. If nothing has, it is under way from here on, until the claim is dropped.
    pub(super) fn claim(&self, request: Request, fingerprint: Fingerprint, now: Timestamp) -> Earlier {
        let mut table = self.lock();
        while table.made.front().is_some_and(|(end, _)| *end <= now) {
            table.forget_oldest();
        }
        match table.entries.get(&request) {
            Some(entry) if entry.fingerprint != fingerprint => return Earlier::Other,
            Some(Entry { key: Some(key), .. }) => return Earlier::Made(key.clone()),
            Some(Entry { key: None, .. }) => return Earlier::UnderWay,
            None => {}
        }
        if table.entries.len() >= self.most && !table.forget_oldest() {
            return Earlier::Full;
        }
        table.entries.insert(request, Entry { fingerprint, key: None });
        Earlier::None(Claim { repeats: self.clone(), request, kept: false })
    }

    /// The table, also after a panic elsewhere: every change of it is whole.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn forget_oldest(&mut self) -> bool {
        let oldest = self.made.pop_front();
        oldest.is_some_and(|(_, request)| self.entries.remove(&request).is_some())
    }
}

/// A request that is under way. Dropped without a key it is as if it had never been, and can be repeated.
#[derive(Debug)]
#[must_use]
pub(super) struct Claim {
    repeats: Repeats,
    request: Request,
    kept: bool,
}

impl Claim {
    /// The request has made this key.
    pub(super) fn keep(mut self, key: KeyId, now: Timestamp) {
        self.kept = true;
        let mut table = self.repeats.lock();
        if let Some(entry) = table.entries.get_mut(&self.request) {
            entry.key = Some(key);
            table.made.push_back((now.saturating_add(DAY), self.request));
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.kept {
            self.repeats.lock().entries.remove(&self.request);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: Fingerprint = Fingerprint([0; 32]);

    fn request(number: u8) -> Request {
        Request([number; 32])
    }

    fn make(repeats: &Repeats, number: u8, now: Timestamp) {
        match repeats.claim(request(number), BODY, now) {
            Earlier::None(claim) => claim.keep(KeyId::from_static("key_1"), now),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_is_remembered_for_a_day() {
        let (repeats, start) = (Repeats::default(), Timestamp::from_unix_seconds(1_000_000));
        make(&repeats, 1, start);
        let claim = |at| repeats.claim(request(1), BODY, at);
        let last = start.saturating_add(DAY - Duration::from_micros(1));
        assert!(matches!(claim(last), Earlier::Made(_)));
        assert!(matches!(repeats.claim(request(1), Fingerprint([1; 32]), last), Earlier::Other));
        assert!(matches!(claim(start.saturating_add(DAY)), Earlier::None(_)));
        assert!(repeats.lock().entries.is_empty() && repeats.lock().made.is_empty());
    }

    #[test]
    fn a_request_that_made_nothing_is_forgotten_and_one_under_way_is_not() {
        let (repeats, now) = (Repeats::default(), Timestamp::UNIX_EPOCH);
        let claim = repeats.claim(request(1), BODY, now);
        assert!(matches!(repeats.claim(request(1), BODY, now), Earlier::UnderWay));
        assert!(matches!(repeats.claim(request(1), Fingerprint([1; 32]), now), Earlier::Other));
        drop(claim);
        assert!(matches!(repeats.claim(request(1), BODY, now), Earlier::None(_)));
    }

    #[test]
    fn more_than_there_is_room_for_forget_the_oldest_that_is_over() {
        let (repeats, now) = (Repeats::with_capacity(3), Timestamp::UNIX_EPOCH);
        let under_way = repeats.claim(request(0), BODY, now);
        for number in 1..100 {
            make(&repeats, number, now);
            assert!(repeats.lock().entries.len() <= 3 && repeats.lock().made.len() <= 3);
        }
        assert!(matches!(repeats.claim(request(0), BODY, now), Earlier::UnderWay));
        assert!(matches!(repeats.claim(request(97), BODY, now), Earlier::None(_)), "forgotten");
        assert!(matches!(repeats.claim(request(99), BODY, now), Earlier::Made(_)));
        let more: Vec<_> = (200..202).map(|number| repeats.claim(request(number), BODY, now)).collect();
        assert!(matches!(repeats.claim(request(203), BODY, now), Earlier::Full), "{more:?}");
        drop((under_way, more));
        assert!(repeats.lock().entries.len() <= 3);
    }
}
