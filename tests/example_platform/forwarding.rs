//! What reaches the service behind, and what comes back.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::identity::IdentityVerifier;

use super::people::{ADA, IDENTITY_SECRET, Platform, ada};
use super::support::{get, json, send};
use super::upstream::{Upstream, header_map, seen};

/// Sends bytes as they are, and gives all that comes back until the connection ends.
async fn raw(platform: &Platform, text: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(platform.address()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer));
    read.await.expect("the answer ends").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn method_path_query_and_body_are_kept() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    for (method, path, body) in [
        ("GET", "/api/run/anything?and=more", ""),
        ("POST", "/api/run/a/b?x=1&x=2&y", r#"{"a":1}"#),
        ("PUT", "/api/run/with%20space/%2F/%C3%BC//double/", "text"),
        ("PATCH", "/api/run/dots...and/..hidden/.", "{}"),
        ("DELETE", "/api/run/x?", ""),
        ("OPTIONS", "/api/run/x", ""),
        ("PROPFIND", "/api/run/?q=%00", "<a/>"),
    ] {
        let answer = send(method, &platform.url(path), &[("x-api-key", &key)], body).await;
        assert_eq!(answer.status(), StatusCode::MULTI_STATUS, "{method} {path}: {}", answer.body());
        let said = json(&answer);
        assert_eq!((&said["method"], &said["uri"], &said["body"]), (&json!(method), &json!(path), &json!(body)));
    }

    let answer = get(&platform.url("/api/run/x"), &[("x-api-key", &key), ("x-request-id", "mine")]).await;
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "application/vnd.said+json");
    assert_eq!(headers.get_all("x-kept").iter().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(headers.get_all("x-request-id").iter().collect::<Vec<_>>(), ["mine"]);
    assert_eq!(headers.get_all("vary").iter().collect::<Vec<_>>(), ["accept", "origin"]);
    assert_eq!(seen(&json(&answer), "x-request-id"), ["mine"]);

    let head = send("HEAD", &platform.url("/api/run/x"), &[("x-api-key", &key)], "").await;
    assert_eq!((head.status(), head.body().as_str()), (StatusCode::MULTI_STATUS, ""));
    assert!(head.headers()["content-length"].to_str().unwrap().parse::<u32>().unwrap() > 100);
    assert_eq!(get(&platform.url("/elsewhere"), &[("x-api-key", &key)]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(platform.program.terminate().code(), Some(0));
}

#[tokio::test]
async fn what_is_about_one_connection_goes_no_further_either_way() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    let answer = raw(
        &platform,
        &format!(
            "POST /api/run/x HTTP/1.1\r\nHost: gateway.example\r\nX-Api-Key: {key}\r\nConnection: close, X-One, x-identity\r\n\
             Connection: X-Two\r\nX-One: 1\r\nX-Two: 2\r\nKeep-Alive: 5\r\nTE: trailers\r\nTrailer: X-T\r\n\
             Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eDp5\r\nUpgrade: h2c\r\nX-Kept: 3\r\n\
             Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        ),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 207"), "{answer}");
    for name in ["x-of-this-connection", "keep-alive:", "proxy-authenticate", "of-the-upstream"] {
        assert!(!head.contains(name), "{name}: {head}");
    }
    let said: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&said["body"], seen(&said, "x-kept")), (&json!("hi"), vec!["3"]));
    for name in ["x-one", "x-two", "connection", "keep-alive", "te", "trailer", "upgrade"] {
        assert_eq!(seen(&said, name), [""; 0], "{name}");
    }
    for name in ["proxy-connection", "proxy-authorization"] {
        assert_eq!(seen(&said, name), [""; 0], "{name}");
    }
    assert_eq!(seen(&said, "host"), [upstream.url.trim_start_matches("http://")]);
    assert_eq!(seen(&said, "x-identity").len(), 1, "naming it in Connection does not take it away");
}

#[tokio::test]
async fn credentials_stay_here_and_the_service_learns_who_is_calling() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (id, key) = platform.key().await;
    let (bearer, cookies) = (format!("Bearer {key}"), format!("theme=dark; {}; lang=en", ada()));
    let verifier = IdentityVerifier::new(IDENTITY_SECRET).unwrap();
    let forged = [
        ("x-identity", "eyJhIjoxfQ"),
        ("x-identity-signature", "forged"),
        ("X_Identity", "eyJhIjoxfQ"),
        ("x-identity_signature", "forged"),
    ];
    for (credential, method) in [
        (("x-api-key", &*key), "api_key"),
        (("authorization", &*bearer), "api_key"),
        (("cookie", &*cookies), "session"),
    ] {
        let mut headers = forged.to_vec();
        headers.push(credential);
        if credential.0 != "cookie" {
            headers.push(("cookie", &cookies));
        }
        if credential.0 != "authorization" {
            headers.push(("authorization", "Basic dTpw"));
        }
        let answer = get(&platform.url("/api/run/who?am=i"), &headers).await;
        assert_eq!(answer.status(), StatusCode::MULTI_STATUS, "{}", answer.body());
        assert!(!answer.body().contains(&key) && !answer.body().contains("2OCg9Yr0mJ"), "{}", answer.body());
        let said = json(&answer);
        assert_eq!(seen(&said, "cookie"), ["theme=dark; lang=en"]);
        let others = if credential.0 == "authorization" { vec![] } else { vec!["Basic dTpw"] };
        assert_eq!((seen(&said, "authorization"), seen(&said, "x-api-key")), (others, vec![]));
        assert!(seen(&said, "x_identity").is_empty() && seen(&said, "x-identity_signature").is_empty(), "{said}");

        let identity = verifier.verify(&header_map(&said), SystemClock.now()).unwrap();
        assert_eq!((identity.method.as_str(), identity.organization.unwrap().id.as_str()), (method, "acme"));
        assert_eq!(identity.request_id.as_deref(), answer.headers()["x-request-id"].to_str().ok());
        if method == "api_key" {
            assert_eq!((identity.key_id.unwrap().as_str(), identity.user), (&*id, None));
        } else {
            let user = identity.user.unwrap();
            assert_eq!((user.id.as_str(), user.name.as_deref(), identity.key_id), (ADA, Some("Ada Lovelace"), None));
        }
    }
}

#[tokio::test]
async fn a_path_that_could_leave_its_folder_goes_no_further() {
    let mut upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    for path in [
        "/api/run/..",
        "/api/run/../admin",
        "/api/run/a/..%2fb",
        "/api/run/%2e%2E/x",
        "/api/run/.%2e%5Cx",
        "/api/run/..;a=b/x",
    ] {
        let asked = format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n");
        let answer = raw(&platform, &asked).await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("MALFORMED_REQUEST"), "{path}: {answer}");
    }
    // What the caller says of hosts leads nowhere else.
    let elsewhere = format!(
        "GET http://evil.example/api/run/x HTTP/1.1\r\nHost: evil.example\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n"
    );
    assert!(upstream.is_quiet());
    assert!(raw(&platform, &elsewhere).await.starts_with("HTTP/1.1 207"));
    assert_eq!(upstream.note().await, "GET /api/run/x");
}

#[tokio::test]
async fn no_tunnel_is_opened_and_no_second_request_smuggled_in() {
    let mut upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    let smuggled = "GET /api/run/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for method in ["CONNECT", "TRACE"] {
        let asked = format!(
            "{method} /api/run/x HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nConnection: close\r\n\r\n{smuggled}"
        );
        let answer = raw(&platform, &asked).await;
        assert!(answer.starts_with("HTTP/1.1 501") && answer.contains("METHOD_NOT_SUPPORTED"), "{answer}");
    }
    let tunnel =
        format!("CONNECT evil.example:80 HTTP/1.1\r\nHost: evil.example:80\r\nX-Api-Key: {key}\r\n\r\n{smuggled}");
    let answer = raw(&platform, &tunnel.replace("\r\n\r\nGET", "\r\nConnection: close\r\n\r\nGET")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(upstream.is_quiet());

    // A handshake is an ordinary request without `Upgrade`, and a service that switches all the same is not followed.
    let handshake = |path: &str, more: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n\r\n{smuggled}"
        )
    };
    let own = format!("X-Api-Key: {key}");
    let answer = raw(&platform, &handshake("/api/run/x", &own)).await;
    assert!(answer.starts_with("HTTP/1.1 207") && !answer.contains("\"websocket\""), "{answer}");
    assert_eq!(upstream.note().await, "GET /api/run/x");
    let answer = raw(&platform, &handshake("/api/run/switches", &own)).await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("UPSTREAM_UNREACHABLE"), "{answer}");
    let foreign = format!("Origin: https://evil.example\r\nCookie: {}", ada());
    let answer = raw(&platform, &handshake("/api/run/x", &foreign)).await;
    assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("CROSS_SITE_REQUEST"), "{answer}");

    // Two lengths of one body: the chunks count, and only they go on.
    let two = format!(
        "POST /api/run/x HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nConnection: close\r\nContent-Length: 60\r\n\
         Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"
    );
    let answer = raw(&platform, &two).await;
    let refused = answer.starts_with("HTTP/1.1 400");
    assert!(refused || upstream.note().await == "POST /api/run/x", "{answer}");
    assert!(upstream.is_quiet(), "{answer}");

    // A chunk whose size is none is the caller's mistake, not the service's.
    let broken = format!(
        "POST /api/run/x HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nnone\r\n"
    );
    let answer = raw(&platform, &broken).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("MALFORMED_REQUEST"), "{answer}");
}

#[tokio::test]
async fn bodies_are_streamed_both_ways() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    let (parts, sent) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(1);
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(sent));
    let request = Request::post(platform.url("/api/run/paced")).header("x-api-key", key).body(body).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut answer = client.request(request).await.unwrap();
    for part in ["one", "two", "three"] {
        // Each comes back before the next is sent.
        parts.send(Ok(Bytes::from(part))).await.unwrap();
        let frame = tokio::time::timeout(Duration::from_secs(20), answer.body_mut().frame()).await;
        assert_eq!(frame.unwrap().unwrap().unwrap().into_data().unwrap(), part);
    }
    drop(parts);
    assert!(answer.body_mut().frame().await.is_none());
}
