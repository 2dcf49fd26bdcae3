//! The service behind: says what reached it, or behaves badly.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::StreamExt;

pub(crate) struct Upstream {
    pub(crate) url: String,
    notes: UnboundedReceiver<String>,
}

/// Says when it is dropped, and with it the request that it belongs to.
struct Dropped(UnboundedSender<String>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send("dropped".to_owned());
    }
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let (notes, heard) = unbounded_channel();
        let app = Router::new()
            .route("/api/run/silent", any(silent))
            .route("/api/run/stalls", any(stalls))
            .route("/api/run/paced", any(paced))
            .route("/api/run/switches", any(async || StatusCode::SWITCHING_PROTOCOLS))
            .route("/api/run/sink", any(sink))
            .route("/api/run/source/{chunks}", any(source))
            .fallback(echo)
            .with_state(notes);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, notes: heard }
    }

    /// What it notes next.
    pub(crate) async fn note(&mut self) -> String {
        let note = tokio::time::timeout(Duration::from_secs(20), self.notes.recv()).await;
        note.expect("the service behind notes something in time").unwrap()
    }

    /// Whether nothing has reached it but what was noted.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.notes.try_recv().is_err()
    }
}

/// What reached it, as JSON; and headers of every kind.
async fn echo(State(notes): State<UnboundedSender<String>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let _ = notes.send(format!("{} {}", parts.method, parts.uri));
    let headers: Vec<Value> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let said = json!({
        "method": parts.method.as_str(),
        "uri": parts.uri.to_string(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    let mut response = (StatusCode::MULTI_STATUS, Body::from(said.to_string())).into_response();
    for (name, value) in [
        ("content-type", "application/vnd.said+json"),
        ("x-kept", "one"),
        ("x-kept", "two"),
        ("connection", "x-of-this-connection"),
        ("x-of-this-connection", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("x-request-id", "of-the-upstream"),
        ("access-control-allow-origin", "*"),
        ("access-control-allow-private-network", "true"),
        ("vary", "accept"),
    ] {
        response.headers_mut().append(name, value.parse().unwrap());
    }
    response
}

/// The headers that the echo saw under this name.
pub(crate) fn seen<'a>(said: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = said["headers"].as_array().unwrap().iter();
    headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

/// The headers that the echo saw, as a map.
pub(crate) fn header_map(said: &Value) -> HeaderMap {
    let headers = said["headers"].as_array().unwrap().iter();
    let field = |header: &Value| {
        let name: HeaderName = header[0].as_str().unwrap().parse().unwrap();
        (name, header[1].as_str().unwrap().parse().unwrap())
    };
    headers.map(field).collect()
}

async fn silent(State(notes): State<UnboundedSender<String>>, _request: Request) -> Response {
    let _ = notes.send("silent".to_owned());
    let _dropped = Dropped(notes);
    std::future::pending().await
}

/// A first part, and then nothing more.
async fn stalls(State(notes): State<UnboundedSender<String>>) -> Body {
    let dropped = Dropped(notes);
    let first = tokio_stream::once(Ok::<_, Infallible>(Bytes::from_static(b"first")));
    let rest = tokio_stream::pending().map(move |part| {
        let _ = &dropped;
        part
    });
    Body::from_stream(first.chain(rest))
}

/// Answers every part as it comes.
async fn paced(body: Body) -> Body {
    Body::from_stream(body.into_data_stream())
}

/// How much it was sent.
async fn sink(mut body: Body) -> String {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { break };
        bytes += frame.data_ref().map_or(0, Bytes::len);
    }
    bytes.to_string()
}

/// So many parts of 64 KiB.
async fn source(axum::extract::Path(parts): axum::extract::Path<usize>) -> Body {
    Body::from_stream(of_parts(parts))
}

pub(crate) fn of_parts(parts: usize) -> impl tokio_stream::Stream<Item = Result<Bytes, Infallible>> {
    let part = Bytes::from(vec![b'x'; 65_536]);
    tokio_stream::iter((0..parts).map(move |_| Ok(part.clone())))
}
