//! Members of an organisation manage its keys.

use super::authority::{Authority, Call, Mandate, Reach};
use super::grant::Grant;
use super::route::Action;
use crate::context::Principal;
use crate::key::{OrganizationId, ScopeSet};
use crate::limit::Quota;
use crate::rejection::Rejection;
use crate::session::Session;

/// The authority for keys that belong to organisations: members with a certain role manage the keys of theirs.
///
/// - Which organisation a call is about is said by the path ([`named_by`](Self::named_by)), or by the session
///   ([`of_session`](Self::of_session)).
/// - Only a person who is signed in and belongs to that organisation gets any further, and needs one of the
///   [`managers`](Self::managers)' roles: there, or one that holds everywhere. Others may list and read keys if
///   [`members_may_read`](Self::members_may_read) says so.
/// - Keys manage none, the operator's own included, and neither does a person who comes through one. Where a layer asks
///   for both, let the routes of the router ask for [`Callers::User`](crate::route::Callers::User) alone, so that a key
///   that was lost can be replaced.
/// - New keys belong to the organisation, are for the environment of the server, and get at most the scopes that are
///   [`grantable`](Self::grantable).
///
/// Everybody else is refused with 403, whichever call it is. A key of another organisation is as one that does not exist.
///
/// ```
/// use tower_api_key::management::{Management, OrganizationAuthority};
/// use tower_api_key::source::MemoryKeys;
///
/// let members = OrganizationAuthority::named_by("org").managers(["admin", "developer"]);
/// let keys = Management::new(MemoryKeys::new()).authority(members).choice_of_days([7, 30, 90, 365]);
/// let app: axum::Router = axum::Router::new().nest("/api/organizations/{org}/api-keys", keys.router());
///
/// let own = OrganizationAuthority::of_session().members_may_read();
/// let keys = Management::new(MemoryKeys::new()).authority(own).single_key();
/// let app: axum::Router = axum::Router::new().nest("/api/organization/api-keys", keys.router());
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct OrganizationAuthority {
    /// The parameter of the path that names the organisation; without one the session does.
    parameter: Option<String>,
    managers: Vec<String>,
    members_may_read: bool,
    grantable: ScopeSet,
    quotas: Option<Vec<Quota>>,
}

impl OrganizationAuthority {
    /// The organisation is named by this parameter of the path that the router is nested at: `org` for
    /// `/api/organizations/{org}/api-keys`.
    pub fn named_by(parameter: impl Into<String>) -> Self {
        Self { parameter: Some(parameter.into()), ..Self::of_session() }
    }

    /// The organisation is the one that the person is working for just now, or, where the session says nothing of that,
    /// the only one that they belong to. Whoever belongs to several and works for none is refused.
    pub fn of_session() -> Self {
        Self {
            parameter: None,
            managers: vec!["admin".to_owned()],
            members_may_read: false,
            grantable: ScopeSet::EMPTY,
            quotas: None,
        }
    }

    /// The roles that manage keys; `admin`, unless set. With none nobody does.
    pub fn managers(mut self, roles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.managers = roles.into_iter().map(Into::into).collect();
        self
    }

    /// Lets every member list and read keys, of which they see all but the secret.
    pub fn members_may_read(mut self) -> Self {
        self.members_may_read = true;
        self
    }

    /// The scopes that keys may be given; none, unless set.
    pub fn grantable(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.grantable = scopes.into();
        self
    }

    /// The quotas that bound those which keys may be given, and that keys have otherwise. Unless set, keys have those of
    /// the layer.
    pub fn grantable_quotas(mut self, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.quotas = Some(quotas.into_iter().collect());
        self
    }

    fn organization(&self, call: &Call<'_>, session: &Session) -> Option<OrganizationId> {
        match &self.parameter {
            Some(parameter) => OrganizationId::new(call.parameter(parameter)?).ok(),
            None => session.organization.clone().or_else(|| only(session)),
        }
    }

    fn manages(&self, session: &Session, organization: &OrganizationId) -> bool {
        self.managers.iter().any(|role| session.has_role(role) || has_role(session, organization, role))
    }
}

impl Authority for OrganizationAuthority {
    fn mandate(&self, call: &Call<'_>) -> Result<Mandate, Rejection> {
        let Principal::User(session) = call.caller().principal() else {
            return Err(Rejection::forbidden());
        };
        let organization = self.organization(call, session).ok_or_else(Rejection::forbidden)?;
        let belongs = session.membership(&organization).is_some();
        let reads = self.members_may_read && matches!(call.action(), Action::List | Action::Read);
        if !belongs || !(reads || self.manages(session, &organization)) {
            return Err(Rejection::forbidden());
        }
        let grant = Grant::scopes(self.grantable.clone());
        let grant = self.quotas.iter().cloned().fold(grant, Grant::quotas);
        Ok(Mandate::new(Reach::Organization(organization), grant))
    }
}

/// The organisation that the person belongs to, if it is one alone.
fn only(session: &Session) -> Option<OrganizationId> {
    let first = &session.memberships.first()?.organization;
    let alone = session.memberships.iter().all(|membership| membership.organization == *first);
    alone.then(|| first.clone())
}

/// A session may name a membership once for every role.
fn has_role(session: &Session, organization: &OrganizationId, role: &str) -> bool {
    session.memberships.iter().any(|membership| membership.organization == *organization && membership.has_role(role))
}
