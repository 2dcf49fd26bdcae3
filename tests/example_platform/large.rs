//! Large bodies in constant memory. Runs when `TEST_SERVICES` is 1, and then needs Linux.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use super::people::{Platform, wanted};
use super::upstream::{Upstream, of_parts};

/// So many parts of 64 KiB are 1 GiB.
const PARTS: usize = 16_384;

/// The most memory that the process ever had, in KiB.
fn peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the system is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gibibyte_passes_each_way_in_constant_memory() {
    if !wanted() {
        return;
    }
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let (_, key) = platform.key().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let before = peak(platform.program.id());

    let request = Request::put(platform.url("/api/run/sink")).header("x-api-key", &key);
    let answer = client.request(request.body(Body::from_stream(of_parts(PARTS))).unwrap()).await.unwrap();
    let sent = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(sent, (PARTS << 16).to_string());

    let request = Request::get(platform.url(&format!("/api/run/source/{PARTS}"))).header("x-api-key", &key);
    let mut answer = client.request(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let mut received = 0;
    while let Some(frame) = answer.body_mut().frame().await {
        received += frame.unwrap().into_data().map_or(0, |data| data.len());
    }
    assert_eq!(received, PARTS << 16);

    let grown = peak(platform.program.id()) - before;
    eprintln!("1 GiB each way: {before} KiB before, {grown} KiB more at most");
    assert!(grown < 32 * 1024, "{grown} KiB more");
}
