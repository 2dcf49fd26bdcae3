//! The same without the feature: nothing is kept, and nothing done.

#![allow(clippy::unused_self, reason = "the same calls do something with the feature")]

use super::Stage;
use crate::context::AuthContext;
use crate::error::StoreError;
use crate::instruments::Watch;
use crate::key::KeyRecord;
use crate::rejection::Rejection;

pub(crate) struct GateInstruments;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KnownBy(());

impl GateInstruments {
    pub(crate) fn new<'a>(_: &str, _: impl IntoIterator<Item = &'a str>) -> Self {
        Self
    }

    pub(crate) fn known_by(&self, _: &KeyRecord) -> KnownBy {
        KnownBy(())
    }

    pub(crate) fn accepted(&self, _: &AuthContext, _: KnownBy) {}

    pub(crate) fn refused(&self, _: &Rejection, _: KnownBy) {}

    pub(crate) fn refused_by_handler(&self, _: &Rejection) {}

    pub(crate) fn backend_failed(&self, _: &StoreError) {}

    pub(crate) fn at_once(&self, _: Stage, _: Watch) {}

    pub(crate) fn waited(&self, _: Stage, _: Watch) {}
}
