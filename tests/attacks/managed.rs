//! The management APIs of the programs, and who manages keys there.

use serde_json::json;

use crate::forged::token;
use crate::wire::Ask;
use crate::world::Server;

/// A management API of a program.
pub(crate) struct Managed<'a> {
    pub(crate) server: &'a Server,
    pub(crate) base: &'static str,
    /// The credential of somebody who manages keys there.
    pub(crate) manager: (&'static str, String),
    /// A key there.
    pub(crate) id: String,
}

impl<'a> Managed<'a> {
    pub(crate) fn new(server: &'a Server, base: &'static str, manager: (&'static str, String), id: &str) -> Self {
        Self { server, base, manager, id: id.to_owned() }
    }

    /// The path of a call, about this key.
    pub(crate) fn path(&self, path: &str, id: &str) -> String {
        format!("{}{}", self.base, path.replace("{key_id}", id)).trim_end_matches('/').to_owned()
    }

    pub(crate) fn as_manager(&self, ask: Ask) -> Ask {
        ask.field(self.manager.0, &self.manager.1)
    }
}

/// `Bearer` and the token of an administrator.
pub(crate) fn admin_of(organization: &str) -> String {
    format!(
        "Bearer {}",
        token(json!({ "sub": format!("admin-of-{organization}"), "org_id": organization, "role": "admin" }))
    )
}

/// `Bearer` and the token of a member.
pub(crate) fn member_of(organization: &str) -> String {
    format!("Bearer {}", token(json!({ "org_id": organization })))
}
