//! The table of routes: which are public, which let callers through without a key, and what the others ask for.
//!
//! The table reads the path of the request as it was written, and nothing else: no query, no `Host`, no header that
//! names another URL or method. Two rules keep spelling from mattering:
//!
//! 1. **A permission needs the exact spelling.** A path is public or optional only if it is written as the pattern is. A
//!    pattern with `{name}` or `{*rest}` in it gives none to a path with empty segments, dot segments, or an encoded
//!    slash, backslash or dot.
//! 2. **A restriction holds for every spelling.** Scopes and costs of a pattern also hold for paths that a lenient
//!    service could take for it: in another case, percent-encoded, with doubled or trailing slashes, dot segments,
//!    backslashes, or path parameters (`;a=b`).

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use crate::error::ConfigError;
use crate::key::ScopeRequirement;
use crate::limit::{Limits, Quota, RouteQuotas, Subject};

/// What a route asks of a caller who is known.
///
/// ```
/// use tower_api_key::key::Scope;
/// use tower_api_key::route::Route;
///
/// let route = Route::new().scopes(Scope::from_static("write"));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Route {
    scopes: Option<ScopeRequirement>,
    cost: u32,
    quotas: Vec<Quota>,
}

impl Route {
    /// A route for everybody who is known, at a cost of 1.
    pub const fn new() -> Self {
        Self { scopes: None, cost: 1, quotas: Vec::new() }
    }

    /// The scopes that it needs. An array stands for all of its scopes.
    pub fn scopes(mut self, requirement: impl Into<ScopeRequirement>) -> Self {
        self.scopes = Some(requirement.into());
        self
    }

    /// How many permits of each quota, and how many credits, a request takes; 1, unless set.
    pub const fn cost(mut self, permits: u32) -> Self {
        self.cost = permits;
        self
    }

    /// Adds a quota that each caller has on this route, beside those it has elsewhere.
    pub fn quota(mut self, quota: Quota) -> Self {
        self.quotas.push(quota);
        self
    }

    /// How many permits and credits a request takes.
    pub const fn cost_of_a_request(&self) -> u32 {
        self.cost
    }

    /// The quotas that each caller has on this route.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// The scopes that it needs, if any.
    pub const fn required_scopes(&self) -> Option<&ScopeRequirement> {
        self.scopes.as_ref()
    }
}

impl Default for Route {
    fn default() -> Self {
        Self::new()
    }
}

/// The methods that an entry of the table is for. `HEAD` goes with `GET`, unless it has an entry of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Methods(Option<Vec<Method>>);

impl Methods {
    /// Every method.
    pub const ANY: Self = Self(None);

    fn contains(&self, method: &Method) -> bool {
        self.0.as_ref().is_none_or(|methods| methods.contains(method))
    }
}

impl From<Method> for Methods {
    fn from(method: Method) -> Self {
        Self(Some(vec![method]))
    }
}

impl<const N: usize> From<[Method; N]> for Methods {
    fn from(methods: [Method; N]) -> Self {
        Self(Some(methods.into()))
    }
}

/// How a route treats callers who present nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Openness {
    /// Straight through, for everybody.
    Public,
    /// Through as anonymous; whoever presents something is authenticated.
    Optional,
    /// Refused.
    Guarded,
}

/// One line of the table, as it was given.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) setting: &'static str,
    pub(crate) methods: Methods,
    pub(crate) pattern: String,
    pub(crate) openness: Openness,
    pub(crate) route: Route,
}

/// What the table says of a request. Indices rather than references, so that it can be kept while waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) openness: Openness,
    exact: Option<usize>,
    respelt: Option<usize>,
}

#[derive(Debug)]
pub(crate) struct RouteTable {
    entries: Vec<Entry>,
    default: Route,
    subjects: Vec<Subject>,
    exact: matchit::Router<Vec<usize>>,
    respelt: matchit::Router<Vec<usize>>,
}

impl RouteTable {
    pub(crate) fn new(entries: Vec<Entry>, default: Route) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let (mut exact, mut respelt) = (PatternSet::default(), PatternSet::default());
        for (index, entry) in entries.iter().enumerate() {
            errors.extend(entry.mistake());
            exact.add(entry.pattern.clone(), index);
            if entry.openness == Openness::Guarded {
                respelt.add(respell_pattern(&entry.pattern), index);
            }
        }
        errors.extend(unsatisfiable("default_route", &default));
        ConfigError::all(errors)?;
        let (exact, respelt) = (exact.router(&entries)?, respelt.router(&entries)?);
        let subjects = entries.iter().map(|entry| Subject::route(&entry.pattern)).collect();
        Ok(Self { entries, default, subjects, exact, respelt })
    }

    /// What holds for `method` on `path`, as it was written. A request that was rewritten on its way here, to
    /// `rewritten_to`, gets no permission, and the restrictions of both paths.
    pub(crate) fn rule(&self, method: &Method, path: &str, rewritten_to: Option<&str>) -> Ruling {
        if let Some(current) = rewritten_to {
            let restricted = |path: &str| self.find(&self.respelt, method, &respell(path));
            return Ruling { openness: Openness::Guarded, exact: restricted(path), respelt: restricted(current) };
        }
        let exact = self.find(&self.exact, method, path);
        let respelt = if is_usual(path) { None } else { self.find(&self.respelt, method, &respell(path)) };
        let openness = match exact.map(|index| &self.entries[index]) {
            None => Openness::Guarded,
            Some(entry) if !is_dynamic(&entry.pattern) => entry.openness,
            Some(entry) if is_plain(path) && respelt.is_none() => entry.openness,
            Some(_) => Openness::Guarded,
        };
        Ruling { openness, exact, respelt }
    }

    /// The demands that `ruling` stands for.
    pub(crate) fn routes(&self, ruling: Ruling) -> impl Iterator<Item = &Route> {
        let named = [ruling.exact, ruling.respelt].into_iter().flatten().map(|index| &self.entries[index].route);
        let unnamed = ruling.exact.is_none() && ruling.respelt.is_none();
        named.chain(unnamed.then_some(&self.default))
    }

    /// What a request costs: the dearest of what holds for it.
    pub(crate) fn cost(&self, ruling: Ruling) -> u32 {
        self.routes(ruling).map(Route::cost_of_a_request).max().unwrap_or(1)
    }

    /// The quotas of the route, and what they count under.
    pub(crate) fn quotas(&self, ruling: Ruling) -> Option<RouteQuotas<'_>> {
        let with_quotas = |index: &usize| !self.entries[*index].route.quotas.is_empty();
        let index = [ruling.respelt, ruling.exact].into_iter().flatten().find(with_quotas)?;
        Some(RouteQuotas { route: self.subjects[index], quotas: &self.entries[index].route.quotas })
    }

    /// What is wrong with costs and quotas, given the limits of the layer.
    pub(crate) fn check_limits(&self, limits: Option<&Limits>) -> Result<(), ConfigError> {
        let routes = self.entries.iter().map(|entry| (entry.setting, &*entry.pattern, &entry.route));
        let routes = routes.chain([("default_route", "*", &self.default)]);
        ConfigError::all(routes.flat_map(|(setting, pattern, route)| {
            let named = |problem: String| ConfigError::new(setting, format_args!("{pattern:?}: {problem}"));
            let mut problems: Vec<_> = route
                .quotas
                .iter()
                .filter_map(|quota| quota.validate().err())
                .map(|error| named(error.to_string()))
                .collect();
            match limits {
                Some(limits) => problems
                    .extend(limits.validate_cost("cost", route.cost).iter().map(|error| named(error.to_string()))),
                None if !route.quotas.is_empty() || route.cost != 1 => {
                    problems.push(named("a quota or a cost needs `limits`, which count it".to_owned()));
                }
                None => {}
            }
            problems
        }))
    }

    fn find(&self, router: &matchit::Router<Vec<usize>>, method: &Method, path: &str) -> Option<usize> {
        let candidates = router.at(path).ok()?.value;
        let of =
            |method: &Method| candidates.iter().copied().find(|index| self.entries[*index].methods.contains(method));
        of(method).or_else(|| if method == Method::HEAD { of(&Method::GET) } else { None })
    }
}

impl Entry {
    fn mistake(&self) -> Option<ConfigError> {
        let Self { setting, pattern, .. } = self;
        if !pattern.starts_with('/') {
            return Some(ConfigError::new(*setting, format_args!("{pattern:?} must begin with a slash")));
        }
        if pattern.contains(['?', '#']) {
            return Some(ConfigError::new(*setting, format_args!("{pattern:?}: only paths are matched, no queries")));
        }
        if self.methods.0.as_ref().is_some_and(Vec::is_empty) {
            return Some(ConfigError::new(*setting, format_args!("{pattern:?} is for no method")));
        }
        unsatisfiable(setting, &self.route)
    }
}

fn unsatisfiable(setting: &str, route: &Route) -> Option<ConfigError> {
    let empty = route.scopes.as_ref().is_some_and(ScopeRequirement::is_unsatisfiable);
    empty.then(|| ConfigError::new(setting, "an empty list of scopes can never be met"))
}

/// Entries by their pattern, since one pattern may have several, for different methods.
#[derive(Default)]
struct PatternSet(Vec<(String, Vec<usize>)>);

impl PatternSet {
    fn add(&mut self, pattern: String, index: usize) {
        match self.0.iter_mut().find(|(other, _)| *other == pattern) {
            Some((_, indices)) => indices.push(index),
            None => self.0.push((pattern, vec![index])),
        }
    }

    fn router(self, entries: &[Entry]) -> Result<matchit::Router<Vec<usize>>, ConfigError> {
        let mut router = matchit::Router::new();
        let mut errors = Vec::new();
        for (pattern, indices) in self.0 {
            errors.extend(overlapping(entries, &indices));
            let first = &entries[indices[0]];
            if let Err(error) = router.insert(&pattern, indices) {
                errors.push(ConfigError::new(first.setting, format_args!("{:?}: {error}", first.pattern)));
            }
        }
        ConfigError::all(errors)?;
        Ok(router)
    }
}

/// Two entries for one method of one pattern, or of two that differ only in spelling: the first would silently win.
fn overlapping(entries: &[Entry], indices: &[usize]) -> Option<ConfigError> {
    let with_earlier = indices.iter().enumerate().find_map(|(position, index)| {
        let entry = &entries[*index];
        let mut earlier = indices[..position].iter().map(|index| &entries[*index]);
        Some((entry, earlier.find(|other| entry.methods.overlap(&other.methods))?))
    });
    with_earlier.map(|(entry, other)| {
        let problem = if entry.pattern == other.pattern { "has" } else { "and its other spelling have" };
        ConfigError::new(entry.setting, format_args!("{:?} {problem} two entries for one method", entry.pattern))
    })
}

impl Methods {
    fn overlap(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => one.iter().any(|method| other.contains(method)),
            _ => true,
        }
    }
}

fn is_dynamic(pattern: &str) -> bool {
    pattern.contains('{')
}

/// Whether no service could read the path in two ways.
fn is_plain(path: &str) -> bool {
    let encoded = |segment: &str| {
        let lower = segment.to_ascii_lowercase();
        ["%2f", "%5c", "%2e", "%25", "%00"].iter().any(|code| lower.contains(code))
    };
    let plain = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && !segment.contains(['\\', ';']) && !encoded(segment)
    };
    path == "/" || path.strip_prefix('/').is_some_and(|segments| segments.split('/').all(plain))
}

/// Whether [`respell`] would leave the path as it is.
fn is_usual(path: &str) -> bool {
    let mut previous = 0;
    for byte in path.bytes() {
        if matches!(byte, b'%' | b';' | b'\\' | b'A'..=b'Z') || (previous == b'/' && matches!(byte, b'/' | b'.')) {
            return false;
        }
        previous = byte;
    }
    path == "/" || previous != b'/'
}

/// The path as a lenient service may read it: decoded, in lower case, with dots resolved and slashes merged.
fn respell(path: &str) -> String {
    let mut decoded = Cow::Borrowed(path);
    // Encoded twice or thrice happens behind chains of proxies. More is left alone: nothing decodes it.
    for _ in 0..3 {
        match percent_decode_str(&decoded).decode_utf8_lossy() {
            Cow::Borrowed(_) => break,
            Cow::Owned(text) => decoded = Cow::Owned(text),
        }
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in decoded.split(['/', '\\']) {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    format!("/{}", segments.join("/")).to_lowercase()
}

/// The same for a pattern. Its parameters are named by their place, so that patterns which differ only in those names are
/// one.
fn respell_pattern(pattern: &str) -> String {
    let mut respelt = String::new();
    for (place, segment) in pattern.split('/').filter(|segment| !segment.is_empty()).enumerate() {
        respelt.push('/');
        match (segment.find('{'), segment.rfind('}')) {
            (Some(open), Some(close)) if open < close => {
                let star = if segment[open..].starts_with("{*") { "*" } else { "" };
                respelt.push_str(&segment[..open].to_lowercase());
                respelt.push_str(&format!("{{{star}p{place}}}"));
                respelt.push_str(&segment[close + 1..].to_lowercase());
            }
            _ => respelt.push_str(&segment.to_lowercase()),
        }
    }
    if respelt.is_empty() { "/".to_owned() } else { respelt }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Scope;

    const ADMIN: Scope = Scope::from_static("admin");

    fn entry(openness: Openness, method: Method, pattern: &str) -> Entry {
        let route = if openness == Openness::Guarded { Route::new().scopes(ADMIN) } else { Route::new() };
        Entry { setting: "route", methods: method.into(), pattern: pattern.to_owned(), openness, route }
    }

    fn table() -> RouteTable {
        RouteTable::new(
            vec![
                entry(Openness::Public, Method::GET, "/api/status"),
                entry(Openness::Public, Method::GET, "/files/{name}"),
                entry(Openness::Public, Method::GET, "/static/{*rest}"),
                entry(Openness::Optional, Method::GET, "/feed"),
                entry(Openness::Guarded, Method::POST, "/v1/keys"),
                entry(Openness::Guarded, Method::GET, "/static/private"),
                entry(Openness::Guarded, Method::DELETE, "/v1/keys/{id}"),
            ],
            Route::new(),
        )
        .unwrap()
    }

    fn openness(method: Method, path: &str) -> Openness {
        table().rule(&method, path, None).openness
    }

    fn needs_admin(method: Method, path: &str) -> bool {
        let table = table();
        let ruling = table.rule(&method, path, None);
        table.routes(ruling).any(|route| route.required_scopes().is_some())
    }

    #[test]
    fn a_public_path_is_public_only_as_it_is_written() {
        assert_eq!(openness(Method::GET, "/api/status"), Openness::Public);
        assert_eq!(openness(Method::HEAD, "/api/status"), Openness::Public);
        for path in [
            "/api/status/",
            "//api/status",
            "/api//status",
            "/API/status",
            "/api/Status",
            "/api/./status",
            "/api/x/../status",
            "/api/%73tatus",
            "/api%2fstatus",
            "/api\\status",
            "/api/status;a=b",
            "/api/status%00",
            "/api/status%20",
            "/x/api/status",
            "/api",
            "",
            "*",
            "/",
        ] {
            assert_eq!(openness(Method::GET, path), Openness::Guarded, "{path}");
        }
        for method in [Method::POST, Method::OPTIONS, Method::TRACE, Method::from_bytes(b"get").unwrap()] {
            assert_eq!(openness(method.clone(), "/api/status"), Openness::Guarded, "{method}");
        }
    }

    #[test]
    fn a_pattern_gives_nothing_to_paths_that_can_be_read_in_two_ways() {
        for path in ["/files/a", "/files/a%20b", "/static/a", "/static/a/b/c.js"] {
            assert_eq!(openness(Method::GET, path), Openness::Public, "{path}");
        }
        for path in [
            "/files/..",
            "/files/.",
            "/files/%2e%2e",
            "/files/a%2fb",
            "/files/a%5Cb",
            "/files/a;b",
            "/static/../v1/keys",
            "/static//x",
            "/static/a/./b",
            "/static/a/..",
            "/static/%2E%2e/x",
            "/static/a%252fb",
            "/static/",
            "/files/",
        ] {
            assert_eq!(openness(Method::GET, path), Openness::Guarded, "{path}");
        }
    }

    #[test]
    fn a_restriction_holds_for_every_spelling() {
        for path in [
            "/v1/keys",
            "/v1/keys/",
            "/V1/Keys",
            "//v1//keys",
            "/v1/./keys",
            "/v1/x/../keys",
            "/v1/%6beys",
            "/v1%2fkeys",
            "/v1\\keys",
            "/v1/keys;x=1",
            "/v1;a/keys",
            "/v1/%256beys",
            "/%2e/v1/keys",
            "/../v1/keys",
        ] {
            assert!(needs_admin(Method::POST, path), "{path}");
            assert!(!needs_admin(Method::GET, path), "{path}");
        }
        for path in ["/v1/keys/1", "/v1/KEYS/1", "/v1/keys/%31/", "/v1/keys//1"] {
            assert!(needs_admin(Method::DELETE, path), "{path}");
        }
    }

    #[test]
    fn a_guarded_path_below_a_public_pattern_stays_guarded_in_every_spelling() {
        for path in ["/static/private", "/static/Private", "/static/private/", "/static/%70rivate"] {
            assert_eq!(openness(Method::GET, path), Openness::Guarded, "{path}");
            assert!(needs_admin(Method::GET, path), "{path}");
        }
    }

    #[test]
    fn a_rewritten_request_is_never_public_and_keeps_the_restrictions_of_both_paths() {
        let table = table();
        assert_eq!(table.rule(&Method::GET, "/api/status", Some("/other")).openness, Openness::Guarded);
        let ruling = table.rule(&Method::POST, "/x/%2e%2e/v1/keys", Some("/other"));
        assert!(table.routes(ruling).any(|route| route.required_scopes().is_some()));
    }

    #[test]
    fn mistakes_in_the_table_are_named() {
        let guarded = |pattern: &str| entry(Openness::Guarded, Method::GET, pattern);
        for (entries, problem) in [
            (vec![guarded("no-slash")], "must begin with a slash"),
            (vec![guarded("/a?b=c")], "no queries"),
            (vec![guarded("/a/{")], "/a/{"),
            (vec![guarded("/a/{b}"), guarded("/a/{c}")], "/a/{c}"),
            (vec![guarded("/a"), guarded("/a")], "has two entries"),
            (vec![guarded("/a"), guarded("/A/")], "its other spelling"),
            (vec![guarded("/a/{b}"), guarded("/A/{c}")], "its other spelling"),
            (vec![Entry { route: Route::new().scopes([]), ..guarded("/a") }], "empty list of scopes"),
            (vec![Entry { methods: [].into(), ..guarded("/a") }], "no method"),
        ] {
            let error = RouteTable::new(entries, Route::new()).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
