//! Scopes: what a key may do, and what a route asks for.

mod hierarchy;
mod requirement;
mod set;

use std::fmt;

use super::id::{all_within, bounded, name, none_of};

pub use hierarchy::ScopeHierarchy;
pub use requirement::ScopeRequirement;
pub use set::ScopeSet;

name! {
    /// The name of a permission, such as `read` or `webhooks:manage`: 1 to 128 characters of RFC 6749 §3.3 `scope-token`
    /// (visible ASCII without `"` and `\`), and no comma.
    ///
    /// In a grant, `*` stands for every scope and `webhooks:*` for every scope that begins with `webhooks:`.
    ///
    /// ```
    /// use tower_api_key::key::Scope;
    ///
    /// const READ: Scope = Scope::from_static("read");
    /// assert!(Scope::from_static("webhooks:*").grants(&Scope::from_static("webhooks:manage")));
    /// assert!(!Scope::from_static("webhooks:*").grants(&READ));
    /// ```
    Scope, "a scope", "1 to 128 visible ASCII characters without quotes, backslashes and commas", is_scope
}

impl Scope {
    /// Whether a key that has this scope may do what `required` names: the same scope, or a wildcard above it.
    pub fn grants(&self, required: &Self) -> bool {
        let (granted, required) = (self.as_str(), required.as_str());
        if granted == required || granted == "*" {
            return true;
        }
        match granted.strip_suffix('*') {
            Some(stem) if stem.ends_with(':') => required.len() > stem.len() && required.starts_with(stem),
            _ => false,
        }
    }
}

const fn is_scope(text: &[u8]) -> bool {
    bounded(text, 128) && all_within(text, b'!', b'~') && none_of(text, b"\"\\,")
}

fn join<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    parts: impl IntoIterator<Item = T>,
    separator: &str,
) -> fmt::Result {
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{part}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: Scope = Scope::from_static("read");
    const WRITE: Scope = Scope::from_static("write");
    const ADMIN: Scope = Scope::from_static("admin");

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn an_empty_set_grants_nothing() {
        let none = ScopeHierarchy::new();
        assert!(!none.grants(&ScopeSet::EMPTY, &READ));
        assert!(!ScopeRequirement::from(READ).is_met_by(&ScopeSet::EMPTY, &none));
        assert!(none.covers(&ScopeSet::EMPTY, &ScopeSet::EMPTY));
        assert!(!none.covers(&ScopeSet::EMPTY, &set("read")));
    }

    #[test]
    fn an_empty_requirement_is_never_met() {
        let everything = set("*");
        for empty in [ScopeRequirement::all([READ; 0]), ScopeRequirement::any([READ; 0])] {
            assert!(!empty.is_met_by(&everything, &ScopeHierarchy::new()));
            assert!(empty.is_unsatisfiable());
            assert!(empty.and(READ).is_unsatisfiable());
        }
    }

    #[test]
    fn wildcards_cover_what_stands_below_them_and_nothing_beside() {
        for (granted, required, expected) in [
            ("*", "anything", true),
            ("files:*", "files:read", true),
            ("files:*", "files:sub:read", true),
            ("files:*", "files:", false),
            ("files:*", "files", false),
            ("files:*", "filesystem:read", false),
            ("files*", "filesystem", false),
            ("f*:read", "files:read", false),
            ("read", "READ", false),
            ("read", "*", false),
            ("files:read", "files:*", false),
        ] {
            assert_eq!(set(granted).grants(&Scope::new(required).unwrap()), expected, "{granted} for {required}");
        }
    }

    #[test]
    fn implied_scopes_are_followed_also_in_a_circle() {
        let hierarchy = ScopeHierarchy::new().implies(ADMIN, [WRITE]).implies(WRITE, [READ]).implies(READ, [READ]);
        assert!(hierarchy.grants(&set("admin"), &READ));
        assert!(hierarchy.covers(&set("write"), &set("read write")));
        assert!(!hierarchy.covers(&set("write"), &set("admin")));
        assert!(hierarchy.grants(&set("*"), &ADMIN));
    }

    #[test]
    fn a_wildcard_is_covered_by_a_wildcard_alone() {
        let hierarchy = ScopeHierarchy::new();
        assert!(!hierarchy.covers(&set("read write"), &set("*")));
        assert!(!hierarchy.covers(&set("files:read"), &set("files:*")));
        assert!(hierarchy.covers(&set("*"), &set("files:*")));
    }

    #[test]
    fn requirements_nest() {
        let hierarchy = ScopeHierarchy::new();
        let requirement = ScopeRequirement::from([READ, WRITE]).or(ADMIN);
        for (granted, expected) in [("read", false), ("read write", true), ("admin", true), ("", false)] {
            assert_eq!(requirement.is_met_by(&set(granted), &hierarchy), expected, "{granted}");
        }
        assert_eq!(requirement.scopes(), set("admin read write"));
    }

    #[test]
    fn a_scope_that_could_break_a_header_is_refused() {
        for text in ["", "a b", "a\"b", "a\\b", "a,b", "ü", "a\n", &"s".repeat(129)] {
            assert!(Scope::new(text).is_err(), "{text:?}");
        }
    }
}
