//! Redis Cluster.

use std::time::Duration;

use redis::aio::ConnectionLike;
pub(super) use redis::cluster::ClusterClient;
pub(super) use redis::cluster_async::ClusterConnection;
use redis::{Cmd, ErrorKind, IntoConnectionInfo, RedisError, ServerErrorKind, Value};

/// How long one node may take to be connected to.
const CONNECTING: Duration = Duration::from_secs(1);

/// How long an answer is waited for when nobody waits for it any longer: the deadlines of calls are shorter.
const ANSWERING: Duration = Duration::from_secs(60);

/// How long the client is given to find out which node has the slot.
const MOVING: Duration = Duration::from_millis(5);

/// A client that asks once: it would send what got no answer again, too. It learns from a refusal which node has the slot.
pub(super) fn client<A: IntoConnectionInfo>(nodes: impl IntoIterator<Item = A>) -> Result<ClusterClient, RedisError> {
    let client = ClusterClient::builder(nodes).retries(0).connection_timeout(CONNECTING);
    client.response_timeout(ANSWERING).overall_response_timeout(None).build()
}

/// Sends a command, and again as long as no node has taken it. Ended by the deadline of the call.
pub(super) async fn send(connection: &ClusterConnection, command: &Cmd) -> Result<Value, RedisError> {
    loop {
        match connection.clone().req_packed_command(command).await.and_then(Value::extract_error) {
            Err(error) if was_not_taken(&error) => tokio::time::sleep(MOVING).await,
            answer => return answer,
        }
    }
}

/// Whether nobody has obeyed it, since the slot is with another node or nobody could be told.
fn was_not_taken(error: &RedisError) -> bool {
    use ServerErrorKind::{ClusterDown, Moved, TryAgain};
    let kind = error.kind();
    kind == ErrorKind::ClusterConnectionNotFound
        || [Moved, TryAgain, ClusterDown].iter().any(|refusal| kind == ErrorKind::Server(*refusal))
}
