//! The example `platform`: a gateway in front of a service that knows no keys, and the settings of an organisation's keys.

#[path = "../support/mod.rs"]
mod support;

mod callers;
mod cors;
mod faults;
mod forwarding;
mod keys;
mod large;
#[path = "../support/packages.rs"]
mod packages;
mod people;
mod schema;
mod settings;
mod upstream;
