//! Signed tokens of users.

mod attacks;
mod claims;
mod fetched;
mod files;
mod gate;
mod settings;
mod support;
mod vectors;
