//! The OpenAPI document: what it says, and what real programs make of it.

#[path = "../support/browser.rs"]
mod browser;
mod document;
mod page;
#[path = "../support/schemathesis.rs"]
mod program;
mod schemathesis;
mod support;
