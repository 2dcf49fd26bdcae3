//! Asking a layer, and looking into its limiter.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::KeyId;
use tower_api_key::limit::{Charge, Decision, Detail, MemoryRateLimiter, RateLimiter};
use tower_api_key::{ApiKeyLayer, AuthContext, PeerAddr};

use crate::model::{Call, OK};

/// The limiter, which the test looks into as well.
pub(crate) struct Shared(pub(crate) Arc<MemoryRateLimiter>);

impl RateLimiter for Shared {
    type Error = Infallible;

    async fn take(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, Infallible> {
        self.0.take(charges, detail, now).await
    }

    async fn peek(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Result<Decision, Infallible> {
        self.0.peek(charges, detail, now).await
    }

    fn take_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        self.0.take_now(charges, detail, now)
    }

    fn peek_now(&self, charges: &[Charge<'_>], detail: Detail, now: Timestamp) -> Option<Decision> {
        self.0.peek_now(charges, detail, now)
    }
}

/// A call with these keys: the code of its answer, and the key that was let in.
pub(crate) async fn send(auth: ApiKeyLayer, call: Call, keys: Vec<String>) -> (&'static str, Option<KeyId>) {
    ask(&auth, if call.writes { "/write" } else { "/read" }, call.from, &keys).await
}

/// The code of the answer, and the key that was let in.
pub(crate) async fn ask(
    auth: &ApiKeyLayer,
    path: &str,
    from: IpAddr,
    keys: &[String],
) -> (&'static str, Option<KeyId>) {
    let inner = service_fn(async |request: Request<()>| {
        let id = request.extensions().get::<AuthContext>().and_then(|auth| auth.key().map(|key| key.id.clone()));
        let mut response = Response::new(String::new());
        response.extensions_mut().insert(id);
        Ok::<_, Infallible>(response)
    });
    let request = keys.iter().fold(Request::get(path), |request, key| request.header("x-api-key", key));
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(PeerAddr((from, 1).into()));
    let response = auth.layer(inner).oneshot(request).await.unwrap();
    if response.status().is_success() {
        return (OK, response.extensions().get::<Option<KeyId>>().cloned().flatten());
    }
    let (parts, body) = response.into_parts();
    let body: serde_json::Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
    let code = CODES.iter().find(|(code, status)| body["code"] == *code && parts.status == *status);
    (code.unwrap_or_else(|| panic!("{} {body}", parts.status)).0, None)
}

/// Every refusal that there may be, and its status.
pub(crate) const CODES: [(&str, u16); 12] = [
    ("MISSING_API_KEY", 401),
    ("INVALID_API_KEY", 401),
    ("AMBIGUOUS_CREDENTIALS", 401),
    ("REVOKED_API_KEY", 401),
    ("DISABLED_API_KEY", 401),
    ("EXPIRED_API_KEY", 401),
    ("IP_NOT_ALLOWED", 403),
    ("INSUFFICIENT_SCOPE", 403),
    ("RATE_LIMITED", 429),
    ("USAGE_EXCEEDED", 429),
    ("TOO_MANY_FAILURES", 429),
    ("AUTH_UNAVAILABLE", 503),
];
