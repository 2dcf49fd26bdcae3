//! What has to be added to the response of a request, kept while the inner service works.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};

use crate::authenticate::Gate;
use crate::body::ResponseBody;
use crate::clock::Timestamp;
use crate::context::AuthContext;
use crate::ip::ClientIp;
use crate::key::{KeyRecord, KeyRef};
use crate::limit::LimitReport;
use crate::rejection::{Audience, Rejection, Unrendered};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::transport;

/// The facts about a request that its response needs.
pub(crate) struct Reply {
    gate: Arc<Gate>,
    audience: Audience,
    request_id: Option<RequestId>,
    /// `None` on a public route, where nobody attempts anything.
    attempted: Option<Attempted>,
    limit: Option<LimitReport>,
    subprotocol: Option<HeaderValue>,
}

/// The facts that the audit event of an attempt has.
pub(crate) struct Attempted {
    pub(crate) method: Method,
    /// As the caller wrote it.
    pub(crate) uri: Uri,
    pub(crate) at: Timestamp,
    pub(crate) client: ClientIp,
    pub(crate) key: Option<KeyRef>,
}

impl Reply {
    pub(crate) fn new(gate: Arc<Gate>, parts: &Parts) -> Self {
        Self {
            audience: gate.renderer.audience(parts, |copy| gate.put_away_credentials(copy)),
            request_id: gate.request_ids.then(|| RequestId::of(&parts.headers)),
            attempted: None,
            limit: None,
            subprotocol: None,
            gate,
        }
    }

    pub(crate) const fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Keeps what the credentials' removal or the inner service would take away.
    pub(crate) fn attempt(&mut self, at: Timestamp, client: ClientIp, parts: &Parts) {
        self.subprotocol = self.gate.credentials.real_subprotocol(&parts.headers);
        let uri = transport::original_uri(parts).clone();
        self.attempted = Some(Attempted { method: parts.method.clone(), uri, at, client, key: None });
    }

    pub(crate) fn accepted(&mut self, context: &AuthContext) {
        if let Some(attempted) = &mut self.attempted {
            attempted.key = context.key().cloned();
        }
    }

    pub(crate) fn limited(&mut self, report: Option<LimitReport>) {
        self.limit = report;
    }

    pub(crate) const fn attempted(&self) -> Option<&Attempted> {
        self.attempted.as_ref()
    }

    pub(crate) const fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    /// The response to a request that the gate refused.
    pub(crate) fn refuse<B>(self, rejection: Rejection) -> Response<ResponseBody<B>> {
        let mut response = self.gate.renderer.render(rejection, self.audience, self.request_id.as_ref());
        write_limit(&self.gate, self.limit.as_ref(), response.headers_mut());
        response.map(ResponseBody::refusal)
    }

    /// The response of the inner service, with what belongs on it. A refusal that comes out of it unrendered gets the
    /// layer's face.
    pub(crate) fn finish<B>(self, mut response: Response<B>) -> Response<ResponseBody<B>> {
        if let Some(Unrendered(rejection)) = response.extensions_mut().remove() {
            self.gate.record_refusal(&rejection, &self);
            let allow = response.headers_mut().remove(header::ALLOW);
            let mut refusal = self.refuse(rejection);
            // RFC 9110 §15.5.6: a 405 says which methods there are, which only the router knows.
            if let Some(allow) = allow {
                refusal.headers_mut().insert(header::ALLOW, allow);
            }
            return refusal;
        }
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if let Some(protocol) = self.subprotocol.filter(|_| upgraded) {
            response.headers_mut().entry(header::SEC_WEBSOCKET_PROTOCOL).or_insert(protocol);
        }
        write_limit(&self.gate, self.limit.as_ref(), response.headers_mut());
        if self.gate.rotation_headers
            && let Some(key) = self.attempted.as_ref().and_then(|attempted| attempted.key.as_ref())
        {
            write_rotation(key, response.headers_mut());
        }
        if let Some(id) = &self.request_id {
            response.headers_mut().insert(X_REQUEST_ID, id.to_header());
        }
        response.map(ResponseBody::inner)
    }
}

fn write_limit(gate: &Gate, limit: Option<&LimitReport>, headers: &mut HeaderMap) {
    if let (Some(limits), Some(report)) = (&gate.limits, limit) {
        limits.limit_headers().write(report, headers);
    }
}

/// Says that the key in use has a successor, and when it ends. A handler's own fields stay.
fn write_rotation(key: &KeyRecord, headers: &mut HeaderMap) {
    let (Some(rotation), Some(end)) = (&key.rotation, key.expires_at) else { return };
    if headers.contains_key(DEPRECATION) || headers.contains_key(SUNSET) {
        return;
    }
    let since = HeaderValue::try_from(format!("@{}", rotation.rotated_at.unix_seconds()));
    let until = end.to_http_date().and_then(|date| HeaderValue::try_from(date).ok());
    if let (Ok(since), Some(until)) = (since, until) {
        headers.insert(DEPRECATION, since);
        headers.insert(SUNSET, until);
    }
}

/// RFC 9745.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// RFC 8594.
const SUNSET: HeaderName = HeaderName::from_static("sunset");
