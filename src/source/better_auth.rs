//! The API keys of Better Auth, in its own table.

mod builder;
mod error;
mod record;
mod table;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::import::Refused;
use super::{KeyScheme, KeySource};
use crate::key::{DigestAlgorithm, KeyDigest, KeyHasher, KeyRecord, KeyRef};
use builder::Settings;
use error::Kind;
use table::Table;

pub use builder::BetterAuthKeysBuilder;
pub use error::BetterAuthKeysError;

/// What the source is called.
const NAME: &str = "better-auth";

/// Reads the keys of Better Auth's API-key plugin where they are: the table `apikey` in SQLite or Postgres, in the shape of
/// 1.7 (`referenceId`, `configId`) and in that of 1.4 and before (`userId`). Clones share the connections.
///
/// ```no_run
/// # async fn run() -> Result<(), tower_api_key::BoxError> {
/// use tower_api_key::source::BetterAuthKeys;
///
/// let keys = BetterAuthKeys::connect("sqlite:auth.db").await?;
/// # let _ = keys;
/// # Ok(()) }
/// ```
///
/// # What becomes of a row
///
/// | column | on the record |
/// | --- | --- |
/// | `id`, `name`, `start`, `prefix`, `createdAt`, `metadata` | the same |
/// | `key` | the digest: base64url of SHA-256 |
/// | `referenceId`, `userId` | the user who owns it; the organisation, for [those configurations](BetterAuthKeysBuilder::organization_configuration) |
/// | `permissions` | scopes `resource:action`; an action that would be a wildcard here grants nothing, as it does not there |
/// | `enabled`, `expiresAt` | disabled, expiry |
/// | `rateLimitMax`, `rateLimitTimeWindow` | a quota named `better-auth` by fixed windows, unless `rateLimitEnabled` is false |
/// | `remaining`, `refillAmount`, `refillInterval` | credits |
/// | `lastRequest` | last use |
///
/// # It only reads
/// Nothing is ever written or deleted, and connections are opened so that nothing can be. So some things differ:
///
/// - A key that has expired or is used up is refused again and again, with the same reason. Better Auth deletes its row,
///   and knows it no longer.
/// - `remaining` is where counting begins. What is used here is counted in this process (or wherever the layer keeps
///   credits) and not written back: after a restart it begins anew, and what Better Auth itself lets through is not
///   counted along. Setting `remaining` over there counts here. For one exact count, let one side verify.
/// - Refills come every interval since the last one that the row states. Better Auth counts the next interval from the
///   request that brought the last one.
/// - The window of a rate limit begins with its first request. Better Auth's ends only after a pause as long as a window, so
///   that it refuses steady callers for longer.
/// - Of a key that is disabled and has expired, Better Auth says the one, and this crate the other.
///
/// The quota of Better Auth's default, 10 requests a day, is on every key that was made without another: a layer without
/// [`Limits`](crate::limit::Limits) lets no key with a quota in, and says so.
///
/// Put a `Cached` (feature `cache`) in front: each lookup is a query.
#[derive(Clone)]
pub struct BetterAuthKeys(Arc<Inner>);

struct Inner {
    table: Table,
    settings: Settings,
}

impl BetterAuthKeys {
    /// The keys in the database at `url`: `sqlite:PATH` (feature `sqlite`) or `postgres://…` (feature `postgres`).
    ///
    /// # Errors
    /// When there is no such database, or no table `apikey` in it.
    pub async fn connect(url: &str) -> Result<Self, BetterAuthKeysError> {
        Self::builder().connect(url).await
    }

    /// A source with other settings.
    pub fn builder() -> BetterAuthKeysBuilder {
        BetterAuthKeysBuilder::default()
    }

    async fn look_up(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, BetterAuthKeysError> {
        let Inner { table, settings } = &*self.0;
        if digest.algorithm() != DigestAlgorithm::Sha256 {
            return Ok(None);
        }
        let stored = if settings.plain_text {
            match self.text_of(digest).await? {
                Some(text) => text,
                None => return Ok(None),
            }
        } else {
            BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes())
        };
        let mut rows = table.rows(&stored).await?;
        rows.retain(|row| settings.takes(row));
        match rows.as_slice() {
            [] => Ok(None),
            [row] => Ok(Some(settings.record(row, *digest)?.into())),
            // The column is not unique. Which of them is meant cannot be told.
            _ => Err(Kind::Several.into()),
        }
    }

    /// The text in the table that has this digest.
    async fn text_of(&self, digest: &KeyDigest) -> Result<Option<String>, BetterAuthKeysError> {
        let texts = self.0.table.texts().await?;
        let is_it = |(text, start): &(String, Option<String>)| {
            let of_text = KeyDigest::new(DigestAlgorithm::Sha256, Sha256::digest(text).into());
            of_text == *digest && !looks_like_a_digest(text, start.as_deref())
        };
        Ok(texts.into_iter().find(is_it).map(|(text, _)| text))
    }
}

/// Whether a stored text is the digest of a key, and not a key: then whoever has read the table could present it.
fn looks_like_a_digest(text: &str, start: Option<&str>) -> bool {
    let shaped = text.len() == 43 && BASE64_URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32);
    shaped && !start.is_some_and(|start| !start.is_empty() && text.starts_with(start))
}

impl fmt::Debug for BetterAuthKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BetterAuthKeys").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl KeySource for BetterAuthKeys {
    type Error = BetterAuthKeysError;

    fn name(&self) -> &str {
        NAME
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(self.0.settings.format.clone(), KeyHasher::sha256())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, BetterAuthKeysError> {
        self.look_up(digest).await
    }
}

/// The record of a row that is imported.
pub(super) fn record(row: &Map<String, Value>, digest: KeyDigest) -> Result<KeyRecord, Refused> {
    Settings::default().read(row, digest)
}
