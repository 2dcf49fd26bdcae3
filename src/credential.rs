//! Where keys travel, and how they are taken out of a request.
//!
//! | sent | is |
//! | --- | --- |
//! | no header, an empty one, or an `Authorization` of another scheme | nothing presented |
//! | one key, in one place or the same in several | that key |
//! | different keys, one header twice, or a list with commas | ambiguous: refused, never sorted out by luck |
//! | anything that no key can be | malformed: refused as an unknown key is |

use std::borrow::Cow;

use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, header::GetAll};
use percent_encoding::percent_decode;

use crate::error::ConfigError;
use crate::key::PresentedKey;
use crate::transport;

/// Where a key may stand in a request.
///
/// ```
/// use tower_api_key::ApiKeyLayer;
/// use tower_api_key::credential::CredentialLocation;
/// use tower_api_key::source::MemoryKeys;
///
/// let auth = ApiKeyLayer::builder(MemoryKeys::new())
///     .credentials([CredentialLocation::header("X-Service-Key"), CredentialLocation::bearer()])
///     .build()?;
/// # Ok::<(), tower_api_key::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialLocation(pub(crate) Place);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Header(String),
    Scheme(String),
    Cookie(String),
    Subprotocol,
    Query(String),
}

impl CredentialLocation {
    /// A header that has the key for its value. The name is shown to callers as it is written here.
    pub fn header(name: impl Into<String>) -> Self {
        Self(Place::Header(name.into()))
    }

    /// `Authorization: Bearer <key>` (RFC 6750 §2.1).
    pub fn bearer() -> Self {
        Self::authorization("Bearer")
    }

    /// `Authorization: <scheme> <key>`: `Api-Key` for one.
    pub fn authorization(scheme: impl Into<String>) -> Self {
        Self(Place::Scheme(scheme.into()))
    }

    /// A cookie that has the key for its value.
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Place::Cookie(name.into()))
    }

    /// `api-key.<key>` among the subprotocols of a WebSocket handshake, beside a real one: browsers cannot set headers
    /// on it. The real one is echoed if the service does not choose.
    pub fn websocket_subprotocol() -> Self {
        Self(Place::Subprotocol)
    }

    /// A parameter of the query. Insecure, since URLs end up in logs, histories and `Referer` headers.
    pub fn insecure_query_parameter(name: impl Into<String>) -> Self {
        Self(Place::Query(name.into()))
    }

    /// The header that it stands in, as it is written to callers.
    pub(crate) fn header_name(&self) -> &str {
        match &self.0 {
            Place::Header(name) => name,
            Place::Scheme(_) => "Authorization",
            Place::Cookie(_) => "Cookie",
            Place::Subprotocol => "Sec-WebSocket-Protocol",
            Place::Query(_) => "",
        }
    }

    /// How a person is told to send it.
    pub(crate) fn phrase(&self) -> String {
        match &self.0 {
            Place::Header(name) => format!("{name} header"),
            Place::Scheme(scheme) => format!("Authorization: {scheme} token"),
            Place::Cookie(name) => format!("{name} cookie"),
            Place::Subprotocol => "WebSocket subprotocol api-key.<key>".to_owned(),
            Place::Query(name) => format!("{name} query parameter"),
        }
    }
}

/// What a request brings along.
#[derive(Debug)]
pub(crate) enum Presented {
    Nothing,
    Key(PresentedKey),
    Malformed,
    Ambiguous,
}

/// Every place that a layer looks at, checked and in order.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    places: Vec<Checked>,
}

#[derive(Debug, Clone)]
enum Checked {
    Header(HeaderName),
    Scheme(String),
    Cookie(String),
    Subprotocol,
    Query(String),
}

/// `X-API-Key`, and `Authorization: Bearer`.
impl Default for Credentials {
    fn default() -> Self {
        Self {
            places: vec![Checked::Header(HeaderName::from_static("x-api-key")), Checked::Scheme("Bearer".to_owned())],
        }
    }
}

/// What stands in one place.
enum Found<'a> {
    Nothing,
    Text(Cow<'a, [u8]>),
    Several,
}

impl Credentials {
    pub(crate) fn new(locations: &[CredentialLocation]) -> Result<Self, ConfigError> {
        if locations.is_empty() {
            return Err(ConfigError::new("credentials", "an empty list lets nobody present a key"));
        }
        let places = locations.iter().map(check).collect::<Result<_, _>>()?;
        Ok(Self { places })
    }

    /// What the request brings along. Only reads it.
    pub(crate) fn read(&self, parts: &Parts) -> Presented {
        let mut first: Option<Cow<'_, [u8]>> = None;
        for place in &self.places {
            match (place.find(parts), &first) {
                (Found::Nothing, _) => {}
                (Found::Several, _) => return Presented::Ambiguous,
                (Found::Text(text), None) => first = Some(text),
                (Found::Text(text), Some(other)) if text == *other => {}
                (Found::Text(_), Some(_)) => return Presented::Ambiguous,
            }
        }
        match first {
            None => Presented::Nothing,
            Some(text) => PresentedKey::new(&text).map_or(Presented::Malformed, Presented::Key),
        }
    }

    /// Takes out all that [`read`](Self::read) looks at, and leaves the rest as it was.
    pub(crate) fn strip(&self, parts: &mut Parts) {
        for place in &self.places {
            place.strip(parts);
        }
    }

    /// The first subprotocol that is none of ours, for a handshake that brings a key among its subprotocols.
    pub(crate) fn real_subprotocol(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let read_here = self.places.iter().any(|place| matches!(place, Checked::Subprotocol));
        if !read_here || !subprotocols(headers).any(|protocol| subprotocol_key(protocol).is_some()) {
            return None;
        }
        let real = subprotocols(headers).find(|protocol| subprotocol_key(protocol).is_none())?;
        HeaderValue::from_bytes(real).ok()
    }

    /// Marks the headers that stay as sensitive, so that nothing prints them.
    pub(crate) fn mark_sensitive(&self, headers: &mut HeaderMap) {
        for place in &self.places {
            let name = match place {
                Checked::Header(name) => name,
                Checked::Scheme(_) => &AUTHORIZATION,
                Checked::Cookie(_) => &COOKIE,
                Checked::Subprotocol => &SEC_WEBSOCKET_PROTOCOL,
                Checked::Query(_) => continue,
            };
            if let http::header::Entry::Occupied(mut values) = headers.entry(name) {
                values.iter_mut().for_each(|value| value.set_sensitive(true));
            }
        }
    }
}

fn check(location: &CredentialLocation) -> Result<Checked, ConfigError> {
    let wrong = |problem: &str| Err(ConfigError::new("credentials", problem));
    let token = |text: &str| HeaderName::from_bytes(text.as_bytes()).is_ok();
    match &location.0 {
        Place::Header(name) => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) if name == AUTHORIZATION || name == COOKIE => {
                wrong(&format!("{name} holds more than a key: use `bearer`, `authorization` or `cookie`"))
            }
            Ok(name) => Ok(Checked::Header(name)),
            Err(_) => wrong(&format!("{name:?} is no name of a header")),
        },
        Place::Scheme(scheme) if token(scheme) => Ok(Checked::Scheme(scheme.clone())),
        Place::Scheme(scheme) => wrong(&format!("{scheme:?} is no authentication scheme")),
        Place::Cookie(name) if token(name) => Ok(Checked::Cookie(name.clone())),
        Place::Cookie(name) => wrong(&format!("{name:?} is no name of a cookie")),
        Place::Subprotocol => Ok(Checked::Subprotocol),
        Place::Query(name) if !name.is_empty() => Ok(Checked::Query(name.clone())),
        Place::Query(_) => wrong("a query parameter needs a name"),
    }
}

impl Checked {
    fn find<'a>(&self, parts: &'a Parts) -> Found<'a> {
        match self {
            Self::Header(name) => one_of(parts.headers.get_all(name)),
            Self::Scheme(scheme) => in_authorization(parts.headers.get_all(AUTHORIZATION), scheme),
            Self::Cookie(name) => only(cookies(&parts.headers).filter_map(|pair| cookie_value(pair, name))),
            Self::Subprotocol => only(subprotocols(&parts.headers).filter_map(subprotocol_key)),
            Self::Query(name) => only_decoded(parameters(&parts.uri).filter_map(|pair| parameter_value(pair, name))),
        }
    }

    fn strip(&self, parts: &mut Parts) {
        match self {
            Self::Header(name) => {
                parts.headers.remove(name);
            }
            Self::Scheme(scheme) => {
                let values = parts.headers.get_all(AUTHORIZATION);
                if values.iter().any(|value| after_scheme(value.as_bytes(), scheme).is_some()) {
                    parts.headers.remove(AUTHORIZATION);
                }
            }
            Self::Cookie(name) => {
                if cookies(&parts.headers).any(|pair| cookie_value(pair, name).is_some()) {
                    let kept = cookies(&parts.headers).filter(|pair| cookie_value(pair, name).is_none());
                    let kept = kept.collect::<Vec<_>>().join(&b"; "[..]);
                    replace(&mut parts.headers, COOKIE, &kept);
                }
            }
            Self::Subprotocol => {
                if subprotocols(&parts.headers).any(|protocol| subprotocol_key(protocol).is_some()) {
                    let kept = subprotocols(&parts.headers).filter(|protocol| subprotocol_key(protocol).is_none());
                    let kept = kept.collect::<Vec<_>>().join(&b", "[..]);
                    replace(&mut parts.headers, SEC_WEBSOCKET_PROTOCOL, &kept);
                }
            }
            Self::Query(name) => {
                if let Some(stripped) = without_parameter(&parts.uri, name) {
                    parts.uri = stripped;
                }
                transport::change_original_uri(&mut parts.extensions, |original| without_parameter(original, name));
            }
        }
    }
}

/// The one value of a header. The same header twice is ambiguous even with the same value, since a service behind the
/// gate may read either, and so is a list.
fn one_of(values: GetAll<'_, HeaderValue>) -> Found<'_> {
    let mut filled = values.iter().map(|value| value.as_bytes().trim_ascii()).filter(|value| !value.is_empty());
    let Some(value) = filled.next() else {
        return Found::Nothing;
    };
    if values.iter().nth(1).is_some() || value.contains(&b',') {
        return Found::Several;
    }
    Found::Text(Cow::Borrowed(value))
}

fn in_authorization<'a>(values: GetAll<'a, HeaderValue>, scheme: &str) -> Found<'a> {
    let mut tokens = values.iter().filter_map(|value| after_scheme(value.as_bytes(), scheme));
    let Some(token) = tokens.find(|token| !token.is_empty()) else {
        return Found::Nothing;
    };
    if values.iter().nth(1).is_some() || token.contains(&b',') {
        return Found::Several;
    }
    Found::Text(Cow::Borrowed(token))
}

/// What follows the scheme, or `None` for another scheme. RFC 9110 §11.4: the scheme is case-insensitive, and one space
/// or more follow; a tab there is taken along, so that the token is refused rather than overlooked.
fn after_scheme<'a>(value: &'a [u8], scheme: &str) -> Option<&'a [u8]> {
    let value = value.trim_ascii();
    let (name, rest) = value.split_at_checked(scheme.len())?;
    if !name.eq_ignore_ascii_case(scheme.as_bytes()) {
        return None;
    }
    match rest.first() {
        None => Some(rest),
        Some(b' ') => {
            let start = rest.iter().position(|byte| *byte != b' ').unwrap_or(rest.len());
            Some(&rest[start..])
        }
        Some(b'\t') => Some(rest),
        Some(_) => None,
    }
}

fn only<'a>(mut texts: impl Iterator<Item = &'a [u8]>) -> Found<'a> {
    let Some(first) = texts.find(|text| !text.is_empty()) else {
        return Found::Nothing;
    };
    if texts.next().is_some() { Found::Several } else { Found::Text(Cow::Borrowed(first)) }
}

fn only_decoded<'a>(mut texts: impl Iterator<Item = Cow<'a, [u8]>>) -> Found<'a> {
    let Some(first) = texts.find(|text| !text.is_empty()) else {
        return Found::Nothing;
    };
    if texts.next().is_some() { Found::Several } else { Found::Text(first) }
}

/// The pairs `name=value` of all `Cookie` headers (RFC 6265 §4.2.1).
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(COOKIE).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).filter(|p| !p.is_empty())
}

fn cookie_value<'a>(pair: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    (pair[..equals].trim_ascii() == name.as_bytes()).then(|| pair[equals + 1..].trim_ascii())
}

fn subprotocols(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii).filter(|p| !p.is_empty())
}

fn subprotocol_key(protocol: &[u8]) -> Option<&[u8]> {
    protocol.strip_prefix(b"api-key.")
}

fn parameters(uri: &Uri) -> impl Iterator<Item = &str> {
    uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
}

fn parameter_value<'a>(pair: &'a str, name: &str) -> Option<Cow<'a, [u8]>> {
    let (parameter, value) = pair.split_once('=').unwrap_or((pair, ""));
    let parameter: Cow<'_, [u8]> = percent_decode(parameter.as_bytes()).into();
    (*parameter == *name.as_bytes()).then(|| percent_decode(value.as_bytes()).into())
}

fn replace(headers: &mut HeaderMap, name: HeaderName, kept: &[u8]) {
    match HeaderValue::from_bytes(kept) {
        Ok(value) if !kept.is_empty() => {
            headers.insert(name, value);
        }
        _ => {
            headers.remove(name);
        }
    }
}

/// The target without a parameter, or `None` if it has no such one.
fn without_parameter(uri: &Uri, name: &str) -> Option<Uri> {
    let kept: Vec<_> = parameters(uri).filter(|pair| parameter_value(pair, name).is_none()).collect();
    (kept.len() < parameters(uri).count()).then(|| with_query(uri, &kept.join("&")))
}

fn with_query(uri: &Uri, query: &str) -> Uri {
    let mut changed = uri.clone().into_parts();
    let target = if query.is_empty() { uri.path().to_owned() } else { format!("{}?{query}", uri.path()) };
    // A part of a valid query is valid; were it not, no query is passed on rather than the key.
    changed.path_and_query = PathAndQuery::try_from(target).ok().or_else(|| PathAndQuery::try_from(uri.path()).ok());
    Uri::from_parts(changed).unwrap_or_default()
}

#[cfg(test)]
mod tests;
