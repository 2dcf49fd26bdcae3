//! What a session says of the person who is signed in.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::key::{OrganizationId, ScopeSet, UserId};

/// A person who is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// Who it is.
    pub id: UserId,
    /// What they are called.
    pub name: Option<String>,
    /// Their address for mail.
    pub email: Option<String>,
}

impl User {
    /// A user of whom only the id is known.
    pub const fn new(id: UserId) -> Self {
        Self { id, name: None, email: None }
    }

    /// What they are called.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Their address for mail.
    #[must_use]
    pub fn email(mut self, email: impl Into<String>) -> Self {
        self.email = Some(email.into());
        self
    }
}

/// That a person is signed in, for how long, and as what.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Session {
    /// Who is signed in.
    pub user: User,
    /// Roles that hold everywhere.
    pub roles: Vec<String>,
    /// The organisations that the user belongs to, with the roles that hold there.
    pub memberships: Vec<Membership>,
    /// The organisation that the user is working for just now.
    pub organization: Option<OrganizationId>,
    /// What the user may do; nothing that a scope is asked for, unless set.
    pub scopes: ScopeSet,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// What else the session or token says: its claims.
    pub claims: Map<String, Value>,
    /// What knows it, as `AuthContext` names it.
    pub source: Cow<'static, str>,
}

impl Session {
    /// A session of which only the user is known.
    pub fn of(user: User) -> Self {
        Self {
            user,
            roles: Vec::new(),
            memberships: Vec::new(),
            organization: None,
            scopes: ScopeSet::EMPTY,
            expires_at: None,
            claims: Map::new(),
            source: Cow::Borrowed("session"),
        }
    }

    /// What the user is in this organisation; `None` if they do not belong to it.
    pub fn membership(&self, organization: &OrganizationId) -> Option<&Membership> {
        self.memberships.iter().find(|membership| membership.organization == *organization)
    }

    /// Whether this role holds everywhere.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }
}

/// That a person belongs to an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Membership {
    /// The organisation.
    pub organization: OrganizationId,
    /// What it is called, if that is known.
    pub name: Option<String>,
    /// What the person is there.
    pub roles: Vec<String>,
}

impl Membership {
    /// Belongs to `organization`, with these roles.
    pub fn new(organization: OrganizationId, roles: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { organization, name: None, roles: roles.into_iter().map(Into::into).collect() }
    }

    /// What the organisation is called.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether the person is this there.
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|held| held == role)
    }
}
