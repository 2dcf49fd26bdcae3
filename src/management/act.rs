//! The calls that do something to keys: each is carried out to its end, and the audit trail is told what it did.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use http::request::Parts;
use tracing::Instrument;

use super::desk::{Desk, Order};
use super::route::Action;
use super::{body, enable, make, refusal, revoke, update};
use crate::audit::{
    AuditAction, AuditActor, AuditChange, AuditEvent, AuditEventId, AuditOutcome, AuditTrail, shortened,
};
use crate::clock::Clock;
use crate::context::{AuthContext, Principal};
use crate::key::{KeyId, KeyOwner, KeyRef};
use crate::rejection::Rejection;
use crate::transport;

/// Carries out a call that does something to keys. What was begun is brought to an end, and told, also when the caller hangs
/// up meanwhile: a change that is made and not told would be worse than one that nobody waits for.
pub(super) async fn carry_out(
    desk: &Arc<Desk>,
    action: Action,
    order: Order,
    body: Body,
) -> Result<Response, Rejection> {
    let text = match body::text(body).await {
        Ok(text) => text,
        Err(rejection) => {
            order.conclude(Err(&rejection));
            return Err(rejection);
        }
    };
    let desk = Arc::clone(desk);
    let doing = async move {
        let outcome = match action {
            Action::Update => update::answer(&desk, &order, text.into()).await,
            Action::Revoke => revoke::answer(&desk, &order, text.into()).await,
            Action::Enable => enable::answer(&desk, &order, text.into(), true).await,
            Action::Disable => enable::answer(&desk, &order, text.into(), false).await,
            _ => make::answer(&desk, action, &order, text).await,
        };
        order.conclude(outcome.as_ref().map(drop));
        outcome
    };
    match tokio::runtime::Handle::try_current() {
        Err(_) => doing.await,
        Ok(runtime) => match runtime.spawn(doing.in_current_span()).await {
            Ok(answer) => answer,
            Err(error) => Err(refusal::broken(&error)),
        },
    }
}

/// Something that is about to be done to a key. Dropped before it is concluded, it is told as one that was not brought to
/// its end.
pub(super) struct Act {
    trail: AuditTrail,
    clock: Arc<dyn Clock>,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// `None` once it was told.
    event: Option<AuditEvent>,
    before: Option<KeyRef>,
    after: Option<KeyRef>,
}

impl Act {
    /// `None` if the call does nothing, or nobody wants to know.
    pub(super) fn begin(
        desk: &Desk,
        action: Action,
        caller: &AuthContext,
        parts: &Parts,
        key_id: Option<&KeyId>,
    ) -> Option<Self> {
        let (trail, action) = (desk.trail.clone()?, audited(action)?);
        let mut event = AuditEvent::new(AuditEventId::new(desk.clock.now(), 0), desk.clock.now(), action);
        event.reason = caller.method().as_str().into();
        event.actor = actor(caller);
        event.key_id = key_id.cloned();
        event.client_ip = caller.client_ip().address();
        event.method = shortened(parts.method.as_str());
        event.path = shortened(transport::original_uri(parts).path());
        event.request_id = caller.request_id().map(|id| id.as_str().to_owned());
        let noted = Noted { event: Some(event), ..Noted::default() };
        Some(Self { trail, clock: Arc::clone(&desk.clock), noted: Mutex::new(noted) })
    }

    /// Whose key is to be made.
    pub(super) fn is_for(&self, owner: &KeyOwner) {
        if let Some(event) = &mut self.noted().event {
            event.owner = owner.clone();
        }
    }

    /// The key that it is about, as it was.
    pub(super) fn found(&self, key: &KeyRef) {
        self.noted().before = Some(key.clone());
    }

    /// The key that it is about, as it is now.
    pub(super) fn changed(&self, key: &KeyRef) {
        self.noted().after = Some(key.clone());
    }

    /// Nothing is done: the same request has been carried out before.
    pub(super) fn is_a_repeat(&self) {
        self.noted().event = None;
    }

    /// Tells the trail, once.
    pub(super) fn conclude(&self, outcome: Result<(), &Rejection>) {
        let noted = std::mem::take(&mut *self.noted());
        let Some(mut event) = noted.event else { return };
        event.at = self.clock.now();
        if let Some(key) = noted.before.as_ref().or(noted.after.as_ref()) {
            event.key_id = Some(key.id.clone());
            event.owner = key.owner.clone();
        }
        match outcome {
            Ok(()) => {
                event.outcome = AuditOutcome::Accepted;
                let after = noted.after.as_ref().or(noted.before.as_ref());
                event.changes =
                    after.map(|after| AuditChange::between(noted.before.as_deref(), after, self.clock.now()));
            }
            Err(rejection) => {
                event.outcome = AuditOutcome::Refused;
                event.reason = rejection.code().into();
            }
        }
        self.trail.note(event);
    }

    /// Also after a panic: every step of it is whole.
    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Act {
    fn drop(&mut self) {
        self.conclude(Err(&refusal::internal("The call was not brought to an end")));
    }
}

/// What an act is called in the trail; `None` of calls that only read.
const fn audited(action: Action) -> Option<AuditAction> {
    match action {
        Action::Issue => Some(AuditAction::Create),
        Action::Update => Some(AuditAction::Update),
        Action::Enable => Some(AuditAction::Enable),
        Action::Disable => Some(AuditAction::Disable),
        Action::Rotate => Some(AuditAction::Rotate),
        Action::Regenerate => Some(AuditAction::Regenerate),
        Action::Revoke => Some(AuditAction::Revoke),
        Action::List | Action::Read | Action::Usage | Action::Audit => None,
    }
}

fn actor(caller: &AuthContext) -> AuditActor {
    let method = match caller.principal() {
        Principal::Anonymous => None,
        _ => Some(caller.method()),
    };
    let user = caller.user().map(|user| user.id.clone());
    AuditActor { method, user, key_id: caller.key().map(|key| key.id.clone()) }
}
