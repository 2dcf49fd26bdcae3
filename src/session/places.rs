//! Where the sessions of a layer travel, and how they are taken out of a request.

use std::sync::Arc;

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::request::Parts;
use smallvec::SmallVec;

use super::presented::Place;
use super::{ErasedSessions, PresentedSession, SessionProblem};
use crate::error::ConfigError;
use crate::fields::{self, Found, Glance};

/// More chunks than any session has: 64 KiB of them would be 17.
const MOST_CHUNKS: usize = 64;

/// The resolvers of a layer, and where each looks.
#[derive(Default)]
pub(crate) struct Sessions {
    resolvers: Vec<(Arc<dyn ErasedSessions>, Vec<Place>)>,
    /// Keys travel as Bearer as well: only what is written as a token is one.
    shares_bearer: bool,
}

/// What a request brings along that may be a session.
pub(crate) enum PresentedSessions {
    Nothing,
    /// In the order in which they count.
    Some(Box<Candidates>),
    /// The authorization holds several tokens.
    Ambiguous,
}

pub(crate) type Candidates = SmallVec<[Candidate; 1]>;

/// What stands in one place, for the resolver that looks there.
pub(crate) struct Candidate {
    pub(crate) resolver: usize,
    pub(crate) carrier: Carrier,
    pub(crate) presented: Result<PresentedSession, SessionProblem>,
}

/// What brought a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Whoever wrote the request put it there.
    Explicit,
    /// A browser sends it along, whichever site made it send the request.
    Cookie,
}

impl Sessions {
    pub(crate) fn new(resolvers: Vec<Arc<dyn ErasedSessions>>, shares_bearer: bool) -> Result<Self, ConfigError> {
        let mut errors = Vec::new();
        let mut placed = Vec::new();
        for resolver in resolvers {
            let places: Vec<_> = resolver.locations().into_iter().map(|location| location.0).collect();
            if places.is_empty() {
                errors.push(ConfigError::new("sessions", format_args!("{}: it looks nowhere", resolver.name())));
            }
            for place in &places {
                if let Place::Cookie(name) = place
                    && HeaderName::from_bytes(name.as_bytes()).is_err()
                {
                    let problem = format_args!("{}: {name:?} is no name of a cookie", resolver.name());
                    errors.push(ConfigError::new("sessions", problem));
                }
            }
            placed.push((resolver, places));
        }
        ConfigError::all(errors)?;
        Ok(Self { resolvers: placed, shares_bearer })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.resolvers.is_empty()
    }

    /// What the resolvers are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.resolvers.iter().map(|(resolver, _)| resolver.name())
    }

    pub(crate) fn resolver(&self, index: usize) -> &Arc<dyn ErasedSessions> {
        &self.resolvers[index].0
    }

    pub(crate) fn reads_bearer(&self) -> bool {
        self.places().any(|place| matches!(place, Place::Bearer))
    }

    /// What the request brings along. Only reads it, and allocates nothing for what is not asked for.
    pub(crate) fn read(&self, parts: &Parts, glance: Glance) -> PresentedSessions {
        let mut candidates = Candidates::new();
        for (resolver, (_, places)) in self.resolvers.iter().enumerate() {
            for place in places {
                let (carrier, presented) = match place {
                    Place::Cookie(_) if !glance.cookie => continue,
                    Place::Bearer if !glance.authorization => continue,
                    Place::Cookie(name) => (Carrier::Cookie, cookie(&parts.headers, name)),
                    Place::Bearer => match self.bearer(&parts.headers) {
                        Ok(token) => (Carrier::Explicit, token),
                        Err(Several) => return PresentedSessions::Ambiguous,
                    },
                    Place::Extension(read) => {
                        (Carrier::Cookie, read(&parts.extensions).map(|it| Ok(PresentedSession::of_extension(it))))
                    }
                };
                if let Some(presented) = presented {
                    candidates.push(Candidate { resolver, carrier, presented });
                }
            }
        }
        if candidates.is_empty() { PresentedSessions::Nothing } else { PresentedSessions::Some(Box::new(candidates)) }
    }

    fn bearer(&self, headers: &HeaderMap) -> Result<Option<Result<PresentedSession, SessionProblem>>, Several> {
        match fields::authorization(headers, "Bearer") {
            Found::Nothing => Ok(None),
            Found::Several => Err(Several),
            Found::Text(text) if self.shares_bearer && !fields::is_token(&text) => Ok(None),
            Found::Text(text) => {
                let token = std::str::from_utf8(&text).map(PresentedSession::bearer);
                Ok(Some(token.map_err(|_| SessionProblem::Malformed)))
            }
        }
    }

    /// Takes out all that [`read`](Self::read) looks at in header fields, and leaves the rest as it was.
    pub(crate) fn strip(&self, headers: &mut HeaderMap, glance: Glance) {
        if glance.cookie {
            let is_meant = |cookie: &[u8]| self.cookie_names().any(|name| part_of(cookie, name).is_some());
            fields::strip_cookies(headers, is_meant);
        }
        if glance.authorization && self.reads_bearer() {
            fields::strip_authorization(headers, "Bearer");
        }
    }

    /// Marks the fields that stay as sensitive, so that nothing prints them.
    pub(crate) fn mark_sensitive(&self, headers: &mut HeaderMap) {
        if self.cookie_names().next().is_some() {
            fields::mark_sensitive(headers, &COOKIE);
        }
        if self.reads_bearer() {
            fields::mark_sensitive(headers, &AUTHORIZATION);
        }
    }

    fn places(&self) -> impl Iterator<Item = &Place> {
        self.resolvers.iter().flat_map(|(_, places)| places)
    }

    pub(crate) fn cookie_names(&self) -> impl Iterator<Item = &str> {
        self.places().filter_map(|place| if let Place::Cookie(name) = place { Some(&**name) } else { None })
    }
}

/// Several tokens in one authorization.
struct Several;

/// The cookie of this name: whole if it is there whole, else its chunks in the order of their numbers.
fn cookie(headers: &HeaderMap, name: &str) -> Option<Result<PresentedSession, SessionProblem>> {
    let mut whole: Option<&[u8]> = None;
    let mut chunks: SmallVec<[(u32, &[u8]); 4]> = SmallVec::new();
    for (cookie, value) in fields::cookies(headers).filter(|(_, value)| !value.is_empty()) {
        match part_of(cookie, name) {
            None => {}
            Some(Part::Whole) if whole.is_some_and(|other| other != value) => {
                return Some(Err(SessionProblem::Ambiguous));
            }
            Some(Part::Whole) => whole = Some(value),
            Some(Part::Chunk(_)) if chunks.len() == MOST_CHUNKS => return Some(Err(SessionProblem::Malformed)),
            Some(Part::Chunk(number)) => chunks.push((number, value)),
        }
    }
    let text = match whole {
        Some(text) => std::str::from_utf8(text).map(|text| PresentedSession::cookie(name, text)).ok(),
        None if chunks.is_empty() => return None,
        None => {
            chunks.sort_unstable();
            if chunks.windows(2).any(|pair| pair[0].0 == pair[1].0 && pair[0].1 != pair[1].1) {
                return Some(Err(SessionProblem::Ambiguous));
            }
            chunks.dedup();
            let bytes = zeroize::Zeroizing::new(chunks.iter().map(|(_, chunk)| *chunk).collect::<Vec<_>>().concat());
            std::str::from_utf8(&bytes).map(|text| PresentedSession::cookie(name, text)).ok()
        }
    };
    Some(text.ok_or(SessionProblem::Malformed))
}

/// What a cookie is of the one that is looked for.
enum Part {
    Whole,
    Chunk(u32),
}

fn part_of(cookie: &[u8], name: &str) -> Option<Part> {
    let number = match cookie.strip_prefix(name.as_bytes())? {
        [] => return Some(Part::Whole),
        [b'.', number @ ..] => number,
        _ => return None,
    };
    let canonical = number.iter().all(u8::is_ascii_digit) && (number == b"0" || !number.starts_with(b"0"));
    let number = std::str::from_utf8(number).ok().filter(|_| canonical)?;
    number.parse().ok().map(Part::Chunk)
}
