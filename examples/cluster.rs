//! Many nodes that share keys, limits and credits: one command starts them all.
//!
//! ```sh
//! REDIS_URL=redis://127.0.0.1:6379 DATABASE_URL=postgres://app@127.0.0.1/app \
//!   ADMIN_API_KEY=an-admin-key-of-at-least-32-characters \
//!   cargo run --example cluster --features cache,management,postgres,redis        # says where each node listens
//! curl -H 'Authorization: Bearer an-admin-key-of-at-least-32-characters' \
//!      --json '{"name":"ci","scopes":["read"]}' http://127.0.0.1:<one>/v1/keys    # 201, the key this once
//! curl -H 'Authorization: Bearer ak_live_…' --json '{"prompt":"hello"}' http://127.0.0.1:<another>/v1/generate
//! curl -X DELETE -H 'Authorization: Bearer an-admin-key-of-at-least-32-characters' \
//!      http://127.0.0.1:<one>/v1/keys/key_…                                       # refused everywhere within a second
//! ```
//!
//! | variable | meaning |
//! | --- | --- |
//! | `REDIS_URL` | where limits and credits are counted |
//! | `DATABASE_URL` | the Postgres that keeps the keys |
//! | `ADMIN_API_KEY` | the first key: it may do everything |
//! | `API_RATE_LIMIT` | how often a key may call in an hour, on all nodes together; 100 by default |
//! | `LIMIT_MODE` | `exact`, the default: Redis is asked for each request; `leases`: each node takes permits by the batch |
//! | `NODES` | how many nodes to start, 3 by default |
//! | `WAIT_SECONDS` | how long to wait for Redis and Postgres at the start, 30 by default |
//!
//! Each node is this program once more, and ends with the one that has started it. A node that runs outlives both stores:
//! without Postgres, keys that it knows work for up to five minutes; without Redis, requests are refused with 503.
//!
//! What one node changes the others hear by `NOTIFY`: Postgres sends it in the transaction of the change, so that no change
//! goes unsaid. Over Redis it would be a second step, after which a node could die.

mod support;

use std::io::Read;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use axum::routing::{get, post};
use axum::{Json, Router};
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{KeyClass, Scope, ScopeHierarchy};
use tower_api_key::limit::redis::{Leases, RedisCredits, RedisRateLimiter};
use tower_api_key::limit::{Charge, Detail, Limits, Quota, RateLimiter, Subject};
use tower_api_key::management::Management;
use tower_api_key::rejection::Style;
use tower_api_key::route::{Methods, Route};
use tower_api_key::source::sql::SqlKeysError;
use tower_api_key::source::{Cached, EnvKeys, KeySource, PostgresKeys};
use tower_api_key::usage::Usage;
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError, ConfigError};

const READ: Scope = Scope::from_static("read");
const ADMIN: Scope = Scope::from_static("admin");

/// Tells the program that it is a node, and which.
const NODE: &str = "CLUSTER_NODE";

/// For how long a key that a node knows works without Postgres.
const OUTAGE: Duration = Duration::from_secs(300);

fn main() -> ExitCode {
    support::run(run)
}

async fn run() -> Result<(), BoxError> {
    let mut settings = support::Settings::default();
    let mut needed = |name| settings.text(name).ok_or_else(|| ConfigError::new(name, "is not set"));
    let (redis, database) = (needed("REDIS_URL"), needed("DATABASE_URL"));
    let (redis, database) = (settings.checked(redis), settings.checked(database));
    let admin = settings.checked(EnvKeys::variable("ADMIN_API_KEY"));
    let hourly = settings.per_hour("API_RATE_LIMIT", 100);
    let mode = settings.parsed("LIMIT_MODE", "exact".to_owned());
    let nodes = settings.parsed("NODES", 3_u32);
    let patience = Duration::from_secs(settings.parsed("WAIT_SECONDS", 30_u32).into());
    if !["exact", "leases"].contains(&mode.as_str()) {
        settings.wrong("LIMIT_MODE", format_args!("{mode:?} is neither exact nor leases"));
    }
    if !(1..=64).contains(&nodes) {
        settings.wrong("NODES", format_args!("{nodes} is not from 1 to 64"));
    }
    let in_redis = redis.map(|url| {
        let limiter = RedisRateLimiter::builder(url.as_str());
        let limiter = if mode == "leases" { limiter.leases(Leases::new()) } else { limiter };
        let both = limiter.build().and_then(|limiter| Ok((limiter, RedisCredits::connect(url)?)));
        both.map_err(|error| ConfigError::new("REDIS_URL", error))
    });
    let in_redis = in_redis.and_then(|both| settings.checked(both));
    settings.done()?;
    let (Some(admin), Some((limiter, credits)), Some(database)) = (admin, in_redis, database) else { return Ok(()) };

    let (limits, keys) = tokio::join!(reached(&limiter, &hourly, patience), opened(&database, patience));
    let (limits, keys) = (settings.checked(limits), settings.checked(keys));
    settings.done()?;
    let (Some(()), Some(keys)) = (limits, keys) else { return Ok(()) };
    if std::env::var_os(NODE).is_none() {
        return lead(nodes).await;
    }

    let changes = keys.invalidations();
    let keys = Cached::builder(keys).stale_on_error(OUTAGE).build()?;
    tokio::spawn(keys.listen(changes));
    let limits = Limits::new(limiter).per_key(hourly.clone()).failures(hourly).credits_in_redis(credits);
    let auth = ApiKeyLayer::builder(admin.class(KeyClass::Admin).scopes([ADMIN]).or(keys.clone()))
        .credentials([CredentialLocation::bearer()])
        .scope_hierarchy(ScopeHierarchy::new().implies(ADMIN, [READ]))
        .route(Method::POST, "/v1/generate", Route::new().scopes(READ))
        .route(Methods::ANY, "/v1/keys", Route::new().scopes(ADMIN))
        .route(Methods::ANY, "/v1/keys/{*rest}", Route::new().scopes(ADMIN))
        .limits(limits)
        .usage(Usage::new(keys.clone()))
        .style(Style::envelope())
        .build()?;
    let app = Router::new()
        .route("/v1/generate", post(generate))
        .route("/api/whoami", get(whoami))
        .nest("/v1/keys", Management::new(keys).router());
    let app = auth.protect(app);
    let end = async {
        tokio::select! { () = support::end() => {}, () = left_alone() => {} }
    };
    support::serve(0, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(end)).await
}

/// Waits for Redis.
async fn reached(limiter: &RedisRateLimiter, quota: &Quota, patience: Duration) -> Result<(), ConfigError> {
    let (started, nobody) = (Instant::now(), [Charge::new(Subject::route("start"), quota)]);
    while let Err(error) = limiter.peek(&nobody, Detail::Closest, SystemClock.now()).await {
        if started.elapsed() >= patience {
            let problem = format_args!("Redis did not answer within {patience:?}: {error}");
            return Err(ConfigError::new("REDIS_URL", problem));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

/// Waits for Postgres, and brings its tables up to date.
async fn opened(url: &str, patience: Duration) -> Result<PostgresKeys, ConfigError> {
    let started = Instant::now();
    loop {
        match PostgresKeys::connect(url).await {
            Ok(keys) => return Ok(keys),
            Err(SqlKeysError::Config(error)) => return Err(ConfigError::new("DATABASE_URL", error)),
            Err(error) if started.elapsed() >= patience => {
                let problem = format_args!("Postgres did not answer within {patience:?}: {error}");
                return Err(ConfigError::new("DATABASE_URL", problem));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

/// Starts the nodes, and ends them: each holds the end of a pipe that is closed then, or when this process dies.
async fn lead(nodes: u32) -> Result<(), BoxError> {
    let end = tokio::spawn(support::end());
    let (mut running, mut leashes) = (JoinSet::new(), Vec::new());
    for node in 1..=nodes {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(NODE, node.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let (leash, mut output) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        let mut line = String::new();
        if let Some(output) = &mut output {
            output.read_line(&mut line).await?;
        }
        if line.is_empty() {
            return Err(format!("node {node} did not start").into());
        }
        print!("{line}");
        leashes.push(leash);
        running.spawn(async move { (node, child.wait().await, output) });
    }
    let ended = async {
        while let Some(Ok((node, status, _))) = running.join_next().await {
            tracing::warn!(node, ?status, "a node has ended");
        }
    };
    tokio::select! {
        _ = end => {}
        () = ended => return Err("all nodes have ended".into()),
    }
    drop(leashes);
    running.join_all().await;
    Ok(())
}

/// Completes when the process that has started this one lets go of it. On a thread, since reading cannot be given up.
async fn left_alone() {
    let (alone, told) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        drop(alone);
    });
    let _ = told.await;
}

async fn generate(Json(body): Json<Value>) -> Json<Value> {
    Json(json!({ "success": true, "data": { "generated": body } }))
}

async fn whoami(auth: AuthContext) -> Json<AuthContext> {
    Json(auth)
}
