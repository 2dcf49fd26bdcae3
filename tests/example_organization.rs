//! The example `organization`: a key for the organisation, a token for the user.

mod support;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;
use support::{Program, command, get, json, send};

const ACME: &str = "0123456789012345678901234567890123456789";
const GLOBEX: &str = "abcdefghijabcdefghijabcdefghijabcdefghij";
const SECRET: &str = "a-secret-of-at-least-32-characters";

fn settings(folder: &str) -> [(&str, &str); 5] {
    [
        ("DATA_DIR", folder),
        (
            "ORGANIZATION_API_KEYS",
            "acme:0123456789012345678901234567890123456789, globex:abcdefghijabcdefghijabcdefghijabcdefghij",
        ),
        ("JWT_SECRET", SECRET),
        ("JWT_ISSUER", "https://issuer.example"),
        ("JWT_AUDIENCE", "https://api.example"),
    ]
}

/// `Bearer` and a token that says this beside what every token does.
fn token(claims: Value) -> String {
    let mut all = json!({ "iss": "https://issuer.example", "aud": "https://api.example", "exp": 4_102_444_800_u32 });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let signed = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(all.to_string()));
    let signature = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap().chain_update(&signed).finalize();
    format!("Bearer {signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.into_bytes()))
}

fn member() -> String {
    token(json!({ "sub": "ann", "org_id": "acme", "name": "Ann" }))
}

fn admin() -> String {
    token(json!({ "sub": "bob", "org_id": ["acme"], "role": "admin" }))
}

fn key(key: &str) -> (&str, &str) {
    ("x-organization-api-key", key)
}

#[tokio::test]
async fn both_halves_are_needed_and_the_user_belongs_to_the_organisation_of_the_key() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start("organization", &settings(folder.path().to_str().unwrap()));
    let url = format!("{}/api/projects", program.url);
    let (member, stranger) = (member(), token(json!({ "sub": "eve", "org_id": "globex" })));
    let homeless = token(json!({ "sub": "joe" }));
    let expired = token(json!({ "sub": "ann", "org_id": "acme", "exp": 1_760_000_000 }));
    let elsewhere = token(json!({ "sub": "ann", "org_id": "acme", "aud": "https://other.example" }));
    let unsigned = format!("{}.", member.rsplit_once('.').unwrap().0);
    let bearer = |token| ("authorization", token);
    for (headers, status, code) in [
        (&[][..], 401, "MISSING_API_KEY"),
        (&[bearer(&*member)], 401, "MISSING_API_KEY"),
        (&[key(ACME)], 401, "MISSING_USER_TOKEN"),
        (&[key(ACME), bearer("Bearer nonsense")], 401, "INVALID_USER_TOKEN"),
        (&[key(ACME), bearer(&expired)], 401, "INVALID_USER_TOKEN"),
        (&[key(ACME), bearer(&elsewhere)], 401, "INVALID_USER_TOKEN"),
        (&[key(ACME), bearer(&unsigned)], 401, "INVALID_USER_TOKEN"),
        (&[key("wrong"), bearer(&member)], 401, "INVALID_API_KEY"),
        (&[key("wrong"), bearer("Bearer nonsense")], 401, "INVALID_API_KEY"),
        (&[key(GLOBEX), bearer(&member)], 403, "ORGANIZATION_MISMATCH"),
        (&[key(ACME), bearer(&stranger)], 403, "ORGANIZATION_MISMATCH"),
        (&[key(ACME), bearer(&homeless)], 403, "ORGANIZATION_MISMATCH"),
        (&[("x-api-key", ACME), bearer(&member)], 401, "MISSING_API_KEY"),
    ] {
        let answer = get(&url, headers).await;
        let body = json(&answer);
        assert_eq!((answer.status().as_u16(), body["code"].as_str()), (status, Some(code)), "{headers:?}");
        if status == 401 {
            let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
            assert_eq!(challenges.len(), 2, "{headers:?}: {challenges:?}");
        }
    }
    let answer = get(&url, &[key(ACME), bearer(&member)]).await;
    assert_eq!((answer.status(), &json(&answer)["organization"]), (StatusCode::OK, &json!("acme")));
    let whoami = json(&get(&format!("{}/api/whoami", program.url), &[key(ACME), bearer(&member)]).await);
    assert_eq!(whoami["method"], "api_key_and_user");
    assert_eq!(whoami["user"], json!({ "id": "ann", "name": "Ann", "email": null }));
    assert_eq!((&whoami["organization"], &whoami["keyStart"]), (&json!({ "id": "acme" }), &json!("0123")));
}

#[tokio::test]
async fn admins_replace_the_one_key_and_members_see_it_masked() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start("organization", &settings(folder.path().to_str().unwrap()));
    let keys = format!("{}/api/organization/api-keys", program.url);
    let projects = format!("{}/api/projects", program.url);
    let (member, admin) = (member(), admin());
    let (ann, bob) = ([("authorization", &*member)], [("authorization", &*admin)]);

    let seen = get(&keys, &ann).await;
    assert!(!seen.body().contains(ACME), "{}", seen.body());
    let listed = json(&seen);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    let first = listed["items"][0]["id"].as_str().unwrap().to_owned();
    assert!(listed["items"][0]["masked"].as_str().unwrap().starts_with("0123"), "{listed}");
    let regenerate = format!("{keys}/{first}/regenerate");
    assert_eq!(json(&send("POST", &regenerate, &ann, "{}").await)["code"], "FORBIDDEN");
    assert_eq!(get(&keys, &[key(ACME)]).await.status(), StatusCode::UNAUTHORIZED, "a key manages no keys");
    let second = send("POST", &keys, &bob, r#"{"name":"second"}"#).await;
    assert_eq!((second.status(), &json(&second)["code"]), (StatusCode::CONFLICT, &json!("CONFLICT")));

    // With an overlap both work; the old one answers until it ends, the new one at once.
    let made = send("POST", &regenerate, &bob, r#"{"overlapSeconds":3600}"#).await;
    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body());
    let made = json(&made);
    let new = made["key"].as_str().unwrap();
    assert!(new.len() == 40 && new.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{new}");
    for good in [ACME, new] {
        assert_eq!(get(&projects, &[key(good), ann[0]]).await.status(), StatusCode::OK);
    }
    assert_eq!(get(&format!("{keys}/{}", made["id"].as_str().unwrap()), &ann).await.status(), StatusCode::OK);

    // A lost key is replaced without it; an overlap of nothing ends it.
    let again = format!("{keys}/{}/regenerate", made["id"].as_str().unwrap());
    let last = json(&send("POST", &again, &bob, "").await);
    let refused = get(&projects, &[key(new), ann[0]]).await;
    assert_eq!(json(&refused)["code"], "REVOKED_API_KEY");
    let last = last["key"].as_str().unwrap().to_owned();
    assert_eq!(get(&projects, &[key(&last), ann[0]]).await.status(), StatusCode::OK);
    assert_eq!(program.terminate().code(), Some(0));

    // What was regenerated stays so when the program starts with the same first keys; and what was used was written.
    let program = Program::start("organization", &settings(folder.path().to_str().unwrap()));
    let projects = format!("{}/api/projects", program.url);
    assert_eq!(get(&projects, &[key(&last), ann[0]]).await.status(), StatusCode::OK);
    assert_eq!(json(&get(&projects, &[key(new), ann[0]]).await)["code"], "REVOKED_API_KEY");
    let listed = json(&get(&format!("{}/api/organization/api-keys", program.url), &ann).await);
    let of_first = listed["items"].as_array().unwrap().iter().find(|item| item["id"] == *first).unwrap();
    assert_eq!((&of_first["useCount"], &of_first["lastUsedIp"]), (&json!(1), &json!("127.0.0.1")), "{of_first}");
    assert!(of_first["lastUsedAt"].is_string());

    // Who replaced what is told to those who may do it.
    let audit = format!("{}/api/organization/api-keys/audit", program.url);
    assert_eq!(json(&get(&audit, &ann).await)["code"], "FORBIDDEN");
    let told = json(&get(&format!("{audit}?action=key.regenerate&outcome=accepted"), &bob).await);
    let told: Vec<_> = told["items"].as_array().unwrap().iter().collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!((&told[1]["keyId"], &told[1]["changes"]["replacedBy"]["after"]), (&json!(first), &made["id"]));
    assert_eq!(told[0]["changes"]["state"], json!({"before": "active", "after": "revoked"}));
    assert!(told.iter().all(|event| event["actor"]["user"] == "bob" && event["owner"]["organization"] == "acme"));
    let refused = json(&get(&format!("{audit}?outcome=refused&q=CONFLICT"), &bob).await);
    assert_eq!(refused["items"][0]["action"], "key.create", "{refused}");
}

#[test]
fn what_is_wrong_with_the_settings_is_named_and_no_key_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let output = command("organization", &[("DATA_DIR", folder)]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("JWT_SECRET"), "{said}");

    let mut wrong = settings(folder).to_vec();
    wrong[1].1 = "acme:too-short-to-be-a-key,acme:0123456789012345678901234567890123456789,acme:abcdefghijabcdefghijabcdefghijabcdefghij";
    wrong.retain(|(name, _)| *name != "JWT_ISSUER");
    wrong.push(("JWT_ALGORITHMS", "HS256,none"));
    let output = command("organization", &wrong).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in ["ORGANIZATION_API_KEYS: entry 1", "entry 3", "JWT_ALGORITHMS"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("too-short-to-be-a-key") && !said.contains("abcdefghij"), "{said}");
}
