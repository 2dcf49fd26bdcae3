//! CORS preflights: the one kind of request that browsers send without credentials, whatever a page asks for.

use http::request::Parts;
use http::{HeaderValue, Method, header};

use crate::error::ConfigError;
use crate::fields;

/// Which preflights pass the gate without a key; none, unless set.
///
/// A preflight is `OPTIONS` with one `Origin`, one `Access-Control-Request-Method` and no content (Fetch standard, "CORS
/// protocol"). Any other `OPTIONS` needs a key as every method does. With tower-http's `CorsLayer` outside the gate none
/// of this is needed, since it answers preflights itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Preflights(Exempt);

#[derive(Debug, Clone, Default)]
enum Exempt {
    #[default]
    None,
    From(Vec<HeaderValue>),
    All,
}

impl Preflights {
    pub(crate) const ALL: Self = Self(Exempt::All);

    pub(crate) fn from(origins: &[String]) -> Result<Self, ConfigError> {
        let wrong = |problem| ConfigError::new("allow_preflights_from", problem);
        if origins.is_empty() {
            return Err(wrong("an empty list lets no preflight through".to_owned()));
        }
        let parse = |origin: &String| {
            let problem = || wrong(format!("{origin:?} is no origin such as https://app.example.com"));
            fields::origin(origin).ok_or_else(problem)
        };
        Ok(Self(Exempt::From(origins.iter().map(parse).collect::<Result<_, _>>()?)))
    }

    /// Whether the request is a true preflight, from where it may come.
    pub(crate) fn exempts(&self, parts: &Parts) -> bool {
        if parts.method != Method::OPTIONS || matches!(self.0, Exempt::None) {
            return false;
        }
        let one = |name| {
            let mut values = parts.headers.get_all(name).into_iter();
            values.next().filter(|value| !value.is_empty() && values.next().is_none())
        };
        let method = one(header::ACCESS_CONTROL_REQUEST_METHOD);
        let content = parts.headers.contains_key(header::TRANSFER_ENCODING)
            || parts.headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0");
        let Some(origin) = one(header::ORIGIN) else {
            return false;
        };
        let listed = match &self.0 {
            Exempt::None => false,
            Exempt::From(origins) => origins.contains(origin),
            Exempt::All => true,
        };
        listed && !content && method.is_some_and(|method| Method::from_bytes(method.as_bytes()).is_ok())
    }
}
