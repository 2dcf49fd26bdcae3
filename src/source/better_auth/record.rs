//! What a row says of a key.

use std::time::Duration;

use serde_json::{Map, Value};

use super::builder::Settings;
use super::error::Kind;
use crate::clock::Timestamp;
use crate::key::{KeyDigest, KeyId, KeyOwner, KeyRecord, OrganizationId, Scope, ScopeSet, UserId};
use crate::limit::credits::{CreditState, Credits, Refill, RefillInterval};
use crate::limit::{Algorithm, Quota};
use crate::source::import::{Fields, Refused, malformed, missing};

impl Settings {
    pub(super) fn record(&self, row: &Map<String, Value>, digest: KeyDigest) -> Result<KeyRecord, Kind> {
        let id = || row.get("id").map(Value::to_string).unwrap_or_default();
        self.read(row, digest).map_err(|(field, problem)| Kind::Field { id: id(), field, problem })
    }

    pub(super) fn read(&self, row: &Map<String, Value>, digest: KeyDigest) -> Result<KeyRecord, Refused> {
        let fields = Fields(row);
        let id = fields.id(&["id"])?.ok_or_else(|| missing("id"))?;
        let id = KeyId::new(id).map_err(|_| malformed("id", "1 to 128 visible ASCII characters"))?;
        let mut record = KeyRecord::new(id, digest);
        record.source = Some(super::NAME.into());
        record.name = fields.text(&["name"])?.unwrap_or_default().to_owned();
        record.start = fields.text(&["start"])?.map(str::to_owned);
        record.prefix = fields.text(&["prefix"])?.map(str::to_owned);
        record.owner = self.owner(row)?;
        record.scopes = scopes(fields.object(&["permissions"])?);
        record.metadata = fields.object(&["metadata"])?;
        record.disabled = !fields.flag(&["enabled"])?.unwrap_or(true);
        record.created_at = date(&fields, &["createdAt", "created_at"])?;
        // A key of theirs still holds at the instant that it expires at, and one of ours no longer.
        record.expires_at = date(&fields, &["expiresAt", "expires_at"])?.map(|end| end.saturating_add(TICK));
        record.last_used_at = date(&fields, &["lastRequest", "last_request"])?;
        if self.rate_limits {
            record.rate_limits = quota(&fields)?.into_iter().collect();
        }
        record.credits = credits(&fields, &record)?;
        Ok(record)
    }

    fn owner(&self, row: &Map<String, Value>) -> Result<KeyOwner, Refused> {
        let columns = ["referenceId", "reference_id", "userId", "user_id"];
        let fields = Fields(row);
        let (Some((column, _)), Some(id)) = (fields.any(&columns), fields.id(&columns)?) else {
            return Err(missing("referenceId"));
        };
        let wrong = |_| malformed(column, "1 to 255 bytes without control characters");
        if self.is_of_organization(row) {
            OrganizationId::new(id).map(KeyOwner::organization).map_err(wrong)
        } else {
            UserId::new(id).map(KeyOwner::user).map_err(wrong)
        }
    }
}

/// The smallest step of their clock.
const TICK: Duration = Duration::from_millis(1);

/// `resource:action` for each action of each resource.
fn scopes(permissions: Map<String, Value>) -> ScopeSet {
    let mut scopes = Vec::new();
    for (resource, actions) in permissions {
        for action in actions.as_array().into_iter().flatten().filter_map(Value::as_str) {
            // Wildcards here, and words like any other there.
            let wild = action == "*" || action.ends_with(":*");
            scopes.extend(Scope::new(format!("{resource}:{action}")).ok().filter(|_| !wild && !resource.is_empty()));
        }
    }
    scopes.into_iter().collect()
}

fn quota(fields: &Fields<'_>) -> Result<Option<Quota>, Refused> {
    let enabled = fields.flag(&["rateLimitEnabled", "rate_limit_enabled"])?.unwrap_or(true);
    let limit = fields.count(&["rateLimitMax", "rate_limit_max"])?;
    let window = fields.count(&["rateLimitTimeWindow", "rate_limit_time_window"])?;
    let (Some(limit), Some(window), true) = (limit, window, enabled) else { return Ok(None) };
    let limit = u32::try_from(limit).map_err(|_| malformed("rateLimitMax", "at most 4294967295"))?;
    let quota = Quota::new(limit, Duration::from_millis(window)).algorithm(Algorithm::FixedWindow).named("better-auth");
    quota.validate().map_err(|_| malformed("rateLimitMax", "more than 0, in a window of a second or more"))?;
    Ok(Some(quota))
}

/// Counting begins with what the row says whenever somebody sets it. A request that was counted there sets both of these
/// dates to its own instant, and is no such change.
fn credits(fields: &Fields<'_>, record: &KeyRecord) -> Result<Option<CreditState>, Refused> {
    let Some(remaining) = fields.count(&["remaining"])? else { return Ok(None) };
    let amount = fields.count(&["refillAmount", "refill_amount"])?;
    let interval = fields.count(&["refillInterval", "refill_interval"])?;
    let mut credits = Credits::new(remaining);
    if let (Some(amount), Some(interval @ 1..)) = (amount, interval) {
        credits = credits.refill(Refill::new(amount, RefillInterval::Every(Duration::from_millis(interval))));
    }
    // Theirs comes when more than the interval has passed.
    let since = date(fields, &["lastRefillAt", "last_refill_at"])?.or(record.created_at).unwrap_or_default();
    let mut state = credits.starting(since.saturating_add(TICK));
    let set_at = date(fields, &["updatedAt", "updated_at"])?.filter(|at| Some(*at) != record.last_used_at);
    state.generation = set_at.and_then(|at| u64::try_from(at.unix_millis()).ok()).unwrap_or_default();
    Ok(Some(state))
}

/// A date as text; or a number, of seconds or of milliseconds since 1970 as it is small or large.
fn date(fields: &Fields<'_>, columns: &[&'static str]) -> Result<Option<Timestamp>, Refused> {
    match fields.any(columns).and_then(|(_, value)| value.as_i64()) {
        Some(seconds @ ..100_000_000_000) => Ok(Some(Timestamp::from_unix_seconds(seconds))),
        _ => fields.instant(columns),
    }
}
