//! The command line `api-keys`, run as a program. What needs Postgres on 127.0.0.1:5432 (user `postgres`, trusted), tmux,
//! or Node with npm and Python 3 with venv, runs when `TEST_SERVICES` is 1.

mod audit;
mod examples;
mod history;
mod import;
mod keys;
mod output;
#[path = "../support/packages.rs"]
mod packages;
mod sarif;
mod scan;
mod settings;
mod support;
mod terminal;
mod verify;
