//! What has to be added to the response of a request, kept while the inner service works.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use smallvec::SmallVec;

use crate::authenticate::SharedGate;
use crate::body::ResponseBody;
use crate::clock::Timestamp;
use crate::context::Principal;
use crate::fields::Glance;
use crate::instruments::Watch;
use crate::ip::ClientIp;
use crate::key::{KeyRecord, KeyRef};
use crate::limit::{LimitReport, Limits};
use crate::rejection::{Audience, Rejection, Unrendered};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::session::User;

/// The facts about a request that its response needs.
pub(crate) struct Reply {
    gate: SharedGate,
    audience: Audience,
    request_id: Option<RequestId>,
    /// `None` on a public route, where nobody attempts anything.
    attempted: Option<Attempted>,
    limit: Option<LimitReport>,
    subprotocol: Option<Box<HeaderValue>>,
    /// Since when a backend has been waited for.
    watch: Watch,
}

/// The facts that the audit event of an attempt has.
pub(crate) struct Attempted {
    pub(crate) at: Timestamp,
    pub(crate) client: ClientIp,
    accepted: Option<Accepted>,
}

/// What the event of a request that was let in, and is refused later on, has besides.
struct Accepted {
    principal: Principal,
    method: Method,
    path: Path,
}

/// A path as the caller wrote it, apart from the request. Most need no allocation.
struct Path(SmallVec<[u8; 56]>);

impl Attempted {
    pub(crate) fn key(&self) -> Option<&KeyRef> {
        self.accepted.as_ref().and_then(|accepted| accepted.principal.key())
    }

    pub(crate) fn user(&self) -> Option<&User> {
        self.accepted.as_ref().and_then(|accepted| accepted.principal.user())
    }
}

impl Reply {
    pub(crate) fn new(gate: SharedGate, parts: &Parts, glance: Glance) -> Self {
        Self {
            audience: gate.renderer.audience(parts, glance, |copy| gate.put_away_credentials(copy, glance)),
            request_id: gate.request_ids.then(|| RequestId::of(&parts.headers, glance)),
            attempted: None,
            limit: None,
            subprotocol: None,
            watch: Watch::default(),
            gate,
        }
    }

    pub(crate) const fn gate(&self) -> &SharedGate {
        &self.gate
    }

    /// Keeps what the credentials' removal or the inner service would take away.
    pub(crate) fn attempt(&mut self, at: Timestamp, client: ClientIp, parts: &Parts) {
        self.subprotocol = self.gate.credentials.real_subprotocol(&parts.headers).map(Box::new);
        self.attempted = Some(Attempted { at, client, accepted: None });
    }

    pub(crate) fn accepted(&mut self, principal: &Principal, method: &Method, path: &str) {
        if let Some(attempted) = &mut self.attempted {
            let path = Path(SmallVec::from_slice(path.as_bytes()));
            attempted.accepted = Some(Accepted { principal: principal.clone(), method: method.clone(), path });
        }
    }

    pub(crate) fn limited(&mut self, report: LimitReport) {
        self.limit = Some(report);
    }

    pub(crate) fn waits(&mut self, watch: Watch) {
        self.watch = watch;
    }

    pub(crate) const fn waited(&self) -> Watch {
        self.watch
    }

    pub(crate) const fn attempted(&self) -> Option<&Attempted> {
        self.attempted.as_ref()
    }

    pub(crate) const fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    /// The response to a request that the gate refused.
    pub(crate) fn refuse<B>(&mut self, rejection: Rejection) -> Response<ResponseBody<B>> {
        let (renderer, audience) = (&self.gate.renderer, std::mem::take(&mut self.audience));
        let headers = self.gate.limits.as_ref().map(Limits::limit_headers);
        let limit = headers.zip(self.limit.as_ref());
        renderer.render(rejection, audience, self.request_id.as_ref(), limit).map(ResponseBody::refusal)
    }

    /// The response of the inner service, with what belongs on it. A refusal that comes out of it unrendered gets the
    /// layer's face.
    pub(crate) fn finish<B>(&mut self, mut response: Response<B>) -> Response<ResponseBody<B>> {
        if let Some(Unrendered(rejection)) = response.extensions_mut().remove() {
            // On a public route nobody attempted anything: no event is written, and the two are not looked at.
            let accepted = self.attempted.as_ref().and_then(|attempted| attempted.accepted.as_ref());
            let (method, path) = accepted.map_or((&Method::GET, ""), |it| (&it.method, it.path.as_str()));
            self.gate.refused_by_handler(&rejection, self, method, path);
            let allow = response.headers_mut().remove(header::ALLOW);
            let mut refusal = self.refuse(rejection);
            // RFC 9110 §15.5.6: a 405 says which methods there are, which only the router knows.
            if let Some(allow) = allow {
                refusal.headers_mut().insert(header::ALLOW, allow);
            }
            return refusal;
        }
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if let Some(protocol) = self.subprotocol.take().filter(|_| upgraded) {
            response.headers_mut().entry(header::SEC_WEBSOCKET_PROTOCOL).or_insert(*protocol);
        }
        if let (Some(limits), Some(report)) = (&self.gate.limits, &self.limit) {
            limits.limit_headers().write(report, response.headers_mut());
        }
        if self.gate.rotation_headers
            && let Some(key) = self.attempted.as_ref().and_then(Attempted::key)
        {
            write_rotation(key, response.headers_mut());
        }
        if let Some(id) = self.request_id.take() {
            response.headers_mut().insert(X_REQUEST_ID, id.into_header());
        }
        response.map(ResponseBody::inner)
    }
}

impl Path {
    fn as_str(&self) -> &str {
        // It was a text.
        std::str::from_utf8(&self.0).unwrap_or_default()
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
