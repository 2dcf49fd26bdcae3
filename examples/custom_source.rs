//! A store of one's own: keys in a table that a team already has, found by the hash that it already keeps.
//!
//! ```sh
//! cargo run --example custom_source
//! curl -H 'X-API-Key: legacy-key-of-the-billing-team-0001' http://127.0.0.1:3000/   # 200
//! curl -H 'X-API-Key: legacy-key-of-the-billing-team-0002' http://127.0.0.1:3000/   # 401
//! ```

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use axum::Router;
use axum::routing::get;
use tower_api_key::key::{DigestAlgorithm, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::{KeyScheme, KeySource};
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError};

/// A row as the team has it. Stands for a database: one that is asked over the network, and can fail.
#[derive(Debug, Clone)]
struct Row {
    id: u64,
    team: String,
}

#[derive(Clone, Default)]
struct Table(Arc<RwLock<HashMap<[u8; 32], Row>>>);

impl Table {
    async fn select_by_hash(&self, hash: &[u8; 32]) -> Result<Option<Row>, TableError> {
        Ok(self.0.read().map_err(|_| TableError)?.get(hash).cloned())
    }
}

impl KeySource for Table {
    type Error = BoxError;

    fn name(&self) -> &str {
        "billing table"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::text(), KeyHasher::sha256())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, BoxError> {
        if digest.algorithm() != DigestAlgorithm::Sha256 {
            return Ok(None);
        }
        let Some(row) = self.select_by_hash(digest.as_bytes()).await? else { return Ok(None) };
        let mut record = KeyRecord::new(KeyId::new(row.id.to_string())?, *digest);
        record.name = row.team.clone();
        record.attach(row);
        Ok(Some(record.into()))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the table is broken")]
struct TableError;

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let table = Table::default();
    let hash = KeyHasher::sha256().digest("legacy-key-of-the-billing-team-0001");
    let row = Row { id: 7, team: "billing".to_owned() };
    table.0.write().map_err(|_| TableError)?.insert(*hash.as_bytes(), row);

    let app = Router::new().route("/", get(hello));
    let port: u16 = std::env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, ApiKeyLayer::new(table).protect(app)).await?;
    Ok(())
}

async fn hello(auth: AuthContext) -> String {
    match auth.attached::<Row>() {
        Ok(row) => format!("hello, {} (row {})\n", row.team, row.id),
        Err(error) => error.to_string(),
    }
}
