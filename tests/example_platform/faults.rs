//! A service behind that is away, silent, or stops in the middle; and callers who go away.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::people::{LISTED, Platform};
use super::support::{get, json, send};
use super::upstream::Upstream;

const SHORT: [(&str, &str); 1] = [("UPSTREAM_TIMEOUT_MS", "400")];

/// The same JSON error in every case, which a page of a listed origin can read and no other.
async fn fails_with(platform: &Platform, path: &str, status: StatusCode, code: &str) {
    let (_, key) = platform.key().await;
    for (origin, listed) in [(LISTED, true), ("https://evil.example", false)] {
        let answer =
            get(&platform.url(path), &[("x-api-key", &key), ("origin", origin), ("x-request-id", "mine")]).await;
        let body = json(&answer);
        assert_eq!((answer.status(), &body["code"], &body["requestId"]), (status, &json!(code), &json!("mine")));
        assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
        assert_eq!(answer.headers()["content-type"], "application/json; charset=utf-8");
        assert_eq!(
            (&answer.headers()["cache-control"], &answer.headers()["x-request-id"]),
            (&"no-store".parse().unwrap(), &"mine".parse().unwrap())
        );
        let allowed = answer.headers().get("access-control-allow-origin");
        assert_eq!(allowed.and_then(|value| value.to_str().ok()), listed.then_some(LISTED), "{origin}");
        assert_eq!(answer.headers().contains_key("access-control-allow-credentials"), listed);
    }
    let head = send("HEAD", &platform.url(path), &[("x-api-key", &key)], "").await;
    assert_eq!((head.status(), head.body().as_str()), (status, ""));
}

#[tokio::test]
async fn a_service_that_is_away_is_502() {
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", unused.local_addr().unwrap());
    drop(unused);
    let platform = Platform::before(&url, &[]).await;
    fails_with(&platform, "/api/run/x", StatusCode::BAD_GATEWAY, "UPSTREAM_UNREACHABLE").await;
}

#[tokio::test]
async fn a_service_that_hangs_up_is_502() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let platform = Platform::before(&url, &[]).await;
    fails_with(&platform, "/api/run/x", StatusCode::BAD_GATEWAY, "UPSTREAM_UNREACHABLE").await;
}

#[tokio::test]
async fn a_silent_service_is_504() {
    let mut upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &SHORT).await;
    fails_with(&platform, "/api/run/silent", StatusCode::GATEWAY_TIMEOUT, "UPSTREAM_TIMEOUT").await;
    assert_eq!((upstream.note().await, upstream.note().await), ("silent".to_owned(), "dropped".to_owned()));
}

#[tokio::test]
async fn an_upload_that_keeps_moving_is_no_silence() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &SHORT).await;
    let (_, key) = platform.key().await;
    let (parts, sent) = tokio::sync::mpsc::channel::<Result<Bytes, Infallible>>(1);
    tokio::spawn(async move {
        for _ in 0..12 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = parts.send(Ok(Bytes::from_static(b"part"))).await;
        }
    });
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(sent));
    let request = Request::put(platform.url("/api/run/sink")).header("x-api-key", key).body(body).unwrap();
    let answer = Client::builder(TokioExecutor::new()).build_http::<Body>().request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "48");
}

#[tokio::test]
async fn a_caller_who_stops_in_the_middle_is_told_so_and_the_service_is_not_blamed() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &SHORT).await;
    let (_, key) = platform.key().await;
    let mut stream = tokio::net::TcpStream::connect(platform.address()).await.unwrap();
    let head = format!("PUT /api/run/sink HTTP/1.1\r\nHost: a\r\nX-Api-Key: {key}\r\nContent-Length: 10\r\n\r\nhal");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 1024];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]);
    assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("REQUEST_TIMEOUT"), "{answer}");
}

#[tokio::test]
async fn an_answer_that_stops_in_the_middle_is_cut_off() {
    let mut upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &SHORT).await;
    let (_, key) = platform.key().await;
    let request = Request::get(platform.url("/api/run/stalls")).header("x-api-key", key).body(Body::empty()).unwrap();
    let mut answer = Client::builder(TokioExecutor::new()).build_http::<Body>().request(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    let end = tokio::time::timeout(Duration::from_secs(20), answer.body_mut().frame()).await.unwrap();
    assert!(end.unwrap().is_err(), "nobody takes it for the whole");
    assert_eq!(upstream.note().await, "dropped");
}

#[tokio::test]
async fn a_caller_who_goes_away_ends_the_call_to_the_service() {
    let mut upstream = Upstream::start().await;
    // Half a minute, so that it is not the timeout which ends it.
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    let (client, url) = (Client::builder(TokioExecutor::new()).build_http::<Body>(), platform.url("/api/run/silent"));
    let request = Request::get(url).header("x-api-key", &key).body(Body::empty()).unwrap();
    let call = tokio::spawn(async move { client.request(request).await });
    assert_eq!(upstream.note().await, "silent");
    assert!(upstream.is_quiet());
    call.abort();
    assert_eq!(upstream.note().await, "dropped", "before there was an answer");

    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let request = Request::get(platform.url("/api/run/stalls")).header("x-api-key", &key).body(Body::empty()).unwrap();
    let mut answer = client.request(request).await.unwrap();
    answer.body_mut().frame().await.unwrap().unwrap();
    assert!(upstream.is_quiet());
    drop((answer, client));
    assert_eq!(upstream.note().await, "dropped", "in the middle of the answer");
}
