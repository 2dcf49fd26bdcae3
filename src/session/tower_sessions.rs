//! The sessions of tower-sessions.

use std::fmt;

use serde_json::Value;
use tower_sessions_core::{Session as TowerSession, session};

use super::{PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver, User};
use crate::clock::Timestamp;
use crate::key::UserId;

/// Takes the user from a session of tower-sessions 0.15, as its `SessionManagerLayer` puts it into the request.
///
/// ```
/// use serde_json::Value;
/// use tower_api_key::User;
/// use tower_api_key::session::{Session, TowerSessions};
///
/// // The id of the user is under the key "user_id", a text or a number:
/// let people = TowerSessions::new("user_id");
///
/// // Or whatever else was stored at sign-in:
/// let people = TowerSessions::with("user", |user: &Value| {
///     let id = user["id"].as_str()?.parse().ok()?;
///     Some(Session::of(User::new(id).name(user["name"].as_str().unwrap_or_default())))
/// });
/// # let _ = people;
/// ```
///
/// The gate stands inside `SessionManagerLayer`: `layer` called last is outermost. A session in which nobody is signed in
/// is as good as none, and a store that cannot answer means 503. What the store says is asked once a request and not
/// kept; the handler's own `Session` shares what was loaded.
///
/// axum-login 0.18 builds on an older tower-sessions, and checks more than what a session holds: see
/// [`ExtensionSessions`](super::ExtensionSessions#axum-login).
pub struct TowerSessions {
    key: String,
    read: Read,
}

/// Makes a session of what was stored at sign-in; `None` if that names no user.
type Read = Box<dyn Fn(&Value) -> Option<Session> + Send + Sync>;

/// The store of sessions could not answer. Goes to the log alone; callers get a 503.
#[derive(Debug, thiserror::Error)]
#[error("the session could not be loaded")]
pub struct TowerSessionsError(#[source] session::Error);

/// What sessions of this kind are called in the log and in `AuthContext`.
const NAME: &str = "tower-sessions";

impl TowerSessions {
    /// The id of the user is what was inserted under `key`: a text, or a whole number.
    pub fn new(key: impl Into<String>) -> Self {
        Self::with(key, |value| {
            let id = match value {
                Value::String(text) => UserId::new(text),
                Value::Number(number) if !number.is_f64() => UserId::new(number.to_string()),
                _ => return None,
            };
            Some(Session::of(User::new(id.ok()?)))
        })
    }

    /// `read` makes a session of what was inserted under `key`, or `None` if that names no user.
    pub fn with(key: impl Into<String>, read: impl Fn(&Value) -> Option<Session> + Send + Sync + 'static) -> Self {
        Self { key: key.into(), read: Box::new(read) }
    }
}

impl fmt::Debug for TowerSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerSessions").field("key", &self.key).finish_non_exhaustive()
    }
}

impl SessionResolver for TowerSessions {
    type Error = TowerSessionsError;

    fn name(&self) -> &str {
        NAME
    }

    fn locations(&self) -> Vec<SessionLocation> {
        vec![SessionLocation::extension::<TowerSession>()]
    }

    async fn resolve(&self, presented: &PresentedSession, now: Timestamp) -> Result<SessionAnswer, TowerSessionsError> {
        let Some(session) = presented.extension::<TowerSession>() else {
            return Ok(SessionAnswer::Absent);
        };
        let Some(value) = session.get_value(&self.key).await.map_err(TowerSessionsError)? else {
            return Ok(SessionAnswer::Absent);
        };
        Ok(match (self.read)(&value) {
            None => SessionProblem::Nameless.into(),
            Some(session) if session.expires_at.is_some_and(|end| end <= now) => SessionProblem::Expired.into(),
            Some(mut session) => {
                session.source = NAME.into();
                session.into()
            }
        })
    }
}
