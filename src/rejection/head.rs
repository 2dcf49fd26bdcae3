//! The header fields of refusals. Most refusals of a layer have the same but for a few values: those are made once, and
//! copied.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderValue, header};

use super::challenge::{Challenges, Error};
use super::render::NO_STORE;
use crate::limit::{self, X_RATELIMIT};
use crate::request_id::{RequestId, X_REQUEST_ID};

/// What a refusal has to say in fields that not all refusals have.
pub(super) struct Facts<'a> {
    pub(super) challenges: Option<Error>,
    pub(super) id: Option<&'a RequestId>,
    pub(super) wait: Option<u64>,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
    pub(super) limit: Option<[HeaderValue; 3]>,
}

/// The fields of each kind of refusal, made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Heads([OnceLock<Head>; KINDS]);

/// Each fact is there or not, and there are challenges for three errors, or none.
const KINDS: usize = 2 * 2 * 2 * 4;

/// Fields in their order: the type of the content, what caches may do, the id, the wait, the challenges, the limit.
#[derive(Debug)]
struct Head {
    fields: HeaderMap,
    challenges: usize,
}

impl Heads {
    pub(super) fn fields(&self, content_type: &HeaderValue, challenges: &Challenges, facts: Facts<'_>) -> HeaderMap {
        let error = facts.challenges.map_or(0, |error| 1 + error as usize);
        let bits = [facts.id.is_some(), facts.wait.is_some(), facts.limit.is_some()];
        let kind = bits.iter().fold(error, |kind, bit| 2 * kind + usize::from(*bit));
        self.0[kind].get_or_init(|| Head::new(content_type, challenges, &facts)).fill(facts)
    }
}

impl Head {
    fn new(content_type: &HeaderValue, challenges: &Challenges, facts: &Facts<'_>) -> Self {
        const LATER: HeaderValue = HeaderValue::from_static("");
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_TYPE, content_type.clone());
        fields.insert(header::CACHE_CONTROL, NO_STORE);
        if facts.id.is_some() {
            fields.insert(X_REQUEST_ID, LATER);
        }
        if facts.wait.is_some() {
            fields.insert(header::RETRY_AFTER, LATER);
        }
        let challenges = facts.challenges.map_or(&[][..], |error| challenges.of(error));
        for challenge in challenges {
            fields.append(header::WWW_AUTHENTICATE, challenge.clone());
        }
        if facts.limit.is_some() {
            for name in X_RATELIMIT {
                fields.insert(name, LATER);
            }
        }
        Self { fields, challenges: challenges.len() }
    }

    fn fill(&self, facts: Facts<'_>) -> HeaderMap {
        let mut fields = self.fields.clone();
        let mut values = fields.values_mut();
        // The type of the content, and what caches may do, are there already.
        values.next();
        values.next();
        if let Some(id) = facts.id {
            put(values.next(), id.to_header());
        }
        if let Some(seconds) = facts.wait {
            put(values.next(), limit::header_number(seconds));
        }
        if let Some([limit, remaining, reset]) = facts.limit {
            for _ in 0..self.challenges {
                values.next();
            }
            put(values.next(), limit);
            put(values.next(), remaining);
            put(values.next(), reset);
        }
        fields
    }
}

fn put(place: Option<&mut HeaderValue>, value: HeaderValue) {
    if let Some(place) = place {
        *place = value;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::credential::CredentialLocation;
    use crate::key::Realm;
    use crate::rejection::RejectionReason;

    #[test]
    fn fields_are_the_same_whether_they_are_copied_or_written() {
        let locations = [CredentialLocation::header("X-API-Key"), CredentialLocation::bearer()];
        let challenges = Challenges::new(&locations, false, &Realm::from_static("api"));
        let (heads, json) = (Heads::default(), HeaderValue::from_static("application/json"));
        let wait = Duration::from_secs(7);
        let reasons = [
            RejectionReason::MissingKey,
            RejectionReason::InvalidKey,
            RejectionReason::AmbiguousCredentials,
            RejectionReason::Forbidden,
            RejectionReason::TooManyFailures { retry_after: wait },
        ];
        for round in 0..3_u64 {
            for (reason, bits) in reasons.iter().flat_map(|reason| (0..8).map(move |bits| (reason, bits))) {
                let id = RequestId::fresh();
                let id = (bits & 1 > 0).then_some(&id);
                let wait = (bits & 2 > 0).then_some(7 + round);
                let limit = (bits & 4 > 0).then(|| [9, round, 1_000_000 + round].map(limit::header_number));
                let mut written = HeaderMap::new();
                written.insert(header::CONTENT_TYPE, json.clone());
                written.insert(header::CACHE_CONTROL, NO_STORE);
                written.extend(id.map(|id| (X_REQUEST_ID, id.to_header())));
                written.extend(wait.map(|wait| (header::RETRY_AFTER, limit::header_number(wait))));
                challenges.append(reason, &mut written);
                written.extend(limit.iter().flat_map(|limit| X_RATELIMIT.into_iter().zip(limit.clone())));
                let copied = heads.fields(&json, &challenges, Facts { challenges: Error::of(reason), id, wait, limit });
                assert!(written.iter().eq(copied.iter()), "{written:?} {copied:?}");
            }
        }
    }
}
