//! What the layer counts and times, and what the files for Prometheus and Grafana make of it.

mod caches;
mod dashboard;
mod decisions;
#[path = "../support/packages.rs"]
mod packages;
mod page;
mod scrape;
mod usage;

#[path = "../support/mod.rs"]
mod support;
