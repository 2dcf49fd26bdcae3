//! The events that wait to be written.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::audit::event::AuditEvent;
use crate::audit::id::AuditEventId;
use crate::instruments::{Dropped, Drops};

/// How many bytes an event may take on average.
const BYTES_AN_EVENT: usize = 1024;

/// Events in the order in which they were recorded. Bounded in number and in memory, whatever is recorded, and what is
/// being written counts as well, so that it can always come back.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// How many there are, those that are being written included.
    length: AtomicUsize,
    dropped: AtomicU64,
    drops: Drops,
    capacity: usize,
    process: u32,
}

struct Waiting {
    events: VecDeque<AuditEvent>,
    /// The bytes of all of them, those that are being written included.
    bytes: usize,
    last: AuditEventId,
}

/// What became of an event.
pub(super) enum Pushed {
    /// It waits, and so many do.
    Waits(usize),
    /// There was no room.
    Dropped,
}

impl Queue {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            waiting: Mutex::new(Waiting { events: VecDeque::new(), bytes: 0, last: AuditEventId::NONE }),
            length: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            drops: Drops::of(Dropped::Audit),
            capacity,
            // Differs from process to process: the standard library seeds its hashers from the operating system.
            process: RandomState::new().hash_one(std::process::id()) as u32,
        }
    }

    /// Adds an event, which is not even made if there is no room.
    pub(super) fn push(&self, event: impl FnOnce() -> AuditEvent) -> Pushed {
        if self.len() >= self.capacity {
            return self.drop_one();
        }
        let mut event = event();
        let weight = event.weight();
        let mut waiting = self.lock();
        let length = self.len();
        if length >= self.capacity || waiting.bytes.saturating_add(weight) > self.most_bytes() {
            drop(waiting);
            return self.drop_one();
        }
        waiting.last = waiting.last.next(event.at, self.process);
        event.id = waiting.last;
        waiting.bytes += weight;
        waiting.events.push_back(event);
        self.length.store(length + 1, Ordering::Relaxed);
        Pushed::Waits(waiting.events.len())
    }

    /// Takes up to `most` events, the oldest first. They are written, or come back.
    pub(super) fn take(&self, most: usize) -> Taken<'_> {
        let mut waiting = self.lock();
        let count = most.min(waiting.events.len());
        Taken { queue: self, events: waiting.events.drain(..count).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.length.load(Ordering::Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn most_bytes(&self) -> usize {
        self.capacity.saturating_mul(BYTES_AN_EVENT)
    }

    fn drop_one(&self) -> Pushed {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        self.drops.add(1);
        Pushed::Dropped
    }

    /// The queue, also after a panic elsewhere: every change of it is whole.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events on their way to the store. Dropped before they are written, they are the next to be taken again.
pub(super) struct Taken<'a> {
    queue: &'a Queue,
    events: Vec<AuditEvent>,
}

impl Taken<'_> {
    pub(super) fn events(&self) -> &[AuditEvent] {
        &self.events
    }

    /// Makes room for others.
    pub(super) fn written(mut self) {
        let events = std::mem::take(&mut self.events);
        let bytes: usize = events.iter().map(AuditEvent::weight).sum();
        let mut waiting = self.queue.lock();
        waiting.bytes = waiting.bytes.saturating_sub(bytes);
        self.queue.length.fetch_sub(events.len(), Ordering::Relaxed);
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        for event in self.events.drain(..).rev() {
            waiting.events.push_front(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::event::AuditAction;
    use crate::clock::Timestamp;

    fn event(path: &str) -> AuditEvent {
        let mut event = AuditEvent::new(AuditEventId::NONE, Timestamp::UNIX_EPOCH, AuditAction::Authenticate);
        event.path = path.to_owned();
        event
    }

    fn paths(taken: &Taken<'_>) -> Vec<String> {
        taken.events().iter().map(|event| event.path.clone()).collect()
    }

    #[test]
    fn what_is_not_written_comes_back_in_front_and_its_place_is_kept() {
        let queue = Queue::new(3);
        for path in ["a", "b", "c"] {
            assert!(matches!(queue.push(|| event(path)), Pushed::Waits(_)));
        }
        let taken = queue.take(2);
        assert_eq!(paths(&taken), ["a", "b"]);
        assert!(matches!(queue.push(|| panic!("it is not even made")), Pushed::Dropped));
        drop(taken);
        let taken = queue.take(9);
        assert_eq!(paths(&taken), ["a", "b", "c"]);
        assert!(taken.events().is_sorted_by_key(|event| event.id));
        taken.written();
        assert_eq!((queue.len(), queue.dropped()), (0, 1));
        assert!(matches!(queue.push(|| event("d")), Pushed::Waits(1)));
    }

    #[test]
    fn large_events_leave_room_for_fewer() {
        let queue = Queue::new(10);
        for _ in 0..100 {
            queue.push(|| event(&"x".repeat(4_000)));
        }
        assert!(queue.len() < 3 && queue.len() as u64 + queue.dropped() == 100, "{}", queue.len());
        queue.take(100).written();
        assert_eq!(queue.lock().bytes, 0);
    }
}
