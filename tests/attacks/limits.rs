//! More than is allowed, neighbours who are locked out, and keys that outlive their end.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::table::{Case, Findings, INVALID, OK, cases};
use crate::wire::{self, Ask};
use crate::world::{ADMIN, CHAT, FEW, World, bearer};

pub(crate) const CASES: &[Case] = cases![
    no_neighbour_is_locked_out_by_somebody_who_guesses,
    no_more_are_admitted_at_once_than_one_after_the_other,
    no_verification_under_way_brings_a_key_back,
];

/// From this address nobody else calls.
fn from(address: &str, key: Option<&str>) -> Ask {
    let ask = Ask::get("/api/whoami").from(address);
    match key {
        Some(key) => ask.field("x-api-key", key),
        None => ask,
    }
}

fn no_neighbour_is_locked_out_by_somebody_who_guesses(world: &World, findings: &mut Findings) {
    let server = &world.small;
    let guesses: Vec<String> =
        (0..40).map(|number| format!("a-guess-of-somebody-number-{number:04}-of-many")).collect();
    for (number, guess) in guesses.iter().enumerate() {
        let failures = (429, "TOO_MANY_FAILURES");
        let expected = if number < FEW as usize { INVALID } else { failures };
        let ask = from("127.0.0.21", Some(guess)).field("x-forwarded-for", format!("192.0.2.{number}"));
        findings.row("guessing ends, whatever a header says of the address", server, &ask, &[expected]);
    }
    findings.row("a good key from the same address", server, &from("127.0.0.21", Some(CHAT)), &[OK]);
    findings.row("another address", server, &from("127.0.0.22", Some(&guesses[0])), &[INVALID]);
    findings.row("another address with the key", server, &from("127.0.0.22", Some(CHAT)), &[OK]);
    let without = from("127.0.0.21", None);
    for _ in 0..10 {
        findings.row("who presents nothing fails at nothing", server, &without, &[(401, "MISSING_API_KEY")]);
    }
    for number in 0..10 {
        let ask = from("127.0.0.23", Some(CHAT)).field("x-api-key", "x");
        let expected = if number < FEW { (401, "AMBIGUOUS_CREDENTIALS") } else { (429, "TOO_MANY_FAILURES") };
        findings.row(
            "an ambiguous request is a failed attempt",
            server,
            &ask,
            &[expected, (401, "AMBIGUOUS_CREDENTIALS")],
        );
    }
}

fn no_more_are_admitted_at_once_than_one_after_the_other(world: &World, findings: &mut Findings) {
    let limit = 25;
    let body =
        json!({ "name": "limited", "scopes": ["read"], "rateLimits": [{ "limit": limit, "windowSeconds": 3600 }] });
    let held = world.of_operator(&body);
    let (admitted, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..16 {
            let (admitted, refused, held) = (&admitted, &refused, &held);
            scope.spawn(move || {
                for number in 0..8 {
                    // Nothing that a caller says makes it another client.
                    let ask = bearer(Ask::get("/api/whoami"), &held.key)
                        .field("x-forwarded-for", format!("10.{thread}.0.{number}"));
                    let ask = ask.from(&format!("127.0.1.{}", thread + 1));
                    match wire::exchange(world.generate.address, &ask).status {
                        200 => admitted.fetch_add(1, Ordering::Relaxed),
                        429 => refused.fetch_add(1, Ordering::Relaxed),
                        other => panic!("{other}"),
                    };
                }
            });
        }
    });
    let (admitted, refused) = (admitted.into_inner(), refused.into_inner());
    findings.holds("N + 1 at once never admit more than N", admitted == limit && admitted + refused == 128, || {
        format!("{admitted} of {limit}")
    });
}

fn no_verification_under_way_brings_a_key_back(world: &World, findings: &mut Findings) {
    for call in ["revoke", "disable"] {
        let held = world.of_operator(&json!({ "name": "ends", "scopes": ["read"] }));
        let (ended, late, seen) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let ask = bearer(Ask::get("/api/whoami"), &held.key);
                    for _ in 0..60 {
                        // Asked after the answer: whatever was under way before it may still end well.
                        let after = ended.load(Ordering::SeqCst);
                        let status = wire::exchange(world.generate.address, &ask).status;
                        seen.fetch_add(usize::from(status == 200), Ordering::Relaxed);
                        late.fetch_add(usize::from(after && status == 200), Ordering::Relaxed);
                    }
                });
            }
            while seen.load(Ordering::Relaxed) < 20 {
                thread::yield_now();
            }
            let ask = bearer(Ask::post(format!("/v1/keys/{}/{call}", held.id), "{}"), ADMIN);
            findings.row("it ends", &world.generate, &ask, &[OK]);
            ended.store(true, Ordering::SeqCst);
        });
        let late = late.into_inner();
        findings.holds("in the same process at once", late == 0, || format!("{call}: {late} got in after it"));
        let code = if call == "revoke" { "REVOKED_API_KEY" } else { "DISABLED_API_KEY" };
        findings.row("it stays so", &world.generate, &bearer(Ask::get("/api/whoami"), &held.key), &[(401, code)]);
    }
}
