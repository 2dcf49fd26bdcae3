//! The store.

use tower_api_key::key::{KeyHasher, KeyId, KeyRecord, Pepper, PepperId};
use tower_api_key::source::sql::SqlKeysError;
use tower_api_key::source::{
    KeyChange, KeyRotation, KeySource, KeyStore, KeySuccession, KeyUpdate, KeyUsage, NewKey, PostgresKeys,
};
use tower_api_key::testing::conformance;

use super::support::*;

#[tokio::test]
async fn it_keeps_to_every_rule_of_a_store() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let tables = std::sync::atomic::AtomicU32::new(0);
    conformance::key_store(async |clock| {
        let table = format!("keys_{}", tables.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        let pepper = Pepper::new(PepperId(1), [1; 32]).unwrap();
        let builder = PostgresKeys::builder(&database.url()).clock(clock).table(table);
        builder.hasher(KeyHasher::hmac_sha256(&pepper)).build().await.unwrap()
    })
    .await;
}

#[tokio::test]
async fn it_keeps_to_every_rule_of_a_store_of_events() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let tables = std::sync::atomic::AtomicU32::new(0);
    conformance::audit_store(async || {
        let table = format!("keys_{}", tables.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        PostgresKeys::builder(&database.url()).table(table).build().await.unwrap()
    })
    .await;
}

#[cfg(feature = "postgres-tls")]
#[tokio::test]
async fn a_connection_that_has_to_be_encrypted_is() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let speaks_tls: String =
        sqlx::query_scalar("SELECT current_setting('ssl')").fetch_one(&pool(&database).await).await.unwrap();
    let opened = PostgresKeys::connect(&format!("{}?sslmode=require", database.url())).await;
    if speaks_tls == "off" {
        return assert!(
            matches!(opened, Err(SqlKeysError::Database { source: sqlx::Error::Tls(_), .. })),
            "{opened:?}"
        );
    }
    let keys = opened.unwrap();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    assert!(keys.find(&issued.record.digest).await.unwrap().is_some());
    let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    assert!(sqlx::query_scalar::<_, bool>(encrypted).fetch_one(keys.pool()).await.unwrap());
    // Nobody vouches for the certificate of the server of a test.
    let unknown = PostgresKeys::connect(&format!("{}?sslmode=verify-full", database.url())).await;
    assert!(matches!(unknown, Err(SqlKeysError::Database { operation: "be reached", .. })), "{unknown:?}");
}

#[tokio::test]
async fn stores_that_are_made_at_once_migrate_once() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let pending = PostgresKeys::migrations(&database.url()).await.unwrap();
    assert!(pending.to_string().contains("CREATE TABLE api_keys ("), "{pending}");
    let unmigrated = PostgresKeys::builder(&database.url()).migrate(false).build().await.unwrap_err();
    assert!(matches!(unmigrated, SqlKeysError::SchemaTooOld { found: 0, needed: 2, .. }), "{unmigrated}");
    let url = database.url();
    let made: Vec<_> = (0..8)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { PostgresKeys::connect(&url).await })
        })
        .collect();
    for keys in made {
        keys.await.unwrap().unwrap();
    }
    assert!(PostgresKeys::migrations(&url).await.unwrap().is_empty());
    let pool = pool(&database).await;
    sqlx::query("INSERT INTO api_keys_schema VALUES (7)").execute(&pool).await.unwrap();
    let error = PostgresKeys::from_pool(pool).build().await.unwrap_err();
    assert!(matches!(error, SqlKeysError::SchemaTooNew { found: 7, known: 2, .. }), "{error}");
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_and_not_repeated() {
    for url in ["", "sqlite://keys.db", "postgres://ann:hunter2@local host:port/x"] {
        let error = PostgresKeys::connect(url).await.unwrap_err();
        assert!(matches!(error, SqlKeysError::Config(_)) && !error.to_string().contains("hunter2"), "{error}");
    }
    assert!(!format!("{:?}", PostgresKeys::builder("postgres://ann:hunter2@localhost/x")).contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_change_one_key_at_once_lose_nothing() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let nodes = [database.keys().await, database.keys().await];
    let shared = KeyId::from_static("key_shared");
    let _ = nodes[0].adopt(KeyRecord::new(shared.clone(), KeyHasher::sha256().digest("shared"))).await.unwrap();
    let workers: Vec<_> = (0..8)
        .map(|worker| {
            let (keys, shared) = (nodes[worker % 2].clone(), shared.clone());
            tokio::spawn(async move {
                for number in 0..50 {
                    let usage = KeyUsage::new(shared.clone(), 2, tower_api_key::clock::Timestamp::UNIX_EPOCH);
                    keys.record_usage(&[usage]).await.unwrap();
                    let changed = keys.update(&shared, KeyChange::rename(number.to_string())).await.unwrap();
                    assert!(matches!(changed, KeyUpdate::Changed(_)), "{changed:?}");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let record = nodes[0].get(&shared).await.unwrap().unwrap();
    assert_eq!((record.version, record.use_count), (400, 800));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_stands_and_one_rotation_wins_whatever_nodes_do_at_once() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    let nodes = [database.keys().await, database.keys().await];
    for _ in 0..20 {
        let id = nodes[0].issue(NewKey::named("k")).await.unwrap().record.id.clone();
        let rotations = nodes.clone().map(|keys| {
            let id = id.clone();
            tokio::spawn(async move { keys.rotate(&id, KeyRotation::overlap(seconds(60))).await.unwrap() })
        });
        let changes = nodes.clone().map(|keys| {
            let id = id.clone();
            tokio::spawn(async move { drop(keys.set_enabled(&id, true).await.unwrap()) })
        });
        let revoked = nodes[1].revoke(&id, None).await.unwrap().unwrap();
        let mut successors = 0;
        for rotation in rotations {
            successors += usize::from(matches!(rotation.await.unwrap(), KeySuccession::Rotated { .. }));
        }
        for change in changes {
            change.await.unwrap();
        }
        assert!(successors <= 1, "{successors}");
        let record = nodes[0].get(&id).await.unwrap().unwrap();
        assert_eq!(record.revoked_at, revoked.revoked_at);
    }
}

#[tokio::test]
async fn a_lookup_is_one_statement_and_no_transaction() {
    if !wanted() {
        return;
    }
    let database = TestDatabase::new().await;
    // One connection does all of it, and remembers what it has prepared.
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1).connect(&database.url()).await.unwrap();
    let keys = PostgresKeys::from_pool(pool).build().await.unwrap();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    for _ in 0..20 {
        assert!(keys.find(&issued.record.digest).await.unwrap().is_some());
    }
    let statements = "SELECT COUNT(*) FROM pg_prepared_statements WHERE statement LIKE '%WHERE digest = $1'";
    assert_eq!(sqlx::query_scalar::<_, i64>(statements).fetch_one(keys.pool()).await.unwrap(), 1);
}
