//! Which scopes include others.

use super::{Scope, ScopeSet};

/// Which scopes include others: `admin` implies `read` and `write`.
///
/// ```
/// use tower_api_key::key::{Scope, ScopeHierarchy, ScopeSet};
///
/// const ADMIN: Scope = Scope::from_static("admin");
/// const WRITE: Scope = Scope::from_static("write");
/// const READ: Scope = Scope::from_static("read");
///
/// let hierarchy = ScopeHierarchy::new().implies(ADMIN, [WRITE]).implies(WRITE, [READ]);
/// assert!(hierarchy.grants(&ScopeSet::from(ADMIN), &READ));
/// assert!(!hierarchy.grants(&ScopeSet::from(READ), &WRITE));
/// ```
#[derive(Debug, Clone, Default)]
pub struct ScopeHierarchy(Vec<(Scope, Vec<Scope>)>);

impl ScopeHierarchy {
    /// A hierarchy in which every scope stands alone.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A key with `scope` may do all that `implied` name, and what those imply in turn.
    #[must_use]
    pub fn implies(mut self, scope: Scope, implied: impl IntoIterator<Item = Scope>) -> Self {
        self.0.push((scope, implied.into_iter().collect()));
        self
    }

    /// Whether a key with the scopes `granted` may do what `required` names.
    pub fn grants(&self, granted: &ScopeSet, required: &Scope) -> bool {
        granted.grants(required) || (!self.0.is_empty() && self.closure(granted).iter().any(|s| s.grants(required)))
    }

    /// Whether `granted` allows everything that `other` does: what a key is minted with must not exceed its maker.
    pub fn covers(&self, granted: &ScopeSet, other: &ScopeSet) -> bool {
        other.iter().all(|scope| self.grants(granted, scope))
    }

    fn closure<'a>(&'a self, granted: &'a ScopeSet) -> Vec<&'a Scope> {
        let mut reached: Vec<&Scope> = granted.iter().collect();
        let mut next = 0;
        while next < reached.len() {
            let scope = reached[next];
            for implied in self.0.iter().filter(|(from, _)| scope.grants(from)).flat_map(|(_, implied)| implied) {
                if !reached.contains(&implied) {
                    reached.push(implied);
                }
            }
            next += 1;
        }
        reached
    }
}
