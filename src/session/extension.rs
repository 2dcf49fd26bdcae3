//! Sessions that a layer above has read already.

use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;

use super::{PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver};
use crate::clock::Timestamp;

/// Takes the user from a value that a layer above has put into the request's extensions, having read it from a cookie.
///
/// ```
/// use tower_api_key::User;
/// use tower_api_key::session::{ExtensionSessions, Session};
///
/// #[derive(Clone)]
/// struct SignedIn {
///     user_id: Option<String>,
/// }
///
/// let sessions = ExtensionSessions::new("sign-in", |signed_in: &SignedIn| {
///     let id = signed_in.user_id.as_ref()?.parse().ok()?;
///     Some(Session::of(User::new(id)))
/// });
/// # let _ = sessions;
/// ```
///
/// # axum-login
/// Its layer puts an `AuthSession` there whose user it has checked, the hash of the password included. Any version goes:
///
/// ```
/// # use axum_login::{AuthSession, AuthUser, AuthnBackend};
/// # use tower_api_key::key::UserId;
/// # use tower_api_key::session::{ExtensionSessions, Session};
/// # use tower_api_key::source::MemoryKeys;
/// # use tower_api_key::{ApiKeyLayer, ConfigError, User};
/// # fn gate<Backend>(keys: MemoryKeys) -> Result<ApiKeyLayer, ConfigError>
/// # where
/// #     Backend: AuthnBackend + Clone + Send + Sync + 'static,
/// #     <Backend::User as AuthUser>::Id: ToString,
/// # {
/// let people = ExtensionSessions::new("axum-login", |auth: &AuthSession<Backend>| {
///     let user = auth.user.as_ref()?;
///     Some(Session::of(User::new(UserId::new(user.id().to_string()).ok()?)))
/// });
/// let gate = ApiKeyLayer::builder(keys).sessions(people).build()?;
/// // Router::new().route("/", get(handler)).layer(gate).layer(auth_manager_layer)
/// # Ok(gate) }
/// ```
///
/// The gate stands inside: `layer` called last is outermost. Because a cookie brought the session, writes from other
/// sites are refused.
pub struct ExtensionSessions<T> {
    name: String,
    read: Read<T>,
    of: PhantomData<fn(&T)>,
}

/// Answers who is signed in; `None` is nobody.
type Read<T> = Box<dyn Fn(&T) -> Option<Session> + Send + Sync>;

impl<T: Clone + Send + Sync + 'static> ExtensionSessions<T> {
    /// `name` is what it is called in the log and in `AuthContext`. `read` answers who is signed in; `None` is nobody.
    pub fn new(name: impl Into<String>, read: impl Fn(&T) -> Option<Session> + Send + Sync + 'static) -> Self {
        Self { name: name.into(), read: Box::new(read), of: PhantomData }
    }

    fn answer(&self, presented: &PresentedSession, now: Timestamp) -> SessionAnswer {
        match presented.extension::<T>().and_then(|value| (self.read)(value)) {
            None => SessionAnswer::Absent,
            Some(session) if session.expires_at.is_some_and(|end| end <= now) => SessionProblem::Expired.into(),
            Some(mut session) => {
                session.source = self.name.clone().into();
                session.into()
            }
        }
    }
}

impl<T> fmt::Debug for ExtensionSessions<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExtensionSessions").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<T: Clone + Send + Sync + 'static> SessionResolver for ExtensionSessions<T> {
    type Error = Infallible;

    fn name(&self) -> &str {
        &self.name
    }

    fn locations(&self) -> Vec<SessionLocation> {
        vec![SessionLocation::extension::<T>()]
    }

    async fn resolve(&self, presented: &PresentedSession, now: Timestamp) -> Result<SessionAnswer, Infallible> {
        Ok(self.answer(presented, now))
    }

    fn resolve_now(&self, presented: &PresentedSession, now: Timestamp) -> Option<SessionAnswer> {
        Some(self.answer(presented, now))
    }
}
