//! Which organisations a person belongs to.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Serialize;

use crate::context::{AuthContext, Principal};
use crate::key::OrganizationId;
use crate::rejection::Rejection;
use crate::session::Session;

/// Answers with the organisations that whoever is signed in belongs to, for a page that lets them choose one:
/// `.route("/api/organizations", get(dashboard::organizations))`.
///
/// ```json
/// { "items": [{ "id": "org_1", "name": "Acme", "roles": ["admin"] }], "current": "org_1" }
/// ```
///
/// `name` is null where the session does not say it, and `current` is the organisation that the person is working for just
/// now, or null. Cookies that are copies of a session know of no organisation.
///
/// # Errors
/// 403 for a caller who is no person, or comes through a key; 500 without the layer.
pub async fn organizations(caller: AuthContext) -> Result<Response, Rejection> {
    let Principal::User(session) = caller.principal() else {
        return Err(Rejection::forbidden());
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    // Texts always go into JSON.
    let body = serde_json::to_vec(&Organizations::of(session)).unwrap_or_default();
    Ok((headers, body).into_response())
}

#[derive(Serialize)]
struct Organizations<'a> {
    items: Vec<Organization<'a>>,
    current: Option<&'a OrganizationId>,
}

#[derive(Serialize)]
struct Organization<'a> {
    id: &'a OrganizationId,
    name: Option<&'a str>,
    roles: Vec<&'a str>,
}

impl<'a> Organizations<'a> {
    fn of(session: &'a Session) -> Self {
        let mut items: Vec<Organization<'a>> = Vec::new();
        // A session may name a membership once for every role.
        for membership in &session.memberships {
            let roles = membership.roles.iter().map(String::as_str);
            match items.iter_mut().find(|item| *item.id == membership.organization) {
                Some(item) => item.roles.extend(roles),
                None => items.push(Organization {
                    id: &membership.organization,
                    name: membership.name.as_deref(),
                    roles: roles.collect(),
                }),
            }
        }
        items.sort_by_key(|item| item.name.unwrap_or(item.id.as_str()).to_lowercase());
        Self { items, current: session.organization.as_ref() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::key::UserId;
    use crate::session::{Membership, User};

    #[test]
    fn an_organisation_is_listed_once_with_all_its_roles_by_name() {
        let mut session = Session::of(User::new(UserId::from_static("ada")));
        let (acme, globex) = (OrganizationId::from_static("org_1"), OrganizationId::from_static("globex"));
        session.memberships = vec![
            Membership::new(globex, ["admin"]),
            Membership::new(acme.clone(), ["member"]).name("Acme"),
            Membership::new(acme.clone(), ["developer"]),
        ];
        session.organization = Some(acme);
        assert_eq!(
            serde_json::to_value(Organizations::of(&session)).unwrap(),
            json!({
                "items": [
                    {"id": "org_1", "name": "Acme", "roles": ["member", "developer"]},
                    {"id": "globex", "name": null, "roles": ["admin"]},
                ],
                "current": "org_1",
            })
        );
    }
}
