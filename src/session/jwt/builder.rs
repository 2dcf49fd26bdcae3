//! The settings of a [`JwtSessions`].

use std::time::Duration;

use super::claims::Rules;
use super::verified::VerifiedTokens;
use super::{JwtAlgorithm, JwtKeys, JwtSessions};
use crate::error::ConfigError;
use crate::session::SessionLocation;

/// The most that clocks may differ.
const MAX_LEEWAY: Duration = Duration::from_secs(600);

/// The settings of a [`JwtSessions`]. Algorithms, issuer and audience have no default.
#[derive(Debug)]
#[must_use = "call `build`"]
pub struct JwtSessionsBuilder {
    keys: JwtKeys,
    algorithms: Vec<JwtAlgorithm>,
    issuers: Option<Vec<String>>,
    audiences: Option<Vec<String>>,
    any_issuer: bool,
    any_audience: bool,
    locations: Vec<SessionLocation>,
    verified_tokens: usize,
    rules: Rules,
}

impl JwtSessionsBuilder {
    pub(super) fn new(keys: JwtKeys) -> Self {
        Self {
            keys,
            algorithms: Vec::new(),
            issuers: None,
            audiences: None,
            any_issuer: false,
            any_audience: false,
            locations: vec![SessionLocation::bearer()],
            verified_tokens: 4096,
            rules: Rules {
                issuers: None,
                audiences: None,
                media_types: vec!["jwt".to_owned(), "at+jwt".to_owned()],
                leeway: Duration::ZERO,
                expiry_required: true,
                organization_claim: "org_id".to_owned(),
                role_claim: "role".to_owned(),
                name: "jwt".to_owned(),
            },
        }
    }

    /// By what tokens may be signed. HMAC and algorithms with public keys cannot be mixed: a public key would be taken for
    /// a secret sooner or later.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = JwtAlgorithm>) -> Self {
        self.algorithms = algorithms.into_iter().collect();
        self
    }

    /// A value of `iss` that is taken, compared character by character. May be called for several.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.get_or_insert_default().push(issuer.into());
        self
    }

    /// A value of `aud` that is taken: one of the token's has to be among them. May be called for several.
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.get_or_insert_default().push(audience.into());
        self
    }

    /// Takes tokens of any issuer, and of none. For keys that sign for one issuer alone.
    pub const fn insecure_any_issuer(mut self) -> Self {
        self.any_issuer = true;
        self
    }

    /// Takes tokens for any audience: also those that the issuer made for another service.
    pub const fn insecure_any_audience(mut self) -> Self {
        self.any_audience = true;
        self
    }

    /// Takes tokens without `exp`: they hold until the key is replaced.
    pub const fn insecure_without_expiry(mut self) -> Self {
        self.rules.expiry_required = false;
        self
    }

    /// By how much the issuer's clock may differ, at most ten minutes; by default not at all.
    pub const fn leeway(mut self, leeway: Duration) -> Self {
        self.rules.leeway = leeway;
        self
    }

    /// The values of `typ` that are taken, in place of `JWT` and `at+jwt`: `application/` in front of them and case do
    /// not count, and a token without `typ` counts as `JWT`. `["at+jwt"]` alone keeps ID tokens out (RFC 9068 §4).
    pub fn token_types(mut self, types: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.rules.media_types = types.into_iter().map(|name| name.as_ref().to_ascii_lowercase()).collect();
        self
    }

    /// The claim with the organisations of the user, a text or a list; by default `org_id`.
    pub fn organization_claim(mut self, claim: impl Into<String>) -> Self {
        self.rules.organization_claim = claim.into();
        self
    }

    /// The claim with the roles of the user, a text or a list; by default `role`. They hold everywhere, and in each of the
    /// organisations.
    pub fn role_claim(mut self, claim: impl Into<String>) -> Self {
        self.rules.role_claim = claim.into();
        self
    }

    /// Where tokens travel, in place of `Authorization: Bearer`.
    pub fn locations(mut self, locations: impl IntoIterator<Item = SessionLocation>) -> Self {
        self.locations = locations.into_iter().collect();
        self
    }

    /// How many tokens are remembered whose signature was found good, by their digests; 4096 by default, 0 for none.
    /// Expiry is looked at each time, and a change of keys forgets them.
    pub const fn verified_tokens(mut self, capacity: usize) -> Self {
        self.verified_tokens = capacity;
        self
    }

    /// What it is called in the log and in `AuthContext`; by default `jwt`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.rules.name = name.into();
        self
    }

    /// The resolver. A set of keys that is fetched is not asked for before the first token comes.
    ///
    /// # Errors
    /// Every mistake in the settings: no algorithm, no issuer or audience, keys that cannot be read or that are not for
    /// the algorithms.
    pub fn build(self) -> Result<JwtSessions, ConfigError> {
        let Self { keys, algorithms, issuers, audiences, any_issuer, any_audience, mut rules, .. } = self;
        let mut problems = Vec::new();
        problems.extend(algorithm_problem(&algorithms));
        problems.extend(party_problem("issuer", issuers.as_deref(), any_issuer));
        problems.extend(party_problem("audience", audiences.as_deref(), any_audience));
        if rules.leeway > MAX_LEEWAY {
            problems.push(ConfigError::new("leeway", "must be at most ten minutes"));
        }
        if rules.media_types.is_empty() {
            problems.push(ConfigError::new("token_types", "an empty list takes no token"));
        }
        if self.locations.is_empty() {
            problems.push(ConfigError::new("locations", "an empty list finds no token"));
        }
        // Keys cannot be judged without algorithms to judge them by.
        let ring = if algorithms.is_empty() { None } else { keys.ring(&algorithms).map_err(|e| problems.push(e)).ok() };
        let Some(ring) = ring.filter(|_| problems.is_empty()) else {
            ConfigError::all(problems)?;
            return Err(ConfigError::new("algorithms", "name at least one"));
        };
        rules.issuers = issuers;
        rules.audiences = audiences;
        Ok(JwtSessions::assemble(ring, algorithms, rules, self.locations, VerifiedTokens::new(self.verified_tokens)))
    }
}

fn algorithm_problem(algorithms: &[JwtAlgorithm]) -> Option<ConfigError> {
    use super::algorithm::Family::Secret;
    if algorithms.is_empty() {
        return Some(ConfigError::new("algorithms", "name at least one"));
    }
    let secret = algorithms.iter().filter(|algorithm| algorithm.family() == Secret).count();
    (secret > 0 && secret < algorithms.len())
        .then(|| ConfigError::new("algorithms", "HMAC and algorithms with public keys cannot be mixed"))
}

fn party_problem(setting: &'static str, parties: Option<&[String]>, any: bool) -> Option<ConfigError> {
    match (parties, any) {
        (None, false) => Some(ConfigError::new(setting, format!("name one, or call insecure_any_{setting}"))),
        (Some(_), true) => {
            Some(ConfigError::new(setting, format!("there is one, and insecure_any_{setting} would ignore it")))
        }
        (Some(parties), false) if parties.iter().any(String::is_empty) => {
            Some(ConfigError::new(setting, "must not be empty"))
        }
        _ => None,
    }
}
