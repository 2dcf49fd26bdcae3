//! One layer in front of an axum router. Run it, and paste the line that it prints:
//!
//! ```sh
//! cargo run --example quickstart
//! curl -H 'X-API-Key: ak_live_…' http://127.0.0.1:3000/          # 200
//! curl http://127.0.0.1:3000/                                    # 401
//! ```

use axum::routing::get;
use axum::{Json, Router};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("quickstart")).await?;
    let auth = ApiKeyLayer::new(keys);

    let app = Router::new().route("/", get(hello)).route("/api/whoami", get(whoami));

    let port: u16 = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    let address = listener.local_addr()?;
    println!("listening on http://{address}");
    println!("curl -H 'X-API-Key: {}' http://{address}/", issued.secret.expose_secret());
    axum::serve(listener, auth.protect(app)).await?;
    Ok(())
}

async fn hello(auth: AuthContext) -> String {
    let name = auth.key().map_or("nobody", |key| &key.name);
    format!("hello, {name}\n")
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}
