//! The bodies of refusals, as the layer writes them, and the shape that they have in common.

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::openapi::{ContentBuilder, Response, ResponseBuilder};

use super::schemas;
use crate::authenticate::Gate;
use crate::fields::Glance;
use crate::rejection::{Audience, Rejection};
use crate::request_id::{RequestId, X_REQUEST_ID};

/// A response for every status that `refusals` have, with an example for every code.
pub(super) fn responses(gate: &Gate, refusals: impl IntoIterator<Item = Rejection>) -> BTreeMap<String, Response> {
    let mut by_status: BTreeMap<StatusCode, Vec<Written>> = BTreeMap::new();
    for refusal in refusals {
        let written = Written::by(gate, refusal);
        by_status.entry(written.status).or_default().push(written);
    }
    by_status.into_iter().map(|(status, written)| (status.as_str().to_owned(), response(status, &written))).collect()
}

/// A refusal as the layer answers it.
struct Written {
    status: StatusCode,
    code: &'static str,
    title: String,
    headers: HeaderMap,
    body: Value,
}

impl Written {
    fn by(gate: &Gate, refusal: Rejection) -> Self {
        let named =
            HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_static("5f2b8c0e9d3a4671b8e2c4d6f0a1937b"))]);
        let id = gate.request_ids.then(|| RequestId::of(&named, Glance::at(&named)));
        let (code, title) = (refusal.code(), refusal.reason().title().to_owned());
        let (parts, body) = gate.renderer.render(refusal, Audience::default(), id.as_ref(), None).into_parts();
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        let body = serde_json::from_slice(&body).unwrap_or_else(|_| text());
        Self { status: parts.status, code, title, headers: parts.headers, body }
    }

    fn content_type(&self) -> &str {
        let kind = self.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        kind.and_then(|kind| kind.split(';').next()).map_or("application/octet-stream", str::trim)
    }
}

fn response(status: StatusCode, written: &[Written]) -> Response {
    let mut content: BTreeMap<&str, Vec<&Written>> = BTreeMap::new();
    for one in written {
        content.entry(one.content_type()).or_default().push(one);
    }
    let told = status.canonical_reason().unwrap_or("Refused");
    let response = content.into_iter().fold(ResponseBuilder::new().description(told), |response, (kind, written)| {
        let examples = written
            .iter()
            .map(|one| (one.code, ExampleBuilder::new().summary(&one.title).value(Some(one.body.clone()))));
        let bodies: Vec<_> = written.iter().map(|one| &one.body).collect();
        let content = ContentBuilder::new().schema(Some(shape("", &bodies))).examples_from_iter(examples).build();
        response.content(kind, content)
    });
    // What every one of them has.
    let told = [
        (header::WWW_AUTHENTICATE, "Where credentials go, and what is wrong with the one that was sent"),
        (header::RETRY_AFTER, "Seconds to wait before trying again"),
        (X_REQUEST_ID, "The id of the request"),
    ];
    let told = told.into_iter().filter(|(name, _)| written.iter().all(|one| one.headers.contains_key(name)));
    told.fold(response, |response, (name, text)| {
        response
            .header(name.as_str(), HeaderBuilder::new().schema(Some(schemas::text())).description(Some(text)).build())
    })
    .build()
}

/// The shape that all of `values` have, those of a property called `name`.
fn shape(name: &str, values: &[&Value]) -> Schema {
    let objects: Option<Vec<_>> = values.iter().map(|value| value.as_object()).collect();
    match (objects, values.first()) {
        (Some(_), _) if name == "fields" => {
            let reasons = ObjectBuilder::new().description(Some("What is wrong, by the name of the field"));
            reasons.additional_properties(Some(AdditionalProperties::RefOr(schemas::text().into()))).into()
        }
        (Some(objects), _) => {
            let names: std::collections::BTreeSet<_> = objects.iter().flat_map(|object| object.keys()).collect();
            names
                .into_iter()
                .fold(ObjectBuilder::new(), |schema, name| {
                    let held: Vec<_> = objects.iter().filter_map(|object| object.get(name)).collect();
                    let schema = schema.property(name, shape(name, &held));
                    if held.len() == objects.len() { schema.required(name) } else { schema }
                })
                .into()
        }
        (None, Some(Value::String(_))) if name == "code" => {
            let mut codes: Vec<_> = values.iter().filter_map(|value| value.as_str()).collect();
            codes.sort_unstable();
            codes.dedup();
            schemas::text().enum_values(Some(codes)).into()
        }
        (None, Some(first))
            if values.iter().all(|value| std::mem::discriminant(*value) == std::mem::discriminant(*first)) =>
        {
            match first {
                Value::String(_) => schemas::text().into(),
                Value::Bool(_) => ObjectBuilder::new().schema_type(Type::Boolean).into(),
                Value::Number(_) => ObjectBuilder::new().schema_type(Type::Integer).into(),
                Value::Array(_) => ArrayBuilder::new().items(schemas::text()).into(),
                Value::Null | Value::Object(_) => utoipa::openapi::schema::empty(),
            }
        }
        _ => utoipa::openapi::schema::empty(),
    }
}
