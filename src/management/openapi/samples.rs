//! Answers to calls that are carried out, written by the same code as true ones.

use serde_json::{Map, Value, json};

use crate::audit::{AuditAction, AuditChange, AuditEvent, AuditEventId, AuditOutcome};
use crate::clock::Timestamp;
use crate::context::AuthMethod;
use crate::key::{KeyFormat, KeyHasher, KeyId, KeyObject, KeyOwner, KeyRecord, Scope, UserId};
use crate::source::{NewKey, UsageBucket, UsagePoint};

/// Has the length of a key and no checksum, so that it is none.
const SECRET: &str = "ak_live_ExampleExampleExampleExampleExample00000";

/// What the answer of this schema looks like; `repeated`: to a request that was sent before.
pub(super) fn answer(schema: &str, repeated: bool) -> Value {
    let object = object();
    match schema {
        "ApiKeyPage" => json!({"items": [object], "nextCursor": null}),
        "ApiKeyUsage" => usage(),
        "AuditEventPage" => json!({"items": [event()], "nextCursor": null}),
        "IssuedApiKey" if repeated => {
            with(object, [("key", Value::Null), ("keyNote", crate::management::answer::NOTE.into())])
        }
        "IssuedApiKey" => with(object, [("key", SECRET.into())]),
        _ => object.into(),
    }
}

fn object() -> Map<String, Value> {
    let made = Timestamp::from_unix_seconds(1_768_413_600);
    let key = NewKey::named("ci").scopes([Scope::from_static("read")]);
    let key = key.owner(KeyOwner::user(UserId::from_static("user_1")));
    let (format, digest) = (KeyFormat::default(), KeyHasher::sha256().digest(SECRET));
    let mut record = KeyRecord::issued(KeyId::from_static("key_2vR8mQ1xT7nB4kLw"), digest, &format, SECRET, key);
    record.created_at = Some(made);
    match serde_json::to_value(KeyObject::new(&record, made)) {
        Ok(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

fn usage() -> Value {
    let made = Timestamp::from_unix_seconds(1_768_413_600);
    let day = UsageBucket::Day.start(made);
    let series = [UsagePoint::new(day, 12)];
    json!({"useCount": 12, "lastUsedAt": made, "lastUsedIp": "203.0.113.9",
        "bucket": UsageBucket::Day, "from": day, "to": made, "series": series})
}

fn event() -> Value {
    let at = Timestamp::from_unix_seconds(1_768_413_600);
    let mut event = AuditEvent::new(AuditEventId::new(at, 1), at, AuditAction::Update);
    event.outcome = AuditOutcome::Accepted;
    event.reason = "session".into();
    event.actor.method = Some(AuthMethod::Session);
    event.actor.user = Some(UserId::from_static("user_1"));
    event.key_id = Some(KeyId::from_static("key_2vR8mQ1xT7nB4kLw"));
    event.owner = KeyOwner::user(UserId::from_static("user_1"));
    event.client_ip = Some(std::net::IpAddr::from([203, 0, 113, 9]));
    event.method = "PATCH".to_owned();
    event.path = "/v1/keys/key_2vR8mQ1xT7nB4kLw".to_owned();
    event.request_id = Some("5f2b8c0e9d3a4671b8e2c4d6f0a1937b".to_owned());
    event.changes = Some([("name".to_owned(), AuditChange::new("ci".into(), "deploy".into()))].into());
    // Nothing in it that does not go into JSON.
    serde_json::to_value(event).unwrap_or_default()
}

fn with<const N: usize>(mut object: Map<String, Value>, more: [(&str, Value); N]) -> Value {
    object.extend(more.map(|(name, value)| (name.to_owned(), value)));
    object.into()
}
