//! People beside programs: which credential counts, what gives way to what, and what another site may not do with a
//! cookie.

use std::convert::Infallible;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::{Layer, ServiceExt};
use tower_api_key::clock::Timestamp;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::key::{KeyOwner, OrganizationId, Scope, UserId};
use tower_api_key::limit::{Limits, MemoryRateLimiter, Quota};
use tower_api_key::route::{Callers, Methods, Route};
use tower_api_key::session::{
    Membership, PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver,
};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder, AuthContext, Order, User};

const ACME: OrganizationId = OrganizationId::from_static("acme");
const GLOBEX: OrganizationId = OrganizationId::from_static("globex");
/// Written as a token is, so that it can share `Authorization: Bearer` with keys.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.YW5u.c2ln";
const BAD_TOKEN: &str = "eyJhbGciOiJub25lIn0.bm9ib2R5.c2ln";

/// Knows what a text says by reading it: `ann` and `TOKEN` are good.
#[derive(Clone)]
struct Knows {
    locations: Vec<SessionLocation>,
    at_once: bool,
}

impl Knows {
    fn judge(presented: &PresentedSession) -> Result<SessionAnswer, std::io::Error> {
        let signed_in = |name: &'static str| {
            let mut session = Session::of(User::new(UserId::from_static(name)));
            session.memberships = vec![Membership::new(ACME, ["admin"])];
            session.organization = Some(ACME);
            session.scopes = [Scope::from_static("read")].into();
            Ok(session.into())
        };
        let text = presented.extension::<Layered>().map_or(presented.expose_secret(), |layered| layered.0);
        match text {
            "ann" | "annann" => signed_in("ann"),
            _ if text.len() > 60 && text.bytes().all(|byte| byte == b'a') => signed_in("ann"),
            TOKEN => signed_in("token"),
            "guest" => Ok(SessionAnswer::Absent),
            "away" => Err(std::io::Error::other("the table of sessions is away")),
            _ => Ok(SessionProblem::Forged.into()),
        }
    }
}

impl SessionResolver for Knows {
    type Error = std::io::Error;

    fn name(&self) -> &str {
        "test sessions"
    }

    fn locations(&self) -> Vec<SessionLocation> {
        self.locations.clone()
    }

    async fn resolve(&self, presented: &PresentedSession, _: Timestamp) -> Result<SessionAnswer, Self::Error> {
        tokio::task::yield_now().await;
        Self::judge(presented)
    }

    fn resolve_now(&self, presented: &PresentedSession, _: Timestamp) -> Option<SessionAnswer> {
        Self::judge(presented).ok().filter(|_| self.at_once)
    }
}

/// What a session layer above leaves in the extensions.
#[derive(Clone)]
struct Layered(&'static str);

fn cookie_and_bearer(at_once: bool) -> Knows {
    Knows { locations: vec![SessionLocation::cookie("sid"), SessionLocation::bearer()], at_once }
}

struct Keys {
    store: MemoryKeys,
    good: String,
    of_globex: String,
    revoked: String,
}

async fn keys() -> Keys {
    let store = MemoryKeys::new();
    let owned = |name: &str, organization: OrganizationId| {
        NewKey::named(name).owner(KeyOwner { organization: Some(organization), user: None })
    };
    let good = store.issue(owned("good", ACME)).await.unwrap();
    let of_globex = store.issue(owned("other", GLOBEX)).await.unwrap();
    let revoked = store.issue(owned("revoked", ACME)).await.unwrap();
    let _ = store.revoke(&revoked.record.id, None).await.unwrap();
    let text = |issued: tower_api_key::source::IssuedKey| issued.secret.expose_secret().to_owned();
    Keys { store, good: text(good), of_globex: text(of_globex), revoked: text(revoked) }
}

/// What became of a request: the method that let it in, or the code of the refusal.
async fn outcome(auth: &ApiKeyLayer, request: Request<()>) -> (String, Option<Parts>) {
    let inner = tower::service_fn(|request: Request<()>| async move {
        let (parts, ()) = request.into_parts();
        let mut response = Response::new(Full::<Bytes>::default());
        response.extensions_mut().insert(parts);
        Ok::<_, Infallible>(response)
    });
    let response = auth.layer(inner).oneshot(request).await.unwrap();
    let (mut parts, body) = response.into_parts();
    if let Some(reached) = parts.extensions.remove::<Parts>() {
        let context: &AuthContext = reached.extensions.get().unwrap();
        return (context.method().as_str().to_owned(), Some(reached));
    }
    let body = body.collect().await.unwrap().to_bytes();
    let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
    (json["code"].as_str().unwrap().to_owned(), None)
}

fn get(key: &str, cookie: &str, bearer: &str) -> Request<()> {
    let mut request = Request::get("/").body(()).unwrap();
    for (name, value) in [("x-api-key", key.to_owned()), ("cookie", cookie.to_owned())] {
        if !value.is_empty() {
            request.headers_mut().insert(name, HeaderValue::try_from(value).unwrap());
        }
    }
    if !bearer.is_empty() {
        let value = HeaderValue::try_from(format!("Bearer {bearer}")).unwrap();
        request.headers_mut().insert("authorization", value);
    }
    request
}

fn build(keys: &Keys, at_once: bool, set: impl Fn(ApiKeyLayerBuilder) -> ApiKeyLayerBuilder) -> ApiKeyLayer {
    set(ApiKeyLayer::builder(keys.store.clone()).sessions(cookie_and_bearer(at_once))).build().unwrap()
}

#[tokio::test]
async fn order_and_callers_decide_which_credential_counts() {
    let keys = keys().await;
    let (good, bad, lost) = (&*keys.good, "ak_live_no", &*keys.revoked);
    // Order, callers, key, cookie, bearer: what becomes of it.
    let table = [
        (Order::KeyFirst, Callers::Either, "", "", "", "MISSING_API_KEY"),
        (Order::KeyFirst, Callers::Either, good, "", "", "api_key"),
        (Order::KeyFirst, Callers::Either, "", "sid=ann", "", "session"),
        (Order::KeyFirst, Callers::Either, "", "", TOKEN, "session"),
        (Order::KeyFirst, Callers::Either, good, "sid=ann", "", "api_key"),
        (Order::KeyFirst, Callers::Either, good, "sid=forged", "", "api_key"),
        (Order::KeyFirst, Callers::Either, good, "sid=away", "", "api_key"),
        (Order::KeyFirst, Callers::Either, bad, "sid=ann", "", "INVALID_API_KEY"),
        (Order::KeyFirst, Callers::Either, "a b", "sid=ann", "", "INVALID_API_KEY"),
        (Order::KeyFirst, Callers::Either, lost, "sid=ann", "", "REVOKED_API_KEY"),
        (Order::KeyFirst, Callers::Either, "one,two", "sid=ann", "", "AMBIGUOUS_CREDENTIALS"),
        (Order::KeyFirst, Callers::Either, good, "", "another", "AMBIGUOUS_CREDENTIALS"),
        (Order::KeyFirst, Callers::Either, "", "sid=forged", "", "INVALID_SESSION"),
        (Order::KeyFirst, Callers::Either, "", "", BAD_TOKEN, "INVALID_USER_TOKEN"),
        (Order::KeyFirst, Callers::Either, "", "sid=guest", "", "MISSING_API_KEY"),
        (Order::KeyFirst, Callers::Either, "", "sid=away", "", "AUTH_UNAVAILABLE"),
        (Order::KeyFirst, Callers::Either, "", "sid=forged", TOKEN, "session"),
        (Order::SessionFirst, Callers::Either, "", "", "", "MISSING_API_KEY"),
        (Order::SessionFirst, Callers::Either, good, "", "", "api_key"),
        (Order::SessionFirst, Callers::Either, good, "sid=ann", "", "session"),
        (Order::SessionFirst, Callers::Either, bad, "sid=ann", "", "session"),
        (Order::SessionFirst, Callers::Either, lost, "sid=ann", "", "session"),
        (Order::SessionFirst, Callers::Either, good, "sid=forged", "", "api_key"),
        (Order::SessionFirst, Callers::Either, good, "sid=guest", "", "api_key"),
        (Order::SessionFirst, Callers::Either, bad, "sid=forged", "", "INVALID_API_KEY"),
        (Order::SessionFirst, Callers::Either, lost, "sid=forged", "", "REVOKED_API_KEY"),
        (Order::SessionFirst, Callers::Either, "", "sid=forged", "", "MISSING_API_KEY"),
        (Order::SessionFirst, Callers::Either, good, "sid=away", "", "AUTH_UNAVAILABLE"),
        (Order::SessionFirst, Callers::Either, "one,two", "sid=ann", "", "AMBIGUOUS_CREDENTIALS"),
        (Order::KeyFirst, Callers::Key, "", "sid=ann", "", "MISSING_API_KEY"),
        (Order::SessionFirst, Callers::Key, good, "sid=ann", "", "api_key"),
        (Order::SessionFirst, Callers::Key, good, "sid=away", "", "api_key"),
        (Order::KeyFirst, Callers::User, good, "", "", "MISSING_USER_TOKEN"),
        (Order::KeyFirst, Callers::User, good, "sid=ann", "", "session"),
        (Order::KeyFirst, Callers::User, lost, "", TOKEN, "session"),
        (Order::KeyFirst, Callers::User, "one,two", "sid=ann", "", "session"),
        (Order::KeyFirst, Callers::User, "", "", BAD_TOKEN, "INVALID_USER_TOKEN"),
        (Order::KeyFirst, Callers::User, "", "sid=forged", "", "INVALID_SESSION"),
        (Order::KeyFirst, Callers::User, "", "sid=guest", "", "MISSING_USER_TOKEN"),
        (Order::SessionFirst, Callers::User, "", "sid=forged", "", "INVALID_SESSION"),
        (Order::KeyFirst, Callers::KeyAndUser, "", "", "", "MISSING_API_KEY"),
        (Order::KeyFirst, Callers::KeyAndUser, "", "", TOKEN, "MISSING_API_KEY"),
        (Order::KeyFirst, Callers::KeyAndUser, good, "", "", "MISSING_USER_TOKEN"),
        (Order::KeyFirst, Callers::KeyAndUser, good, "", TOKEN, "api_key_and_user"),
        (Order::SessionFirst, Callers::KeyAndUser, good, "", TOKEN, "api_key_and_user"),
        (Order::KeyFirst, Callers::KeyAndUser, good, "sid=ann", "", "api_key_and_user"),
        (Order::KeyFirst, Callers::KeyAndUser, good, "", BAD_TOKEN, "INVALID_USER_TOKEN"),
        (Order::KeyFirst, Callers::KeyAndUser, bad, "", BAD_TOKEN, "INVALID_API_KEY"),
        (Order::KeyFirst, Callers::KeyAndUser, lost, "", TOKEN, "REVOKED_API_KEY"),
        (Order::KeyFirst, Callers::KeyAndUser, &keys.of_globex, "", TOKEN, "ORGANIZATION_MISMATCH"),
        (Order::KeyFirst, Callers::KeyAndUser, good, "sid=away", "", "AUTH_UNAVAILABLE"),
    ];
    for at_once in [true, false] {
        for (order, callers, key, cookie, bearer, expected) in table {
            let auth = build(&keys, at_once, |auth| auth.order(order).default_route(Route::new().callers(callers)));
            let case = format!("{order:?} {callers:?} key {key:?} cookie {cookie:?} bearer {bearer:?}");
            let (became, _) = outcome(&auth, get(key, cookie, bearer)).await;
            assert_eq!(became, expected, "{case} (at once: {at_once})");
        }
    }
}

#[tokio::test]
async fn a_session_that_does_not_hold_makes_nobody_anonymous() {
    let keys = keys().await;
    for (order, callers) in [
        (Order::KeyFirst, Callers::Either),
        (Order::SessionFirst, Callers::Either),
        (Order::KeyFirst, Callers::User),
        (Order::KeyFirst, Callers::KeyAndUser),
    ] {
        let auth = build(&keys, true, |auth| {
            auth.order(order).optional(Method::GET, "/").default_route(Route::new().callers(callers))
        });
        assert_eq!(outcome(&auth, get("", "other=1", "")).await.0, "anonymous", "{order:?} {callers:?}");
        let (refused, reached) = outcome(&auth, get("", "sid=forged", "")).await;
        assert!(reached.is_none() && refused != "anonymous", "{order:?} {callers:?}: {refused}");
        assert!(outcome(&auth, get("", "", BAD_TOKEN)).await.1.is_none(), "{order:?} {callers:?}");
    }
}

#[tokio::test]
async fn a_key_without_an_organisation_belongs_to_nobodys() {
    let store = MemoryKeys::new();
    let key = store.issue(NewKey::named("ownerless")).await.unwrap().secret;
    let auth = ApiKeyLayer::builder(store)
        .sessions(cookie_and_bearer(true))
        .default_route(Route::new().callers(Callers::KeyAndUser))
        .build()
        .unwrap();
    assert_eq!(outcome(&auth, get(key.expose_secret(), "sid=ann", "")).await.0, "ORGANIZATION_MISMATCH");
}

#[tokio::test]
async fn sessions_are_taken_out_of_the_request_and_other_cookies_stay() {
    let keys = keys().await;
    let auth = build(&keys, true, |auth| auth);
    let cookie = "theme=dark; sid=ann; sid.0=x; sid2=stays; sid.x=stays; sid.01=stays";
    let (_, reached) = outcome(&auth, get("", cookie, "")).await;
    assert_eq!(reached.unwrap().headers["cookie"], "theme=dark; sid2=stays; sid.x=stays; sid.01=stays");
    let (_, reached) = outcome(&auth, get("", "", TOKEN)).await;
    assert!(!reached.unwrap().headers.contains_key("authorization"));
    let (_, reached) = outcome(&auth, get(&keys.good, "sid=forged", TOKEN)).await;
    let reached = reached.unwrap();
    assert!(!reached.headers.contains_key("authorization") && !reached.headers.contains_key("cookie"));

    let kept = build(&keys, true, ApiKeyLayerBuilder::keep_credentials);
    let (_, reached) = outcome(&kept, get("", "theme=dark; sid=ann", "")).await;
    let value = &reached.unwrap().headers["cookie"];
    assert!(value == "theme=dark; sid=ann" && value.is_sensitive());
}

#[tokio::test]
async fn chunks_are_joined_by_number_and_what_is_sent_twice_differently_is_no_session() {
    let keys = keys().await;
    let auth = build(&keys, true, |auth| auth);
    for (cookie, expected) in [
        ("sid.1=nn; sid.0=a", "session"),
        ("sid.10=n; sid.9=n; sid.0=a", "session"),
        ("sid.1=nn; a=b; sid.0=a; sid.0=a", "session"),
        ("sid=ann; sid=ann", "session"),
        ("sid=ann; sid.0=stale", "session"),
        ("sid=; sid.0=ann", "session"),
        ("sid=ann; sid=bob", "INVALID_SESSION"),
        ("sid=bob; sid=ann", "INVALID_SESSION"),
        ("sid.0=a; sid.0=b; sid.1=nn", "INVALID_SESSION"),
        ("sid.1=nn", "INVALID_SESSION"),
        ("sid=", "MISSING_API_KEY"),
        ("sid-legacy=ann", "MISSING_API_KEY"),
        ("SID=ann", "MISSING_API_KEY"),
        ("sid.99999999999=ann", "MISSING_API_KEY"),
    ] {
        assert_eq!(outcome(&auth, get("", cookie, "")).await.0, expected, "{cookie}");
    }
    for (count, expected) in [(64, "session"), (65, "INVALID_SESSION"), (20_000, "INVALID_SESSION")] {
        let chunks: Vec<_> = (0..count).map(|number| format!("sid.{number}=a")).collect();
        assert_eq!(outcome(&auth, get("", &chunks.join("; "), "")).await.0, expected, "{count} chunks");
    }
    let mut obs_text = get("", "", "");
    obs_text.headers_mut().insert("cookie", HeaderValue::from_bytes(b"sid=a\xff").unwrap());
    assert_eq!(outcome(&auth, obs_text).await.0, "INVALID_SESSION");
}

#[tokio::test]
async fn what_a_cookie_authenticates_is_not_written_from_another_site() {
    let keys = keys().await;
    let from = |method: &Method, key: &str, cookie: &str, bearer: &str, origin: &str| {
        let mut request = get(key, cookie, bearer);
        *request.method_mut() = method.clone();
        request.headers_mut().insert("host", HeaderValue::from_static("app.example.com"));
        request.headers_mut().insert("origin", HeaderValue::try_from(origin).unwrap());
        request
    };
    let evil = "https://evil.example";
    for at_once in [true, false] {
        let auth = build(&keys, at_once, |auth| auth.allow_cookies_from(["https://partner.example"]));
        for (method, key, cookie, bearer, origin, expected) in [
            (&Method::POST, "", "sid=ann", "", evil, "CROSS_SITE_REQUEST"),
            (&Method::DELETE, "", "sid=ann", "", "null", "CROSS_SITE_REQUEST"),
            (&Method::CONNECT, "", "sid=ann", "", evil, "CROSS_SITE_REQUEST"),
            (&Method::POST, "", "sid=ann", "", "https://app.example.com", "session"),
            (&Method::POST, "", "sid=ann", "", "https://partner.example", "session"),
            (&Method::GET, "", "sid=ann", "", evil, "session"),
            (&Method::POST, "", "sid=forged", "", evil, "INVALID_SESSION"),
            (&Method::POST, "", "", TOKEN, evil, "session"),
            (&Method::POST, &keys.good, "sid=ann", "", evil, "api_key"),
        ] {
            let (became, _) = outcome(&auth, from(method, key, cookie, bearer, origin)).await;
            assert_eq!(became, expected, "{method} {cookie} {bearer} from {origin}");
        }
        let mut handshake = from(&Method::GET, "", "sid=ann", "", evil);
        handshake.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
        assert_eq!(outcome(&auth, handshake).await.0, "CROSS_SITE_REQUEST");

        let both = build(&keys, at_once, |auth| auth.default_route(Route::new().callers(Callers::KeyAndUser)));
        let request = from(&Method::POST, &keys.good, "sid=ann", "", evil);
        assert_eq!(outcome(&both, request).await.0, "CROSS_SITE_REQUEST");
        let trusting = build(&keys, at_once, ApiKeyLayerBuilder::insecure_cross_site_cookies);
        assert_eq!(outcome(&trusting, from(&Method::POST, "", "sid=ann", "", evil)).await.0, "session");
    }
    let in_cookie = [CredentialLocation::cookie("key"), CredentialLocation::header("x-api-key")];
    let auth = ApiKeyLayer::builder(keys.store.clone()).credentials(in_cookie).build().unwrap();
    let cookie = format!("key={}", keys.good);
    assert_eq!(outcome(&auth, from(&Method::POST, "", &cookie, "", evil)).await.0, "CROSS_SITE_REQUEST");
    assert_eq!(outcome(&auth, from(&Method::GET, "", &cookie, "", evil)).await.0, "api_key");
    assert_eq!(outcome(&auth, from(&Method::POST, &keys.good, &cookie, "", evil)).await.0, "api_key");
}

#[tokio::test]
async fn what_a_layer_above_read_from_a_cookie_counts_as_a_cookie() {
    let keys = keys().await;
    let sessions = Knows { locations: vec![SessionLocation::extension::<Layered>()], at_once: true };
    let auth = ApiKeyLayer::builder(keys.store.clone()).sessions(sessions).build().unwrap();
    let with = |method: Method, who| {
        let request = Request::builder().method(method).uri("/").header("sec-fetch-site", "cross-site");
        request.extension(Layered(who)).body(()).unwrap()
    };
    assert_eq!(outcome(&auth, with(Method::GET, "ann")).await.0, "session");
    assert_eq!(outcome(&auth, with(Method::GET, "forged")).await.0, "INVALID_SESSION");
    assert_eq!(outcome(&auth, with(Method::POST, "ann")).await.0, "CROSS_SITE_REQUEST");
}

#[tokio::test]
async fn people_have_limits_scopes_and_an_organisation_of_their_own() {
    let keys = keys().await;
    let auth = build(&keys, true, |auth| {
        let limits = Limits::new(MemoryRateLimiter::new()).per_key(Quota::per_hour(3));
        auth.limits(limits).route(Method::GET, "/write", Route::new().scopes(Scope::from_static("write"))).route(
            Methods::ANY,
            "/read",
            Route::new().scopes(Scope::from_static("read")),
        )
    });
    let to = |path: &str| {
        let mut request = get("", "sid=ann", "");
        *request.uri_mut() = path.parse().unwrap();
        request
    };
    let (method, reached) = outcome(&auth, to("/read")).await;
    assert_eq!(method, "session");
    let reached = reached.unwrap();
    let context: &AuthContext = reached.extensions.get().unwrap();
    let json = serde_json::to_value(context).unwrap();
    assert_eq!(json["user"], serde_json::json!({ "id": "ann", "name": null, "email": null }));
    assert_eq!(json["organization"], serde_json::json!({ "id": "acme" }));
    assert_eq!((&json["method"], &json["source"]), (&"session".into(), &"session".into()));
    assert_eq!((&json["keyId"], &json["rateLimit"]["remaining"]), (&serde_json::Value::Null, &2.into()));
    assert!(context.session().is_some_and(|session| session.membership(&ACME).is_some_and(|it| it.has_role("admin"))));

    assert_eq!(outcome(&auth, to("/write")).await.0, "INSUFFICIENT_SCOPE");
    assert_eq!(outcome(&auth, to("/")).await.0, "session");
    assert_eq!(outcome(&auth, to("/")).await.0, "RATE_LIMITED");
    assert_eq!(outcome(&auth, get("", "", TOKEN)).await.0, "session", "another person is not limited by that");
}

#[tokio::test]
async fn two_authorizations_are_ambiguous_also_where_only_tokens_travel_there() {
    let keys = keys().await;
    let only_header = [CredentialLocation::header("X-Organization-Api-Key")];
    let auth = build(&keys, true, |auth| auth.credentials(only_header.clone()));
    let mut twice = get("", "", TOKEN);
    twice.headers_mut().append("authorization", HeaderValue::from_static("Bearer again"));
    assert_eq!(outcome(&auth, twice).await.0, "AMBIGUOUS_CREDENTIALS");
    // Where no key travels as Bearer, whatever stands there was meant as a token.
    assert_eq!(outcome(&auth, get("", "", "no token at all")).await.0, "INVALID_USER_TOKEN");
    let refused = auth.layer(tower::service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    let response = refused.oneshot(get("", "", "")).await.unwrap();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    let challenges: Vec<_> = response.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["ApiKey realm=\"api\", header=\"X-Organization-Api-Key\"", "Bearer realm=\"api\""]);
}

#[tokio::test]
async fn mistakes_in_the_settings_of_sessions_are_named() {
    let keys = keys().await;
    let error = ApiKeyLayer::builder(keys.store.clone())
        .route(Methods::ANY, "/people", Route::new().callers(Callers::User))
        .allow_cookies_from(["partner.example", "https://partner.example/page"])
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"/people\": it asks for a user, which needs `sessions`"), "{error}");
    assert!(error.contains("allow_cookies_from: \"partner.example\"") && error.contains("/page"), "{error}");
    let sessions = |locations| Knows { locations, at_once: true };
    let nowhere = ApiKeyLayer::builder(keys.store.clone()).sessions(sessions(vec![])).build().unwrap_err();
    assert!(nowhere.to_string().contains("sessions: test sessions: it looks nowhere"), "{nowhere}");
    let odd = sessions(vec![SessionLocation::cookie("a b")]);
    let odd = ApiKeyLayer::builder(keys.store.clone()).sessions(odd).build().unwrap_err();
    assert!(odd.to_string().contains("\"a b\" is no name of a cookie"), "{odd}");
}
