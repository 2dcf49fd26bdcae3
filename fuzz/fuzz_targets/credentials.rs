//! Keys in header fields out of any bytes, against a model that is short enough to be right.

#![no_main]

use std::convert::Infallible;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response};
use http_body_util::Empty;
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service};
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{KeyFormat, KeyHasher, KeyId, KeyRecord};
use tower_api_key::source::MemoryKeys;

const KEYS: [&str; 2] = ["the-first-key-that-is-good-here-0000", "the-second-key-that-is-good-here-000"];

static AUTH: LazyLock<ApiKeyLayer> = LazyLock::new(|| {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).build();
    for (id, key) in [("key_1", KEYS[0]), ("key_2", KEYS[1])] {
        keys.insert(KeyRecord::new(KeyId::from_static(id), KeyHasher::sha256().digest(key))).unwrap();
    }
    ApiKeyLayer::new(keys)
});

/// What `X-API-Key` and `Authorization: Bearer` present: nothing, one key, or more than can be told apart.
fn presented(fields: &[(&str, &[u8])]) -> Result<Option<Vec<u8>>, ()> {
    let mut found: Vec<Vec<u8>> = Vec::new();
    for name in ["x-api-key", "authorization"] {
        let lines: Vec<&[u8]> = fields.iter().filter(|(known, _)| *known == name).map(|(_, value)| *value).collect();
        let key = |line: &[u8]| {
            if name == "x-api-key" {
                return Some(line.trim_ascii().to_vec());
            }
            let scheme = line.get(..6)?.eq_ignore_ascii_case(b"bearer");
            let rest = line.get(6..)?;
            // A tab is taken along, and makes a key that is refused.
            let ends = rest.first().is_none_or(|byte| [b' ', b'\t'].contains(byte));
            let token = rest.iter().position(|byte| *byte != b' ').map_or(&[][..], |start| &rest[start..]);
            (scheme && ends).then(|| token.to_vec())
        };
        let keys: Vec<Vec<u8>> = lines.iter().filter_map(|line| key(line)).filter(|key| !key.is_empty()).collect();
        match (keys.len(), lines.len()) {
            (0, _) => {}
            (1, 1) if !keys[0].contains(&b',') => found.extend(keys),
            _ => return Err(()),
        }
    }
    found.dedup();
    if found.len() > 1 { Err(()) } else { Ok(found.pop()) }
}

fuzz_target!(|data: &[u8]| {
    let mut fields: Vec<(&str, &[u8])> = Vec::new();
    let mut request = Request::new(());
    for line in data.split(|byte| *byte == b'\n') {
        let Some((which, value)) = line.split_first() else { continue };
        let name = if which % 2 == 0 { "x-api-key" } else { "authorization" };
        let value = value.trim_ascii();
        let Ok(parsed) = HeaderValue::from_bytes(value) else { continue };
        request.headers_mut().append(HeaderName::from_static(name), parsed);
        fields.push((name, value));
    }
    let expected = presented(&fields);
    let mut service = AUTH.layer(tower::service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::builder().status(299).body(Empty::<Bytes>::new()).unwrap())
    }));
    let Poll::Ready(Ok(response)) = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the source is in memory");
    };
    let good = expected
        .as_ref()
        .is_ok_and(|key| key.as_ref().is_some_and(|key| KEYS.iter().any(|good| good.as_bytes() == key.as_slice())));
    assert_eq!(response.status() == 299, good, "{expected:?}");
    assert!(good || response.status() == 401, "{expected:?}: {}", response.status());
});
