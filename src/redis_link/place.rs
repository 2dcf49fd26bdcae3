//! Where Redis is, and connections there.

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, RedisError, Value};

#[cfg(feature = "redis-cluster")]
use super::cluster::{self, ClusterClient, ClusterConnection};
use crate::error::ConfigError;

/// One server, or a cluster.
#[derive(Clone)]
pub(super) enum Place {
    One(Box<Client>),
    #[cfg(feature = "redis-cluster")]
    Cluster(Box<ClusterClient>),
}

/// A connection to it, which callers share.
#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    #[cfg(feature = "redis-cluster")]
    Cluster(ClusterConnection),
}

impl Place {
    pub(super) fn one(address: impl IntoConnectionInfo) -> Result<Self, ConfigError> {
        #[cfg(feature = "redis-tls")]
        choose_cryptography();
        Ok(Self::One(Box::new(Client::open(address).map_err(wrong)?)))
    }

    #[cfg(feature = "redis-cluster")]
    pub(super) fn cluster<A: IntoConnectionInfo>(nodes: impl IntoIterator<Item = A>) -> Result<Self, ConfigError> {
        #[cfg(feature = "redis-tls")]
        choose_cryptography();
        Ok(Self::Cluster(Box::new(cluster::client(nodes).map_err(wrong)?)))
    }

    pub(super) async fn connect(&self) -> Result<Connection, RedisError> {
        match self {
            Self::One(client) => {
                // The deadlines of calls are the only ones.
                let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
                Ok(Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(client) => Ok(Connection::Cluster(client.get_async_connection().await?)),
        }
    }
}

impl Connection {
    pub(super) async fn send(&self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::One(connection) => connection.clone().send_packed_command(command).await,
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => cluster::send(connection, command).await,
        }
    }
}

/// The cause could quote the address, and with it a password.
fn wrong(_: RedisError) -> ConfigError {
    ConfigError::new("redis", "not an address such as redis://127.0.0.1:6379")
}

/// The crate `redis` encrypts with the default of the process, and panics if there are several to choose from and none was
/// chosen. An application that has a choice of its own makes it first.
#[cfg(feature = "redis-tls")]
fn choose_cryptography() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // An error says that somebody else has just chosen.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}
