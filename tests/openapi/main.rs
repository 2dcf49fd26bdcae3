//! The OpenAPI document: what it says, and what real programs make of it.

#[path = "../support/browser.rs"]
mod browser;
mod document;
#[path = "../support/packages.rs"]
mod packages;
mod page;
mod schemathesis;
mod support;
