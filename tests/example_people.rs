//! The example programs that know people, called by people and by their programs.

mod support;

use http::StatusCode;
use serde_json::{Value, json};
use support::{Program, get, json, send};

const ADMIN: &str = "an-admin-key-of-at-least-32-characters";
const CLIENT: &str = "client-key-of-at-least-32-characters";

/// A session of NextAuth or Auth.js that its own code made, and that is good until 2100.
struct Vector {
    secret: String,
    cookie: String,
    user: Value,
}

fn vector(file: &str, id: &str) -> Vector {
    let text = std::fs::read_to_string(format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let cases: Value = serde_json::from_str(&text).unwrap();
    let mut cases = cases["cases"].as_array().unwrap().iter();
    let case = cases.find(|case| case["id"] == id).unwrap_or_else(|| panic!("{file} has {id}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let claims = &case["expect"]["claims"];
    let user = json!({ "id": claims["sub"], "name": claims["name"], "email": claims["email"] });
    Vector { secret: text(&case["secret"]), cookie: text(&case["cookie_header"]), user }
}

fn files_key() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let digest = |key: &str| tower_api_key::key::KeyHasher::sha256().digest(key).to_stored();
    let file = json!({ "version": 1, "keys": [
        { "id": "key_file", "name": "filed", "digest": digest("a-key-of-the-file-of-32-characters") },
        { "id": "key_both", "name": "also the operator's", "digest": digest(ADMIN) },
    ] });
    std::fs::write(folder.path().join("api-keys.json"), file.to_string()).unwrap();
    (folder, file)
}

#[tokio::test]
async fn workspace_takes_a_session_then_a_filed_key_then_the_operators_then_a_clients() {
    for (file, id) in [
        ("nextauth_v4.json", "plain/valid"),
        ("nextauth_v4.json", "secure/chunked-3-shuffled"),
        ("authjs_v5.json", "plain/valid"),
        ("authjs_v5.json", "secure/valid-among-other-cookies"),
    ] {
        let Vector { secret, cookie, user } = vector(file, id);
        let (folder, _) = files_key();
        // The operator's key is filed, too, and a client's key is the operator's: in each pair the first one counts.
        let clients = format!("{CLIENT}, {ADMIN}");
        let other = "an-operators-key-that-is-a-client's-too";
        let both = format!("{CLIENT}, {other}");
        let settings = |admin, clients| {
            let folder = ("WORKSPACES_DIR", folder.path().to_str().unwrap());
            [folder, ("ADMIN_API_KEY", admin), ("VALID_API_KEYS", clients), ("NEXTAUTH_SECRET", &secret)]
        };
        let program = Program::start("workspace", &settings(ADMIN, &clients));
        let url = format!("{}/api/whoami", program.url);
        let whoami = json(&get(&url, &[("cookie", &cookie)]).await);
        assert_eq!(
            (&whoami["method"], &whoami["user"], &whoami["source"]),
            (&json!("session"), &user, &json!("authjs"))
        );
        assert_eq!((&whoami["keyId"], &whoami["rateLimit"]["limit"]), (&Value::Null, &json!(100)));

        let key = ("x-api-key", "a-key-of-the-file-of-32-characters");
        let with_both = json(&get(&url, &[("cookie", &cookie), key]).await);
        assert_eq!(with_both["method"], "session", "a session comes before a filed key");
        let filed = json(&get(&url, &[("x-api-key", ADMIN)]).await);
        assert_eq!((&filed["method"], &filed["keyId"]), (&json!("api_key"), &json!("key_both")));
        drop(program);

        let program = Program::start("workspace", &settings(other, &both));
        let url = format!("{}/api/whoami", program.url);
        let operators = json(&get(&url, &[("x-api-key", other)]).await);
        assert_eq!(operators["method"], "admin_key", "the operator's key comes before a client's");
        let clients = json(&get(&url, &[("authorization", &format!("bEaReR {CLIENT}"))]).await);
        assert_eq!(clients["method"], "client_key");

        // A session that does not hold is as none, and no key is picked out of two.
        let cut = &cookie[..cookie.len() - 40];
        let refused = json(&get(&url, &[("cookie", cut)]).await);
        assert_eq!(
            (&refused["error"], &refused["code"]),
            (&json!("Authentication required"), &json!("MISSING_API_KEY"))
        );
        assert_eq!(json(&get(&url, &[("cookie", cut), key]).await)["method"], "api_key");
        let ambiguous = get(&url, &[("cookie", &cookie), key, ("authorization", &format!("Bearer {CLIENT}"))]).await;
        assert_eq!(json(&ambiguous)["code"], "AMBIGUOUS_CREDENTIALS");
        let as_bearer = cookie.split_once('=').unwrap().1;
        let as_bearer = get(&url, &[("authorization", &format!("Bearer {as_bearer}"))]).await;
        assert_eq!(as_bearer.status(), StatusCode::UNAUTHORIZED, "a Bearer is never a session");
    }
}

#[tokio::test]
async fn workspace_lets_a_person_manage_their_own_keys_and_no_other_site_do_it() {
    let Vector { secret, cookie, .. } = vector("authjs_v5.json", "plain/valid");
    let (folder, _) = files_key();
    let settings =
        [("WORKSPACES_DIR", folder.path().to_str().unwrap()), ("ADMIN_API_KEY", ADMIN), ("NEXTAUTH_SECRET", &secret)];
    let program = Program::start("workspace", &settings);
    let keys = format!("{}/account/api-keys", program.url);
    let person = ("cookie", &*cookie);
    let evil = send("POST", &keys, &[person, ("origin", "https://evil.example")], r#"{"name":"stolen"}"#).await;
    assert_eq!((evil.status(), &json(&evil)["code"]), (StatusCode::FORBIDDEN, &json!("CROSS_SITE_REQUEST")));

    let made = send("POST", &keys, &[person, ("sec-fetch-site", "same-origin")], r#"{"name":"mine"}"#).await;
    assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body());
    let made = json(&made);
    let listed = json(&get(&keys, &[person]).await);
    let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|key| &key["id"]).collect();
    assert_eq!(ids, [&made["id"]], "a person sees their own keys alone");
    assert_eq!(get(&format!("{keys}/key_file"), &[person]).await.status(), StatusCode::NOT_FOUND);

    let key = made["key"].as_str().unwrap();
    let whoami = json(&get(&format!("{}/api/whoami", program.url), &[("x-api-key", key)]).await);
    assert_eq!((&whoami["method"], &whoami["user"]), (&json!("api_key"), &Value::Null));
    assert_eq!(get(&keys, &[("x-api-key", key)]).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        json(&get(&keys, &[("authorization", "Bearer a-key-of-the-file-of-32-characters")]).await)["code"],
        "FORBIDDEN"
    );

    let revoked = send("DELETE", &format!("{keys}/{}", made["id"].as_str().unwrap()), &[person], "").await;
    assert_eq!(revoked.status(), StatusCode::OK);
    let refused = get(&format!("{}/api/whoami", program.url), &[("x-api-key", key)]).await;
    assert_eq!(json(&refused)["code"], "REVOKED_API_KEY");

    // What became of their keys, told to the person alone, also after the program has ended and begun again.
    assert_eq!(program.terminate().code(), Some(0));
    let program = Program::start("workspace", &settings);
    let told = json(&get(&format!("{}/account/api-keys/audit", program.url), &[person]).await);
    let told: Vec<_> = told["items"].as_array().unwrap().iter().collect();
    assert!(told.iter().all(|event| event["keyId"] == made["id"]), "{told:?}");
    assert_eq!((&told[0]["reason"], &told[1]["action"]), (&json!("REVOKED_API_KEY"), &json!("key.revoke")));
    assert_eq!((&told[1]["actor"]["method"], &told[1]["actor"]["user"]), (&json!("session"), &made["owner"]["user"]));
    assert_eq!(told[1]["changes"]["state"], json!({"before": "active", "after": "revoked"}));
    assert_eq!(told.last().unwrap()["action"], "key.create");
    assert_eq!(get(&format!("{}/account/api-keys/audit", program.url), &[]).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_a_secret_workspace_knows_no_sessions() {
    let Vector { cookie, .. } = vector("authjs_v5.json", "plain/valid");
    let program = Program::start("workspace", &[("ADMIN_API_KEY", ADMIN)]);
    let refused = get(&format!("{}/api/whoami", program.url), &[("cookie", &cookie)]).await;
    assert_eq!((refused.status(), &json(&refused)["code"]), (StatusCode::UNAUTHORIZED, &json!("MISSING_API_KEY")));
}
