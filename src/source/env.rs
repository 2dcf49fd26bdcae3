//! Keys in environment variables.

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{KeyScheme, KeySource, Lookup, MemoryKeys};
use crate::error::ConfigError;
use crate::key::{KeyClass, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef, RandomError, ScopeSet};

/// Keys that stand in plain text in environment variables: an operator's `ADMIN_API_KEY`, a list of clients'
/// `VALID_API_KEYS`.
///
/// They are digested at once under a random secret of the process and compared as digests, so that neither their content
/// nor their length can be told from the time a comparison takes. A key under 32 characters works, and is warned about when
/// a layer takes it up.
///
/// ```
/// use tower_api_key::key::KeyClass;
/// use tower_api_key::source::{EnvKeys, KeySource};
///
/// let admin = EnvKeys::from_value("ADMIN_API_KEY", "an-example-of-32-characters-or-so")?.class(KeyClass::Admin);
/// let clients = EnvKeys::from_list("VALID_API_KEYS", "first-example-of-32-characters-00, second-…")
///     .unwrap_err(); // a key has visible ASCII characters only
/// assert_eq!(clients.problems()[0].setting, "VALID_API_KEYS");
/// # Ok::<(), tower_api_key::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct EnvKeys {
    hasher: KeyHasher,
    records: Vec<KeyRecord>,
    keys: MemoryKeys,
    variable: String,
    /// The entries that are too short, and whether that was said.
    short: Vec<usize>,
    warned: Arc<AtomicBool>,
}

/// Keys shorter than this are warned about.
const SHORT: usize = 32;

impl EnvKeys {
    /// The one key in the variable `name`; none when it is unset or empty.
    ///
    /// # Errors
    /// When the value is no key: it is no visible ASCII, or has a comma or a space in it.
    pub fn variable(name: &str) -> Result<Self, ConfigError> {
        Self::from_value(name, &read(name)?)
    }

    /// The keys in the variable `name`, separated by commas; none when it is unset or empty. Spaces around an entry and
    /// empty entries are ignored.
    ///
    /// # Errors
    /// When an entry is no key.
    pub fn list(name: &str) -> Result<Self, ConfigError> {
        Self::from_list(name, &read(name)?)
    }

    /// As [`variable`](Self::variable), out of a value that was read already.
    ///
    /// # Errors
    /// When the value is no key.
    pub fn from_value(name: &str, value: &str) -> Result<Self, ConfigError> {
        let value = value.trim();
        if value.contains(',') {
            return Err(ConfigError::new(name, "one key is expected, and this one has a comma in it"));
        }
        Self::new(name, [value].into_iter().filter(|value| !value.is_empty()))
    }

    /// As [`list`](Self::list), out of a value that was read already.
    ///
    /// # Errors
    /// When an entry is no key.
    pub fn from_list(name: &str, value: &str) -> Result<Self, ConfigError> {
        Self::new(name, value.split(',').map(str::trim).filter(|entry| !entry.is_empty()))
    }

    fn new<'a>(name: &str, values: impl Iterator<Item = &'a str>) -> Result<Self, ConfigError> {
        let hasher = KeyHasher::process().map_err(|error| ConfigError::new(name, error))?;
        let mut keys = Self {
            hasher,
            records: Vec::new(),
            keys: MemoryKeys::default(),
            variable: name.to_owned(),
            short: Vec::new(),
            warned: Arc::default(),
        };
        for (index, value) in values.enumerate() {
            let entry = index + 1;
            if !KeyFormat::text().accepts(value) {
                let problem = "must be visible ASCII without a space, and at most 512 characters";
                return Err(ConfigError::new(name, format_args!("key {entry} {problem}")));
            }
            if value.len() < SHORT {
                keys.short.push(entry);
            }
            keys.add(name, entry, value)?;
        }
        Ok(keys.rebuilt())
    }

    fn add(&mut self, name: &str, entry: usize, value: &str) -> Result<(), ConfigError> {
        let digest = self.hasher.digest(value);
        if self.records.iter().any(|record| record.digest == digest) {
            return Ok(());
        }
        let id = KeyId::new(format!("env_{name}_{entry}"));
        let id = id.map_err(|_| ConfigError::new(name, "the name of the variable must be visible ASCII"))?;
        let mut record = KeyRecord::new(id, digest);
        record.name = name.to_owned();
        record.start = KeyFormat::text().start(value);
        record.end = KeyFormat::end(value).map(str::to_owned);
        record.source = Some("environment".into());
        record.class = KeyClass::Client;
        self.records.push(record);
        Ok(())
    }

    /// What kind of keys they are; [`KeyClass::Client`], unless set.
    #[must_use]
    pub fn class(self, class: KeyClass) -> Self {
        self.changed(|record| record.class = class)
    }

    /// What they may do; nothing that needs a scope, unless set.
    #[must_use]
    pub fn scopes(self, scopes: impl Into<ScopeSet>) -> Self {
        let scopes = scopes.into();
        self.changed(|record| record.scopes = scopes.clone())
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    fn changed(mut self, change: impl Fn(&mut KeyRecord)) -> Self {
        self.records.iter_mut().for_each(change);
        self.rebuilt()
    }

    fn rebuilt(mut self) -> Self {
        self.keys = MemoryKeys::default();
        for record in &self.records {
            // Ids are numbered, and digests were compared when the records were made.
            let _ = self.keys.insert(record.clone());
        }
        self
    }
}

impl KeySource for EnvKeys {
    type Error = RandomError;

    fn name(&self) -> &str {
        "environment"
    }

    /// Also warns of keys that are too short, once: they are about to be used.
    fn schemes(&self) -> Vec<KeyScheme> {
        if !self.warned.swap(true, Ordering::Relaxed) {
            for entry in &self.short {
                tracing::warn!(
                    target: "tower_api_key::config", variable = self.variable, entry,
                    "this key has under {SHORT} characters, and may be guessed"
                );
            }
        }
        vec![KeyScheme::new(KeyFormat::text(), self.hasher.clone())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, RandomError> {
        Ok(self.keys.lookup(digest))
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        self.keys.find_now(digest)
    }
}

fn read(name: &str) -> Result<String, ConfigError> {
    match env::var(name) {
        Ok(value) => Ok(value),
        Err(env::VarError::NotPresent) => Ok(String::new()),
        Err(env::VarError::NotUnicode(_)) => Err(ConfigError::new(name, "is not valid UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(keys: &EnvKeys, text: &str) -> Option<KeyRef> {
        match keys.find_now(&keys.schemes()[0].digest(text)?) {
            Lookup::Found(found) => Some(found),
            _ => None,
        }
    }

    #[test]
    fn a_list_ignores_spaces_empty_entries_and_repetitions() {
        let keys = EnvKeys::from_list("VALID_API_KEYS", " one-key ,, two-key,one-key, ").unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(found(&keys, "two-key").unwrap().id.as_str(), "env_VALID_API_KEYS_2");
        assert!(found(&keys, "three-key").is_none());
        assert!(found(&keys, " one-key").is_none());
    }

    #[test]
    fn what_no_header_could_carry_is_refused_by_variable_and_entry_and_never_shown() {
        for (value, problem) in [("two keys", "key 1"), ("a,b", "comma"), ("schlüssel", "key 1"), ("a\tb", "key 1")] {
            let error = EnvKeys::from_value("ADMIN_API_KEY", value).unwrap_err().to_string();
            assert!(error.starts_with("ADMIN_API_KEY: ") && error.contains(problem), "{error}");
            assert!(!error.contains(value));
        }
        let error = EnvKeys::from_list("VALID_API_KEYS", "fine,two keys").unwrap_err().to_string();
        assert!(error.contains("key 2"), "{error}");
    }

    #[test]
    fn no_value_is_no_key() {
        for value in ["", "  ", "\n"] {
            let keys = EnvKeys::from_value("ADMIN_API_KEY", value).unwrap();
            assert!(keys.is_empty() && found(&keys, "").is_none());
        }
        assert!(EnvKeys::variable("TOWER_API_KEY_A_VARIABLE_THAT_NOBODY_SETS").unwrap().is_empty());
    }

    #[test]
    fn class_and_scopes_are_those_of_every_key() {
        let keys = EnvKeys::from_list("X", "one,two").unwrap().class(KeyClass::Admin);
        let keys = keys.scopes([crate::key::Scope::from_static("admin")]);
        for text in ["one", "two"] {
            let record = found(&keys, text).unwrap();
            assert_eq!(record.class, KeyClass::Admin);
            assert_eq!(record.scopes.to_string(), "admin");
        }
    }
}
