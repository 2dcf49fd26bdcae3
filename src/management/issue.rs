//! `POST /`: makes a key.

use axum::body::Body;

use super::desk::{Desk, Order};
use super::fields::Fields;
use super::{body, refusal, values};
use crate::clock::Timestamp;
use crate::rejection::Rejection;
use crate::source::{IssuedKey, NewKey};

pub(super) async fn make(desk: &Desk, order: &Order, body: Body) -> Result<IssuedKey, Rejection> {
    let fields = body::required(&order.parts, body).await?;
    let asked = read(fields, desk.clock.now(), desk.choice_of_days.as_deref())?;
    let hierarchy = &order.caller.rules.hierarchy;
    let mut key = order.mandate.grant().confine(asked, hierarchy, &desk.environment)?;
    key.owner = order.mandate.new_owner().clone();
    if let Err(refused) = desk.store.life().end(key.expires_at, desk.clock.now()) {
        return Err(refusal::life("expiresAt", refused));
    }
    let issued = match &desk.single {
        None => desk.ask(desk.store.issue(key)).await?,
        Some(single) => single.issue(desk, key).await?,
    };
    order.changed(&issued.record);
    Ok(issued)
}

fn read(mut fields: Fields, now: Timestamp, choice: Option<&[u32]>) -> Result<NewKey, Rejection> {
    if fields.has("expiresInDays") && fields.has("expiresAt") {
        fields.refuse("expiresInDays", "cannot stand beside expiresAt");
        fields.refuse("expiresAt", "cannot stand beside expiresInDays");
    }
    let mut key = NewKey::named(fields.required("name", values::name));
    key.scopes = fields.optional("scopes", values::scopes).unwrap_or_default();
    key.environment = fields.optional("environment", values::parsed);
    let after_days = fields.optional("expiresInDays", values::days_after(now, choice));
    key.expires_at = fields.optional("expiresAt", values::instant_after(now)).or(after_days);
    key.allowed_ips = fields.optional("allowedIps", values::addresses);
    key.allowed_origins = fields.optional("allowedOrigins", values::origins);
    key.rate_limits = fields.optional("rateLimits", values::quotas).unwrap_or_default();
    key.metadata = fields.optional("metadata", values::metadata).unwrap_or_default();
    fields.finish()?;
    Ok(key)
}
