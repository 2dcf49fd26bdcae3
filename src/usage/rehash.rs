//! Which digest a key should have.

use crate::key::{DigestAlgorithm, KeyDigest};
use crate::source::KeyScheme;

/// The schemes of the store, if it has newer and older ones of one shape; else none.
#[derive(Debug)]
pub(super) struct Rehash(Vec<KeyScheme>);

impl Rehash {
    pub(super) fn new(schemes: Vec<KeyScheme>) -> Self {
        let first = schemes.first().map(KeyScheme::algorithm);
        let peppered = schemes.iter().any(|scheme| is_peppered(scheme.algorithm()));
        let several = schemes.iter().any(|scheme| Some(scheme.algorithm()) != first);
        Self(if peppered && several { schemes } else { Vec::new() })
    }

    /// The digest that `key`, which was found by `found`, should have instead: that by the first scheme which digests the
    /// same part of it, so that no other key than this one finds the record. From a pepper to none there is no way.
    pub(super) fn target(&self, key: &str, found: &KeyDigest) -> Option<KeyDigest> {
        let first = self.0.first()?;
        if first.algorithm() == found.algorithm() && first.format().accepts(key) {
            return None;
        }
        let made = |scheme: &&KeyScheme| scheme.algorithm() == found.algorithm() && scheme.digest(key) == Some(*found);
        let made_by = self.0.iter().find(made)?;
        let current = self.0.iter().find(|scheme| scheme.digests_alike(made_by, key))?;
        let better = current.algorithm() != found.algorithm() && is_peppered(current.algorithm());
        if better { current.digest(key) } else { None }
    }

    /// The digest that `key` has if it was given a new one a moment ago.
    pub(super) fn current(&self, key: &str) -> Option<KeyDigest> {
        let mut schemes = self.0.iter();
        schemes.find(|scheme| is_peppered(scheme.algorithm()) && scheme.format().accepts(key))?.digest(key)
    }
}

const fn is_peppered(algorithm: DigestAlgorithm) -> bool {
    matches!(algorithm, DigestAlgorithm::HmacSha256(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KeyFormat, KeyHasher, Pepper, PepperId};

    fn pepper(id: u32) -> KeyHasher {
        KeyHasher::hmac_sha256(&Pepper::new(PepperId(id), [id as u8; 32]).unwrap())
    }

    fn rehash(hashers: &[KeyHasher]) -> Rehash {
        let scheme = |hasher: &KeyHasher| KeyScheme::new(KeyFormat::text(), hasher.clone());
        Rehash::new(hashers.iter().map(scheme).collect())
    }

    #[test]
    fn an_older_digest_is_brought_to_the_current_pepper() {
        let rehash = rehash(&[pepper(2), pepper(1), KeyHasher::sha256()]);
        for older in [pepper(1), KeyHasher::sha256()] {
            assert_eq!(rehash.target("key", &older.digest("key")), Some(pepper(2).digest("key")));
        }
        assert_eq!(rehash.target("key", &pepper(2).digest("key")), None);
        assert_eq!(rehash.target("key", &pepper(3).digest("key")), None, "another source's");
        assert_eq!(rehash.target("key", &pepper(1).digest("other")), None);
    }

    #[test]
    fn no_pepper_is_taken_away() {
        let downwards = rehash(&[KeyHasher::sha256(), pepper(1)]);
        assert_eq!(downwards.target("key", &pepper(1).digest("key")), None);
        let sideways = rehash(&[KeyHasher::sha256(), KeyHasher::sha512()]);
        assert_eq!(sideways.target("key", &KeyHasher::sha512().digest("key")), None);
    }
}
