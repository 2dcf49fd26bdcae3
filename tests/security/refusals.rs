//! What a refusal tells, and to whom.

use http::{HeaderMap, Method, Request, StatusCode};
use tower_api_key::ApiKeyLayer;
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{Environment, KeyFormat, KeyRecord, Realm, Scope};
use tower_api_key::rejection::Style;
use tower_api_key::route::Route;
use tower_api_key::source::MemoryKeys;

use crate::support::{Outcome, StoppedClock, key_of, memory, record, send};

fn styles() -> Vec<Style> {
    vec![
        Style::flat(),
        Style::flat_without_code(),
        Style::envelope(),
        Style::problem(),
        Style::problem_with_types("https://errors.example.com/"),
        Style::lean(),
        Style::custom(|rejection, _| {
            http::Response::builder().status(rejection.status()).body(rejection.code().into()).unwrap()
        }),
    ]
}

/// Headers and body without the id of the request, which is all that may differ.
fn shape(outcome: &Outcome) -> (StatusCode, Vec<(String, String)>, String) {
    let id = outcome.header("x-request-id");
    assert_eq!(id.len(), 32);
    let plain = |headers: &HeaderMap| {
        let headers = headers.iter().filter(|(name, _)| *name != "x-request-id");
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    };
    (outcome.status, plain(&outcome.headers), outcome.body.replace(id, "*"))
}

/// CVE-2026-23996, CVE-2025-59425: unknown told apart from wrong.
#[test]
fn unknown_malformed_mistyped_and_misplaced_keys_look_the_same() {
    let (test, elsewhere, good) = (key_of("test"), key_of("live"), key_of("live"));
    let mut of_test = record("key_test", &test);
    of_test.environment = Some(Environment::TEST);
    let mut of_b = record("key_b", &elsewhere);
    of_b.realm = Some(Realm::from_static("b"));
    let mut mistyped = good.clone();
    let last = mistyped.pop().unwrap();
    mistyped.push(if last == '0' { '1' } else { '0' });
    let keys = MemoryKeys::builder().add_format(KeyFormat::alphanumeric(40).unwrap()).build();
    for record in [of_test, of_b, record("key_good", &good)] {
        keys.insert(record).unwrap();
    }
    let long = "k".repeat(5_000);
    let wrong = [
        ("unknown", key_of("live")),
        ("mistyped", mistyped),
        ("unknown, of the other format", "A".repeat(40)),
        ("unknown, of another environment", key_of("test")),
        ("of another environment", test),
        ("of another realm", elsewhere),
        ("short", "x".into()),
        ("long", long),
        ("of no shape", "ak_live_".into()),
        ("spaces", "a b".into()),
    ];
    for style in styles() {
        let auth = ApiKeyLayer::builder(keys.clone()).style(style.clone()).build().unwrap();
        for method in [Method::GET, Method::HEAD, Method::POST] {
            for bearer in [false, true] {
                let outcomes = wrong.clone().map(|(what, key)| {
                    let request = Request::builder().method(method.clone()).uri("/");
                    let request = match bearer {
                        true => request.header("authorization", format!("Bearer {key}")),
                        false => request.header("x-api-key", key),
                    };
                    let outcome = send(&auth, request);
                    assert_eq!(outcome.status, StatusCode::UNAUTHORIZED, "{what}");
                    (what, shape(&outcome), outcome.body.len())
                });
                for (what, shape, length) in &outcomes {
                    assert_eq!(*shape, outcomes[0].1, "{what}, {style:?}");
                    assert_eq!(*length, outcomes[0].2, "{what}, {style:?}");
                }
            }
        }
    }
}

/// The name of a state, and how a record comes into it.
type State = (&'static str, fn(&mut KeyRecord));

fn states() -> Vec<State> {
    vec![
        ("REVOKED_API_KEY", |record| record.revoked_at = Some(Timestamp::from_unix_seconds(10))),
        ("EXPIRED_API_KEY", |record| record.expires_at = Some(Timestamp::from_unix_seconds(10))),
        ("DISABLED_API_KEY", |record| record.disabled = true),
        ("IP_NOT_ALLOWED", |record| record.allowed_ips = Some(tower_api_key::ip::IpBlocks::default())),
        ("ORIGIN_NOT_ALLOWED", |record| record.allowed_origins = Some(Vec::new())),
    ]
}

/// Status before secret: whoever has only the start of a key learns nothing about it.
#[test]
fn what_became_of_a_key_is_told_to_nobody_but_its_holder() {
    for (code, change) in states() {
        let key = key_of("live");
        let mut changed = record("key_changed", &key);
        changed.start = KeyFormat::default().start(&key);
        change(&mut changed);
        let auth = ApiKeyLayer::builder(memory([changed])).clock(StoppedClock::at(20)).build().unwrap();
        send(&auth, Request::get("/").header("x-api-key", &key)).assert_refused(code, "the holder");
        // Same start, another rest; also the right one with a wrong checksum, and the id in place of the key.
        let stranger = key_of("live");
        let forged = format!("{}{}", &key[..12], &stranger[12..]);
        let mistyped = format!("{}{}", &key[..42], "000000");
        for other in [&stranger, &forged, &mistyped, "key_changed", &key[..47]] {
            let outcome = send(&auth, Request::get("/").header("x-api-key", other));
            outcome.assert_refused("INVALID_API_KEY", (code, other));
            assert!(!outcome.body.contains("key_changed"));
        }
    }
}

#[test]
fn a_key_stops_at_its_last_instant_and_not_one_later() {
    let key = key_of("live");
    let mut ending = record("key_ending", &key);
    ending.expires_at = Some(Timestamp::from_unix_seconds(100));
    let clock = StoppedClock::at(99);
    let auth = ApiKeyLayer::builder(memory([ending])).clock(clock.clone()).build().unwrap();
    assert!(send(&auth, Request::get("/").header("x-api-key", &key)).was_let_in());
    for now in [100, 101, i64::MAX] {
        clock.set(now);
        send(&auth, Request::get("/").header("x-api-key", &key)).assert_refused("EXPIRED_API_KEY", now);
    }
}

#[test]
fn no_refusal_may_be_cached() {
    let (key, revoked) = (key_of("live"), key_of("live"));
    let mut gone = record("key_gone", &revoked);
    gone.revoked_at = Some(Timestamp::UNIX_EPOCH);
    for style in styles() {
        let auth = ApiKeyLayer::builder(memory([record("key_good", &key), gone.clone()]))
            .route(Method::POST, "/", Route::new().scopes(Scope::from_static("write")))
            .style(style)
            .build()
            .unwrap();
        for request in [
            Request::get("/"),
            Request::get("/").header("x-api-key", "x"),
            Request::get("/").header("x-api-key", &revoked),
            Request::get("/").header("x-api-key", "x").header("x-api-key", "y"),
            Request::post("/").header("x-api-key", &key),
            Request::post("/").header("x-api-key", &key).header("content-type", "application/grpc"),
        ] {
            let outcome = send(&auth, request);
            assert!(!outcome.was_let_in());
            assert_eq!(outcome.header("cache-control"), "no-store");
            assert!(!outcome.header("x-request-id").is_empty());
            if outcome.status == 401 {
                assert!(outcome.headers.contains_key("www-authenticate"));
            }
        }
    }
}

#[test]
fn a_refused_head_has_the_headers_of_get_and_no_body() {
    let key = key_of("live");
    for style in styles() {
        let auth = ApiKeyLayer::builder(memory([record("key_good", &key)]))
            .route(Method::GET, "/scoped", Route::new().scopes(Scope::from_static("write")))
            .style(style.clone())
            .build()
            .unwrap();
        for (path, presented) in [("/", None), ("/", Some("x")), ("/scoped", Some(key.as_str()))] {
            let ask = |method: Method| {
                let request = Request::builder().method(method).uri(path).header("x-request-id", "the-same");
                send(&auth, presented.into_iter().fold(request, |request, key| request.header("x-api-key", key)))
            };
            let (get, head) = (ask(Method::GET), ask(Method::HEAD));
            assert_eq!(get.status, head.status);
            assert!(!get.body.is_empty() && head.body.is_empty(), "{style:?}");
            let mut expected = get.headers.clone();
            expected.insert("content-length", get.body.len().into());
            assert_eq!(head.headers, expected, "{style:?} {path}");
        }
    }
}

#[test]
fn a_refusal_to_grpc_is_one_in_the_terms_of_grpc() {
    let (key, revoked) = (key_of("live"), key_of("live"));
    let mut gone = record("key_gone", &revoked);
    gone.revoked_at = Some(Timestamp::UNIX_EPOCH);
    for style in styles() {
        let auth = ApiKeyLayer::builder(memory([record("key_good", &key), gone.clone()]))
            .route(Method::POST, "/scoped", Route::new().scopes(Scope::from_static("write")))
            .style(style)
            .build()
            .unwrap();
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc-web", "application/grpc;x=y"] {
            for (path, presented, status) in
                [("/", "", "16"), ("/", "x", "16"), ("/", revoked.as_str(), "16"), ("/scoped", key.as_str(), "7")]
            {
                let request = Request::post(path).header("content-type", kind).header("x-api-key", presented);
                let outcome = send(&auth, request);
                assert!(!outcome.was_let_in() && outcome.body.is_empty());
                assert_eq!((outcome.status.as_u16(), outcome.header("grpc-status")), (200, status), "{kind} {path}");
                let message = outcome.header("grpc-message");
                assert!(!message.is_empty() && message.bytes().all(|b| (b' '..=b'~').contains(&b)), "{message}");
            }
        }
        for kind in ["application/grpcx", "text/application/grpc", "application/json"] {
            let outcome = send(&auth, Request::post("/").header("content-type", kind));
            assert_eq!(outcome.status, StatusCode::UNAUTHORIZED, "{kind}");
        }
    }
}

/// A handler's refusals are rendered by the gate, and get no further than others.
#[test]
fn a_refusal_says_nothing_of_what_the_caller_sent() {
    let key = key_of("live");
    for style in styles().into_iter().take(6) {
        let auth = ApiKeyLayer::builder(memory([record("key_good", &key)]))
            .route(Method::GET, "/{*rest}", Route::new().scopes(Scope::from_static("write")))
            .style(style)
            .build()
            .unwrap();
        for presented in ["canary-key", key.as_str(), ""] {
            let request = Request::get("/canary-path?canary-query")
                .header("x-api-key", presented)
                .header("host", "canary-host")
                .header("origin", "https://canary-origin")
                .header("user-agent", "<script>canary-agent")
                .header("accept", "canary-accept")
                .header("referer", "https://canary-referer");
            let outcome = send(&auth, request);
            assert!(!outcome.was_let_in());
            let all = format!("{:?} {}", outcome.headers, outcome.body);
            assert!(!all.contains("canary") && !all.contains(&key[12..]), "{all}");
        }
    }
}
