//! Tokens that nobody has issued, or not for here.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use crate::forged::{AUDIENCE, FAR, ISSUER, JWT_SECRET, claims, hmac, jwk, signed_by, token};
use crate::table::{AMBIGUOUS, Case, Expected, Findings, OK, cases};
use crate::wire::Ask;
use crate::world::{ACME, Server, World};

pub(crate) const CASES: &[Case] = cases![
    no_forged_token_is_a_user,
    no_token_says_itself_what_it_is_checked_with,
    no_good_token_is_good_with_one_character_changed,
];

const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;
const BAD: Expected = (401, "INVALID_USER_TOKEN");

/// With the organisation's key, and for the calls that need the user alone.
fn both(token: &str) -> [Ask; 2] {
    let authorization = format!("Bearer {token}");
    [
        Ask::get("/api/projects").field("x-organization-api-key", ACME).field("authorization", &authorization),
        Ask::get("/api/organization/api-keys").field("authorization", &authorization),
    ]
}

fn refused(findings: &mut Findings, server: &Server, because: &str, token: &str) {
    for ask in both(token) {
        findings.row(because, server, &ask, &[BAD, (401, "MISSING_USER_TOKEN"), AMBIGUOUS]);
    }
}

fn no_forged_token_is_a_user(world: &World, findings: &mut Findings) {
    let server = &world.organization;
    let good = token(json!({}));
    for ask in both(&good) {
        findings.row("a good token", server, &ask, &[OK]);
    }
    let secret = JWT_SECRET.as_bytes();
    let plain = claims(json!({})).to_string();
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let payload = message.split_once('.').expect("two parts").1;

    // CVE-2015-9235 and its descendants.
    for algorithm in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "\u{ff4e}one",
        "",
        "HS256 ",
        "hs256",
        "HS384",
        "HS512",
        "RS256",
        "ES256",
        "EdDSA",
    ] {
        let header = json!({ "alg": algorithm, "typ": "JWT" }).to_string();
        let signed = hmac(&header, &plain, secret);
        let unsigned = format!("{}.{payload}", BASE64.encode(&header));
        for token in [
            signed,
            unsigned.clone(),
            format!("{unsigned}."),
            format!("{unsigned}.AA"),
            format!("{unsigned}.{signature}"),
        ] {
            refused(findings, server, "CVE-2015-9235: `alg` chosen by the token", &token);
        }
    }
    for header in [
        r#"{"typ":"JWT"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":["HS256"]}"#,
        r#"{"alg":"HS256","alg":"none"}"#,
        r#"{"alg":"none","alg":"HS256"}"#,
        r#"{"alg":"HS256","\u0061lg":"none"}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
        r#"{"alg":"HS256","crit":[]}"#,
        r#"{"alg":"HS256","crit":null}"#,
        r#"{"alg":"HS256","crit":["b64"],"b64":false}"#,
        r#"{"alg":"HS256","crit":["https://policy.example"],"https://policy.example":true}"#,
        r#"{"alg":"HS256","b64":false}"#,
        r#"{"alg":"HS256","kid":7}"#,
        r#"{"alg":"HS256","typ":null}"#,
        r#"{"alg":"HS256","typ":"logout+jwt"}"#,
        r#"["HS256"]"#,
        "null",
        "",
        "{",
    ] {
        refused(
            findings,
            server,
            "CVE-2025-59420: a header that has to be understood, or that reads in two ways",
            &hmac(header, &plain, secret),
        );
    }
    for (because, more) in [
        ("no end", json!({ "exp": "absent" })),
        ("no end", json!({ "exp": null })),
        ("an end that is a text", json!({ "exp": FAR.to_string() })),
        ("an end that is no time", json!({ "exp": true })),
        ("an end that is no time", json!({ "exp": -1 })),
        ("an end that is no time", json!({ "exp": [FAR] })),
        ("expired", json!({ "exp": 1_760_000_000 })),
        ("expired", json!({ "exp": 0 })),
        ("not yet", json!({ "nbf": FAR - 1 })),
        ("not yet, as a text", json!({ "nbf": "0" })),
        ("by nobody", json!({ "iss": "absent" })),
        ("by nobody", json!({ "iss": null })),
        ("by somebody else", json!({ "iss": "https://issuer.example/" })),
        ("by somebody else", json!({ "iss": "https://issuer.example.evil.example" })),
        ("by somebody else", json!({ "iss": "HTTPS://ISSUER.EXAMPLE" })),
        ("by one of several", json!({ "iss": [ISSUER, "https://evil.example"] })),
        ("for nobody", json!({ "aud": "absent" })),
        ("for nobody", json!({ "aud": null })),
        ("for nobody", json!({ "aud": [] })),
        ("for somebody else", json!({ "aud": "https://api.example/" })),
        ("for somebody else", json!({ "aud": ["https://other.example"] })),
        ("for somebody else", json!({ "aud": { "0": AUDIENCE } })),
        ("for a part of us", json!({ "aud": "https://api" })),
        ("nobody in particular", json!({ "sub": "absent" })),
        ("nobody in particular", json!({ "sub": null })),
        ("nobody in particular", json!({ "sub": "" })),
        ("nobody in particular", json!({ "sub": 7 })),
        ("nobody in particular", json!({ "sub": ["ann"] })),
        ("a name that is none", json!({ "sub": "ann\u{0}" })),
    ] {
        refused(findings, server, because, &hmac(HS256, &claims(more).to_string(), secret));
    }
    let twice = |more: &str| format!("{},{more}}}", plain.trim_end_matches('}'));
    for more in [r#""sub":"root""#, r#""role":"admin","role":"member""#, r#""exp":1"#, r#""s\u0075b":"root""#] {
        refused(findings, server, "a claim twice: which one counts?", &hmac(HS256, &twice(more), secret));
    }
    for (because, secret) in [
        ("no secret", &b""[..]),
        ("a well-known secret", b"secret"),
        ("a secret with a line end", b"the-secret-of-tokens-of-32-bytes-and-more\n"),
        ("a part of the secret", b"the-secret-of-tokens-of-32-bytes"),
        ("the organisation's key", ACME.as_bytes()),
        ("the issuer", ISSUER.as_bytes()),
        ("zeros", &[0; 32]),
    ] {
        refused(findings, server, because, &hmac(HS256, &plain, secret));
    }
    for text in [
        message.to_owned(),
        format!("{message}."),
        format!(".{payload}.{signature}"),
        format!("{good}.{signature}"),
        format!("{good}.."),
        format!("{good}="),
        format!("{good}%20"),
        format!(".{good}"),
        format!("{message}.{}", BASE64_STANDARD.encode(BASE64.decode(signature).expect("it is base64"))),
        format!("{message}.{}", signature.to_lowercase()),
        good.replace('.', ".."),
        good.replace('.', "%2e"),
        "eyJhbGciOiJub25lIn0.e30.".to_owned(),
        "a.b.c".to_owned(),
        "...".to_owned(),
        "e30.e30.e30".to_owned(),
        ".".repeat(5_000),
        hmac(HS256, &format!("{{\"sub\":{}", "[".repeat(3_000)), secret),
        hmac(HS256, "null", secret),
        hmac(HS256, "[]", secret),
        hmac(HS256, "\"ann\"", secret),
        // A JWE, and JSON instead of the compact form.
        "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        json!({ "payload": payload, "signatures": [{ "signature": signature }] }).to_string().replace('"', "'"),
    ] {
        refused(findings, server, "no token", &text);
    }
    findings.at_least(250);
}

fn no_token_says_itself_what_it_is_checked_with(world: &World, findings: &mut Findings) {
    let server = &world.issued;
    let all = claims(json!({}));
    let header = |more: Value| {
        let mut header = json!({ "alg": "EdDSA", "typ": "JWT" });
        for (name, value) in more.as_object().expect("an object") {
            header[name] = value.clone();
        }
        header
    };
    for kid in ["key-1", "key-2"] {
        let number = kid.as_bytes()[4] - b'0';
        for ask in both(&signed_by(number, &header(json!({ "kid": kid })), &all)) {
            findings.row("a good token", server, &ask, &[OK]);
        }
    }
    // RS256 to HS256: CVE-2016-10555; here the public half is 32 bytes, in all the ways that it is written.
    let public = jwk(1);
    let x = public["x"].as_str().expect("a public key");
    let raw = BASE64.decode(x).expect("it is base64");
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode([&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &raw].concat())
    );
    let set = json!({ "keys": [jwk(1), jwk(2)] }).to_string();
    for secret in [
        x.as_bytes(),
        &raw,
        pem.as_bytes(),
        pem.trim_end().as_bytes(),
        public.to_string().as_bytes(),
        set.as_bytes(),
        b"",
    ] {
        for header in [
            json!({ "alg": "HS256" }),
            json!({ "alg": "HS256", "kid": "key-1" }),
            json!({ "alg": "EdDSA", "kid": "key-1" }),
        ] {
            refused(
                findings,
                server,
                "CVE-2016-10555: a public key as the secret",
                &hmac(&header.to_string(), &all.to_string(), secret),
            );
        }
    }
    for (because, more) in [
        ("CVE-2018-0114: a key that the token brings along", json!({ "jwk": jwk(3) })),
        ("CVE-2018-0114: a key that the token brings along", json!({ "jwk": jwk(3), "kid": "key-1" })),
        ("a place that the token points to", json!({ "jku": "https://evil.example/jwks.json", "kid": "key-3" })),
        ("a place that the token points to", json!({ "jku": "file:///dev/null", "kid": "key-3" })),
        ("a place that the token points to", json!({ "x5u": "https://evil.example/x", "x5c": ["MA=="] })),
        ("a key that nobody has", json!({ "kid": "key-3" })),
        ("a key that nobody has", json!({})),
        ("a name of a key that is a path", json!({ "kid": "../../dev/null" })),
        ("a name of a key that is a statement", json!({ "kid": "' UNION SELECT 'x" })),
        ("a name of a key that is not its own", json!({ "kid": "key-2" })),
        ("an empty name", json!({ "kid": "" })),
        ("a long name", json!({ "kid": "k".repeat(4_000) })),
    ] {
        refused(findings, server, because, &signed_by(3, &header(more), &all));
    }
    refused(
        findings,
        server,
        "signed by another key than it names",
        &signed_by(1, &header(json!({ "kid": "key-2" })), &all),
    );
    for (because, more) in [
        ("expired", json!({ "exp": 1_760_000_000 })),
        ("for somebody else", json!({ "aud": "x" })),
        ("no end", json!({ "exp": "absent" })),
    ] {
        refused(findings, server, because, &signed_by(1, &header(json!({ "kid": "key-1" })), &claims(more)));
    }
    refused(findings, server, "a token of another issuer's secret", &token(json!({})));
    refused(findings, &world.organization, "a token by a key of another set", &signed_by(1, &header(json!({})), &all));
    // Names that are made up do not stop good tokens.
    for number in 0..200 {
        refused(
            findings,
            server,
            "a storm of made-up `kid`s",
            &signed_by(3, &header(json!({ "kid": format!("made-up-{number}") })), &all),
        );
    }
    for ask in both(&signed_by(1, &header(json!({ "kid": "key-1" })), &all)) {
        findings.row("a good token is still good", server, &ask, &[OK]);
    }
}

fn no_good_token_is_good_with_one_character_changed(world: &World, findings: &mut Findings) {
    let good = token(json!({}));
    for _ in 0..2 {
        // The second time the good one is remembered.
        for index in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[index] = match changed[index] {
                b'.' => b'_',
                b'A' => b'B',
                _ => b'A',
            };
            let changed = String::from_utf8(changed).expect("it is ASCII");
            let [ask, _] = both(&changed);
            findings.row("every character is signed", &world.organization, &ask, &[BAD, (401, "MISSING_USER_TOKEN")]);
        }
        let [ask, _] = both(&good);
        findings.row("the good one", &world.organization, &ask, &[OK]);
    }
}
