//! What limits need to know of a request.

use std::net::IpAddr;

use super::super::{Quota, Subject};

/// What [`Limits::charges`](super::Limits::charges) needs to know of a request.
///
/// Only what has been verified belongs here: a key that nobody knows has no subject, and so leaves no trace.
#[derive(Debug, Clone, Copy)]
pub struct LimitFacts<'a> {
    /// The key, or the person with a session.
    pub client: Option<Subject>,
    /// The quotas on the key's record.
    pub quotas: Option<&'a [Quota]>,
    /// The plan the key is on. One that the limits do not know has no quotas.
    pub plan: Option<&'a str>,
    /// The owner of the key.
    pub owner: Option<Subject>,
    /// The organization of the key or of the person.
    pub organization: Option<Subject>,
    /// Where the request comes from.
    pub address: Option<IpAddr>,
    /// The route's own quotas.
    pub route: Option<RouteQuotas<'a>>,
    /// What the request costs. Default: 1.
    pub cost: u32,
}

/// Quotas of one route. They count for each client, else for each address, else for all callers together.
#[derive(Debug, Clone, Copy)]
pub struct RouteQuotas<'a> {
    /// [`Subject::route`].
    pub route: Subject,
    /// Its quotas.
    pub quotas: &'a [Quota],
}

impl LimitFacts<'_> {
    /// Whose requests to this route count together.
    pub(super) fn subject_on(&self, route: Subject) -> Subject {
        let caller = self.client.or_else(|| self.address.map(Subject::address));
        caller.map_or(route, |caller| caller.on(route))
    }
}

impl Default for LimitFacts<'_> {
    fn default() -> Self {
        Self {
            client: None,
            quotas: None,
            plan: None,
            owner: None,
            organization: None,
            address: None,
            route: None,
            cost: 1,
        }
    }
}
