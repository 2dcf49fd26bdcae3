//! What a field may hold.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{KeyState, ScopeSet, is_web_origin};
use crate::limit::Quota;

type Read<T> = Result<T, String>;

/// How many entries a list may have.
const MOST_ENTRIES: usize = 100;
/// How many bytes metadata may have as JSON.
const MOST_METADATA: usize = 8 * 1024;

/// The longest life in days, a hundred years.
pub(super) const MOST_DAYS: u32 = 36_500;

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

/// A number of days, as the instant they end: one of those that there are to choose from, if there is a choice.
pub(super) fn days_after(now: Timestamp, choice: Option<&[u32]>) -> impl FnOnce(Value) -> Read<Timestamp> {
    move |value| {
        let days = value.as_u64().and_then(|days| u32::try_from(days).ok());
        match (days.filter(|days| (1..=MOST_DAYS).contains(days)), choice) {
            (Some(days), None) => Ok(end_of(days, now)),
            (Some(days), Some(choice)) if choice.contains(&days) => Ok(end_of(days, now)),
            (_, None) => Err(format!("must be a whole number from 1 to {MOST_DAYS}")),
            (_, Some([])) => Err("cannot be given; say expiresAt".to_owned()),
            (_, Some(choice)) => {
                let choice: Vec<_> = choice.iter().map(u32::to_string).collect();
                Err(format!("must be one of {}", choice.join(", ")))
            }
        }
    }
}

fn end_of(days: u32, now: Timestamp) -> Timestamp {
    now.saturating_add(std::time::Duration::from_secs(u64::from(days) * 86_400))
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

fn origin(value: Value) -> Read<String> {
    let text = text(value)?;
    let wrong = "must be origins such as https://app.example.com";
    if is_web_origin(&text) { Ok(text) } else { Err(wrong.to_owned()) }
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
    fn a_name_is_trimmed_and_short_and_has_no_control_characters() {
        assert_eq!(name(json!("  ci  ")).as_deref(), Ok("ci"));
        assert_eq!(name(json!("ü".repeat(100))).map(|name| name.chars().count()), Ok(100));
        for bad in [json!(""), json!("   "), json!("a\nb"), json!("a\u{85}b"), json!("a".repeat(101)), json!(1)] {
            assert!(name(bad.clone()).is_err(), "{bad}");
        }
    }
}
