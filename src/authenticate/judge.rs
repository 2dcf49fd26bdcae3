//! Whether an address may call, a key may be used, and its scopes are enough: questions that need nobody's answer.

use super::{Attempt, Gate};
use crate::context::Principal;
use crate::ip::{ClientIp, IpVerdict};
use crate::key::{KeyRecord, KeyState};
use crate::rejection::RejectionReason;
use crate::route::Ruling;

impl Gate {
    /// Whether anybody may call from there.
    pub(super) fn judge_address(&self, client: ClientIp) -> Result<(), RejectionReason> {
        match self.ip_policy.as_ref().map(|policy| policy.judge(client)) {
            None | Some(IpVerdict::Allow) => Ok(()),
            Some(IpVerdict::Deny) => Err(RejectionReason::IpNotAllowed),
        }
    }

    /// Whether the key, presented by somebody who has its secret, may be used for this request.
    pub(super) fn judge_use(&self, key: &KeyRecord, attempt: &Attempt) -> Result<(), RejectionReason> {
        if self.is_for_elsewhere(key) {
            return Err(RejectionReason::InvalidKey);
        }
        match key.state(attempt.at) {
            KeyState::Active | KeyState::Overlap => {}
            KeyState::Revoked => return Err(RejectionReason::RevokedKey { key_id: key.id.clone() }),
            KeyState::Disabled => return Err(RejectionReason::DisabledKey { key_id: key.id.clone() }),
            KeyState::Expired => {
                return Err(RejectionReason::ExpiredKey { expired_at: key.expires_at.unwrap_or(attempt.at) });
            }
        }
        let from_there = |blocks: &crate::ip::IpBlocks| attempt.client.address().is_some_and(|it| blocks.contains(it));
        if !key.allowed_ips.as_ref().is_none_or(from_there) {
            return Err(RejectionReason::IpNotAllowed);
        }
        let from_that = |origins: &Vec<String>| {
            attempt.origin.as_ref().is_some_and(|origin| origins.iter().any(|allowed| **origin == *allowed.as_str()))
        };
        if !key.allowed_origins.as_ref().is_none_or(from_that) {
            return Err(RejectionReason::OriginNotAllowed);
        }
        Ok(())
    }

    /// Whether the caller's scopes are enough for the route. Nobody is anonymous where scopes are asked for, unless the
    /// layer lets everybody through.
    pub(super) fn judge_scopes(&self, principal: &Principal, ruling: &Ruling) -> Result<(), RejectionReason> {
        if matches!(principal, Principal::Anonymous) {
            return Ok(());
        }
        let scopes = principal.scopes();
        match self.routes.unmet_scopes(ruling, |required| required.is_met_by(scopes, &self.rules.hierarchy)) {
            None => Ok(()),
            Some(required) => {
                Err(RejectionReason::InsufficientScope { required: required.clone(), granted: scopes.clone() })
            }
        }
    }

    /// Whether the key is bound to another realm or environment than the layer's.
    fn is_for_elsewhere(&self, key: &KeyRecord) -> bool {
        let other_realm = key.realm.as_ref().is_some_and(|realm| Some(realm) != self.realm.as_ref());
        let other_environment = match (&key.environment, &self.environment) {
            (Some(its), Some(ours)) => its != ours,
            _ => false,
        };
        other_realm || other_environment
    }
}
