//! Who may manage which keys.

use super::grant::Grant;
use super::route::Action;
use crate::audit::AuditFilter;
use crate::context::{AuthContext, Principal};
use crate::key::{KeyClass, KeyOwner, OrganizationId, Scope, ScopeSet, UserId};
use crate::limit::Quota;
use crate::rejection::Rejection;
use crate::source::KeyFilter;

/// Decides whether a call may be made, which keys it is about, and what new keys may be given.
///
/// A closure is one, too. Here members of an organisation manage its keys, which the path names:
///
/// ```
/// use tower_api_key::key::{OrganizationId, Scope};
/// use tower_api_key::management::{Call, Grant, Management, Mandate, Reach};
/// use tower_api_key::rejection::Rejection;
/// use tower_api_key::source::MemoryKeys;
///
/// # fn is_admin(user: &tower_api_key::User, organization: &OrganizationId) -> bool { true }
/// let authority = |call: &Call<'_>| {
///     let named = call.parameter("org").and_then(|id| OrganizationId::new(id).ok());
///     match (call.caller().user(), named) {
///         (Some(user), Some(organization)) if is_admin(user, &organization) => {
///             Ok(Mandate::new(Reach::Organization(organization), Grant::scopes([Scope::from_static("read")])))
///         }
///         _ => Err(Rejection::forbidden()),
///     }
/// };
/// let keys = Management::new(MemoryKeys::new()).authority(authority).router();
/// let app: axum::Router = axum::Router::new().nest("/api/organizations/{org}/api-keys", keys);
/// ```
pub trait Authority: Send + Sync + 'static {
    /// What the caller may do with this call. Is never asked about an anonymous caller.
    ///
    /// # Errors
    /// When the call may not be made: [`Rejection::forbidden`].
    fn mandate(&self, call: &Call<'_>) -> Result<Mandate, Rejection>;
}

impl<F> Authority for F
where
    F: Fn(&Call<'_>) -> Result<Mandate, Rejection> + Send + Sync + 'static,
{
    fn mandate(&self, call: &Call<'_>) -> Result<Mandate, Rejection> {
        self(call)
    }
}

/// A call that somebody wants to make.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    caller: &'a AuthContext,
    action: Action,
    parameters: &'a [(&'a str, &'a str)],
}

impl<'a> Call<'a> {
    pub(super) const fn new(caller: &'a AuthContext, action: Action, parameters: &'a [(&'a str, &'a str)]) -> Self {
        Self { caller, action, parameters }
    }

    /// Who is calling; never anonymous.
    #[must_use]
    pub const fn caller(&self) -> &'a AuthContext {
        self.caller
    }

    /// What the call does.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// A parameter of the path, also of the path that the router is nested at, percent-decoded.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// What a caller may do with a call.
#[derive(Debug, Clone)]
#[must_use]
pub struct Mandate {
    reach: Reach,
    grant: Grant,
    owner: KeyOwner,
}

impl Mandate {
    /// Over the keys of `reach`. New keys get at most `grant`, and belong to whom the reach names.
    pub fn new(reach: Reach, grant: Grant) -> Self {
        let owner = match &reach {
            Reach::All => KeyOwner::default(),
            Reach::User(user) => KeyOwner::user(user.clone()),
            Reach::Organization(organization) => KeyOwner::organization(organization.clone()),
        };
        Self { reach, grant, owner }
    }

    /// Whose new keys are, if not theirs whom the reach names: a member's own within an organisation.
    pub fn owner(mut self, owner: KeyOwner) -> Self {
        self.owner = owner;
        self
    }

    pub(super) const fn reach(&self) -> &Reach {
        &self.reach
    }

    pub(super) const fn grant(&self) -> &Grant {
        &self.grant
    }

    pub(super) const fn new_owner(&self) -> &KeyOwner {
        &self.owner
    }
}

/// Which keys a call is about. All others are as if there were none.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reach {
    /// Every key.
    All,
    /// The keys of a user.
    User(UserId),
    /// The keys of an organisation.
    Organization(OrganizationId),
}

impl Reach {
    /// Whether the keys of `owner` are within reach.
    #[must_use]
    pub fn holds(&self, owner: &KeyOwner) -> bool {
        match self {
            Self::All => true,
            Self::User(user) => owner.user.as_ref() == Some(user),
            Self::Organization(organization) => owner.organization.as_ref() == Some(organization),
        }
    }

    pub(super) fn narrow(&self, filter: &mut KeyFilter) {
        match self {
            Self::All => {}
            Self::User(user) => filter.user = Some(user.clone()),
            Self::Organization(organization) => filter.organization = Some(organization.clone()),
        }
    }

    pub(super) fn narrow_events(&self, filter: &mut AuditFilter) {
        match self {
            Self::All => {}
            Self::User(user) => filter.user = Some(user.clone()),
            Self::Organization(organization) => filter.organization = Some(organization.clone()),
        }
    }
}

/// The authority that holds unless another is set.
///
/// - The operator's own key ([`KeyClass::Admin`]), and a key that has the scope `admin`, manage all keys; one that
///   belongs to an organisation or a user, the keys of its owner alone. They give what they have themselves.
/// - A user who is signed in manages their own keys, for the environment of the server, with the scopes that are
///   [`grantable`](Self::grantable).
/// - Every other key, and a user who comes through one, manages none.
#[derive(Debug, Clone)]
#[must_use]
pub struct StandardAuthority {
    admin: Scope,
    grantable: ScopeSet,
    quotas: Option<Vec<Quota>>,
}

impl StandardAuthority {
    /// With the scope `admin`, and users who give no scopes.
    pub const fn new() -> Self {
        Self { admin: Scope::from_static("admin"), grantable: ScopeSet::EMPTY, quotas: None }
    }

    /// The scope of keys that manage keys; `admin`, unless set.
    pub fn admin_scope(mut self, scope: Scope) -> Self {
        self.admin = scope;
        self
    }

    /// The scopes that users may give to their keys; none, unless set.
    pub fn grantable(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.grantable = scopes.into();
        self
    }

    /// The quotas that bound those which users may give to their keys, and that their keys have otherwise. Unless set,
    /// users give no quotas, and their keys have those of the layer.
    pub fn grantable_quotas(mut self, quotas: impl IntoIterator<Item = Quota>) -> Self {
        self.quotas = Some(quotas.into_iter().collect());
        self
    }
}

impl Default for StandardAuthority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority for StandardAuthority {
    fn mandate(&self, call: &Call<'_>) -> Result<Mandate, Rejection> {
        let hierarchy = &call.caller().rules.hierarchy;
        match call.caller().principal() {
            Principal::User(session) => {
                let grant = Grant::scopes(self.grantable.clone());
                let grant = self.quotas.iter().cloned().fold(grant, Grant::quotas);
                Ok(Mandate::new(Reach::User(session.user.id.clone()), grant))
            }
            Principal::Key(key) if key.class == KeyClass::Admin || hierarchy.grants(&key.scopes, &self.admin) => {
                Ok(Mandate::new(reach_of(&key.owner), Grant::of(key)).owner(key.owner.clone()))
            }
            Principal::Key(_) | Principal::KeyAndUser(..) | Principal::Anonymous => Err(Rejection::forbidden()),
        }
    }
}

fn reach_of(owner: &KeyOwner) -> Reach {
    match owner {
        KeyOwner { organization: Some(organization), .. } => Reach::Organization(organization.clone()),
        KeyOwner { user: Some(user), organization: None } => Reach::User(user.clone()),
        KeyOwner { user: None, organization: None } => Reach::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reach_holds_the_keys_of_its_owner_and_never_those_of_nobody() {
        let (ann, bob) = (UserId::from_static("ann"), UserId::from_static("bob"));
        let acme = OrganizationId::from_static("ann");
        let nobody = KeyOwner::default();
        assert!(Reach::All.holds(&nobody) && Reach::All.holds(&KeyOwner::user(bob.clone())));
        let anns = Reach::User(ann.clone());
        assert!(anns.holds(&KeyOwner::user(ann)) && !anns.holds(&KeyOwner::user(bob)));
        assert!(!anns.holds(&nobody) && !anns.holds(&KeyOwner::organization(acme.clone())));
        let acmes = Reach::Organization(acme.clone());
        assert!(acmes.holds(&KeyOwner::organization(acme)) && !acmes.holds(&nobody));
    }
}
