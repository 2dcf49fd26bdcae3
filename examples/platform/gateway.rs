//! Passing requests on to the service behind the gateway, streamed both ways.
//!
//! One request in is one request out. A WebSocket handshake goes on as the `GET` that it is without `Upgrade`, which
//! belongs to one connection; `CONNECT` and `TRACE` are for proxies and end here, and so does a path with `..` in it, in any
//! spelling, which the service might read as one outside of `/api/run/`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower_api_key::AuthContext;
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::identity::IdentitySigner;
use tower_api_key::rejection::Rejection;
use tower_http::timeout::TimeoutBody;

use crate::upload::Upload;

/// The service behind, and how it is told who is calling.
#[derive(Clone)]
pub(crate) struct Gateway {
    pub(crate) upstream: Upstream,
    pub(crate) signer: IdentitySigner,
}

/// Where requests go on to.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Body>,
    authority: Authority,
    /// A path that `UPSTREAM_URL` has, without a slash at its end.
    base: String,
    patience: Duration,
}

impl Upstream {
    /// # Errors
    /// When the URL of the service is none that requests can be sent to.
    pub(crate) fn new(url: &Uri, patience: Duration) -> Result<Self, &'static str> {
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority().cloned()) else {
            return Err("is no URL such as http://127.0.0.1:4000");
        };
        if *scheme != Scheme::HTTP {
            return Err("is not http: what ends TLS stands between here and there");
        }
        if url.query().is_some() || authority.as_str().contains('@') {
            return Err("has a query or a user's name, which would not be sent");
        }
        let mut connector = HttpConnector::new();
        // Sooner than silence, so that what cannot be reached is told from what does not answer.
        connector.set_connect_timeout(Some(patience / 2));
        connector.set_nodelay(true);
        // Sooner than servers close what is idle: Node's after 5 seconds.
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(4))
            .build(connector);
        let base = url.path().trim_end_matches('/').to_owned();
        Ok(Self { client, authority, base, patience })
    }

    fn target(&self, uri: &Uri) -> Result<Uri, http::Error> {
        let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
        let target = Uri::builder().scheme(Scheme::HTTP).authority(self.authority.clone());
        target.path_and_query(format!("{}{path}", self.base)).build()
    }
}

/// Passes a request on: method, path, query and body as they are, and who is calling.
pub(crate) async fn forward(
    State(Gateway { upstream, signer }): State<Gateway>,
    auth: AuthContext,
    request: Request,
) -> Result<Response, Rejection> {
    let (mut parts, body) = request.into_parts();
    if [Method::CONNECT, Method::TRACE].contains(&parts.method) {
        return Err(unsupported());
    }
    let target = upstream.target(&parts.uri).ok().filter(|_| !climbs(parts.uri.path())).ok_or_else(malformed)?;
    strip_hop_by_hop(&mut parts.headers);
    parts.headers.remove(header::HOST);
    signer.write(&auth, SystemClock.now(), &mut parts.headers);
    if let Some(id) = auth.request_id().and_then(|id| HeaderValue::from_str(id.as_str()).ok()) {
        parts.headers.insert("x-request-id", id);
    }
    let (upload, progress) = Upload::new(body);
    let mut passed = Request::new(Body::new(upload));
    (*passed.method_mut(), *passed.uri_mut(), *passed.headers_mut()) = (parts.method, target, parts.headers);
    // Dropped with this future, and the call with it, when the caller goes away.
    let answer = tokio::select! {
        answer = upstream.client.request(passed) => answer,
        () = progress.silence(upstream.patience) => {
            return Err(if progress.awaits_caller() { stalled() } else { timeout() });
        }
    };
    let answer = answer.map_err(|error| {
        if progress.is_broken() {
            return broken();
        }
        tracing::warn!(error = %error, cause = ?std::error::Error::source(&error), "the upstream cannot be reached");
        unreachable()
    })?;
    let (mut parts, body) = answer.into_parts();
    // It was not asked to switch protocols.
    if parts.status.is_informational() {
        return Err(unreachable());
    }
    strip_hop_by_hop(&mut parts.headers);
    parts.headers.remove("x-request-id");
    remove_all(&mut parts.headers, |name| name.as_str().starts_with("access-control-"));
    Ok(Response::from_parts(parts, Body::new(TimeoutBody::new(upstream.patience, body))))
}

fn unreachable() -> Rejection {
    let message = "The service behind the gateway cannot be reached; try again later";
    Rejection::new(StatusCode::BAD_GATEWAY, "UPSTREAM_UNREACHABLE", "Upstream unreachable", message)
}

fn timeout() -> Rejection {
    let message = "The service behind the gateway did not answer in time; try again later";
    Rejection::new(StatusCode::GATEWAY_TIMEOUT, "UPSTREAM_TIMEOUT", "Upstream timeout", message)
}

fn stalled() -> Rejection {
    let message = "The rest of the body did not arrive in time; send it again";
    Rejection::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "Request timeout", message)
}

fn broken() -> Rejection {
    let message = "The body is malformed or ends too early; send all of it";
    Rejection::new(StatusCode::BAD_REQUEST, "MALFORMED_REQUEST", "Malformed request", message)
}

fn malformed() -> Rejection {
    let message = "The path leads out of itself; write it without dot segments";
    Rejection::new(StatusCode::BAD_REQUEST, "MALFORMED_REQUEST", "Malformed request", message)
}

fn unsupported() -> Rejection {
    let message = "Neither CONNECT nor TRACE is passed on; use another method";
    Rejection::new(StatusCode::NOT_IMPLEMENTED, "METHOD_NOT_SUPPORTED", "Method not supported", message)
}

/// Whether a service could read `..` in the path: percent-encoded, between backslashes, or with parameters after it.
fn climbs(path: &str) -> bool {
    let path =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "/").replace("%3b", ";");
    path.split(['/', '\\']).any(|segment| segment.split(';').next() == Some(".."))
}

/// Takes out what is about one connection and not about the message (RFC 9110 §7.6.1).
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const ALWAYS: [&str; 9] = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    remove_all(headers, |name| named.contains(name) || ALWAYS.contains(&name.as_str()));
}

fn remove_all(headers: &mut HeaderMap, which: impl Fn(&HeaderName) -> bool) {
    let names: Vec<HeaderName> = headers.keys().filter(|name| which(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}
