//! What keys were used: noted in memory, and written in batches.

mod addresses;
mod batches;
mod credits;
mod killed;
#[path = "../support/log.rs"]
mod log;
mod peppers;
mod reminders;
mod series;
mod support;
