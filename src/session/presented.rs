//! What a request brings along that may be a session.

use std::any::Any;
use std::fmt;

use http::Extensions;
use zeroize::Zeroizing;

/// Where a session travels.
#[derive(Clone)]
pub struct SessionLocation(pub(crate) Place);

#[derive(Clone)]
pub(crate) enum Place {
    Cookie(String),
    Bearer,
    Extension(fn(&Extensions) -> Option<Box<dyn Any + Send + Sync>>),
}

impl SessionLocation {
    /// A cookie of this name, whole, or in chunks named `<name>.0`, `<name>.1` and so on.
    pub fn cookie(name: impl Into<String>) -> Self {
        Self(Place::Cookie(name.into()))
    }

    /// `Authorization: Bearer <token>` (RFC 6750 §2.1). Where keys travel there too, a text is a token if it is written as
    /// a JWS or JWE is (RFC 7515 §7.1, RFC 7516 §7.1), and a key otherwise.
    pub const fn bearer() -> Self {
        Self(Place::Bearer)
    }

    /// A value that a layer above has put into the request's extensions, having read it from a cookie.
    pub fn extension<T: Clone + Send + Sync + 'static>() -> Self {
        Self(Place::Extension(|extensions| {
            extensions.get::<T>().cloned().map(|value| Box::new(value) as Box<dyn Any + Send + Sync>)
        }))
    }
}

impl fmt::Debug for SessionLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Cookie(name) => f.debug_tuple("Cookie").field(name).finish(),
            Place::Bearer => f.write_str("Bearer"),
            Place::Extension(_) => f.write_str("Extension"),
        }
    }
}

/// What stands in one of a resolver's locations, not yet believed. Overwritten when dropped, and never printed.
pub struct PresentedSession {
    cookie: Option<String>,
    text: Zeroizing<String>,
    extension: Option<Box<dyn Any + Send + Sync>>,
}

impl PresentedSession {
    /// The value of the cookie of this name, its chunks joined.
    pub fn cookie(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { cookie: Some(name.into()), text: Zeroizing::new(value.into()), extension: None }
    }

    /// A token that was sent as `Authorization: Bearer`.
    pub fn bearer(token: impl Into<String>) -> Self {
        Self { cookie: None, text: Zeroizing::new(token.into()), extension: None }
    }

    pub(crate) fn of_extension(value: Box<dyn Any + Send + Sync>) -> Self {
        Self { cookie: None, text: Zeroizing::default(), extension: Some(value) }
    }

    /// The name of the cookie, without the number of a chunk; `None` for a token or an extension.
    pub fn cookie_name(&self) -> Option<&str> {
        self.cookie.as_deref()
    }

    /// The text, as it was sent: neither unquoted nor percent-decoded. Empty for an extension.
    pub fn expose_secret(&self) -> &str {
        &self.text
    }

    /// The value that a layer above has put into the request's extensions.
    pub fn extension<T: 'static>(&self) -> Option<&T> {
        self.extension.as_deref().and_then(|value| value.downcast_ref())
    }
}

impl fmt::Debug for PresentedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedSession").field("cookie", &self.cookie).finish_non_exhaustive()
    }
}
