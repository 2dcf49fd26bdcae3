//! A connection to Redis that comes back by itself.

#[cfg(feature = "redis-cluster")]
mod cluster;
mod place;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::{Cmd, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind, Value};
use tokio::runtime::Handle;
use tokio::sync::Mutex as AsyncMutex;

use self::place::{Connection, Place};
use crate::error::ConfigError;

/// One connection that all callers share, opened when it is first needed, and again after it was lost or did not answer.
///
/// Nothing is sent twice: whether a command that got no answer was obeyed is not known. What a node of a cluster has refused,
/// since another one has the slot, was not obeyed, and is sent again.
pub(crate) struct Link {
    place: Place,
    current: Arc<Mutex<Current>>,
    /// Held by the attempt to connect that is under way.
    turn: Arc<AsyncMutex<()>>,
}

#[derive(Default)]
struct Current {
    connection: Option<Connection>,
    /// How many there were before it.
    number: u64,
}

/// Why Redis gave no answer. Never contains the address's user name or password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisLinkError {
    /// It did not answer in time.
    #[error("Redis did not answer within {0:?}")]
    Deadline(Duration),
    /// It could not be reached, or answered with an error.
    #[error("Redis failed")]
    Redis(#[from] RedisError),
    /// Its answer made no sense.
    #[error("the answer of Redis could not be understood")]
    Answer,
    /// It failed a moment ago, and was not asked again yet.
    #[error("Redis was not asked, since it failed less than {0:?} ago")]
    Resting(Duration),
    /// There is no Tokio runtime to wait in.
    #[error("Redis can be asked within a Tokio runtime only")]
    NoRuntime,
}

/// How long it may take to connect. Whoever asks waits for less, and finds the connection later.
const CONNECTING: Duration = Duration::from_secs(2);

impl Link {
    /// Opens nothing yet.
    pub(crate) fn new(address: impl IntoConnectionInfo) -> Result<Self, ConfigError> {
        Ok(Self::to(Place::one(address)?))
    }

    /// To a cluster that these are nodes of. Opens nothing yet.
    #[cfg(feature = "redis-cluster")]
    pub(crate) fn cluster<A: IntoConnectionInfo>(nodes: impl IntoIterator<Item = A>) -> Result<Self, ConfigError> {
        Ok(Self::to(Place::cluster(nodes)?))
    }

    fn to(place: Place) -> Self {
        Self { place, current: Arc::default(), turn: Arc::default() }
    }

    /// Sends a command, and waits for its answer so long.
    pub(crate) async fn call(&self, command: &Cmd, deadline: Duration) -> Result<Value, RedisLinkError> {
        if Handle::try_current().is_err() {
            return Err(RedisLinkError::NoRuntime);
        }
        let mut used = None;
        let answer = tokio::time::timeout(deadline, async {
            let (connection, number) = self.connection().await?;
            used = Some(number);
            Ok(connection.send(command).await.and_then(Value::extract_error)?)
        });
        let answer = answer.await.unwrap_or_else(|_| Err(RedisLinkError::Deadline(deadline)));
        if let (Err(error), Some(number)) = (&answer, used)
            && error.is_of_the_connection()
        {
            self.give_up(number);
        }
        answer
    }

    /// The connection. If there is none, the attempt to make one goes on when the caller has gone away: else one that takes
    /// longer than a call may would never be made.
    async fn connection(&self) -> Result<(Connection, u64), RedisLinkError> {
        if let Some(known) = lock(&self.current).known() {
            return Ok(known);
        }
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some(known) = lock(&self.current).known() {
            return Ok(known);
        }
        let (place, current) = (self.place.clone(), Arc::clone(&self.current));
        let connecting = tokio::spawn(async move {
            let _turn = turn;
            let connection = tokio::time::timeout(CONNECTING, place.connect()).await;
            let connection = connection.map_err(|_| RedisLinkError::Deadline(CONNECTING))??;
            let mut current = lock(&current);
            current.number += 1;
            current.connection = Some(connection.clone());
            Ok((connection, current.number))
        });
        // The runtime ends.
        connecting.await.unwrap_or(Err(RedisLinkError::NoRuntime))
    }

    /// Opens another connection next time, unless that has been done since.
    fn give_up(&self, number: u64) {
        let mut current = lock(&self.current);
        if current.number == number {
            current.connection = None;
        }
    }
}

impl Current {
    fn known(&self) -> Option<(Connection, u64)> {
        self.connection.clone().map(|connection| (connection, self.number))
    }
}

/// Locks. Never held while waiting, and nothing under it can panic halfway.
fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl RedisLinkError {
    /// Whether another connection might help. After a failover that is so for a server that became a replica, too.
    fn is_of_the_connection(&self) -> bool {
        match self {
            Self::Deadline(_) => true,
            Self::Redis(error) => {
                let replica = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
                error.is_io_error() || error.is_connection_dropped() || error.is_unrecoverable_error() || replica
            }
            _ => false,
        }
    }

    /// Whether a script has to be sent whole.
    pub(crate) fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Redis(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }
}

/// A script that is sent by its hash, and whole where the server does not know it.
#[derive(Debug)]
pub(crate) struct LinkedScript {
    text: &'static str,
    hash: String,
}

impl LinkedScript {
    pub(crate) fn new(text: &'static str) -> Self {
        Self { text, hash: redis::Script::new(text).get_hash().to_owned() }
    }

    /// Runs it, and waits so long at most, both times together.
    pub(crate) async fn call(
        &self,
        link: &Link,
        keys: impl ExactSizeIterator<Item: AsRef<[u8]>> + Clone,
        arguments: &[&[u8]],
        deadline: Duration,
    ) -> Result<Value, RedisLinkError> {
        let command = |name: &str, script: &str| {
            let mut command = Cmd::new();
            command.arg(name).arg(script).arg(keys.len());
            for key in keys.clone() {
                command.arg(key.as_ref());
            }
            for argument in arguments {
                command.arg(*argument);
            }
            command
        };
        let started = Instant::now();
        match link.call(&command("EVALSHA", &self.hash), deadline).await {
            Err(error) if error.is_unknown_script() => {
                let left = deadline.saturating_sub(started.elapsed());
                link.call(&command("EVAL", self.text), left).await
            }
            answer => answer,
        }
    }
}
