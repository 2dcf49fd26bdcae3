//! Secrets in logs, in `Debug`, in errors and in responses.

use std::cell::RefCell;
use std::fmt::Debug;
use std::io;
use std::sync::Once;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use http::{Method, Request};
use tower::{Layer, ServiceExt};
use tower_api_key::clock::Timestamp;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{
    Environment, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef, Pepper, PepperId, PresentedKey, Scope,
    SecretKey,
};
use tower_api_key::rejection::{Rejection, Style};
use tower_api_key::route::Route;
use tower_api_key::source::{
    EnvKeys, JsonFileKeys, KeyFilter, KeyScheme, KeySource, KeyStore, Lookup, MemoryKeys, NewKey,
};
use tower_api_key::{ApiKeyLayer, PeerAddr, RequireScopes};
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::prelude::*;

use crate::support::{Mirror, Outcome, StoppedClock, key_of, now, record};

thread_local! {
    /// What this thread has logged since it began to listen.
    static LOG: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// All that this thread logs while something runs, down to TRACE, as text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log;

impl Log {
    pub(crate) fn of<T>(run: impl FnOnce() -> T) -> (T, String) {
        // One for the process: a subscriber for each thread would race for what is cached at each place that logs.
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| {
            let listens = dynamic_filter_fn(|_, _| LOG.with_borrow(Option::is_some));
            let text = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Self).with_filter(listens);
            tracing_subscriber::registry().with(text).init();
        });
        LOG.set(Some(Vec::new()));
        let result = run();
        (result, String::from_utf8(LOG.take().unwrap_or_default()).unwrap())
    }
}

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.as_mut().into_iter().for_each(|log| log.extend_from_slice(text)));
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What must not be seen, in the ways in which it can be written.
#[derive(Default)]
struct Secrets(Vec<String>);

impl Secrets {
    /// Of a key, everything behind what people recognise it by.
    fn key(&mut self, key: &str) {
        self.0.push(key[12..key.len() - 4].to_owned());
        self.bytes(key.as_bytes());
        self.digest(&KeyHasher::sha256().digest(key));
        self.digest(&KeyHasher::sha512().digest(key));
        self.digest(&KeyHasher::process().unwrap().digest(key));
    }

    fn text(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }

    fn digest(&mut self, digest: &KeyDigest) {
        self.bytes(digest.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.push(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
        self.0.push(BASE64_STANDARD.encode(bytes));
        self.0.push(BASE64_URL_SAFE_NO_PAD.encode(bytes));
        self.0.push(format!("{:?}", &bytes[..8]).trim_matches(['[', ']']).to_owned());
        self.0.push(bytes.escape_ascii().to_string());
    }

    #[track_caller]
    fn assert_not_in(&self, text: &str, what: &str) {
        let lower = text.to_lowercase();
        for secret in &self.0 {
            assert!(!lower.contains(&secret.to_lowercase()), "{secret:?} is shown in {what}: {text}");
        }
    }

    #[track_caller]
    fn assert_not_in_debug(&self, value: &dyn Debug, what: &str) {
        self.assert_not_in(&format!("{value:?} {value:#?}"), what);
    }
}

#[derive(Debug)]
struct Failing;

impl KeySource for Failing {
    type Error = io::Error;

    fn name(&self) -> &str {
        "failing"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::default(), KeyHasher::sha256())]
    }

    async fn find(&self, _: &KeyDigest) -> Result<Option<KeyRef>, io::Error> {
        Err(io::Error::other("no route to host"))
    }
}

#[derive(Debug)]
struct Lying(KeyRef);

impl KeySource for Lying {
    type Error = io::Error;

    fn name(&self) -> &str {
        "lying"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::default(), KeyHasher::sha256())]
    }

    async fn find(&self, _: &KeyDigest) -> Result<Option<KeyRef>, io::Error> {
        Ok(Some(self.0.clone()))
    }

    fn find_now(&self, _: &KeyDigest) -> Lookup {
        Lookup::Found(self.0.clone())
    }
}

const PEPPER: [u8; 32] = *b"a pepper that nobody is to see!!";

fn records(keys: &[String; 6]) -> Vec<KeyRecord> {
    let names = ["key_good", "key_revoked", "key_expired", "key_disabled", "key_test", "key_here"];
    let hasher = KeyHasher::hmac_sha256(&Pepper::new(PepperId(1), PEPPER).unwrap());
    let mut records: Vec<_> = names
        .into_iter()
        .zip(keys)
        .map(|(name, key)| {
            let key_id = KeyId::from_static(name);
            KeyRecord::issued(key_id, hasher.digest(key), &KeyFormat::default(), key, NewKey::named(name))
        })
        .collect();
    records[1].revoked_at = Some(Timestamp::UNIX_EPOCH);
    records[2].expires_at = Some(Timestamp::UNIX_EPOCH);
    records[3].disabled = true;
    records[4].environment = Some(Environment::TEST);
    records[5].allowed_ips = Some("10.0.0.0/8".parse().unwrap());
    records
}

/// Every kind of attempt, through every style, and what is logged of it.
#[test]
fn no_secret_is_logged_or_answered() {
    let keys = [0; 6].map(|_| key_of("live"));
    let operator = "an-operators-key-that-stands-in-the-environment";
    let unknown = key_of("live");
    let mut secrets = Secrets::default();
    keys.iter().for_each(|key| secrets.key(key));
    secrets.key(&unknown);
    secrets.key(operator);
    secrets.bytes(&PEPPER);
    for text in ["cookie-of-a-session", "dXNlcjpwYXNzd29yZA", "query-is-secret", "referer-is-secret"] {
        secrets.text(text);
    }
    let hasher = KeyHasher::hmac_sha256(&Pepper::new(PepperId(1), PEPPER).unwrap());
    for record in records(&keys) {
        secrets.digest(&record.digest);
    }
    let styles = [Style::flat(), Style::flat_without_code(), Style::envelope(), Style::problem(), Style::lean()];
    let mut count = 0;
    let (outcomes, log) = Log::of(|| {
        let mut outcomes = Vec::new();
        for style in styles {
            let memory = MemoryKeys::builder().hasher(hasher.clone()).build();
            for record in records(&keys) {
                memory.insert(record).unwrap();
            }
            let env = EnvKeys::from_value("ADMIN_API_KEY", operator).unwrap();
            let configure = |builder: tower_api_key::ApiKeyLayerBuilder| {
                builder
                    .credentials([
                        CredentialLocation::header("X-API-Key"),
                        CredentialLocation::bearer(),
                        CredentialLocation::cookie("key"),
                        CredentialLocation::websocket_subprotocol(),
                        CredentialLocation::insecure_query_parameter("key"),
                    ])
                    .public(Method::GET, "/open")
                    .route(Method::POST, "/scoped", Route::new().scopes(Scope::from_static("write")))
                    .style(style.clone())
                    .clock(StoppedClock::at(1_000))
            };
            let good = Lying(record("key_other", "another").into());
            let gates = [
                configure(ApiKeyLayer::builder(env.clone().or(memory.clone()))).build().unwrap(),
                configure(ApiKeyLayer::builder(env.or(memory.clone()))).keep_credentials().build().unwrap(),
                configure(ApiKeyLayer::builder(memory)).insecure_anonymous().build().unwrap(),
                configure(ApiKeyLayer::builder(Failing)).build().unwrap(),
                configure(ApiKeyLayer::builder(good)).build().unwrap(),
            ];
            for auth in &gates {
                for key in keys.iter().chain([&unknown, &operator.to_owned(), &keys[0][..40].to_owned()]) {
                    for request in attempts(key) {
                        let service = auth.layer(RequireScopes::new(Scope::from_static("read")).layer(Mirror));
                        let response = now(service.oneshot(request)).unwrap();
                        outcomes.push(now(Answer::of(response)));
                        count += 1;
                    }
                }
            }
        }
        outcomes
    });
    assert!(count > 1_000, "{count}");
    for logged in ["key_good", "REVOKED_API_KEY", "AMBIGUOUS_CREDENTIALS", "INSUFFICIENT_SCOPE", "could not answer"] {
        assert!(log.contains(logged), "{logged}");
    }
    for line in log.lines() {
        secrets.assert_not_in(line, "the log");
    }
    for outcome in &outcomes {
        secrets.assert_not_in(&outcome.0, "a response");
    }
}

/// A response as text.
struct Answer(String);

impl Answer {
    async fn of<B: http_body::Body<Data = bytes::Bytes, Error: Debug>>(response: http::Response<B>) -> Self {
        use http_body_util::BodyExt;
        let (parts, body) = response.into_parts();
        let rejection = parts.extensions.get::<Rejection>();
        let shown = format!("{} {:?} {rejection:?}", parts.status, parts.headers);
        let body = body.collect().await.unwrap().to_bytes();
        Self(format!("{shown} {}", String::from_utf8(body.to_vec()).unwrap()))
    }
}

fn attempts(key: &str) -> Vec<Request<()>> {
    let bearer = format!("Bearer {key}");
    let cookie = format!("session=cookie-of-a-session; key={key}");
    let plain = |uri: &str| {
        Request::builder()
            .uri(format!("{uri}?q=query-is-secret"))
            .header("referer", "https://a.example/?referer-is-secret")
            .extension(PeerAddr(([127, 0, 0, 1], 9).into()))
    };
    let built = [
        plain("/x"),
        plain("/x").header("x-api-key", key),
        plain("/x").header("authorization", &bearer),
        plain("/x").header("authorization", "Basic dXNlcjpwYXNzd29yZA==").header("x-api-key", key),
        plain("/x").header("cookie", &cookie),
        plain("/x").header("sec-websocket-protocol", format!("chat, api-key.{key}")),
        plain("/open").header("x-api-key", key),
        plain("/scoped").method(Method::POST).header("x-api-key", key),
        plain("/x").header("x-api-key", key).header("x-api-key", key),
        plain("/x").header("x-api-key", format!("{key},{key}")),
        plain("/x").header("x-api-key", key).header("authorization", "Bearer another"),
        plain("/x").header("x-api-key", format!("{key}\u{fc}")),
        plain("/x").header("x-api-key", key).header("content-type", "application/grpc"),
        Request::get(format!("/x?key={key}&q=query-is-secret")),
        Request::get(format!("/x?key={key}&key={key}")),
    ];
    built.into_iter().map(|request| request.body(()).unwrap()).collect()
}

#[test]
fn no_type_prints_a_secret() {
    let key = key_of("live");
    let mut secrets = Secrets::default();
    secrets.key(&key);
    secrets.bytes(&PEPPER);
    let pepper = Pepper::new(PepperId(1), PEPPER).unwrap();
    let hasher = KeyHasher::hmac_sha256(&pepper);
    secrets.digest(&hasher.digest(&key));
    let issued = KeyRecord::issued(
        KeyId::from_static("key_1"),
        hasher.digest(&key),
        &KeyFormat::default(),
        &key,
        NewKey::named("ci"),
    );
    let store = MemoryKeys::builder().hasher(hasher.clone());
    secrets.assert_not_in_debug(&store, "MemoryKeysBuilder");
    let store = store.build();
    let reference = store.insert(issued.clone()).unwrap();
    let env = EnvKeys::from_value("K", &key).unwrap();
    let scheme = KeyScheme::new(KeyFormat::text(), hasher.clone());
    let auth = ApiKeyLayer::builder(store.clone().or(env.clone()));
    secrets.assert_not_in_debug(&auth, "ApiKeyLayerBuilder");
    let auth = auth.build().unwrap();
    let service = auth.layer(Mirror);
    let page = now(store.list(&KeyFilter::default())).unwrap();
    let file = {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let digest = hasher.digest(&key).to_stored().unwrap();
        let text = serde_json::json!({"version": 1, "keys": [{"id": "key_1", "digest": digest}]});
        io::Write::write_all(&mut file, text.to_string().as_bytes()).unwrap();
        file
    };
    let json = JsonFileKeys::open(file.path()).unwrap();
    let shown: [(&str, &dyn Debug); 17] = [
        ("SecretKey", &SecretKey::new(key.clone())),
        ("PresentedKey", &PresentedKey::new(key.as_bytes()).unwrap()),
        ("KeyDigest", &hasher.digest(&key)),
        ("KeyHasher", &hasher),
        ("Pepper", &pepper),
        ("KeyRecord", &issued),
        ("KeyRef", &reference),
        ("KeyScheme", &scheme),
        ("MemoryKeys", &store),
        ("EnvKeys", &env),
        ("JsonFileKeys", &json),
        ("Or", &store.clone().or(env.clone())),
        ("ApiKeyLayer", &auth),
        ("ApiKeyService", &service),
        ("KeyPage", &page),
        ("Lookup", &Lookup::Found(reference.clone())),
        ("DuplicateKey", &store.insert(issued.clone()).unwrap_err()),
    ];
    for (what, value) in shown {
        secrets.assert_not_in_debug(value, what);
    }
    let made = now(MemoryKeys::new().issue(NewKey::named("ci"))).unwrap();
    let mut secret = Secrets::default();
    secret.key(made.secret.expose_secret());
    secret.assert_not_in_debug(&made, "IssuedKey");
}

#[test]
fn the_context_shows_no_secret_in_json_or_in_debug() {
    let key = key_of("live");
    let mut secrets = Secrets::default();
    secrets.key(&key);
    let mut good = record("key_good", &key);
    good.start = KeyFormat::default().start(&key);
    good.end = KeyFormat::end(&key).map(ToOwned::to_owned);
    let auth = ApiKeyLayer::new(crate::support::memory([good]));
    let outcome = crate::support::send(&auth, Request::get("/?q=1").header("x-api-key", &key));
    let json = serde_json::to_string(outcome.context()).unwrap();
    secrets.assert_not_in(&json, "JSON");
    assert!(!json.contains("digest"), "{json}");
    secrets.assert_not_in_debug(outcome.context(), "AuthContext");
    let env = ApiKeyLayer::new(EnvKeys::from_value("K", "a-short-key-of-env").unwrap());
    let outcome: Outcome = crate::support::send(&env, Request::get("/").header("x-api-key", "a-short-key-of-env"));
    let json = serde_json::to_string(outcome.context()).unwrap();
    assert!(!json.contains("a-sh") && json.contains("\"keyStart\":null"), "{json}");
}

/// A file in which somebody wrote keys, or put a digest in the wrong place, is refused without being quoted.
#[test]
fn no_error_quotes_a_secret() {
    let key = key_of("live");
    let digest = KeyHasher::sha256().digest(&key).to_stored().unwrap();
    let mut secrets = Secrets::default();
    secrets.key(&key);
    secrets.text(&digest);
    let row = |fields: &str| format!(r#"{{"version":1,"keys":[{{"id":"key_1"{fields}}}]}}"#);
    let files = [
        format!(r#"{{"version":1,"keys":["{key}"]}}"#),
        format!(r#"{{"version":1,"keys":{{"{key}":"ci"}}}}"#),
        format!(r#"{{"version":1,"keys":"{key}"}}"#),
        format!(r#"{{"version":1,"{key}":1,"keys":[]}}"#),
        format!(r#"{{"version":"{key}","keys":[]}}"#),
        format!(r#""{key}""#),
        key.clone(),
        row(&format!(r#","digest":"{key}""#)),
        row(&format!(r#","digest":"sha256:{key}""#)),
        row(&format!(r#","digest":"{digest}","{key}":1"#)),
        row(&format!(r#","digest":"{digest}","disabled":"{key}""#)),
        row(&format!(r#","digest":"{digest}","expiresAt":"{digest}""#)),
        row(&format!(r#","digest":"{digest}","class":"{key}""#)),
        row(&format!(r#","digest":"{digest}","scopes":"{digest}""#)),
        row(&format!(r#","digest":"{digest}","environment":"{key}""#)),
        row(&format!(r#","digest":"{digest}","useCount":"{key}""#)),
        row(&format!(r#","digest":"{digest}","allowedIps":["{key}"]"#)),
        row(&format!(r#","digest":"{digest}","rateLimits":["{key}"]"#)),
        row(&format!(r#","digest":"{digest}","owner":"{key}""#)),
    ];
    for text in files {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let Err(error) = JsonFileKeys::open(file.path()) else { continue };
        secrets.assert_not_in(&error.to_string(), "the error");
        secrets.assert_not_in_debug(&error, "its Debug");
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            secrets.assert_not_in(&error.to_string(), "its cause");
            cause = error.source();
        }
    }
    for value in [format!("{key} {key}"), format!("{key},{key}"), format!("{key}ü")] {
        let error = EnvKeys::from_value("K", &value).unwrap_err();
        secrets.assert_not_in(&error.to_string(), "a ConfigError");
        secrets.assert_not_in_debug(&error, "a ConfigError");
    }
    let pepper = Pepper::from_base64(PepperId(1), "not-base64-but-secret!").unwrap_err();
    assert!(!pepper.to_string().contains("secret!"));
    assert!(!key.parse::<KeyDigest>().unwrap_err().to_string().contains(&key));
    let invalid = Environment::new(&key).unwrap_err();
    secrets.assert_not_in(&invalid.to_string(), "InvalidName");
}
