//! Signatures by the secrets of Better Auth.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::percent_decode_str;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::session::SessionProblem;

/// A token that is signed, as the table `session` has it.
pub(super) type Token = Zeroizing<String>;

/// Verifies HMAC-SHA-256 under any of the secrets.
pub(super) struct Signer(Vec<Hmac<Sha256>>);

impl Signer {
    pub(super) fn new<'s>(secrets: impl Iterator<Item = &'s str>) -> Self {
        let keyed = |secret: &str| Hmac::new_from_slice(secret.as_bytes());
        let keyed = |secret| keyed(secret).unwrap_or_else(|_| unreachable!("HMAC takes secrets of every length"));
        Self(secrets.map(keyed).collect())
    }

    /// Whether `signature` is that of the text which these parts make, in constant time.
    pub(super) fn verify(&self, parts: &[&str], signature: &[u8]) -> Result<(), SessionProblem> {
        let verifies = |keyed: &Hmac<Sha256>| {
            let mut mac = keyed.clone();
            parts.iter().for_each(|part| mac.update(part.as_bytes()));
            mac.verify_slice(signature).is_ok()
        };
        if self.0.iter().any(verifies) { Ok(()) } else { Err(SessionProblem::Forged) }
    }

    /// The same for a signature in base64url, as tokens of the cookie cache have it.
    pub(super) fn verify_base64url(&self, parts: &[&str], signature: &str) -> Result<(), SessionProblem> {
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| SessionProblem::Malformed)?;
        self.verify(parts, &signature)
    }

    /// The token in a signed cookie: percent-encoded, and its signature in base64 after the last dot.
    pub(super) fn token(&self, text: &str) -> Result<Token, SessionProblem> {
        let decoded = percent_decode_str(text).decode_utf8().map_err(|_| SessionProblem::Malformed)?;
        let decoded = Zeroizing::new(decoded.into_owned());
        let (token, signature) = decoded.rsplit_once('.').ok_or(SessionProblem::Malformed)?;
        let signature = BASE64_STANDARD.decode(signature).map_err(|_| SessionProblem::Malformed)?;
        if token.is_empty() || signature.len() != 32 {
            return Err(SessionProblem::Malformed);
        }
        self.verify(&[token], &signature)?;
        Ok(Zeroizing::new(token.to_owned()))
    }
}
