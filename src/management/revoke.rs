//! `POST /{id}/revoke` and `DELETE /{id}`: refuses a key from now on, for good.

use axum::body::Body;
use axum::response::Response;

use super::desk::{Desk, Order};
use super::precondition::IfMatch;
use super::{answer, body, refusal, values};
use crate::rejection::Rejection;

pub(super) async fn answer(desk: &Desk, order: &Order, body: Body) -> Result<Response, Rejection> {
    let reason = match body::optional(&order.parts, body).await? {
        None => None,
        Some(mut fields) => {
            let reason = fields.optional("reason", values::reason).flatten();
            fields.finish()?;
            reason
        }
    };
    let key = desk.find(order).await?;
    IfMatch::of(&order.parts.headers).expects(key.version)?;
    let revoked = desk.ask(desk.store.revoke(&key.id, reason)).await?;
    let revoked = revoked.ok_or_else(refusal::no_such_key)?;
    order.changed(&revoked);
    answer::key(&revoked, desk.clock.now())
}
