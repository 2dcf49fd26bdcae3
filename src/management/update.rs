//! `PATCH /{id}`: changes a key.

use axum::body::Body;
use axum::response::Response;
use serde_json::Value;

use super::desk::{Desk, Order};
use super::fields::Fields;
use super::precondition::IfMatch;
use super::{answer, body, refusal, values};
use crate::clock::Timestamp;
use crate::key::KeyRef;
use crate::rejection::Rejection;
use crate::source::{KeyChange, KeyUpdate, NewKey};

pub(super) async fn answer(desk: &Desk, order: &Order, body: Body) -> Result<Response, Rejection> {
    // Read before the key is looked for, so that the answer to a bad body does not tell whether there is one.
    let mut change = read(body::required(&order.parts, body).await?, desk.clock.now())?;
    let key = desk.find(order).await?;
    change.expected_version = IfMatch::of(&order.parts.headers).expects(key.version)?;
    let Some(change) = confined(change, desk, order)? else {
        return answer::key(&key, desk.clock.now());
    };
    let update = match &desk.single {
        None => desk.ask(desk.store.update(&key.id, change)).await?,
        Some(single) => single.update(desk, &key, change).await?,
    };
    let changed = changed(update)?;
    order.changed(&changed);
    answer::key(&changed, desk.clock.now())
}

/// The record, if it was changed.
pub(super) fn changed(update: KeyUpdate) -> Result<KeyRef, Rejection> {
    match update {
        KeyUpdate::Changed(key) => Ok(key),
        KeyUpdate::Outdated => Err(refusal::outdated()),
        KeyUpdate::Conflict(_) => Err(refusal::conflict("The API key is revoked, or about to end")),
        KeyUpdate::Refused(refused) => Err(refusal::life("expiresAt", refused)),
        KeyUpdate::Absent => Err(refusal::no_such_key()),
    }
}

fn read(mut fields: Fields, now: Timestamp) -> Result<KeyChange, Rejection> {
    let mut change = KeyChange::new();
    change.name = fields.names("name").then(|| fields.required("name", values::name));
    change.scopes = named(&mut fields, "scopes", values::scopes).map(Option::unwrap_or_default);
    change.allowed_ips = named(&mut fields, "allowedIps", values::addresses);
    change.allowed_origins = named(&mut fields, "allowedOrigins", values::origins);
    change.rate_limits = named(&mut fields, "rateLimits", values::quotas).map(Option::unwrap_or_default);
    change.expires_at = named(&mut fields, "expiresAt", values::instant_after(now));
    change.metadata = named(&mut fields, "metadata", values::metadata).map(Option::unwrap_or_default);
    fields.finish()?;
    Ok(change)
}

/// A field that stands in the body, be it null.
fn named<T>(fields: &mut Fields, name: &str, read: impl FnOnce(Value) -> Result<T, String>) -> Option<Option<T>> {
    fields.names(name).then(|| fields.optional(name, read))
}

/// The change within what the caller may give: what is taken away falls back to the caller's own bounds. `None` if there
/// is nothing to change.
fn confined(mut change: KeyChange, desk: &Desk, order: &Order) -> Result<Option<KeyChange>, Rejection> {
    let mut asked = NewKey::named("");
    asked.scopes = change.scopes.clone().unwrap_or_default();
    asked.allowed_ips = change.allowed_ips.clone().flatten();
    asked.allowed_origins = change.allowed_origins.clone().flatten();
    asked.rate_limits = change.rate_limits.clone().unwrap_or_default();
    asked.expires_at = change.expires_at.flatten();
    let powers = change.scopes.is_some() || change.rate_limits.is_some() || change.expires_at.is_some();
    let powers = powers || change.allowed_ips.is_some() || change.allowed_origins.is_some();
    if powers {
        let given = order.mandate.grant().confine(asked, &order.caller.rules.hierarchy, &desk.environment)?;
        change.allowed_ips = change.allowed_ips.map(|_| given.allowed_ips);
        change.allowed_origins = change.allowed_origins.map(|_| given.allowed_origins);
        change.rate_limits = change.rate_limits.map(|_| given.rate_limits);
        change.expires_at = change.expires_at.map(|_| given.expires_at);
    }
    let any = powers || change.name.is_some() || change.metadata.is_some();
    Ok(any.then_some(change))
}
