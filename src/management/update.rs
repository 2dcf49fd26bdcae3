//! `PATCH /{id}`: changes a key.

use axum::body::Body;
use axum::response::Response;

use super::desk::{Desk, Order};
use super::precondition::IfMatch;
use super::{answer, body, refusal, values};
use crate::rejection::Rejection;
use crate::source::{KeyChange, KeyUpdate};

pub(super) async fn answer(desk: &Desk, order: &Order, body: Body) -> Result<Response, Rejection> {
    // Read before the key is looked for, so that the answer to a bad body does not tell whether there is one.
    let mut fields = body::required(&order.parts, body).await?;
    let name = fields.names("name").then(|| fields.required("name", values::name));
    fields.finish()?;
    let key = desk.find(order).await?;
    let expected = IfMatch::of(&order.parts.headers).expects(key.version)?;
    let Some(name) = name else {
        return answer::key(&key, desk.clock.now());
    };
    let mut change = KeyChange::rename(name);
    change.expected_version = expected;
    match desk.ask(desk.store.update(&key.id, change)).await? {
        KeyUpdate::Changed(key) => answer::key(&key, desk.clock.now()),
        KeyUpdate::Outdated => Err(refusal::outdated()),
        KeyUpdate::Conflict(_) => Err(refusal::conflict("The API key is revoked, or about to end")),
        KeyUpdate::Refused(refusal) => Err(refusal::life("expiresAt", refusal)),
        KeyUpdate::Absent => Err(refusal::no_such_key()),
    }
}
