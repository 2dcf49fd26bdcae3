//! Credits that were spent, over restarts.

use http::StatusCode;
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyId, KeyRecord};
use tower_api_key::limit::credits::Credits;
use tower_api_key::limit::{Limits, MemoryRateLimiter};
use tower_api_key::source::{JsonFileKeys, KeyStore, MemoryKeys};
use tower_api_key::usage::Usage;

use crate::support::{Fault, Moody, call, one_key};

/// The layer of a process that has just been started.
fn start<S: KeyStore + Clone>(keys: &S) -> ApiKeyLayer {
    let limits = Limits::new(MemoryRateLimiter::new());
    ApiKeyLayer::builder(keys.clone()).limits(limits).usage(Usage::new(keys.clone())).build().unwrap()
}

async fn with_credits(count: u64) -> (MemoryKeys, KeyId, String) {
    let (_, issued, key) = one_key().await;
    let mut record = KeyRecord::clone(&issued.record);
    record.credits = Some(Credits::new(count).starting(Timestamp::UNIX_EPOCH));
    let keys = MemoryKeys::new();
    keys.insert(record).unwrap();
    (keys, issued.record.id.clone(), key)
}

async fn left<S: KeyStore>(keys: &S, id: &KeyId) -> (u64, u64) {
    let record = keys.get(id).await.ok().flatten().unwrap();
    record.credits.map(|state| (state.remaining, state.spent)).unwrap()
}

#[tokio::test]
async fn what_was_spent_is_kept_and_the_next_start_begins_with_the_rest() {
    let (keys, id, key) = with_credits(5).await;
    let first = start(&keys);
    for _ in 0..3 {
        assert_eq!(call(&first, &key).await, StatusCode::OK);
    }
    assert_eq!(left(&keys, &id).await, (5, 0), "no request writes to the store");
    first.shutdown().await.unwrap();
    assert_eq!(left(&keys, &id).await, (2, 3));
    let second = start(&keys);
    for status in [StatusCode::OK, StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(call(&second, &key).await, status);
    }
    second.shutdown().await.unwrap();
    assert_eq!(left(&keys, &id).await, (0, 5));
}

#[tokio::test]
async fn what_the_store_did_not_take_is_taken_off_once() {
    let (keys, id, key) = with_credits(5).await;
    let store = Moody::new(keys, Fault::After(0));
    let auth = start(&store);
    call(&auth, &key).await;
    assert!(auth.flush().await.is_err());
    call(&auth, &key).await;
    assert!(auth.flush().await.is_err());
    assert_eq!(left(&store, &id).await, (5, 0));
    store.set(Fault::None);
    for _ in 0..2 {
        auth.flush().await.unwrap();
        assert_eq!(left(&store, &id).await, (3, 2));
    }
}

#[tokio::test]
async fn processes_that_spend_from_one_record_add_up() {
    let (keys, id, key) = with_credits(10).await;
    let (one, two) = (start(&keys), start(&keys));
    for auth in [&one, &two, &two] {
        assert_eq!(call(auth, &key).await, StatusCode::OK);
    }
    one.flush().await.unwrap();
    two.flush().await.unwrap();
    assert_eq!(left(&keys, &id).await, (7, 3));
    call(&one, &key).await;
    one.flush().await.unwrap();
    assert_eq!(left(&keys, &id).await, (6, 4));
}

#[tokio::test]
async fn a_file_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let (_, issued, key) = one_key().await;
    let id = issued.record.id.clone();
    let state = Credits::new(2).starting(Timestamp::UNIX_EPOCH);
    let row = serde_json::json!({ "id": id.as_str(), "digest": issued.record.digest.to_stored(), "credits": state });
    std::fs::write(&path, serde_json::json!({ "version": 1, "keys": [row] }).to_string()).unwrap();
    let keys = JsonFileKeys::open(&path).unwrap();
    let auth = start(&keys);
    assert_eq!(call(&auth, &key).await, StatusCode::OK);
    auth.shutdown().await.unwrap();
    let again = JsonFileKeys::open(&path).unwrap();
    assert_eq!(left(&again, &id).await, (1, 1));
    let auth = start(&again);
    for status in [StatusCode::OK, StatusCode::TOO_MANY_REQUESTS] {
        assert_eq!(call(&auth, &key).await, status);
    }
}
