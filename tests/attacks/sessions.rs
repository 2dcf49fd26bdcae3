//! Session cookies that nobody has issued, or not for this.

use serde_json::{Value, json};

use crate::forged::{FAR, NEXT_AUTH_INFO, next_auth, vectors};
use crate::people::{ada, cookie};
use crate::table::{Case, Expected, Findings, MISSING, OK, cases};
use crate::wire::Ask;
use crate::world::World;

pub(crate) const CASES: &[Case] = cases![
    no_session_that_the_vectors_refuse_is_taken,
    no_session_is_good_with_one_character_changed,
    no_session_of_another_purpose_or_time_is_taken,
    no_session_without_its_signature_is_taken,
];

/// A session that does not hold is as none.
const NONE: [Expected; 2] = [MISSING, (401, "INVALID_SESSION")];

fn no_session_that_the_vectors_refuse_is_taken(world: &World, findings: &mut Findings) {
    let mut good = 0;
    for (file, server) in [("authjs_v5.json", &world.workspace), ("better_auth_session.json", &world.platform)] {
        let all = vectors(file);
        let secret = all[0]["secret"].clone();
        for case in all.iter().filter(|case| case["secret"] == secret) {
            let Some(cookies) = case["cookie_header"].as_str().filter(|text| !text.is_empty()) else { continue };
            let id = case["id"].as_str().unwrap_or_default();
            let ask = Ask::get("/api/whoami").field("cookie", cookies);
            // What holds only at its own instant, or under another name or secret, is proved in the process.
            match case["expect"]["valid"].as_bool() {
                Some(true) if id == "plain/valid" || id == "secure/valid" && file == "authjs_v5.json" => {
                    good += 1;
                    findings.row(id, server, &ask, &[OK]);
                }
                // Both names are its own here, and a signature says nothing of the name.
                _ if id == "plain/value-under-secure-name" => {}
                Some(false) if !id.contains("exp+") && !id.contains("nbf") && !id.contains("rotation") => {
                    findings.row(id, server, &ask, &NONE);
                }
                _ => {}
            }
        }
    }
    findings.holds("some are good", good == 3, || good);
    findings.at_least(70);
}

fn no_session_is_good_with_one_character_changed(world: &World, findings: &mut Findings) {
    for (server, cookies, step) in [
        (&world.workspace, world.ann_cookie(), 5),
        (&world.workspace, world.bea_cookie(), 3),
        (&world.platform, ada(), 1),
    ] {
        findings.row("a good session", server, &Ask::get("/api/whoami").field("cookie", &cookies), &[OK]);
        let start = cookies.find('=').expect("a name") + 1;
        for index in (start..cookies.len()).step_by(step) {
            let mut changed = cookies.clone().into_bytes();
            changed[index] = if changed[index] == b'x' { b'y' } else { b'x' };
            findings.row("every character is signed", server, &Ask::get("/api/whoami").field("cookie", changed), &NONE);
        }
        for end in (start..cookies.len()).step_by(step * 3) {
            findings.row("a part of it", server, &Ask::get("/api/whoami").field("cookie", &cookies[..end]), &NONE);
        }
        for more in ["=", ".", "A", "%00", "%", "\"", "\u{fc}"] {
            findings.row(
                "more than it",
                server,
                &Ask::get("/api/whoami").field("cookie", format!("{cookies}{more}")),
                &NONE,
            );
        }
        findings.row("still good", server, &Ask::get("/api/whoami").field("cookie", &cookies), &[OK]);
    }
    findings.at_least(200);
}

fn no_session_of_another_purpose_or_time_is_taken(world: &World, findings: &mut Findings) {
    let secret = world.auth_secret();
    let bea = json!({ "sub": "user-bea", "exp": FAR });
    let value = next_auth(secret, NEXT_AUTH_INFO, &bea);
    let names = [
        "next-auth.csrf-token",
        "next-auth.callback-url",
        "next-auth.pkce.code_verifier",
        "next-auth.state",
        "authjs.session-token",
        "__Secure-authjs.session-token",
        "__Host-next-auth.session-token",
        "NEXT-AUTH.SESSION-TOKEN",
        "session",
        "session-token",
        "next-auth.session-token.",
        "next-auth.session-token.x",
        "next-auth.session-token.00",
    ];
    for name in names {
        let ask = Ask::get("/api/whoami").field("cookie", format!("{name}={value}"));
        findings.row("a cookie of another name", &world.workspace, &ask, &NONE);
    }
    for info in [
        "",
        "Auth.js Generated Encryption Key",
        "NextAuth.js Generated Encryption Key ",
        "NextAuth.js Generated Encryption Key (authjs.pkce.code_verifier)",
        "NextAuth.js Generated Signing Key",
    ] {
        let ask = Ask::get("/api/whoami")
            .field("cookie", format!("next-auth.session-token={}", next_auth(secret, info, &bea)));
        findings.row("sealed for another purpose", &world.workspace, &ask, &NONE);
    }
    for secret in ["", "secret", &secret[1..], &format!("{secret} "), &secret.to_lowercase()] {
        let value = next_auth(secret, NEXT_AUTH_INFO, &bea);
        let ask = Ask::get("/api/whoami").field("cookie", format!("next-auth.session-token={value}"));
        findings.row("sealed with another secret", &world.workspace, &ask, &NONE);
    }
    for (because, claims) in [
        ("expired", json!({ "sub": "user-bea", "exp": 1_760_000_000 })),
        ("expired", json!({ "sub": "user-bea", "exp": 0 })),
        ("an end that is a text", json!({ "sub": "user-bea", "exp": "4102444800" })),
        ("not yet", json!({ "sub": "user-bea", "exp": FAR, "nbf": FAR - 1 })),
        ("nobody", json!({ "exp": FAR })),
        ("nobody", json!({ "sub": null, "exp": FAR })),
        ("nobody", json!({ "sub": "", "exp": FAR })),
        ("nobody", json!({ "sub": { "id": "ann" }, "exp": FAR })),
        ("no claims", Value::Null),
        ("no claims", json!(["user-bea"])),
        ("no claims", json!("user-bea")),
    ] {
        let ask = Ask::get("/api/whoami").field("cookie", world.next_auth_cookie(&claims));
        findings.row(because, &world.workspace, &ask, &NONE);
    }
    let good = world.bea_cookie();
    let ask = Ask::get("/api/whoami").field("cookie", format!("a=b; {good}; c=d"));
    findings.row("among others", &world.workspace, &ask, &[OK]);
    for second in ["next-auth.session-token=x", &world.next_auth_cookie(&json!({ "sub": "user-eve", "exp": FAR }))] {
        for line in [format!("{good}; {second}"), format!("{second}; {good}")] {
            let twice = [MISSING, (401, "INVALID_SESSION"), (401, "AMBIGUOUS_CREDENTIALS")];
            let ask = Ask::get("/api/whoami").field("cookie", line);
            findings.row("a cookie twice", &world.workspace, &ask, &twice);
            let ask = Ask::get("/api/whoami").field("cookie", &good).field("cookie", second);
            findings.row("a cookie twice", &world.workspace, &ask, &twice);
        }
    }
}

fn no_session_without_its_signature_is_taken(world: &World, findings: &mut Findings) {
    let (ada, eve) = (ada(), cookie("eve"));
    let (name, value) = eve.split_once('=').expect("a cookie");
    let (token, signature) = value.split_once('.').expect("a signature");
    let other = ada.split_once('=').expect("a cookie").1.split_once('.').expect("a signature");
    for (because, text) in [
        ("unsigned", token.to_owned()),
        ("unsigned", format!("{token}.")),
        ("no token", format!(".{signature}")),
        ("another's signature", format!("{token}.{}", other.1)),
        ("another's token", format!("{}.{signature}", other.0)),
        ("signed twice", format!("{token}.{signature}.{signature}")),
        ("a token that nobody has, well signed", cookie("nobody").split_once('=').expect("a cookie").1.to_owned()),
        ("a statement", "' OR '1'='1.x".to_owned()),
        ("a pattern", format!("%.{signature}")),
        ("encoded twice", value.replace('%', "%25")),
    ] {
        for name in [
            name,
            "__Secure-better-auth.session_token",
            "__Host-better-auth.session_token",
            "better-auth.session_data",
            "session_token",
        ] {
            let ask = Ask::get("/api/whoami").field("cookie", format!("{name}={text}"));
            findings.row(because, &world.platform, &ask, &NONE);
        }
    }
    for name in [
        "better-auth.session_data",
        "better-auth.dont_remember",
        "better-auth-session_token",
        "Better-Auth.session_token",
    ] {
        let ask = Ask::get("/api/whoami").field("cookie", format!("{name}={value}"));
        findings.row("a cookie of another name", &world.platform, &ask, &NONE);
    }
    let ask = Ask::get("/api/whoami").field("authorization", format!("Bearer {token}"));
    findings.row("a token of a session is no key", &world.platform, &ask, &[(401, "INVALID_API_KEY")]);
}
