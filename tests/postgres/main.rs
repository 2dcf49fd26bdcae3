//! Keys in Postgres. Needs a server, and runs only with `TEST_SERVICES=1`.

mod away;
mod nodes;
mod store;
mod support;
