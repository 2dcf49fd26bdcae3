//! A key is shown once, to whoever made it, and to no cache.

use http::Method;
use serde_json::{Value, json};
use tower_api_key::management::ROUTES;

use crate::table::{Case, Findings, cases};
use crate::wire::{self, Ask};
use crate::world::{Managed, World, mint};

pub(crate) const CASES: &[Case] =
    cases![no_answer_but_the_first_shows_a_key, no_repeat_shows_a_key_again, no_cache_keeps_an_answer];

/// Where members may have as many keys as they like.
fn many(world: &World) -> Vec<Managed<'_>> {
    world.managed().into_iter().filter(|managed| managed.server.name != "organization").collect()
}

fn no_answer_but_the_first_shows_a_key(world: &World, findings: &mut Findings) {
    for managed in many(world) {
        let held = mint(managed.server, &managed.as_manager(Ask::post(managed.base, json!({ "name": "shown once" }))));
        for endpoint in ROUTES.iter().filter(|endpoint| endpoint.method == Method::GET) {
            let path = managed.path(endpoint.path, &held.id);
            for query in ["", "?key=true", "?include=key", "?fields=key,digest", "?q=shown%20once"] {
                let answer =
                    wire::exchange(managed.server.address, &managed.as_manager(Ask::get(format!("{path}{query}"))));
                for secret in [&held.key[..], &held.key[12..], "digest", "hash"] {
                    findings.holds("shown once", !answer.body.contains(secret), || {
                        format!("{path}{query}: {}", answer.body)
                    });
                }
            }
        }
        for (method, call, body) in [
            ("PATCH", "", json!({ "name": "renamed" })),
            ("POST", "/disable", json!({})),
            ("POST", "/enable", json!({})),
            ("DELETE", "", json!({})),
        ] {
            let ask = Ask::new(method, format!("{}/{}{call}", managed.base, held.id)).json(body);
            let answer = wire::exchange(managed.server.address, &managed.as_manager(ask));
            findings.holds("it is done", answer.status == 200, || answer.body.clone());
            findings.holds("shown once", answer.json().get("key").is_none_or(Value::is_null), || answer.body.clone());
            findings.holds("shown once", !answer.body.contains(&held.key[12..]), || answer.body.clone());
        }
    }
}

fn no_repeat_shows_a_key_again(world: &World, findings: &mut Findings) {
    for managed in many(world) {
        let ask = managed.as_manager(
            Ask::post(managed.base, json!({ "name": "repeated" })).field("idempotency-key", "again-and-again"),
        );
        let held = mint(managed.server, &ask);
        for _ in 0..3 {
            let answer = findings.row("a repeat shows no secret", managed.server, &ask, &[(200, "")]);
            findings.holds("the same key", answer.json()["id"] == *held.id, || answer.body.clone());
            findings.holds(
                "without itself",
                answer.json()["key"].is_null() && !answer.body.contains(&held.key[12..]),
                || answer.body.clone(),
            );
        }
        let other = managed.as_manager(
            Ask::post(managed.base, json!({ "name": "another" })).field("idempotency-key", "again-and-again"),
        );
        findings.row("another body", managed.server, &other, &[(422, "VALIDATION_FAILED")]);
    }
    // One caller's repeat is nobody else's.
    let stranger = Ask::post("/account/api-keys", json!({ "name": "repeated" })).field("cookie", world.bea_cookie());
    let of_stranger = mint(&world.workspace, &stranger.field("idempotency-key", "again-and-again"));
    let seen = Ask::get(format!("/account/api-keys/{}", of_stranger.id)).field("cookie", world.ann_cookie());
    findings.row("one caller's repeat is nobody else's", &world.workspace, &seen, &[(404, "KEY_NOT_FOUND")]);
}

fn no_cache_keeps_an_answer(world: &World, findings: &mut Findings) {
    for managed in world.managed() {
        for endpoint in ROUTES.iter().filter(|endpoint| endpoint.method == Method::GET) {
            let path = managed.path(endpoint.path, &managed.id);
            for ask in [managed.as_manager(Ask::get(&path)), Ask::get(&path)] {
                let answer = wire::exchange(managed.server.address, &ask);
                findings.holds("no-store", answer.header("cache-control").contains("no-store"), || {
                    format!("{path}: {answer:?}")
                });
            }
        }
        for body in ["{}", "x", r#"{"name":""}"#] {
            let answer = wire::exchange(managed.server.address, &managed.as_manager(Ask::post(managed.base, body)));
            findings.holds("no-store", answer.header("cache-control").contains("no-store"), || format!("{answer:?}"));
        }
    }
    for managed in many(world) {
        let ask = managed.as_manager(Ask::post(managed.base, json!({ "name": "cached?" })));
        let made = wire::exchange_untold(managed.server.address, &ask);
        crate::evidence::secret(made.json()["key"].as_str().unwrap_or_default());
        findings
            .holds("no-store", made.status == 201 && made.header("cache-control").contains("no-store"), || made.status);
        let place = made.header("location").to_owned();
        let secret = made.json()["key"].as_str().unwrap_or("none").to_owned();
        findings.holds("no key in a URL", !place.is_empty() && !place.contains(&secret[12..]), || place.clone());
        findings.holds("no key in a header", !format!("{:?}", made.headers).contains(&secret[12..]), || {
            "a header".to_owned()
        });
    }
}
