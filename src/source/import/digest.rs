//! How other systems write digests down.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use super::FieldProblem;
use crate::key::{DigestAlgorithm, KeyDigest};

/// Prefixes of texts that are salted password hashes, and what they are called.
const PASSWORD_HASHES: [(&str, &str); 10] = [
    ("pbkdf2_sha256$", "pbkdf2_sha256"),
    ("pbkdf2_sha1$", "pbkdf2_sha1"),
    ("pbkdf2", "pbkdf2"),
    ("bcrypt", "bcrypt"),
    ("$2", "bcrypt"),
    ("scrypt", "scrypt"),
    ("$scrypt", "scrypt"),
    ("argon2", "argon2"),
    ("$argon2", "argon2"),
    ("$pbkdf2", "pbkdf2"),
];

/// The digest that `text` writes in hexadecimal digits of either case, in standard base64, or in base64url without
/// padding; which of them follows from its length.
pub(super) fn parse(text: &str, algorithm: DigestAlgorithm) -> Result<KeyDigest, FieldProblem> {
    if let Some((_, name)) = PASSWORD_HASHES.iter().find(|(prefix, _)| text.starts_with(prefix)) {
        return Err(FieldProblem::PasswordHash(name));
    }
    let length = match algorithm {
        DigestAlgorithm::Sha256 | DigestAlgorithm::HmacSha256(_) => 32,
        DigestAlgorithm::Sha384 => 48,
        DigestAlgorithm::Sha512 => 64,
        DigestAlgorithm::Process => return Err(FieldProblem::NotLookedFor(algorithm)),
    };
    let bytes = decode(text).ok_or(FieldProblem::NoDigest { bytes: length })?;
    if bytes.len() == 20 {
        return Err(FieldProblem::Sha1);
    }
    if bytes.len() != length {
        return Err(FieldProblem::NoDigest { bytes: length });
    }
    let mut half = [0; 32];
    half.copy_from_slice(&bytes[..32]);
    Ok(KeyDigest::new(algorithm, half))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    if matches!(text.len(), 40 | 64 | 96 | 128) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let pairs = text.as_bytes().chunks_exact(2);
        return pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    }
    BASE64_STANDARD.decode(text).or_else(|_| BASE64_URL_SAFE_NO_PAD.decode(text)).ok()
}
