//! For tests: a clock that stands still, contexts for handlers that are called without a layer, and what every
//! [store or limiter of your own](conformance) has to keep to.
//!
//! ```
//! use tower_api_key::key::Scope;
//! use tower_api_key::testing;
//!
//! const READ: Scope = Scope::from_static("read");
//!
//! let auth = testing::context().key("ci").scopes([READ]).build();
//! assert!(auth.require(READ).is_ok());
//! ```

pub mod conformance;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::context::{AuthContext, ContextRules, Principal};
use crate::ip::{ClientIp, UnknownIp};
use crate::key::{
    KeyClass, KeyHasher, KeyId, KeyOwner, KeyRecord, KeyRef, OrganizationId, ScopeHierarchy, ScopeSet, UserId,
};
use crate::request_id::RequestId;
use crate::session::{Session, User};

/// A clock that shows what it is told to. Clones show the same time.
#[derive(Debug, Clone)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Stands at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.unix_micros())))
    }

    /// Moves on by `time`.
    pub fn advance(&self, time: Duration) {
        let now = self.now().saturating_add(time);
        self.0.fetch_max(now.unix_micros(), Ordering::SeqCst);
    }

    /// Shows `now` from here on. Unlike a real clock, it can be set back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.unix_micros(), Ordering::SeqCst);
    }
}

/// Stands at 2026-01-14T18:00:00Z.
impl Default for TestClock {
    fn default() -> Self {
        Self::at(Timestamp::from_unix_seconds(1_768_413_600))
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
    }
}

/// A context for a handler under test; anonymous, unless a key or a user is set.
pub fn context() -> ContextBuilder {
    ContextBuilder::default()
}

/// Settings of a context for tests.
#[derive(Debug, Default)]
#[must_use]
pub struct ContextBuilder {
    name: Option<String>,
    record: Option<KeyRef>,
    scopes: ScopeSet,
    class: KeyClass,
    owner: KeyOwner,
    session: Option<Session>,
    client: Option<IpAddr>,
    hierarchy: ScopeHierarchy,
}

impl ContextBuilder {
    /// The caller has a key of this name, and the id `key_<name>`.
    pub fn key(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The caller has the key of this record.
    pub fn record(mut self, record: impl Into<KeyRef>) -> Self {
        self.record = Some(record.into());
        self
    }

    /// What the key may do.
    pub fn scopes(mut self, scopes: impl Into<ScopeSet>) -> Self {
        self.scopes = scopes.into();
        self
    }

    /// What kind of key it is.
    pub const fn class(mut self, class: KeyClass) -> Self {
        self.class = class;
        self
    }

    /// The organisation that the key belongs to.
    pub fn organization(mut self, organization: OrganizationId) -> Self {
        self.owner.organization = Some(organization);
        self
    }

    /// The caller is this person; with a key as well, this person through that key.
    pub fn user(mut self, id: UserId) -> Self {
        self.session = Some(Session::of(User::new(id)));
        self
    }

    /// The caller has this session; with a key as well, both.
    pub fn session(mut self, session: Session) -> Self {
        self.session = Some(session);
        self
    }

    /// Where the request comes from.
    pub fn client_ip(mut self, address: IpAddr) -> Self {
        self.client = Some(address);
        self
    }

    /// Which scopes include others.
    pub fn scope_hierarchy(mut self, hierarchy: ScopeHierarchy) -> Self {
        self.hierarchy = hierarchy;
        self
    }

    /// The context.
    ///
    /// # Panics
    /// When the name of the key has characters that an id may not have.
    pub fn build(self) -> AuthContext {
        let named = self.name.map(|name| {
            let id = KeyId::new(format!("key_{name}")).unwrap_or_else(|error| panic!("{error}"));
            let mut record = KeyRecord::new(id, KeyHasher::sha256().digest(&name));
            record.name = name;
            record.scopes = self.scopes;
            record.class = self.class;
            record.owner = self.owner;
            KeyRef::from(record)
        });
        let principal = match (self.record.or(named), self.session.map(Arc::new)) {
            (Some(key), Some(session)) => Principal::KeyAndUser(key, session),
            (Some(key), None) => Principal::Key(key),
            (None, Some(session)) => Principal::User(session),
            (None, None) => Principal::Anonymous,
        };
        AuthContext {
            principal,
            client: self.client.map_or(ClientIp::Unknown(UnknownIp::NoPeer), ClientIp::Known),
            request_id: Some(RequestId::fresh()),
            rate_limit: None,
            rules: Arc::new(Arc::new(ContextRules {
                hierarchy: self.hierarchy,
                source: "test".to_owned(),
                unguarded: false,
            })),
        }
    }
}
