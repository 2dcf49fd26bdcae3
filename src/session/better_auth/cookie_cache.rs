//! The signed copy of a session that Better Auth keeps in a cookie.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::document;
use super::signature::Signer;
use super::{check_cookies, cookie_names};
use crate::clock::Timestamp;
use crate::error::ConfigError;
use crate::session::jwe::{self, ContentKey, Encryption, Thumbprint};
use crate::session::validity::Validity;
use crate::session::{Session, SessionProblem};

/// How Better Auth writes its cookie cache: `session.cookieCache` of its settings.
///
/// ```
/// use tower_api_key::session::{BetterAuthCookieCache, BetterAuthSessions};
///
/// let people = BetterAuthSessions::builder("an-example-of-a-secret-with-44-characters-00")
///     .cookie_cache(BetterAuthCookieCache::jwe().version("2"))
///     .build()?; // no table: only what the cookie says
/// # let _ = people;
/// # Ok::<(), tower_api_key::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BetterAuthCookieCache {
    strategy: Strategy,
    version: Option<String>,
    cookies: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Compact,
    Jwt,
    Jwe,
}

impl BetterAuthCookieCache {
    /// The strategy `compact`, Better Auth's default: JSON with a signature.
    pub const fn compact() -> Self {
        Self::of(Strategy::Compact)
    }

    /// The strategy `jwt`: a token signed by HS256.
    pub const fn jwt() -> Self {
        Self::of(Strategy::Jwt)
    }

    /// The strategy `jwe`: an encrypted token, for which clocks may differ by 15 seconds.
    pub const fn jwe() -> Self {
        Self::of(Strategy::Jwe)
    }

    const fn of(strategy: Strategy) -> Self {
        Self { strategy, version: None, cookies: None }
    }

    /// The `version` that Better Auth is set to; copies of another one do not count. Any counts, unless set.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Reads these cookies only, in place of `session_data` behind the prefix.
    #[must_use]
    pub fn with_cookies(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.cookies = Some(names.into_iter().map(Into::into).collect());
        self
    }
}

/// Reads a cookie cache.
pub(super) struct CookieCacheReader {
    strategy: Strategy,
    version: Option<String>,
    cookies: Vec<String>,
    keys: Vec<ContentKey>,
}

impl CookieCacheReader {
    pub(super) fn new<'s>(
        cache: BetterAuthCookieCache,
        prefix: &str,
        secrets: impl Iterator<Item = &'s str>,
    ) -> Result<Self, ConfigError> {
        let cookies = cache.cookies.unwrap_or_else(|| cookie_names(prefix, "session_data"));
        check_cookies("cookie_cache", &cookies)?;
        let key = |secret| {
            let info = "BetterAuth.js Generated Encryption Key";
            let key = ContentKey::derive(Encryption::A256CbcHs512, secret, "better-auth-session", info);
            key.named_by(Thumbprint::Sha256)
        };
        let keys = if cache.strategy == Strategy::Jwe { secrets.map(key).collect() } else { Vec::new() };
        Ok(Self { strategy: cache.strategy, version: cache.version, cookies, keys })
    }

    pub(super) fn cookies(&self) -> &[String] {
        &self.cookies
    }

    /// The session that a cookie holds, and when.
    pub(super) fn read(
        &self,
        text: &str,
        signer: &Signer,
        now: Timestamp,
    ) -> Result<(Session, Validity), SessionProblem> {
        let (payload, validity) = match self.strategy {
            Strategy::Compact => compact(text, signer)?,
            Strategy::Jwt => {
                let claims = jwt(text, signer)?;
                let (validity, _) = Validity::of_claims(&claims, Duration::ZERO)?;
                (claims, validity)
            }
            Strategy::Jwe => {
                let claims = object(&jwe::open(text, &self.keys)?)?;
                let (validity, _) = Validity::of_claims(&claims, Duration::from_secs(15))?;
                (claims, validity)
            }
        };
        let version = payload.get("version").map_or(Some("1"), Value::as_str);
        if self.version.is_some() && self.version.as_deref() != version {
            return Err(SessionProblem::Misdirected);
        }
        let session = document::session_of_cookie(payload)?;
        let expires_at = session.expires_at.ok_or(SessionProblem::Malformed)?;
        let validity = validity.at_most(expires_at);
        validity.check(now)?;
        Ok((session, validity))
    }
}

/// JSON with a signature of what `JSON.stringify({...session, expiresAt})` makes of it: the text of the one followed by the
/// other. Taken as text, so that the order of its members and the way its characters are escaped stay as they were signed.
fn compact(text: &str, signer: &Signer) -> Result<(Map<String, Value>, Validity), SessionProblem> {
    #[derive(Deserialize)]
    struct Compact<'a> {
        #[serde(borrow)]
        session: &'a RawValue,
        #[serde(rename = "expiresAt")]
        expires_at: i64,
        signature: String,
    }

    let bytes = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| SessionProblem::Malformed)?);
    let compact: Compact<'_> = serde_json::from_slice(&bytes).map_err(|_| SessionProblem::Malformed)?;
    let session = compact.session.get();
    let open = session.strip_suffix('}').ok_or(SessionProblem::Malformed)?;
    signer.verify_base64url(&[open, &format!(",\"expiresAt\":{}}}", compact.expires_at)], &compact.signature)?;
    Ok((object(session.as_bytes())?, Validity::until(Timestamp::from_unix_millis(compact.expires_at))))
}

/// A token signed by HS256 (RFC 7515 §3.1): the algorithm is ours to say, and the token has to agree.
fn jwt(text: &str, signer: &Signer) -> Result<Map<String, Value>, SessionProblem> {
    #[derive(Deserialize)]
    struct Header {
        alg: String,
        crit: Option<IgnoredAny>,
    }

    let (signed, signature) = text.rsplit_once('.').ok_or(SessionProblem::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(SessionProblem::Malformed)?;
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| SessionProblem::Malformed);
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| SessionProblem::Malformed)?;
    if header.alg != "HS256" || header.crit.is_some() {
        return Err(SessionProblem::Malformed);
    }
    signer.verify_base64url(&[signed], signature)?;
    object(&Zeroizing::new(decoded(payload)?))
}

fn object(json: &[u8]) -> Result<Map<String, Value>, SessionProblem> {
    serde_json::from_slice(json).map_err(|_| SessionProblem::Malformed)
}
