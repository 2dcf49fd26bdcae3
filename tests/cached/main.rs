//! The cache in front of a source.

mod bounds;
mod flights;
mod invalidations;
mod layers;
mod races;
mod stale;
mod store;
mod support;
