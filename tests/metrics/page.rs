//! The page of an exporter, read as Prometheus would.

use std::collections::BTreeMap;
use std::convert::Infallible;

use http::{Request, Response};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusRecorder};
use tower::{Layer, ServiceExt, service_fn};
use tower_api_key::{ApiKeyLayer, metrics};

/// An exporter that nobody else counts into.
pub(crate) fn exporter() -> PrometheusRecorder {
    let durations = Matcher::Full(metrics::STAGE_DURATION.to_owned());
    let builder = PrometheusBuilder::new().set_buckets_for_metric(durations, metrics::STAGE_BUCKETS);
    builder.unwrap().build_recorder()
}

/// Series with their values.
#[derive(Debug)]
pub(crate) struct Page(BTreeMap<String, f64>);

impl Page {
    pub(crate) fn of(exporter: &PrometheusRecorder) -> Self {
        Self::read(&exporter.handle().render())
    }

    pub(crate) fn read(text: &str) -> Self {
        let series = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let series = series.map(|line| line.rsplit_once(' ').unwrap());
        Self(series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect())
    }

    /// The sum over the series of a metric that have all these labels.
    pub(crate) fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let is_meant = |name: &str| {
            name.split('{').next() == Some(metric) && labels.iter().all(|label| name.contains(label.as_str()))
        };
        self.0.iter().filter(|(name, _)| is_meant(name)).map(|(_, value)| value).sum()
    }

    /// The names of all series.
    pub(crate) fn series(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// The status that a request with this key is answered with.
pub(crate) async fn call(auth: &ApiKeyLayer, path: &str, key: Option<&str>) -> u16 {
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) });
    let request = Request::get(path).extension(tower_api_key::PeerAddr(([192, 0, 2, 1], 1).into()));
    let request = key.into_iter().fold(request, |request, key| request.header("x-api-key", key));
    auth.layer(inner).oneshot(request.body(()).unwrap()).await.unwrap().status().as_u16()
}
