//! Encrypted tokens (JWE, RFC 7516) of one kind: compact, directly encrypted, as Auth.js and Better Auth make them.
//!
//! A token chooses between the keys that it is opened with, and nothing else: an algorithm that no key is for, a critical
//! extension or compression is refused. The tag is compared before anything is decrypted, in constant time.

use aes::Aes256;
use aes_gcm::aead::{AeadInOut, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cbc::Decryptor;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::SessionProblem;

/// How the content of a token is encrypted (RFC 7518 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Encryption {
    /// AES-GCM under a key of 32 bytes.
    #[serde(rename = "A256GCM")]
    A256Gcm,
    /// AES-CBC and HMAC-SHA-512 under a key of 64 bytes: one half for the tag, one for the cipher.
    #[serde(rename = "A256CBC-HS512")]
    A256CbcHs512,
}

impl Encryption {
    const fn key_len(self) -> usize {
        match self {
            Self::A256Gcm => 32,
            Self::A256CbcHs512 => 64,
        }
    }
}

/// By which digest the thumbprint of a key is made, that names it in the header of a token (RFC 7638).
#[derive(Debug, Clone, Copy)]
pub(super) enum Thumbprint {
    Sha256,
    #[cfg(feature = "sessions-authjs")]
    Sha512,
}

/// A key that opens tokens of one encryption.
pub(super) struct ContentKey {
    encryption: Encryption,
    bytes: Zeroizing<Vec<u8>>,
    name: Option<String>,
}

impl ContentKey {
    /// Derives a key from a secret by HKDF-SHA-256 (RFC 5869).
    pub(super) fn derive(encryption: Encryption, secret: &str, salt: &str, info: &str) -> Self {
        let mut bytes = Zeroizing::new(vec![0; encryption.key_len()]);
        let expanded =
            Hkdf::<Sha256>::new(Some(salt.as_bytes()), secret.as_bytes()).expand(info.as_bytes(), &mut bytes);
        expanded.unwrap_or_else(|_| unreachable!("HKDF-SHA-256 makes up to 8160 bytes"));
        Self { encryption, bytes, name: None }
    }

    /// Opens only tokens that name this key, or none.
    pub(super) fn named_by(mut self, thumbprint: Thumbprint) -> Self {
        let key = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(&*self.bytes));
        let canonical = Zeroizing::new(format!(r#"{{"k":"{}","kty":"oct"}}"#, *key));
        self.name = Some(match thumbprint {
            Thumbprint::Sha256 => BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes())),
            #[cfg(feature = "sessions-authjs")]
            Thumbprint::Sha512 => BASE64_URL_SAFE_NO_PAD.encode(Sha512::digest(canonical.as_bytes())),
        });
        self
    }

    fn is_for(&self, header: &Header) -> bool {
        let named = match (&self.name, &header.kid) {
            (Some(name), Some(kid)) => name == kid,
            _ => true,
        };
        named && self.encryption == header.enc
    }

    fn open(&self, token: &Token<'_>) -> Option<Zeroizing<Vec<u8>>> {
        match self.encryption {
            Encryption::A256Gcm => self.open_gcm(token),
            Encryption::A256CbcHs512 => self.open_cbc(token),
        }
    }

    fn open_gcm(&self, token: &Token<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let nonce = Nonce::try_from(token.iv.as_slice()).ok()?;
        let tag: [u8; 16] = token.tag.as_slice().try_into().ok()?;
        let mut content = Zeroizing::new(token.ciphertext.clone());
        let cipher = Aes256Gcm::new_from_slice(&self.bytes).ok()?;
        cipher.decrypt_inout_detached(&nonce, token.protected, content.as_mut_slice().into(), &tag.into()).ok()?;
        Some(content)
    }

    /// RFC 7518 §5.2.2.2. The tag first: what it does not cover is never decrypted, so that padding tells nothing.
    fn open_cbc(&self, token: &Token<'_>) -> Option<Zeroizing<Vec<u8>>> {
        let (mac_key, cipher_key) = self.bytes.split_at_checked(32)?;
        let mut mac = Hmac::<Sha512>::new_from_slice(mac_key).ok()?;
        for part in [token.protected, &token.iv, &token.ciphertext] {
            mac.update(part);
        }
        mac.update(&(token.protected.len() as u64 * 8).to_be_bytes());
        let tag = mac.finalize().into_bytes();
        // Slices of different lengths are never equal, so that a cut tag is no tag.
        if !bool::from(tag[..32].ct_eq(&token.tag)) {
            return None;
        }
        let mut content = Zeroizing::new(token.ciphertext.clone());
        let cipher = Decryptor::<Aes256>::new_from_slices(cipher_key, &token.iv).ok()?;
        let len = cipher.decrypt_padded::<Pkcs7>(&mut content).ok()?.len();
        content.truncate(len);
        Some(content)
    }
}

/// The content of a token that one of `keys` opens.
///
/// # Errors
/// [`SessionProblem::Malformed`] if it is no such token, and [`SessionProblem::Forged`] if none of the keys opens it.
pub(super) fn open<'k>(
    text: &str,
    keys: impl IntoIterator<Item = &'k ContentKey>,
) -> Result<Zeroizing<Vec<u8>>, SessionProblem> {
    let token = Token::parse(text).ok_or(SessionProblem::Malformed)?;
    let mut keys = keys.into_iter().filter(|key| key.is_for(&token.header));
    keys.find_map(|key| key.open(&token)).ok_or(SessionProblem::Forged)
}

/// A token, taken apart and not yet believed.
struct Token<'a> {
    header: Header,
    /// The first part as it was sent: what the tag covers is the text, not its meaning.
    protected: &'a [u8],
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
    tag: Vec<u8>,
}

/// What a header says. Twice the same member is refused, and so are members that change what the others mean.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "alg")]
    _alg: Direct,
    enc: Encryption,
    kid: Option<String>,
    #[serde(default)]
    zip: Option<IgnoredAny>,
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
enum Direct {
    #[serde(rename = "dir")]
    Direct,
}

impl<'a> Token<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let mut part = || parts.next();
        let (protected, encrypted_key, iv, ciphertext, tag) = (part()?, part()?, part()?, part()?, part()?);
        // Direct encryption has no encrypted key (RFC 7516 §5.2 step 10).
        if part().is_some() || !encrypted_key.is_empty() {
            return None;
        }
        let header: Header = serde_json::from_slice(&decode(protected)?).ok()?;
        if header.zip.is_some() || header.crit.is_some() {
            return None;
        }
        let (iv, ciphertext, tag) = (decode(iv)?, decode(ciphertext)?, decode(tag)?);
        Some(Self { header, protected: protected.as_bytes(), iv, ciphertext, tag })
    }
}

/// Strict base64url (RFC 7515 §2): no padding, no foreign characters, no stray bits at the end.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}
