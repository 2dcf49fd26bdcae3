//! What a token claims, once its signature is known to be good.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::key::{OrganizationId, Scope, ScopeSet, UserId};
use crate::session::{Membership, Session, SessionProblem, User};

/// What is asked of a token, and where it says what.
#[derive(Debug)]
pub(super) struct Rules {
    /// `None` is any.
    pub(super) issuers: Option<Vec<String>>,
    /// `None` is any.
    pub(super) audiences: Option<Vec<String>>,
    pub(super) media_types: Vec<String>,
    pub(super) leeway: Duration,
    pub(super) expiry_required: bool,
    pub(super) organization_claim: String,
    pub(super) role_claim: String,
    pub(super) name: String,
}

/// From when until when a token holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    not_before: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl Span {
    /// RFC 7519 §4.1.4 and §4.1.5: over at the instant of `exp`, begun at that of `nbf`.
    pub(super) fn check(self, now: Timestamp, leeway: Duration) -> Result<(), SessionProblem> {
        if self.expires_at.is_some_and(|end| end <= now.saturating_sub(leeway)) {
            return Err(SessionProblem::Expired);
        }
        if self.not_before.is_some_and(|begin| begin > now.saturating_add(leeway)) {
            return Err(SessionProblem::NotYetValid);
        }
        Ok(())
    }
}

impl Rules {
    /// Whether tokens of this `typ` are taken. One that names none is taken for a JWT.
    pub(super) fn take(&self, media_type: Option<&str>) -> bool {
        let media_type = media_type.unwrap_or("jwt");
        self.media_types.iter().any(|taken| taken == media_type)
    }

    /// Whose session it is.
    pub(super) fn judge(&self, claims: Map<String, Value>, now: Timestamp) -> Result<(Session, Span), SessionProblem> {
        let span = Span { not_before: instant(&claims, "nbf")?, expires_at: instant(&claims, "exp")? };
        instant(&claims, "iat")?;
        if span.expires_at.is_none() && self.expiry_required {
            return Err(SessionProblem::Malformed);
        }
        span.check(now, self.leeway)?;
        let issued_here = self.issuers.as_ref().is_none_or(|issuers| {
            claims.get("iss").and_then(Value::as_str).is_some_and(|issuer| issuers.iter().any(|one| one == issuer))
        });
        let meant_for_here = self.audiences.as_ref().is_none_or(|audiences| {
            texts(claims.get("aud")).iter().any(|audience| audiences.iter().any(|one| one == audience))
        });
        if !issued_here || !meant_for_here {
            return Err(SessionProblem::Misdirected);
        }
        Ok((self.session(claims, span)?, span))
    }

    fn session(&self, claims: Map<String, Value>, span: Span) -> Result<Session, SessionProblem> {
        let subject = claims.get("sub").and_then(Value::as_str).and_then(|subject| UserId::new(subject).ok());
        let mut user = User::new(subject.ok_or(SessionProblem::Nameless)?);
        user.name = claims.get("name").and_then(Value::as_str).map(str::to_owned);
        user.email = claims.get("email").and_then(Value::as_str).map(str::to_owned);

        let mut session = Session::of(user);
        session.source = self.name.clone().into();
        session.expires_at = span.expires_at;
        session.scopes = scopes(&claims);
        session.roles = texts(claims.get(&self.role_claim)).into_iter().map(str::to_owned).collect();
        let organizations = texts(claims.get(&self.organization_claim)).into_iter();
        let organizations = organizations.filter_map(|id| OrganizationId::new(id).ok()).collect::<Vec<_>>();
        if let [only] = organizations.as_slice() {
            session.organization = Some(only.clone());
        }
        let belongs_to = |organization| Membership::new(organization, session.roles.iter().cloned());
        session.memberships = organizations.into_iter().map(belongs_to).collect();
        session.claims = claims;
        Ok(session)
    }
}

/// A text, or the texts of a list.
fn texts(claim: Option<&Value>) -> Vec<&str> {
    match claim {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// `scope` (RFC 8693 §4.2) or `scp`, a text with spaces or a list. What is no scope grants nothing.
fn scopes(claims: &Map<String, Value>) -> ScopeSet {
    let stated = ["scope", "scp"].into_iter().flat_map(|claim| texts(claims.get(claim)));
    stated.flat_map(str::split_ascii_whitespace).filter_map(|name| Scope::new(name).ok()).collect()
}

/// A NumericDate (RFC 7519 §2): seconds, perhaps with a fraction.
fn instant(claims: &Map<String, Value>, claim: &str) -> Result<Option<Timestamp>, SessionProblem> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let instant = match (value.as_i64(), value.as_f64()) {
        (Some(seconds), _) => Timestamp::from_unix_seconds(seconds),
        // Saturates, as the instant does.
        (None, Some(seconds)) => Timestamp::from_unix_micros((seconds * 1_000_000.0) as i64),
        (None, None) => return Err(SessionProblem::Malformed),
    };
    Ok(Some(instant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_date_may_have_a_fraction_and_be_absurd() {
        for (text, expected) in [
            ("1795000000", 1_795_000_000_000_000),
            ("1795000000.5", 1_795_000_000_500_000),
            ("-5", -5_000_000),
            ("1e300", Timestamp::MAX.unix_micros()),
            ("-1e300", -Timestamp::MAX.unix_micros()),
            ("18446744073709551615", Timestamp::MAX.unix_micros()),
        ] {
            let claims = serde_json::from_str(&format!("{{\"exp\":{text}}}")).unwrap();
            assert_eq!(instant(&claims, "exp").unwrap().unwrap().unix_micros(), expected, "{text}");
        }
        for text in ["null", "\"1795000000\"", "[]", "true"] {
            let claims = serde_json::from_str(&format!("{{\"exp\":{text}}}")).unwrap();
            assert_eq!(instant(&claims, "exp"), Err(SessionProblem::Malformed), "{text}");
        }
    }

    #[test]
    fn scopes_are_read_from_texts_and_lists_and_what_is_none_grants_nothing() {
        let claims = serde_json::json!({"scope": "read write", "scp": ["admin", 7, "a\"b", "files:read files:write"]});
        let granted = scopes(claims.as_object().unwrap());
        assert_eq!(granted.to_string(), "admin files:read files:write read write");
    }
}
