//! Whatever bytes stand in a request: no panic, no 5xx, and nobody gets in without the key.
//!
//! A plain loop over seeded cases, since a hundred thousand of them for each header have to be quick: the source is in
//! memory, so one poll answers. A failure prints the case; proptest shrinks what it finds in small numbers below.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::Empty;
use proptest::prelude::*;
use tower::{Layer, Service};
use tower_api_key::audit::AuthEvent;
use tower_api_key::credential::CredentialLocation;
use tower_api_key::ip::{IpBlocks, TrustedProxies};
use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyRecord, Scope};
use tower_api_key::route::{Methods, Route};
use tower_api_key::source::MemoryKeys;
use tower_api_key::{ApiKeyLayer, PeerAddr};

const CASES: usize = 100_000;
const KEY: &str = "ak_live_0123456789abcdefghijABCDEFGHIJ0123000000";

fn auth() -> ApiKeyLayer {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).add_format(KeyFormat::default()).build();
    keys.insert(KeyRecord::new(KeyId::from_static("key_1"), KeyHasher::sha256().digest(KEY))).unwrap();
    ApiKeyLayer::builder(keys)
        .credentials([
            CredentialLocation::header("X-API-Key"),
            CredentialLocation::bearer(),
            CredentialLocation::cookie("key"),
            CredentialLocation::websocket_subprotocol(),
            CredentialLocation::insecure_query_parameter("key"),
        ])
        .route(Methods::ANY, "/v1/{id}/x/{*rest}", Route::new().scopes(Scope::from_static("write")))
        .trusted_proxies(TrustedProxies::blocks(IpBlocks::parse("10.0.0.0/8").unwrap()))
        .allow_preflights_from(["https://app.example.com"])
        .audit(|event: AuthEvent<'_>| assert!(!event.reason().is_empty()))
        .build()
        .unwrap()
}

/// Whether the request got to the service behind the gate, and with what status it came back.
fn send(auth: &ApiKeyLayer, request: Request<()>) -> (bool, u16) {
    let mut inner = auth.layer(tower::service_fn(async |_: Request<()>| {
        let mut response = Response::new(Empty::<bytes::Bytes>::new());
        response.headers_mut().insert("x-reached", HeaderValue::from_static("yes"));
        Ok::<_, Infallible>(response)
    }));
    match pin!(inner.call(request)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => (response.headers().contains_key("x-reached"), response.status().as_u16()),
        Poll::Pending => panic!("the source is in memory"),
    }
}

/// SplitMix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }
}

/// What values are made of, so that many are nearly right.
const PIECES: [&[u8]; 48] = [
    KEY.as_bytes(),
    b"ak_live_0123456789abcdefghijABCDEFGHIJ0123",
    b"ak_live_",
    b"ak_test_",
    b"Bearer ",
    b"bearer  ",
    b"Bearer",
    b"Bearer\t",
    b"Basic eDp5",
    b"key=",
    b"key",
    b"KEY=",
    b"; ",
    b";",
    b", ",
    b",",
    b"=",
    b"\"",
    b"'",
    b"\\",
    b" ",
    b"\t",
    b"api-key.",
    b"API-KEY.",
    b"chat",
    b"&",
    b"%6bey=",
    b"%2c",
    b"%00",
    b"%",
    b"https://app.example.com",
    b"null",
    b"GET",
    b"POST",
    b"OPTIONS",
    b"application/grpc",
    b"+proto",
    b"10.0.0.1",
    b"192.0.2.1",
    b"[::1]:80",
    b"for=",
    b"unknown",
    b"\xff",
    b"\xc3\xbc",
    b"\x80",
    b"/",
    b"..",
    b"*",
];

fn value(numbers: &mut Numbers) -> Vec<u8> {
    let mut value = Vec::new();
    for _ in 0..numbers.below(7) {
        match numbers.below(4) {
            0 => {
                let byte = numbers.next().to_le_bytes()[0];
                // Most are allowed in a header: obs-text is, NUL and line ends are not, and are left out by `http`.
                value.push(byte);
            }
            _ => value.extend_from_slice(PIECES[numbers.below(PIECES.len())]),
        }
    }
    value
}

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::DELETE];

/// Whether `text` has the whole key in it, also encoded: only then may anything be let in.
fn has_key(text: &[u8]) -> bool {
    let decoded: Vec<u8> = percent_encoding::percent_decode(text).collect();
    [text, &decoded].iter().any(|text| text.windows(KEY.len()).any(|part| part == KEY.as_bytes()))
}

fn is_preflight(request: &Request<()>) -> bool {
    let one = |name| request.headers().get_all(name).iter().count() == 1;
    request.method() == Method::OPTIONS
        && one("origin")
        && request.headers()["origin"] == "https://app.example.com"
        && one("access-control-request-method")
        && Method::from_bytes(request.headers()["access-control-request-method"].as_bytes()).is_ok()
}

#[track_caller]
fn check(auth: &ApiKeyLayer, request: Request<()>, has_key: bool) {
    let shown = format_args!("{} {} {:?}", request.method(), request.uri(), request.headers()).to_string();
    let exempt = is_preflight(&request);
    let (reached, status) = send(auth, request);
    assert!(status < 500, "{status}: {shown}");
    assert!(!reached || has_key || exempt, "let in: {shown}");
}

/// As [`check`], without the text of the case, which costs more than the case.
fn holds(auth: &ApiKeyLayer, request: &Request<()>, has_key: bool) -> bool {
    let exempt = is_preflight(request);
    let (reached, status) = send(auth, request.clone());
    status < 500 && (!reached || has_key || exempt)
}

fn no_bytes_get_in(header: &'static str, seed: u64) {
    let auth = auth();
    let name = HeaderName::from_static(header);
    let is_place = matches!(header, "x-api-key" | "authorization" | "cookie" | "sec-websocket-protocol");
    let mut numbers = Numbers(seed);
    let (mut cases, mut admitted) = (0, 0);
    while cases < CASES {
        let mut request = Request::new(());
        *request.method_mut() = METHODS[numbers.below(METHODS.len())].clone();
        request.extensions_mut().insert(PeerAddr(([10, 0, 0, 1], 80).into()));
        let mut has = false;
        for _ in 0..=numbers.below(2) {
            let Ok(value) = HeaderValue::from_bytes(&value(&mut numbers)) else { continue };
            has |= is_place && has_key(value.as_bytes());
            request.headers_mut().append(name.clone(), value);
        }
        // Half of the preflights' halves come with the other half.
        if matches!(header, "origin" | "access-control-request-method") && numbers.below(2) == 0 {
            let other = [("origin", "https://app.example.com"), ("access-control-request-method", "GET")];
            for (name, value) in other.into_iter().filter(|(name, _)| *name != header) {
                request.headers_mut().insert(name, HeaderValue::from_static(value));
            }
        }
        cases += 1;
        if !holds(&auth, &request, has) {
            check(&auth, request, has);
        } else if has {
            admitted += usize::from(send(&auth, request).0);
        }
    }
    assert_eq!(admitted > 0, is_place, "{admitted} of {cases} had a good key");
}

macro_rules! headers {
    ($($test:ident: $header:literal, $seed:literal;)*) => {
        $(
            #[test]
            fn $test() {
                no_bytes_get_in($header, $seed);
            }
        )*
    };
}

headers! {
    no_bytes_in_x_api_key_get_in: "x-api-key", 1;
    no_bytes_in_authorization_get_in: "authorization", 2;
    no_bytes_in_cookie_get_in: "cookie", 3;
    no_bytes_in_sec_websocket_protocol_get_in: "sec-websocket-protocol", 4;
    no_bytes_in_origin_get_in: "origin", 5;
    no_bytes_in_x_request_id_get_in: "x-request-id", 6;
    no_bytes_in_content_type_get_in: "content-type", 7;
    no_bytes_in_access_control_request_method_get_in: "access-control-request-method", 8;
    no_bytes_in_x_forwarded_for_get_in: "x-forwarded-for", 9;
}

#[test]
fn no_bytes_in_path_or_query_get_in() {
    let auth = auth();
    let mut numbers = Numbers(10);
    let (mut cases, mut admitted) = (0, 0);
    while cases < CASES {
        let mut target = b"/".to_vec();
        target.extend(value(&mut numbers));
        if numbers.below(4) > 0 {
            target.push(b'?');
            for _ in 0..=numbers.below(2) {
                target.extend(value(&mut numbers));
            }
        }
        let Ok(uri) = Uri::try_from(target) else { continue };
        let has = has_key(uri.query().unwrap_or_default().as_bytes());
        let mut request = Request::new(());
        *request.method_mut() = METHODS[numbers.below(METHODS.len())].clone();
        *request.uri_mut() = uri;
        cases += 1;
        if !holds(&auth, &request, has) {
            check(&auth, request, has);
        } else if has {
            admitted += usize::from(send(&auth, request).0);
        }
    }
    assert!(admitted > 0, "none of {cases} had a good key");
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_mixture_of_headers_gets_in(
        method in "[A-Za-z!#]{1,8}|GET|OPTIONS|HEAD",
        path in "/[ -~]{0,40}",
        headers in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "x-api-key", "authorization", "cookie", "sec-websocket-protocol", "origin", "x-request-id",
                    "content-type", "access-control-request-method", "x-forwarded-for", "host", "upgrade",
                ]),
                header_value(),
            ),
            0..6,
        ),
    ) {
        let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
        let mut request = Request::new(());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        let mut has = has_key(path.as_bytes());
        *request.uri_mut() = uri;
        for (name, value) in headers {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                has |= has_key(value.as_bytes());
                request.headers_mut().append(name, value);
            }
        }
        check(&auth(), request, has);
    }

    #[test]
    fn a_format_makes_what_it_accepts_and_accepts_no_other_checksum(index in 0_usize..48, letter in "[0-9A-Za-z]") {
        let format = KeyFormat::default();
        let key = format.generate(&tower_api_key::key::Environment::LIVE).unwrap();
        let key = key.expose_secret();
        prop_assert!(format.accepts(key));
        let mut changed = key.to_owned();
        changed.replace_range(index..=index, &letter);
        prop_assert_eq!(format.accepts(&changed), changed == key);
    }

    #[test]
    fn no_text_makes_a_format_panic(text in "\\PC{0,80}") {
        let formats = [
            KeyFormat::default(), KeyFormat::text(), KeyFormat::hex(64).unwrap(), KeyFormat::sanctum("x_"),
            KeyFormat::unkey(Some("uk")), KeyFormat::better_auth("o_"), KeyFormat::django_rest(),
            KeyFormat::alphanumeric(40).unwrap(),
        ];
        for format in formats {
            let accepted = format.accepts(&text);
            prop_assert!(!accepted || text.bytes().all(|byte| byte.is_ascii_graphic()));
            let _ = (format.start(&text), format.mask(&text), format.digested(&text), format.environment(&text));
        }
    }
}
