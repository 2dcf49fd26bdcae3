//! `GET /{id}`: reads a key.

use axum::response::Response;

use super::answer;
use super::desk::{Desk, Order};
use crate::rejection::Rejection;

pub(super) async fn answer(desk: &Desk, order: &Order) -> Result<Response, Rejection> {
    let key = desk.find(order).await?;
    answer::key(&key, desk.clock.now())
}
