//! Who is signed in, where a route takes people.

use std::sync::Arc;

use http::request::Parts;

use super::instruments::Stage;
use super::{Attempt, Gate, Step, Verdict};
use crate::context::Principal;
use crate::credential::Presented;
use crate::error::StoreError;
use crate::fields::Glance;
use crate::instruments::Watch;
use crate::key::KeyRef;
use crate::rejection::{Rejection, RejectionReason};
use crate::route::{Callers, Openness, Ruling};
use crate::session::{
    Candidates, Carrier, PresentedSession, PresentedSessions, Session, SessionAnswer, SessionProblem,
};

/// What a session stands beside, or in place of.
pub(super) enum Alternative<'a> {
    /// Nothing else can let the request in, and a key would have been looked at before.
    MissingKey,
    /// Only a session lets the request in.
    MissingUser,
    /// This was presented as a key, and is looked at if there is no session that holds.
    Key(Presented<'a>),
    /// This key is good, and a user is needed with it.
    Beside(KeyRef),
}

impl Alternative<'_> {
    /// The same apart from the request, so that it can wait.
    fn into_owned(self) -> Alternative<'static> {
        match self {
            Self::MissingKey => Alternative::MissingKey,
            Self::MissingUser => Alternative::MissingUser,
            Self::Key(presented) => Alternative::Key(presented.into_owned()),
            Self::Beside(key) => Alternative::Beside(key),
        }
    }
}

/// What came of asking who is signed in.
enum SignedIn {
    Nobody,
    Refused(Carrier),
    User(Arc<Session>, Carrier),
}

impl Gate {
    /// Who may call, what the request brings along of sessions, and whether another site may have made a browser send
    /// it.
    pub(super) fn people(&self, parts: &Parts, glance: Glance, ruling: &Ruling) -> (Callers, PresentedSessions, bool) {
        if self.sessions.is_empty() {
            let cross_site = self.credentials.reads_cookies() && self.cross_site.refuses(parts);
            return (Callers::Key, PresentedSessions::Nothing, cross_site);
        }
        let callers = self.routes.callers(ruling);
        let people =
            if callers == Callers::Key { PresentedSessions::Nothing } else { self.sessions.read(parts, glance) };
        (callers, people, self.cross_site.refuses(parts))
    }

    /// Goes on with who is signed in, or with the alternative.
    pub(super) fn by_session(self: &Arc<Self>, alternative: Alternative<'_>, attempt: &mut Attempt) -> Step {
        let candidates = match std::mem::replace(&mut attempt.people, PresentedSessions::Nothing) {
            PresentedSessions::Some(candidates) => candidates,
            PresentedSessions::Nothing | PresentedSessions::Ambiguous => {
                return self.signed_in(SignedIn::Nobody, alternative, attempt);
            }
        };
        let mut refused = SignedIn::Nobody;
        for (index, candidate) in candidates.iter().enumerate() {
            let answer = match &candidate.presented {
                Err(problem) => SessionAnswer::Invalid(*problem),
                Ok(presented) => match self.resolve_now(candidate.resolver, presented, attempt) {
                    Some(answer) => answer,
                    None => {
                        let (gate, alternative, attempt) = (Arc::clone(self), alternative.into_owned(), attempt.take());
                        return Step::Wait(Box::pin(async move {
                            gate.resolve_later(candidates, index, refused, alternative, attempt).await
                        }));
                    }
                },
            };
            match self.understood(answer, candidate.carrier, candidate.resolver) {
                user @ SignedIn::User(..) => return self.signed_in(user, alternative, attempt),
                SignedIn::Nobody => {}
                other @ SignedIn::Refused(_) => refused = other,
            }
        }
        self.signed_in(refused, alternative, attempt)
    }

    /// The same from the candidate `first` on, which has to be waited for.
    async fn resolve_later(
        self: Arc<Self>,
        candidates: Box<Candidates>,
        first: usize,
        mut refused: SignedIn,
        alternative: Alternative<'static>,
        mut attempt: Attempt,
    ) -> Verdict {
        for candidate in &candidates[first..] {
            let answer = match &candidate.presented {
                Err(problem) => Ok(SessionAnswer::Invalid(*problem)),
                Ok(presented) => self.resolve(candidate.resolver, presented, &attempt).await,
            };
            let step = match answer {
                Err(error) => self.refuse(self.unavailable(&error), &mut attempt),
                Ok(answer) => match self.understood(answer, candidate.carrier, candidate.resolver) {
                    user @ SignedIn::User(..) => self.signed_in(user, alternative, &mut attempt),
                    SignedIn::Nobody => continue,
                    other @ SignedIn::Refused(_) => {
                        refused = other;
                        continue;
                    }
                },
            };
            return step.resolve(attempt).await;
        }
        self.signed_in(refused, alternative, &mut attempt).resolve(attempt).await
    }

    fn resolve_now(&self, resolver: usize, presented: &PresentedSession, attempt: &Attempt) -> Option<SessionAnswer> {
        let watch = attempt.sample.watch();
        let answer = self.sessions.resolver(resolver).resolve_now(presented, attempt.at)?;
        self.instruments.at_once(Stage::Session, watch);
        Some(answer)
    }

    async fn resolve(
        &self,
        resolver: usize,
        presented: &PresentedSession,
        attempt: &Attempt,
    ) -> Result<SessionAnswer, StoreError> {
        let resolver = self.sessions.resolver(resolver);
        if let Some(answer) = resolver.resolve_now(presented, attempt.at) {
            return Ok(answer);
        }
        let watch = Watch::started();
        let answer = self.timed(resolver.resolve(presented, attempt.at)).await;
        self.instruments.waited(Stage::Session, watch);
        answer.unwrap_or_else(|elapsed| Err(StoreError::new(resolver.name(), "resolve a session", elapsed)))
    }

    fn understood(&self, answer: SessionAnswer, carrier: Carrier, resolver: usize) -> SignedIn {
        match answer {
            SessionAnswer::Absent => SignedIn::Nobody,
            SessionAnswer::Valid(session) => SignedIn::User(session, carrier),
            SessionAnswer::Invalid(problem) => {
                self.note(problem, resolver);
                SignedIn::Refused(carrier)
            }
        }
    }

    /// Callers are not told why a session does not hold; who looks into the log is.
    fn note(&self, problem: SessionProblem, resolver: usize) {
        let name = self.sessions.resolver(resolver).name();
        tracing::debug!(target: "tower_api_key::session", resolver = name, %problem, "a session does not hold");
    }

    /// Goes on with who is signed in.
    fn signed_in(self: &Arc<Self>, who: SignedIn, alternative: Alternative<'_>, attempt: &mut Attempt) -> Step {
        match who {
            SignedIn::User(_, Carrier::Cookie) if attempt.cross_site => {
                self.refuse(with_key(RejectionReason::CrossSiteRequest, &alternative), attempt)
            }
            SignedIn::User(session, _) => match alternative {
                Alternative::Beside(key) if !belongs(&session, &key) => {
                    self.refuse(Rejection::from(RejectionReason::OrganizationMismatch).with_key(&key), attempt)
                }
                Alternative::Beside(key) => self.charge(Principal::KeyAndUser(key, session), attempt),
                _ => self.charge(Principal::User(session), attempt),
            },
            SignedIn::Nobody => match alternative {
                Alternative::Key(presented) => self.by_key(presented, attempt),
                Alternative::MissingKey => self.nobody(RejectionReason::MissingKey, attempt),
                Alternative::MissingUser => self.nobody(RejectionReason::MissingUserToken, attempt),
                beside @ Alternative::Beside(_) => {
                    self.refuse(with_key(RejectionReason::MissingUserToken, &beside), attempt)
                }
            },
            SignedIn::Refused(carrier) => {
                let reason = match carrier {
                    Carrier::Explicit => RejectionReason::InvalidUserToken,
                    Carrier::Cookie => RejectionReason::InvalidSession,
                };
                match alternative {
                    // It gives way to a key, and is as none where a key is asked for; but it makes nobody anonymous.
                    Alternative::Key(Presented::Nothing) if attempt.ruling.openness == Openness::Guarded => {
                        self.refuse(RejectionReason::MissingKey, attempt)
                    }
                    Alternative::Key(Presented::Nothing) => self.refuse(reason, attempt),
                    Alternative::Key(presented) => self.by_key(presented, attempt),
                    other => self.refuse(with_key(reason, &other), attempt),
                }
            }
        }
    }
}

/// Whether the user belongs to the organisation of the key; to none, if it has none.
fn belongs(session: &Session, key: &KeyRef) -> bool {
    key.owner.organization.as_ref().is_some_and(|organization| session.membership(organization).is_some())
}

/// The refusal, with the key if its secret was right.
fn with_key(reason: RejectionReason, alternative: &Alternative<'_>) -> Rejection {
    match alternative {
        Alternative::Beside(key) => Rejection::from(reason).with_key(key),
        _ => reason.into(),
    }
}
