//! How credentials stand in header fields: read without copying, and taken out without touching the rest.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, GetAll, HeaderName, HeaderValue, ORIGIN};

/// Which of the fields that a gate asks every request for there are at all.
///
/// A request has few fields, and is asked for more than it has: one look at all names costs less than a search for each.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Glance {
    pub(crate) authorization: bool,
    pub(crate) content_type: bool,
    pub(crate) cookie: bool,
    pub(crate) origin: bool,
    pub(crate) request_id: bool,
}

impl Glance {
    pub(crate) fn at(headers: &HeaderMap) -> Self {
        let mut glance = Self::default();
        for name in headers.keys() {
            glance.authorization |= *name == AUTHORIZATION;
            glance.content_type |= *name == CONTENT_TYPE;
            glance.cookie |= *name == COOKIE;
            glance.origin |= *name == ORIGIN;
            glance.request_id |= *name == X_REQUEST_ID;
        }
        glance
    }
}

/// `X-Request-Id`.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The values of a field. A request has few fields: going through them costs less than computing the hash of a name.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.iter().filter(move |(other, _)| *other == name).map(|(_, value)| value)
}

/// What stands in one place.
pub(crate) enum Found<'a> {
    Nothing,
    Text(Cow<'a, [u8]>),
    Several,
}

/// The one token that was sent under `scheme`.
pub(crate) fn authorization<'a>(headers: &'a HeaderMap, scheme: &str) -> Found<'a> {
    let values = headers.get_all(AUTHORIZATION);
    let mut tokens = values.iter().filter_map(|value| after_scheme(value.as_bytes(), scheme));
    let Some(token) = tokens.find(|token| !token.is_empty()) else {
        return Found::Nothing;
    };
    if values.iter().nth(1).is_some() || token.contains(&b',') {
        return Found::Several;
    }
    Found::Text(Cow::Borrowed(token))
}

/// Takes out the authorization, if it is of this scheme.
pub(crate) fn strip_authorization(headers: &mut HeaderMap, scheme: &str) {
    if headers.get_all(AUTHORIZATION).iter().any(|value| after_scheme(value.as_bytes(), scheme).is_some()) {
        headers.remove(AUTHORIZATION);
    }
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

/// Whether a text is written as the compact form of a JWS or a JWE is: three or five parts in base64url, of which the
/// first is a JSON object (RFC 7515 §7.1, RFC 7516 §7.1).
pub(crate) fn is_token(text: &[u8]) -> bool {
    let in_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let dots = text.iter().filter(|byte| **byte == b'.').count();
    text.starts_with(b"ey") && matches!(dots, 2 | 4) && text.iter().all(in_base64url)
}

/// The cookies of all `Cookie` fields (RFC 6265 §4.2.1), each as its name and its value.
pub(crate) fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    cookie_pairs(headers.get_all(COOKIE)).filter_map(split_pair)
}

/// Takes out the cookies whose names are meant.
pub(crate) fn strip_cookies(headers: &mut HeaderMap, is_meant: impl Fn(&[u8]) -> bool) {
    if !cookies(headers).any(|(name, _)| is_meant(name)) {
        return;
    }
    let stays = |pair: &&[u8]| split_pair(pair).is_none_or(|(name, _)| !is_meant(name));
    let kept = cookie_pairs(headers.get_all(COOKIE)).filter(stays).collect::<Vec<_>>().join(&b"; "[..]);
    replace(headers, COOKIE, &kept);
}

fn cookie_pairs(lines: GetAll<'_, HeaderValue>) -> impl Iterator<Item = &[u8]> {
    let lines = lines.into_iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b';')).map(<[u8]>::trim_ascii).filter(|p| !p.is_empty())
}

fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    Some((pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii()))
}

/// Puts what is left into a field, or takes the field out if nothing is.
pub(crate) fn replace(headers: &mut HeaderMap, name: HeaderName, kept: &[u8]) {
    match HeaderValue::from_bytes(kept) {
        Ok(value) if !kept.is_empty() => {
            headers.insert(name, value);
        }
        _ => {
            headers.remove(name);
        }
    }
}

/// The value of an `Origin` field that a browser would send (RFC 6454 §6.2): scheme and host, and no path.
pub(crate) fn origin(text: &str) -> Option<HeaderValue> {
    let (_, host) = text.split_once("://")?;
    let shaped = !host.is_empty() && !host.contains('/');
    HeaderValue::try_from(text).ok().filter(|_| shaped)
}

/// Marks a field as one that nothing may print.
pub(crate) fn mark_sensitive(headers: &mut HeaderMap, name: &HeaderName) {
    if let http::header::Entry::Occupied(mut values) = headers.entry(name) {
        values.iter_mut().for_each(|value| value.set_sensitive(true));
    }
}
