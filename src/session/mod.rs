//! Who is signed in: sessions and tokens of people.
//!
//! A [`SessionResolver`] is to people what a [`KeySource`](crate::source::KeySource) is to programs. It states where its
//! sessions travel, and the gate hands it what it finds there:
//!
//! ```
//! use tower_api_key::User;
//! use tower_api_key::clock::Timestamp;
//! use tower_api_key::session::{PresentedSession, Session, SessionAnswer, SessionLocation, SessionResolver};
//! # struct Row { user_id: String }
//! # struct Database;
//! # impl Database {
//! #     async fn select_session(&self, token: &str) -> Result<Option<Row>, std::io::Error> { Ok(None) }
//! # }
//!
//! struct TableSessions {
//!     database: Database,
//! }
//!
//! impl SessionResolver for TableSessions {
//!     type Error = std::io::Error;
//!
//!     fn name(&self) -> &str {
//!         "sessions table"
//!     }
//!
//!     fn locations(&self) -> Vec<SessionLocation> {
//!         vec![SessionLocation::cookie("session")]
//!     }
//!
//!     async fn resolve(&self, presented: &PresentedSession, _: Timestamp) -> Result<SessionAnswer, Self::Error> {
//!         let Some(row) = self.database.select_session(presented.expose_secret()).await? else {
//!             return Ok(SessionAnswer::Invalid(tower_api_key::session::SessionProblem::Unknown));
//!         };
//!         let Ok(id) = row.user_id.parse() else {
//!             return Err(std::io::Error::other("the id of a user is no id"));
//!         };
//!         Ok(Session::of(User::new(id)).into())
//!     }
//! }
//! ```

#[cfg(feature = "sessions-authjs")]
pub mod authjs;
#[cfg(feature = "sessions-better-auth")]
pub mod better_auth;
mod erased;
mod extension;
mod identity;
#[cfg(any(feature = "sessions-authjs", feature = "sessions-better-auth"))]
mod jwe;
#[cfg(feature = "jwt")]
mod jwt;
mod places;
mod presented;
#[cfg(feature = "tower-sessions")]
mod tower_sessions;
#[cfg(any(feature = "sessions-authjs", feature = "sessions-better-auth"))]
mod validity;
#[cfg(any(feature = "sessions-authjs", feature = "sessions-better-auth"))]
mod verified;

use std::future::Future;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::error::BoxError;

#[cfg(feature = "sessions-authjs")]
pub use authjs::{AuthJsCookie, AuthJsSessions, AuthJsSessionsBuilder};
#[cfg(feature = "sessions-better-auth")]
pub use better_auth::{BetterAuthCookieCache, BetterAuthError, BetterAuthSessions, BetterAuthSessionsBuilder};
pub use extension::ExtensionSessions;
pub use identity::{Membership, Session, User};
#[cfg(feature = "jwks")]
pub use jwt::{HttpJwks, HttpJwksError};
#[cfg(feature = "jwt")]
pub use jwt::{
    JwksRefresh, JwksSource, JwtAlgorithm, JwtKeys, JwtSessions, JwtSessionsBuilder, JwtSessionsError,
    UnknownJwtAlgorithm,
};
pub use presented::{PresentedSession, SessionLocation};
#[cfg(feature = "tower-sessions")]
pub use tower_sessions::{TowerSessions, TowerSessionsError};

pub(crate) use erased::ErasedSessions;
pub(crate) use places::{Candidates, Carrier, PresentedSessions, Sessions};

/// Answers who a cookie or a token says is calling.
///
/// As with keys, an error says that it could not be told. It becomes a 503, never a 401 and never a way in.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no resolver of sessions",
    note = "implement `tower_api_key::session::SessionResolver`"
)]
pub trait SessionResolver: Send + Sync + 'static {
    /// Why it could not be told. Goes to the log alone.
    type Error: Into<BoxError>;

    /// What it is called in the log.
    fn name(&self) -> &str;

    /// Where its sessions travel, the one that counts most first. Asked once, when the layer is built.
    fn locations(&self) -> Vec<SessionLocation>;

    /// Who it is. Called with what stands in one of the [`locations`](Self::locations), and only if something does.
    ///
    /// # Errors
    /// When the resolver could not find out.
    fn resolve(
        &self,
        presented: &PresentedSession,
        now: Timestamp,
    ) -> impl Future<Output = Result<SessionAnswer, Self::Error>> + Send;

    /// The same without waiting, for what can be told from the text itself or from memory. `None`, the default, means to
    /// ask [`resolve`](Self::resolve).
    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        let _ = (presented, now);
        None
    }
}

/// Who a session says is calling.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionAnswer {
    /// It is not a session of this resolver's, or one in which nobody is signed in: as if nothing had been presented.
    Absent,
    /// It does not hold.
    Invalid(SessionProblem),
    /// It holds.
    Valid(Arc<Session>),
}

impl From<Session> for SessionAnswer {
    fn from(session: Session) -> Self {
        Self::Valid(Arc::new(session))
    }
}

impl From<SessionProblem> for SessionAnswer {
    fn from(problem: SessionProblem) -> Self {
        Self::Invalid(problem)
    }
}

/// Why a session does not hold. For the log; callers learn only that it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SessionProblem {
    /// It was sent more than once, with different values.
    #[error("it was sent more than once")]
    Ambiguous,
    /// It is not written as such a session is.
    #[error("it is malformed")]
    Malformed,
    /// Its signature, or its encryption, is by another secret, or it was changed.
    #[error("it is not signed or encrypted by a secret that counts here")]
    Forged,
    /// Its time is over.
    #[error("it has expired")]
    Expired,
    /// Its time has not come.
    #[error("it is not valid yet")]
    NotYetValid,
    /// Nobody knows it.
    #[error("it is unknown")]
    Unknown,
    /// It is good, but made by someone else, or for someone else: issuer, audience, purpose or version.
    #[error("it is not meant for this service")]
    Misdirected,
    /// It does not say who is signed in.
    #[error("it names no user")]
    Nameless,
}

impl<S: SessionResolver> SessionResolver for Arc<S> {
    type Error = S::Error;

    fn name(&self) -> &str {
        (**self).name()
    }

    fn locations(&self) -> Vec<SessionLocation> {
        (**self).locations()
    }

    fn resolve(
        &self,
        presented: &PresentedSession,
        now: Timestamp,
    ) -> impl Future<Output = Result<SessionAnswer, Self::Error>> + Send {
        (**self).resolve(presented, now)
    }

    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        (**self).resolve_now(presented, now)
    }
}
