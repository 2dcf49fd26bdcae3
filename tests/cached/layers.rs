//! One cache behind several layers.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{Environment, KeyFormat, KeyHasher, KeyId, KeyRecord, Realm};
use tower_api_key::source::{KeySource, Lookup};

use super::support::*;

async fn status(layer: &ApiKeyLayer, key: &str) -> StatusCode {
    let inner = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Full::<Bytes>::default())));
    let request = Request::get("/").header("x-api-key", key).body(()).unwrap();
    layer.layer(inner).oneshot(request).await.unwrap().status()
}

/// A key, and its record in `source` as `change` has it.
fn issue(source: &Fake, id: &'static str, change: impl FnOnce(&mut KeyRecord)) -> String {
    let key = KeyFormat::default().generate(&Environment::from_static("live")).unwrap().expose_secret().to_owned();
    let mut record = KeyRecord::new(KeyId::from_static(id), KeyHasher::sha256().digest(&key));
    change(&mut record);
    source.put_record(record);
    key
}

#[tokio::test]
async fn a_cached_key_of_one_environment_or_realm_never_opens_another() {
    let source = Fake::new();
    let (cache, _clock) = cache(&source);
    let layer = |environment: &'static str, realm: &'static str| {
        let builder = ApiKeyLayer::builder(cache.clone()).environment(Environment::from_static(environment));
        builder.realm(Realm::from_static(realm)).build().unwrap()
    };
    let test = issue(&source, "key_test", |record| record.environment = Some(Environment::from_static("test")));
    let mine = issue(&source, "key_mine", |record| record.realm = Some(Realm::from_static("mine")));
    for _ in 0..3 {
        assert_eq!(status(&layer("test", "mine"), &test).await, StatusCode::OK);
        assert_eq!(status(&layer("live", "mine"), &test).await, StatusCode::UNAUTHORIZED);
        assert_eq!(status(&layer("test", "mine"), &mine).await, StatusCode::OK);
        assert_eq!(status(&layer("test", "theirs"), &mine).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(source.calls(), 2, "all but the first were answered from memory");
}

#[tokio::test]
async fn a_stale_record_is_never_used_past_the_expiry_of_its_key() {
    let source = Fake::new();
    let (cache, clock) = cache_with(&source, |builder| builder.stale_on_error(seconds(300)));
    let layer = ApiKeyLayer::builder(cache.clone()).clock(clock.clone()).build().unwrap();
    let now = tower_api_key::clock::Clock::now(&clock);
    let key = issue(&source, "key_1", |record| record.expires_at = Some(now.saturating_add(seconds(100))));
    assert_eq!(status(&layer, &key).await, StatusCode::OK);
    source.set_away(Some("gone"));
    clock.advance(seconds(99));
    assert_eq!(status(&layer, &key).await, StatusCode::OK);
    clock.advance(seconds(1));
    assert_eq!(status(&layer, &key).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_source_that_is_away_is_503_for_new_keys_and_nothing_for_cached_ones() {
    let source = Fake::new();
    let (cache, _clock) = cache(&source);
    let layer = ApiKeyLayer::new(cache.clone());
    let [old, new] = ["key_old", "key_new"].map(|id| issue(&source, id, |_| {}));
    assert_eq!(status(&layer, &old).await, StatusCode::OK);
    source.set_away(Some("gone"));
    assert_eq!(status(&layer, &old).await, StatusCode::OK);
    assert_eq!(status(&layer, &new).await, StatusCode::SERVICE_UNAVAILABLE);
    source.set_away(None);
    assert_eq!(status(&layer, &new).await, StatusCode::OK);
    assert!(matches!(cache.find_now(&KeyHasher::sha256().digest(&new)), Lookup::Found(_)));
}
