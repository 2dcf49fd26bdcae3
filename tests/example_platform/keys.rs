//! The key settings of an organisation.

use http::StatusCode;
use serde_json::{Value, json};

use super::people::{Platform, ada, cookie};
use super::support::{get, json, send};
use super::upstream::Upstream;

const ACME: &str = "/api/organizations/acme/api-keys";

#[tokio::test]
async fn admins_and_developers_make_list_view_rename_and_revoke_keys() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let keys = platform.url(ACME);
    for cookie in [ada(), cookie("cyd")] {
        let who = [("cookie", &*cookie)];
        let made = send("POST", &keys, &who, r#"{"name":"  deploy  ","expiresInDays":30}"#).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{}", made.body());
        assert_eq!(made.headers()["cache-control"], "no-store");
        let made = json(&made);
        let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
        assert!(!id.is_empty() && key.starts_with("ak_live_") && key.len() == 48, "{made}");
        assert_eq!((&made["name"], &made["owner"]["organization"]), (&json!("deploy"), &json!("acme")));

        let one = format!("{keys}/{id}");
        let listed = get(&keys, &who).await;
        assert!(!listed.body().contains(key), "it is shown this once");
        assert_eq!(json(&listed)["items"][0]["id"], id);
        assert_eq!(json(&get(&one, &who).await)["masked"], made["masked"]);
        let renamed = send("PATCH", &one, &who, r#"{"name":" release "}"#).await;
        assert_eq!((renamed.status(), &json(&renamed)["name"]), (StatusCode::OK, &json!("release")));

        let run = platform.url("/api/run/x");
        assert_eq!(get(&run, &[("x-api-key", key)]).await.status(), StatusCode::MULTI_STATUS);
        let revoked = send("DELETE", &one, &who, "").await;
        assert_eq!((revoked.status(), &json(&revoked)["state"]), (StatusCode::OK, &json!("revoked")));
        let refused = get(&run, &[("x-api-key", key)]).await;
        assert_eq!(json(&refused)["code"], "REVOKED_API_KEY", "at once");
    }
    assert_eq!(json(&get(&keys, &[("cookie", &ada())]).await)["items"].as_array().unwrap().len(), 2);
    let files = std::fs::read_dir(platform.folder()).unwrap().count();
    assert!(files >= 2, "the keys are in the folder");

    // Events are written once a second; the last of them are awaited here.
    let audit = format!("{keys}/audit?limit=100");
    let mut told = Value::Null;
    for _ in 0..100 {
        told = json(&get(&audit, &[("cookie", &ada())]).await);
        if told.to_string().matches("REVOKED_API_KEY").count() == 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let told = told["items"].as_array().unwrap();
    let actions: Vec<_> = told.iter().rev().map(|event| event["action"].as_str().unwrap()).collect();
    let once = ["key.create", "key.update", "authenticate", "key.revoke", "authenticate"];
    assert_eq!(actions, [once, once].concat(), "{told:?}");
    assert_eq!((&told[9]["actor"]["method"], &told[9]["owner"]["organization"]), (&json!("session"), &json!("acme")));
    assert_ne!(told[9]["actor"]["user"], told[4]["actor"]["user"], "each is told with their own name");
    assert_eq!(told[8]["changes"], json!({"name": {"before": "deploy", "after": "release"}}));
    let theirs = platform.url("/api/organizations/globex/api-keys/audit");
    assert_eq!(json(&get(&theirs, &[("cookie", &ada())]).await)["code"], "FORBIDDEN");
}

#[tokio::test]
async fn names_and_expiries_are_what_they_may_be_and_nothing_else() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (keys, ada) = (platform.url(ACME), ada());
    let make = async |body: Value| send("POST", &keys, &[("cookie", &ada)], &body.to_string()).await;
    let longest = "ü".repeat(100);
    for (body, expires) in [
        (json!({"name": "x"}), false),
        (json!({"name": longest}), false),
        (json!({"name": "x", "expiresAt": null}), false),
        (json!({"name": "x", "expiresInDays": 7}), true),
        (json!({"name": "x", "expiresInDays": 30}), true),
        (json!({"name": "x", "expiresInDays": 90}), true),
        (json!({"name": "x", "expiresInDays": 365}), true),
        (json!({"name": "x", "expiresAt": "2099-12-31T00:00:00.000Z"}), true),
    ] {
        let made = make(body.clone()).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{body}: {}", made.body());
        assert_eq!(json(&made)["expiresAt"].is_string(), expires, "{body}");
    }
    let before = json(&get(&keys, &[("cookie", &ada)]).await)["items"].as_array().unwrap().len();
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": ""}), "name"),
        (json!({"name": "   "}), "name"),
        (json!({"name": "\u{2003}\t\n"}), "name"),
        (json!({"name": "ü".repeat(101)}), "name"),
        (json!({"name": "a\u{0}b"}), "name"),
        (json!({"name": null}), "name"),
        (json!({"name": 7}), "name"),
        (json!({"name": "x", "expiresInDays": 1}), "expiresInDays"),
        (json!({"name": "x", "expiresInDays": 0}), "expiresInDays"),
        (json!({"name": "x", "expiresInDays": -7}), "expiresInDays"),
        (json!({"name": "x", "expiresInDays": 31}), "expiresInDays"),
        (json!({"name": "x", "expiresInDays": 366}), "expiresInDays"),
        (json!({"name": "x", "expiresInDays": "30"}), "expiresInDays"),
        (json!({"name": "x", "expiresAt": "2020-01-01T00:00:00.000Z"}), "expiresAt"),
        (json!({"name": "x", "expiresAt": "soon"}), "expiresAt"),
        (json!({"name": "x", "owner": {"organization": "globex"}}), "owner"),
    ] {
        let refused = make(body.clone()).await;
        assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", refused.body());
        let said = json(&refused);
        assert_eq!(said["code"], "VALIDATION_FAILED");
        assert!(said["details"]["fields"].get(field).is_some(), "{body}: {said}");
    }
    let beyond = make(json!({"name": "x", "scopes": ["admin"]})).await;
    assert_eq!(beyond.status(), StatusCode::FORBIDDEN, "{}", beyond.body());
    let id = json(&get(&keys, &[("cookie", &ada)]).await)["items"][0]["id"].as_str().unwrap().to_owned();
    let renamed = send("PATCH", &format!("{keys}/{id}"), &[("cookie", &ada)], r#"{"name":"  "}"#).await;
    assert_eq!(renamed.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let after = json(&get(&keys, &[("cookie", &ada)]).await)["items"].as_array().unwrap().len();
    assert_eq!(before, after, "what was refused made nothing");
}

#[tokio::test]
async fn nobody_else_gets_anywhere_and_another_organisations_key_is_as_none() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (id, key) = platform.key().await;
    let missing = "key_0000000000000000000";
    let calls = |organization: &str, id: &str| {
        let keys = platform.url(&format!("/api/organizations/{organization}/api-keys"));
        let one = format!("{keys}/{id}");
        [
            ("GET", keys.clone()),
            ("POST", keys),
            ("GET", one.clone()),
            ("PATCH", one.clone()),
            ("DELETE", one.clone()),
            ("GET", format!("{one}/usage")),
            ("POST", format!("{one}/revoke")),
            ("POST", format!("{one}/disable")),
            ("POST", format!("{one}/enable")),
            ("POST", format!("{one}/rotate")),
            ("POST", format!("{one}/regenerate")),
        ]
    };
    let body = |method: &str, url: &str| match method {
        "POST" if url.ends_with("api-keys") => r#"{"name":"mine"}"#,
        "PATCH" => r#"{"name":"mine"}"#,
        "POST" => "{}",
        _ => "",
    };
    for (who, organization) in
        [("bob", "acme"), ("dan", "acme"), ("eve", "acme"), ("cyd", "globex"), ("dan", "nowhere"), ("eve", "GLOBEX")]
    {
        for id in [&*id, missing] {
            for (method, url) in calls(organization, id) {
                let answer = send(method, &url, &[("cookie", &cookie(who))], body(method, &url)).await;
                let said = (answer.status(), json(&answer)["code"].clone());
                assert_eq!(said, (StatusCode::FORBIDDEN, json!("FORBIDDEN")), "{who}: {method} {url}");
            }
        }
    }
    for (method, url) in calls("acme", &id) {
        let by_key = send(method, &url, &[("x-api-key", &key)], body(method, &url)).await;
        assert_eq!(by_key.status(), StatusCode::FORBIDDEN, "{method} {url}");
        let by_nobody = send(method, &url, &[], body(method, &url)).await;
        assert_eq!(by_nobody.status(), StatusCode::UNAUTHORIZED, "{method} {url}");
    }
    // An admin elsewhere cannot tell the key of `acme` from one that there is not.
    let pairs = calls("globex", &id).into_iter().zip(calls("globex", missing)).skip(2);
    for ((method, theirs), (_, none)) in pairs {
        let eve = cookie("eve");
        let headers = [("cookie", &*eve), ("x-request-id", "mine")];
        let theirs = send(method, &theirs, &headers, body(method, &theirs)).await;
        let none = send(method, &none, &headers, body(method, &none)).await;
        assert_eq!(
            (theirs.status(), &json(&theirs)["code"]),
            (StatusCode::NOT_FOUND, &json!("KEY_NOT_FOUND")),
            "{method}"
        );
        assert_eq!(theirs.body(), none.body(), "{method}");
    }
    assert_eq!(json(&get(&platform.url(ACME), &[("cookie", &ada())]).await)["items"][0]["state"], "active");
}
