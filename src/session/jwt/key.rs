//! A key that signatures are checked with.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::rust_crypto::DEFAULT_PROVIDER;
use serde_json::{Map, Value};

use super::JwtAlgorithm;
use super::algorithm::Family;

/// A key, and what it may be used for.
pub(super) struct VerificationKey {
    id: Option<String>,
    family: Family,
    /// The only algorithm it is for (RFC 7517 §4.4); all of its family, unless it says so.
    algorithm: Option<JwtAlgorithm>,
    key: DecodingKey,
}

/// Why a key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnusableKey {
    #[error("it is of a type that is not supported")]
    Type,
    #[error("it is not for checking signatures")]
    Purpose,
    #[error("it is malformed")]
    Malformed,
    #[error("an RSA key must have 2048 to 4096 bits")]
    RsaLength,
    #[error("it is no public key in PEM (`PUBLIC KEY` or `RSA PUBLIC KEY`)")]
    NoPublicPem,
}

impl VerificationKey {
    pub(super) fn of_secret(secret: &[u8]) -> Self {
        Self { id: None, family: Family::Secret, algorithm: None, key: DecodingKey::from_secret(secret) }
    }

    /// A public key as PEM writes it.
    pub(super) fn of_pem(text: &str) -> Result<Self, UnusableKey> {
        if text.contains("PRIVATE KEY-----") || !text.contains("PUBLIC KEY-----") {
            return Err(UnusableKey::NoPublicPem);
        }
        let pem = text.trim().as_bytes();
        if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            let der = key.try_get_as_bytes().map_err(|_| UnusableKey::Malformed)?;
            let parts = (DEFAULT_PROVIDER.key_utils.rsa_pub_components_from_public_key)(der);
            let (modulus, _) = parts.map_err(|_| UnusableKey::Malformed)?;
            return Self::checked(Family::Rsa, None, key, Some(&modulus));
        }
        if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            let family = match key.try_get_as_bytes().map(<[u8]>::len) {
                Ok(65) => Family::P256,
                Ok(97) => Family::P384,
                _ => return Err(UnusableKey::Type),
            };
            return Self::checked(family, None, key, None);
        }
        let key = DecodingKey::from_ed_pem(pem).map_err(|_| UnusableKey::NoPublicPem)?;
        Self::checked(Family::Ed25519, None, key, None)
    }

    /// A JWK (RFC 7517 §4).
    pub(super) fn of_jwk(jwk: &Map<String, Value>) -> Result<Self, UnusableKey> {
        let (family, key, modulus) = match text(jwk, "kty")? {
            "RSA" => {
                let (modulus, exponent) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
                (Family::Rsa, DecodingKey::from_rsa_raw_components(&modulus, &exponent), Some(modulus))
            }
            "EC" => {
                let (family, length) = match text(jwk, "crv")? {
                    "P-256" => (Family::P256, 32),
                    "P-384" => (Family::P384, 48),
                    _ => return Err(UnusableKey::Type),
                };
                let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
                if x.len() != length || y.len() != length {
                    return Err(UnusableKey::Malformed);
                }
                (family, DecodingKey::from_ec_der(&[&[4][..], &x, &y].concat()), None)
            }
            "OKP" if text(jwk, "crv")? == "Ed25519" => {
                (Family::Ed25519, DecodingKey::from_ed_der(&bytes(jwk, "x")?), None)
            }
            "oct" => (Family::Secret, DecodingKey::from_secret(&bytes(jwk, "k")?), None),
            _ => return Err(UnusableKey::Type),
        };
        if !is_for_signatures(jwk)? {
            return Err(UnusableKey::Purpose);
        }
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => {
                let named = JwtAlgorithm::named(name.as_str().ok_or(UnusableKey::Malformed)?);
                Some(named.filter(|algorithm| algorithm.family() == family).ok_or(UnusableKey::Purpose)?)
            }
        };
        let mut key = Self::checked(family, algorithm, key, modulus.as_deref())?;
        key.id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str().ok_or(UnusableKey::Malformed)?.to_owned()),
        };
        Ok(key)
    }

    fn checked(
        family: Family,
        algorithm: Option<JwtAlgorithm>,
        key: DecodingKey,
        modulus: Option<&[u8]>,
    ) -> Result<Self, UnusableKey> {
        let example = match family {
            Family::Secret => JwtAlgorithm::Hs256,
            Family::Rsa => JwtAlgorithm::Rs256,
            Family::P256 => JwtAlgorithm::Es256,
            Family::P384 => JwtAlgorithm::Es384,
            Family::Ed25519 => JwtAlgorithm::EdDsa,
        };
        if modulus.is_some_and(|modulus| !(2048..=4096).contains(&bit_length(modulus))) {
            return Err(UnusableKey::RsaLength);
        }
        // jsonwebtoken takes the first 32 bytes of an Ed25519 key, and panics when there are fewer.
        if family == Family::Ed25519 && key.try_get_as_bytes().map_or(0, <[u8]>::len) != 32 {
            return Err(UnusableKey::Malformed);
        }
        (DEFAULT_PROVIDER.verifier_factory)(&example.into(), &key).map_err(|_| UnusableKey::Malformed)?;
        Ok(Self { id: None, family, algorithm, key })
    }

    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub(super) const fn is_secret(&self) -> bool {
        matches!(self.family, Family::Secret)
    }

    /// Whether signatures by `algorithm` can be checked with it.
    pub(super) fn is_for(&self, algorithm: JwtAlgorithm) -> bool {
        self.family == algorithm.family() && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` is one of `message`. Compared in constant time where the key is secret.
    pub(super) fn verifies(&self, algorithm: JwtAlgorithm, message: &[u8], signature: &Vec<u8>) -> bool {
        // The provider is named, since the process's default one is chosen by whoever else uses jsonwebtoken.
        self.is_for(algorithm)
            && (DEFAULT_PROVIDER.verifier_factory)(&algorithm.into(), &self.key)
                .is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerificationKey").field("id", &self.id).field("family", &self.family).finish_non_exhaustive()
    }
}

/// `use` and `key_ops` (RFC 7517 §4.2, §4.3).
fn is_for_signatures(jwk: &Map<String, Value>) -> Result<bool, UnusableKey> {
    let by_use = match jwk.get("use") {
        None => true,
        Some(purpose) => purpose.as_str().ok_or(UnusableKey::Malformed)? == "sig",
    };
    let by_operations = match jwk.get("key_ops") {
        None => true,
        Some(operations) => operations.as_array().ok_or(UnusableKey::Malformed)?.iter().any(|name| name == "verify"),
    };
    Ok(by_use && by_operations)
}

fn text<'j>(jwk: &'j Map<String, Value>, member: &str) -> Result<&'j str, UnusableKey> {
    jwk.get(member).and_then(Value::as_str).ok_or(UnusableKey::Malformed)
}

fn bytes(jwk: &Map<String, Value>, member: &str) -> Result<Vec<u8>, UnusableKey> {
    match BASE64_URL_SAFE_NO_PAD.decode(text(jwk, member)?) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(UnusableKey::Malformed),
    }
}

fn bit_length(number: &[u8]) -> usize {
    match number.iter().position(|byte| *byte != 0) {
        Some(first) => (number.len() - first) * 8 - number[first].leading_zeros() as usize,
        None => 0,
    }
}
