//! The calls of the API as operations.

use std::collections::BTreeMap;

use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, RefOr, Required, Response, ResponseBuilder};

use super::{examples, guard, samples, schemas};
use crate::layer::ApiKeyLayer;
use crate::management::route::{Action, Endpoint};
use crate::management::{Management, refusal};
use crate::rejection::Rejection;

/// The call at `endpoint`. A new kind of call has to be described here before it compiles.
pub(super) fn operation(
    endpoint: &Endpoint,
    management: &Management,
    auth: &ApiKeyLayer,
    path: &[Parameter],
) -> Operation {
    let call = Call::of(endpoint.action);
    let mut operation = OperationBuilder::new()
        .tag("API keys")
        .summary(Some(call.summary))
        .operation_id(Some(id(endpoint)))
        .request_body(call.body());
    for parameter in path.iter().cloned().chain(call.parameters()) {
        operation = operation.parameter(parameter);
    }
    for (status, response) in call.responses() {
        operation = operation.response(status, response);
    }
    let gate = &auth.gate;
    let refusals = call.refusals(management).into_iter().chain(guard::refusals(gate));
    for (status, response) in examples::responses(gate, refusals) {
        operation = operation.response(status, response);
    }
    operation.build()
}

/// What a kind of call takes and answers.
struct Call {
    action: Action,
    summary: &'static str,
    /// The schema of its body, and whether there must be one.
    takes: Option<(&'static str, Required)>,
    answers: &'static str,
}

impl Call {
    fn of(action: Action) -> Self {
        let told = |summary, takes, answers| Self { action, summary, takes, answers };
        match action {
            Action::Issue => told("Make a key", Some(("NewApiKey", Required::True)), "IssuedApiKey"),
            Action::List => told("List keys, newest first", None, "ApiKeyPage"),
            Action::Read => told("Read a key", None, "ApiKey"),
            Action::Update => told("Change a key", Some(("ApiKeyChange", Required::True)), "ApiKey"),
            Action::Enable => told("Let a key in again", None, "ApiKey"),
            Action::Disable => told("Refuse a key until it is enabled again", None, "ApiKey"),
            Action::Rotate => {
                let takes = Some(("ApiKeyRotation", Required::False));
                told("Make the successor of a key, which works for a day more", takes, "IssuedApiKey")
            }
            Action::Regenerate => {
                let takes = Some(("ApiKeyRotation", Required::False));
                told("Make the successor of a key, which is revoked", takes, "IssuedApiKey")
            }
            Action::Usage => told("Read what a key was used, and when", None, "ApiKeyUsage"),
            Action::Audit => told("Read what was attempted and done, latest first", None, "AuditEventPage"),
            Action::Revoke => told("Refuse a key for good", Some(("ApiKeyRevocation", Required::False)), "ApiKey"),
        }
    }

    const fn makes(&self) -> bool {
        matches!(self.action, Action::Issue | Action::Rotate | Action::Regenerate)
    }

    const fn only_reads(&self) -> bool {
        matches!(self.action, Action::List | Action::Read | Action::Usage | Action::Audit)
    }

    const fn is_about_a_key(&self) -> bool {
        !matches!(self.action, Action::Issue | Action::List | Action::Audit)
    }

    fn body(&self) -> Option<RequestBody> {
        let (schema, required) = self.takes.as_ref()?;
        let content = ContentBuilder::new().schema(Some(schemas::named(schema))).build();
        Some(RequestBodyBuilder::new().content("application/json", content).required(Some(required.clone())).build())
    }

    fn parameters(&self) -> Vec<Parameter> {
        let mut parameters = Vec::new();
        let limit = || {
            let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1.0)).maximum(Some(100.0));
            limit.default(Some(50.into()))
        };
        if matches!(self.action, Action::Audit) {
            let told = "Part of a reason, path, address, request id, or id of a key, actor or owner";
            parameters.extend([
                parameter(ParameterIn::Query, "limit", "How many events at most", limit()),
                parameter(ParameterIn::Query, "cursor", "`nextCursor` of the page before", schemas::event_id()),
                parameter(ParameterIn::Query, "q", told, schemas::text().max_length(Some(100))),
                parameter(ParameterIn::Query, "keyId", "About this key", schemas::key_id()),
                parameter(ParameterIn::Query, "action", "Of this action", schemas::audit_action()),
                parameter(ParameterIn::Query, "outcome", "Of this outcome", schemas::audit_outcome()),
            ]);
        }
        if matches!(self.action, Action::Usage) {
            let from = "An instant in the first bucket; unless said, 30 days or 48 hours back";
            let bucket = schemas::usage_bucket().default(Some("day".into()));
            parameters.extend([
                parameter(ParameterIn::Query, "from", from, schemas::instant()),
                parameter(
                    ParameterIn::Query,
                    "to",
                    "The end of the last bucket, or an instant in it",
                    schemas::instant(),
                ),
                parameter(ParameterIn::Query, "bucket", "What is counted together, in UTC", bucket),
            ]);
        }
        if matches!(self.action, Action::List) {
            parameters.extend([
                parameter(ParameterIn::Query, "limit", "How many keys at most", limit()),
                parameter(ParameterIn::Query, "cursor", "`nextCursor` of the page before", schemas::text()),
                parameter(ParameterIn::Query, "q", "Part of name, id or start", schemas::text().max_length(Some(100))),
                parameter(ParameterIn::Query, "state", "In this state", schemas::state()),
                parameter(ParameterIn::Query, "scope", "With this scope", schemas::text().min_length(Some(1))),
            ]);
        }
        if self.makes() {
            let told = "A name of the request. A repeat within a day makes no second key";
            let name = schemas::text().min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!#-\\[\\]-~]+$"));
            parameters.push(parameter(ParameterIn::Header, "Idempotency-Key", told, name));
        }
        if self.is_about_a_key() && !self.only_reads() {
            let told = "The `ETag` that the key must still have";
            parameters.push(parameter(ParameterIn::Header, "If-Match", told, schemas::text()));
        }
        parameters
    }

    fn responses(&self) -> BTreeMap<&'static str, RefOr<Response>> {
        let told = |text: &str, repeated| {
            let example = ExampleBuilder::new().value(Some(samples::answer(self.answers, repeated)));
            let content = ContentBuilder::new().schema(Some(schemas::named(self.answers)));
            let content = content.examples_from_iter([("answer", example)]).build();
            let response = ResponseBuilder::new().description(text).content("application/json", content);
            if matches!(self.action, Action::List | Action::Usage | Action::Audit) {
                return response;
            }
            response.header("ETag", header("The version of the key"))
        };
        if !self.makes() {
            return BTreeMap::from([("200", told("Done", false).into())]);
        }
        let location = || header("Where the key is read");
        let made = told("A key was made", false).header("Location", location());
        let again = told("The same request has made this key before", true).header("Location", location());
        BTreeMap::from([("201", made.into()), ("200", again.into())])
    }

    /// What the API itself refuses, with the gate's own refusals beside them.
    fn refusals(&self, management: &Management) -> Vec<Rejection> {
        let mut refusals = vec![refusal::internal("The answer could not be written")];
        let wrong =
            |field: &str, reason: &str| refusal::invalid(BTreeMap::from([(field.to_owned(), reason.to_owned())]));
        if self.is_about_a_key() {
            refusals.push(refusal::no_such_key());
        }
        match self.action {
            Action::List | Action::Audit => refusals.extend([
                refusal::malformed("The query could not be read"),
                wrong("limit", "must be a whole number from 1 to 100"),
            ]),
            Action::Usage => {
                refusals.extend([refusal::malformed("The query could not be read"), wrong("to", "must be after from")]);
            }
            _ => {}
        }
        if matches!(self.action, Action::Audit) {
            // Where no trail is kept.
            refusals.push(refusal::no_such_call());
        }
        if self.only_reads() {
            return refusals;
        }
        refusals.extend([
            refusal::malformed("The body must be a JSON object that has no field twice"),
            refusal::too_large(),
            refusal::unsupported_media_type(),
            wrong("name", "must not be empty"),
            refusal::beyond(&BTreeMap::from([("scopes", "has a scope that the caller may not give")])),
        ]);
        if self.is_about_a_key() {
            refusals.push(refusal::outdated());
        }
        match self.action {
            Action::Revoke => {}
            Action::Issue if management.0.single.is_some() => {
                refusals.push(refusal::conflict("There is a current API key; regenerate it, or revoke it first"));
            }
            Action::Issue => refusals.push(refusal::conflict("The same request is under way; repeat it later")),
            _ => refusals.push(refusal::conflict("The API key is revoked, or about to end")),
        }
        refusals
    }
}

fn parameter(place: ParameterIn, name: &str, told: &str, schema: ObjectBuilder) -> Parameter {
    let parameter = ParameterBuilder::new().name(name).parameter_in(place).required(Required::False);
    parameter.description(Some(told)).schema(Some(schema)).build()
}

fn header(told: &str) -> utoipa::openapi::Header {
    HeaderBuilder::new().schema(Some(schemas::text())).description(Some(told)).build()
}

/// A name that programs can be generated with: `issueApiKey`, `revokeApiKeyByDelete`.
fn id(endpoint: &Endpoint) -> String {
    let action = format!("{:?}", endpoint.action).to_lowercase();
    let way = if endpoint.method == http::Method::DELETE { "ByDelete" } else { "" };
    let many = if matches!(endpoint.action, Action::List | Action::Audit) { "s" } else { "" };
    format!("{action}ApiKey{many}{way}")
}
