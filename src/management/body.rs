//! The JSON object that a request carries.

use std::error::Error;
use std::fmt;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, header};
use http_body_util::LengthLimitError;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::fields::Fields;
use super::refusal;
use crate::rejection::Rejection;

/// Larger bodies are refused before they are in memory.
const MOST: usize = 64 * 1024;

/// The fields of a body that must be there.
pub(super) async fn required(parts: &Parts, body: Body) -> Result<Fields, Rejection> {
    optional(parts, body).await?.ok_or_else(|| refusal::malformed("Send a JSON object in the body"))
}

/// The fields of a body that may be left out.
pub(super) async fn optional(parts: &Parts, body: Body) -> Result<Option<Fields>, Rejection> {
    let text = text(body).await?;
    if text.is_empty() {
        return Ok(None);
    }
    if !says_json(&parts.headers) {
        return Err(refusal::unsupported_media_type());
    }
    match serde_json::from_slice(&text) {
        Ok(Object(fields)) => Ok(Some(Fields::new(fields))),
        Err(_) => Err(refusal::malformed("The body must be a JSON object that has no field twice")),
    }
}

/// The body as it was sent.
pub(super) async fn text(body: Body) -> Result<Bytes, Rejection> {
    axum::body::to_bytes(body, MOST).await.map_err(|error| {
        let too_large = error.source().is_some_and(<dyn Error>::is::<LengthLimitError>);
        if too_large { refusal::too_large() } else { refusal::malformed("The body could not be read") }
    })
}

/// `application/json`, or a type made of it. Browsers send neither to another site without asking first.
fn says_json(headers: &HeaderMap) -> bool {
    let Some(Ok(kind)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// An object in which no field stands twice: of two values one reader takes the first, and another the last.
#[derive(Debug)]
struct Object(Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Object, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = entries.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a field stands twice"));
                    }
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_stands_twice_is_refused() {
        assert!(serde_json::from_str::<Object>(r#"{"scopes":["read"],"name":"a"}"#).is_ok());
        for text in [r#"{"scopes":["read"],"scopes":["admin"]}"#, "[]", "null", "1", "{} {}", "{", r#"{"a":1e999}"#] {
            assert!(serde_json::from_str::<Object>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_json_is_taken_for_json() {
        let said = |kind: &str| says_json(&HeaderMap::from_iter([(header::CONTENT_TYPE, kind.parse().unwrap())]));
        for kind in ["application/json", "Application/JSON; charset=utf-8", "application/merge-patch+json"] {
            assert!(said(kind), "{kind}");
        }
        for kind in ["", "text/plain", "text/plain; application/json", "application/x-www-form-urlencoded", "a/+json"] {
            assert!(!said(kind), "{kind}");
        }
        assert!(!says_json(&HeaderMap::new()));
    }
}
