//! The keys of Better Auth in its own SQLite files: every step of `better_auth_apikey.json` and `better_auth14_apikey.json`
//! through the gate. The folder is `tests/vectors`, unless the environment variable `TEST_VECTORS` names another.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response};
use serde_json::Value;
use sqlx::{ConnectOptions, Connection, Executor};
use tower::{Layer, ServiceExt};
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Timestamp;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{KeyHasher, KeyRef, Scope, ScopeRequirement, ScopeSet};
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::rejection::Rejection;
use tower_api_key::route::Route;
use tower_api_key::source::{BetterAuthKeys, KeySource};
use tower_api_key::testing::TestClock;

const FILES: [&str; 2] = ["better_auth_apikey", "better_auth14_apikey"];

fn folder() -> PathBuf {
    std::env::var_os("TEST_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from)
}

fn vectors(file: &str) -> Value {
    let path = folder().join(file).with_extension("json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

fn database(file: &str) -> String {
    url(&folder().join(file).with_extension("sqlite"))
}

fn instant(step: &Value) -> Timestamp {
    Timestamp::from_unix_micros((step["now"].as_f64().expect("a time") * 1e6) as i64)
}

/// `{"files": ["read"]}` as scopes.
fn scopes(permissions: &Value) -> Vec<Scope> {
    let resources = permissions.as_object().into_iter().flatten();
    let actions = resources
        .flat_map(|(resource, actions)| actions.as_array().into_iter().flatten().zip(std::iter::repeat(resource)));
    actions.map(|(action, resource)| Scope::new(format!("{resource}:{}", action.as_str().unwrap())).unwrap()).collect()
}

/// The gate of a case: a path for each step, with the scopes that it asks for.
async fn gate(file: &str, steps: &[Value], clock: &TestClock) -> ApiKeyLayer {
    let configuration = steps.iter().find_map(|step| step["config_id"].as_str());
    let builder = match configuration {
        // The one with `disableKeyHashing`.
        Some(plain @ "plain") => BetterAuthKeys::builder().plain_text().configuration(plain),
        Some(other) => BetterAuthKeys::builder().configuration(other),
        None => BetterAuthKeys::builder(),
    };
    let keys = builder.connect(&database(file)).await.unwrap();
    let mut layer = ApiKeyLayer::builder(keys)
        .credentials([CredentialLocation::header("x-api-key")])
        .limits(Limits::new(MemoryRateLimiter::new()))
        .clock(clock.clone());
    for (number, step) in steps.iter().enumerate() {
        let scopes = scopes(&step["permissions"]);
        if !scopes.is_empty() {
            layer = layer.route(Method::GET, format!("/{number}"), Route::new().scopes(ScopeRequirement::all(scopes)));
        }
    }
    layer.build().unwrap()
}

/// Whether the key is let in at this path, or the code of the refusal.
async fn verdict(layer: &ApiKeyLayer, path: &str, key: &str) -> Result<(), String> {
    let mut request = Request::get(path).body(()).unwrap();
    request.headers_mut().insert("x-api-key", HeaderValue::from_str(key).unwrap());
    let inner = tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    match response.extensions().get::<Rejection>() {
        None => Ok(()),
        Some(rejection) => Err(rejection.code().to_owned()),
    }
}

/// Where this crate means to answer otherwise, as its documentation says.
fn differs(vectors: &Value, case: &Value, step: &Value) -> bool {
    let first = &case["steps"][0];
    let window =
        vectors["keys"][step["key_label"].as_str().unwrap_or_default()]["create_answer"]["rateLimitTimeWindow"]
            .as_f64()
            .unwrap_or(f64::MAX);
    // Fixed windows from the first request; theirs go on for as long as requests come.
    let later_window = case["id"].as_str().unwrap().starts_with("rate")
        && (step["now"].as_f64().unwrap() - first["now"].as_f64().unwrap()) * 1e3 >= window;
    // "No permission at all" is refused there.
    let empty = step["permissions"].as_object().is_some_and(serde_json::Map::is_empty);
    // What stands around a header's value is no part of it.
    let trimmed = step["key"].as_str().is_some_and(|key| key.trim() != key);
    later_window || empty || trimmed
}

#[tokio::test]
async fn better_auth_keys_are_judged_as_better_auth_judges_them() {
    let (mut failures, mut judged) = (Vec::new(), 0);
    for file in FILES {
        let vectors = vectors(file);
        for case in vectors["cases"].as_array().expect("`cases` is a list") {
            let steps = case["steps"].as_array().expect("a case has steps");
            let clock = TestClock::default();
            let gate = gate(file, steps, &clock).await;
            for (number, step) in steps.iter().enumerate().filter(|(_, step)| !differs(&vectors, case, step)) {
                clock.set(instant(step));
                let verdict = verdict(&gate, &format!("/{number}"), step["key"].as_str().unwrap()).await;
                judged += 1;
                if step["expect"]["valid"].as_bool() != Some(verdict.is_ok()) {
                    failures.push(format!("{file} {} step {number}: {verdict:?}, {}", case["id"], step["expect"]));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {judged} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(judged > 60, "only {judged} steps");
}

#[tokio::test]
async fn better_auth_keys_over_http_are_let_in_and_refused_alike() {
    let vectors = vectors(FILES[0]);
    let exchanges = vectors["http_exchanges"].as_array().expect("exchanges");
    let with_keys: Vec<_> =
        exchanges.iter().filter(|exchange| exchange["request"]["headers"]["x-api-key"].is_string()).cloned().collect();
    assert!(with_keys.len() >= 8);
    let clock = TestClock::default();
    let gate = gate(FILES[0], &[], &clock).await;
    let mut failures = Vec::new();
    // By the clock: it never steps back.
    let mut ordered = with_keys;
    ordered.sort_by_key(|exchange| exchange["now"].as_f64().unwrap() as i64);
    for exchange in &ordered {
        clock.set(instant(exchange));
        let key = exchange["request"]["headers"]["x-api-key"].as_str().unwrap();
        let verdict = verdict(&gate, "/", key).await;
        let expected = match exchange["response"]["body"]["code"].as_str() {
            None => Ok(()),
            Some("KEY_DISABLED") => Err("DISABLED_API_KEY".to_owned()),
            Some("KEY_EXPIRED") => Err("EXPIRED_API_KEY".to_owned()),
            Some(same) => Err(same.to_owned()),
        };
        if verdict != expected {
            failures.push(format!("{}: {verdict:?}, expected {expected:?}", exchange["label"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

async fn record(keys: &BetterAuthKeys, key: &str) -> KeyRef {
    keys.find(&KeyHasher::sha256().digest(key)).await.unwrap().expect("a record")
}

#[tokio::test]
async fn better_auth_records_say_what_the_rows_say() {
    for file in FILES {
        let vectors = vectors(file);
        let keys = BetterAuthKeys::builder().organization_configuration("org").connect(&database(file)).await.unwrap();
        let mut seen = 0;
        for (label, key) in vectors["keys"].as_object().unwrap() {
            let made = &key["create_answer"];
            if label.starts_with("deleted") || made["configId"] == "plain" {
                continue;
            }
            let record = record(&keys, key["plaintext"].as_str().unwrap()).await;
            seen += 1;
            assert_eq!(record.id.as_str(), made["id"].as_str().unwrap());
            assert_eq!(record.start.as_deref(), made["start"].as_str(), "{label}");
            assert_eq!(record.prefix.as_deref(), made["prefix"].as_str(), "{label}");
            let owner = made["referenceId"].as_str().or(made["userId"].as_str()).unwrap();
            if made["configId"] == "org" {
                assert_eq!(record.owner.organization.as_ref().unwrap().as_str(), owner);
                assert_eq!(record.owner.user, None, "an organisation is no user");
            } else {
                assert_eq!(record.owner.user.as_ref().unwrap().as_str(), owner);
            }
            let permissions: ScopeSet = scopes(&made["permissions"]).into_iter().collect();
            assert_eq!(record.scopes, permissions, "{label}");
            assert_eq!(record.metadata, made["metadata"].as_object().cloned().unwrap_or_default(), "{label}");
            assert_eq!(record.credits.map(|credits| credits.remaining), made["remaining"].as_u64(), "{label}");
            let limit = made["rateLimitEnabled"].as_bool().unwrap().then(|| made["rateLimitMax"].as_u64().unwrap());
            assert_eq!(record.rate_limits.first().map(|quota| u64::from(quota.limit())), limit, "{label}");
        }
        assert!(seen >= 5, "{file}: {seen}");
    }
}

#[tokio::test]
async fn better_auth_tables_are_never_written_to() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.sqlite");
    std::fs::copy(self::folder().join("better_auth_apikey.sqlite"), &path).unwrap();
    let before = std::fs::read(&path).unwrap();
    let vectors = vectors(FILES[0]);
    let keys = BetterAuthKeys::connect(&url(&path)).await.unwrap();
    let clock = TestClock::at(Timestamp::from_unix_seconds(4_000_000_000));
    let limits = Limits::new(MemoryRateLimiter::new());
    let gate = ApiKeyLayer::builder(keys).limits(limits).clock(clock).build().unwrap();
    for key in vectors["keys"].as_object().unwrap().values() {
        for _ in 0..12 {
            let _ = verdict(&gate, "/", key["plaintext"].as_str().unwrap()).await;
        }
    }
    assert_eq!(std::fs::read(&path).unwrap(), before, "expired and used-up rows stay");
}

/// A copy of the table after these statements.
async fn changed(folder: &Path, statements: &str) -> String {
    let path = folder.join("auth.sqlite");
    std::fs::copy(self::folder().join("better_auth_apikey.sqlite"), &path).unwrap();
    let options: sqlx::sqlite::SqliteConnectOptions = url(&path).parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    connection.execute(sqlx::AssertSqlSafe(statements.to_owned())).await.unwrap();
    connection.close().await.unwrap();
    url(&path)
}

#[tokio::test]
async fn better_auth_rows_of_other_makes_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let database = changed(
        folder.path(),
        r#"UPDATE apikey SET permissions = '"{\"files\":[\"read\",\"*\",\"a:*\",\"b c\"],\"\":[\"x\"]}"', metadata = '"{\"a\":1}"',
           expiresAt = 1893456000000, createdAt = 1760000000 WHERE name = 'basic'"#,
    )
    .await;
    let keys = BetterAuthKeys::connect(&database).await.unwrap();
    let key = vectors(FILES[0])["keys"]["basic"]["plaintext"].as_str().unwrap().to_owned();
    let record = record(&keys, &key).await;
    assert_eq!(record.scopes.to_string(), "files:read", "wildcards of ours are words like any other there");
    assert_eq!(record.metadata["a"], 1);
    assert_eq!(record.created_at, Some(Timestamp::from_unix_seconds(1_760_000_000)));
    let end = Timestamp::from_unix_seconds(1_893_456_000).saturating_add(Duration::from_millis(1));
    assert_eq!(record.expires_at, Some(end));
}

#[tokio::test]
async fn better_auth_rows_that_cannot_be_read_are_an_error_and_no_refusal() {
    let key = vectors(FILES[0])["keys"]["basic"]["plaintext"].as_str().unwrap().to_owned();
    let digest = KeyHasher::sha256().digest(&key);
    for (statement, expected) in [
        ("UPDATE apikey SET expiresAt = 'soon' WHERE name = 'basic'", "expiresAt: it must be a date and time"),
        ("UPDATE apikey SET enabled = 'perhaps' WHERE name = 'basic'", "enabled: it must be true or false"),
        ("UPDATE apikey SET remaining = -1 WHERE name = 'basic'", "remaining: it must be a whole number"),
        ("UPDATE apikey SET rateLimitMax = 0 WHERE name = 'basic'", "rateLimitMax: it must be more than 0"),
        ("UPDATE apikey SET \"key\" = (SELECT \"key\" FROM apikey WHERE name = 'basic')", "several rows"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let keys = BetterAuthKeys::connect(&changed(folder.path(), statement).await).await.unwrap();
        let error = keys.find(&digest).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains(&key), "{error}");
    }
}

#[tokio::test]
async fn better_auth_plain_text_tables_never_open_to_a_digest() {
    let vectors = vectors(FILES[0]);
    let keys = BetterAuthKeys::builder().plain_text().connect(&database(FILES[0])).await.unwrap();
    let mut digests = 0;
    for row in vectors["rows"]["apikey"].as_array().unwrap() {
        let stored = row["key"].as_str().unwrap();
        let found = keys.find(&KeyHasher::sha256().digest(stored)).await.unwrap();
        let is_digest = row["configId"] != "plain";
        digests += usize::from(is_digest);
        assert_eq!(found.is_none(), is_digest, "{row}");
    }
    assert!(digests > 5);
}

#[tokio::test]
async fn better_auth_databases_that_are_none_are_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.sqlite");
    std::fs::write(&empty, "").unwrap();
    for (url, expected) in [
        ("mysql://localhost", "the address of the database"),
        ("sqlite:/there/is/no/such.db", "could not be opened"),
        (&url(&empty), "there is no table `apikey`"),
    ] {
        let error = BetterAuthKeys::connect(url).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
    let error = BetterAuthKeys::builder().table("a\"; DROP").connect(&database(FILES[0])).await.unwrap_err();
    assert!(error.to_string().contains("no name of a table"), "{error}");
}

/// Needs Postgres, and runs only when the environment variable `TEST_SERVICES` is 1.
#[cfg(feature = "postgres")]
#[tokio::test]
async fn better_auth_keys_in_postgres_are_found_and_nothing_is_written() {
    if std::env::var("TEST_SERVICES").as_deref() != Ok("1") {
        return;
    }
    let server = "postgres://postgres@127.0.0.1:5432";
    let mut admin = sqlx::PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let name = format!("better_auth_{}", std::process::id());
    admin.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    let address = format!("{server}/{name}");
    let outcome = tokio::spawn(async move { in_postgres(&address).await }).await;
    admin.execute(sqlx::AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.unwrap();
    outcome.unwrap();
}

#[cfg(feature = "postgres")]
async fn in_postgres(address: &str) {
    const TABLE: &str = r#"CREATE TABLE apikey (id text PRIMARY KEY, "configId" text, name text, start text,
        "referenceId" text NOT NULL, prefix text, key text NOT NULL, "refillInterval" integer, "refillAmount" integer,
        "lastRefillAt" timestamp, enabled boolean, "rateLimitEnabled" boolean, "rateLimitTimeWindow" integer,
        "rateLimitMax" integer, "requestCount" integer, remaining integer, "lastRequest" timestamptz,
        "expiresAt" timestamptz, "createdAt" timestamp NOT NULL, "updatedAt" timestamptz NOT NULL, permissions text,
        metadata text)"#;
    let mut connection = sqlx::PgConnection::connect(address).await.unwrap();
    connection.execute(TABLE).await.unwrap();
    let vectors = vectors(FILES[0]);
    for row in vectors["rows"]["apikey"].as_array().unwrap() {
        let insert = "INSERT INTO apikey SELECT * FROM jsonb_populate_record(null::apikey, $1::jsonb)";
        sqlx::query(insert).bind(row.to_string()).execute(&mut connection).await.unwrap();
    }
    let (here, there) =
        (BetterAuthKeys::connect(address).await.unwrap(), BetterAuthKeys::connect(&database(FILES[0])).await.unwrap());
    let mut compared = 0;
    for key in vectors["keys"].as_object().unwrap().values() {
        let digest = KeyHasher::sha256().digest(key["plaintext"].as_str().unwrap());
        let (one, other) = (here.find(&digest).await.unwrap(), there.find(&digest).await.unwrap());
        assert_eq!(format!("{one:?}"), format!("{other:?}"));
        compared += usize::from(one.is_some());
    }
    assert!(compared > 10, "{compared}");
    let plain = BetterAuthKeys::builder().plain_text().configuration("plain").connect(address).await.unwrap();
    let text = vectors["keys"]["unhashed"]["plaintext"].as_str().unwrap();
    assert!(plain.find(&KeyHasher::sha256().digest(text)).await.unwrap().is_some());
}
