//! What a store keeps in place of a key.
//!
//! Keys are random, so a fast hash is the right one: there is nothing to guess, and a password hash would cost every
//! request five to six orders of magnitude more. HMAC-SHA-256 under a pepper, kept apart from the store, adds that
//! whoever reads the store cannot even test a key that was found elsewhere.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::str::FromStr;
use std::sync::OnceLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use super::random::{RandomError, random_alphanumeric};
use crate::error::ConfigError;

/// The digest of a key, and the algorithm that made it.
///
/// Comparing two takes the same time wherever they differ. `Debug` shows the algorithm alone. The text form is for
/// stores: `sha256:<64 hex digits>`, `hmac-sha256.<pepper id>:<64 hex digits>`; see [`KeyDigest::to_stored`].
#[derive(Clone, Copy)]
pub struct KeyDigest {
    algorithm: DigestAlgorithm,
    bytes: [u8; 32],
}

/// How a digest was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DigestAlgorithm {
    /// SHA-256 of the key.
    Sha256,
    /// HMAC-SHA-256 of the key, under the pepper of this id.
    HmacSha256(PepperId),
    /// The first 32 bytes of SHA-384 of the key: for keys that another system digested by SHA-384.
    Sha384,
    /// The first 32 bytes of SHA-512 of the key: for keys that another system digested by SHA-512.
    Sha512,
    /// HMAC-SHA-256 of the key, under a random secret of this process: for keys that are never stored.
    Process,
}

impl KeyDigest {
    /// A digest that was computed elsewhere.
    pub const fn new(algorithm: DigestAlgorithm, bytes: [u8; 32]) -> Self {
        Self { algorithm, bytes }
    }

    /// How it was made.
    pub const fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The digest itself, for stores that keep it as bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The text form, for stores that keep it as text. `None` for a digest of this process alone, which nothing may
    /// store.
    pub fn to_stored(&self) -> Option<String> {
        let label = match self.algorithm {
            DigestAlgorithm::Sha256 => "sha256".to_owned(),
            DigestAlgorithm::HmacSha256(pepper) => format!("hmac-sha256.{pepper}"),
            DigestAlgorithm::Sha384 => "sha384-256".to_owned(),
            DigestAlgorithm::Sha512 => "sha512-256".to_owned(),
            DigestAlgorithm::Process => return None,
        };
        let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
        let mut text = String::with_capacity(label.len() + 65);
        text.push_str(&label);
        text.push(':');
        text.extend(self.bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
        Some(text)
    }
}

impl FromStr for KeyDigest {
    type Err = ParseKeyDigestError;

    /// Reads the text form of [`KeyDigest::to_stored`].
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (label, hex) = text.split_once(':').ok_or(ParseKeyDigestError(()))?;
        let algorithm = match label {
            "sha256" => DigestAlgorithm::Sha256,
            "sha384-256" => DigestAlgorithm::Sha384,
            "sha512-256" => DigestAlgorithm::Sha512,
            _ => {
                let id = label.strip_prefix("hmac-sha256.").and_then(|id| id.parse().ok());
                DigestAlgorithm::HmacSha256(PepperId(id.ok_or(ParseKeyDigestError(()))?))
            }
        };
        let mut bytes = [0; 32];
        if hex.len() != 64 || !hex.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseKeyDigestError(()));
        }
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| ParseKeyDigestError(()))?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| ParseKeyDigestError(()))?;
        }
        Ok(Self { algorithm, bytes })
    }
}

impl PartialEq for KeyDigest {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && bool::from(same_bytes(&self.bytes, &other.bytes))
    }
}

impl Eq for KeyDigest {}

/// In constant time, and eight bytes at once: a byte at a time costs as much as all else that a lookup does.
fn same_bytes(one: &[u8; 32], other: &[u8; 32]) -> Choice {
    let words = |bytes: &[u8; 32]| {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
        }
        words
    };
    let differences = words(one).into_iter().zip(words(other)).fold(0, |all, (one, other)| all | (one ^ other));
    differences.ct_eq(&0)
}

/// A digest is as good as random, so eight bytes of it are its hash.
impl Hash for KeyDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.bytes;
        state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyDigest({:?}, …)", self.algorithm)
    }
}

/// The text is not the stored form of a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a digest such as sha256:<64 lower-case hexadecimal digits>")]
pub struct ParseKeyDigestError(());

/// Names a pepper in stored digests, so that several can be live at once. A number that is never used again for another
/// pepper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PepperId(pub u32);

impl fmt::Display for PepperId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A secret under which keys are digested, kept apart from the store.
pub struct Pepper {
    id: PepperId,
    secret: Zeroizing<Vec<u8>>,
}

impl Pepper {
    /// A pepper out of at least 32 bytes from a random generator.
    ///
    /// # Errors
    /// When the secret is shorter.
    pub fn new(id: PepperId, secret: impl Into<Vec<u8>>) -> Result<Self, ConfigError> {
        let secret = Zeroizing::new(secret.into());
        if secret.len() < 32 {
            return Err(ConfigError::new(format!("pepper {id}"), "must have at least 32 bytes"));
        }
        Ok(Self { id, secret })
    }

    /// A pepper out of standard base64 with padding, as it stands in an environment variable:
    /// `openssl rand -base64 32` makes one.
    ///
    /// # Errors
    /// When the text is no base64, or decodes to less than 32 bytes.
    pub fn from_base64(id: PepperId, text: &str) -> Result<Self, ConfigError> {
        let bytes = BASE64_STANDARD.decode(text.trim());
        Self::new(id, bytes.map_err(|_| ConfigError::new(format!("pepper {id}"), "is no standard base64"))?)
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pepper({}, …)", self.id)
    }
}

/// Computes digests by one algorithm. Cheap to clone.
#[derive(Clone)]
pub struct KeyHasher(Kind);

// The state of an HMAC is kept ready, so that a digest costs two compressions less.
#[allow(clippy::large_enum_variant)]
#[derive(Clone)]
enum Kind {
    Sha256,
    Sha384,
    Sha512,
    Hmac(DigestAlgorithm, Hmac<Sha256>),
}

impl KeyHasher {
    /// SHA-256.
    pub const fn sha256() -> Self {
        Self(Kind::Sha256)
    }

    /// The first two thirds of SHA-384: for imported digests alone.
    pub const fn sha384() -> Self {
        Self(Kind::Sha384)
    }

    /// The first half of SHA-512: for imported digests alone.
    pub const fn sha512() -> Self {
        Self(Kind::Sha512)
    }

    /// HMAC-SHA-256 under `pepper`.
    pub fn hmac_sha256(pepper: &Pepper) -> Self {
        Self::hmac(DigestAlgorithm::HmacSha256(pepper.id), &pepper.secret)
    }

    /// HMAC-SHA-256 under a random secret that this process makes once and never shows: for keys that are given to the
    /// process in plain text. Neither length nor content of such a key can be told from the time a comparison takes.
    ///
    /// # Errors
    /// When the operating system's random generator fails.
    pub fn process() -> Result<Self, RandomError> {
        static SECRET: OnceLock<Zeroizing<String>> = OnceLock::new();
        let secret = match SECRET.get() {
            Some(secret) => secret,
            None => {
                let fresh = Zeroizing::new(random_alphanumeric("", 43)?);
                SECRET.get_or_init(|| fresh)
            }
        };
        Ok(Self::hmac(DigestAlgorithm::Process, secret.as_bytes()))
    }

    fn hmac(algorithm: DigestAlgorithm, secret: &[u8]) -> Self {
        let state = Hmac::new_from_slice(secret);
        Self(Kind::Hmac(algorithm, state.unwrap_or_else(|_| unreachable!("HMAC takes secrets of every length"))))
    }

    /// What its digests are made by.
    pub fn algorithm(&self) -> DigestAlgorithm {
        match &self.0 {
            Kind::Sha256 => DigestAlgorithm::Sha256,
            Kind::Sha384 => DigestAlgorithm::Sha384,
            Kind::Sha512 => DigestAlgorithm::Sha512,
            Kind::Hmac(algorithm, _) => *algorithm,
        }
    }

    /// The digest of a key's text.
    pub fn digest(&self, key: &str) -> KeyDigest {
        let bytes = match &self.0 {
            Kind::Sha256 => sha256(key.as_bytes()),
            Kind::Sha384 => first_half(&Sha384::digest(key)),
            Kind::Sha512 => first_half(&Sha512::digest(key)),
            Kind::Hmac(_, state) => {
                let mut state = state.clone();
                state.update(key.as_bytes());
                state.finalize().into_bytes().into()
            }
        };
        KeyDigest { algorithm: self.algorithm(), bytes }
    }
}

/// SHA-256. Most keys, with what the algorithm appends to them, are one block: for those none is gathered piece by piece.
fn sha256(text: &[u8]) -> [u8; 32] {
    const LENGTH: usize = 56;
    if text.len() >= LENGTH {
        return Sha256::digest(text).into();
    }
    // FIPS 180-4 §5.1.1: the text, a one bit, zeros, and the length in bits.
    let mut block = [0; 64];
    block[..text.len()].copy_from_slice(text);
    block[text.len()] = 0x80;
    block[LENGTH..].copy_from_slice(&(8 * text.len() as u64).to_be_bytes());
    let mut state = SHA_256_INITIAL;
    compress256(&mut state, &[block]);
    let mut digest = [0; 32];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}

/// FIPS 180-4 §5.3.3.
const SHA_256_INITIAL: [u32; 8] =
    [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];

/// The first 32 bytes of a longer digest.
fn first_half(digest: &[u8]) -> [u8; 32] {
    std::array::from_fn(|index| digest[index])
}

impl fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHasher({:?})", self.algorithm())
    }
}

/// Builds the hasher of maps from [`KeyDigest`]: takes the digest's own bytes as they are.
pub(crate) type DigestHasher = BuildHasherDefault<Identity>;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pepper(id: u32, fill: u8) -> Pepper {
        Pepper::new(PepperId(id), vec![fill; 32]).unwrap()
    }

    #[test]
    fn sha_256_is_the_standard_one() {
        // FIPS 180-4, "abc".
        let stored = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(KeyHasher::sha256().digest("abc").to_stored().unwrap(), stored);
    }

    #[test]
    fn texts_of_every_length_have_the_digest_that_the_library_gives_them() {
        for length in 0..200 {
            let text: String = (0..length).map(|index| char::from(b'!' + (index % 94) as u8)).collect();
            let expected: [u8; 32] = Sha256::digest(&text).into();
            assert_eq!(KeyHasher::sha256().digest(&text).as_bytes(), &expected, "{length}");
        }
    }

    #[test]
    fn hmac_sha_256_is_the_standard_one() {
        // RFC 4231 test case 3: a key of 20 bytes 0xaa is too short for a pepper, so test case 6 with 131.
        let hasher = KeyHasher::hmac_sha256(&pepper_of(vec![0xaa; 131]));
        let stored = hasher.digest("Test Using Larger Than Block-Size Key - Hash Key First").to_stored().unwrap();
        assert_eq!(stored, "hmac-sha256.7:60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    }

    fn pepper_of(secret: Vec<u8>) -> Pepper {
        Pepper::new(PepperId(7), secret).unwrap()
    }

    #[test]
    fn the_stored_form_reads_back() {
        let plain = [KeyHasher::sha256(), KeyHasher::sha384(), KeyHasher::sha512()];
        let hashers = plain.into_iter().chain([KeyHasher::hmac_sha256(&pepper(3, 1))]);
        for digest in hashers.map(|hasher| hasher.digest("a key")) {
            assert_eq!(digest.to_stored().unwrap().parse::<KeyDigest>().unwrap(), digest);
        }
        let hex = "0".repeat(64);
        for text in ["", "sha256:", "sha256:00", &format!("md5:{hex}"), &format!("hmac-sha256:{hex}"), &hex] {
            assert!(text.parse::<KeyDigest>().is_err(), "{text}");
        }
        assert!(format!("sha256:{}", "A".repeat(64)).parse::<KeyDigest>().is_err());
        assert!(format!("sha256:+{}", "0".repeat(63)).parse::<KeyDigest>().is_err());
    }

    #[test]
    fn the_same_bytes_by_another_algorithm_are_another_digest() {
        let bytes = [7; 32];
        let digests = [
            KeyDigest::new(DigestAlgorithm::Sha256, bytes),
            KeyDigest::new(DigestAlgorithm::Sha384, bytes),
            KeyDigest::new(DigestAlgorithm::Sha512, bytes),
            KeyDigest::new(DigestAlgorithm::HmacSha256(PepperId(1)), bytes),
            KeyDigest::new(DigestAlgorithm::HmacSha256(PepperId(2)), bytes),
            KeyDigest::new(DigestAlgorithm::Process, bytes),
        ];
        for (index, one) in digests.iter().enumerate() {
            for (other_index, other) in digests.iter().enumerate() {
                assert_eq!(one == other, index == other_index);
            }
        }
    }

    #[test]
    fn a_difference_in_any_bit_is_one() {
        let one = [0x5a; 32];
        assert!(bool::from(same_bytes(&one, &one)));
        for bit in 0..256 {
            let mut other = one;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!bool::from(same_bytes(&one, &other)), "{bit}");
        }
    }

    #[test]
    fn peppers_differ_and_a_short_one_is_refused() {
        let one = KeyHasher::hmac_sha256(&pepper(1, 1)).digest("key");
        let two = KeyHasher::hmac_sha256(&pepper(1, 2)).digest("key");
        assert_ne!(one, two);
        assert!(Pepper::new(PepperId(1), vec![0; 31]).is_err());
        assert!(Pepper::from_base64(PepperId(1), "AAAA").is_err());
        assert!(Pepper::from_base64(PepperId(1), &BASE64_STANDARD.encode([9; 32])).is_ok());
    }

    #[test]
    fn digests_of_the_process_are_stable_in_it_and_cannot_be_stored() {
        let digest = KeyHasher::process().unwrap().digest("key");
        assert_eq!(digest, KeyHasher::process().unwrap().digest("key"));
        assert_eq!(digest.to_stored(), None);
    }

    #[test]
    fn debug_shows_neither_digest_nor_pepper() {
        let hasher = KeyHasher::hmac_sha256(&pepper(1, 0x5a));
        let shown = format!("{:?} {hasher:?} {:?}", hasher.digest("key"), pepper(1, 0x5a));
        assert_eq!(shown, "KeyDigest(HmacSha256(PepperId(1)), …) KeyHasher(HmacSha256(PepperId(1))) Pepper(1, …)");
    }
}
