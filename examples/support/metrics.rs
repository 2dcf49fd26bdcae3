//! The page that Prometheus scrapes, on a port of its own: it says how much is refused and why, which is nobody's business
//! but the operator's.

use std::net::Ipv4Addr;

use axum::Router;
use axum::routing::get;
use http::header;
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tower_api_key::{ApiKeyLayer, BoxError, metrics};

/// Installs the exporter: before anything is made that counts.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let durations = Matcher::Full(metrics::STAGE_DURATION.to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(durations, metrics::STAGE_BUCKETS)?.install_recorder()
}

/// Serves the page at 127.0.0.1 in the background, for as long as the program runs, and says where.
pub(crate) async fn serve(port: u16, exporter: PrometheusHandle, auth: &ApiKeyLayer) -> Result<(), BoxError> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let url = format!("http://{}/metrics", listener.local_addr()?);
    let auth = auth.clone();
    let page = async move || {
        auth.refresh_gauges();
        ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], exporter.render())
    };
    let app = Router::new().route("/metrics", get(page));
    tokio::spawn(async move { axum::serve(listener, app).await });
    tracing::info!(%url, "metrics");
    println!("metrics on {url}");
    Ok(())
}
