//! Which key is meant, and how a key is shown.

use std::fmt::Display;

use serde::Serialize;
use tower_api_key::key::{KeyId, KeyObject, KeyRef};
use tower_api_key::source::{IssuedKey, KeyFilter, KeySource, KeyStore, KeyUpdate};

use crate::failure::Failure;
use crate::output::{self, Cell, Output, instant, now};
use crate::settings::Settings;
use crate::store::Store;

/// The key of this id, or the only one with this start.
pub(crate) async fn find(store: &Store, settings: &Settings, text: &str) -> Result<KeyRef, Failure> {
    if settings.formats()?.iter().any(|format| format.has_right_checksum(text) == Some(true)) {
        return Err(Failure::usage(
            "this is a key, and not its id: it stands in the history of the shell now, so revoke it, by its id or start",
        ));
    }
    let id = KeyId::new(text).map_err(|error| Failure::usage(error.to_string()))?;
    if let Some(key) = store.get(&id).await? {
        return Ok(key);
    }
    let mut filter = KeyFilter::default();
    filter.text = Some(text.to_owned());
    filter.limit = 100;
    let mut found = Vec::new();
    loop {
        let page = store.list(&filter).await?;
        found.extend(page.items.into_iter().filter(|key| key.start.as_deref() == Some(text)));
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    match found.as_slice() {
        [key] => Ok(key.clone()),
        [] => Err(Failure::refused(format!("there is no key with the id or start {}", output::printable(text)))),
        several => {
            let ids: Vec<_> = several.iter().map(|key| key.id.as_str()).collect();
            Err(Failure::refused(format!("several keys start so: {}", ids.join(", "))))
        }
    }
}

/// The record of a key, by each digest that it may be known by, as the gate looks it up.
pub(crate) async fn known(store: &Store, secret: &str) -> Result<Option<KeyRef>, Failure> {
    for scheme in store.schemes() {
        let Some(digest) = scheme.digest(secret) else { continue };
        // A record with another digest than was asked for is not believed.
        let Some(key) = store.find(&digest).await?.filter(|key| key.digest == digest) else { continue };
        // Sanctum's keys begin with the number of their row.
        let is_number = key.id.as_str().bytes().all(|byte| byte.is_ascii_digit());
        let names_another = scheme.format().named_id(secret).is_some_and(|id| is_number && id != key.id.as_str());
        return Ok((!names_another).then_some(key));
    }
    Ok(None)
}

/// All that is known of a key.
pub(crate) fn show(output: Output, key: &KeyRef) -> Result<(), Failure> {
    if output.json {
        return output.json(&KeyObject::new(key, now()));
    }
    let json = |value: Result<String, serde_json::Error>| Cell::new(value.unwrap_or_default());
    let metadata = if key.metadata.is_empty() { Cell::new("") } else { json(serde_json::to_string(&key.metadata)) };
    output.facts([
        ("Id", Cell::new(&key.id)),
        ("Name", Cell::new(&key.name)),
        ("Key", Cell::new(key.masked())),
        ("State", output::state(key.state(now()))),
        ("Scopes", output::scopes(key)),
        ("Owner", output::owner(&key.owner)),
        ("Environment", Cell::or_none(key.environment.as_ref())),
        ("Realm", Cell::or_none(key.realm.as_ref())),
        ("Made", instant(key.created_at)),
        ("Expires", instant(key.expires_at)),
        ("Revoked", instant(key.revoked_at)),
        ("Reason", Cell::or_none(key.revoked_reason.as_ref())),
        ("Replaces", Cell::or_none(key.replaces.as_ref())),
        ("Replaced by", Cell::or_none(key.rotation.as_ref().map(|rotation| &rotation.replaced_by))),
        ("Last used", instant(key.last_used_at)),
        ("From", Cell::or_none(key.last_used_ip)),
        ("Uses", Cell::new(key.use_count)),
        ("Addresses", Cell::or_none(key.allowed_ips.as_ref())),
        ("Origins", Cell::or_none(key.allowed_origins.as_ref().map(|origins| origins.join(" ")))),
        ("Limits", Cell::new(key.rate_limits.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))),
        ("Plan", Cell::or_none(key.plan.as_ref())),
        ("Metadata", metadata),
    ])
}

/// A key that was just made: the secret alone on the standard output, so that it can be piped on.
pub(crate) fn hand_out(output: Output, issued: &IssuedKey) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Issued<'a> {
        #[serde(flatten)]
        object: KeyObject<'a>,
        key: &'a str,
    }
    let (secret, record) = (issued.secret.expose_secret(), &issued.record);
    let printed = if output.json {
        output.json(&Issued { object: KeyObject::new(record, now()), key: secret })
    } else {
        output.line(secret)
    };
    printed.map_err(|failure| {
        let id = &record.id;
        Failure::Unavailable(format!("the key {id} was made, and could not be printed, so revoke it: {failure}"))
    })?;
    if !output.json {
        let end = record.expires_at.map(|end| format!(", until {}", output::seconds(end))).unwrap_or_default();
        output.note(format_args!(
            "Made {} ({}){end}. The key is shown this once.",
            record.id,
            output::printable(&record.name)
        ));
    }
    Ok(())
}

/// The key as it is now, or why it could not be changed.
pub(crate) fn changed(update: KeyUpdate) -> Result<KeyRef, Failure> {
    match update {
        KeyUpdate::Changed(key) => Ok(key),
        KeyUpdate::Outdated => Err(Failure::refused("the key was changed at the same time")),
        KeyUpdate::Conflict(key) => {
            let state = output::state_name(key.state(now()));
            Err(Failure::refused(format!("{} is {state}, which does not allow this", key.id)))
        }
        KeyUpdate::Refused(refusal) => Err(Failure::refused(refusal.to_string())),
        KeyUpdate::Absent => Err(Failure::refused("the key is gone")),
    }
}

/// What was done to a key: to people in words, to programs as the key.
pub(crate) fn say(output: Output, key: &KeyRef, words: impl Display) -> Result<(), Failure> {
    if output.json {
        return output.json(&KeyObject::new(key, now()));
    }
    output.note(words);
    Ok(())
}
