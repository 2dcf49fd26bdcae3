//! Where every call goes first: who is calling, what they may do, and the store, in time.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, RawPathParams, Request};
use axum::response::Response;
use http::request::Parts;

use super::act::Act;
use super::authority::{Authority, Call, Mandate};
use super::repeats::Repeats;
use super::route::{Action, KEY_ID};
use super::single::SingleKey;
use super::{act, audit, list, read, refusal, usage};
use crate::audit::AuditTrail;
use crate::clock::Clock;
use crate::context::{AuthContext, Principal};
use crate::error::{Chain, StoreError};
use crate::key::{Environment, KeyId, KeyRef};
use crate::rejection::{Rejection, RejectionReason};
use crate::source::{BoxFuture, ErasedStore};

/// What a 503 tells callers to wait.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(1);

/// What all calls share.
pub(super) struct Desk {
    pub(super) store: Arc<dyn ErasedStore>,
    pub(super) authority: Arc<dyn Authority>,
    pub(super) environment: Environment,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) deadline: Duration,
    /// How many days new keys may be given, if there is a choice.
    pub(super) choice_of_days: Option<Vec<u32>>,
    /// Set if an owner has one current key at most.
    pub(super) single: Option<SingleKey>,
    pub(super) repeats: Repeats,
    /// Who is told what is done.
    pub(super) trail: Option<AuditTrail>,
}

/// A call whose caller is known and has a mandate for it. Only [`Desk::answer`] makes one.
pub(super) struct Order {
    pub(super) caller: AuthContext,
    pub(super) mandate: Mandate,
    /// The key that the path names; `None` if no key can have that id.
    pub(super) key_id: Option<KeyId>,
    pub(super) parts: Parts,
    /// What the trail is told, if the call does something.
    act: Option<Act>,
}

impl Order {
    /// Takes note of the key that the call is about, as it is now.
    pub(super) fn changed(&self, key: &KeyRef) {
        self.act.iter().for_each(|act| act.changed(key));
    }

    /// The same request has been carried out before: nothing is done, and nothing told.
    pub(super) fn is_a_repeat(&self) {
        self.act.iter().for_each(Act::is_a_repeat);
    }

    /// Tells the trail what became of the call.
    pub(super) fn conclude(&self, outcome: Result<(), &Rejection>) {
        self.act.iter().for_each(|act| act.conclude(outcome));
    }
}

impl Desk {
    /// Nothing of the request but its path is looked at before the caller has a mandate.
    pub(super) async fn answer(self: &Arc<Self>, action: Action, request: Request) -> Result<Response, Rejection> {
        let (mut parts, body) = request.into_parts();
        let caller = caller(&mut parts).await?;
        let parameters = RawPathParams::from_request_parts(&mut parts, &()).await;
        let parameters: Vec<_> = parameters.iter().flatten().collect();
        let key_id = parameters.iter().rev().find(|(name, _)| *name == KEY_ID).and_then(|(_, id)| KeyId::new(id).ok());
        let act = Act::begin(self, action, &caller, &parts, key_id.as_ref());
        let mandate = match self.authority.mandate(&Call::new(&caller, action, &parameters)) {
            Ok(mandate) => mandate,
            Err(refused) => {
                act.iter().for_each(|act| act.conclude(Err(&refused)));
                return Err(refused);
            }
        };
        if action == Action::Issue {
            act.iter().for_each(|act| act.is_for(mandate.new_owner()));
        }
        let order = Order { caller, mandate, key_id, parts, act };
        match action {
            Action::List => list::answer(self, &order).await,
            Action::Read => read::answer(self, &order).await,
            Action::Usage => usage::answer(self, &order).await,
            Action::Audit => audit::answer(self, &order).await,
            Action::Issue
            | Action::Rotate
            | Action::Regenerate
            | Action::Update
            | Action::Revoke
            | Action::Enable
            | Action::Disable => act::carry_out(self, action, order, body).await,
        }
    }

    /// The key that the path names. One out of the caller's reach is as one that there is not.
    pub(super) async fn find(&self, order: &Order) -> Result<KeyRef, Rejection> {
        let id = order.key_id.as_ref().ok_or_else(refusal::no_such_key)?;
        let found = self.ask(self.store.get(id)).await?;
        let found = found.filter(|key| order.mandate.reach().holds(&key.owner)).ok_or_else(refusal::no_such_key)?;
        order.act.iter().for_each(|act| act.found(&found));
        Ok(found)
    }

    /// What the store says. Its errors go to the log, and the caller learns only that it has to come again.
    pub(super) async fn ask<T>(&self, answer: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, Rejection> {
        self.in_time(answer).await.map_err(|error| {
            tracing::error!(
                target: "tower_api_key::store",
                backend = error.backend(),
                operation = error.operation(),
                error = %Chain(&error),
                "a backend could not answer"
            );
            RejectionReason::Unavailable { retry_after: UNAVAILABLE_FOR }.into()
        })
    }

    async fn in_time<T>(&self, answer: BoxFuture<'_, Result<T, StoreError>>) -> Result<T, StoreError> {
        // Only Tokio's timer is known here; on another runtime the store has to keep its own deadline.
        if tokio::runtime::Handle::try_current().is_err() {
            return answer.await;
        }
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(StoreError::new(self.store.name(), "answer in time", elapsed)),
        }
    }
}

/// Who is calling: somebody, or nobody gets any further.
pub(super) async fn caller(parts: &mut Parts) -> Result<AuthContext, Rejection> {
    let caller = AuthContext::from_request_parts(parts, &()).await?;
    match caller.principal() {
        Principal::Anonymous => Err(RejectionReason::MissingKey.into()),
        _ => Ok(caller),
    }
}
