//! A JWK set that somebody else publishes: asked for seldom, once for all who wait, and kept while it cannot be had.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::JwtAlgorithm;
use super::error::{Failure, JwtSessionsError};
use super::key_set::KeySet;
use crate::clock::Timestamp;
use crate::error::BoxError;
use crate::source::BoxFuture;

/// Fetches the text of a JWK set: by an HTTP client of your own, or from wherever it is kept.
///
/// `HttpJwks` (feature `jwks`) is one that asks by HTTPS.
#[diagnostic::on_unimplemented(
    message = "`{Self}` fetches no JWK set",
    note = "implement `tower_api_key::session::JwksSource`, or use `JwtKeys::jwks_url` with the feature `jwks`"
)]
pub trait JwksSource: Send + Sync + 'static {
    /// Why it could not be had. Goes to the log alone.
    type Error: Into<BoxError>;

    /// The text of the set. Whoever calls sees to the deadline, and that it is not called too often.
    ///
    /// # Errors
    /// When it cannot be had.
    fn fetch(&self) -> impl Future<Output = Result<Vec<u8>, Self::Error>> + Send;
}

/// The object-safe twin of [`JwksSource`].
pub(super) trait ErasedJwks: Send + Sync + 'static {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, BoxError>>;
}

impl<S: JwksSource> ErasedJwks for S {
    fn fetch(&self) -> BoxFuture<'_, Result<Vec<u8>, BoxError>> {
        Box::pin(async move { JwksSource::fetch(self).await.map_err(Into::into) })
    }
}

/// When a JWK set is asked for, and for how long it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct JwksRefresh {
    pub(super) interval: Duration,
    pub(super) refresh_after: Duration,
    pub(super) max_age: Duration,
    pub(super) deadline: Duration,
}

impl Default for JwksRefresh {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(30),
            refresh_after: Duration::from_secs(15 * 60),
            max_age: Duration::from_secs(24 * 60 * 60),
            deadline: Duration::from_secs(5),
        }
    }
}

impl JwksRefresh {
    /// The longest text that is read: 1 MiB.
    pub const MAX_LENGTH: usize = 1 << 20;

    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The shortest time between two requests, whatever tokens come along; by default 30 seconds. So long can it take
    /// until a new key of the issuer is known. While no set was ever had, it is at most a second.
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The age from which on a set is asked for again, without anybody waiting for it; by default 15 minutes. So long can
    /// it take until a key that the issuer has withdrawn is refused.
    pub const fn refresh_after(mut self, age: Duration) -> Self {
        self.refresh_after = age;
        self
    }

    /// The age from which on a set is used no longer, if no newer one can be had; by default 24 hours. Then tokens are
    /// neither good nor bad: 503.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// How long a request may take; by default 5 seconds.
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

/// A set that is fetched.
pub(super) struct Remote {
    source: Box<dyn ErasedJwks>,
    refresh: JwksRefresh,
    algorithms: Vec<JwtAlgorithm>,
    state: Mutex<State>,
    /// How many requests have been answered, for those who wait for one.
    landed: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    /// How many requests were begun, and when the last of them was.
    begun: u64,
    begun_at: Option<Timestamp>,
    /// How many requests were answered. One less than `begun` while one is under way.
    landed: u64,
    /// Why the last one gave no set.
    failure: Option<JwtSessionsError>,
}

struct Held {
    keys: Arc<KeySet>,
    text: Vec<u8>,
    /// When it was asked for.
    since: Timestamp,
}

impl Remote {
    pub(super) fn new(source: Box<dyn ErasedJwks>, refresh: JwksRefresh, algorithms: Vec<JwtAlgorithm>) -> Arc<Self> {
        Arc::new(Self { source, refresh, algorithms, state: Mutex::default(), landed: watch::Sender::new(0) })
    }

    /// The keys, if they are in memory and not too old. Keys that are due for it are asked for again, in the background.
    pub(super) fn keys_now(self: &Arc<Self>, now: Timestamp) -> Option<Arc<KeySet>> {
        let (keys, age) = {
            let state = self.state();
            let held = state.held.as_ref()?;
            (Arc::clone(&held.keys), now.since(held.since))
        };
        if age >= self.refresh.refresh_after {
            self.begin(now);
        }
        (age < self.refresh.max_age).then_some(keys)
    }

    /// The keys, asked for if they have to be.
    pub(super) async fn keys(self: &Arc<Self>, now: Timestamp) -> Result<Arc<KeySet>, JwtSessionsError> {
        if let Some(keys) = self.keys_now(now) {
            return Ok(keys);
        }
        if let Some(flight) = self.begin(now) {
            self.wait(flight).await;
        }
        match self.keys_now(now) {
            Some(keys) => Ok(keys),
            None => Err(self.state().failure.clone().unwrap_or_else(|| Failure::Outdated.into())),
        }
    }

    /// Whether asking for keys other than `keys` would be in vain, since the issuer was asked a moment ago.
    pub(super) fn is_settled(&self, keys: &Arc<KeySet>, now: Timestamp) -> bool {
        let state = self.state();
        let current = state.held.as_ref().is_some_and(|held| Arc::ptr_eq(&held.keys, keys));
        current && state.failure.is_none() && state.begun == state.landed && !self.may_begin(&state, now)
    }

    /// Keys other than `keys`, for a token by a key that is not among those; `None` when there are none.
    pub(super) async fn other_keys(
        self: &Arc<Self>,
        keys: &Arc<KeySet>,
        now: Timestamp,
    ) -> Result<Option<Arc<KeySet>>, JwtSessionsError> {
        if let Some(flight) = self.begin(now) {
            self.wait(flight).await;
        }
        let state = self.state();
        match (&state.held, &state.failure) {
            (Some(held), _) if !Arc::ptr_eq(&held.keys, keys) => Ok(Some(Arc::clone(&held.keys))),
            // The token may be by a key that only the issuer knows so far: nobody can tell.
            (_, Some(failure)) => Err(failure.clone()),
            (_, None) => Ok(None),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn may_begin(&self, state: &State, now: Timestamp) -> bool {
        let interval = match state.held {
            Some(_) => self.refresh.interval,
            None => self.refresh.interval.min(Duration::from_secs(1)),
        };
        state.begun_at.is_none_or(|begun_at| now.since(begun_at) >= interval)
    }

    /// The number of the request that is under way, begun now unless there is one; `None` when it is too early.
    ///
    /// It runs in a task of its own: callers that hang up must not be able to keep new keys away.
    fn begin(self: &Arc<Self>, now: Timestamp) -> Option<u64> {
        let mut state = self.state();
        if state.begun > state.landed {
            return Some(state.begun);
        }
        if !self.may_begin(&state, now) {
            return None;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            state.failure = Some(Failure::NoRuntime.into());
            return None;
        };
        state.begun += 1;
        state.begun_at = Some(now);
        let flight = Flight { remote: Arc::clone(self), asked_at: now, outcome: Some(Err(Failure::Ended)) };
        runtime.spawn(flight.run());
        Some(state.begun)
    }

    async fn wait(&self, flight: u64) {
        // Fails only when the sender is gone, and that is `self`.
        let _ = self.landed.subscribe().wait_for(|landed| *landed >= flight).await;
    }

    fn land(&self, outcome: Result<Vec<u8>, Failure>, asked_at: Timestamp) {
        let parsed = outcome.and_then(|text| match KeySet::parse(&text, &self.algorithms, false) {
            Ok(keys) => Ok((keys, text)),
            Err(error) => Err(Failure::Unusable(error)),
        });
        let mut state = self.state();
        match parsed {
            Ok((keys, text)) => {
                let held = state.held.take().filter(|held| held.text == text);
                let keys = held.map_or_else(|| Arc::new(keys), |held| held.keys);
                state.held = Some(Held { keys, text, since: asked_at });
                state.failure = None;
            }
            Err(failure) => {
                let error = JwtSessionsError::from(failure);
                let error_chain = crate::error::Chain(&error);
                tracing::error!(target: "tower_api_key::session", backend = "jwks", error = %error_chain, "no newer keys of tokens");
                state.failure = Some(error);
            }
        }
        state.landed = state.begun;
        let landed = state.landed;
        drop(state);
        self.landed.send_replace(landed);
    }
}

/// A request that is under way. Whatever becomes of it, it lands.
struct Flight {
    remote: Arc<Remote>,
    asked_at: Timestamp,
    outcome: Option<Result<Vec<u8>, Failure>>,
}

impl Flight {
    async fn run(mut self) {
        let deadline = self.remote.refresh.deadline;
        self.outcome = Some(match tokio::time::timeout(deadline, self.remote.source.fetch()).await {
            Ok(Ok(text)) if text.len() > JwksRefresh::MAX_LENGTH => Err(Failure::TooLong(JwksRefresh::MAX_LENGTH)),
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(Failure::Fetch(error)),
            Err(_) => Err(Failure::TimedOut(deadline)),
        });
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            self.remote.land(outcome, self.asked_at);
        }
    }
}
