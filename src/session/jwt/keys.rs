//! Where the keys come from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::JwtAlgorithm;
use super::file::KeyFile;
use super::key::VerificationKey;
use super::key_set::KeySet;
use super::remote::{ErasedJwks, JwksRefresh, JwksSource, Remote};
use crate::error::ConfigError;

/// What the signatures of tokens are checked with.
///
/// | kind | keys | a token's `kid` |
/// | --- | --- | --- |
/// | [`secret`](Self::secret) | one secret, or several while one succeeds the other | is ignored |
/// | [`pem`](Self::pem) | one public key | is ignored |
/// | [`jwks`](Self::jwks) | a JWK set, or one JWK | has to name a key; a token without one is tried with all |
/// | [`jwks_file`](Self::jwks_file) | a JWK set in a file, read again when it changes | the same |
/// | [`jwks_url`](Self::jwks_url), [`jwks_from`](Self::jwks_from) | a JWK set that is fetched | the same, and an unknown one has the set fetched again |
///
/// Keys that a token carries or points to (`jwk`, `jku`, `x5c`, `x5u`) are never used.
pub struct JwtKeys(Origin);

enum Origin {
    Secrets(Vec<Zeroizing<Vec<u8>>>),
    Pem(String),
    Jwks(Zeroizing<String>),
    File(PathBuf),
    Fetched { setting: &'static str, source: Result<Box<dyn ErasedJwks>, ConfigError>, refresh: JwksRefresh },
}

impl JwtKeys {
    /// A secret that issuer and service share, for `HS256` and its kin. RFC 7518 §3.2 asks for at least as many bytes as
    /// the hash has; a shorter one is warned about in the log.
    pub fn secret(secret: impl Into<Vec<u8>>) -> Self {
        Self::secrets([secret])
    }

    /// Several secrets, while one succeeds the other. The likeliest first: each costs a digest.
    pub fn secrets<S: Into<Vec<u8>>>(secrets: impl IntoIterator<Item = S>) -> Self {
        Self(Origin::Secrets(secrets.into_iter().map(|secret| Zeroizing::new(secret.into())).collect()))
    }

    /// A public key in PEM, `-----BEGIN PUBLIC KEY-----` (or `RSA PUBLIC KEY`).
    pub fn pem(text: impl Into<String>) -> Self {
        Self(Origin::Pem(text.into()))
    }

    /// The text of a JWK set (RFC 7517 §5), or of a single JWK. Keys for something else, by `use`, `key_ops` or `alg`, or
    /// of types that are not supported, are passed over.
    pub fn jwks(text: impl Into<String>) -> Self {
        Self(Origin::Jwks(Zeroizing::new(text.into())))
    }

    /// A file with the text of a JWK set. A thread looks at it twice a second: a change counts within a second, and one
    /// that makes no sense is logged and leaves the last good keys.
    pub fn jwks_file(path: impl Into<PathBuf>) -> Self {
        Self(Origin::File(path.into()))
    }

    /// A JWK set at an `https://` address; `http://` is taken for loopback addresses alone. See [`JwksRefresh`] for when
    /// it is asked for, and [`HttpJwks`](crate::session::HttpJwks) for how.
    #[cfg(feature = "jwks")]
    pub fn jwks_url(url: &str) -> Self {
        let source = super::HttpJwks::new(url).map(|source| Box::new(source) as Box<dyn ErasedJwks>);
        Self(Origin::Fetched { setting: "jwks_url", source, refresh: JwksRefresh::default() })
    }

    /// A JWK set that `source` fetches, by an HTTP client of your own.
    pub fn jwks_from(source: impl JwksSource) -> Self {
        let source = Ok(Box::new(source) as Box<dyn ErasedJwks>);
        Self(Origin::Fetched { setting: "jwks_from", source, refresh: JwksRefresh::default() })
    }

    /// When a set that is fetched is asked for, and for how long it is good. Means nothing for other keys.
    #[must_use]
    pub fn refresh(mut self, settings: JwksRefresh) -> Self {
        if let Origin::Fetched { refresh, .. } = &mut self.0 {
            *refresh = settings;
        }
        self
    }

    pub(super) fn ring(self, algorithms: &[JwtAlgorithm]) -> Result<Ring, ConfigError> {
        match self.0 {
            Origin::Secrets(secrets) => of_secrets(&secrets, algorithms),
            Origin::Pem(text) => of_pem(&text, algorithms),
            Origin::Jwks(text) => match KeySet::parse(text.as_bytes(), algorithms, true) {
                Ok(keys) => Ok(Ring::Fixed(Arc::new(keys))),
                Err(error) => Err(ConfigError::new("jwks", error)),
            },
            Origin::File(path) => {
                let shown = path.display().to_string();
                let file = KeyFile::open(path, algorithms.to_vec());
                file.map(Ring::File).map_err(|error| ConfigError::new("jwks_file", format!("{shown} {error}")))
            }
            Origin::Fetched { setting, source, refresh } => {
                check_refresh(setting, &refresh)?;
                Ok(Ring::Remote(Remote::new(source?, refresh, algorithms.to_vec())))
            }
        }
    }
}

impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Origin::Secrets(_) => "JwtKeys(Secrets, …)",
            Origin::Pem(_) => "JwtKeys(Pem, …)",
            Origin::Jwks(_) => "JwtKeys(Jwks, …)",
            Origin::File(_) => "JwtKeys(File, …)",
            Origin::Fetched { .. } => "JwtKeys(Fetched, …)",
        })
    }
}

/// The keys of a resolver that was built.
pub(super) enum Ring {
    Fixed(Arc<KeySet>),
    File(Arc<KeyFile>),
    Remote(Arc<Remote>),
}

fn of_secrets(secrets: &[Zeroizing<Vec<u8>>], algorithms: &[JwtAlgorithm]) -> Result<Ring, ConfigError> {
    if secrets.is_empty() || secrets.iter().any(|secret| secret.is_empty()) {
        return Err(ConfigError::new("secret", "an empty one would let everybody sign"));
    }
    let keys: Vec<_> = secrets.iter().map(|secret| VerificationKey::of_secret(secret)).collect();
    if let Some(other) = algorithms.iter().find(|algorithm| !keys[0].is_for(**algorithm)) {
        return Err(ConfigError::new(
            "algorithms",
            format!("{other} is signed with a private key, and not with a secret"),
        ));
    }
    if secrets.iter().any(|secret| secret.len() < 32) {
        tracing::warn!(target: "tower_api_key::session", "a secret of tokens has less than 32 bytes, which can be guessed");
    }
    Ok(Ring::Fixed(Arc::new(KeySet::unnamed(keys))))
}

fn of_pem(text: &str, algorithms: &[JwtAlgorithm]) -> Result<Ring, ConfigError> {
    let key = VerificationKey::of_pem(text).map_err(|error| ConfigError::new("pem", error))?;
    if let Some(other) = algorithms.iter().find(|algorithm| !key.is_for(**algorithm)) {
        return Err(ConfigError::new("algorithms", format!("{other} needs another type of key than that of the PEM")));
    }
    Ok(Ring::Fixed(Arc::new(KeySet::unnamed(vec![key]))))
}

fn check_refresh(setting: &'static str, refresh: &JwksRefresh) -> Result<(), ConfigError> {
    if refresh.deadline.is_zero() || refresh.interval.is_zero() || refresh.max_age.is_zero() {
        return Err(ConfigError::new(setting, "interval, age and deadline must be longer than 0"));
    }
    if refresh.max_age < refresh.refresh_after {
        return Err(ConfigError::new(setting, "a set cannot be used for less long than until it is refreshed"));
    }
    Ok(())
}
