//! What bodies look like.

use serde_json::json;
use utoipa::openapi::schema::{
    AdditionalProperties, AllOfBuilder, ArrayBuilder, KnownFormat, ObjectBuilder, Schema, SchemaFormat, SchemaType,
    Type,
};
use utoipa::openapi::{Ref, RefOr};

use crate::audit::AuditAction;
use crate::management::values::MOST_DAYS;

/// A schema of the components by its name.
pub(super) fn named(name: &str) -> Ref {
    Ref::from_schema_name(name)
}

/// Every schema that the document has, by its name.
pub(super) fn all(choice_of_days: Option<&[u32]>) -> Vec<(String, RefOr<Schema>)> {
    let schemas = [
        ("ApiKey", key_object().build().into()),
        ("IssuedApiKey", issued()),
        ("ApiKeyPage", page()),
        ("ApiKeyUsage", usage()),
        ("AuditEvent", event()),
        ("AuditEventPage", event_page()),
        ("ApiKeyQuota", quota()),
        ("NewApiKey", new_key(choice_of_days)),
        ("ApiKeyChange", change()),
        ("ApiKeyRevocation", revocation()),
        ("ApiKeyRotation", rotation()),
    ];
    schemas.into_iter().map(|(name, schema): (_, Schema)| (name.to_owned(), RefOr::T(schema))).collect()
}

pub(super) fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// Every state, as the API writes it.
pub(super) fn state() -> ObjectBuilder {
    text().enum_values(Some(["active", "disabled", "overlap", "expired", "revoked"]))
}

pub(super) fn instant() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

/// The id of a key, as a caller may write one.
pub(super) fn key_id() -> ObjectBuilder {
    text().min_length(Some(1)).max_length(Some(128)).pattern(Some("^[!-~]+$"))
}

pub(super) fn event_id() -> ObjectBuilder {
    text().pattern(Some("^evt_[0-9a-f]{23}$"))
}

pub(super) fn audit_action() -> ObjectBuilder {
    text().enum_values(Some(AuditAction::ALL.map(AuditAction::as_str)))
}

pub(super) fn audit_outcome() -> ObjectBuilder {
    text().enum_values(Some(["accepted", "refused"]))
}

pub(super) fn usage_bucket() -> ObjectBuilder {
    text().enum_values(Some(["hour", "day"]))
}

fn or_null(kind: Type) -> SchemaType {
    SchemaType::from_iter([kind, Type::Null])
}

fn text_or_null(told: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(or_null(Type::String)).description(Some(told))
}

fn instant_or_null(told: &str) -> ObjectBuilder {
    text_or_null(told).format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
}

fn whole(least: u32) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(f64::from(least)))
}

fn list(items: impl Into<RefOr<Schema>>) -> ArrayBuilder {
    ArrayBuilder::new().items(items.into())
}

fn list_or_null(items: impl Into<RefOr<Schema>>, told: &str) -> ArrayBuilder {
    list(items).schema_type(or_null(Type::Array)).description(Some(told)).max_items(Some(100))
}

/// An object that has these properties and no other.
fn closed() -> ObjectBuilder {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn key_object() -> ObjectBuilder {
    let properties: [(&str, RefOr<Schema>); 22] = [
        ("id", text().into()),
        ("name", text().into()),
        ("start", text_or_null("Prefix and first characters").into()),
        ("masked", text().description(Some("What a person recognises the key by")).into()),
        ("prefix", text_or_null("The type of the key").into()),
        ("environment", text_or_null("The part of the deployment that it opens; null: every").into()),
        ("scopes", list(text()).into()),
        ("owner", owner().into()),
        ("state", state().into()),
        ("createdAt", instant_or_null("When it was made").into()),
        ("expiresAt", instant_or_null("From when on it is refused; null: never").into()),
        ("revokedAt", instant_or_null("Since when it is refused for good").into()),
        ("revokedReason", text_or_null("Why it was revoked").into()),
        ("lastUsedAt", instant_or_null("When it was used last").into()),
        ("lastUsedIp", text_or_null("From where it was used last").into()),
        ("useCount", whole(0).into()),
        ("allowedIps", list_or_null(text(), "The addresses that it may be used from; null: all").into()),
        ("allowedOrigins", list_or_null(text(), "The web origins that it may be used from; null: all").into()),
        ("rateLimits", list(named("ApiKeyQuota")).into()),
        ("metadata", ObjectBuilder::new().into()),
        ("replaces", text_or_null("The key that it is the successor of").into()),
        ("replacedBy", text_or_null("Its successor").into()),
    ];
    properties
        .into_iter()
        .fold(ObjectBuilder::new(), |object, (name, schema)| object.property(name, schema).required(name))
}

fn owner() -> ObjectBuilder {
    let owner = ["user", "organization"];
    owner.into_iter().fold(closed(), |object, name| object.property(name, text_or_null("Its id")).required(name))
}

fn issued() -> Schema {
    let secret = text_or_null("The key itself, this once; null in the answer to a repeated request");
    let note = text().description(Some("Why `key` is null"));
    let own = ObjectBuilder::new().property("key", secret).required("key").property("keyNote", note);
    AllOfBuilder::new().item(named("ApiKey")).item(own).build().into()
}

fn page() -> Schema {
    let cursor = text_or_null("Where the next page begins; null: this is the last");
    let page = closed().property("items", list(named("ApiKey"))).required("items");
    page.property("nextCursor", cursor).required("nextCursor").build().into()
}

fn usage() -> Schema {
    let usage = closed().property("useCount", whole(0)).required("useCount");
    let usage = usage.property("lastUsedAt", instant_or_null("When it was used last")).required("lastUsedAt");
    let usage = usage.property("lastUsedIp", text_or_null("From where it was used last")).required("lastUsedIp");
    let usage = usage.property("bucket", usage_bucket()).required("bucket");
    let usage = usage.property("from", instant().description(Some("When the first bucket begins"))).required("from");
    let usage = usage.property("to", instant()).required("to");
    let point = closed().property("at", instant().description(Some("When the bucket begins"))).required("at");
    let point = point.property("count", whole(0)).required("count");
    let told = "Every bucket from `from` to `to`, in their order; null: the server does not keep them";
    let series = list(point).schema_type(or_null(Type::Array)).description(Some(told)).max_items(Some(1_000));
    usage.property("series", series).required("series").build().into()
}

fn event_page() -> Schema {
    let cursor = text_or_null("Where the next page begins; null: this is the last");
    let page = closed().property("items", list(named("AuditEvent"))).required("items");
    page.property("nextCursor", cursor).required("nextCursor").build().into()
}

fn event() -> Schema {
    let actor = closed()
        .property("method", text_or_null("By what right; null: of somebody unknown"))
        .required("method")
        .property("user", text_or_null("The person who was signed in"))
        .required("user")
        .property("keyId", text_or_null("The key that was presented"))
        .required("keyId");
    let change = closed().property("before", anything()).required("before");
    let change = change.property("after", anything()).required("after");
    let changes = ObjectBuilder::new().schema_type(or_null(Type::Object));
    let changes = changes.description(Some("What has changed of the key, by the names of its fields"));
    let changes = changes.additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(change.build().into()))));
    let properties: [(&str, RefOr<Schema>); 14] = [
        ("id", event_id().into()),
        ("at", instant().into()),
        ("action", audit_action().into()),
        ("outcome", audit_outcome().into()),
        ("reason", text().description(Some("The code of the refusal, or by what right it was let in")).into()),
        ("actor", actor.into()),
        ("keyId", text_or_null("The key that it is about").into()),
        ("owner", owner().into()),
        ("clientIp", text_or_null("From where").into()),
        ("newAddress", ObjectBuilder::new().schema_type(Type::Boolean).into()),
        ("method", text().into()),
        ("path", text().into()),
        ("requestId", text_or_null("The id of the request").into()),
        ("changes", changes.into()),
    ];
    let event =
        properties.into_iter().fold(closed(), |object, (name, schema)| object.property(name, schema).required(name));
    event.build().into()
}

fn anything() -> Schema {
    utoipa::openapi::schema::empty()
}

fn quota() -> Schema {
    let number = ObjectBuilder::new().schema_type(Type::Number);
    let algorithm = text().enum_values(Some(["fixed_window", "sliding_window", "gcra"]));
    closed()
        .description(Some("So many requests in so much time, or `unlimited`"))
        .property("unlimited", ObjectBuilder::new().schema_type(Type::Boolean))
        .property("name", text_or_null("What it is called in rate-limit headers"))
        .property("limit", whole(1).maximum(Some(f64::from(u32::MAX))))
        .property("windowSeconds", number.description(Some("In how much time")))
        .property("burst", ObjectBuilder::new().schema_type(or_null(Type::Integer)).minimum(Some(1.0)))
        .property("algorithm", algorithm)
        .examples([json!({"limit": 100, "windowSeconds": 3600})])
        .build()
        .into()
}

fn name() -> ObjectBuilder {
    text().min_length(Some(1)).max_length(Some(100)).pattern(Some("\\S"))
}

/// What both new keys and changes say. Null is as if it were left out in a new key, and takes away in a change.
fn settings(object: ObjectBuilder) -> ObjectBuilder {
    let addresses = list_or_null(text(), "Addresses and CIDR blocks; null: all").min_items(Some(1));
    let origins = list_or_null(text(), "Origins such as `https://app.example.com`; null: all").min_items(Some(1));
    let metadata = ObjectBuilder::new().schema_type(or_null(Type::Object)).description(Some("Facts of your own"));
    object
        .property("scopes", list_or_null(text().min_length(Some(1)).max_length(Some(128)), "What it may do"))
        .property("allowedIps", addresses)
        .property("allowedOrigins", origins)
        .property("rateLimits", list_or_null(named("ApiKeyQuota"), "Quotas of its own"))
        .property("expiresAt", instant_or_null("From when on it is refused; null: never"))
        .property("metadata", metadata)
}

fn new_key(choice_of_days: Option<&[u32]>) -> Schema {
    let days = ObjectBuilder::new().schema_type(or_null(Type::Integer));
    let days = days.description(Some("Instead of `expiresAt`: for how many days it is good"));
    let days = match choice_of_days {
        None => days.minimum(Some(1.0)).maximum(Some(f64::from(MOST_DAYS))),
        Some(choice) => days.enum_values(Some(choice.iter().map(|days| json!(days)).chain([json!(null)]))),
    };
    let environment = text_or_null("The part of the deployment that it opens; the server's own, unless said");
    settings(closed().property("name", name()).required("name"))
        .property("environment", environment)
        .property("expiresInDays", days)
        .examples([json!({"name": "ci"})])
        .build()
        .into()
}

fn change() -> Schema {
    settings(closed().property("name", name())).examples([json!({"name": "deploy"})]).build().into()
}

fn revocation() -> Schema {
    let reason = text_or_null("Why").max_length(Some(200));
    closed().property("reason", reason).examples([json!({"reason": "lost"})]).build().into()
}

fn rotation() -> Schema {
    let seconds = ObjectBuilder::new().schema_type(or_null(Type::Integer));
    let seconds = seconds.minimum(Some(0.0)).maximum(Some(f64::from(MOST_DAYS) * 86_400.0));
    let seconds = seconds.description(Some("For how long both keys work; 0 revokes the old one now"));
    closed().property("overlapSeconds", seconds).examples([json!({"overlapSeconds": 3600})]).build().into()
}
