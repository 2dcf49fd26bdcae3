//! From the book to the store.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify};
use tokio::time::error::Elapsed;

use super::book::{Batch, Book, Noted, Use};
use super::rehash::Rehash;
use super::reminder::{self, Reminders};
use super::{Usage, UsageNotWritten};
use crate::clock::Timestamp;
use crate::error::{Chain, StoreError};
use crate::instruments::{UsageInstruments, Watch};
use crate::ip::ClientIp;
use crate::key::{KeyDigest, KeyRecord};
use crate::limit::Subject;
use crate::limit::credits::{CreditChange, CreditLedger};
use crate::source::ErasedSource;

/// The book of a layer, and the way to its store.
pub(crate) struct Recorder {
    settings: Usage,
    rehash: Rehash,
    book: Book,
    /// Held by the flush that is under way: batches are written one after the other.
    turn: Mutex<()>,
    wake: Notify,
    closed: AtomicBool,
    /// Uses that the store was told of and has not answered yet, and those that it never answered.
    in_flight: AtomicU64,
    in_doubt: AtomicU64,
    /// From when on it is worth a word that nobody flushes; [`NOTHING_WAITS`], or [`WARNED`].
    overdue_at: AtomicI64,
    instruments: UsageInstruments,
}

const NOTHING_WAITS: i64 = i64::MIN;
const WARNED: i64 = i64::MAX;

impl Recorder {
    pub(crate) fn new(settings: Usage) -> Self {
        Self {
            rehash: Rehash::new(settings.store.schemes()),
            book: Book::new(settings.capacity),
            turn: Mutex::new(()),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            in_flight: AtomicU64::new(0),
            in_doubt: AtomicU64::new(0),
            overdue_at: AtomicI64::new(NOTHING_WAITS),
            instruments: UsageInstruments::new(settings.store.name()),
            settings,
        }
    }

    /// Notes that a key was let in, and says whether from a new address.
    pub(crate) fn note(
        &self,
        record: &KeyRecord,
        at: Timestamp,
        client: ClientIp,
        rehash: Option<Box<KeyDigest>>,
    ) -> bool {
        let age_days = reminder::age(record, self.settings.remind_after, at);
        let Noted { new_address, half_full } =
            self.book.note(Use { record, at, address: client.address(), rehash, age_days });
        if half_full {
            self.wake.notify_one();
        }
        self.look_whether_overdue(at);
        new_address
    }

    /// The digest that a key should have instead of the one it was found by.
    pub(crate) fn rehash(&self, key: &str, found: &KeyDigest) -> Option<Box<KeyDigest>> {
        self.rehash.target(key, found).map(Box::new)
    }

    /// The digest to look for once more, where no digest of a key was found: it may have got a new one after that was
    /// looked for, and before the old one was.
    pub(crate) fn once_more(&self, key: &str) -> Option<KeyDigest> {
        self.rehash.current(key)
    }

    /// Says once that there are uses, and nobody who writes them.
    fn look_whether_overdue(&self, at: Timestamp) {
        let overdue_at = self.overdue_at.load(Ordering::Relaxed);
        if overdue_at == NOTHING_WAITS {
            let patience = self.settings.flush_every.saturating_mul(6).max(Duration::from_secs(60));
            let next = at.saturating_add(patience).unix_micros();
            let _ = self.overdue_at.compare_exchange(overdue_at, next, Ordering::Relaxed, Ordering::Relaxed);
        } else if at.unix_micros() >= overdue_at
            && self.overdue_at.compare_exchange(overdue_at, WARNED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(
                target: "tower_api_key::usage",
                store = self.settings.store.name(),
                "nobody writes what keys are used: spawn ApiKeyLayer::background()"
            );
        }
    }

    /// Writes the notes that there are now. Stops at the first batch that the store does not take.
    pub(crate) async fn flush(
        &self,
        credits: Option<&CreditLedger>,
        source: &dyn ErasedSource,
    ) -> Result<(), UsageNotWritten> {
        let _turn = self.turn.lock().await;
        let waits = self.overdue_at.load(Ordering::Relaxed);
        if waits != WARNED {
            let _ = self.overdue_at.compare_exchange(waits, NOTHING_WAITS, Ordering::Relaxed, Ordering::Relaxed);
        }
        let dropped = self.book.dropped();
        if dropped > 0 {
            tracing::error!(target: "tower_api_key::usage", uses = dropped, "the book was full: uses were not noted");
        }
        let mut spent = Spent::of(credits);
        let mut reminders = Reminders::default();
        let mut keys = self.book.keys();
        while keys > 0 {
            let mut batch = self.book.take(self.settings.batch.min(keys));
            if batch.usage.is_empty() {
                break;
            }
            keys = keys.saturating_sub(batch.usage.len());
            reminders.write(std::mem::take(&mut batch.reminders));
            self.write(batch, &mut spent, source).await?;
        }
        Ok(())
    }

    async fn write(
        &self,
        mut batch: Batch,
        spent: &mut Spent<'_>,
        source: &dyn ErasedSource,
    ) -> Result<(), UsageNotWritten> {
        for used in &mut batch.usage {
            used.credits = spent.by_key.remove(&Subject::key(used.id.as_str()));
        }
        let told = Told::new(self, spent.credits, batch);
        let store = &*self.settings.store;
        let watch = Watch::started();
        let answer = timed(self.settings.deadline, store.record_usage(&told.batch.usage)).await;
        self.instruments.answered(watch);
        match answer {
            Ok(Ok(())) => {
                for rehash in told.written().usage.iter().filter_map(|used| used.rehash.as_ref()) {
                    source.forget(&rehash.to);
                    source.forget(&rehash.from);
                }
                Ok(())
            }
            Ok(Err(error)) => {
                told.put_back();
                Err(self.failed(error, 0))
            }
            Err(elapsed) => {
                let in_doubt = told.batch.uses();
                drop(told);
                Err(self.failed(StoreError::new(store.name(), "record usage", elapsed), in_doubt))
            }
        }
    }

    fn failed(&self, error: StoreError, in_doubt: u64) -> UsageNotWritten {
        let kept = self.book.uses();
        self.instruments.failed();
        tracing::error!(
            target: "tower_api_key::usage",
            store = error.backend(),
            error = %Chain(&error),
            kept,
            in_doubt,
            "what keys were used is not written"
        );
        UsageNotWritten { kept, in_doubt, cause: Some(error) }
    }

    /// Looks how many of the keys in use are about to expire.
    #[cfg(feature = "metrics")]
    pub(crate) fn refresh_gauges(&self, now: Timestamp) {
        const DAY: Duration = Duration::from_secs(86_400);
        let since = Timestamp::from_unix_micros(now.unix_micros().saturating_sub(86_400_000_000));
        let by = [1, 7, 30].map(|days| now.saturating_add(DAY * days));
        self.instruments.expiring(self.book.expiring(since, now, by));
    }

    /// Flushes at intervals, and when the book is half full, until the layer is shut down.
    pub(crate) async fn flush_at_intervals<F>(&self, flush: impl Fn() -> F)
    where
        F: Future<Output = Result<(), UsageNotWritten>>,
    {
        while !self.closed.load(Ordering::Acquire) {
            let woken = tokio::time::timeout(self.settings.flush_every, self.wake.notified()).await.is_ok();
            if woken && self.closed.load(Ordering::Acquire) {
                return;
            }
            // What went wrong stands in the log, and is tried again.
            let _ = flush().await;
        }
    }

    /// Lets the background end, and writes the rest within the deadline.
    pub(crate) async fn shutdown(
        &self,
        credits: Option<&CreditLedger>,
        source: &dyn ErasedSource,
    ) -> Result<(), UsageNotWritten> {
        self.closed.store(true, Ordering::Release);
        self.wake.notify_one();
        let doubted = self.in_doubt.load(Ordering::Relaxed);
        match timed(self.settings.shutdown_within, self.flush(credits, source)).await {
            Ok(outcome) => outcome,
            Err(elapsed) => {
                let unanswered = self.in_flight.load(Ordering::Relaxed);
                let in_doubt = self.in_doubt.load(Ordering::Relaxed).saturating_sub(doubted) + unanswered;
                let error = StoreError::new(self.settings.store.name(), "record usage before the end", elapsed);
                Err(self.failed(error, in_doubt))
            }
        }
    }
}

/// Only Tokio's timer is known here; on another runtime a store has to keep its own deadline.
async fn timed<T>(deadline: Duration, answer: impl Future<Output = T>) -> Result<T, Elapsed> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Ok(answer.await);
    }
    tokio::time::timeout(deadline, answer).await
}

/// What was spent of credits and is not stored. What no note is about goes back to the ledger: the note is yet
/// to be made, or there was no room for it.
struct Spent<'a> {
    credits: Option<&'a CreditLedger>,
    by_key: HashMap<Subject, CreditChange>,
}

impl<'a> Spent<'a> {
    fn of(credits: Option<&'a CreditLedger>) -> Self {
        let changes = credits.map(CreditLedger::changes).unwrap_or_default();
        Self { credits, by_key: changes.into_iter().map(|change| (change.subject, change)).collect() }
    }
}

impl Drop for Spent<'_> {
    fn drop(&mut self) {
        if let Some(credits) = self.credits {
            self.by_key.values().for_each(|change| credits.failed(change));
        }
    }
}

/// A batch that the store was told of. If no answer comes, it may have been written, and is not put back: nobody's uses
/// are counted twice, and nobody pays twice.
struct Told<'a> {
    recorder: &'a Recorder,
    credits: Option<&'a CreditLedger>,
    batch: Batch,
    answered: bool,
}

impl<'a> Told<'a> {
    fn new(recorder: &'a Recorder, credits: Option<&'a CreditLedger>, batch: Batch) -> Self {
        recorder.in_flight.store(batch.uses(), Ordering::Relaxed);
        Self { recorder, credits, batch, answered: false }
    }

    fn written(mut self) -> Batch {
        self.answered = true;
        self.stored();
        std::mem::take(&mut self.batch)
    }

    fn put_back(mut self) {
        self.answered = true;
        self.recorder.book.put_back(&self.batch);
        self.changes().for_each(|(credits, change)| credits.failed(change));
    }

    fn stored(&self) {
        self.changes().for_each(|(credits, change)| credits.stored(change));
    }

    fn changes(&self) -> impl Iterator<Item = (&'a CreditLedger, &CreditChange)> {
        let changes = self.batch.usage.iter().filter_map(|used| used.credits.as_ref());
        self.credits.into_iter().flat_map(move |credits| changes.clone().map(move |change| (credits, change)))
    }
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.recorder.in_flight.store(0, Ordering::Relaxed);
        if !self.answered {
            self.recorder.in_doubt.fetch_add(self.batch.uses(), Ordering::Relaxed);
            self.recorder.instruments.in_doubt(self.batch.uses());
            self.stored();
        }
    }
}
