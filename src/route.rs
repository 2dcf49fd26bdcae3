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

mod matcher;
mod spelling;

use http::Method;
use smallvec::SmallVec;

use self::matcher::Matcher;
use self::spelling::{Readings, is_dynamic, is_plain, is_usual, respell_pattern};
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
    callers: Callers,
    scopes: Option<ScopeRequirement>,
    cost: u32,
    quotas: Vec<Quota>,
}

impl Route {
    /// A route for everybody who is known, at a cost of 1.
    pub const fn new() -> Self {
        Self { callers: Callers::Either, scopes: None, cost: 1, quotas: Vec::new() }
    }

    /// Who may call it: programs with a key, people who are signed in, either, or a person through a program of their
    /// organisation's. [`Callers::Either`], unless set. Without `sessions` only keys are let in.
    pub const fn callers(mut self, callers: Callers) -> Self {
        self.callers = callers;
        self
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

    /// Who may call it.
    pub const fn who_may_call(&self) -> Callers {
        self.callers
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

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Callers {
    /// A key or a session will do. Which of the two counts if both are sent is the layer's order.
    Either,
    /// A key is needed. A session is not looked at.
    Key,
    /// A session is needed. A key is not looked at, so that whoever has lost theirs can replace it.
    User,
    /// Both are needed, and the user has to belong to the organisation of the key.
    KeyAndUser,
}

impl Callers {
    /// Both demands at once.
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Either, one) | (one, Self::Either) => one,
            (Self::Key, Self::Key) => Self::Key,
            (Self::User, Self::User) => Self::User,
            _ => Self::KeyAndUser,
        }
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
    groups: SmallVec<[usize; 2]>,
    /// The path has dot segments: every restriction for this method holds.
    dotted: Option<Box<Method>>,
}

impl Ruling {
    /// What an empty table says of every request.
    pub(crate) const GUARDED: Self = Self { openness: Openness::Guarded, groups: SmallVec::new_const(), dotted: None };

    /// The same for somebody else; nothing is asked of what is left.
    pub(crate) fn take(&mut self) -> Self {
        Self { openness: self.openness, groups: std::mem::take(&mut self.groups), dotted: self.dotted.take() }
    }
}

#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    entries: Vec<Entry>,
    default: Route,
    /// What the quotas of each entry count under.
    subjects: Vec<Subject>,
    /// Entries that belong together: those of one pattern, for one method.
    groups: Vec<Vec<usize>>,
    exact: Matcher,
    /// All patterns as a lenient service may read them, and those that restrict.
    respelt: Matcher,
    restricting: Matcher,
    /// Whether a pattern is written otherwise than a lenient service reads it, so that a usual path may match another.
    unusual: bool,
    demands: Demands,
}

/// What any route asks for at all: what none does need not be looked for.
#[derive(Debug, Default)]
struct Demands {
    callers: bool,
    scopes: bool,
    costs: bool,
    quotas: bool,
}

impl Demands {
    fn of<'a>(routes: impl Iterator<Item = &'a Route>) -> Self {
        routes.fold(Self::default(), |demands, route| Self {
            callers: demands.callers || route.callers != Callers::Either,
            scopes: demands.scopes || route.scopes.is_some(),
            costs: demands.costs || route.cost != 1,
            quotas: demands.quotas || !route.quotas.is_empty(),
        })
    }
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
        let subjects = entries.iter().map(|entry| Subject::route(&entry.pattern)).collect();
        let demands = Demands::of(entries.iter().map(|entry| &entry.route).chain([&default]));
        Ok(Self { entries, default, subjects, groups, exact, respelt, restricting, unusual, demands })
    }

    /// Whether it has no entry, so that its default holds for every path.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What holds for `method` on `path`, as it was written. A request that was rewritten on its way here, to
    /// `rewritten_to`, gets no permission, and the restrictions of both paths.
    pub(crate) fn rule(&self, method: &Method, path: &str, rewritten_to: Option<&str>) -> Ruling {
        let mut ruling = Ruling::GUARDED;
        if self.is_empty() {
            return ruling;
        }
        let exact = self.exact.find(method, path);
        ruling.groups.extend(exact);
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
        if is_usual || !is_dynamic(&entry.pattern) {
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
            ruling.dotted = Some(Box::new(method.clone()));
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
        let for_dotted =
            |entry: &&Entry| ruling.dotted.as_ref().is_some_and(|method| entry.methods.is_for(Some(method)));
        let all = self.entries.iter().filter(for_dotted);
        let named = ruling.groups.iter().flat_map(|group| self.entries(Some(*group))).chain(all);
        let named: SmallVec<[&Route; 4]> =
            named.filter(|entry| entry.openness == Openness::Guarded).map(|entry| &entry.route).collect();
        let unnamed = ruling.dotted.is_some() || named.is_empty();
        let default = (ruling.openness == Openness::Guarded && unnamed).then_some(&self.default);
        named.into_iter().chain(default)
    }

    /// The demands of the one entry that holds, or of the default; `None` if others may hold besides, or none.
    fn only_route(&self, ruling: &Ruling) -> Option<&Route> {
        if ruling.openness != Openness::Guarded || ruling.dotted.is_some() {
            return None;
        }
        let [group] = ruling.groups[..] else { return ruling.groups.is_empty().then_some(&self.default) };
        let [index] = self.groups[group][..] else { return None };
        Some(&self.entries[index]).filter(|entry| entry.openness == Openness::Guarded).map(|entry| &entry.route)
    }

    /// Who may call: what all that holds demands.
    pub(crate) fn callers(&self, ruling: &Ruling) -> Callers {
        if !self.demands.callers {
            return Callers::Either;
        }
        if let Some(only) = self.only_route(ruling) {
            return only.callers;
        }
        self.routes(ruling).map(Route::who_may_call).fold(Callers::Either, Callers::and)
    }

    /// The first of the scopes that have to be met, and are not.
    pub(crate) fn unmet_scopes(
        &self,
        ruling: &Ruling,
        is_met: impl Fn(&ScopeRequirement) -> bool,
    ) -> Option<&ScopeRequirement> {
        let unmet = |required: &&ScopeRequirement| !is_met(required);
        if !self.demands.scopes {
            return None;
        }
        match self.only_route(ruling) {
            Some(only) => only.required_scopes().filter(unmet),
            None => self.routes(ruling).filter_map(Route::required_scopes).find(unmet),
        }
    }

    /// What is wrong with a table that asks for users, in a layer that knows none.
    pub(crate) fn check_callers(&self) -> Result<(), ConfigError> {
        let routes = self.entries.iter().map(|entry| (entry.setting, &*entry.pattern, &entry.route));
        let routes = routes.chain([("default_route", "*", &self.default)]);
        let lost = routes.filter(|(_, _, route)| matches!(route.callers, Callers::User | Callers::KeyAndUser));
        ConfigError::all(lost.map(|(setting, pattern, _)| {
            ConfigError::new(setting, format_args!("{pattern:?}: it asks for a user, which needs `sessions`"))
        }))
    }

    /// What a request costs: the dearest of what holds for it.
    pub(crate) fn cost(&self, ruling: &Ruling) -> u32 {
        if !self.demands.costs {
            return 1;
        }
        if let Some(only) = self.only_route(ruling) {
            return only.cost;
        }
        self.routes(ruling).map(Route::cost_of_a_request).max().unwrap_or(1)
    }

    /// The quotas of the route, and what they count under. Of several readings of a path, the first that has any.
    pub(crate) fn quotas(&self, ruling: &Ruling) -> Option<RouteQuotas<'_>> {
        if !self.demands.quotas {
            return None;
        }
        let mut indices = ruling.groups.iter().flat_map(|group| &self.groups[*group]);
        let index = *indices.find(|index| !self.entries[**index].route.quotas.is_empty())?;
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

    fn entries(&self, group: Option<usize>) -> impl Iterator<Item = &Entry> {
        group.into_iter().flat_map(|group| &self.groups[group]).map(|index| &self.entries[*index])
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

#[cfg(test)]
mod tests;
