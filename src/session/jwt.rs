//! Signed tokens of users: JWT (RFC 7519), with the care that RFC 8725 asks for.
//!
//! ```
//! use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions};
//!
//! # fn main() -> Result<(), tower_api_key::ConfigError> {
//! let tokens = JwtSessions::builder(JwtKeys::secret("a secret of at least thirty-two bytes"))
//!     .algorithms([JwtAlgorithm::Hs256])
//!     .issuer("https://login.example.com/")
//!     .audience("https://api.example.com")
//!     .build()?;
//! # let _ = tokens;
//! # Ok(()) }
//! ```

mod algorithm;
mod builder;
mod claims;
mod error;
mod file;
#[cfg(feature = "jwks")]
mod http;
mod json;
mod key;
mod key_set;
mod keys;
mod remote;
mod token;
mod verified;

use std::fmt;
use std::sync::Arc;

use super::{PresentedSession, SessionAnswer, SessionLocation, SessionProblem, SessionResolver};
use crate::clock::Timestamp;
use claims::Rules;
use key_set::{KeySet, Signature};
use keys::Ring;
use token::Token;
use verified::VerifiedTokens;

pub use algorithm::{JwtAlgorithm, UnknownJwtAlgorithm};
pub use builder::JwtSessionsBuilder;
pub use error::JwtSessionsError;
#[cfg(feature = "jwks")]
pub use http::{HttpJwks, HttpJwksError};
pub use keys::JwtKeys;
pub use remote::{JwksRefresh, JwksSource};

/// Knows users by signed tokens, sent as `Authorization: Bearer` unless [said otherwise](JwtSessionsBuilder::locations).
///
/// # What makes a token good
/// 1. It is a JWS of three parts in base64url without padding, whose header and claims are JSON objects without a member
///    that stands twice, of at most 32 KiB. `crit` and `b64` are refused.
/// 2. `alg` is one of the [configured algorithms](JwtSessionsBuilder::algorithms), and the key is one for it. The key is
///    the one that `kid` names, out of those configured; what a token carries or points to is never a key.
/// 3. `typ` is `JWT`, `at+jwt` or absent ([`token_types`](JwtSessionsBuilder::token_types)).
/// 4. `exp` lies ahead and `nbf` does not, give or take the [leeway](JwtSessionsBuilder::leeway): the instant of `exp` is
///    past it. Both are read from the gate's clock.
/// 5. `iss` is the issuer, and `aud` has the audience in it, compared character by character.
/// 6. `sub` names the user.
///
/// # What it says
///
/// | claim | in the [`Session`](super::Session) |
/// | --- | --- |
/// | `sub`, `name`, `email` | the user |
/// | `scope`, `scp`: a text or a list | scopes; what is no scope grants nothing, and `*` grants what it grants to a key |
/// | `org_id`: a text or a list ([name](JwtSessionsBuilder::organization_claim)) | memberships; a single one is also the organisation that the user works for |
/// | `role`: a text or a list ([name](JwtSessionsBuilder::role_claim)) | roles, everywhere and in each membership |
/// | `exp` | its end |
/// | all | claims |
///
/// # When keys cannot be had
/// A token is neither good nor bad then, and the answer is 503. Keys that were fetched once stay good for their
/// [`max_age`](JwksRefresh::max_age). See [`JwtKeys`] for where they come from.
pub struct JwtSessions {
    ring: Ring,
    algorithms: Vec<JwtAlgorithm>,
    rules: Rules,
    locations: Vec<SessionLocation>,
    verified: VerifiedTokens,
}

/// What keys made of a token.
enum Judgement {
    Answer(SessionAnswer),
    /// Keys that are not there yet may judge otherwise.
    UnknownKey(SessionProblem),
}

impl JwtSessions {
    /// Settings to go with `keys`.
    pub fn builder(keys: JwtKeys) -> JwtSessionsBuilder {
        JwtSessionsBuilder::new(keys)
    }

    fn assemble(
        ring: Ring,
        algorithms: Vec<JwtAlgorithm>,
        rules: Rules,
        locations: Vec<SessionLocation>,
        verified: VerifiedTokens,
    ) -> Self {
        Self { ring, algorithms, rules, locations, verified }
    }

    /// The keys that are in memory, unless they are too old.
    fn keys_now(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        match &self.ring {
            Ring::Fixed(keys) => Some(Arc::clone(keys)),
            Ring::File(file) => Some(file.keys()),
            Ring::Remote(remote) => remote.keys_now(now),
        }
    }

    fn judge(&self, text: &str, keys: &Arc<KeySet>, now: Timestamp) -> Judgement {
        let digest = VerifiedTokens::digest(text);
        if let Some(answer) = self.verified.answer(&digest, keys, now, self.rules.leeway) {
            return Judgement::Answer(answer);
        }
        let Some(token) = Token::parse(text) else {
            return SessionProblem::Malformed.into();
        };
        let Some(algorithm) = token.algorithm.filter(|algorithm| self.algorithms.contains(algorithm)) else {
            return SessionProblem::Forged.into();
        };
        match keys.check(&token, algorithm) {
            Signature::Good => {}
            Signature::Forged => return SessionProblem::Forged.into(),
            Signature::UnknownKey if token.key_id.is_some() => return Judgement::UnknownKey(SessionProblem::Unknown),
            Signature::UnknownKey => return Judgement::UnknownKey(SessionProblem::Forged),
        }
        if !self.rules.take(token.media_type.as_deref()) {
            return SessionProblem::Misdirected.into();
        }
        let Some(claims) = token.claims() else {
            return SessionProblem::Malformed.into();
        };
        match self.rules.judge(claims, now) {
            Ok((session, span)) => {
                let session = Arc::new(session);
                self.verified.keep(digest, &session, span, keys);
                Judgement::Answer(SessionAnswer::Valid(session))
            }
            Err(problem) => problem.into(),
        }
    }
}

impl From<SessionProblem> for Judgement {
    fn from(problem: SessionProblem) -> Self {
        Self::Answer(problem.into())
    }
}

impl fmt::Debug for JwtSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSessions")
            .field("algorithms", &self.algorithms)
            .field("rules", &self.rules)
            .field("locations", &self.locations)
            .finish_non_exhaustive()
    }
}

impl SessionResolver for JwtSessions {
    type Error = JwtSessionsError;

    fn name(&self) -> &str {
        &self.rules.name
    }

    fn locations(&self) -> Vec<SessionLocation> {
        self.locations.clone()
    }

    async fn resolve(&self, presented: &PresentedSession, now: Timestamp) -> Result<SessionAnswer, JwtSessionsError> {
        let text = presented.expose_secret();
        let keys = match &self.ring {
            Ring::Remote(remote) => remote.keys(now).await?,
            Ring::Fixed(keys) => Arc::clone(keys),
            Ring::File(file) => file.keys(),
        };
        let problem = match self.judge(text, &keys, now) {
            Judgement::Answer(answer) => return Ok(answer),
            Judgement::UnknownKey(problem) => problem,
        };
        let Ring::Remote(remote) = &self.ring else {
            return Ok(problem.into());
        };
        match remote.other_keys(&keys, now).await? {
            None => Ok(problem.into()),
            Some(newer) => Ok(match self.judge(text, &newer, now) {
                Judgement::Answer(answer) => answer,
                Judgement::UnknownKey(problem) => problem.into(),
            }),
        }
    }

    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        let keys = self.keys_now(now)?;
        match self.judge(presented.expose_secret(), &keys, now) {
            Judgement::Answer(answer) => Some(answer),
            Judgement::UnknownKey(problem) => match &self.ring {
                Ring::Remote(remote) if !remote.is_settled(&keys, now) => None,
                _ => Some(problem.into()),
            },
        }
    }
}
