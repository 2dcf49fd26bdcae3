//! Who is calling: what the layer puts into the request's extensions, and handlers read.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::clock::Timestamp;
use crate::ip::ClientIp;
use crate::key::{KeyClass, KeyRef, NotAttached, OrganizationId, ScopeHierarchy, ScopeRequirement, ScopeSet};
use crate::limit::LimitState;
use crate::rejection::{Rejection, RejectionReason};
use crate::request_id::RequestId;
use crate::session::{Session, User};

/// Who is calling, by what right, and from where.
///
/// With axum it is an extractor; elsewhere it stands in the request's extensions. Serialises to JSON without any secret:
///
/// ```json
/// { "method": "api_key", "source": "json-file", "keyId": "key_…", "keyName": "ci", "keyStart": "ak_live_3fX9",
///   "user": null, "organization": null, "scopes": ["read"], "clientIp": "127.0.0.1", "requestId": "…",
///   "rateLimit": { "limit": 100, "remaining": 99, "resetAt": "2026-01-14T18:00:00.000Z" } }
/// ```
#[allow(clippy::redundant_allocation, reason = "the outer count is what only some holders share")]
#[derive(Debug, Clone)]
pub struct AuthContext {
    pub(crate) principal: Principal,
    pub(crate) client: ClientIp,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) rate_limit: Option<LimitState>,
    /// Counted apart from the layer, whose count all requests would share.
    pub(crate) rules: Arc<Arc<ContextRules>>,
}

/// What a context has to know of the layer that made it.
#[derive(Debug, Default)]
pub(crate) struct ContextRules {
    pub(crate) hierarchy: ScopeHierarchy,
    /// The name of the layer's source, for records that name none.
    pub(crate) source: String,
    /// The layer lets everything through: it is in a mode for development.
    pub(crate) unguarded: bool,
}

/// Who is calling. A key and a user are different variants, so that the id of one cannot be taken for the other's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Principal {
    /// Nobody in particular.
    Anonymous,
    /// A program with a key.
    Key(KeyRef),
    /// A person with a session.
    User(Arc<Session>),
    /// A person, through a program of their organisation's.
    KeyAndUser(KeyRef, Arc<Session>),
}

/// By what right a request was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuthMethod {
    /// A session.
    Session,
    /// A key that was issued.
    ApiKey,
    /// The operator's key.
    AdminKey,
    /// A client's key from the configuration.
    ClientKey,
    /// A key and a user's token.
    ApiKeyAndUser,
    /// None: the route asks for none, or the layer is switched off for development.
    Anonymous,
}

impl AuthMethod {
    /// The name that JSON and the log have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::ApiKey => "api_key",
            Self::AdminKey => "admin_key",
            Self::ClientKey => "client_key",
            Self::ApiKeyAndUser => "api_key_and_user",
            Self::Anonymous => "anonymous",
        }
    }
}

impl Principal {
    /// By what right this principal is let in.
    pub fn method(&self) -> AuthMethod {
        match self {
            Self::Anonymous => AuthMethod::Anonymous,
            Self::User(_) => AuthMethod::Session,
            Self::KeyAndUser(..) => AuthMethod::ApiKeyAndUser,
            Self::Key(key) => match key.class {
                KeyClass::Standard => AuthMethod::ApiKey,
                KeyClass::Admin => AuthMethod::AdminKey,
                KeyClass::Client => AuthMethod::ClientKey,
            },
        }
    }

    /// The key, if there is one.
    pub const fn key(&self) -> Option<&KeyRef> {
        match self {
            Self::Key(key) | Self::KeyAndUser(key, _) => Some(key),
            Self::Anonymous | Self::User(_) => None,
        }
    }

    /// The person, if there is one. The owner of a key is no person who is calling.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(session) | Self::KeyAndUser(_, session) => Some(&session.user),
            Self::Anonymous | Self::Key(_) => None,
        }
    }

    /// The session, if there is one.
    pub fn session(&self) -> Option<&Session> {
        match self {
            Self::User(session) | Self::KeyAndUser(_, session) => Some(session),
            Self::Anonymous | Self::Key(_) => None,
        }
    }
}

impl Principal {
    /// What it may do: with a key, what the key may, whoever the person is.
    pub fn scopes(&self) -> &ScopeSet {
        const NONE: &ScopeSet = &ScopeSet::EMPTY;
        match self {
            Self::Key(key) | Self::KeyAndUser(key, _) => &key.scopes,
            Self::User(session) => &session.scopes,
            Self::Anonymous => NONE,
        }
    }
}

impl AuthContext {
    /// Who is calling.
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// By what right.
    pub fn method(&self) -> AuthMethod {
        self.principal.method()
    }

    /// The record of the key that was presented.
    pub const fn key(&self) -> Option<&KeyRef> {
        self.principal.key()
    }

    /// The person who is signed in. The owner of a key is not.
    pub fn user(&self) -> Option<&User> {
        self.principal.user()
    }

    /// The session of the person who is signed in: roles, memberships, claims.
    pub fn session(&self) -> Option<&Session> {
        self.principal.session()
    }

    /// The organisation that the key belongs to, or without a key the one that the person is working for just now.
    pub fn organization(&self) -> Option<&OrganizationId> {
        match self.key() {
            Some(key) => key.owner.organization.as_ref(),
            None => self.session().and_then(|session| session.organization.as_ref()),
        }
    }

    /// What the caller may do: the scopes of the key, or without a key those of the session.
    pub fn scopes(&self) -> &ScopeSet {
        self.principal.scopes()
    }

    /// Where the request comes from, through the proxies that are trusted.
    pub const fn client_ip(&self) -> ClientIp {
        self.client
    }

    /// The id of the request; `None` when ids are switched off.
    pub const fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    /// How the limit stands that is closest to its end; `None` without a limit.
    pub const fn rate_limit(&self) -> Option<&LimitState> {
        self.rate_limit.as_ref()
    }

    /// The source that knows the key, or without a key the one that knows the session.
    pub fn source(&self) -> Option<&str> {
        match self.key() {
            Some(key) => Some(key.source.as_deref().unwrap_or(&self.rules.source)),
            None => self.session().map(|session| &*session.source),
        }
    }

    /// Goes on only if the caller has these scopes.
    ///
    /// ```
    /// use tower_api_key::key::Scope;
    /// use tower_api_key::rejection::Rejection;
    /// use tower_api_key::AuthContext;
    ///
    /// const WRITE: Scope = Scope::from_static("write");
    ///
    /// async fn update(auth: AuthContext) -> Result<&'static str, Rejection> {
    ///     auth.require(WRITE)?;
    ///     Ok("updated")
    /// }
    /// ```
    ///
    /// # Errors
    /// 403 `INSUFFICIENT_SCOPE`, or 401 `MISSING_API_KEY` for an anonymous caller. Return it from the handler: the layer
    /// renders it and logs it. A layer that is switched off for development lets everything through.
    pub fn require(&self, requirement: impl Into<ScopeRequirement>) -> Result<(), Rejection> {
        let required = requirement.into();
        if self.rules.unguarded || required.is_met_by(self.scopes(), &self.rules.hierarchy) {
            return Ok(());
        }
        if matches!(self.principal, Principal::Anonymous) {
            return Err(RejectionReason::MissingKey.into());
        }
        let rejection =
            Rejection::from(RejectionReason::InsufficientScope { required, granted: self.scopes().clone() });
        Err(match self.key() {
            Some(key) => rejection.with_key(key),
            None => rejection,
        })
    }

    /// The application's own facts about the key, as a type of its own.
    ///
    /// # Errors
    /// When they are not of that shape. Without a key there are none: an empty map is read.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let metadata = self.key().map(|key| key.metadata.clone()).unwrap_or_default();
        serde_json::from_value(serde_json::Value::Object(metadata))
    }

    /// What the source attached to the record: [`KeyRecord::attach`](crate::key::KeyRecord::attach).
    ///
    /// # Errors
    /// When it attached nothing, or a value of another type.
    pub fn attached<T: Send + Sync + 'static>(&self) -> Result<&T, NotAttached> {
        self.key().map_or_else(|| Err(NotAttached::of::<T>()), |key| key.attached())
    }
}

impl Serialize for AuthContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Organization<'a> {
            id: &'a OrganizationId,
        }
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct RateLimit {
            limit: u32,
            remaining: u32,
            reset_at: Timestamp,
        }
        let key = self.key();
        let rate_limit = self.rate_limit.map(|LimitState { limit, remaining, reset, .. }| RateLimit {
            limit,
            remaining,
            reset_at: reset.rounded_up_to_millis(),
        });
        let mut fields = serializer.serialize_struct("AuthContext", 11)?;
        fields.serialize_field("method", &self.method())?;
        fields.serialize_field("source", &self.source())?;
        fields.serialize_field("keyId", &key.map(|key| &key.id))?;
        fields.serialize_field("keyName", &key.map(|key| &key.name))?;
        fields.serialize_field("keyStart", &key.and_then(|key| key.start.as_ref()))?;
        fields.serialize_field("user", &self.user())?;
        fields.serialize_field("organization", &self.organization().map(|id| Organization { id }))?;
        fields.serialize_field("scopes", self.scopes())?;
        fields.serialize_field("clientIp", &self.client.address())?;
        fields.serialize_field("requestId", &self.request_id)?;
        fields.serialize_field("rateLimit", &rate_limit)?;
        fields.end()
    }
}
