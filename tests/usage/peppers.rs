//! New digests for keys that were found by old ones.

use http::StatusCode;
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{DigestAlgorithm, KeyDigest, KeyHasher, KeyRecord, KeyRef, Pepper, PepperId};
use tower_api_key::source::{
    IssuedKey, JsonFileKeys, KeyScheme, KeySource, KeyStore, Lookup, MemoryKeys, MemoryKeysBuilder, NewKey,
};
use tower_api_key::usage::Usage;

use crate::support::{Fault, Moody, call};

fn pepper(id: u32) -> KeyHasher {
    KeyHasher::hmac_sha256(&Pepper::new(PepperId(id), [id as u8; 32]).unwrap())
}

fn hashed_by(hasher: KeyHasher) -> MemoryKeysBuilder {
    MemoryKeys::builder().hasher(hasher)
}

/// The record of a key that was issued by another store, in this one.
async fn taken_over(builder: MemoryKeysBuilder, from: KeyHasher) -> (MemoryKeys, IssuedKey) {
    let issued = hashed_by(from).build().issue(NewKey::named("k")).await.unwrap();
    let keys = builder.build();
    keys.insert(KeyRecord::clone(&issued.record)).unwrap();
    (keys, issued)
}

fn layer<S: KeySource>(source: S, keys: impl KeyStore) -> ApiKeyLayer {
    ApiKeyLayer::builder(source).usage(Usage::new(keys)).build().unwrap()
}

#[tokio::test]
async fn a_key_found_by_an_older_digest_has_the_current_one_after_the_flush() {
    for older in [pepper(1), KeyHasher::sha256()] {
        let (keys, issued) = taken_over(hashed_by(pepper(2)).add_hasher(older.clone()), older.clone()).await;
        let (id, key) = (&issued.record.id, issued.secret.expose_secret());
        let auth = layer(keys.clone(), keys.clone());
        assert_eq!(call(&auth, key).await, StatusCode::OK);
        assert_eq!(keys.get(id).await.unwrap().unwrap().digest, older.digest(key), "no request writes to the store");
        auth.flush().await.unwrap();
        let record = keys.get(id).await.unwrap().unwrap();
        assert_eq!((record.digest, record.use_count, record.version), (pepper(2).digest(key), 1, 0));
        assert_eq!(call(&auth, key).await, StatusCode::OK);
        // The old pepper can go.
        let after = hashed_by(pepper(2)).build();
        after.insert(KeyRecord::clone(&record)).unwrap();
        assert_eq!(call(&ApiKeyLayer::new(after), key).await, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_file_has_the_new_digest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let unpeppered = JsonFileKeys::open(&path).unwrap();
    let issued = unpeppered.issue(NewKey::named("k")).await.unwrap();
    let key = issued.secret.expose_secret();
    let keys = JsonFileKeys::builder(&path).hasher(pepper(1)).add_hasher(KeyHasher::sha256()).open().unwrap();
    let auth = layer(keys.clone(), keys);
    assert_eq!(call(&auth, key).await, StatusCode::OK);
    auth.shutdown().await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("hmac-sha256.1:") && !text.contains("\"sha256:") && !text.contains(key), "{text}");
    let peppered = JsonFileKeys::builder(&path).hasher(pepper(1)).open().unwrap();
    assert_eq!(call(&ApiKeyLayer::new(peppered), key).await, StatusCode::OK);
}

#[tokio::test]
async fn a_digest_that_was_not_written_is_with_the_next_batch() {
    let (keys, issued) = taken_over(hashed_by(pepper(2)).add_hasher(pepper(1)), pepper(1)).await;
    let store = Moody::new(keys, Fault::After(0));
    let auth = layer(store.clone(), store.clone());
    let key = issued.secret.expose_secret();
    assert_eq!(call(&auth, key).await, StatusCode::OK, "found by waiting, too");
    assert!(auth.flush().await.is_err());
    store.set(Fault::None);
    auth.flush().await.unwrap();
    assert_eq!(store.get(&issued.record.id).await.unwrap().unwrap().digest, pepper(2).digest(key));
    assert_eq!(call(&auth, key).await, StatusCode::OK);
}

#[tokio::test]
async fn a_pepper_is_never_taken_away() {
    let (keys, issued) = taken_over(hashed_by(KeyHasher::sha256()).add_hasher(pepper(1)), pepper(1)).await;
    let auth = layer(keys.clone(), keys.clone());
    assert_eq!(call(&auth, issued.secret.expose_secret()).await, StatusCode::OK);
    auth.flush().await.unwrap();
    let digest = keys.get(&issued.record.id).await.unwrap().unwrap().digest;
    assert_eq!(digest.algorithm(), DigestAlgorithm::HmacSha256(PepperId(1)));
}

#[tokio::test]
async fn a_key_that_was_revoked_meanwhile_stays_so() {
    let (keys, issued) = taken_over(hashed_by(pepper(2)).add_hasher(pepper(1)), pepper(1)).await;
    let auth = layer(keys.clone(), keys.clone());
    let key = issued.secret.expose_secret();
    call(&auth, key).await;
    keys.revoke(&issued.record.id, None).await.unwrap();
    auth.flush().await.unwrap();
    assert_eq!(call(&auth, key).await, StatusCode::UNAUTHORIZED);
    assert!(keys.get(&issued.record.id).await.unwrap().unwrap().revoked_at.is_some());
}

/// Gives the key its new digest after that was looked for, and before the old one is.
#[derive(Clone)]
struct Overtaken {
    keys: MemoryKeys,
    waits: bool,
    auth: std::sync::Arc<std::sync::OnceLock<ApiKeyLayer>>,
}

impl KeySource for Overtaken {
    type Error = tower_api_key::BoxError;

    fn name(&self) -> &'static str {
        "overtaken"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.keys.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Self::Error> {
        let found = self.keys.find(digest).await?;
        self.auth.get().unwrap().flush().await?;
        Ok(found)
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        if self.waits {
            return Lookup::Ask;
        }
        let found = self.keys.find_now(digest);
        tokio_test::task::spawn(self.auth.get().unwrap().flush()).poll().is_ready();
        found
    }
}

#[tokio::test]
async fn a_good_key_is_let_in_while_its_digest_is_replaced() {
    for waits in [false, true] {
        let (keys, issued) = taken_over(hashed_by(pepper(2)).add_hasher(pepper(1)), pepper(1)).await;
        let key = issued.secret.expose_secret();
        let noted = layer(keys.clone(), keys.clone());
        call(&noted, key).await;
        let source = Overtaken { keys: keys.clone(), waits, auth: std::sync::Arc::default() };
        source.auth.set(noted).unwrap();
        assert_eq!(call(&layer(source, keys.clone()), key).await, StatusCode::OK, "waits: {waits}");
        assert_eq!(keys.get(&issued.record.id).await.unwrap().unwrap().digest, pepper(2).digest(key));
    }
}

#[cfg(feature = "cache")]
#[tokio::test]
async fn a_cache_that_has_not_found_the_new_digest_forgets_that() {
    use tower_api_key::source::Cached;

    let (keys, issued) = taken_over(hashed_by(pepper(2)).add_hasher(pepper(1)), pepper(1)).await;
    let store = Moody::new(keys, Fault::None);
    let cached = Cached::new(store.clone());
    let auth = layer(cached.clone(), store.clone());
    let key = issued.secret.expose_secret();
    assert_eq!(call(&auth, key).await, StatusCode::OK);
    assert_eq!((cached.len(), cached.negative_len()), (1, 1));
    auth.flush().await.unwrap();
    assert_eq!((cached.len(), cached.negative_len()), (0, 0));
    for _ in 0..2 {
        assert_eq!(call(&auth, key).await, StatusCode::OK);
    }
    assert_eq!(
        cached.find(&pepper(2).digest(key)).await.unwrap().map(|it| it.id.clone()),
        Some(issued.record.id.clone())
    );
}
