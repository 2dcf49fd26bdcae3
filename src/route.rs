//! The table of routes: which are public, which let callers through without a key, and what the others ask for.
//!
//! The table reads the path of the request as it was written, and nothing else: no query, no `Host`, no header that
//! names another URL or method. Two rules keep spelling from mattering:
//!
//! 1. **A permission needs the exact spelling.** A path is public or optional only if it is written as the pattern is. A
//!    pattern with `{name}` or `{*rest}` in it gives none to a path with empty segments, dot segments, or an encoded
//!    slash, backslash or dot.
//! 2. **A restriction holds for every spelling.** Scopes and costs of a pattern also hold for paths that a lenient
//!    service could take for it: in another case, percent-encoded, with doubled or trailing slashes, backslashes, or path
//!    parameters (`;a=b`). A path with dot segments can be read as any other, so all restrictions for its method hold.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;

use crate::error::ConfigError;
use crate::key::ScopeRequirement;

/// What a route asks of a caller who is known.
///
/// ```
/// use tower_api_key::key::Scope;
/// use tower_api_key::route::Route;
///
/// let route = Route::new().scopes(Scope::from_static("write"));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[must_use]
pub struct Route {
    scopes: Option<ScopeRequirement>,
}

impl Route {
    /// A route for everybody who is known.
    pub const fn new() -> Self {
        Self { scopes: None }
    }

    /// The scopes that it needs. An array stands for all of its scopes.
    pub fn scopes(mut self, requirement: impl Into<ScopeRequirement>) -> Self {
        self.scopes = Some(requirement.into());
        self
    }

    /// The scopes that it needs, if any.
    pub const fn required_scopes(&self) -> Option<&ScopeRequirement> {
        self.scopes.as_ref()
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ruling {
    pub(crate) openness: Openness,
    /// The groups of entries that the path belongs to, as it was written and as it may be read.
    groups: SmallVec<[usize; 4]>,
    /// The path has dot segments: every restriction for the method holds.
    dotted: bool,
    method: Option<Method>,
}

#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    entries: Vec<Entry>,
    default: Route,
    /// Entries that belong together: those of one pattern, for one method.
    groups: Vec<Vec<usize>>,
    exact: Matcher,
    /// All patterns as a lenient service may read them, and those that restrict.
    respelt: Matcher,
    restricting: Matcher,
    /// Whether a pattern is written otherwise than a lenient service reads it, so that a usual path may match another.
    unusual: bool,
}

impl RouteTable {
    pub(crate) fn new(entries: Vec<Entry>, default: Route) -> Result<Self, ConfigError> {
        let mut errors: Vec<_> = entries.iter().filter_map(Entry::mistake).collect();
        errors.extend(unsatisfiable("default_route", &default));
        errors.extend(overlaps(&entries));
        ConfigError::all(errors)?;
        let mut groups = Vec::new();
        let exact = Matcher::new(&entries, &mut groups, |entry| Some(entry.pattern.clone()))?;
        let respelt = Matcher::new(&entries, &mut groups, |entry| Some(respell_pattern(&entry.pattern)))?;
        let restricting = Matcher::new(&entries, &mut groups, |entry| {
            (entry.openness == Openness::Guarded).then(|| respell_pattern(&entry.pattern))
        })?;
        let unusual = !entries.iter().all(|entry| is_usual(&entry.pattern));
        Ok(Self { entries, default, groups, exact, respelt, restricting, unusual })
    }

    /// What holds for `method` on `path`, as it was written. A request that was rewritten on its way here, to
    /// `rewritten_to`, gets no permission, and the restrictions of both paths.
    pub(crate) fn rule(&self, method: &Method, path: &str, rewritten_to: Option<&str>) -> Ruling {
        let exact = self.exact.find(method, path);
        let mut ruling =
            Ruling { openness: Openness::Guarded, groups: exact.into_iter().collect(), dotted: false, method: None };
        let is_usual = !self.unusual && is_usual(path);
        if rewritten_to.is_none() {
            ruling.openness = self.openness(method, path, exact, is_usual);
        }
        if ruling.openness == Openness::Guarded && !is_usual {
            self.restrict(&mut ruling, method, path);
        }
        if let Some(current) = rewritten_to {
            self.restrict(&mut ruling, method, path);
            self.restrict(&mut ruling, method, current);
        }
        ruling
    }

    fn openness(&self, method: &Method, path: &str, exact: Option<usize>, is_usual: bool) -> Openness {
        let Some(entry) = self.entries(exact).next() else { return Openness::Guarded };
        if !is_dynamic(&entry.pattern) || is_usual {
            return entry.openness;
        }
        let closest = |reading: &String| self.entries(self.respelt.find(method, reading));
        let mut closest =
            Readings::of(path).texts.into_iter().flat_map(|reading| closest(&reading).collect::<Vec<_>>());
        let restricted = closest.any(|entry| entry.openness == Openness::Guarded);
        if restricted || !is_plain(path) { Openness::Guarded } else { entry.openness }
    }

    /// Adds what any reading of `path` is restricted by.
    fn restrict(&self, ruling: &mut Ruling, method: &Method, path: &str) {
        let readings = Readings::of(path);
        if readings.dotted {
            ruling.dotted = true;
            ruling.method = Some(method.clone());
        }
        for reading in &readings.texts {
            if let Some(group) = self.restricting.find(method, reading)
                && !ruling.groups.contains(&group)
            {
                ruling.groups.push(group);
            }
        }
    }

    /// The demands that `ruling` stands for. A permission that it does not give demands nothing.
    pub(crate) fn routes(&self, ruling: &Ruling) -> impl Iterator<Item = &Route> {
        let all = self.entries.iter().filter(|entry| ruling.dotted && entry.methods.is_for(ruling.method.as_ref()));
        let named = ruling.groups.iter().flat_map(|group| self.entries(Some(*group))).chain(all);
        let named: SmallVec<[&Route; 4]> =
            named.filter(|entry| entry.openness == Openness::Guarded).map(|entry| &entry.route).collect();
        let unnamed = ruling.dotted || named.is_empty();
        let default = (ruling.openness == Openness::Guarded && unnamed).then_some(&self.default);
        named.into_iter().chain(default)
    }

    fn entries(&self, group: Option<usize>) -> impl Iterator<Item = &Entry> {
        group.into_iter().flat_map(|group| &self.groups[group]).map(|index| &self.entries[*index])
    }
}

/// Finds the closest pattern among those that are for a method. There is a router for each method that is named and one
/// for the others: in a single one, an entry for `GET` would hide a wider pattern that restricts `DELETE`.
#[derive(Debug, Default)]
struct Matcher {
    named: Vec<(Method, matchit::Router<usize>)>,
    others: matchit::Router<usize>,
}

impl Matcher {
    /// `pattern` is how an entry is written here; `None` leaves it out.
    fn new(
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

    fn find(&self, method: &Method, path: &str) -> Option<usize> {
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

/// Two entries for one method of one pattern: whichever came first would silently win.
fn overlaps(entries: &[Entry]) -> Vec<ConfigError> {
    let overlapping = entries.iter().enumerate().filter(|(index, one)| {
        let mut earlier = entries[..*index].iter();
        earlier.any(|other| one.pattern == other.pattern && one.methods.overlap(&other.methods))
    });
    let error = |(_, entry): (usize, &Entry)| {
        ConfigError::new(entry.setting, format_args!("{:?} has two entries for one method", entry.pattern))
    };
    overlapping.map(error).collect()
}

impl Methods {
    /// Whether an entry is for `method`, with `HEAD` going with `GET`; `None` is one that no entry names.
    fn is_for(&self, method: Option<&Method>) -> bool {
        match (method, &self.0) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(method), _) => self.contains(method) || (method == Method::HEAD && self.contains(&Method::GET)),
        }
    }

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

/// Whether no service could read the path in two ways: also decoded, it has no empty segment or one of dots and spaces
/// alone, no backslash, semicolon, percent sign or control character, and not more slashes.
fn is_plain(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let plain = |segment: &str| {
        !segment.trim_matches(['.', ' ']).is_empty()
            && !segment.contains(|character: char| matches!(character, '\\' | ';' | '%') || character.is_control())
    };
    let slashes = |text: &str| text.bytes().filter(|byte| *byte == b'/').count();
    // An encoded dot is one that somebody did not want to be seen.
    let hidden = path.len() != decoded.len() && path.to_ascii_lowercase().contains("%2e");
    let segments = decoded.strip_prefix('/').is_some_and(|segments| segments.split('/').all(plain));
    path == "/" || (segments && !hidden && slashes(path) == slashes(&decoded))
}

/// Whether a lenient service reads the path as it is written.
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

/// The ways in which a lenient service may read a path, each in lower case and without empty segments.
struct Readings {
    texts: SmallVec<[String; 2]>,
    /// In one of them there is a segment `.` or `..`. What that means depends on what is decoded and merged before: no
    /// client writes such a path without intent.
    dotted: bool,
}

impl Readings {
    fn of(path: &str) -> Self {
        let mut readings = Self { texts: SmallVec::new(), dotted: false };
        let mut decoded = Cow::Borrowed(path);
        // Encoded twice or thrice happens behind chains of proxies. More is left alone: nothing decodes it.
        for _ in 0..=3 {
            readings.split(&decoded);
            let next = percent_decode_str(&decoded).decode_utf8_lossy().into_owned();
            if next == *decoded {
                break;
            }
            decoded = Cow::Owned(next);
        }
        readings
    }

    /// Backslashes may be slashes, and what follows a semicolon may be no part of the segment.
    fn split(&mut self, text: &str) {
        let (backslash, semicolon) = (text.contains('\\'), text.contains(';'));
        for backslashes in [false, true].into_iter().take(1 + usize::from(backslash)) {
            for parameters in [false, true].into_iter().take(1 + usize::from(semicolon)) {
                let segments = text.split(|character| character == '/' || (backslashes && character == '\\'));
                let segments: SmallVec<[&str; 16]> = segments
                    .map(|segment| if parameters { segment.split(';').next().unwrap_or_default() } else { segment })
                    .collect();
                self.dotted |= segments.iter().any(|segment| matches!(*segment, "." | ".."));
                let reading = join_lower(segments.into_iter());
                if !self.texts.contains(&reading) {
                    self.texts.push(reading);
                }
            }
        }
    }
}

fn join_lower<'a>(segments: impl Iterator<Item = &'a str>) -> String {
    let mut joined = String::new();
    for segment in segments.filter(|segment| !segment.is_empty()) {
        joined.push('/');
        joined.push_str(segment);
    }
    if joined.is_empty() { "/".to_owned() } else { joined.to_lowercase() }
}

/// The same for a pattern. Its parameters are numbered, so that patterns which differ in their names alone are the same.
fn respell_pattern(pattern: &str) -> String {
    let mut parameters = 0;
    let segments = pattern.split('/').map(|segment| match is_dynamic(segment) {
        true => respell_dynamic(segment, &mut parameters),
        false => {
            let decoded = percent_decode_str(segment).decode_utf8_lossy().to_lowercase();
            decoded.replace('{', "{{").replace('}', "}}")
        }
    });
    let segments: Vec<_> = segments.filter(|segment| !segment.is_empty()).collect();
    format!("/{}", segments.join("/"))
}

/// A segment with parameters, and maybe with text around them, where `{{` and `}}` stand for braces.
fn respell_dynamic(segment: &str, parameters: &mut usize) -> String {
    let mut respelt = String::new();
    let mut rest = segment;
    while let Some(character) = rest.chars().next() {
        let end = rest.find('}').unwrap_or(rest.len() - 1);
        let length = if rest.starts_with("{{") || rest.starts_with("}}") {
            respelt.push_str(&rest[..2]);
            2
        } else if character == '{' {
            let star = if rest.starts_with("{*") { "*" } else { "" };
            respelt.push_str(&format!("{{{star}p{parameters}}}"));
            *parameters += 1;
            end + 1
        } else {
            respelt.extend(character.to_lowercase());
            character.len_utf8()
        };
        rest = &rest[length..];
    }
    respelt
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
        table.routes(&ruling).any(|route| route.required_scopes().is_some())
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
            let dotted = path.contains("./") || path.contains("%2e");
            assert_eq!(needs_admin(Method::GET, path), dotted, "{path}");
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
        assert!(table.routes(&ruling).any(|route| route.required_scopes().is_some()));
    }

    #[test]
    fn mistakes_in_the_table_are_named() {
        let guarded = |pattern: &str| entry(Openness::Guarded, Method::GET, pattern);
        for (entries, problem) in [
            (vec![guarded("no-slash")], "must begin with a slash"),
            (vec![guarded("/a?b=c")], "no queries"),
            (vec![guarded("/a/{")], "/a/{"),
            (vec![guarded("/a/{b}"), guarded("/a/{c}")], "/a/{c}"),
            (vec![guarded("/a"), guarded("/a")], "two entries"),
            (vec![Entry { route: Route::new().scopes([]), ..guarded("/a") }], "empty list of scopes"),
            (vec![Entry { methods: [].into(), ..guarded("/a") }], "no method"),
        ] {
            let error = RouteTable::new(entries, Route::new()).unwrap_err().to_string();
            assert!(error.contains(problem), "{error}");
        }
    }
}
