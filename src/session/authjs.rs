//! The sessions of Auth.js and NextAuth: encrypted tokens in a cookie, for which no one has to be asked.
//!
//! [`AuthJsSessions`] reads what NextAuth 4 and Auth.js 5 (NextAuth 5) write with `session: { strategy: "jwt" }`, their
//! default without a database. It needs the secret that they have, `NEXTAUTH_SECRET` or `AUTH_SECRET`, and nothing else:
//!
//! ```
//! use tower_api_key::ApiKeyLayer;
//! use tower_api_key::session::AuthJsSessions;
//! use tower_api_key::source::MemoryKeys;
//!
//! let people = AuthJsSessions::new("an-example-of-a-secret-with-44-characters-00")?;
//! # let _ = (people, ApiKeyLayer::builder(MemoryKeys::new()));
//! # Ok::<(), tower_api_key::ConfigError>(())
//! ```
//!
//! # What is read
//!
//! | cookie | made by | encryption | key |
//! | --- | --- | --- | --- |
//! | `authjs.session-token`, with `__Secure-` or `__Host-` in front | Auth.js 5 | `A256CBC-HS512` or `A256GCM` | bound to the name of the cookie |
//! | `next-auth.session-token`, with `__Secure-` in front | NextAuth 4 | `A256GCM` | the same for every cookie |
//!
//! Cookies of other names are [`AuthJsCookie`]s.
//!
//! # What is decided
//!
//! 1. The token is five parts of strict base64url, `dir` encrypted in one of the two ways, not compressed, and without
//!    critical extensions.
//! 2. Its tag is right under one of the secrets. If it names its key, only the secret of that name counts.
//! 3. It has a time to end, `exp`, that is not over, and `nbf` is not to come, within the
//!    [tolerance](AuthJsSessionsBuilder::clock_tolerance).
//! 4. It says who is signed in: `sub`, or else `id`.
//!
//! A session cannot be revoked before its time: that is so in Auth.js, too. A new secret ends all of them.
//!
//! Sessions that Auth.js keeps in a database are not read here.

mod builder;
mod cookie;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::validity::Validity;
use super::verified::{PresentedDigest, VerifiedSessions};
use super::{PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver, User, jwe};
use crate::clock::Timestamp;
use crate::error::ConfigError;
use crate::key::UserId;

pub use builder::AuthJsSessionsBuilder;
pub use cookie::AuthJsCookie;

use cookie::KeyedCookie;

/// The sessions of Auth.js and NextAuth. Clones share what they remember. See the [module](self).
#[derive(Clone)]
pub struct AuthJsSessions(Arc<Inner>);

struct Inner {
    cookies: Vec<KeyedCookie>,
    bearer: bool,
    tolerance: Duration,
    verified: VerifiedSessions,
}

/// The place of a token, for the memory of verified ones. Cookies are counted from 0.
const BEARER: u8 = u8::MAX;

impl AuthJsSessions {
    /// Sessions under this secret, with the defaults that [`AuthJsSessionsBuilder`] states.
    ///
    /// # Errors
    /// When the secret is empty.
    pub fn new(secret: impl AsRef<str>) -> Result<Self, ConfigError> {
        Self::builder(secret).build()
    }

    /// Sessions with other settings.
    pub fn builder(secret: impl AsRef<str>) -> AuthJsSessionsBuilder {
        AuthJsSessionsBuilder::new(secret.as_ref())
    }

    fn answer(&self, presented: &PresentedSession, now: Timestamp) -> SessionAnswer {
        let text = presented.expose_secret();
        let (place, cookies) = match presented.cookie_name() {
            Some(name) => match self.0.cookies.iter().position(|cookie| cookie.name() == name) {
                Some(index) => (index as u8, &self.0.cookies[index..=index]),
                None => return SessionAnswer::Absent,
            },
            None if self.0.bearer => (BEARER, &self.0.cookies[..]),
            None => return SessionAnswer::Absent,
        };
        if text.is_empty() {
            return SessionAnswer::Absent;
        }
        let digest = PresentedDigest::of(place, text);
        if let Some(answer) = self.0.verified.get(digest, now) {
            return answer;
        }
        match self.verify(text, cookies, now) {
            Ok((session, validity)) => {
                self.0.verified.keep(digest, &session, validity);
                SessionAnswer::Valid(session)
            }
            Err(problem) => SessionAnswer::Invalid(problem),
        }
    }

    fn verify(
        &self,
        text: &str,
        cookies: &[KeyedCookie],
        now: Timestamp,
    ) -> Result<(Arc<Session>, Validity), SessionProblem> {
        let content = jwe::open(text, cookies.iter().flat_map(KeyedCookie::keys))?;
        let claims: Map<String, Value> = serde_json::from_slice(&content).map_err(|_| SessionProblem::Malformed)?;
        let (validity, expires_at) = Validity::of_claims(&claims, self.0.tolerance)?;
        validity.check(now)?;
        let mut session = Session::of(user(&claims)?);
        session.expires_at = Some(expires_at);
        session.claims = claims;
        session.source = "authjs".into();
        Ok((Arc::new(session), validity))
    }
}

/// Who is signed in. Auth.js writes `sub`; many a callback adds `id`, some of them as a number.
fn user(claims: &Map<String, Value>) -> Result<User, SessionProblem> {
    let id = ["sub", "id"].iter().find_map(|name| match claims.get(*name)? {
        Value::String(id) => UserId::new(id).ok(),
        Value::Number(id) => UserId::new(id.to_string()).ok(),
        _ => None,
    });
    let text = |name: &str| claims.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut user = User::new(id.ok_or(SessionProblem::Nameless)?);
    user.name = text("name");
    user.email = text("email");
    Ok(user)
}

impl SessionResolver for AuthJsSessions {
    type Error = Infallible;

    fn name(&self) -> &str {
        "authjs"
    }

    fn locations(&self) -> Vec<SessionLocation> {
        let cookies = self.0.cookies.iter().map(|cookie| SessionLocation::cookie(cookie.name()));
        cookies.chain(self.0.bearer.then(SessionLocation::bearer)).collect()
    }

    async fn resolve(&self, presented: &PresentedSession, now: Timestamp) -> Result<SessionAnswer, Infallible> {
        Ok(self.answer(presented, now))
    }

    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        Some(self.answer(presented, now))
    }
}

impl fmt::Debug for AuthJsSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthJsSessions").field("locations", &self.locations()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
