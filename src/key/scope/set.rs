//! The scopes that a key has.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Scope, join};
use crate::key::InvalidName;

/// The scopes that a key has. An empty set grants nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ScopeSet(Option<Arc<[Scope]>>);

impl ScopeSet {
    /// The set that grants nothing.
    pub const EMPTY: Self = Self(None);

    /// Reads scopes separated by spaces, as OAuth 2.0 writes them.
    ///
    /// # Errors
    /// When one of them is no scope.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        text.split_ascii_whitespace().map(Scope::new).collect()
    }

    /// Whether the set has no scope in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The scopes as they were given, sorted, each once.
    pub fn iter(&self) -> std::slice::Iter<'_, Scope> {
        self.as_slice().iter()
    }

    /// Whether one of the scopes grants `required`, by itself or by a wildcard. What a scope implies is the business of
    /// a [`ScopeHierarchy`](super::ScopeHierarchy).
    pub fn grants(&self, required: &Scope) -> bool {
        self.iter().any(|granted| granted.grants(required))
    }

    fn as_slice(&self) -> &[Scope] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<_> = scopes.into_iter().collect();
        scopes.sort();
        scopes.dedup();
        if scopes.is_empty() { Self::EMPTY } else { Self(Some(scopes.into())) }
    }
}

impl<const N: usize> From<[Scope; N]> for ScopeSet {
    fn from(scopes: [Scope; N]) -> Self {
        scopes.into_iter().collect()
    }
}

impl From<Scope> for ScopeSet {
    fn from(scope: Scope) -> Self {
        [scope].into()
    }
}

impl<'a> IntoIterator for &'a ScopeSet {
    type Item = &'a Scope;
    type IntoIter = std::slice::Iter<'a, Scope>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, self.iter(), " ")
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for ScopeSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ScopeSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Scope>::deserialize(deserializer)?.into_iter().collect())
    }
}
