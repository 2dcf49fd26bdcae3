//! The settings of [`AuthJsSessions`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::cookie::KeyedCookie;
use super::{AuthJsCookie, AuthJsSessions, BEARER, Inner};
use crate::error::ConfigError;
use crate::session::verified::VerifiedSessions;

/// Says how [`AuthJsSessions`] reads sessions.
#[must_use]
pub struct AuthJsSessionsBuilder {
    secrets: Vec<Zeroizing<String>>,
    cookies: Vec<AuthJsCookie>,
    bearer: bool,
    tolerance: Duration,
    remembered: usize,
}

impl AuthJsSessionsBuilder {
    pub(super) fn new(secret: &str) -> Self {
        Self {
            secrets: vec![Zeroizing::new(secret.to_owned())],
            cookies: AuthJsCookie::known(),
            bearer: false,
            tolerance: Duration::from_secs(15),
            remembered: 1_024,
        }
    }

    /// Another secret that sessions may be under: an older one, after a rotation.
    pub fn add_secret(mut self, secret: impl AsRef<str>) -> Self {
        self.secrets.push(Zeroizing::new(secret.as_ref().to_owned()));
        self
    }

    /// Reads these cookies only, the one that counts most first, in place of those that the [module](super) lists.
    pub fn with_cookies(mut self, cookies: impl IntoIterator<Item = AuthJsCookie>) -> Self {
        self.cookies = cookies.into_iter().collect();
        self
    }

    /// Reads this cookie, too, after the others.
    pub fn add_cookie(mut self, cookie: AuthJsCookie) -> Self {
        self.cookies.push(cookie);
        self
    }

    /// Whether a token may also come as `Authorization: Bearer`, as `getToken` of NextAuth has it. `false`, unless set. Any
    /// of the cookies' keys opens it.
    pub fn bearer(mut self, bearer: bool) -> Self {
        self.bearer = bearer;
        self
    }

    /// How far clocks may differ; 15 seconds, as in Auth.js, unless set.
    pub fn clock_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// How many sessions that were verified lately are remembered, so that they are not decrypted again; 1,024 unless set,
    /// and 0 for none. Each takes the room of its claims.
    pub fn remembered(mut self, sessions: usize) -> Self {
        self.remembered = sessions;
        self
    }

    /// The sessions.
    ///
    /// # Errors
    /// When a secret is empty, when there is no cookie to read or more than 254, or when a cookie has no name or the name of
    /// another.
    pub fn build(self) -> Result<AuthJsSessions, ConfigError> {
        ConfigError::all(self.problems())?;
        let secrets = || self.secrets.iter().map(|secret| secret.as_str());
        Ok(AuthJsSessions(Arc::new(Inner {
            cookies: self.cookies.iter().map(|cookie| KeyedCookie::new(cookie, secrets())).collect(),
            bearer: self.bearer,
            tolerance: self.tolerance,
            verified: VerifiedSessions::new(self.remembered),
        })))
    }

    fn problems(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        if self.secrets.iter().any(|secret| secret.is_empty()) {
            problems.push(ConfigError::new("secret", "is empty"));
        }
        if self.cookies.is_empty() || self.cookies.len() >= usize::from(BEARER) {
            problems.push(ConfigError::new("cookies", "between 1 and 254 are needed"));
        }
        for (index, cookie) in self.cookies.iter().enumerate() {
            if cookie.name().is_empty() {
                problems.push(ConfigError::new("cookies", "one has no name"));
            } else if self.cookies[..index].iter().any(|other| other.name() == cookie.name()) {
                problems.push(ConfigError::new("cookies", format_args!("{} is named twice", cookie.name())));
            }
        }
        problems
    }
}

impl fmt::Debug for AuthJsSessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthJsSessionsBuilder")
            .field("secrets", &self.secrets.len())
            .field("cookies", &self.cookies)
            .field("bearer", &self.bearer)
            .field("clock_tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}
