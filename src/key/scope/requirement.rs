//! What a route asks of a key.

use std::fmt;

use super::{Scope, ScopeHierarchy, ScopeSet, join};

/// What a route asks of a key: one scope, all of several, any of several, or any nesting of these.
///
/// ```
/// use tower_api_key::key::{Scope, ScopeRequirement};
///
/// const READ: Scope = Scope::from_static("read");
/// const WRITE: Scope = Scope::from_static("write");
/// const ADMIN: Scope = Scope::from_static("admin");
///
/// let both = ScopeRequirement::from([READ, WRITE]);
/// assert_eq!(both.or(ADMIN).to_string(), "(read and write) or admin");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRequirement(Node);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    One(Scope),
    All(Vec<Node>),
    Any(Vec<Node>),
}

impl ScopeRequirement {
    /// All of `parts`. With no part it is never met: an empty list is a mistake, not a permission.
    pub fn all(parts: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        Self(Node::All(parts.into_iter().map(|part| part.into().0).collect()))
    }

    /// At least one of `parts`. With no part it is never met.
    pub fn any(parts: impl IntoIterator<Item = impl Into<Self>>) -> Self {
        Self(Node::Any(parts.into_iter().map(|part| part.into().0).collect()))
    }

    /// This and `other`.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        Self::all([self, other.into()])
    }

    /// This or `other`.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        Self::any([self, other.into()])
    }

    /// Whether a key with the scopes `granted` meets it.
    pub fn is_met_by(&self, granted: &ScopeSet, hierarchy: &ScopeHierarchy) -> bool {
        self.0.is_met_by(granted, hierarchy)
    }

    /// The scopes that it names, sorted, each once.
    pub fn scopes(&self) -> ScopeSet {
        let mut scopes = Vec::new();
        self.0.collect(&mut scopes);
        scopes.into_iter().cloned().collect()
    }

    /// Whether nothing can meet it, because a list in it is empty.
    pub fn is_unsatisfiable(&self) -> bool {
        self.0.is_unsatisfiable()
    }
}

impl Node {
    fn is_met_by(&self, granted: &ScopeSet, hierarchy: &ScopeHierarchy) -> bool {
        match self {
            Self::One(scope) => hierarchy.grants(granted, scope),
            Self::All(nodes) => !nodes.is_empty() && nodes.iter().all(|node| node.is_met_by(granted, hierarchy)),
            Self::Any(nodes) => nodes.iter().any(|node| node.is_met_by(granted, hierarchy)),
        }
    }

    fn is_unsatisfiable(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::All(nodes) => nodes.is_empty() || nodes.iter().any(Self::is_unsatisfiable),
            Self::Any(nodes) => nodes.iter().all(Self::is_unsatisfiable),
        }
    }

    fn collect<'a>(&'a self, scopes: &mut Vec<&'a Scope>) {
        match self {
            Self::One(scope) => scopes.push(scope),
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().for_each(|node| node.collect(scopes)),
        }
    }
}

impl From<Scope> for ScopeRequirement {
    fn from(scope: Scope) -> Self {
        Self(Node::One(scope))
    }
}

impl From<&Scope> for ScopeRequirement {
    fn from(scope: &Scope) -> Self {
        scope.clone().into()
    }
}

/// All of the scopes.
impl<const N: usize> From<[Scope; N]> for ScopeRequirement {
    fn from(scopes: [Scope; N]) -> Self {
        Self::all(scopes)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, word) = match self {
            Self::One(scope) => return fmt::Display::fmt(scope, f),
            Self::All(nodes) => (nodes, " and "),
            Self::Any(nodes) => (nodes, " or "),
        };
        let in_brackets = |node: &Self| match node {
            Self::One(scope) => scope.to_string(),
            list => format!("({list})"),
        };
        join(f, nodes.iter().map(in_brackets), word)
    }
}

impl fmt::Display for ScopeRequirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
