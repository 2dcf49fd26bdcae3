//! What every source, store and limiter has to keep to, with those of this crate.
#![cfg(feature = "testing")]

use std::sync::{Arc, Mutex};

use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyOwner, Pepper, PepperId, UserId};
use tower_api_key::limit::MemoryRateLimiter;
use tower_api_key::source::{EnvKeys, JsonFileKeys, KeySource, KeyStore, MemoryKeys, NewKey};
use tower_api_key::testing::conformance::{self, LimiterClock};

#[tokio::test]
async fn keys_in_memory() {
    conformance::key_store(async |clock| MemoryKeys::builder().clock(clock).build()).await;
}

#[tokio::test]
async fn keys_in_memory_under_peppers_and_shared() {
    let pepper = |id| KeyHasher::hmac_sha256(&Pepper::new(PepperId(id), [id as u8; 32]).unwrap());
    conformance::key_store(async |clock| {
        let format = KeyFormat::prefixed("sk").unwrap();
        Arc::new(MemoryKeys::builder().clock(clock).format(format).hasher(pepper(2)).add_hasher(pepper(1)).build())
    })
    .await;
}

#[tokio::test]
async fn keys_in_a_json_file() {
    let folders = Mutex::new(Vec::new());
    conformance::key_store(async |clock| {
        let folder = tempfile::tempdir().unwrap();
        let keys = JsonFileKeys::builder(folder.path().join("api-keys.json")).clock(clock).open().unwrap();
        folders.lock().unwrap().push(folder);
        keys
    })
    .await;
}

#[tokio::test]
async fn limits_in_memory() {
    conformance::rate_limiter(LimiterClock::Given, async || MemoryRateLimiter::new()).await;
}

#[tokio::test]
async fn sources_that_only_read() {
    let env = EnvKeys::from_value("ADMIN_API_KEY", "an-example-of-32-characters-or-so").unwrap();
    let id = KeyId::from_static("env_ADMIN_API_KEY_1");
    conformance::key_source(&env, "an-example-of-32-characters-or-so", &id).await;
    let keys = MemoryKeys::new();
    let owner = KeyOwner::user(UserId::from_static("ann"));
    let issued = keys.issue(NewKey::named("k").owner(owner)).await.unwrap();
    let chain = env.or(keys);
    conformance::key_source(&chain, issued.secret.expose_secret(), &issued.record.id).await;
    conformance::key_source(&chain, "an-example-of-32-characters-or-so", &id).await;
}
