//! Traces for OpenTelemetry that say which key was used, and what became of it.
//!
//! ```sh
//! API_KEY=a-secret-of-at-least-32-characters OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 \
//!   cargo run --example telemetry
//! curl -H 'X-API-Key: a-secret-of-at-least-32-characters' http://127.0.0.1:3000/v1/hello
//! ```
//!
//! Each request is a span with the fields `outcome`, `reason`, `principal` and `key_id`, sent to the collector by OTLP over
//! HTTP, as JSON. What the handler does is a span within it. `OTEL_*` variables are read by OpenTelemetry's own rules;
//! `http://localhost:4318` is the default. What is not sent yet at the end is sent then.

mod support;

use std::net::SocketAddr;
use std::process::ExitCode;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::Request;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tower_api_key::source::EnvKeys;
use tower_api_key::{ApiKeyLayer, AuthContext, BoxError};
use tower_http::trace::TraceLayer;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

fn main() -> ExitCode {
    if let Err(code) = support::read_file() {
        return code;
    }
    let spans = match exporter() {
        Ok(spans) => spans,
        Err(error) => {
            eprintln!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}");
            return ExitCode::from(2);
        }
    };
    let telemetry = tracing_opentelemetry::layer().with_tracer(spans.tracer("telemetry"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter).with(log).with(telemetry).init();
    let code = support::run_with_log(run);
    // What is not sent by now is sent here, or lost.
    if let Err(error) = spans.shutdown() {
        eprintln!("not all spans were sent: {error}");
    }
    code
}

/// Sends spans in batches from a thread of its own, so that no request waits for the collector.
fn exporter() -> Result<SdkTracerProvider, BoxError> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpJson).build()?;
    let service = Resource::builder().with_service_name("telemetry").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(service).build())
}

async fn run() -> Result<(), BoxError> {
    let mut settings = support::Settings::default();
    let port = settings.parsed("PORT", 3000);
    let keys = settings.checked(EnvKeys::variable("API_KEY"));
    settings.done()?;
    let Some(keys) = keys else { return Ok(()) };
    let auth = ApiKeyLayer::new(keys);

    // Outside the gate: its span is the current one while the gate decides, and refusals are traced as well.
    let trace = TraceLayer::new_for_http().make_span_with(span_of);
    let routes = Router::new().route("/v1/hello", get(hello));
    let app = Router::new().fallback_service(auth.protect(routes)).layer(trace);
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    support::serve(port, &auth, |listener| axum::serve(listener, app).with_graceful_shutdown(support::end())).await
}

/// The fields are empty until the gate knows what stands in them.
fn span_of(request: &Request<Body>) -> Span {
    info_span!(
        "request",
        otel.kind = "server",
        http.request.method = %request.method(),
        url.path = request.uri().path(),
        outcome = Empty,
        reason = Empty,
        principal = Empty,
        key_id = Empty,
    )
}

async fn hello(auth: AuthContext) -> String {
    let name = auth.key().map_or("nobody", |key| &key.name).to_owned();
    async move { format!("hello, {name}\n") }.instrument(info_span!("greet")).await
}
