//! The keys that count just now.

use serde_json::Value;

use super::key::{UnusableKey, VerificationKey};
use super::token::Token;
use super::{JwtAlgorithm, json};

/// The keys that count just now.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<VerificationKey>,
    /// Whether a token's `kid` has to name one of the keys. It does not where there is nothing to choose from.
    named: bool,
}

/// What the keys say of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signature {
    /// It was signed with one of them.
    Good,
    /// The key that it names did not sign it.
    Forged,
    /// None of the keys is the one that it names, or none signed a token that names no key. A later set may have it.
    UnknownKey,
}

/// A text is no set of keys, or of none that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum KeySetError {
    #[error("is no JWK set (RFC 7517 §5): an object with a list of objects, `keys`, and no member twice")]
    Malformed,
    #[error("has more than {} keys", KeySet::MAX_KEYS)]
    TooMany,
    #[error("has no key that can be used with the configured algorithms{}", first(.0))]
    NoneUsable(Option<UnusableKey>),
}

fn first(problem: &Option<UnusableKey>) -> String {
    problem.map(|problem| format!("; of the first, {problem}")).unwrap_or_default()
}

impl KeySet {
    /// More keys than any issuer has: each costs a signature that is checked, for tokens that name no key.
    const MAX_KEYS: usize = 64;

    /// Keys that a token need not name.
    pub(super) fn unnamed(keys: Vec<VerificationKey>) -> Self {
        Self { keys, named: false }
    }

    /// Reads a JWK set, or a single JWK. Keys that are of an unknown type, or for something else, are passed over, as
    /// RFC 7517 §5 asks for. Secrets are taken only where `secrets` says so: a set that others can read has none.
    pub(super) fn parse(text: &[u8], algorithms: &[JwtAlgorithm], secrets: bool) -> Result<Self, KeySetError> {
        let set = json::object(text).ok_or(KeySetError::Malformed)?;
        let listed = match set.get("keys") {
            Some(Value::Array(keys)) => keys.iter().map(Value::as_object).collect::<Option<Vec<_>>>(),
            Some(_) => None,
            None if set.contains_key("kty") => Some(vec![&set]),
            None => None,
        };
        let listed = listed.ok_or(KeySetError::Malformed)?;
        if listed.len() > Self::MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut keys = Vec::with_capacity(listed.len());
        let mut problem = None;
        for jwk in listed {
            match VerificationKey::of_jwk(jwk) {
                Ok(key) if key.is_secret() && !secrets => {
                    problem.get_or_insert(UnusableKey::Purpose);
                }
                Ok(key) if algorithms.iter().any(|algorithm| key.is_for(*algorithm)) => keys.push(key),
                Ok(_) => {}
                Err(unusable) => {
                    problem.get_or_insert(unusable);
                }
            }
        }
        if keys.is_empty() { Err(KeySetError::NoneUsable(problem)) } else { Ok(Self { keys, named: true }) }
    }

    /// Who signed `token`. The algorithm is one of those configured: the caller has made sure of that.
    pub(super) fn check(&self, token: &Token<'_>, algorithm: JwtAlgorithm) -> Signature {
        let named = token.key_id.as_deref().filter(|_| self.named);
        let mut candidates =
            self.keys.iter().filter(|key| key.is_for(algorithm) && (named.is_none() || key.id() == named)).peekable();
        if candidates.peek().is_none() {
            return Signature::UnknownKey;
        }
        if candidates.any(|key| key.verifies(algorithm, token.message, &token.signature)) {
            Signature::Good
        } else if self.named && named.is_none() {
            Signature::UnknownKey
        } else {
            Signature::Forged
        }
    }
}
