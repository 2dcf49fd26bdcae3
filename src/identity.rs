//! Telling a service behind a gateway who is calling, in a way that it can check.
//!
//! The gateway signs what it knows of the caller, and the service verifies it under the same secret:
//!
//! ```
//! use tower_api_key::clock::{Clock, SystemClock};
//! use tower_api_key::identity::{IdentitySigner, IdentityVerifier};
//! # fn run(context: &tower_api_key::AuthContext) -> Result<(), Box<dyn std::error::Error>> {
//!
//! const SECRET: &str = "a secret of at least 32 characters";
//!
//! // In the gateway, where `context` is the AuthContext of the request:
//! let signer = IdentitySigner::new(SECRET)?;
//! let mut headers = http::HeaderMap::new();
//! signer.write(context, SystemClock.now(), &mut headers);
//!
//! // In the service behind it:
//! let verifier = IdentityVerifier::new(SECRET)?;
//! let identity = verifier.verify(&headers, SystemClock.now())?;
//! assert_eq!(identity.key_id, Some("key_ci".parse()?));
//! # Ok(()) }
//! ```
//!
//! `X-Identity` is base64url without padding of a JSON object: `method`, `keyId`, `user`, `organization`, `scopes`,
//! `requestId`, and `iat`, the time in Unix seconds. `X-Identity-Signature` is base64url without padding of
//! HMAC-SHA-256 under the secret, over the text of `X-Identity`. Whoever has the service's address and not the secret can
//! make neither; still, a service behind a gateway should be reachable through it alone.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::clock::Timestamp;
use crate::context::{AuthContext, AuthMethod};
use crate::error::ConfigError;
use crate::key::{KeyId, OrganizationId, ScopeSet};
use crate::session::User;

/// Who is calling: base64url of JSON.
pub const X_IDENTITY: HeaderName = HeaderName::from_static("x-identity");

/// Base64url of HMAC-SHA-256 over the text of [`X_IDENTITY`].
pub const X_IDENTITY_SIGNATURE: HeaderName = HeaderName::from_static("x-identity-signature");

const LEAST_SECRET: usize = 32;

/// Who a gateway says is calling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Identity {
    /// By what right the request was let in.
    pub method: AuthMethod,
    /// The key, if there is one.
    pub key_id: Option<KeyId>,
    /// The person who is signed in, if one is.
    pub user: Option<User>,
    /// The organisation that the caller belongs to, or is working for.
    pub organization: Option<Organization>,
    /// What the caller may do.
    pub scopes: ScopeSet,
    /// The id of the request; `None` when ids are switched off.
    pub request_id: Option<String>,
    /// When the gateway said so, in Unix seconds.
    #[serde(rename = "iat")]
    pub issued_at: i64,
}

/// The organisation of an [`Identity`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Organization {
    /// Which one.
    pub id: OrganizationId,
}

impl Identity {
    /// What `context` says.
    pub fn of(context: &AuthContext, at: Timestamp) -> Self {
        Self {
            method: context.method(),
            key_id: context.key().map(|key| key.id.clone()),
            user: context.user().cloned(),
            organization: context.organization().cloned().map(|id| Organization { id }),
            scopes: context.scopes().clone(),
            request_id: context.request_id().map(ToString::to_string),
            issued_at: at.unix_seconds(),
        }
    }
}

/// Signs who is calling, for the service behind a gateway.
#[derive(Clone)]
pub struct IdentitySigner(Hmac<Sha256>);

impl IdentitySigner {
    /// Signs under `secret`.
    ///
    /// # Errors
    /// When the secret has fewer than 32 characters. It is never shown.
    pub fn new(secret: &str) -> Result<Self, ConfigError> {
        keyed(secret).map(Self)
    }

    /// Writes both fields, in place of whatever a caller sent under their names.
    pub fn write(&self, context: &AuthContext, at: Timestamp, headers: &mut HeaderMap) {
        remove(headers);
        let json = serde_json::to_vec(&Identity::of(context, at)).unwrap_or_default();
        let identity = BASE64_URL_SAFE_NO_PAD.encode(json);
        let signature = BASE64_URL_SAFE_NO_PAD.encode(self.0.clone().chain_update(&identity).finalize().into_bytes());
        // Base64url is a valid value.
        if let (Ok(identity), Ok(signature)) = (HeaderValue::try_from(identity), HeaderValue::try_from(signature)) {
            headers.insert(X_IDENTITY, identity);
            headers.insert(X_IDENTITY_SIGNATURE, signature);
        }
    }
}

/// Takes both fields out, for a request that is passed on without an identity: also as `X_Identity`, which a service
/// behind CGI or WSGI cannot tell from them (RFC 3875 §4.1.18).
pub fn remove(headers: &mut HeaderMap) {
    let fields: Vec<HeaderName> = headers.keys().filter(|name| is_field(name)).cloned().collect();
    for name in fields {
        headers.remove(name);
    }
}

fn is_field(name: &HeaderName) -> bool {
    let same = |field: &HeaderName| {
        let read = name.as_str().bytes().map(|byte| if byte == b'_' { b'-' } else { byte });
        read.eq(field.as_str().bytes())
    };
    same(&X_IDENTITY) || same(&X_IDENTITY_SIGNATURE)
}

/// Checks what a gateway says of who is calling.
#[derive(Clone)]
pub struct IdentityVerifier {
    secrets: Vec<Hmac<Sha256>>,
    tolerance: Duration,
}

impl IdentityVerifier {
    /// Believes what is signed under `secret`, and not older than a minute.
    ///
    /// # Errors
    /// When the secret has fewer than 32 characters.
    pub fn new(secret: &str) -> Result<Self, ConfigError> {
        Ok(Self { secrets: vec![keyed(secret)?], tolerance: Duration::from_secs(60) })
    }

    /// Believes what is signed under this secret, too: while one takes the place of another.
    ///
    /// # Errors
    /// When the secret has fewer than 32 characters.
    pub fn add_secret(mut self, secret: &str) -> Result<Self, ConfigError> {
        self.secrets.push(keyed(secret)?);
        Ok(self)
    }

    /// How far `iat` may be from the service's own time, either way; a minute, unless set.
    #[must_use]
    pub const fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Who is calling.
    ///
    /// # Errors
    /// When the fields are missing, not by the gateway, or too old. Answer 401 then, or 502 where only the gateway calls.
    pub fn verify(&self, headers: &HeaderMap, now: Timestamp) -> Result<Identity, IdentityError> {
        let identity = only(headers, &X_IDENTITY)?;
        let signature = only(headers, &X_IDENTITY_SIGNATURE)?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| IdentityError::Forged)?;
        let signed = |secret: &Hmac<Sha256>| secret.clone().chain_update(identity).verify_slice(&signature).is_ok();
        if !self.secrets.iter().any(signed) {
            return Err(IdentityError::Forged);
        }
        let json = BASE64_URL_SAFE_NO_PAD.decode(identity).map_err(|_| IdentityError::Malformed)?;
        let identity: Identity = serde_json::from_slice(&json).map_err(|_| IdentityError::Malformed)?;
        let distance = identity.issued_at.abs_diff(now.unix_seconds());
        if distance > self.tolerance.as_secs() { Err(IdentityError::Outdated) } else { Ok(identity) }
    }
}

impl std::fmt::Debug for IdentitySigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentitySigner").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for IdentityVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityVerifier")
            .field("secrets", &self.secrets.len())
            .field("tolerance", &self.tolerance)
            .finish()
    }
}

/// Why an identity is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// One of the fields is not there.
    #[error("the request carries no identity")]
    Missing,
    /// One of the fields is there more than once.
    #[error("the request carries more than one identity")]
    Ambiguous,
    /// The signature is by another secret, or of another identity.
    #[error("the identity is not signed by the gateway")]
    Forged,
    /// It is signed, and yet not written as an identity is.
    #[error("the identity is malformed")]
    Malformed,
    /// It was signed too long ago, or at a time that has not come.
    #[error("the identity was signed at another time")]
    Outdated,
}

fn keyed(secret: &str) -> Result<Hmac<Sha256>, ConfigError> {
    let short = || ConfigError::new("identity secret", format_args!("it needs at least {LEAST_SECRET} characters"));
    if secret.chars().count() < LEAST_SECRET {
        return Err(short());
    }
    Hmac::new_from_slice(secret.as_bytes()).map_err(|_| short())
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a [u8], IdentityError> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Err(IdentityError::Missing),
        (Some(value), None) => Ok(value.as_bytes()),
        (Some(_), Some(_)) => Err(IdentityError::Ambiguous),
    }
}
