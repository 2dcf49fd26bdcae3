//! `POST /`: makes a key.

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::desk::{Desk, Order};
use super::fields::Fields;
use super::{answer, body, refusal, values};
use crate::clock::Timestamp;
use crate::key::KeyId;
use crate::rejection::Rejection;
use crate::source::NewKey;
use crate::transport;

pub(super) async fn answer(desk: &Desk, order: &Order, body: Body) -> Result<Response, Rejection> {
    let fields = body::required(&order.parts, body).await?;
    let asked = read(fields, desk.clock.now())?;
    let hierarchy = &order.caller.rules.hierarchy;
    let mut key = order.mandate.grant().confine(asked, hierarchy, &desk.environment)?;
    key.owner = order.mandate.new_owner().clone();
    if let Err(refused) = desk.store.life().end(key.expires_at, desk.clock.now()) {
        return Err(refusal::life("expiresAt", refused));
    }
    let issued = desk.ask(desk.store.issue(key)).await?;
    let mut response = answer::issued(&issued.record, issued.secret.expose_secret(), desk.clock.now())?;
    if let Some(location) = location(&order.parts, 0, &issued.record.id) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn read(mut fields: Fields, now: Timestamp) -> Result<NewKey, Rejection> {
    if fields.has("expiresInDays") && fields.has("expiresAt") {
        fields.refuse("expiresInDays", "cannot stand beside expiresAt");
        fields.refuse("expiresAt", "cannot stand beside expiresInDays");
    }
    let mut key = NewKey::named(fields.required("name", values::name));
    key.scopes = fields.optional("scopes", values::scopes).unwrap_or_default();
    key.environment = fields.optional("environment", values::parsed);
    let after_days = fields.optional("expiresInDays", values::days_after(now));
    key.expires_at = fields.optional("expiresAt", values::instant_after(now)).or(after_days);
    key.allowed_ips = fields.optional("allowedIps", values::addresses);
    key.allowed_origins = fields.optional("allowedOrigins", values::origins);
    key.rate_limits = fields.optional("rateLimits", values::quotas).unwrap_or_default();
    key.metadata = fields.optional("metadata", values::metadata).unwrap_or_default();
    fields.finish()?;
    Ok(key)
}

/// Where the new key is read: below the path that was called without its last `below` segments, whatever the router is
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
