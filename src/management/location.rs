//! Where a new key is read.

use http::HeaderValue;
use http::request::Parts;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::key::KeyId;
use crate::transport;

/// Below the path that was called without its last `below` segments, whatever the router is
/// nested at.
pub(super) fn location(parts: &Parts, below: usize, id: &KeyId) -> Option<HeaderValue> {
    let called = transport::original_uri(parts).path();
    // Two slashes in front would make the first segment a host.
    let mut base = called.trim_matches('/');
    for _ in 0..below {
        base = base.rsplit_once('/').map_or("", |(base, _)| base);
    }
    let slash = if base.is_empty() { "" } else { "/" };
    let id = utf8_percent_encode(id.as_str(), SEGMENT);
    HeaderValue::try_from(format!("{slash}{base}/{id}")).ok()
}

/// RFC 3986 `unreserved` may stand in a segment as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use axum::extract::OriginalUri;
    use http::Request;

    use super::*;

    #[test]
    fn a_location_stands_below_the_path_that_was_called() {
        let at = |original: &'static str, id: &str| {
            let mut parts = Request::post("/").body(()).unwrap().into_parts().0;
            parts.extensions.insert(OriginalUri(original.parse().unwrap()));
            location(&parts, 0, &KeyId::new(id).unwrap()).unwrap()
        };
        for called in ["/v1/keys", "/v1/keys/", "/v1/keys?a=/b", "http://evil.example/v1/keys/?a", "//v1/keys"] {
            assert_eq!(at(called, "key_1"), "/v1/keys/key_1", "{called}");
        }
        assert_eq!(at("/", "key_1"), "/key_1");
        assert_eq!(at("/keys", "a/b?c%"), "/keys/a%2Fb%3Fc%25");
    }
}
