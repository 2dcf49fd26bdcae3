//! What makes the layer at home in a framework.

#[cfg(feature = "axum")]
pub mod axum;
