//! One person who is signed in, known without waiting.

use std::convert::Infallible;
use std::sync::Arc;

use tower_api_key::User;
use tower_api_key::clock::Timestamp;
use tower_api_key::key::UserId;
use tower_api_key::session::{
    PresentedSession, Session, SessionAnswer, SessionLocation, SessionProblem, SessionResolver,
};

pub struct Ann(Arc<Session>);

impl Ann {
    pub fn new() -> Self {
        Self(Arc::new(Session::of(User::new(UserId::from_static("ann")))))
    }
}

impl SessionResolver for Ann {
    type Error = Infallible;

    fn name(&self) -> &str {
        "ann"
    }

    fn locations(&self) -> Vec<SessionLocation> {
        vec![SessionLocation::cookie("sid")]
    }

    async fn resolve(&self, _: &PresentedSession, _: Timestamp) -> Result<SessionAnswer, Infallible> {
        Ok(SessionAnswer::Absent)
    }

    fn resolve_now(&self, presented: &PresentedSession, _: Timestamp) -> Option<SessionAnswer> {
        let known = presented.expose_secret() == "ann";
        Some(if known { SessionAnswer::Valid(Arc::clone(&self.0)) } else { SessionProblem::Unknown.into() })
    }
}
