//! What has to be added to the response of a request, kept while the inner service works.

use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};

use crate::authenticate::Gate;
use crate::body::ResponseBody;
use crate::clock::Timestamp;
use crate::context::AuthContext;
use crate::ip::{ClientIp, UnknownIp};
use crate::key::{KeyId, KeyRef};
use crate::rejection::{Audience, Rejection, Unrendered};
use crate::request_id::{RequestId, X_REQUEST_ID};
use crate::transport;

/// The facts about a request that its response needs.
pub(crate) struct Reply {
    gate: Arc<Gate>,
    audience: Audience,
    request_id: Option<RequestId>,
    method: Method,
    uri: Uri,
    at: Timestamp,
    client: ClientIp,
    key: Option<KeyRef>,
    subprotocol: Option<HeaderValue>,
}

impl Reply {
    pub(crate) fn new(gate: Arc<Gate>, parts: &Parts) -> Self {
        Self {
            audience: gate.renderer.audience(parts, |copy| gate.put_away_credentials(copy)),
            request_id: gate.request_ids.then(|| RequestId::of(&parts.headers)),
            method: parts.method.clone(),
            uri: transport::original_uri(parts).clone(),
            at: Timestamp::UNIX_EPOCH,
            client: ClientIp::Unknown(UnknownIp::NoPeer),
            key: None,
            subprotocol: gate.credentials.real_subprotocol(&parts.headers),
            gate,
        }
    }

    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    pub(crate) const fn identify(&mut self, at: Timestamp, client: ClientIp) {
        self.at = at;
        self.client = client;
    }

    pub(crate) fn accepted(&mut self, context: &AuthContext) {
        self.key = context.key().cloned();
    }

    pub(crate) const fn at(&self) -> Timestamp {
        self.at
    }

    pub(crate) const fn client(&self) -> ClientIp {
        self.client
    }

    pub(crate) const fn method(&self) -> &Method {
        &self.method
    }

    /// As the caller wrote it.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) const fn request_id(&self) -> Option<&RequestId> {
        self.request_id.as_ref()
    }

    pub(crate) fn key_id(&self) -> Option<&KeyId> {
        self.key.as_ref().map(|key| &key.id)
    }

    /// The response to a request that the gate refused.
    pub(crate) fn refuse<B>(self, rejection: Rejection) -> Response<ResponseBody<B>> {
        self.gate.renderer.render(rejection, self.audience, self.request_id.as_ref()).map(ResponseBody::refusal)
    }

    /// The response of the inner service, with what belongs on it. A refusal that comes out of it unrendered gets the
    /// layer's face.
    pub(crate) fn finish<B>(self, mut response: Response<B>) -> Response<ResponseBody<B>> {
        if let Some(Unrendered(rejection)) = response.extensions_mut().remove() {
            self.gate.record_refusal(&rejection, &self);
            return self.refuse(rejection);
        }
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        if let Some(protocol) = self.subprotocol.filter(|_| upgraded) {
            response.headers_mut().entry(header::SEC_WEBSOCKET_PROTOCOL).or_insert(protocol);
        }
        if let Some(id) = &self.request_id {
            response.headers_mut().insert(X_REQUEST_ID, id.to_header());
        }
        response.map(ResponseBody::inner)
    }
}
