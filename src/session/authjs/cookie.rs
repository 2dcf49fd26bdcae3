//! Cookies that hold tokens, and the keys that open them.

use crate::session::jwe::{ContentKey, Encryption, Thumbprint};

/// A cookie that holds a session, and how the key for it is derived.
///
/// ```
/// use tower_api_key::session::{AuthJsCookie, AuthJsSessions};
///
/// let people = AuthJsSessions::builder("an-example-of-a-secret-with-44-characters-00")
///     .with_cookies([AuthJsCookie::authjs("acme.sid"), AuthJsCookie::next_auth("acme.old-session")])
///     .build()?;
/// # let _ = people;
/// # Ok::<(), tower_api_key::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthJsCookie {
    name: String,
    maker: Maker,
    salt: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Maker {
    NextAuth,
    AuthJs,
}

impl AuthJsCookie {
    /// A cookie of this name that NextAuth 4 writes.
    pub fn next_auth(name: impl Into<String>) -> Self {
        Self { name: name.into(), maker: Maker::NextAuth, salt: None }
    }

    /// A cookie of this name that Auth.js 5 writes.
    pub fn authjs(name: impl Into<String>) -> Self {
        Self { name: name.into(), maker: Maker::AuthJs, salt: None }
    }

    /// The salt that `encode` was called with, where that was done by hand. Unless set: none for NextAuth 4, the name of the
    /// cookie for Auth.js 5.
    #[must_use]
    pub fn salt(mut self, salt: impl Into<String>) -> Self {
        self.salt = Some(salt.into());
        self
    }

    /// The name of the cookie.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Those that are known without being named: the ones that only a secure site can set come first.
    pub(super) fn known() -> Vec<Self> {
        vec![
            Self::authjs("__Host-authjs.session-token"),
            Self::authjs("__Secure-authjs.session-token"),
            Self::authjs("authjs.session-token"),
            Self::next_auth("__Secure-next-auth.session-token"),
            Self::next_auth("next-auth.session-token"),
        ]
    }

    fn keys(&self, secret: &str) -> Vec<ContentKey> {
        match self.maker {
            Maker::NextAuth => {
                let salt = self.salt.as_deref().unwrap_or_default();
                let suffix = if salt.is_empty() { String::new() } else { format!(" ({salt})") };
                let info = format!("NextAuth.js Generated Encryption Key{suffix}");
                vec![ContentKey::derive(Encryption::A256Gcm, secret, salt, &info)]
            }
            Maker::AuthJs => {
                let salt = self.salt.as_deref().unwrap_or(&self.name);
                let info = format!("Auth.js Generated Encryption Key ({salt})");
                let key = |encryption| ContentKey::derive(encryption, secret, salt, &info);
                vec![
                    key(Encryption::A256CbcHs512).named_by(Thumbprint::Sha512),
                    key(Encryption::A256Gcm).named_by(Thumbprint::Sha256),
                ]
            }
        }
    }
}

/// A cookie, with the keys of all secrets.
pub(super) struct KeyedCookie {
    name: String,
    keys: Vec<ContentKey>,
}

impl KeyedCookie {
    pub(super) fn new<'s>(cookie: &AuthJsCookie, secrets: impl Iterator<Item = &'s str>) -> Self {
        Self { name: cookie.name.clone(), keys: secrets.flat_map(|secret| cookie.keys(secret)).collect() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn keys(&self) -> &[ContentKey] {
        &self.keys
    }
}
