//! Where credentials travel, as security schemes.

use std::collections::BTreeMap;

use http::Method;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};

use crate::authenticate::Gate;
use crate::credential::Way;
use crate::key::Scope;
use crate::route::{Callers, Openness, Route};

/// The schemes of a layer by their names: those of keys, and those of people.
pub(super) struct Schemes {
    keys: BTreeMap<String, SecurityScheme>,
    people: BTreeMap<String, SecurityScheme>,
}

impl Schemes {
    pub(super) fn of(gate: &Gate) -> Self {
        let keys = gate.credentials.ways().filter_map(|way| Some((name(&way), scheme(way)?)));
        let mut people: BTreeMap<_, _> = gate.sessions.cookie_names().map(session_cookie).collect();
        if gate.sessions.reads_bearer() {
            people.insert("token".to_owned(), bearer("The token of a person who is signed in"));
        }
        Self { keys: keys.collect(), people }
    }

    pub(super) fn all(self) -> impl Iterator<Item = (String, SecurityScheme)> {
        self.keys.into_iter().chain(self.people)
    }

    /// What a request to `path` needs: one of these. `None` if it needs nothing.
    pub(super) fn requirements(&self, gate: &Gate, method: &Method, path: &str) -> Option<Vec<SecurityRequirement>> {
        // The table knows paths, and a parameter's name is as good a value as any.
        let ruling = gate.routes.rule(method, &path.replace(['{', '}'], ""), None);
        if ruling.openness == Openness::Public {
            return None;
        }
        let scopes = gate.routes.routes(&ruling).filter_map(Route::required_scopes);
        let scopes: Vec<_> =
            scopes.flat_map(|needed| needed.scopes().iter().map(Scope::to_string).collect::<Vec<_>>()).collect();
        let one = |name: &String| SecurityRequirement::new(name, &scopes);
        let mut needed: Vec<_> = match gate.routes.callers(&ruling) {
            Callers::Key => self.keys.keys().map(one).collect(),
            Callers::User => self.people.keys().map(one).collect(),
            Callers::KeyAndUser => {
                let pairs = self.keys.keys().flat_map(|key| self.people.keys().map(move |person| (key, person)));
                pairs.map(|(key, person)| one(key).add(person, [""; 0])).collect()
            }
            Callers::Either => self.keys.keys().chain(self.people.keys()).map(one).collect(),
        };
        if ruling.openness == Openness::Optional {
            needed.push(SecurityRequirement::default());
        }
        Some(needed)
    }
}

fn scheme(way: Way<'_>) -> Option<SecurityScheme> {
    Some(match way {
        Way::Header(name) => SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(name))),
        Way::Scheme(scheme) if scheme.eq_ignore_ascii_case("Bearer") => bearer("An API key"),
        Way::Scheme(scheme) => {
            let told = format!("`{scheme}`, a space, and an API key");
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("Authorization", told.as_str())))
        }
        Way::Cookie(name) => SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::new(name))),
        Way::Query(name) => SecurityScheme::ApiKey(ApiKey::Query(ApiKeyValue::new(name))),
        // For WebSocket handshakes, which OpenAPI knows nothing of.
        Way::Subprotocol => return None,
    })
}

fn bearer(told: &str) -> SecurityScheme {
    let mut http = Http::new(HttpAuthScheme::Bearer);
    http.description = Some(told.to_owned());
    SecurityScheme::Http(http)
}

fn session_cookie(cookie: &str) -> (String, SecurityScheme) {
    let value = ApiKeyValue::with_description(cookie, "The session of a person who is signed in");
    (component(&format!("session-{cookie}")), SecurityScheme::ApiKey(ApiKey::Cookie(value)))
}

fn name(way: &Way<'_>) -> String {
    component(&match way {
        Way::Header(name) => format!("key-{name}"),
        Way::Scheme(scheme) => format!("key-{}", scheme.to_ascii_lowercase()),
        Way::Cookie(name) => format!("key-cookie-{name}"),
        Way::Query(name) => format!("key-query-{name}"),
        Way::Subprotocol => "key-subprotocol".to_owned(),
    })
}

/// Names of components have fewer characters than names of headers and cookies (OpenAPI 3.1 §4.8.7.1).
fn component(name: &str) -> String {
    let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    name.chars().map(|letter| if known(letter) { letter } else { '_' }).collect()
}
