//! What a new key may be given: never more than its maker has.

use std::collections::BTreeMap;

use super::refusal;
use crate::clock::Timestamp;
use crate::ip::IpBlocks;
use crate::key::{Environment, KeyClass, KeyRecord, Realm, ScopeHierarchy, ScopeSet};
use crate::limit::Quota;
use crate::rejection::Rejection;
use crate::source::NewKey;

/// What the keys that a caller makes may have at most. What the caller leaves out, they get from here.
#[derive(Debug, Clone)]
#[must_use]
pub struct Grant {
    /// `None`: every scope.
    scopes: Option<ScopeSet>,
    environments: Environments,
    realm: Option<Realm>,
    until: Option<Timestamp>,
    addresses: Option<IpBlocks>,
    origins: Option<Vec<String>>,
    quotas: Quotas,
    plan: Option<String>,
    /// The maker is good for so many requests and no more, which no key that it makes would be.
    counted: bool,
}

#[derive(Debug, Clone)]
enum Environments {
    Any,
    OneOf(Environment),
    /// The server's own.
    Own,
}

#[derive(Debug, Clone)]
enum Quotas {
    /// Whatever the caller says.
    Any,
    /// At most these, and these unless the caller says less.
    Within(Vec<Quota>),
    /// The plan's or the layer's.
    Inherited,
}

impl Grant {
    /// These scopes and no others, in the environment of the server, without quotas of their own: for people.
    pub fn scopes(scopes: impl Into<ScopeSet>) -> Self {
        Self {
            scopes: Some(scopes.into()),
            environments: Environments::Own,
            realm: None,
            until: None,
            addresses: None,
            origins: None,
            quotas: Quotas::Inherited,
            plan: None,
            counted: false,
        }
    }

    /// What `key` has itself: scopes (for the operator's own key every scope), environment, realm, life, addresses,
    /// origins, quotas and plan. A key that is good for a number of requests gives nothing.
    pub fn of(key: &KeyRecord) -> Self {
        Self {
            scopes: (key.class != KeyClass::Admin).then(|| key.scopes.clone()),
            environments: key.environment.clone().map_or(Environments::Any, Environments::OneOf),
            realm: key.realm.clone(),
            until: key.expires_at,
            addresses: key.allowed_ips.clone(),
            origins: key.allowed_origins.clone(),
            quotas: match (key.rate_limits.as_slice(), &key.plan) {
                ([], None) => Quotas::Any,
                ([], Some(_)) => Quotas::Inherited,
                (own, _) => Quotas::Within(own.to_vec()),
            },
            plan: key.plan.clone(),
            counted: key.credits.is_some(),
        }
    }

    /// Every key has these quotas, or others that are no stronger.
    pub fn quotas(mut self, quotas: Vec<Quota>) -> Self {
        self.quotas = Quotas::Within(quotas);
        self
    }

    /// `key` as it may be made, with what it was not given filled in.
    ///
    /// # Errors
    /// 403 with everything that it would have beyond this grant.
    pub(super) fn confine(
        &self,
        mut key: NewKey,
        hierarchy: &ScopeHierarchy,
        own: &Environment,
    ) -> Result<NewKey, Rejection> {
        if self.counted {
            return Err(Rejection::forbidden());
        }
        let mut beyond = BTreeMap::new();
        if self.scopes.as_ref().is_some_and(|granted| !hierarchy.covers(granted, &key.scopes)) {
            beyond.insert("scopes", "has a scope that the caller may not give");
        }
        let bound = match &self.environments {
            Environments::Any => None,
            Environments::OneOf(environment) => Some(environment),
            Environments::Own => Some(own),
        };
        let environment = key.environment.get_or_insert_with(|| bound.unwrap_or(own).clone());
        if bound.is_some_and(|bound| bound != environment) {
            beyond.insert("environment", "is not one that the caller may make keys for");
        }
        if let Some(until) = self.until
            && *key.expires_at.get_or_insert(until) > until
        {
            beyond.insert("expiresAt", "is after the end of the caller's own key");
        }
        if let Some(addresses) = &self.addresses
            && !addresses.covers(key.allowed_ips.get_or_insert_with(|| addresses.clone()))
        {
            beyond.insert("allowedIps", "has addresses that the caller's own key may not be used from");
        }
        if let Some(origins) = &self.origins
            && !key.allowed_origins.get_or_insert_with(|| origins.clone()).iter().all(|one| origins.contains(one))
        {
            beyond.insert("allowedOrigins", "has origins that the caller's own key may not be used from");
        }
        if !self.covers_quotas(&mut key.rate_limits) {
            beyond.insert("rateLimits", "are stronger than the caller may give");
        }
        key.realm.clone_from(&self.realm);
        key.plan.clone_from(&self.plan);
        if beyond.is_empty() { Ok(key) } else { Err(refusal::beyond(&beyond)) }
    }

    /// Whether a key such as `record` could be given, with nothing taken away from it.
    pub(super) fn covers(&self, record: &KeyRecord, hierarchy: &ScopeHierarchy, own: &Environment) -> bool {
        let environment = match &self.environments {
            Environments::Any => true,
            Environments::OneOf(environment) => record.environment.as_ref() == Some(environment),
            Environments::Own => record.environment.as_ref() == Some(own),
        };
        let quotas = match &self.quotas {
            Quotas::Any => true,
            Quotas::Inherited => record.rate_limits.is_empty() && record.plan == self.plan,
            Quotas::Within(bound) => {
                !record.rate_limits.is_empty()
                    && Quota::all_covered(bound, &record.rate_limits)
                    && record.plan == self.plan
            }
        };
        let within = |end| record.expires_at.is_some_and(|own| own <= end);
        let origins = |granted: &Vec<String>| {
            record.allowed_origins.as_ref().is_some_and(|own| own.iter().all(|one| granted.contains(one)))
        };
        !self.counted
            && environment
            && quotas
            && self.scopes.as_ref().is_none_or(|granted| hierarchy.covers(granted, &record.scopes))
            && self.until.is_none_or(within)
            && self.addresses.as_ref().is_none_or(|all| record.allowed_ips.as_ref().is_some_and(|own| all.covers(own)))
            && self.origins.as_ref().is_none_or(origins)
            && self.realm.as_ref().is_none_or(|realm| record.realm.as_ref() == Some(realm))
    }

    fn covers_quotas(&self, quotas: &mut Vec<Quota>) -> bool {
        match &self.quotas {
            Quotas::Any => true,
            Quotas::Inherited => quotas.is_empty(),
            Quotas::Within(bound) if quotas.is_empty() => {
                quotas.clone_from(bound);
                true
            }
            Quotas::Within(bound) => Quota::all_covered(bound, quotas),
        }
    }
}
