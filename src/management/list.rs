//! `GET /`: lists keys.

use axum::extract::Query;
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

use super::answer;
use super::desk::{Desk, Order};
use super::fields::Fields;
use super::{refusal, values};
use crate::key::KeyObject;
use crate::rejection::Rejection;
use crate::source::KeyFilter;

/// How many keys a page can have.
const MOST: usize = 100;

pub(super) async fn answer(desk: &Desk, order: &Order) -> Result<Response, Rejection> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Page<'a> {
        items: Vec<KeyObject<'a>>,
        next_cursor: Option<String>,
    }
    let mut filter = read(&order.parts.uri)?;
    let reach = order.mandate.reach();
    reach.narrow(&mut filter);
    let page = desk.ask(desk.store.list(&filter)).await?;
    let now = desk.clock.now();
    // Looked at again here, so that no store can show what is out of reach.
    let within = page.items.iter().filter(|key| reach.holds(&key.owner));
    let items = within.map(|key| KeyObject::new(key, now)).collect();
    answer::json(StatusCode::OK, &Page { items, next_cursor: page.next_cursor.map(|cursor| cursor.to_string()) })
}

fn read(uri: &Uri) -> Result<KeyFilter, Rejection> {
    let query = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(parameters) = query.map_err(|_| refusal::malformed("The query could not be read"))?;
    let mut fields = Fields::of_query(parameters);
    let mut filter = KeyFilter::default();
    filter.limit = fields.optional("limit", values::number_up_to(MOST)).unwrap_or(filter.limit);
    filter.cursor = fields.optional("cursor", values::parsed);
    filter.text = fields.optional("q", values::search).filter(|text| !text.is_empty());
    filter.state = fields.optional("state", values::state);
    filter.scope = fields.optional("scope", values::parsed);
    fields.finish()?;
    Ok(filter)
}
