//! `WWW-Authenticate` (RFC 9110 §11.6.1), and the words that name where a key goes.

use http::{HeaderMap, HeaderValue, header};

use super::RejectionReason;
use crate::credential::{CredentialLocation, Place};
use crate::key::Realm;

/// What a challenge says is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Error {
    /// Nothing: no credential was there.
    None,
    InvalidToken,
    InvalidRequest,
}

/// What callers are told of where keys go. Prepared when the layer is built.
#[derive(Debug)]
pub(crate) struct Challenges {
    /// `X-API-Key header or Authorization: Bearer token`.
    pub(super) phrase: String,
    /// The headers, as they were written in the configuration.
    pub(super) headers: Vec<String>,
    /// A challenge for each place, without the parameters of an error.
    bare: Vec<String>,
    plain: Vec<HeaderValue>,
    invalid_token: Vec<HeaderValue>,
    invalid_request: Vec<HeaderValue>,
}

impl Challenges {
    /// `tokens`: users' tokens travel as Bearer, beside or among the keys.
    pub(crate) fn new(locations: &[CredentialLocation], tokens: bool, realm: &Realm) -> Self {
        let mut bare = Vec::new();
        let mut headers: Vec<String> = Vec::new();
        for location in locations {
            let challenge = match &location.0 {
                Place::Scheme(scheme) => format!("{scheme} realm=\"{realm}\""),
                Place::Header(name) => format!("ApiKey realm=\"{realm}\", header=\"{name}\""),
                Place::Cookie(name) => format!("ApiKey realm=\"{realm}\", cookie=\"{name}\""),
                Place::Subprotocol | Place::Query(_) => continue,
            };
            bare.push(challenge);
            headers.push(location.header_name().to_owned());
        }
        let bearer = format!("Bearer realm=\"{realm}\"");
        if tokens && !bare.contains(&bearer) {
            bare.push(bearer);
        }
        // RFC 9110 §15.5.2: a 401 carries at least one challenge, also where no header takes a key.
        if bare.is_empty() {
            bare.push(format!("ApiKey realm=\"{realm}\""));
        }
        let phrases: Vec<_> = locations.iter().map(CredentialLocation::phrase).collect();
        Self {
            phrase: either(&phrases),
            headers,
            plain: values(&bare, ""),
            invalid_token: values(&bare, ", error=\"invalid_token\""),
            invalid_request: values(&bare, ", error=\"invalid_request\""),
            bare,
        }
    }

    /// The challenges of an error.
    pub(super) fn of(&self, error: Error) -> &[HeaderValue] {
        match error {
            Error::None => &self.plain,
            Error::InvalidToken => &self.invalid_token,
            Error::InvalidRequest => &self.invalid_request,
        }
    }

    /// Adds the challenges that belong to `reason`: to every 401, and to a scope that is missing.
    pub(super) fn append(&self, reason: &RejectionReason, headers: &mut HeaderMap) {
        let scoped;
        let challenges = match (reason, Error::of(reason)) {
            (RejectionReason::InsufficientScope { required, .. }, _) => {
                let error = format!(", error=\"insufficient_scope\", scope=\"{}\"", required.scopes());
                scoped = values(&self.bare, &error);
                &scoped
            }
            (_, Some(error)) => self.of(error),
            (_, None) => return,
        };
        for challenge in challenges {
            headers.append(header::WWW_AUTHENTICATE, challenge.clone());
        }
    }
}

impl Error {
    /// What the challenges of a 401 say; `None` of other refusals.
    pub(super) fn of(reason: &RejectionReason) -> Option<Self> {
        match reason {
            RejectionReason::MissingKey | RejectionReason::MissingUserToken => Some(Self::None),
            RejectionReason::AmbiguousCredentials => Some(Self::InvalidRequest),
            reason if reason.status() == http::StatusCode::UNAUTHORIZED => Some(Self::InvalidToken),
            _ => None,
        }
    }
}

/// Realm, scheme, header and scope have no character that a header value may not have; each is checked where it is made.
fn values(bare: &[String], error: &str) -> Vec<HeaderValue> {
    bare.iter().filter_map(|challenge| HeaderValue::try_from(format!("{challenge}{error}")).ok()).collect()
}

/// `a`, `a or b`, `a, b or c`.
fn either(phrases: &[String]) -> String {
    match phrases {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Scope, ScopeSet};

    fn challenges(reason: &RejectionReason) -> Vec<String> {
        let locations = [CredentialLocation::header("X-API-Key"), CredentialLocation::bearer()];
        let mut headers = HeaderMap::new();
        Challenges::new(&locations, false, &Realm::from_static("api")).append(reason, &mut headers);
        let values = headers.get_all(header::WWW_AUTHENTICATE).into_iter();
        values.map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn each_place_has_a_challenge_of_its_own() {
        assert_eq!(
            challenges(&RejectionReason::MissingKey),
            ["ApiKey realm=\"api\", header=\"X-API-Key\"", "Bearer realm=\"api\""]
        );
        assert_eq!(challenges(&RejectionReason::InvalidKey)[1], "Bearer realm=\"api\", error=\"invalid_token\"");
        assert_eq!(
            challenges(&RejectionReason::AmbiguousCredentials)[1],
            "Bearer realm=\"api\", error=\"invalid_request\""
        );
    }

    #[test]
    fn a_missing_scope_is_named_and_other_refusals_challenge_nobody() {
        let required = Scope::from_static("write").into();
        let reason = RejectionReason::InsufficientScope { required, granted: ScopeSet::EMPTY };
        let expected = "Bearer realm=\"api\", error=\"insufficient_scope\", scope=\"write\"";
        assert_eq!(challenges(&reason)[1], expected);
        assert!(challenges(&RejectionReason::IpNotAllowed).is_empty());
        assert!(challenges(&RejectionReason::Forbidden).is_empty());
    }

    #[test]
    fn places_are_told_in_a_sentence() {
        let three = [
            CredentialLocation::header("X-API-Key"),
            CredentialLocation::bearer(),
            CredentialLocation::insecure_query_parameter("key"),
        ];
        let realm = Realm::from_static("api");
        let phrase = "X-API-Key header, Authorization: Bearer token or key query parameter";
        assert_eq!(Challenges::new(&three, false, &realm).phrase, phrase);
        assert_eq!(Challenges::new(&three[2..], false, &realm).plain.len(), 1, "a 401 always has a challenge");
    }
}
