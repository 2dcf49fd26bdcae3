//! Events on their way to a store, and the stores that they are read from again.

mod json_lines;
mod stores;
mod support;
mod trail;
