//! What spans learn about the caller, and what a collector of OpenTelemetry gets of it.

mod support;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, Once};

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::{Request, Response};
use tower::{Layer, Service, ServiceExt};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::UserId;
use tower_api_key::rejection::Rejection;
use tower_api_key::route::{Callers, Route};
use tower_api_key::session::{PresentedSession, Session, SessionAnswer, SessionLocation, SessionResolver};
use tower_api_key::source::{KeyStore, MemoryKeys, NewKey};
use tower_api_key::{ApiKeyLayer, AuthContext, User};
use tower_http::trace::TraceLayer;
use tracing::field::{Empty, Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Span, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};

/// The fields of each span named `request`, in the order in which they began.
#[derive(Clone, Default)]
struct Spans(Arc<Mutex<Vec<(u64, Recorded)>>>);

type Recorded = BTreeMap<&'static str, String>;

struct Fields<'a>(&'a mut Recorded);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl<S: Subscriber> tracing_subscriber::Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let mut fields = Recorded::new();
        attributes.record(&mut Fields(&mut fields));
        if attributes.metadata().name() == "request" {
            self.0.lock().unwrap().push((id.into_u64(), fields));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut spans = self.0.lock().unwrap();
        if let Some((_, fields)) = spans.iter_mut().rev().find(|(its, _)| *its == id.into_u64()) {
            values.record(&mut Fields(fields));
        }
    }
}

impl Spans {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        // A call site that a thread without a listener comes by first can else stay silent for the others.
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        });
        tracing::subscriber::set_default(tracing_subscriber::registry().with(self.clone()))
    }

    /// The fields of the only span since last asked.
    fn only(&self) -> Recorded {
        let mut spans = std::mem::take(&mut *self.0.lock().unwrap());
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0).1
    }

    fn none(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }
}

fn fields(pairs: &[(&'static str, &str)]) -> Recorded {
    pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect()
}

fn span_of<B>(_: &Request<B>) -> Span {
    tracing::info_span!("request", outcome = Empty, reason = Empty, principal = Empty, key_id = Empty, user_id = Empty)
}

/// Knows whoever says a name.
struct Names;

impl SessionResolver for Names {
    type Error = Infallible;

    fn name(&self) -> &'static str {
        "names"
    }

    fn locations(&self) -> Vec<SessionLocation> {
        vec![SessionLocation::cookie("sid")]
    }

    async fn resolve(&self, presented: &PresentedSession, _: Timestamp) -> Result<SessionAnswer, Infallible> {
        // Not at once: the decision is made while the future is polled.
        tokio::task::yield_now().await;
        let id = UserId::new(format!("{}\u{202e}", presented.expose_secret())).unwrap();
        Ok(SessionAnswer::Valid(Arc::new(Session::of(User::new(id)))))
    }
}

async fn call<S>(service: &S, path: &str, headers: &[(&str, &str)]) -> u16
where
    S: Service<Request<Body>, Error = Infallible, Response: Status> + Clone,
{
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
}

trait Status {
    fn status(&self) -> u16;
}

impl<B> Status for Response<B> {
    fn status(&self) -> u16 {
        Response::status(self).as_u16()
    }
}

fn router() -> Router {
    let conflict = async || Rejection::new(http::StatusCode::CONFLICT, "TAKEN", "", "");
    Router::new().route("/", get(async || "ok")).route("/people", get(async || "ok")).route("/taken", get(conflict))
}

#[tokio::test]
async fn a_span_outside_the_gate_learns_of_every_decision() {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let revoked = keys.issue(NewKey::named("r")).await.unwrap();
    keys.revoke(&revoked.record.id, None).await.unwrap();
    let (good, bad) = (issued.secret.expose_secret(), revoked.secret.expose_secret());
    let (good_id, bad_id) = (issued.record.id.as_str(), revoked.record.id.as_str());
    let auth = ApiKeyLayer::builder(keys)
        .sessions(Names)
        .route(http::Method::GET, "/people", Route::new().callers(Callers::User))
        .public(http::Method::GET, "/public")
        .build()
        .unwrap();
    let service = TraceLayer::new_for_http().make_span_with(span_of::<Body>).layer(auth.protect(router()));
    let spans = Spans::default();
    let _guard = spans.listen();

    assert_eq!(call(&service, "/", &[("x-api-key", good)]).await, 200);
    let accepted = [("outcome", "accepted"), ("reason", "api_key"), ("principal", "key"), ("key_id", good_id)];
    assert_eq!(spans.only(), fields(&accepted));
    assert_eq!(call(&service, "/", &[]).await, 401);
    assert_eq!(spans.only(), fields(&[("outcome", "refused"), ("reason", "MISSING_API_KEY")]));
    assert_eq!(call(&service, "/", &[("x-api-key", bad)]).await, 401);
    assert_eq!(spans.only(), fields(&[("outcome", "refused"), ("reason", "REVOKED_API_KEY"), ("key_id", bad_id)]));
    assert_eq!(call(&service, "/people", &[("cookie", "sid=ann")]).await, 200);
    let person = [("outcome", "accepted"), ("reason", "session"), ("principal", "user"), ("user_id", "ann\\u{202e}")];
    assert_eq!(spans.only(), fields(&person));
    assert_eq!(call(&service, "/taken", &[("x-api-key", good)]).await, 409);
    let refused_later = [("outcome", "refused"), ("reason", "TAKEN"), ("principal", "key"), ("key_id", good_id)];
    assert_eq!(spans.only(), fields(&refused_later));
    assert_eq!(call(&service, "/public", &[]).await, 404);
    assert_eq!(spans.only(), fields(&[]), "nobody decided");
}

#[tokio::test]
async fn a_span_inside_the_gate_is_told_by_the_context() {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let trace = TraceLayer::new_for_http().make_span_with(|request: &Request<Body>| {
        let span = span_of(request);
        if let Some(auth) = request.extensions().get::<AuthContext>() {
            auth.record_on(&span);
        }
        span
    });
    let service = ApiKeyLayer::new(keys).protect(router().layer(trace));
    let spans = Spans::default();
    let _guard = spans.listen();
    assert_eq!(call(&service, "/", &[("x-api-key", issued.secret.expose_secret())]).await, 200);
    let id = issued.record.id.as_str();
    let accepted = [("outcome", "accepted"), ("reason", "api_key"), ("principal", "key"), ("key_id", id)];
    assert_eq!(spans.only(), fields(&accepted));
    assert_eq!(call(&service, "/", &[]).await, 401);
    assert!(spans.none(), "what is refused gets no further");
}

#[tokio::test]
async fn only_fields_that_are_declared_are_recorded() {
    let keys = MemoryKeys::new();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let lean = |_: &Request<Body>| tracing::info_span!("request", outcome = Empty);
    let auth = ApiKeyLayer::new(keys);
    let service = TraceLayer::new_for_http().make_span_with(lean).layer(auth.protect(router()));
    let spans = Spans::default();
    let _guard = spans.listen();
    assert_eq!(call(&service, "/", &[("x-api-key", issued.secret.expose_secret())]).await, 200);
    assert_eq!(spans.only(), fields(&[("outcome", "accepted")]));
}

/// A collector that takes what it is sent, as OTLP over HTTP in JSON.
async fn collector() -> (String, Arc<Mutex<Vec<serde_json::Value>>>) {
    let taken: Arc<Mutex<Vec<serde_json::Value>>> = Arc::default();
    let keep = Arc::clone(&taken);
    let take = async move |axum::Json(batch): axum::Json<serde_json::Value>| {
        keep.lock().unwrap().push(batch);
        axum::Json(serde_json::json!({}))
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/v1/traces", post(take));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_sends_spans_with_the_key_to_a_collector() {
    const KEY: &str = "a-secret-of-at-least-32-characters";
    let (endpoint, taken) = collector().await;
    let settings = [("API_KEY", KEY), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let program = support::Program::start("telemetry", &settings);
    let url = format!("{}/v1/hello", program.url);
    assert_eq!(support::get(&url, &[("x-api-key", KEY)]).await.status(), 200);
    assert_eq!(support::get(&url, &[("x-api-key", "wrong")]).await.status(), 401);
    assert_eq!(program.terminate().code(), Some(0));

    let batches = std::mem::take(&mut *taken.lock().unwrap());
    let text = serde_json::to_string(&batches).unwrap();
    assert!(!text.contains(KEY), "no key is sent");
    let spans: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch["resourceSpans"].as_array().unwrap())
        .flat_map(|resource| resource["scopeSpans"].as_array().unwrap())
        .flat_map(|scope| scope["spans"].as_array().unwrap())
        .collect();
    let attribute = |span: &serde_json::Value, name: &str| {
        let attributes = span["attributes"].as_array()?.iter();
        let found = attributes.clone().find(|attribute| attribute["key"] == name)?;
        Some(found["value"]["stringValue"].as_str()?.to_owned())
    };
    let request = |outcome: &str| {
        let is_it = |span: &&&serde_json::Value| {
            span["name"] == "request" && attribute(span, "outcome").as_deref() == Some(outcome)
        };
        *spans.iter().find(is_it).unwrap_or_else(|| panic!("no span of a request that was {outcome}: {text}"))
    };
    let (accepted, refused) = (request("accepted"), request("refused"));
    assert_eq!(attribute(accepted, "principal").as_deref(), Some("key"));
    assert!(attribute(accepted, "key_id").is_some_and(|id| !id.is_empty()), "{accepted}");
    assert_eq!(attribute(refused, "reason").as_deref(), Some("INVALID_API_KEY"));
    let greet = spans.iter().find(|span| span["name"] == "greet").expect("the handler's span is sent");
    assert_eq!(greet["parentSpanId"], accepted["spanId"], "within that of the request");
}
