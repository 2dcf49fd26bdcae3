//! Events on their way to a store, and the stores that they are read from again.

mod json_lines;
#[path = "../support/log.rs"]
mod log;
mod stores;
mod support;
mod trail;
