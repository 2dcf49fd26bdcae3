//! What became of each attempt, and what was done to keys: for the log, and for those who have to answer for it later.
//!
//! The layer tells its [`AuditSink`] of each attempt; unless another is set, that writes to the log. An [`AuditTrail`]
//! keeps attempts, and with the management router (feature `management`) what was done to keys, in a store from which they
//! can be read again:
//!
//! | store | events | bounded by |
//! | --- | --- | --- |
//! | [`JsonLinesAudit`] | lines of JSON in a file, and in those that it was rotated into | size and number of files |
//! | `SqliteKeys`, `PostgresKeys` (features `sqlite`, `postgres`) | a table beside that of the keys | [`keep_for`](AuditTrailBuilder::keep_for) |
//! | [`MemoryAudit`] | in this process | number |

mod change;
mod event;
mod id;
mod json_lines;
mod memory;
mod store;
mod trail;

use std::fmt;

use http::Method;

use crate::clock::Timestamp;
use crate::context::AuthMethod;
use crate::ip::ClientIp;
use crate::key::{KeyId, KeyOwner, UserId};
use crate::rejection::Rejection;
use crate::request_id::RequestId;

pub use event::{AuditAction, AuditActor, AuditChange, AuditEvent, AuditOutcome, UnknownAuditName};
pub use id::{AuditEventId, InvalidAuditEventId};
pub use json_lines::{JsonLinesAudit, JsonLinesAuditBuilder, JsonLinesError};
pub use memory::MemoryAudit;
pub use store::{AuditFilter, AuditPage, AuditStore};
pub use trail::{AuditNotWritten, AuditTrail, AuditTrailBuilder};

#[cfg(feature = "management")]
pub(crate) use event::shortened;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use store::MOST_LOOKED_AT;

/// One attempt to get in. Has no secret and no query in it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct AuthEvent<'a> {
    /// When.
    pub at: Timestamp,
    /// Why the request was refused; `None`: it was let in.
    pub rejection: Option<&'a Rejection>,
    /// By what right it was let in; `None`: it was refused.
    pub auth_method: Option<AuthMethod>,
    /// The key, also of a refusal if the secret was right.
    pub key_id: Option<&'a KeyId>,
    /// Whose that key is.
    pub owner: Option<&'a KeyOwner>,
    /// The person who is signed in; `None` of a refusal by the layer.
    pub user_id: Option<&'a UserId>,
    /// From where.
    pub client: ClientIp,
    /// Whether the key was let in from an address that it was not seen from lately: see [`usage`](crate::usage). `false`
    /// if the layer records no usage.
    pub new_address: bool,
    /// The method of the request.
    pub method: &'a Method,
    /// Its path, as sent.
    pub path: &'a str,
    /// Its id.
    pub request_id: Option<&'a RequestId>,
}

impl AuthEvent<'_> {
    /// `accepted` or `refused`.
    pub const fn outcome(&self) -> &'static str {
        if self.rejection.is_some() { "refused" } else { "accepted" }
    }

    /// The code of the refusal, or the method that let the request in.
    pub fn reason(&self) -> &'static str {
        match (self.rejection, self.auth_method) {
            (Some(rejection), _) => rejection.code(),
            (None, Some(method)) => method.as_str(),
            (None, None) => "",
        }
    }
}

/// Takes note of attempts. Called while the request waits: a sink hands events on and does not block.
pub trait AuditSink: Send + Sync + 'static {
    /// Takes note of one attempt.
    fn record(&self, event: AuthEvent<'_>);
}

impl<F: Fn(AuthEvent<'_>) + Send + Sync + 'static> AuditSink for F {
    fn record(&self, event: AuthEvent<'_>) {
        self(event);
    }
}

/// Writes events to `tracing` under the target `tower_api_key::audit`: accepted ones at level INFO, refused ones at WARN.
///
/// Fields: `outcome`, `reason`, `key_id`, `user_id`, `client_ip`, `new_address` (of accepted ones), `method`, `path`,
/// `request_id`. What comes from the caller has its control characters escaped.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingAudit;

impl AuditSink for TracingAudit {
    fn record(&self, event: AuthEvent<'_>) {
        macro_rules! write_at {
            ($level:ident) => {
                tracing::$level!(
                    target: "tower_api_key::audit",
                    outcome = event.outcome(),
                    reason = event.reason(),
                    key_id = event.key_id.map(KeyId::as_str),
                    user_id = event.user_id.map(|id| tracing::field::display(Escaped(id.as_str()))),
                    client_ip = %event.client,
                    new_address = event.rejection.is_none().then_some(event.new_address),
                    method = %Escaped(event.method.as_str()),
                    path = %Escaped(event.path),
                    request_id = event.request_id.map(RequestId::as_str),
                )
            };
        }
        if event.rejection.is_some() { write_at!(warn) } else { write_at!(info) }
    }
}

/// Text of the caller's, at most 512 characters of it, with everything escaped that could be taken for the log's own.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 512;
        if self.0.len() <= MOST && self.0.bytes().all(|byte| byte.is_ascii_graphic()) {
            return f.write_str(self.0);
        }
        for character in self.0.chars().take(MOST) {
            match character {
                '!'..='~' => write!(f, "{character}")?,
                other => write!(f, "{}", other.escape_unicode())?,
            }
        }
        if self.0.chars().nth(MOST).is_some() { f.write_str("…") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_callers_can_pass_for_a_line_of_the_log() {
        assert_eq!(Escaped("/a/b?").to_string(), "/a/b?");
        assert_eq!(Escaped("/a\n2026 accepted\u{202e}").to_string(), "/a\\u{a}2026\\u{20}accepted\\u{202e}");
        assert_eq!(Escaped(&"x".repeat(600)).to_string().chars().count(), 513);
    }
}
