//! `GET /{id}/usage`: reads what a key was used.

use std::net::IpAddr;

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;

use super::answer;
use super::desk::{Desk, Order};
use crate::clock::Timestamp;
use crate::rejection::Rejection;

pub(super) async fn answer(desk: &Desk, order: &Order) -> Result<Response, Rejection> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Usage {
        use_count: u64,
        last_used_at: Option<Timestamp>,
        last_used_ip: Option<IpAddr>,
    }
    let key = desk.find(order).await?;
    let usage = Usage { use_count: key.use_count, last_used_at: key.last_used_at, last_used_ip: key.last_used_ip };
    answer::json(StatusCode::OK, &usage)
}
