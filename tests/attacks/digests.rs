//! What a store keeps, presented as the key that it was made from.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::table::{Case, Expected, Findings, INVALID, MISSING, cases};
use crate::wire::{self, Ask};
use crate::world::{World, bearer, member_of};

pub(crate) const CASES: &[Case] = cases![no_stored_digest_is_a_key, no_id_start_or_mask_is_a_key];

/// All texts of at least this length in the files of the programs that look like digests.
fn stored(world: &World) -> Vec<String> {
    let mut digests = Vec::new();
    for folder in world.folders() {
        for entry in std::fs::read_dir(folder).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path
                .file_name()
                .is_some_and(|name| ["auth.db", "jwks.json", "audit.jsonl"].iter().any(|other| name == *other))
            {
                continue;
            }
            let text = std::fs::read(&path).expect("it can be read");
            let words = text.split(|byte| !(byte.is_ascii_alphanumeric() || b"+/_-:$=".contains(byte)));
            let words = words.filter(|word| word.len() >= 40 && word.len() <= 120);
            digests.extend(words.map(|word| String::from_utf8_lossy(word).into_owned()));
        }
    }
    digests.sort();
    digests.dedup();
    digests
}

fn no_stored_digest_is_a_key(world: &World, findings: &mut Findings) {
    let because = "whoever has read the store has no key";
    let refused: [Expected; 3] = [INVALID, MISSING, (401, "AMBIGUOUS_CREDENTIALS")];
    let digests = stored(world);
    findings.holds("the stores keep digests", digests.len() >= 10, || digests.len());
    let token = member_of("acme");
    for digest in digests.iter().take(40) {
        let bare = digest.rsplit([':', '$']).next().unwrap_or_default();
        let raw = BASE64_URL_SAFE_NO_PAD
            .decode(bare.trim_end_matches('='))
            .or_else(|_| BASE64_STANDARD.decode(bare))
            .unwrap_or_default();
        let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [
            digest.clone(),
            bare.to_owned(),
            hex.to_uppercase(),
            hex,
            format!("ak_live_{bare}"),
            BASE64_STANDARD.encode(&raw),
        ] {
            if text.is_empty() {
                continue;
            }
            for (server, path) in world.guarded() {
                let ask = if server.name == "organization" {
                    Ask::get(path).field("x-organization-api-key", &text).field("authorization", &token)
                } else if server.name == "generate" {
                    bearer(Ask::get(path), &text)
                } else {
                    Ask::get(path).field("x-api-key", &text)
                };
                findings.row(because, server, &ask, &refused);
            }
        }
    }
    findings.at_least(500);
}

fn no_id_start_or_mask_is_a_key(world: &World, findings: &mut Findings) {
    for managed in world.managed() {
        let seen = wire::exchange(
            managed.server.address,
            &managed.as_manager(Ask::get(managed.path("/{key_id}", &managed.id))),
        );
        let seen = seen.json();
        for name in ["id", "start", "masked", "prefix", "name"] {
            let Some(text) = seen[name].as_str().filter(|text| !text.is_empty()) else { continue };
            for (server, path) in world.guarded() {
                let key = Ask::get(path).field("x-api-key", text);
                findings.row("what is shown is no key", server, &key, &[INVALID, MISSING]);
                let key = bearer(Ask::get(path), text);
                let organization = (401, "MISSING_API_KEY");
                findings.row(
                    "what is shown is no key",
                    server,
                    &key,
                    &[INVALID, MISSING, organization, (401, "INVALID_SESSION")],
                );
            }
        }
    }
    findings.at_least(100);
}
