//! What a field may hold.

use std::str::FromStr;

use http::Uri;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{KeyState, ScopeSet};
use crate::limit::Quota;

type Read<T> = Result<T, String>;

/// How many entries a list may have.
const MOST_ENTRIES: usize = 100;
/// How many bytes metadata may have as JSON.
const MOST_METADATA: usize = 8 * 1024;

/// Trimmed, 1 to 100 characters, none of them a control character.
pub(super) fn name(value: Value) -> Read<String> {
    let name = text(value)?.trim().to_owned();
    match name.chars().count() {
        0 => Err("must not be empty".to_owned()),
        101.. => Err("must have at most 100 characters".to_owned()),
        _ => without_control_characters(name),
    }
}

/// A short text, `None` if there is nothing in it.
pub(super) fn reason(value: Value) -> Read<Option<String>> {
    let reason = text(value)?.trim().to_owned();
    match reason.chars().count() {
        0 => Ok(None),
        201.. => Err("must have at most 200 characters".to_owned()),
        _ => without_control_characters(reason).map(Some),
    }
}

/// What to look for: at most 100 characters.
pub(super) fn search(value: Value) -> Read<String> {
    let search = text(value)?;
    if search.chars().count() > 100 { Err("must have at most 100 characters".to_owned()) } else { Ok(search) }
}

/// The text of a type that has one: a scope, an environment, a cursor.
pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(value: Value) -> Read<T> {
    text(value)?.parse().map_err(|error: T::Err| error.to_string())
}

/// The text of a whole number from 1 to `most`.
pub(super) fn number_up_to(most: usize) -> impl FnOnce(Value) -> Read<usize> {
    move |value| {
        let text = text(value)?;
        let number = text.parse().ok().filter(|number| (1..=most).contains(number));
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        number.filter(|_| digits).ok_or_else(|| format!("must be a whole number from 1 to {most}"))
    }
}

pub(super) fn state(value: Value) -> Read<KeyState> {
    let text = text(value)?;
    let state = KeyState::deserialize(IntoDeserializer::<serde::de::value::Error>::into_deserializer(text.as_str()));
    state.map_err(|_| "must be active, disabled, overlap, expired or revoked".to_owned())
}

pub(super) fn scopes(value: Value) -> Read<ScopeSet> {
    list(value, parsed)
}

/// A number of seconds, up to a hundred years.
pub(super) fn seconds(value: Value) -> Read<std::time::Duration> {
    const MOST: u64 = 36_500 * 86_400;
    match value.as_u64() {
        Some(seconds @ 0..=MOST) => Ok(std::time::Duration::from_secs(seconds)),
        _ => Err(format!("must be a whole number from 0 to {MOST}")),
    }
}

/// A number of days, as the instant they end.
pub(super) fn days_after(now: Timestamp) -> impl FnOnce(Value) -> Read<Timestamp> {
    move |value| match value.as_u64() {
        Some(days @ 1..=36_500) => Ok(now.saturating_add(std::time::Duration::from_secs(days * 86_400))),
        _ => Err("must be a whole number from 1 to 36500".to_owned()),
    }
}

pub(super) fn instant_after(now: Timestamp) -> impl FnOnce(Value) -> Read<Timestamp> {
    move |value| match parsed(value)? {
        instant if instant > now => Ok(instant),
        _ => Err("must be in the future".to_owned()),
    }
}

pub(super) fn addresses(value: Value) -> Read<IpBlocks> {
    let entries: Vec<Value> = at_least_one(list(value, Ok)?)?;
    IpBlocks::deserialize(Value::Array(entries)).map_err(|error| error.to_string())
}

pub(super) fn origins(value: Value) -> Read<Vec<String>> {
    at_least_one(list(value, origin)?)
}

pub(super) fn quotas(value: Value) -> Read<Vec<Quota>> {
    list(value, |quota| Quota::deserialize(quota).map_err(|error| error.to_string()))
}

pub(super) fn metadata(value: Value) -> Read<Map<String, Value>> {
    let Value::Object(metadata) = value else {
        return Err("must be an object".to_owned());
    };
    match serde_json::to_vec(&metadata) {
        Ok(text) if text.len() <= MOST_METADATA => Ok(metadata),
        _ => Err("must have at most 8 KiB".to_owned()),
    }
}

/// An origin as browsers write it (RFC 6454 §6.2): other spellings of it would never match.
fn origin(value: Value) -> Read<String> {
    let text = text(value)?;
    let wrong = || "must be origins such as https://app.example.com".to_owned();
    let (scheme, host) = text.split_once("://").ok_or_else(wrong)?;
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let written = uri.scheme_str() == Some(scheme) && uri.authority().is_some_and(|authority| authority == host);
    let default_port = matches!((scheme, uri.port_u16()), ("https", Some(443)) | ("http", Some(80)));
    let usual = text.bytes().all(|byte| !byte.is_ascii_uppercase() && byte != b'@') && !host.ends_with(':');
    if written && usual && !default_port && text.len() <= 255 { Ok(text) } else { Err(wrong()) }
}

fn text(value: Value) -> Read<String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err("must be a text".to_owned()),
    }
}

fn without_control_characters(text: String) -> Read<String> {
    if text.chars().any(char::is_control) { Err("must have no control characters".to_owned()) } else { Ok(text) }
}

fn list<T, C: FromIterator<T>>(value: Value, read: impl Fn(Value) -> Read<T>) -> Read<C> {
    match value {
        Value::Array(entries) if entries.len() <= MOST_ENTRIES => entries.into_iter().map(read).collect(),
        Value::Array(_) => Err(format!("must have at most {MOST_ENTRIES} entries")),
        _ => Err("must be a list".to_owned()),
    }
}

/// An empty list of what is allowed would mean nothing, and be taken for everything.
fn at_least_one<T>(entries: Vec<T>) -> Read<Vec<T>> {
    if entries.is_empty() { Err("must have an entry; leave it out to allow all".to_owned()) } else { Ok(entries) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_origin_is_as_browsers_write_it() {
        for good in ["https://app.example.com", "http://localhost:3000", "chrome-extension://abc", "http://[::1]:8080"]
        {
            assert_eq!(origin(json!(good)).as_deref(), Ok(good));
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://app.example.com/a",
            "https://app.example.com?a",
            "https://App.example.com",
            "HTTPS://app.example.com",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://app.example.com:",
            "https://user@app.example.com",
            "https://a b",
            "https://a\r\nb",
        ] {
            assert!(origin(json!(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_trimmed_and_short_and_has_no_control_characters() {
        assert_eq!(name(json!("  ci  ")).as_deref(), Ok("ci"));
        assert_eq!(name(json!("ü".repeat(100))).map(|name| name.chars().count()), Ok(100));
        for bad in [json!(""), json!("   "), json!("a\nb"), json!("a\u{85}b"), json!("a".repeat(101)), json!(1)] {
            assert!(name(bad.clone()).is_err(), "{bad}");
        }
    }
}
