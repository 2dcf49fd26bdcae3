//! How a token is written: the compact serialisation of a JWS (RFC 7515 §7.1), read strictly.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{JwtAlgorithm, json};

/// A token whose signature nobody has looked at yet.
pub(super) struct Token<'t> {
    /// `None` is one that is not supported, `none` among them.
    pub(super) algorithm: Option<JwtAlgorithm>,
    pub(super) key_id: Option<String>,
    /// `typ`, in lower case and without `application/` (RFC 7515 §4.1.9).
    pub(super) media_type: Option<String>,
    /// What is signed.
    pub(super) message: &'t [u8],
    pub(super) signature: Vec<u8>,
    payload: &'t str,
}

impl<'t> Token<'t> {
    /// Longer texts are no tokens: servers cap their headers below this.
    pub(super) const MAX_LENGTH: usize = 32 * 1024;

    /// Reads all but the claims, which nobody looks at before the signature has been checked.
    ///
    /// `None` when it is no JWS, when its header has a member twice, or says something that changes what is signed or
    /// that has to be understood (`b64`, `crit`: none is).
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        if text.len() > Self::MAX_LENGTH {
            return None;
        }
        let (message, signature) = text.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        if payload.contains('.') {
            return None;
        }
        let header = json::object(&decode(header)?)?;
        if header.contains_key("crit") || header.get("b64").is_some_and(|encoded| *encoded != Value::Bool(true)) {
            return None;
        }
        Some(Self {
            algorithm: JwtAlgorithm::named(header.get("alg")?.as_str()?),
            key_id: optional_text(&header, "kid")?,
            media_type: optional_text(&header, "typ")?.map(|name| {
                let name = name.to_ascii_lowercase();
                name.strip_prefix("application/").map(str::to_owned).unwrap_or(name)
            }),
            message: message.as_bytes(),
            signature: decode(signature)?,
            payload,
        })
    }

    /// What it claims.
    pub(super) fn claims(&self) -> Option<Map<String, Value>> {
        json::object(&decode(self.payload)?)
    }
}

/// A member that is a text or is not there; `None` when it is something else.
fn optional_text(header: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match header.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    }
}

/// Without padding, without anything between the characters, and without bits that count for nothing.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}
