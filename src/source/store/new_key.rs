//! Keys that are made.

use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{Environment, KeyDigest, KeyFormat, KeyId, KeyOwner, KeyRecord, KeyRef, Realm, ScopeSet, SecretKey};
use crate::limit::Quota;

/// What a new key is to be.
///
/// ```
/// use tower_api_key::key::Scope;
/// use tower_api_key::source::NewKey;
///
/// let key = NewKey::named("ci").scopes([Scope::from_static("read")]);
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// What it may do; nothing, unless set.
    pub scopes: ScopeSet,
    /// Whose it is.
    pub owner: KeyOwner,
    /// The part of the deployment that it is for; `live`, unless set.
    pub environment: Option<Environment>,
    /// The protection space that it is bound to.
    pub realm: Option<Realm>,
    /// From when on it is refused; never, unless set.
    pub expires_at: Option<Timestamp>,
    /// The addresses it may be used from.
    pub allowed_ips: Option<IpBlocks>,
    /// The web origins it may be used from.
    pub allowed_origins: Option<Vec<String>>,
    /// Quotas of its own.
    pub rate_limits: Vec<Quota>,
    /// The plan whose quotas it has.
    pub plan: Option<String>,
    /// Facts of the application's own.
    pub metadata: serde_json::Map<String, serde_json::Value>,
}

impl NewKey {
    /// A key with a name, no scopes, no owner and no end.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.scopes = scopes.into();
        self
    }

    /// Whose it is.
    #[must_use]
    pub fn owner(mut self, owner: KeyOwner) -> Self {
        self.owner = owner;
        self
    }

    /// The part of the deployment that it is for.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// From when on it is refused.
    #[must_use]
    pub fn expires_at(mut self, end: Timestamp) -> Self {
        self.expires_at = Some(end);
        self
    }

    /// The addresses it may be used from.
    #[must_use]
    pub fn allowed_ips(mut self, blocks: IpBlocks) -> Self {
        self.allowed_ips = Some(blocks);
        self
    }

    /// The web origins it may be used from.
    #[must_use]
    pub fn allowed_origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.allowed_origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }
}

impl KeyRecord {
    /// The record of a key that was just made: `text` is the key itself, of which only what people recognise it by is
    /// kept.
    pub fn issued(id: KeyId, digest: KeyDigest, format: &KeyFormat, text: &str, key: NewKey) -> Self {
        let mut record = Self::new(id, digest);
        record.name = key.name;
        record.start = format.start(text);
        record.end = KeyFormat::end(text).map(str::to_owned);
        record.prefix = format.prefix().map(str::to_owned);
        record.environment = key.environment.or_else(|| format.has_environment().then_some(Environment::LIVE));
        record.realm = key.realm;
        record.scopes = key.scopes;
        record.owner = key.owner;
        record.expires_at = key.expires_at;
        record.allowed_ips = key.allowed_ips;
        record.allowed_origins = key.allowed_origins;
        record.rate_limits = key.rate_limits;
        record.plan = key.plan;
        record.metadata = key.metadata;
        record
    }
}

/// A key that was made: the only time that its secret is seen.
#[derive(Debug)]
#[must_use = "the secret cannot be had again"]
pub struct IssuedKey {
    /// The key itself, to be handed to its owner once.
    pub secret: SecretKey,
    /// What the store keeps.
    pub record: KeyRef,
}
