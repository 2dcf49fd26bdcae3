//! What must never happen. Each test is named after what it prevents, and cites the advisory of a system in which it
//! did happen, where there is one.

mod audit;
mod backends;
mod bounds;
mod credentials;
mod digests;
#[cfg(feature = "axum")]
mod frameworks;
mod headers;
mod leaks;
mod paths;
mod preflights;
mod principals;
mod refusals;
mod support;
mod tenants;
