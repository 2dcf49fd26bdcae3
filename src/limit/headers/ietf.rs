//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11): lists of structured-field strings
//! (RFC 9651), one a named limit.

use std::borrow::Cow;
use std::fmt::Write;

use http::HeaderValue;
use smallvec::SmallVec;

use crate::clock::Timestamp;
use crate::limit::decision::{matters_more, whole_seconds};
use crate::limit::{Charge, Decision, LimitState};

/// The values of `RateLimit-Policy` and `RateLimit`, in that order.
pub(super) fn values(
    charges: &[Charge<'_>],
    decision: &Decision,
    now: Timestamp,
) -> impl Iterator<Item = HeaderValue> + use<> {
    let (mut policy, mut state) = (String::new(), String::new());
    for (name, charge, limit) in named(charges, decision) {
        let separator = if policy.is_empty() { "" } else { ", " };
        let window = whole_seconds(charge.quota.window());
        let until = whole_seconds(limit.reset.since(now));
        // Writing to a String cannot fail.
        let _ = write!(policy, "{separator}\"{name}\";q={};w={window}", limit.limit);
        let _ = write!(state, "{separator}\"{name}\";r={};t={until}", limit.remaining);
    }
    // A name that has not been validated could make a value that is none; then there is no such field.
    [policy, state].into_iter().filter(|text| !text.is_empty()).filter_map(|text| HeaderValue::try_from(text).ok())
}

type Named<'a> = (Cow<'a, str>, &'a Charge<'a>, LimitState);

/// One limit a name: of several, the one that matters most.
fn named<'a>(charges: &'a [Charge<'a>], decision: &Decision) -> SmallVec<[Named<'a>; 4]> {
    let mut named: SmallVec<[Named<'a>; 4]> = SmallVec::new();
    let closest = decision.charge().zip(decision.state().copied());
    let each = decision.each().map(|each| each.iter().copied().enumerate());
    for (index, state) in each.into_iter().flatten().chain(closest.filter(|_| decision.each().is_none())) {
        let Some(charge) = charges.get(index).filter(|charge| !charge.quota.is_unlimited()) else {
            continue;
        };
        let name = charge.quota.name();
        match named.iter_mut().find(|(other, ..)| *other == name) {
            Some(other) if matters_more(&state, &other.2) => *other = (name, charge, state),
            Some(_) => {}
            None => named.push((name, charge, state)),
        }
    }
    named
}
