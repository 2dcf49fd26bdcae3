//! What keys were used: noted in memory, and written in batches.

mod addresses;
mod batches;
mod credits;
mod killed;
mod peppers;
mod reminders;
mod series;
mod support;
