//! Two sources as one.

use std::error::Error;
use std::fmt;

use super::{KeyScheme, KeySource, Lookup};
use crate::error::BoxError;
use crate::key::{DigestAlgorithm, KeyDigest, KeyRef};

/// One source, and another for keys that the first does not know. Made by [`KeySource::or`].
///
/// Each source is asked only for digests by an algorithm that it states in its schemes. A record that names no source
/// of its own is shown with the name of the whole chain.
#[derive(Debug, Clone)]
pub struct Or<A, B> {
    first: Side<A>,
    second: Side<B>,
    name: String,
}

#[derive(Debug, Clone)]
struct Side<S> {
    source: S,
    algorithms: Vec<DigestAlgorithm>,
}

impl<S: KeySource> Side<S> {
    fn new(source: S) -> Self {
        let algorithms = source.schemes().iter().map(KeyScheme::algorithm).collect();
        Self { source, algorithms }
    }

    fn knows(&self, digest: &KeyDigest) -> bool {
        self.algorithms.contains(&digest.algorithm())
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        if self.knows(digest) { self.source.find_now(digest) } else { Lookup::Absent }
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, S::Error> {
        match self.find_now(digest) {
            Lookup::Found(found) => Ok(Some(found)),
            Lookup::Absent => Ok(None),
            Lookup::Ask => self.source.find(digest).await,
        }
    }
}

impl<A: KeySource, B: KeySource> Or<A, B> {
    pub(super) fn new(first: A, second: B) -> Self {
        let name = format!("{} or {}", first.name(), second.name());
        Self { first: Side::new(first), second: Side::new(second), name }
    }
}

impl<A: KeySource, B: KeySource> KeySource for Or<A, B> {
    type Error = EitherError;

    fn name(&self) -> &str {
        &self.name
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        let mut schemes = self.first.source.schemes();
        schemes.extend(self.second.source.schemes());
        schemes
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, EitherError> {
        let first = self.first.find(digest).await;
        if let Some(found) = first.map_err(|error| EitherError::new(self.first.source.name(), error))? {
            return Ok(Some(found));
        }
        self.second.find(digest).await.map_err(|error| EitherError::new(self.second.source.name(), error))
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        match self.first.find_now(digest) {
            Lookup::Absent => self.second.find_now(digest),
            decided => decided,
        }
    }

    fn forget(&self, digest: &KeyDigest) {
        self.first.source.forget(digest);
        self.second.source.forget(digest);
    }
}

/// One of two sources could not tell.
#[derive(Debug)]
pub struct EitherError {
    source_name: String,
    error: BoxError,
}

impl EitherError {
    fn new(source_name: &str, error: impl Into<BoxError>) -> Self {
        Self { source_name: source_name.to_owned(), error: error.into() }
    }
}

impl fmt::Display for EitherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the source {} failed", self.source_name)
    }
}

impl Error for EitherError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}
