//! Keys of other systems: rows are imported, and their keys work. The folder of the vectors is `tests/vectors`, unless
//! the environment variable `TEST_VECTORS` names another.

use std::path::PathBuf;

use http::Request;
use serde_json::{Value, json};
use tower::{Layer, ServiceExt};
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Timestamp;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{DigestAlgorithm, KeyFormat, KeyHasher, KeyId, KeyRecord, Pepper, PepperId};
use tower_api_key::rejection::Rejection;
use tower_api_key::source::import::{FieldProblem, ImportFormat, ImportReport, import};
use tower_api_key::source::{JsonFileKeys, KeySource, KeyStore, MemoryKeys};
use tower_api_key::testing::TestClock;

fn vectors(file: &str) -> Vec<Value> {
    let folder = std::env::var_os("TEST_VECTORS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from);
    let file = folder.join(file);
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let vectors: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    vectors["cases"].as_array().expect("`cases` is a list").clone()
}

/// Whether the gate lets a key in, presented in this header, or the code of its refusal.
async fn verdict<S: KeySource>(keys: S, at: Timestamp, scheme: &str, key: &str) -> Result<(), String> {
    let places = [CredentialLocation::authorization(scheme)];
    let layer = ApiKeyLayer::builder(keys).credentials(places).clock(TestClock::at(at)).build().unwrap();
    let Ok(value) = http::HeaderValue::from_str(&format!("{scheme} {key}")) else { return Err("no header".to_owned()) };
    let request = Request::get("/").header("authorization", value).body(()).unwrap();
    let inner = tower::service_fn(async |_: Request<()>| Ok::<_, std::convert::Infallible>(http::Response::new(())));
    let response = layer.layer(inner).oneshot(request).await.unwrap();
    match response.extensions().get::<Rejection>() {
        None => Ok(()),
        Some(rejection) => Err(rejection.code().to_owned()),
    }
}

fn refusals(report: &ImportReport) -> Vec<String> {
    report.refused.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn import_of_django_rest_rows_agrees_with_every_vector() {
    let cases = vectors("drf_api_key.json");
    let keys = MemoryKeys::builder().format(KeyFormat::django_rest()).hasher(KeyHasher::sha512()).build();
    let rows: Vec<Value> = cases.iter().map(|case| case["row"].clone()).filter(|row| !row.is_null()).collect();
    let report = import(&keys, &ImportFormat::django_rest(), rows).await.unwrap();
    let mut failures = Vec::new();
    for case in &cases {
        let (id, key) = (case["id"].as_str().unwrap(), case["key"].as_str().unwrap());
        let at = Timestamp::from_unix_seconds(case["now"].as_i64().unwrap());
        let hash = case["row"]["hashed_key"].as_str().unwrap_or_default();
        let verdict = verdict(keys.clone(), at, "Api-Key", key).await;
        // Salted hashes cannot be looked up by: such rows are refused by name, and their keys are unknown.
        let importable = hash.is_empty() || hash.starts_with("sha512$$");
        if !importable {
            let prefix = case["row"]["prefix"].as_str().unwrap();
            let refused = report.refused.iter().find(|refused| refused.name.as_deref() == Some(prefix));
            let refused = refused.unwrap_or_else(|| panic!("{id} is not refused"));
            assert_eq!(refused.field, "hashed_key");
            assert!(matches!(refused.problem, FieldProblem::PasswordHash(_)), "{refused}");
            assert!(!refused.to_string().contains(hash), "{refused}");
        }
        let expected = case["expect"]["valid"].as_bool().map(|valid| valid && importable);
        // A trailing space is no part of a header's value.
        let agrees = expected.is_none_or(|valid| valid == verdict.is_ok()) || key.trim_end() != key;
        if !agrees {
            failures.push(format!("{id}: {verdict:?}, expected {}", case["expect"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(!report.adopted.is_empty());
    for record in &report.adopted {
        assert!(!record.id.as_str().contains('$'), "an id that shows the digest");
    }
}

#[tokio::test]
async fn import_of_plain_hashes_agrees_with_every_vector() {
    let mut failures = Vec::new();
    let cases = vectors("hash_formats_synthesised.json");
    for case in &cases {
        let (id, scheme) = (case["id"].as_str().unwrap(), case["scheme"].as_str().unwrap());
        let (key, stored) = (case["key"].as_str().unwrap(), &case["stored"]);
        let row_id = case.get("token_id").filter(|id| !id.is_null()).cloned().unwrap_or(json!(27));
        let prefix = if key.contains("sctm_") { "sctm_" } else { "" };
        let pepper = || Pepper::new(PepperId(1), case["pepper"].as_str().unwrap()).unwrap();
        let (format, shape, hasher) = match scheme.split_once('_').unwrap_or((scheme, "")).0 {
            "laravel" => (ImportFormat::sanctum(), KeyFormat::sanctum(prefix), KeyHasher::sha256()),
            "unkey" => (ImportFormat::unkey(), KeyFormat::text(), KeyHasher::sha256()),
            "sha1" | "sha256" => (ImportFormat::plain(DigestAlgorithm::Sha256), KeyFormat::text(), KeyHasher::sha256()),
            "sha384" => (ImportFormat::plain(DigestAlgorithm::Sha384), KeyFormat::text(), KeyHasher::sha384()),
            "sha512" => (ImportFormat::plain(DigestAlgorithm::Sha512), KeyFormat::text(), KeyHasher::sha512()),
            "hmac" => {
                let algorithm = DigestAlgorithm::HmacSha256(PepperId(1));
                (ImportFormat::plain(algorithm), KeyFormat::text(), KeyHasher::hmac_sha256(&pepper()))
            }
            other => panic!("unknown scheme {other}"),
        };
        let keys = MemoryKeys::builder().format(shape).hasher(hasher).build();
        let row = json!({"id": row_id, "token": stored, "hash": stored, "digest": stored});
        let report = import(&keys, &format, [row]).await.unwrap();
        if scheme.starts_with("sha1_") {
            assert!(matches!(report.refused[0].problem, FieldProblem::Sha1), "{id}");
            continue;
        }
        assert_eq!(report.adopted.len(), 1, "{id}: {:?}", refusals(&report));
        let verdict = verdict(keys, Timestamp::from_unix_seconds(1_795_000_000), "Bearer", key).await;
        // A Sanctum token has 40 characters and more; the shape says so before anything is looked up.
        let shaped = !(scheme == "laravel_sanctum" && key.split_once('|').is_some_and(|(_, token)| token.len() < 40));
        let expected = case["expect"]["valid"].as_bool();
        if expected.is_some_and(|valid| (valid && shaped) != verdict.is_ok()) {
            failures.push(format!("{id}: {verdict:?}, expected {}", case["expect"]));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn import_brings_over_what_the_rows_say() {
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let digest = "30382c23623a801c272f58f17d21a16df1325fa4fde8cd6cdddcd69e93dfc4e9";
    let record = |format: ImportFormat, row: Value| -> KeyRecord { format.record(&row).unwrap() };
    let sanctum = record(
        ImportFormat::sanctum(),
        json!({"id": 7, "token": digest, "name": "phone", "abilities": "[\"posts:read\",\"*\"]", "tokenable_id": 42,
            "expires_at": "2027-01-01 00:00:00", "last_used_at": null, "created_at": "2026-01-01T00:00:00.000000Z"}),
    );
    assert_eq!((sanctum.id.as_str(), sanctum.name.as_str()), ("7", "phone"));
    assert_eq!(sanctum.scopes.to_string(), "* posts:read");
    assert_eq!(sanctum.owner.user.as_ref().unwrap().as_str(), "42");
    assert_eq!((sanctum.expires_at, sanctum.created_at), (at("2027-01-01T00:00:00Z"), at("2026-01-01T00:00:00Z")));

    let unkey = record(
        ImportFormat::unkey(),
        json!({"id": "key_1", "hash": "4EQcMMY3VTIn7py/ofjkhJaG9Zk1RZgPSN+VlSQo1T0=", "start": "prod_4", "meta": {"a": 1},
            "externalId": "user_9", "permissions": ["read"], "enabled": false, "expires": 1_798_761_600_000_i64,
            "remaining": 5, "createdAt": 1_767_225_600_000_i64}),
    );
    assert_eq!((unkey.disabled, unkey.metadata["a"].clone()), (true, json!(1)));
    assert_eq!((unkey.expires_at, unkey.credits.unwrap().remaining), (at("2027-01-01T00:00:00Z"), 5));

    let revoked = json!({"prefix": "awGOhJfO", "hashed_key": format!("sha512$${}", "ab".repeat(64)), "revoked": 1,
        "created": "2026-11-21 22:54:27.750978"});
    assert_eq!(record(ImportFormat::django_rest(), revoked).revoked_at, at("2026-11-21T22:54:27.750978Z"));
}

#[tokio::test]
async fn import_reports_every_refused_row_and_takes_in_the_others() {
    let good = "ab".repeat(32);
    let plain = ImportFormat::plain(DigestAlgorithm::Sha256);
    let rows = vec![
        json!({"id": "a", "digest": good}),
        json!({"id": "b", "digest": good}),
        json!({"id": "a", "digest": "cd".repeat(32)}),
        json!({"digest": "ef".repeat(32)}),
        json!({"id": "c"}),
        json!({"id": "d", "digest": "ab"}),
        json!({"id": "e", "digest": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA"}),
        json!({"id": "f", "digest": "$2b$12$abcdefghijklmnopqrstuv"}),
        json!({"id": "g", "digest": "01".repeat(32), "expires_at": "soon"}),
        json!({"id": "h", "digest": "02".repeat(32), "scopes": ["a b"]}),
        json!({"id": "i j", "digest": "03".repeat(32)}),
        json!({"id": "k", "digest": "04".repeat(32), "disabled": "yes"}),
        json!(7),
        json!({"id": "z", "digest": "05".repeat(32), "expires_at": null, "disabled": 1}),
    ];
    let folder = tempfile::tempdir().unwrap();
    let keys = JsonFileKeys::open(folder.path().join("keys.json")).unwrap();
    let report = import(&keys, &plain, rows.clone()).await.unwrap();
    let adopted: Vec<_> = report.adopted.iter().map(|record| record.id.as_str().to_owned()).collect();
    assert_eq!(adopted, ["a", "z"]);
    assert_eq!(
        refusals(&report),
        [
            "row 1 (b), id: there is a record with this id or digest already",
            "row 2 (a), id: there is a record with this id or digest already",
            "row 3, id: it is missing",
            "row 4 (c), digest: it is missing",
            "row 5 (d), digest: it must be a digest of 32 bytes, in hexadecimal digits, base64 or base64url",
            "row 6 (e), digest: it is a salted password hash (argon2), which keys cannot be found by: issue the key anew",
            "row 7 (f), digest: it is a salted password hash (bcrypt), which keys cannot be found by: issue the key anew",
            "row 8 (g), expires_at: it must be a date and time, or milliseconds since 1970",
            "row 9 (h), scopes: it must be a list of scopes",
            "row 10 (i j), id: it must be 1 to 128 visible ASCII characters",
            "row 11 (k), disabled: it must be true or false",
            "row 12, row: it is no object with columns",
        ]
    );
    assert!(keys.get(&KeyId::from_static("z")).await.unwrap().unwrap().disabled);
    let again = import(&keys, &plain, rows).await.unwrap();
    assert!(again.adopted.is_empty(), "what is there stays as it is");
}

#[tokio::test]
async fn import_refuses_digests_that_the_store_never_looks_for() {
    let keys = MemoryKeys::new();
    let row = json!({"prefix": "awGOhJfO", "hashed_key": format!("sha512$${}", "ab".repeat(64))});
    let report = import(&keys, &ImportFormat::django_rest(), [row]).await.unwrap();
    assert_eq!(report.refused[0].problem, FieldProblem::NotLookedFor(DigestAlgorithm::Sha512));
    assert_eq!(report.refused[0].field, "hashed_key");
    assert!(keys.is_empty());
}
