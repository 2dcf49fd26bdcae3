//! Where keys travel, and how they are taken out of a request.
//!
//! | sent | is |
//! | --- | --- |
//! | no header, an empty one, or an `Authorization` of another scheme | nothing presented |
//! | one key, in one place or the same in several | that key |
//! | different keys, one header twice, or a list with commas | ambiguous: refused, never sorted out by luck |
//! | anything that no key can be | malformed: refused as an unknown key is |

use std::borrow::Cow;
use std::fmt;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use percent_encoding::percent_decode;

use crate::error::ConfigError;
use crate::fields::{self, Found, Glance};
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

/// What a request brings along. Read where it stands, until it has to be waited for.
#[derive(Debug)]
pub(crate) enum Presented<'a> {
    Nothing,
    Key(KeyText<'a>),
    /// A key that stands in a cookie alone, so that a browser sends it along whichever site asks it to.
    KeyInCookie(KeyText<'a>),
    Malformed,
    Ambiguous,
}

/// The text of a key, in the request or apart from it.
pub(crate) enum KeyText<'a> {
    InPlace(&'a str),
    Apart(Box<PresentedKey>),
}

impl Presented<'_> {
    /// The same apart from the request, so that it can be kept.
    pub(crate) fn into_owned(self) -> Presented<'static> {
        match self {
            Self::Nothing => Presented::Nothing,
            Self::Malformed => Presented::Malformed,
            Self::Ambiguous => Presented::Ambiguous,
            Self::Key(key) => key.into_owned().map_or(Presented::Malformed, Presented::Key),
            Self::KeyInCookie(key) => key.into_owned().map_or(Presented::Malformed, Presented::KeyInCookie),
        }
    }
}

impl<'a> KeyText<'a> {
    fn new(text: Cow<'a, [u8]>) -> Option<Self> {
        match text {
            Cow::Borrowed(text) => PresentedKey::readable(text).map(Self::InPlace),
            Cow::Owned(text) => PresentedKey::new(&text).map(Box::new).map(Self::Apart),
        }
    }

    pub(crate) fn expose_secret(&self) -> &str {
        match self {
            Self::InPlace(text) => text,
            Self::Apart(key) => key.expose_secret(),
        }
    }

    fn into_owned(self) -> Option<KeyText<'static>> {
        Some(KeyText::Apart(match self {
            Self::InPlace(text) => Box::new(PresentedKey::new(text.as_bytes())?),
            Self::Apart(key) => key,
        }))
    }
}

impl fmt::Debug for KeyText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// Every place that a layer looks at, checked and in order.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    places: Vec<Checked>,
    /// Whether one of the places is a cookie, and one the subprotocols of a handshake.
    cookies: bool,
    subprotocols: bool,
    /// Tokens of users travel as Bearer as well: what is written as one is no key.
    shares_bearer: bool,
}

#[derive(Debug, Clone)]
enum Checked {
    Header(HeaderName),
    Scheme(String),
    Cookie(String),
    Subprotocol,
    Query(String),
}

/// A place where keys are read, for those who describe it.
#[cfg(feature = "openapi")]
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way<'a> {
    /// A header of this name, in lower case.
    Header(&'a str),
    /// This scheme of `Authorization`.
    Scheme(&'a str),
    /// A cookie of this name.
    Cookie(&'a str),
    /// The subprotocols of a WebSocket handshake.
    Subprotocol,
    /// A parameter of this name in the query.
    Query(&'a str),
}

/// `X-API-Key`, and `Authorization: Bearer`.
impl Default for Credentials {
    fn default() -> Self {
        Self::of(vec![Checked::Header(HeaderName::from_static("x-api-key")), Checked::Scheme("Bearer".to_owned())])
    }
}

impl Credentials {
    pub(crate) fn new(locations: &[CredentialLocation]) -> Result<Self, ConfigError> {
        if locations.is_empty() {
            return Err(ConfigError::new("credentials", "an empty list lets nobody present a key"));
        }
        locations.iter().map(check).collect::<Result<_, _>>().map(Self::of)
    }

    fn of(places: Vec<Checked>) -> Self {
        let cookies = places.iter().any(|place| matches!(place, Checked::Cookie(_)));
        let subprotocols = places.iter().any(|place| matches!(place, Checked::Subprotocol));
        Self { places, cookies, subprotocols, shares_bearer: false }
    }

    /// Whether keys travel as Bearer.
    pub(crate) fn reads_bearer(&self) -> bool {
        self.places
            .iter()
            .any(|place| matches!(place, Checked::Scheme(scheme) if scheme.eq_ignore_ascii_case("Bearer")))
    }

    /// Every place where keys are read, in order.
    #[cfg(feature = "openapi")]
    pub(crate) fn ways(&self) -> impl Iterator<Item = Way<'_>> {
        self.places.iter().map(|place| match place {
            Checked::Header(name) => Way::Header(name.as_str()),
            Checked::Scheme(scheme) => Way::Scheme(scheme),
            Checked::Cookie(name) => Way::Cookie(name),
            Checked::Subprotocol => Way::Subprotocol,
            Checked::Query(name) => Way::Query(name),
        })
    }

    /// Whether keys travel in cookies.
    pub(crate) const fn reads_cookies(&self) -> bool {
        self.cookies
    }

    /// Leaves what is written as a token to those who read tokens.
    pub(crate) fn share_bearer(&mut self) {
        self.shares_bearer = true;
    }

    /// What the request brings along. Only reads it.
    pub(crate) fn read<'a>(&self, parts: &'a Parts, glance: Glance) -> Presented<'a> {
        let mut first: Option<Cow<'a, [u8]>> = None;
        let mut in_cookie_alone = true;
        for place in self.places.iter().filter(|place| !place.is_missing(glance)) {
            let found = match place.find(parts) {
                Found::Text(text) if self.shares_bearer && place.is_authorization() && fields::is_token(&text) => {
                    Found::Nothing
                }
                found => found,
            };
            match (&found, &first) {
                (Found::Nothing, _) => continue,
                (Found::Several, _) => return Presented::Ambiguous,
                (Found::Text(text), Some(other)) if text != other => return Presented::Ambiguous,
                (Found::Text(_), _) => {}
            }
            in_cookie_alone &= matches!(place, Checked::Cookie(_));
            if let Found::Text(text) = found {
                first = Some(text);
            }
        }
        let Some(text) = first else { return Presented::Nothing };
        match KeyText::new(text) {
            None => Presented::Malformed,
            Some(key) if in_cookie_alone => Presented::KeyInCookie(key),
            Some(key) => Presented::Key(key),
        }
    }

    /// Takes out all that [`read`](Self::read) looks at, and leaves the rest as it was.
    pub(crate) fn strip(&self, parts: &mut Parts, glance: Glance) {
        for place in self.places.iter().filter(|place| !place.is_missing(glance)) {
            place.strip(parts);
        }
    }

    /// The first subprotocol that is none of ours, for a handshake that brings a key among its subprotocols.
    pub(crate) fn real_subprotocol(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if !self.subprotocols || !subprotocols(headers).any(|protocol| subprotocol_key(protocol).is_some()) {
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
            fields::mark_sensitive(headers, name);
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
    const fn is_authorization(&self) -> bool {
        matches!(self, Self::Scheme(_))
    }

    /// Whether a request has not even the field that this is a part of.
    const fn is_missing(&self, glance: Glance) -> bool {
        match self {
            Self::Scheme(_) => !glance.authorization,
            Self::Cookie(_) => !glance.cookie,
            Self::Header(_) | Self::Subprotocol | Self::Query(_) => false,
        }
    }

    fn find<'a>(&self, parts: &'a Parts) -> Found<'a> {
        match self {
            Self::Header(name) => one_of(fields::values(&parts.headers, name)),
            Self::Scheme(scheme) => fields::authorization(&parts.headers, scheme),
            Self::Cookie(name) => {
                let named = |(cookie, value)| (cookie == name.as_bytes()).then_some(value);
                only(fields::cookies(&parts.headers).filter_map(named))
            }
            Self::Subprotocol => only(subprotocols(&parts.headers).filter_map(subprotocol_key)),
            Self::Query(name) => only_decoded(parameters(&parts.uri).filter_map(|pair| parameter_value(pair, name))),
        }
    }

    fn strip(&self, parts: &mut Parts) {
        match self {
            Self::Header(name) => {
                parts.headers.remove(name);
            }
            Self::Scheme(scheme) => fields::strip_authorization(&mut parts.headers, scheme),
            Self::Cookie(name) => fields::strip_cookies(&mut parts.headers, |cookie| cookie == name.as_bytes()),
            Self::Subprotocol => {
                if subprotocols(&parts.headers).any(|protocol| subprotocol_key(protocol).is_some()) {
                    let kept = subprotocols(&parts.headers).filter(|protocol| subprotocol_key(protocol).is_none());
                    let kept = kept.collect::<Vec<_>>().join(&b", "[..]);
                    fields::replace(&mut parts.headers, SEC_WEBSOCKET_PROTOCOL, &kept);
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
fn one_of<'a>(values: impl Iterator<Item = &'a HeaderValue>) -> Found<'a> {
    let (mut count, mut filled) = (0, None);
    for value in values {
        count += 1;
        filled = filled.or_else(|| Some(value.as_bytes().trim_ascii()).filter(|value| !value.is_empty()));
    }
    let Some(value) = filled else {
        return Found::Nothing;
    };
    // Keys are so short that all of it is looked at in less time than a search takes to begin.
    let is_list = value.iter().fold(false, |any, byte| any | (*byte == b','));
    if is_list || count > 1 {
        return Found::Several;
    }
    Found::Text(Cow::Borrowed(value))
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
