//! How a store makes keys.

use std::borrow::Cow;
use std::sync::Arc;

use super::{KeyLife, NewKey};
use crate::clock::{Clock, Timestamp};
use crate::key::{Environment, KeyFormat, KeyHasher, KeyId, KeyRecord, RandomError, SecretKey};
use crate::source::KeyScheme;

/// What a store makes keys by: their shape, their digest, how long they may live, and the time.
#[derive(Clone)]
pub(crate) struct Issuer {
    /// What the store is called.
    pub(crate) name: Cow<'static, str>,
    /// The shapes that are accepted; new keys have the first.
    pub(crate) formats: Vec<KeyFormat>,
    /// The digests that keys are accepted by; new keys have the first.
    pub(crate) hashers: Vec<KeyHasher>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) life: KeyLife,
}

impl Issuer {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new key, and its record.
    pub(crate) fn make(&self, key: NewKey, now: Timestamp) -> Result<(SecretKey, KeyRecord), RandomError> {
        let format = &self.formats[0];
        let secret = format.generate(key.environment.as_ref().unwrap_or(&Environment::LIVE))?;
        let text = secret.expose_secret();
        let digest = self.hashers[0].digest(format.digested(text));
        let mut record = KeyRecord::issued(KeyId::generate()?, digest, format, text, key);
        record.source = Some(self.name.clone());
        record.created_at = Some(now);
        Ok((secret, record))
    }

    /// Every shape with every digest.
    pub(crate) fn schemes(&self) -> Vec<KeyScheme> {
        let with_each = |format: &KeyFormat| {
            let format = format.clone();
            self.hashers.iter().map(move |hasher| KeyScheme::new(format.clone(), hasher.clone()))
        };
        self.formats.iter().flat_map(with_each).collect()
    }
}
