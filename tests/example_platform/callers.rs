//! Who is let in.

use http::StatusCode;
use serde_json::json;

use super::people::{LISTED, Platform, ada};
use super::support::{get, json, send};
use super::upstream::Upstream;

#[tokio::test]
async fn a_key_decides_alone_and_people_come_in_where_none_was_sent() {
    let mut upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (id, key) = platform.key().await;
    let (ada, run) = (ada(), platform.url("/api/run/x"));
    let cookie = ("cookie", &*ada);
    let wrong = format!("ak_live_{}", "0".repeat(40));
    let altered = ada.replace("2OCg9", "2OCg8");
    let bearer = format!("Bearer {wrong}");
    let refused = [
        (&[][..], "MISSING_API_KEY"),
        (&[("x-api-key", &*wrong), cookie], "INVALID_API_KEY"),
        (&[("x-api-key", "nonsense"), cookie], "INVALID_API_KEY"),
        (&[("authorization", &*bearer), cookie], "INVALID_API_KEY"),
        (&[("x-api-key", &*key), ("authorization", &*bearer), cookie], "AMBIGUOUS_CREDENTIALS"),
        (&[("x-api-key", &*key), ("x-api-key", &*wrong)], "AMBIGUOUS_CREDENTIALS"),
        (&[("cookie", &*altered)], "INVALID_SESSION"),
        (&[("cookie", "better-auth.session_token=")], "MISSING_API_KEY"),
    ];
    for (headers, code) in refused {
        let answer = get(&run, headers).await;
        let said = (answer.status(), json(&answer)["code"].clone());
        assert_eq!(said, (StatusCode::UNAUTHORIZED, json!(code)), "{headers:?}");
        assert!(answer.headers().contains_key("www-authenticate"), "{headers:?}");
    }
    assert!(upstream.is_quiet(), "what is refused does not reach the service behind");

    let whoami = platform.url("/api/whoami");
    let person = json(&get(&whoami, &[cookie]).await);
    assert_eq!((&person["method"], &person["user"]["name"]), (&json!("session"), &json!("Ada Lovelace")));
    assert_eq!(person["organization"], json!({ "id": "acme" }));
    let secure = format!("__Secure-{ada}");
    assert_eq!(json(&get(&whoami, &[("cookie", &secure)]).await)["method"], "session");
    let both = json(&get(&whoami, &[("x-api-key", &key), cookie]).await);
    assert_eq!((&both["method"], &both["keyId"], &both["user"]), (&json!("api_key"), &json!(id), &json!(null)));
}

#[tokio::test]
async fn another_site_cannot_use_the_cookie_of_a_person_but_a_listed_one_can() {
    let mut upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    let ada = ada();
    let (cookie, evil) = (("cookie", &*ada), ("origin", "https://evil.example"));
    let keys = "/api/organizations/acme/api-keys";
    for path in ["/api/run/x", keys] {
        for from in [evil, ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "null")] {
            for method in ["POST", "DELETE", "PUT", "PROPFIND"] {
                let answer = send(method, &platform.url(path), &[cookie, from], r#"{"name":"x"}"#).await;
                let said = (answer.status(), json(&answer)["code"].clone());
                assert_eq!(said, (StatusCode::FORBIDDEN, json!("CROSS_SITE_REQUEST")), "{method} {path} {from:?}");
            }
        }
    }
    assert!(upstream.is_quiet());
    let run = platform.url("/api/run/x");
    for from in [("origin", LISTED), ("origin", &*platform.program.url), ("sec-fetch-site", "same-origin")] {
        assert_eq!(send("POST", &run, &[cookie, from], "").await.status(), StatusCode::MULTI_STATUS, "{from:?}");
        let made = send("POST", &platform.url(keys), &[cookie, from], r#"{"name":"x"}"#).await;
        assert_eq!(made.status(), StatusCode::CREATED, "{from:?}");
    }
    // Reading is no harm without CORS headers, and nobody is made to send a key.
    assert_eq!(get(&run, &[cookie, evil]).await.status(), StatusCode::MULTI_STATUS);
    assert_eq!(send("POST", &run, &[("x-api-key", &key), evil], "").await.status(), StatusCode::MULTI_STATUS);
}
