//! Several credentials, credentials of a bad shape, and where credentials go.

use http::request::Builder;
use http::{HeaderValue, Request};
use tower_api_key::credential::CredentialLocation;
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder};

use crate::support::{Outcome, key_of, memory, one_key, record, send};

fn everywhere(builder: ApiKeyLayerBuilder) -> ApiKeyLayer {
    builder
        .credentials([
            CredentialLocation::header("X-API-Key"),
            CredentialLocation::header("X-Service-Key"),
            CredentialLocation::bearer(),
            CredentialLocation::cookie("key"),
            CredentialLocation::websocket_subprotocol(),
            CredentialLocation::insecure_query_parameter("key"),
        ])
        .build()
        .unwrap()
}

/// One place that a key can stand in.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Header,
    OtherHeader,
    Bearer,
    Cookie,
    Subprotocol,
    Query,
}

const PLACES: [Place; 6] =
    [Place::Header, Place::OtherHeader, Place::Bearer, Place::Cookie, Place::Subprotocol, Place::Query];

impl Place {
    fn put(self, key: &str, request: &mut Request<()>) {
        let (name, value) = match self {
            Self::Header => ("x-api-key", key.to_owned()),
            Self::OtherHeader => ("x-service-key", key.to_owned()),
            Self::Bearer => ("authorization", format!("Bearer {key}")),
            Self::Cookie => ("cookie", format!("theme=dark; key={key}; lang=en")),
            Self::Subprotocol => ("sec-websocket-protocol", format!("chat, api-key.{key}")),
            Self::Query => {
                let query = request.uri().query().map_or(String::new(), |query| format!("{query}&"));
                *request.uri_mut() = format!("/x?{query}a=1&key={key}&b=2").parse().unwrap();
                return;
            }
        };
        request.headers_mut().append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
}

fn with(credentials: &[(Place, &str)]) -> Request<()> {
    let mut request = Request::get("/x").body(()).unwrap();
    for (place, key) in credentials {
        place.put(key, &mut request);
    }
    request
}

fn try_with(auth: &ApiKeyLayer, credentials: &[(Place, &str)]) -> Outcome {
    crate::support::send_request(auth, with(credentials))
}

/// CVE-2026-31838.
#[test]
fn no_two_keys_are_sorted_out_by_luck_whatever_places_they_stand_in() {
    let (good, other) = (key_of("live"), key_of("live"));
    let keys = memory([record("key_good", &good), record("key_other", &other)]);
    let auth = everywhere(ApiKeyLayer::builder(keys));
    let unknown = key_of("live");
    let bad = ["not-a-key", "ak_live_", "\u{fc}", unknown.as_str(), other.as_str(), &good[1..], "*"];
    for one in PLACES {
        assert_eq!(try_with(&auth, &[(one, &good)]).context().key().unwrap().id.as_str(), "key_good", "{one:?}");
        for another in PLACES {
            if one == another {
                let same = try_with(&auth, &[(one, &good), (another, &good)]);
                same.assert_refused("AMBIGUOUS_CREDENTIALS", (one, another));
            } else {
                assert!(try_with(&auth, &[(one, &good), (another, &good)]).was_let_in(), "{one:?} {another:?}");
            }
            for bad in bad {
                if !bad.is_ascii() && (one == Place::Query || another == Place::Query) {
                    continue;
                }
                for pair in [[(one, good.as_str()), (another, bad)], [(one, bad), (another, &good)]] {
                    try_with(&auth, &pair).assert_refused("AMBIGUOUS_CREDENTIALS", pair);
                }
            }
            for third in PLACES {
                let three = [(one, good.as_str()), (another, &good), (third, &other)];
                try_with(&auth, &three).assert_refused("AMBIGUOUS_CREDENTIALS", three);
            }
        }
    }
}

/// CVE-2026-31838: a list, or a header twice, is more than one value, whichever of them is good.
#[test]
fn no_value_is_picked_out_of_a_list_or_of_a_repeated_header() {
    let (keys, good) = one_key();
    let auth = everywhere(ApiKeyLayer::builder(keys));
    let lists = [
        ("x-api-key", format!("{good}, {good}")),
        ("x-api-key", format!("{good},")),
        ("x-api-key", format!(",{good}")),
        ("x-api-key", format!("bad,{good}")),
        ("authorization", format!("Bearer {good}, Bearer {good}")),
        ("authorization", format!("Bearer {good},Basic eA==")),
        ("cookie", format!("key={good}; key=bad")),
        ("cookie", format!("key=bad; key={good}")),
        ("cookie", format!("key={good}; key={good}")),
        ("sec-websocket-protocol", format!("api-key.{good}, api-key.bad")),
        ("sec-websocket-protocol", format!("api-key.bad, api-key.{good}")),
    ];
    for (name, value) in lists {
        let outcome = send(&auth, Request::get("/").header(name, &value));
        outcome.assert_refused("AMBIGUOUS_CREDENTIALS", (name, value));
    }
    for query in [format!("key={good}&key=bad"), format!("key=bad&key={good}"), format!("key={good}&%6bey={good}")] {
        send(&auth, Request::get(format!("/?{query}"))).assert_refused("AMBIGUOUS_CREDENTIALS", query);
    }
    for (name, one, two) in [
        ("x-api-key", good.clone(), String::new()),
        ("x-api-key", String::new(), good.clone()),
        ("x-api-key", good.clone(), good.clone()),
        ("x-api-key", good.clone(), "bad".into()),
        ("x-api-key", "bad".into(), good.clone()),
        ("authorization", format!("Bearer {good}"), format!("Bearer {good}")),
        ("authorization", format!("Bearer {good}"), "Basic eDp5".into()),
        ("authorization", "Basic eDp5".into(), format!("Bearer {good}")),
        ("authorization", "Bearer".into(), format!("Bearer {good}")),
        ("cookie", format!("key={good}"), "key=bad".into()),
        ("cookie", "key=bad".into(), format!("key={good}")),
        ("sec-websocket-protocol", format!("api-key.{good}"), "api-key.bad".into()),
    ] {
        let outcome = send(&auth, Request::get("/").header(name, &one).header(name, &two));
        outcome.assert_refused("AMBIGUOUS_CREDENTIALS", (name, one, two));
    }
}

fn bad_keys(good: &str) -> Vec<(&'static str, Vec<u8>)> {
    let as_bearer = |text: &str| [b"Bearer ", text.as_bytes()].concat();
    vec![
        ("x-api-key", b"x".to_vec()),
        ("x-api-key", key_of("live").into_bytes()),
        ("x-api-key", good.as_bytes()[..good.len() - 1].to_vec()),
        ("x-api-key", format!("{good}x").into_bytes()),
        ("x-api-key", format!("\"{good}\"").into_bytes()),
        ("x-api-key", format!("Bearer {good}").into_bytes()),
        ("x-api-key", good.to_uppercase().into_bytes()),
        ("x-api-key", [good.as_bytes(), b"\xff"].concat()),
        ("x-api-key", format!("{good}\t{good}").into_bytes()),
        ("x-api-key", vec![b'k'; 513]),
        ("x-api-key", vec![b'k'; 64 * 1024]),
        ("authorization", as_bearer("x")),
        ("authorization", as_bearer(&format!("{good} {good}"))),
        ("authorization", as_bearer(&format!("Bearer {good}"))),
        ("authorization", as_bearer(&format!("token={good}"))),
        ("authorization", format!("Bearer\t{good}").into_bytes()),
        ("authorization", as_bearer("null")),
        ("authorization", as_bearer("undefined")),
        ("cookie", format!("key=\"{good}\"").into_bytes()),
        ("cookie", format!("key=x{good}").into_bytes()),
    ]
}

/// A key that is presented decides, also when it is no good.
#[test]
fn a_bad_key_never_becomes_anonymous() {
    let (keys, good) = one_key();
    let auth = everywhere(ApiKeyLayer::builder(keys).optional(http::Method::GET, "/feed"));
    assert!(send(&auth, Request::get("/feed")).was_let_in(), "who presents nothing is anonymous");
    for (name, value) in bad_keys(&good) {
        let value = HeaderValue::from_bytes(&value).unwrap();
        send(&auth, Request::get("/feed").header(name, &value)).assert_refused("INVALID_API_KEY", (name, &value));
        send(&auth, Request::get("/x").header(name, &value)).assert_refused("INVALID_API_KEY", (name, &value));
    }
    let twice = Request::get("/feed").header("x-api-key", &good).header("x-api-key", &good);
    send(&auth, twice).assert_refused("AMBIGUOUS_CREDENTIALS", "twice");
}

#[test]
fn what_is_no_credential_of_ours_is_nothing_presented_and_stays_where_it_is() {
    let (keys, good) = one_key();
    let auth = everywhere(ApiKeyLayer::builder(keys).optional(http::Method::GET, "/feed"));
    for (name, value) in [
        ("authorization", "Basic eDp5"),
        ("authorization", "Digest username=\"x\""),
        ("authorization", "Bearerx y"),
        ("cookie", "session=1; keys=2; KEY=3; theme"),
        ("sec-websocket-protocol", "chat, superchat"),
    ] {
        send(&auth, Request::get("/x").header(name, value)).assert_refused("MISSING_API_KEY", (name, value));
        let optional = send(&auth, Request::get("/feed").header(name, value));
        assert_eq!(optional.reached.unwrap().headers[name], value);
        if name != "authorization" {
            let outcome = send(&auth, Request::get("/x").header("x-api-key", &good).header(name, value));
            assert_eq!(outcome.reached.unwrap().headers[name], value);
        }
    }
}

/// Everything in `parts` that the inner service could print, with headers as bytes.
fn all_that_is_there(outcome: &Outcome) -> String {
    let parts = outcome.reached.as_ref().unwrap();
    let headers: Vec<_> =
        parts.headers.iter().map(|(name, value)| (name, value.as_bytes().escape_ascii().to_string())).collect();
    format!("{} {} {headers:?}", parts.method, parts.uri)
}

#[test]
fn no_credential_reaches_the_inner_service_from_any_place() {
    let (keys, good) = one_key();
    for auth in [
        everywhere(ApiKeyLayer::builder(keys.clone())),
        everywhere(ApiKeyLayer::builder(keys.clone()).insecure_anonymous()),
    ] {
        for one in PLACES {
            for another in PLACES {
                let places = [(one, good.as_str()), (another, &good)];
                let outcome = try_with(&auth, if one == another { &places[..1] } else { &places });
                let seen = all_that_is_there(&outcome);
                assert!(!seen.contains(&good[8..]), "{one:?} {another:?}: {seen}");
            }
        }
        let all = PLACES.map(|place| (place, good.as_str()));
        let outcome = try_with(&auth, &all);
        let seen = all_that_is_there(&outcome);
        assert!(!seen.contains(&good[8..]), "{seen}");
        for kept in ["theme=dark", "lang=en", "chat", "a=1", "b=2"] {
            assert!(seen.contains(kept), "{kept} is gone: {seen}");
        }
    }
}

#[test]
fn no_bad_credential_is_passed_on_by_a_layer_that_is_switched_off() {
    let (keys, good) = one_key();
    let auth = everywhere(ApiKeyLayer::builder(keys).insecure_anonymous());
    for (name, value) in bad_keys(&good) {
        let value = HeaderValue::from_bytes(&value).unwrap();
        let outcome = send(&auth, Request::get("/").header(name, &value).header(name, &value));
        assert_eq!(outcome.context().method().as_str(), "anonymous");
        assert!(!outcome.reached.unwrap().headers.contains_key(name), "{name} {value:?}");
    }
}

#[test]
fn credentials_that_are_kept_are_marked_as_sensitive() {
    let (keys, good) = one_key();
    let auth = everywhere(ApiKeyLayer::builder(keys).keep_credentials());
    for place in PLACES {
        let outcome = try_with(&auth, &[(place, &good)]);
        let parts = outcome.reached.unwrap();
        let seen = format!("{:?}", parts.headers);
        assert!(!seen.contains(&good[8..]), "{place:?}: {seen}");
    }
}

#[test]
fn a_credential_is_gone_before_a_face_of_the_users_own_sees_the_request() {
    let (keys, good) = one_key();
    let style = tower_api_key::rejection::Style::custom(|rejection, parts| {
        let headers: Vec<_> = parts.headers.values().map(|value| value.as_bytes().escape_ascii().to_string()).collect();
        let body = format!("{} {} {headers:?} {:?}", rejection.code(), parts.uri, parts.extensions);
        http::Response::builder().status(rejection.status()).body(body.into()).unwrap()
    });
    let auth = everywhere(ApiKeyLayer::builder(keys).style(style));
    let bad = key_of("live");
    for place in PLACES {
        for credentials in [&[(place, bad.as_str())][..], &[(place, &good), (Place::Header, &bad)]] {
            let outcome = try_with(&auth, credentials);
            assert!(!outcome.was_let_in());
            assert!(outcome.body.contains("_"), "{}", outcome.body);
            assert!(!outcome.body.contains(&good[8..]) && !outcome.body.contains(&bad[8..]), "{}", outcome.body);
        }
    }
}

/// A refused request is never handed on, whatever it brings along.
#[test]
fn an_empty_credential_is_nothing_and_opens_nothing() {
    let (keys, _) = one_key();
    let auth = everywhere(ApiKeyLayer::builder(keys));
    let empty: [fn(Builder) -> Builder; 9] = [
        |request| request.header("x-api-key", ""),
        |request| request.header("x-api-key", "  "),
        |request| request.header("authorization", ""),
        |request| request.header("authorization", "Bearer"),
        |request| request.header("authorization", "bearer   "),
        |request| request.header("cookie", "key="),
        |request| request.header("cookie", ";;=;key=;"),
        |request| request.header("sec-websocket-protocol", "api-key."),
        |request| request.header("sec-websocket-protocol", ", ,"),
    ];
    for (index, add) in empty.iter().enumerate() {
        send(&auth, add(Request::get("/"))).assert_refused("MISSING_API_KEY", index);
    }
    for query in ["?", "?key", "?key=", "?&&", "?=x"] {
        send(&auth, Request::get(format!("/{query}"))).assert_refused("MISSING_API_KEY", query);
    }
}
