//! `POST /{id}/enable` and `/disable`: lets a key in again, or refuses it until then.

use axum::body::Body;
use axum::response::Response;

use super::desk::{Desk, Order};
use super::precondition::IfMatch;
use super::{answer, body, update};
use crate::rejection::Rejection;

pub(super) async fn answer(desk: &Desk, order: &Order, body: Body, enabled: bool) -> Result<Response, Rejection> {
    if let Some(fields) = body::optional(&order.parts, body).await? {
        fields.finish()?;
    }
    let key = desk.find(order).await?;
    IfMatch::of(&order.parts.headers).expects(key.version)?;
    let changed = update::changed(desk.ask(desk.store.set_enabled(&key.id, enabled)).await?)?;
    order.changed(&changed);
    answer::key(&changed, desk.clock.now())
}
