//! The sessions of Better Auth: a signed token in a cookie, and the tables that know it.
//!
//! [`BetterAuthSessions`] needs the secret and the database that Better Auth has, and reads both as it left them:
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn run() -> Result<(), tower_api_key::BoxError> {
//! use tower_api_key::ApiKeyLayer;
//! use tower_api_key::session::BetterAuthSessions;
//! use tower_api_key::source::MemoryKeys;
//!
//! let secret = std::env::var("BETTER_AUTH_SECRET")?;
//! let people = BetterAuthSessions::connect(secret, "sqlite:auth.db").await?; // or "postgres://…"
//! let auth = ApiKeyLayer::builder(MemoryKeys::new()).sessions(people).build()?;
//! # Ok(()) }
//! ```
//!
//! # What is decided
//!
//! 1. The cookie `better-auth.session_token`, or `__Secure-better-auth.session_token`, is a token and its signature:
//!    HMAC-SHA-256 under one of the secrets. What is signed wrongly costs no query.
//! 2. The token is in the table `session`, and its user in `user`: one query, which only reads. Signing out deletes the row,
//!    and so ends the session at once.
//! 3. `expiresAt` has not come.
//!
//! A database that cannot answer is an error, and so a 503.
//!
//! # What is known of a user
//!
//! | of a session | from |
//! | --- | --- |
//! | [`user`](Session::user) | `id`, `name` and `email` of `user` |
//! | [`roles`](Session::roles) | `role` of `user`, which the admin plugin adds: several are separated by commas |
//! | [`memberships`](Session::memberships) | the rows of `member`, a table of the organization plugin, with their roles, and the names in `organization` |
//! | [`organization`](Session::organization) | `activeOrganizationId` of `session`, if the user still belongs to it |
//! | [`claims`](Session::claims) | `session` and `user`, as `getSession` of Better Auth has them, without the token |
//!
//! What a plugin adds is looked for when the database is connected. Whoever adds a plugin restarts the service.
//!
//! # The cookie cache
//!
//! With `session.cookieCache`, Better Auth puts a signed copy of the session into another cookie, so that its own server
//! seldom has to look. [`cookie_cache`](BetterAuthSessionsBuilder::cookie_cache) reads it, and the table if it does not
//! hold. Such a session goes on after signing out, for the `maxAge` of the cache, and knows of no organisation.

mod builder;
mod cookie_cache;
mod database;
mod document;
mod error;
mod signature;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod statement;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::validity::Validity;
use super::verified::{PresentedDigest, VerifiedSessions};
use super::{PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver};
use crate::clock::Timestamp;
use crate::error::ConfigError;

pub use builder::BetterAuthSessionsBuilder;
pub use cookie_cache::BetterAuthCookieCache;
pub use error::BetterAuthError;

use cookie_cache::CookieCacheReader;
use database::Database;
use signature::Signer;

/// The sessions of Better Auth. Clones share the database. See the [module](self).
#[derive(Clone)]
pub struct BetterAuthSessions(Arc<Inner>);

struct Inner {
    signer: Signer,
    token_cookies: Vec<String>,
    cookie_cache: Option<CookieCacheReader>,
    database: Option<Database>,
    cache_ttl: Duration,
    verified: VerifiedSessions,
}

/// What a cookie is for, which is also its place in the memory of verified sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Token,
    CookieCache,
}

impl BetterAuthSessions {
    /// Sessions under this secret, in this database, with the defaults that [`BetterAuthSessionsBuilder`] states.
    ///
    /// # Errors
    /// As [`BetterAuthSessionsBuilder::connect`].
    pub async fn connect(secret: impl AsRef<str>, url: impl AsRef<str>) -> Result<Self, BetterAuthError> {
        Self::builder(secret).connect(url).await
    }

    /// Sessions with other settings.
    pub fn builder(secret: impl AsRef<str>) -> BetterAuthSessionsBuilder {
        BetterAuthSessionsBuilder::new(secret.as_ref())
    }

    fn purpose(&self, presented: &PresentedSession) -> Option<Purpose> {
        let name = presented.cookie_name().filter(|_| !presented.expose_secret().is_empty())?;
        if self.0.token_cookies.iter().any(|cookie| cookie == name) {
            return Some(Purpose::Token);
        }
        let cache = self.0.cookie_cache.as_ref()?;
        cache.cookies().iter().any(|cookie| cookie == name).then_some(Purpose::CookieCache)
    }

    /// What can be told without the database.
    fn answer_now(&self, presented: &PresentedSession, now: Timestamp) -> Told {
        let Some(purpose) = self.purpose(presented) else {
            return Told::Answer(SessionAnswer::Absent);
        };
        let text = presented.expose_secret();
        let digest = PresentedDigest::of(purpose as u8, text);
        if let Some(answer) = self.0.verified.get(digest, now) {
            return Told::Answer(answer);
        }
        match (purpose, &self.0.cookie_cache) {
            (Purpose::CookieCache, Some(cache)) => Told::Answer(match cache.read(text, &self.0.signer, now) {
                Ok((session, validity)) => self.kept(digest, session, validity),
                Err(problem) => problem.into(),
            }),
            _ => match self.0.signer.token(text) {
                Ok(token) => Told::Ask(digest, token),
                Err(problem) => Told::Answer(problem.into()),
            },
        }
    }

    async fn answer(&self, presented: &PresentedSession, now: Timestamp) -> Result<SessionAnswer, BetterAuthError> {
        let (digest, token) = match self.answer_now(presented, now) {
            Told::Answer(answer) => return Ok(answer),
            Told::Ask(digest, token) => (digest, token),
        };
        let Some(database) = &self.0.database else {
            return Ok(SessionAnswer::Absent);
        };
        let Some(document) = database.find(&token).await? else {
            return Ok(SessionProblem::Unknown.into());
        };
        let session = document::session_of_row(&document)?;
        let expires_at = session.expires_at.unwrap_or(Timestamp::UNIX_EPOCH);
        let validity = Validity::until(expires_at);
        if let Err(problem) = validity.check(now) {
            return Ok(problem.into());
        }
        if self.0.cache_ttl.is_zero() {
            return Ok(session.into());
        }
        Ok(self.kept(digest, session, validity.at_most(now.saturating_add(self.0.cache_ttl))))
    }

    fn kept(&self, digest: PresentedDigest, session: Session, validity: Validity) -> SessionAnswer {
        let session = Arc::new(session);
        self.0.verified.keep(digest, &session, validity);
        SessionAnswer::Valid(session)
    }
}

/// What the text of a cookie says by itself.
enum Told {
    Answer(SessionAnswer),
    /// This token is signed, and the database knows whose it is.
    Ask(PresentedDigest, signature::Token),
}

impl SessionResolver for BetterAuthSessions {
    type Error = BetterAuthError;

    fn name(&self) -> &str {
        document::SOURCE
    }

    fn locations(&self) -> Vec<SessionLocation> {
        let cached = self.0.cookie_cache.iter().flat_map(CookieCacheReader::cookies);
        cached.chain(&self.0.token_cookies).map(SessionLocation::cookie).collect()
    }

    async fn resolve(&self, presented: &PresentedSession, now: Timestamp) -> Result<SessionAnswer, BetterAuthError> {
        self.answer(presented, now).await
    }

    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        match self.answer_now(presented, now) {
            Told::Answer(answer) => Some(answer),
            Told::Ask(..) => None,
        }
    }
}

impl fmt::Debug for BetterAuthSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BetterAuthSessions").field("locations", &self.locations()).finish_non_exhaustive()
    }
}

/// The names of a cookie: with `__Secure-` in front, as on HTTPS, and without.
fn cookie_names(prefix: &str, name: &str) -> Vec<String> {
    vec![format!("__Secure-{prefix}.{name}"), format!("{prefix}.{name}")]
}

/// The cookies are some, and none has no name.
fn check_cookies(setting: &str, cookies: &[String]) -> Result<(), ConfigError> {
    if cookies.is_empty() || cookies.iter().any(String::is_empty) {
        return Err(ConfigError::new(setting, "a cookie with a name is needed"));
    }
    Ok(())
}
