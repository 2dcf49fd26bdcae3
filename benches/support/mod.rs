//! What the benches share: a floor, peers, requests, and a way to measure that a busy machine disturbs least.

#![allow(dead_code, unreachable_pub, reason = "each bench is a program, and uses a part of it")]

pub mod allocations;
pub mod fixture;
pub mod floor;
pub mod peers;
pub mod people;
pub mod plot;
pub mod rounds;

/// The secret that most benches present.
pub fn secret_of(fixture: &fixture::Fixture) -> &str {
    &fixture.secrets[fixture.secrets.len() / 2]
}
