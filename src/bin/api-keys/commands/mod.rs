//! One file a command.

pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod disable;
pub(crate) mod enable;
pub(crate) mod import;
pub(crate) mod list;
pub(crate) mod manual;
pub(crate) mod migrate;
pub(crate) mod new;
pub(crate) mod purge;
pub(crate) mod rename;
pub(crate) mod revoke;
pub(crate) mod rotate;
pub(crate) mod scan;
pub(crate) mod show;
pub(crate) mod verify;
