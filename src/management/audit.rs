//! `GET /audit`: reads what was attempted, and what was done to keys.

use axum::extract::Query;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

use super::desk::{Desk, Order};
use super::fields::Fields;
use super::{answer, refusal, values};
use crate::audit::{AuditEvent, AuditFilter};
use crate::rejection::Rejection;

/// How many events a page can have.
const MOST: usize = 100;

pub(super) async fn answer(desk: &Desk, order: &Order) -> Result<Response, Rejection> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        items: Vec<&'a AuditEvent>,
        next_cursor: Option<String>,
    }
    let trail = desk.trail.as_ref().ok_or_else(refusal::no_such_call)?;
    let mut filter = read(&order.parts.uri)?;
    let reach = order.mandate.reach();
    reach.narrow_events(&mut filter);
    let page = desk.ask(Box::pin(trail.events(&filter))).await?;
    // Looked at again here, so that no store can show what is out of reach.
    let items = page.items.iter().filter(|event| reach.holds(&event.owner)).collect();
    answer::json(StatusCode::OK, &Page { items, next_cursor: page.next_cursor.map(|cursor| cursor.to_string()) })
}

fn read(uri: &Uri) -> Result<AuditFilter, Rejection> {
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(parameters) = query.map_err(|_| refusal::malformed("The query could not be read"))?;
    let mut fields = Fields::of_query(parameters);
    let mut filter = AuditFilter::default();
    filter.limit = fields.optional("limit", values::number_up_to(MOST)).unwrap_or(filter.limit);
    filter.cursor = fields.optional("cursor", values::parsed);
    filter.text = fields.optional("q", values::search).filter(|text| !text.is_empty());
    filter.key_id = fields.optional("keyId", values::parsed);
    filter.action = fields.optional("action", values::parsed);
    filter.outcome = fields.optional("outcome", values::parsed);
    fields.finish()?;
    Ok(filter)
}
