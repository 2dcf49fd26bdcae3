//! The page on which people manage their keys: what is sent, and all of it in a browser that reaches nothing but this
//! machine. The browser runs when `TEST_SERVICES` is 1, and then needs Chromium with its driver, and npm with its registry.
//! Pictures are left in `target/dashboard`. With `TEST_LONG=1`, long lists are loaded to their end.

mod activity;
#[path = "../support/browser.rs"]
mod browser;
mod keyboard;
mod looks;
mod organizations;
#[path = "../support/packages.rs"]
mod packages;
mod page;
#[allow(dead_code, reason = "the database is all that is needed of it")]
#[path = "../example_platform/people.rs"]
mod people;
mod secret;
mod shell;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "its type is all that is needed of it")]
#[path = "../example_platform/upstream.rs"]
mod upstream;
mod workspace;
