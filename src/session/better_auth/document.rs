//! A session and its user as Better Auth writes them in JSON, in its cookie cache and as its tables are read here:
//! `{"session": {…}, "user": {…}}`, and the rows of `member` as `"members": [[organisation, roles, its name], …]`.

use serde_json::{Map, Value, json};

use super::BetterAuthError;
use crate::clock::Timestamp;
use crate::key::{OrganizationId, UserId};
use crate::session::{Membership, Session, SessionProblem, User};

pub(super) const SOURCE: &str = "better-auth";

/// The session in what a query returned.
///
/// # Errors
/// When the tables hold what Better Auth does not write there.
pub(super) fn session_of_row(document: &str) -> Result<Session, BetterAuthError> {
    let mut document: Map<String, Value> = serde_json::from_str(document).map_err(|_| unreadable("row"))?;
    let members = document.remove("members");
    if let Some(verified) = document.get_mut("user").and_then(|user| user.get_mut("emailVerified")) {
        *verified = json!(*verified == json!(true) || *verified == json!(1));
    }
    let mut session = signed_in(document).map_err(|_| unreadable("user"))?;
    if session.expires_at.is_none() {
        return Err(unreadable("expiresAt"));
    }
    for member in members.iter().filter_map(Value::as_array).flatten() {
        let organization = id(&member[0]).and_then(|id| OrganizationId::new(id).ok());
        let organization = organization.ok_or_else(|| unreadable("organizationId"))?;
        let mut membership = Membership::new(organization, roles(&member[1]));
        membership.name = member.get(2).and_then(Value::as_str).map(str::to_owned);
        session.memberships.push(membership);
    }
    // Whoever was removed from an organisation may still have it open.
    let active = session.claims["session"].get("activeOrganizationId").and_then(id);
    let belongs = |active: String| session.memberships.iter().find(|held| held.organization.as_str() == active);
    session.organization = active.and_then(belongs).map(|membership| membership.organization.clone());
    Ok(session)
}

/// The session in a cookie. It says nothing of organisations: who belongs to one is in the tables alone.
pub(super) fn session_of_cookie(payload: Map<String, Value>) -> Result<Session, SessionProblem> {
    signed_in(payload)
}

fn signed_in(mut document: Map<String, Value>) -> Result<Session, SessionProblem> {
    let person = user(document.get("user").and_then(Value::as_object).ok_or(SessionProblem::Malformed)?)?;
    let roles = document["user"].get("role").map(roles).unwrap_or_default();
    let row = document.get_mut("session").and_then(Value::as_object_mut).ok_or(SessionProblem::Malformed)?;
    // Whoever has the token has the session: nobody needs it here, and nothing may print it.
    row.remove("token");
    let expires_at = row.get("expiresAt").and_then(timestamp);
    if let Some(expires_at) = expires_at {
        row.insert("expiresAt".to_owned(), json!(expires_at));
    }

    let mut session = Session::of(person);
    session.roles = roles;
    session.expires_at = expires_at;
    session.claims = document;
    session.source = SOURCE.into();
    Ok(session)
}

fn user(row: &Map<String, Value>) -> Result<User, SessionProblem> {
    let id = row.get("id").and_then(id).and_then(|id| UserId::new(id).ok());
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut user = User::new(id.ok_or(SessionProblem::Nameless)?);
    (user.name, user.email) = (text("name"), text("email"));
    Ok(user)
}

/// Texts, unless Better Auth is set to count.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

/// ISO 8601, or milliseconds since the epoch.
fn timestamp(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(millis) => millis.as_i64().map(Timestamp::from_unix_millis),
        _ => None,
    }
}

/// One text for all of them, with commas between.
fn roles(value: &Value) -> Vec<String> {
    let roles = value.as_str().unwrap_or_default().split(',').map(str::trim);
    roles.filter(|role| !role.is_empty()).map(str::to_owned).collect()
}

fn unreadable(column: &'static str) -> BetterAuthError {
    BetterAuthError::Unreadable { column }
}
