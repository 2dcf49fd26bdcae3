//! The REST API over a [`KeyStore`]: issue, list, read, change, disable, rotate and revoke keys.
//!
//! ```
//! use axum::Router;
//! use tower_api_key::key::Scope;
//! use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
//! use tower_api_key::{ApiKeyLayer, management};
//!
//! # tokio_test::block_on(async {
//! let keys = MemoryKeys::new();
//! let first = keys.issue(NewKey::named("first").scopes([Scope::from_static("admin")])).await?;
//! println!("{}", first.secret.expose_secret());
//!
//! let auth = ApiKeyLayer::new(keys.clone());
//! let app = auth.protect(Router::new().nest("/v1/keys", management::router(keys)));
//! # let _ = app;
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! # }).unwrap();
//! ```
//!
//! A router that has a state of its own takes it by `nest_service("/v1/keys", …)`, which also answers under
//! `/v1/keys/`, or by `nest` behind `with_state`.
//!
//! | call | what it does | answer |
//! | --- | --- | --- |
//! | `POST /` | makes a key | 201, the key object with `key`, the secret, this once |
//! | `GET /` | lists keys, newest first; `limit`, `cursor`, `q`, `state`, `scope` | `{"items":[…],"nextCursor":null}` |
//! | `GET /{id}` | reads a key | the key object |
//! | `PATCH /{id}` | changes any of `name`, `scopes`, `allowedIps`, `allowedOrigins`, `rateLimits`, `expiresAt`, `metadata`; null takes an end or a restriction away | the key object |
//! | `POST /{id}/disable`, `/enable` | refuses a key until it is enabled again | the key object |
//! | `POST /{id}/rotate` | makes the successor; both work for `overlapSeconds`, a day by default | 201, the successor with `key` |
//! | `POST /{id}/regenerate` | the same, with an overlap of 0 by default, which revokes the old key | 201, the successor with `key` |
//! | `GET /{id}/usage` | reads what a key was used, and when; `from`, `to`, `bucket` (`hour`, `day`) | `useCount`, `lastUsedAt`, `lastUsedIp`, `series` |
//! | `GET /audit` | reads the [audit trail](Management::audit), latest first; `limit`, `cursor`, `q`, `keyId`, `action`, `outcome` | `{"items":[…],"nextCursor":null}`, of [`AuditEvent`](crate::audit::AuditEvent)s |
//! | `POST /{id}/revoke`, `DELETE /{id}` | revokes a key for good; `reason` | the key object |
//!
//! Bodies are JSON objects of at most 64 KiB. Every answer has `Cache-Control: no-store`, and an answer with a key object
//! has its version as `ETag`, which `If-Match` takes. Refusals are [`Rejection`](crate::rejection::Rejection)s, in the
//! style of the layer around:
//!
//! | refusal | code |
//! | --- | --- |
//! | 400 no JSON object | `MALFORMED_REQUEST` |
//! | 401 nobody in particular is calling | `MISSING_API_KEY` |
//! | 403 the caller may not do this, or would give more than it has | `FORBIDDEN` |
//! | 404 no such key within the caller's reach | `KEY_NOT_FOUND` |
//! | 404 no such call, or no audit trail; 405 no such method | `NOT_FOUND`, `METHOD_NOT_ALLOWED` |
//! | 409 the key is revoked, or has a successor already; the same request is under way | `CONFLICT` |
//! | 412 the key has changed since | `PRECONDITION_FAILED` |
//! | 413 the body is too large, 415 it says that it is no JSON | `PAYLOAD_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE` |
//! | 422 fields that are invalid or unknown, all of them in `details.fields` | `VALIDATION_FAILED` |
//! | 500 no layer guards the router, or the route is public | `AUTH_NOT_CONFIGURED` |
//! | 503 the store could not answer | `AUTH_UNAVAILABLE` |
//!
//! # Requests that are repeated
//!
//! A caller that hears no answer cannot tell whether a key was made. `POST /`, `/{id}/rotate` and `/{id}/regenerate` take an
//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), 1 to 255 visible ASCII characters, quoted or not. A
//! repeat by the same caller within a day makes no second key: it answers 200 with the same key object as it is now,
//! `"key": null` with the reason in `keyNote`, and `Idempotent-Replayed: true`. The same `Idempotency-Key` with another body is
//! 422, and one whose request is still under way 409. A request that was refused made nothing, and is forgotten.
//!
//! What is remembered, 10 000 requests at most, is in the memory of the process: it ends with it, and other nodes do not
//! know of it.
//!
//! # Who may do what
//!
//! An [`Authority`] decides for each call which keys it is about, the [`Reach`], and what new keys may be given, the
//! [`Grant`]. A key out of reach is answered as one that does not exist. What is minted never exceeds its maker. Unless
//! another one is set, [`StandardAuthority`] decides; [`OrganizationAuthority`] is for keys that members of an
//! organisation manage.

mod act;
mod answer;
mod audit;
mod authority;
mod body;
mod desk;
mod enable;
mod fields;
mod grant;
mod issue;
mod list;
mod location;
mod make;
#[cfg(feature = "openapi")]
pub mod openapi;
mod organization;
mod precondition;
mod read;
mod refusal;
mod repeats;
mod revoke;
mod rotate;
mod route;
mod single;
mod update;
mod usage;
mod values;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use self::desk::Desk;
use self::repeats::Repeats;
use self::single::SingleKey;
use crate::audit::AuditTrail;
use crate::clock::{Clock, SystemClock};
use crate::key::Environment;
use crate::source::KeyStore;

pub use self::authority::{Authority, Call, Mandate, Reach, StandardAuthority};
pub use self::grant::Grant;
pub use self::organization::OrganizationAuthority;
pub use self::route::{Action, Endpoint, ROUTES};

/// The management API over `store` with all settings as they come: [`Management::new`] and [`Management::router`].
pub fn router(store: impl KeyStore) -> Router {
    Management::new(store).router()
}

/// The settings of the management API.
///
/// ```
/// use tower_api_key::key::{Environment, Scope};
/// use tower_api_key::management::{Management, StandardAuthority};
/// use tower_api_key::source::MemoryKeys;
///
/// const READ: Scope = Scope::from_static("read");
///
/// let router = Management::new(MemoryKeys::new())
///     .environment(Environment::TEST)
///     .authority(StandardAuthority::new().grantable([READ]))
///     .router();
/// # let _: axum::Router = router;
/// ```
#[must_use]
pub struct Management(Desk);

impl Management {
    /// Over the keys of `store`.
    pub fn new(store: impl KeyStore) -> Self {
        Self(Desk {
            store: Arc::new(store),
            authority: Arc::new(StandardAuthority::new()),
            environment: Environment::LIVE,
            clock: Arc::new(SystemClock),
            deadline: Duration::from_secs(5),
            choice_of_days: None,
            single: None,
            repeats: Repeats::default(),
            trail: None,
        })
    }

    /// Who may do what; [`StandardAuthority`], unless set.
    pub fn authority(mut self, authority: impl Authority) -> Self {
        self.0.authority = Arc::new(authority);
        self
    }

    /// Tells `trail` what is done to keys, and what is refused, and lets [`GET /audit`](self) read it; neither, unless set.
    ///
    /// Each act is told when it is over, with who did it, and what of the key was before and after: never a secret or a
    /// digest. Who reads sees what is about keys within their [`Reach`], and whoever reaches all keys sees all events.
    pub fn audit(mut self, trail: AuditTrail) -> Self {
        self.0.trail = Some(trail);
        self
    }

    /// The server's own environment, which new keys are for unless their maker says otherwise; `live`, unless set.
    pub fn environment(mut self, environment: Environment) -> Self {
        self.0.environment = environment;
        self
    }

    /// Where the time comes from; the system's clock, unless set.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.0.clock = Arc::new(clock);
        self
    }

    /// How long the store may take before a call is answered with 503; five seconds, unless set. Kept by Tokio's timer.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.0.deadline = deadline;
        self
    }

    /// Lets an owner have one current key at most, one that is neither revoked nor expired and has no successor: making a
    /// second one is refused with 409, until the first is revoked. Regenerating or rotating it is how to get a new one.
    ///
    /// In one process calls about the keys of one owner wait for each other. Where several nodes write to one store, of
    /// two keys that are made at the same instant at most one stays; whoever loses is refused with 409, and it may be both.
    pub fn single_key(mut self) -> Self {
        self.0.single = Some(SingleKey::default());
        self
    }

    /// The values that `expiresInDays` may have; 1 to 36500, unless set. `expiresAt`, and no end at all, stay possible.
    pub fn choice_of_days(mut self, days: impl IntoIterator<Item = u32>) -> Self {
        self.0.choice_of_days = Some(days.into_iter().collect());
        self
    }

    /// The API, with its paths as [`ROUTES`] has them.
    pub fn router(self) -> Router {
        route::router(&Arc::new(self.0))
    }
}

impl fmt::Debug for Management {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Management").field("store", &self.0.store.name()).finish_non_exhaustive()
    }
}
