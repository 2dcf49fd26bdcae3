//! What a store keeps must open nothing, and no digest stands in for a better one.

use std::io::Write;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::Request;
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{DigestAlgorithm, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, Pepper, PepperId};
use tower_api_key::source::{EnvKeys, JsonFileKeys, KeySource, KeyStore, MemoryKeys, NewKey};

use crate::support::{key_of, now, record, send};

const TEXT: &str = "a-key-of-more-than-32-characters-for-all-formats";

fn pepper(id: u32, fill: u8) -> KeyHasher {
    KeyHasher::hmac_sha256(&Pepper::new(PepperId(id), vec![fill; 32]).unwrap())
}

fn hashed_by(hasher: &KeyHasher, key: &str, id: &'static str) -> KeyRecord {
    KeyRecord::new(KeyId::from_static(id), hasher.digest(key))
}

fn file(rows: &[(&str, String)]) -> tempfile::NamedTempFile {
    let rows: Vec<_> = rows.iter().map(|(id, digest)| serde_json::json!({"id": id, "digest": digest})).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{}", serde_json::json!({"version": 1, "keys": rows})).unwrap();
    file
}

/// The ways in which a digest can be written down.
fn written(digest: &KeyDigest) -> Vec<String> {
    let bytes = digest.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![
        hex.clone(),
        hex.to_uppercase(),
        format!("0x{hex}"),
        format!("sha256:{hex}"),
        format!("sha256-{}", BASE64_STANDARD.encode(bytes)),
        BASE64_STANDARD.encode(bytes),
        BASE64_URL_SAFE_NO_PAD.encode(bytes),
        format!("${hex}"),
        format!("{{SHA256}}{}", BASE64_STANDARD.encode(bytes)),
    ];
    all.extend(digest.to_stored());
    all
}

/// Whoever reads the store must not be able to use what it reads.
#[test]
fn a_stored_digest_that_is_presented_as_a_key_opens_nothing() {
    let sha = KeyHasher::sha256().digest(TEXT);
    let file = file(&[("key_file", sha.to_stored().unwrap())]);
    let text = || MemoryKeys::builder().format(KeyFormat::text());
    let hex = || MemoryKeys::builder().format(KeyFormat::hex(64).unwrap()).add_format(KeyFormat::text());
    let filled = |keys: MemoryKeys, digest: KeyDigest| {
        keys.insert(KeyRecord::new(KeyId::from_static("key_memory"), digest)).unwrap();
        keys
    };
    let peppered = pepper(1, 7).digest(TEXT);
    let process = KeyHasher::process().unwrap().digest(TEXT);
    let gates = [
        (ApiKeyLayer::new(filled(text().build(), sha)), sha),
        (ApiKeyLayer::new(filled(hex().build(), sha)), sha),
        (ApiKeyLayer::new(filled(text().hasher(pepper(1, 7)).build(), peppered)), peppered),
        (ApiKeyLayer::new(JsonFileKeys::open(file.path()).unwrap()), sha),
        (ApiKeyLayer::new(EnvKeys::from_value("K", TEXT).unwrap()), process),
        (ApiKeyLayer::new(EnvKeys::from_value("K", TEXT).unwrap().or(filled(text().build(), sha))), sha),
    ];
    for (auth, digest) in &gates {
        assert!(send(auth, Request::get("/").header("x-api-key", TEXT)).was_let_in());
        for form in written(digest) {
            for presented in [form.clone(), form.trim_end_matches('=').to_owned()] {
                let outcome = send(auth, Request::get("/").header("x-api-key", &presented));
                outcome.assert_refused("INVALID_API_KEY", &presented);
                let bearer = Request::get("/").header("authorization", format!("Bearer {presented}"));
                send(auth, bearer).assert_refused("INVALID_API_KEY", &presented);
            }
        }
    }
}

/// Somebody who can write the store, but does not know the pepper, must not be able to make a key.
#[test]
fn a_row_without_a_pepper_is_no_way_into_a_store_that_has_one() {
    let forged = "a-key-that-was-never-issued-but-written-by-hand";
    let digests = [
        KeyHasher::sha256().digest(forged),
        KeyHasher::sha512().digest(forged),
        pepper(2, 9).digest(forged),
        KeyDigest::new(DigestAlgorithm::HmacSha256(PepperId(1)), *KeyHasher::sha256().digest(forged).as_bytes()),
        KeyDigest::new(DigestAlgorithm::Sha256, *pepper(1, 7).digest(forged).as_bytes()),
        KeyDigest::new(DigestAlgorithm::Process, *KeyHasher::sha256().digest(forged).as_bytes()),
    ];
    for digest in digests {
        let keys = MemoryKeys::builder().format(KeyFormat::text()).hasher(pepper(1, 7)).build();
        keys.insert(hashed_by(&pepper(1, 7), TEXT, "key_good")).unwrap();
        keys.insert(KeyRecord::new(KeyId::from_static("key_forged"), digest)).unwrap();
        let sha = MemoryKeys::builder().format(KeyFormat::text()).build();
        let rows: Vec<_> = digest.to_stored().map(|text| ("key_forged", text)).into_iter().collect();
        let file = file(&rows);
        let json = JsonFileKeys::builder(file.path()).format(KeyFormat::text()).hasher(pepper(1, 7)).open().unwrap();
        let gates = [
            ApiKeyLayer::new(keys.clone()),
            // A source of SHA-256 digests beside it has them looked up in its own keys alone.
            ApiKeyLayer::new(keys.clone().or(sha.clone())),
            ApiKeyLayer::new(sha.or(keys)),
            ApiKeyLayer::new(json),
        ];
        for (index, auth) in gates.iter().enumerate() {
            let outcome = send(auth, Request::get("/").header("x-api-key", forged));
            outcome.assert_refused("INVALID_API_KEY", (index, digest));
        }
        assert!(send(&gates[0], Request::get("/").header("x-api-key", TEXT)).was_let_in());
    }
}

#[test]
fn every_live_pepper_opens_its_own_keys_and_one_that_is_retired_opens_none() {
    let (old, new, retired) = (pepper(1, 1), pepper(2, 2), pepper(3, 3));
    let texts = [key_of("live"), key_of("live"), key_of("live")];
    let keys = MemoryKeys::builder().hasher(new.clone()).add_hasher(old.clone()).build();
    keys.insert(hashed_by(&old, &texts[0], "key_old")).unwrap();
    keys.insert(hashed_by(&new, &texts[1], "key_new")).unwrap();
    keys.insert(hashed_by(&retired, &texts[2], "key_retired")).unwrap();
    let auth = ApiKeyLayer::new(keys);
    let sent = |text: &String| send(&auth, Request::get("/").header("x-api-key", text));
    assert_eq!(sent(&texts[0]).context().key().unwrap().id.as_str(), "key_old");
    assert_eq!(sent(&texts[1]).context().key().unwrap().id.as_str(), "key_new");
    sent(&texts[2]).assert_refused("INVALID_API_KEY", "retired");
}

#[test]
fn a_key_whose_prefix_matches_a_good_one_opens_nothing() {
    let key = key_of("live");
    let keys = MemoryKeys::builder().format(KeyFormat::text()).build();
    keys.insert(record("key_good", &key)).unwrap();
    let auth = ApiKeyLayer::new(keys);
    for end in 1..key.len() {
        send(&auth, Request::get("/").header("x-api-key", &key[..end])).assert_refused("INVALID_API_KEY", end);
        let mut wrong = key.clone().into_bytes();
        wrong[end] ^= 1;
        let wrong = String::from_utf8(wrong).unwrap();
        send(&auth, Request::get("/").header("x-api-key", &wrong)).assert_refused("INVALID_API_KEY", wrong);
        let cased: String = key.chars().enumerate().map(|(i, c)| if i == end { flip(c) } else { c }).collect();
        if cased != key {
            send(&auth, Request::get("/").header("x-api-key", &cased)).assert_refused("INVALID_API_KEY", cased);
        }
    }
}

fn flip(letter: char) -> char {
    if letter.is_ascii_lowercase() { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
}

/// An older pepper or another shape is accepted beside what is set, and never in its place: new keys are not made by it.
#[test]
fn what_is_accepted_besides_does_not_replace_the_default() {
    let keys = MemoryKeys::builder().add_hasher(pepper(1, 1)).add_format(KeyFormat::text()).build();
    let issued = now(keys.issue(NewKey::named("ci"))).unwrap();
    assert_eq!(issued.record.digest.algorithm(), DigestAlgorithm::Sha256);
    assert!(KeyFormat::default().accepts(issued.secret.expose_secret()));
    let old = "a-key-of-another-shape-and-an-older-pepper";
    keys.insert(hashed_by(&pepper(1, 1), old, "key_old")).unwrap();
    let auth = ApiKeyLayer::new(keys);
    for key in [old, issued.secret.expose_secret()] {
        assert!(send(&auth, Request::get("/").header("x-api-key", key)).was_let_in());
    }
}
