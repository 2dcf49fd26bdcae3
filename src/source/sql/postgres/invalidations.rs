//! Hearing what other nodes change.

use std::fmt;
use std::time::Duration;

use sqlx::Executor;
use sqlx::postgres::{PgListener, PgPoolOptions};

use super::{PostgresKeys, channel};
use crate::source::cached::{Invalidation, Invalidations};
use crate::source::sql::announcement::Announcement;

/// How long to hear nothing before the connection is tested, since one that was cut without a word stays silent, too.
const SILENCE: Duration = Duration::from_secs(5);

/// How long a connection may take to be made, or to show that it still works.
const PATIENCE: Duration = Duration::from_secs(5);

impl PostgresKeys {
    /// What all nodes change in these keys, for [`Cached::listen`](crate::source::Cached::listen).
    ///
    /// Connects when it is first asked, by a connection of its own, and again after it was lost.
    pub fn invalidations(&self) -> PostgresInvalidations {
        PostgresInvalidations { keys: self.clone(), listener: None }
    }
}

/// A subscription to the changes of [`PostgresKeys`], over `LISTEN`. Made by `PostgresKeys::invalidations`.
pub struct PostgresInvalidations {
    keys: PostgresKeys,
    listener: Option<PgListener>,
}

/// The connection on which changes were heard was lost, or could not be made.
#[derive(Debug, thiserror::Error)]
#[error("notifications of changed keys cannot be heard")]
pub struct LostNotifications(#[source] sqlx::Error);

impl PostgresInvalidations {
    /// Subscribes, on a connection that nothing else uses and that is not taken from the application's.
    async fn subscribe(&self) -> Result<PgListener, sqlx::Error> {
        let options = self.keys.pool().connect_options();
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
        let pool = pool.idle_timeout(None).max_lifetime(None).connect_lazy_with((*options).clone());
        let mut listener = PgListener::connect_with(&pool).await?;
        // What is said while it is lost is said to nobody, and only we can make up for that.
        listener.eager_reconnect(false);
        listener.listen(&channel(&self.keys.0.table)).await?;
        Ok(listener)
    }
}

/// The next thing that is heard; an error, if nothing can be heard any more.
async fn hear(listener: &mut PgListener) -> Result<Invalidation, sqlx::Error> {
    let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into());
    loop {
        match tokio::time::timeout(SILENCE, listener.try_recv()).await {
            Ok(Ok(Some(heard))) => return Ok(heard.payload().parse().unwrap_or(Announcement::All).into()),
            Ok(Ok(None)) => return Err(lost()),
            Ok(Err(error)) => return Err(error),
            Err(_) => match tokio::time::timeout(PATIENCE, listener.execute("SELECT 1")).await {
                Ok(tested) => {
                    tested?;
                }
                Err(_) => return Err(lost()),
            },
        }
    }
}

impl Invalidations for PostgresInvalidations {
    type Error = LostNotifications;

    async fn next(&mut self) -> Result<Option<Invalidation>, LostNotifications> {
        let Some(listener) = &mut self.listener else {
            let listener = tokio::time::timeout(PATIENCE, self.subscribe()).await;
            let listener = listener.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(LostNotifications)?;
            self.listener = Some(listener);
            // What was said before now was not heard.
            return Ok(Some(Invalidation::All));
        };
        let heard = hear(listener).await;
        if heard.is_err() {
            self.listener = None;
        }
        heard.map(Some).map_err(LostNotifications)
    }
}

impl From<Announcement> for Invalidation {
    fn from(announcement: Announcement) -> Self {
        match announcement {
            Announcement::Changed(id) => Self::Key(id),
            Announcement::Issued(digest) => Self::Digest(digest),
            Announcement::All => Self::All,
        }
    }
}

impl fmt::Debug for PostgresInvalidations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_connected = self.listener.is_some();
        f.debug_struct("PostgresInvalidations").field("is_connected", &is_connected).finish_non_exhaustive()
    }
}
