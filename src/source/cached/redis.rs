//! Invalidations over Redis pub/sub: [`RedisInvalidations`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, Value,
};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::invalidation::{Invalidation, Invalidations};
use crate::error::ConfigError;
use crate::key::{KeyDigest, KeyId};
use crate::redis_link::{Link, RedisLinkError};

/// A bus for invalidations between nodes, over Redis (6.0 or newer) or Valkey.
///
/// ```no_run
/// # async fn run(
/// #     keys: tower_api_key::source::Cached<tower_api_key::source::MemoryKeys>,
/// #     id: tower_api_key::key::KeyId,
/// # ) -> Result<(), tower_api_key::BoxError> {
/// use tower_api_key::source::cached::{Invalidation, RedisInvalidations};
///
/// let bus = RedisInvalidations::connect("redis://127.0.0.1:6379")?;
/// tokio::spawn(keys.listen(bus.subscribe()));
///
/// // after the store has the change:
/// keys.invalidate(&id);
/// bus.send(&Invalidation::Key(id)).await?;
/// # Ok(()) }
/// ```
///
/// # What can be missed
/// Redis keeps no messages for those who do not listen. So a subscription answers [`Invalidation::All`] once it is there,
/// and again after each time it was lost. That a connection is dead is noticed within two seconds, by asking it.
/// [`send`](Self::send) is an error if Redis did not take the message; the others then use what they know until its
/// [`ttl`](super::CachedBuilder::ttl) ends.
///
/// # Messages
/// `1 key <id>`, `1 digest <stored form>`, `1 absent` and `1 all`, on the channel `<prefix>:invalidations`. The number is the
/// version of the format. A message that cannot be read, of a newer version for one, is told to the log and taken for `all`:
/// forgetting too much costs a few lookups, and forgetting too little a revocation. Whoever may publish could say `all`
/// anyway.
///
/// Cheap to clone; clones share the connection for sending. Each subscription has its own.
#[derive(Clone)]
pub struct RedisInvalidations(Arc<Bus>);

struct Bus {
    link: Link,
    listener: Client,
    channel: String,
}

/// How long Redis may take to take a message, a subscription, or a question whether it is there.
const DEADLINE: Duration = Duration::from_secs(1);

/// After how long a silence it is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(1);

impl RedisInvalidations {
    /// The bus at this address, on the channel `tower-api-key:invalidations`. Opens no connection yet.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn connect(address: impl IntoConnectionInfo) -> Result<Self, ConfigError> {
        Self::with(address, "tower-api-key")
    }

    /// The bus at this address, on the channel `<prefix>:invalidations`. Opens no connection yet.
    ///
    /// # Errors
    /// When the address cannot be read.
    pub fn with(address: impl IntoConnectionInfo, prefix: &str) -> Result<Self, ConfigError> {
        // The cause could quote the address, and with it a password.
        let wrong = |_| ConfigError::new("redis", "not an address such as redis://127.0.0.1:6379");
        let address = address.into_connection_info().map_err(wrong)?;
        let link = Link::new(address.clone())?;
        // Only there can a connection hear messages and be asked something at the same time.
        let settings = address.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let listener = Client::open(address.set_redis_settings(settings)).map_err(wrong)?;
        Ok(Self(Arc::new(Bus { link, listener, channel: format!("{prefix}:invalidations") })))
    }

    /// Tells all subscribers, and returns how many there are. Do so after the store has the change, never before.
    ///
    /// # Errors
    /// When Redis did not take the message. Whoever hears of it at all may have missed it.
    pub async fn send(&self, invalidation: &Invalidation) -> Result<u64, RedisLinkError> {
        let mut command = Cmd::new();
        command.arg("PUBLISH").arg(&self.0.channel).arg(written(invalidation));
        match self.0.link.call(&command, DEADLINE).await? {
            Value::Int(subscribers) => Ok(u64::try_from(subscribers).unwrap_or(0)),
            _ => Err(RedisLinkError::Answer),
        }
    }

    /// Hears what is sent, from when it first says [`Invalidation::All`] on.
    pub fn subscribe(&self) -> RedisSubscription {
        RedisSubscription { bus: Arc::clone(&self.0), hearing: None }
    }
}

impl fmt::Debug for RedisInvalidations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisInvalidations").field("channel", &self.0.channel).finish_non_exhaustive()
    }
}

/// Hears a [`RedisInvalidations`], and never ends.
pub struct RedisSubscription {
    bus: Arc<Bus>,
    hearing: Option<Hearing>,
}

struct Hearing {
    connection: MultiplexedConnection,
    messages: UnboundedReceiver<PushInfo>,
}

/// A subscription was lost, or could not be had. Messages may have been missed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedisSubscriptionError {
    /// Redis has ended it.
    #[error("the subscription was lost")]
    Lost,
    /// Redis could not be asked for it, or whether it is still there.
    #[error("Redis could not be listened to")]
    Unavailable(#[from] RedisLinkError),
}

impl RedisSubscription {
    async fn subscribe(&self) -> Result<Hearing, RedisLinkError> {
        let (sender, messages) = unbounded_channel();
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(None)
            .set_response_timeout(None)
            .set_push_sender(sender);
        within_deadline(async {
            let mut connection = self.bus.listener.get_multiplexed_async_connection_with_config(&settings).await?;
            connection.subscribe(&self.bus.channel).await?;
            Ok(Hearing { connection, messages })
        })
        .await
    }
}

impl Hearing {
    /// The next message that is about something; none when Redis has ended the subscription.
    async fn hear(&mut self) -> Option<Invalidation> {
        loop {
            let PushInfo { kind, data } = self.messages.recv().await?;
            match kind {
                PushKind::Message => return Some(read(data)),
                PushKind::Disconnection => return None,
                _ => {}
            }
        }
    }

    async fn is_there(&mut self) -> Result<(), RedisLinkError> {
        within_deadline(self.connection.send_packed_command(&redis::cmd("PING"))).await.map(drop)
    }
}

impl Invalidations for RedisSubscription {
    type Error = RedisSubscriptionError;

    async fn next(&mut self) -> Result<Option<Invalidation>, Self::Error> {
        if Handle::try_current().is_err() {
            return Err(RedisLinkError::NoRuntime.into());
        }
        loop {
            let Some(hearing) = &mut self.hearing else {
                self.hearing = Some(self.subscribe().await?);
                return Ok(Some(Invalidation::All));
            };
            let lost = match tokio::time::timeout(SILENCE, hearing.hear()).await {
                Ok(Some(invalidation)) => return Ok(Some(invalidation)),
                Ok(None) => RedisSubscriptionError::Lost,
                Err(_) => match hearing.is_there().await {
                    Ok(()) => continue,
                    Err(error) => error.into(),
                },
            };
            self.hearing = None;
            return Err(lost);
        }
    }
}

impl fmt::Debug for RedisSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSubscription").field("channel", &self.bus.channel).finish_non_exhaustive()
    }
}

async fn within_deadline<T>(answer: impl Future<Output = Result<T, redis::RedisError>>) -> Result<T, RedisLinkError> {
    let answer = tokio::time::timeout(DEADLINE, answer).await;
    Ok(answer.map_err(|_| RedisLinkError::Deadline(DEADLINE))??)
}

fn written(invalidation: &Invalidation) -> String {
    match invalidation {
        Invalidation::Key(id) => format!("1 key {id}"),
        // What has no stored form is known to this process alone, but the others may know as much by another digest.
        Invalidation::Digest(digest) => {
            digest.to_stored().map_or_else(|| "1 all".to_owned(), |stored| format!("1 digest {stored}"))
        }
        Invalidation::Absent => "1 absent".to_owned(),
        Invalidation::All => "1 all".to_owned(),
    }
}

/// The invalidation in a message of the channel; everything, if it cannot be read.
fn read(data: Vec<Value>) -> Invalidation {
    let text = data.into_iter().nth(1).and_then(|text| String::from_redis_value(text).ok());
    text.as_deref().and_then(parsed).unwrap_or_else(|| {
        tracing::warn!(
            target: "tower_api_key::store",
            length = text.map(|text| text.len()),
            "an invalidation could not be read: everything cached is forgotten"
        );
        Invalidation::All
    })
}

fn parsed(text: &str) -> Option<Invalidation> {
    match text.strip_prefix("1 ")?.split_once(' ') {
        Some(("key", id)) => KeyId::new(id).ok().map(Invalidation::Key),
        Some(("digest", stored)) => stored.parse::<KeyDigest>().ok().map(Invalidation::Digest),
        None if text == "1 absent" => Some(Invalidation::Absent),
        None if text == "1 all" => Some(Invalidation::All),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyHasher;

    #[test]
    fn what_is_written_is_read() {
        let digest = KeyHasher::sha256().digest("a");
        for invalidation in [
            Invalidation::Key(KeyId::from_static("key_1")),
            Invalidation::Digest(digest),
            Invalidation::Absent,
            Invalidation::All,
        ] {
            assert_eq!(parsed(&written(&invalidation)), Some(invalidation));
        }
        assert_eq!(written(&Invalidation::Key(KeyId::from_static("key_1"))), "1 key key_1");
    }

    #[test]
    fn what_cannot_be_read_is_taken_for_all() {
        for text in ["", "1", "1 ", "2 key key_1", "key key_1", "1 key", "1 key ", "1 digest x", "1 all ", "1 else x"] {
            assert_eq!(parsed(text), None, "{text:?}");
            let data = vec![Value::BulkString(b"c".to_vec()), Value::BulkString(text.as_bytes().to_vec())];
            assert_eq!(read(data), Invalidation::All);
        }
        let noise = vec![Value::Nil, Value::BulkString(vec![0xff, 0xfe])];
        assert_eq!((read(noise), read(Vec::new())), (Invalidation::All, Invalidation::All));
    }
}
