//! Limits, credits and invalidations in Redis, with servers that fail. Needs `redis-server`; runs with `TEST_SERVICES=1`.
#![cfg(unix)]

#[cfg(feature = "redis-cluster")]
mod cluster;
mod credits;
mod exact;
mod gate;
mod invalidations;
mod leases;
#[path = "../support/log.rs"]
mod log;
mod outages;
mod support;
#[cfg(feature = "redis-tls")]
mod tls;
