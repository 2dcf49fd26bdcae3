//! The layer on hyper alone: no axum, no router.
//!
//! ```sh
//! cargo run --example hyper --no-default-features
//! curl -i http://127.0.0.1:3000/                                 # 401
//! curl -i -H 'X-API-Key: ak_live_…' http://127.0.0.1:3000/       # the line that it prints
//! ```

use std::convert::Infallible;
use std::net::Ipv4Addr;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError, PeerAddr};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("hyper")).await?;
    let auth = ApiKeyLayer::new(keys);

    let port: u16 = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("curl -H 'X-API-Key: {}' http://{address}/", issued.secret.expose_secret());

    loop {
        let (stream, peer) = listener.accept().await?;
        let service = ServiceBuilder::new()
            .map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(PeerAddr(peer));
                request
            })
            .layer(auth.clone())
            .service_fn(hello);
        tokio::spawn(async move {
            let connection = auto::Builder::new(TokioExecutor::new());
            let served = connection.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).await;
            if let Err(error) = served {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let auth = request.extensions().get::<AuthContext>();
    let name = auth.and_then(AuthContext::key).map_or("nobody", |key| &key.name);
    Ok(Response::new(Full::from(format!("hello, {name}\n"))))
}
