//! `POST /{id}/rotate` and `/regenerate`: makes the successor of a key.

use std::time::Duration;

use axum::body::Body;

use super::desk::{Desk, Order};
use super::precondition::IfMatch;
use super::{body, refusal, values};
use crate::rejection::Rejection;
use crate::source::{IssuedKey, KeyRotation, KeySuccession};

/// How long both keys work when nothing is said about it.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) async fn make(desk: &Desk, order: &Order, body: Body, usual: Duration) -> Result<IssuedKey, Rejection> {
    let overlap = match body::optional(&order.parts, body).await? {
        None => None,
        Some(mut fields) => {
            let overlap = fields.optional("overlapSeconds", values::seconds);
            fields.finish()?;
            overlap
        }
    };
    let key = desk.find(order).await?;
    // The answer has a secret in it, as good as the key's own, which the caller need not have.
    if !order.mandate.grant().covers(&key, &order.caller.rules.hierarchy, &desk.environment) {
        return Err(Rejection::forbidden());
    }
    let mut rotation = KeyRotation::overlap(overlap.unwrap_or(usual));
    // What is judged here is what is rotated, whatever becomes of the key meanwhile.
    rotation.expected_version = Some(key.version);
    let tagged = IfMatch::of(&order.parts.headers).expects(key.version)?.is_some();
    match desk.ask(desk.store.rotate(&key.id, rotation)).await? {
        KeySuccession::Rotated { successor, predecessor } => {
            order.changed(&predecessor);
            Ok(successor)
        }
        KeySuccession::Outdated if tagged => Err(refusal::outdated()),
        KeySuccession::Outdated => Err(refusal::conflict("The API key was changed at the same time")),
        KeySuccession::Conflict(_) => Err(refusal::conflict("Only an active API key can have a successor")),
        KeySuccession::Absent => Err(refusal::no_such_key()),
    }
}
