//! The settings of [`BetterAuthSessions`].

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::cookie_cache::CookieCacheReader;
use super::database::Database;
use super::signature::Signer;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::statement::Naming;
use super::{BetterAuthCookieCache, BetterAuthError, BetterAuthSessions, Inner, check_cookies, cookie_names};
use crate::error::ConfigError;
use crate::session::verified::VerifiedSessions;

/// Says how [`BetterAuthSessions`] reads sessions.
#[must_use]
pub struct BetterAuthSessionsBuilder {
    secrets: Vec<Zeroizing<String>>,
    prefix: String,
    token_cookies: Option<Vec<String>>,
    cookie_cache: Option<BetterAuthCookieCache>,
    cache_ttl: Duration,
    remembered: usize,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    naming: Naming,
}

impl BetterAuthSessionsBuilder {
    pub(super) fn new(secret: &str) -> Self {
        Self {
            secrets: vec![Zeroizing::new(secret.to_owned())],
            prefix: "better-auth".to_owned(),
            token_cookies: None,
            cookie_cache: None,
            cache_ttl: Duration::ZERO,
            remembered: 1_024,
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            naming: Naming::default(),
        }
    }

    /// Another secret that sessions may be under. Better Auth itself takes signatures of its current secret alone, and older
    /// ones for what it encrypts: so this is for services that learn of a new secret before it or after it.
    pub fn add_secret(mut self, secret: impl AsRef<str>) -> Self {
        self.secrets.push(Zeroizing::new(secret.as_ref().to_owned()));
        self
    }

    /// What its cookies begin with, `advanced.cookiePrefix` of Better Auth; `better-auth`, unless set.
    pub fn cookie_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Reads tokens from these cookies only, the one that counts most first. Unless set, `session_token` behind the prefix,
    /// with `__Secure-` in front and without.
    pub fn with_cookies(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.token_cookies = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Reads the cookie cache, too, and before the tables. Off, unless set: a session in it goes on after signing out, until
    /// the copy is too old.
    pub fn cookie_cache(mut self, cache: BetterAuthCookieCache) -> Self {
        self.cookie_cache = Some(cache);
        self
    }

    /// For how long the answer of the database is used again; not at all, unless set. Signing out counts that much later.
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.cache_ttl = ttl;
        self
    }

    /// How many sessions are remembered, of the cookie cache and, within the [time](Self::cache_ttl), of the database; 1,024
    /// unless set, and 0 for none.
    pub fn remembered(mut self, sessions: usize) -> Self {
        self.remembered = sessions;
        self
    }

    /// The sessions, without a database: for services that know the cookie cache alone.
    ///
    /// # Errors
    /// When there is no [`cookie_cache`](Self::cookie_cache), a secret is empty, or a cookie has no name.
    pub fn build(self) -> Result<BetterAuthSessions, ConfigError> {
        if self.cookie_cache.is_none() {
            return Err(ConfigError::new("cookie_cache", "without a database and without it no session can be read"));
        }
        self.checked()?.assemble(None)
    }

    /// The sessions in the database at this URL: `sqlite:<path>` (feature `sqlite`) or `postgres://…` (feature
    /// `postgres`), as SQLx has them. A file of SQLite is opened for reading alone.
    ///
    /// # Errors
    /// When the URL is neither, or its feature is off; when the database does not answer or has not the tables of Better
    /// Auth; and as [`build`](Self::build) has it. No error holds the URL.
    pub async fn connect(self, url: impl AsRef<str>) -> Result<BetterAuthSessions, BetterAuthError> {
        let builder = self.checked()?;
        let database = builder.open(url.as_ref()).await?;
        Ok(builder.assemble(Some(database))?)
    }

    async fn open(&self, url: &str) -> Result<Database, BetterAuthError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Database::open_sqlite(url, self.naming).await,
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => Database::open_postgres(url, self.naming).await,
            _ => Err(ConfigError::new("url", "must begin with sqlite: or postgres:, and that feature be on").into()),
        }
    }

    /// Every mistake that needs no database to be seen.
    fn checked(self) -> Result<Self, ConfigError> {
        let empty = self.secrets.iter().any(|secret| secret.is_empty());
        let cookies = self.token_cookies.as_ref().map(|cookies| check_cookies("cookies", cookies));
        let prefix = self.prefix.is_empty().then(|| ConfigError::new("cookie_prefix", "is empty"));
        ConfigError::all(
            empty
                .then(|| ConfigError::new("secret", "is empty"))
                .into_iter()
                .chain(prefix)
                .chain(cookies.and_then(Result::err)),
        )?;
        Ok(self)
    }

    fn assemble(self, database: Option<Database>) -> Result<BetterAuthSessions, ConfigError> {
        let secrets = || self.secrets.iter().map(|secret| secret.as_str());
        let token_cookies = match database {
            Some(_) => self.token_cookies.unwrap_or_else(|| cookie_names(&self.prefix, "session_token")),
            None => Vec::new(),
        };
        let cookie_cache = self.cookie_cache.map(|cache| CookieCacheReader::new(cache, &self.prefix, secrets()));
        Ok(BetterAuthSessions(Arc::new(Inner {
            signer: Signer::new(secrets()),
            token_cookies,
            cookie_cache: cookie_cache.transpose()?,
            database,
            cache_ttl: self.cache_ttl,
            verified: VerifiedSessions::new(self.remembered),
        })))
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl BetterAuthSessionsBuilder {
    /// The tables are named `sessions`, `users` and `members`: `usePlural` of Better Auth's adapters.
    pub fn plural_tables(mut self) -> Self {
        self.naming.plural = true;
        self
    }

    /// The columns are named `expires_at`, not `expiresAt`, as ORMs beneath Better Auth may have it.
    pub fn snake_case_columns(mut self) -> Self {
        self.naming.snake_case = true;
        self
    }

    /// The sessions in the database of this pool.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(self, pool: sqlx::SqlitePool) -> Result<BetterAuthSessions, BetterAuthError> {
        let builder = self.checked()?;
        let database = Database::sqlite(pool, builder.naming).await?;
        Ok(builder.assemble(Some(database))?)
    }

    /// The sessions in the database of this pool.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    #[cfg(feature = "postgres")]
    pub async fn postgres(self, pool: sqlx::PgPool) -> Result<BetterAuthSessions, BetterAuthError> {
        let builder = self.checked()?;
        let database = Database::postgres(pool, builder.naming).await?;
        Ok(builder.assemble(Some(database))?)
    }
}

impl fmt::Debug for BetterAuthSessionsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BetterAuthSessionsBuilder")
            .field("secrets", &self.secrets.len())
            .field("cookie_prefix", &self.prefix)
            .field("cookie_cache", &self.cookie_cache)
            .field("cache_ttl", &self.cache_ttl)
            .finish_non_exhaustive()
    }
}
