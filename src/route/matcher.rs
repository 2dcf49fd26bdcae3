//! From a method and a path to the entries of the table that are for them.

use http::Method;

use super::Entry;
use crate::error::ConfigError;

/// Finds the closest pattern among those that are for a method. There is a router for each method that is named and one
/// for the others: in a single one, an entry for `GET` would hide a wider pattern that restricts `DELETE`.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    named: Vec<(Method, matchit::Router<usize>)>,
    others: matchit::Router<usize>,
}

impl Matcher {
    /// `pattern` is how an entry is written here; `None` leaves it out.
    pub(super) fn new(
        entries: &[Entry],
        groups: &mut Vec<Vec<usize>>,
        pattern: impl Fn(&Entry) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let patterns: Vec<_> = entries.iter().map(pattern).collect();
        let mut methods = vec![Method::GET, Method::HEAD];
        for method in entries.iter().filter_map(|entry| entry.methods.0.as_ref()).flatten() {
            if !methods.contains(method) {
                methods.push(method.clone());
            }
        }
        let mut errors = Vec::new();
        let mut router = |method: Option<&Method>| {
            let mut router = matchit::Router::new();
            for (pattern, indices) in by_pattern(entries, &patterns, method) {
                let Entry { setting, pattern: written, .. } = &entries[indices[0]];
                if let Err(error) = router.insert(pattern, groups.len()) {
                    let error = ConfigError::new(*setting, format_args!("{written:?}: {error}"));
                    if !errors.contains(&error) {
                        errors.push(error);
                    }
                }
                groups.push(indices);
            }
            router
        };
        let others = router(None);
        let named = methods.into_iter().map(|method| (method.clone(), router(Some(&method)))).collect();
        ConfigError::all(errors)?;
        Ok(Self { named, others })
    }

    pub(super) fn find(&self, method: &Method, path: &str) -> Option<usize> {
        let named = self.named.iter().find(|(named, _)| named == method);
        named.map_or(&self.others, |(_, router)| router).at(path).ok().map(|found| *found.value)
    }
}

/// The entries that are for `method`, or for every method, by their pattern. One for `HEAD` goes before one for `GET`.
fn by_pattern(entries: &[Entry], patterns: &[Option<String>], method: Option<&Method>) -> Vec<(String, Vec<usize>)> {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for (index, pattern) in patterns.iter().enumerate() {
        if let Some(pattern) = pattern
            && entries[index].methods.is_for(method)
        {
            match groups.iter_mut().find(|(other, _)| other == pattern) {
                Some((_, indices)) => indices.push(index),
                None => groups.push((pattern.clone(), vec![index])),
            }
        }
    }
    if method == Some(&Method::HEAD) {
        for (_, indices) in &mut groups {
            let own = |index: &usize| entries[*index].methods.contains(&Method::HEAD);
            if indices.iter().any(own) {
                indices.retain(own);
            }
        }
    }
    groups
}
