//! The layer in front of a gRPC service, called by a real client. Refusals are gRPC's own: a status, no JSON.
//!
//! ```sh
//! cargo run --example tonic --features tonic
//! ```
//!
//! Prints what three calls of the health service get: without a key, with a made-up one, and with a good one; then goes
//! on serving.

use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Server};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("tonic")).await?;
    let auth = ApiKeyLayer::new(keys);

    let port: u16 = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("listening on {url}");

    let (_reporter, health) = tonic_health::server::health_reporter();
    let health = tonic::service::interceptor::InterceptedService::new(health, greet);
    let server = Server::builder().layer(auth).add_service(health);
    let serving = tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));

    let channel = Channel::from_shared(url)?.connect().await?;
    for key in [None, Some("ak_live_made_up"), Some(issued.secret.expose_secret())] {
        let mut request = Request::new(HealthCheckRequest::default());
        if let Some(key) = key {
            request.metadata_mut().insert("x-api-key", MetadataValue::try_from(key)?);
        }
        match HealthClient::new(channel.clone()).check(request).await {
            Ok(answer) => println!("{:?}", answer.into_inner().status()),
            Err(status) => println!("{:?}: {}", status.code(), status.message()),
        }
    }
    Ok(serving.await??)
}

/// What a service learns of its caller stands in the request's extensions.
fn greet(request: Request<()>) -> Result<Request<()>, Status> {
    let auth = request.extensions().get::<AuthContext>().ok_or_else(|| Status::internal("no layer"))?;
    println!("a call by {:?} from {}", auth.key().map(|key| &key.name), auth.client_ip());
    Ok(request)
}
