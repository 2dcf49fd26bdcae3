//! What caches are told, and by whom.

use std::convert::Infallible;
use std::future::Future;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};

use crate::error::BoxError;
use crate::instruments::Forgotten;
use crate::key::{KeyDigest, KeyId, KeyRef};

/// What a cache must not use any longer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalidation {
    /// The record of this key.
    Key(KeyId),
    /// What is known of this digest: a record, or that there is none.
    Digest(KeyDigest),
    /// All that is known of digests without a record.
    Absent,
    /// Everything. Also what a bus says when it may have missed something.
    All,
}

impl Invalidation {
    /// Whether it could make wrong that `digest` was `found`, or not.
    pub(super) fn concerns(&self, digest: &KeyDigest, found: Option<&KeyRef>) -> bool {
        match self {
            Self::Key(id) => found.is_none_or(|key| key.id == *id),
            Self::Digest(changed) => changed == digest,
            Self::Absent => found.is_none(),
            Self::All => true,
        }
    }

    /// What it is about, for those who count.
    pub(super) const fn what(&self) -> Forgotten {
        match self {
            Self::Key(_) => Forgotten::Key,
            Self::Digest(_) => Forgotten::Digest,
            Self::Absent => Forgotten::Absent,
            Self::All => Forgotten::All,
        }
    }
}

/// What other nodes say has changed, as it is heard: a subscription to a bus such as Postgres `NOTIFY` or Redis pub/sub.
/// [`Cached::listen`](super::Cached::listen) obeys it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` brings no invalidations",
    note = "implement `tower_api_key::source::cached::Invalidations`, or use `LocalInvalidations::subscribe`"
)]
pub trait Invalidations: Send + 'static {
    /// Why something may have been missed. Goes to the log alone.
    type Error: Into<BoxError>;

    /// The next message; `None` when no more will come.
    ///
    /// A call after an error subscribes again, and answers [`Invalidation::All`] once it has: what was said in between was
    /// said to nobody. May be cancelled without losing a message.
    ///
    /// # Errors
    /// When the connection was lost, or messages were.
    fn next(&mut self) -> impl Future<Output = Result<Option<Invalidation>, Self::Error>> + Send;
}

/// A bus within this process: for several caches over one store, and for tests. Clones share the bus.
#[derive(Debug, Clone)]
pub struct LocalInvalidations(Sender<Invalidation>);

impl LocalInvalidations {
    /// A bus that keeps up to `pending` messages for a subscriber that is slow. Who is slower has to forget everything.
    ///
    /// # Panics
    /// When `pending` is 0, or more than half of `usize::MAX`.
    pub fn new(pending: usize) -> Self {
        Self(channel(pending).0)
    }

    /// Tells all subscribers. Do so after the store has the change, never before.
    pub fn send(&self, invalidation: Invalidation) {
        // An error says that nobody listens.
        let _ = self.0.send(invalidation);
    }

    /// Hears all that is sent from here on.
    pub fn subscribe(&self) -> LocalSubscription {
        LocalSubscription(self.0.subscribe())
    }
}

/// Keeps 1 024 messages.
impl Default for LocalInvalidations {
    fn default() -> Self {
        Self::new(1_024)
    }
}

/// Hears a [`LocalInvalidations`]. Ends when all clones of the bus are gone.
#[derive(Debug)]
pub struct LocalSubscription(Receiver<Invalidation>);

impl Invalidations for LocalSubscription {
    type Error = Infallible;

    async fn next(&mut self) -> Result<Option<Invalidation>, Infallible> {
        match self.0.recv().await {
            Ok(invalidation) => Ok(Some(invalidation)),
            Err(RecvError::Lagged(_)) => Ok(Some(Invalidation::All)),
            Err(RecvError::Closed) => Ok(None),
        }
    }
}
