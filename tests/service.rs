//! Readiness: whom the gate asks, whom it calls, and what it gives back.

use std::convert::Infallible;
use std::error::Error;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer};
use tower::{Layer, Service, ServiceExt};
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::{KeyScheme, KeySource, Lookup, MemoryKeys};
use tower_test::mock::{self, Mock};

const KEY: &str = "a-key-of-more-than-32-characters-00";

fn memory() -> MemoryKeys {
    let keys = MemoryKeys::builder().format(KeyFormat::text()).build();
    let digest = KeyHasher::sha256().digest(KEY);
    keys.insert(KeyRecord::new(KeyId::from_static("key_1"), digest)).unwrap();
    keys
}

/// Answers after a while.
#[derive(Debug, Clone)]
struct Waiting(MemoryKeys);

impl KeySource for Waiting {
    type Error = Infallible;

    fn name(&self) -> &str {
        "waiting"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.0.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Infallible> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Ok(match self.0.find_now(digest) {
            Lookup::Found(found) => Some(found),
            _ => None,
        })
    }
}

/// A gate that answers at once, and one that waits.
fn gates() -> [ApiKeyLayer; 2] {
    [ApiKeyLayer::new(memory()), ApiKeyLayer::new(Waiting(memory()))]
}

fn with_key() -> Request<()> {
    Request::get("/").header("x-api-key", KEY).body(()).unwrap()
}

fn refused() -> Request<()> {
    Request::get("/").header("x-api-key", "another-key").body(()).unwrap()
}

type Inner = Mock<Request<()>, Response<Full<Bytes>>>;

#[tokio::test(start_paused = true)]
async fn the_gate_is_ready_when_the_inner_service_is() {
    for auth in gates() {
        let (mut service, mut handle) = mock::spawn_layer::<_, Response<Full<Bytes>>, _>(auth);
        handle.allow(0);
        assert_pending!(service.poll_ready());
        handle.allow(1);
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(with_key()));
        assert!(matches!(response.poll(), Poll::Pending));
        tokio::time::advance(Duration::from_millis(11)).await;
        assert!(matches!(response.poll(), Poll::Pending));
        let (request, answer) = handle.next_request().await.unwrap();
        assert!(!request.headers().contains_key("x-api-key"));
        answer.send_response(Response::new(Full::default()));
        assert_eq!(assert_ready_ok!(response.poll()).status(), 200);
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_call_the_inner_service() {
    for auth in gates() {
        let (mut service, mut handle) = mock::spawn_layer::<_, Response<Full<Bytes>>, _>(auth);
        for request in [refused(), Request::new(())] {
            assert_ready_ok!(service.poll_ready());
            assert_eq!(service.call(request).await.unwrap().status(), 401);
        }
        // Had one of them called, it would have come first.
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(with_key()));
        assert!(matches!(response.poll(), Poll::Pending));
        tokio::time::advance(Duration::from_millis(11)).await;
        assert!(matches!(response.poll(), Poll::Pending));
        let (request, answer) = handle.next_request().await.unwrap();
        assert!(request.extensions().get::<tower_api_key::AuthContext>().is_some());
        answer.send_response(Response::new(Full::default()));
        assert_ready_ok!(response.poll());
        drop(service);
        assert!(handle.next_request().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn errors_of_the_inner_service_pass_through_unchanged() {
    for auth in gates() {
        let (mut service, mut handle) = mock::spawn_layer::<_, Response<Full<Bytes>>, _>(auth.clone());
        assert_ready_ok!(service.poll_ready());
        let mut response = task::spawn(service.call(with_key()));
        assert!(matches!(response.poll(), Poll::Pending));
        tokio::time::advance(Duration::from_millis(11)).await;
        assert!(matches!(response.poll(), Poll::Pending));
        handle.next_request().await.unwrap().1.send_error("the inner one's own");
        assert_eq!(assert_ready_err!(response.poll()).to_string(), "the inner one's own");

        let (mut service, mut handle): (mock::Spawn<tower_api_key::ApiKeyService<Inner>>, _) = mock::spawn_layer(auth);
        handle.send_error("not today");
        let error: Box<dyn Error + Send + Sync> = assert_ready_err!(service.poll_ready());
        assert!(error.to_string().contains("not today"), "{error}");
    }
}

/// A service that says which of its instances was ready, and panics if another is called.
#[derive(Debug, Default)]
struct Instance {
    ready: bool,
}

impl Clone for Instance {
    /// As with a `ConcurrencyLimit`, readiness is not cloned.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<()>> for Instance {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "an instance was called that nobody had asked whether it is ready");
        std::future::ready(Ok(Response::new(Full::default())))
    }
}

#[tokio::test(start_paused = true)]
async fn the_instance_that_was_ready_is_the_one_that_is_called() {
    for auth in gates() {
        let mut service = auth.layer(Instance::default());
        for _ in 0..3 {
            for (request, status) in [(with_key(), 200), (refused(), 401), (Request::new(()), 401), (with_key(), 200)] {
                let response = service.ready().await.unwrap().call(request).await.unwrap();
                assert_eq!(response.status(), status);
            }
        }
        // Two calls at once, each with an instance of its own.
        let one = service.ready().await.unwrap().call(with_key());
        let two = service.ready().await.unwrap().call(with_key());
        let (two, one) = (two.await.unwrap(), one.await.unwrap());
        assert_eq!((one.status(), two.status()), (http::StatusCode::OK, http::StatusCode::OK));
    }
}

async fn ok(_: Request<()>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::default()))
}

/// A permit that a refused request keeps would be one less for everybody else.
#[tokio::test(start_paused = true)]
async fn a_refused_request_gives_its_permit_back_at_once() {
    for auth in gates() {
        let limited = GlobalConcurrencyLimitLayer::new(1).layer(tower::service_fn(ok));
        let mut one = auth.layer(limited.clone());
        let mut two = auth.layer(limited);
        for request in [refused(), Request::new(())] {
            assert_eq!(one.ready().await.unwrap().call(request).await.unwrap().status(), 401);
            // `one` lives on, as a connection's or a buffer's service does, and is not used.
            let response = tokio::time::timeout(Duration::from_secs(60), two.ready()).await;
            let response = response.expect("the permit is gone").unwrap().call(with_key()).await.unwrap();
            assert_eq!(response.status(), 200);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_while_its_source_is_asked_gives_its_permit_back() {
    let [_, auth] = gates();
    let limited = GlobalConcurrencyLimitLayer::new(1).layer(tower::service_fn(ok));
    let (mut one, mut two) = (auth.layer(limited.clone()), auth.layer(limited));
    let mut waiting = task::spawn(one.ready().await.unwrap().call(with_key()));
    assert!(matches!(waiting.poll(), Poll::Pending));
    {
        let mut second = task::spawn(two.ready());
        assert!(matches!(second.poll(), Poll::Pending), "the limit is used up");
        drop(waiting);
        assert!(second.is_woken());
        assert_ready!(second.poll()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_one_and_a_source_that_waits_do_not_block_each_other() {
    for auth in gates() {
        for inside in [true, false] {
            let gate = |request: Request<()>| {
                let (auth, limit) = (auth.clone(), ConcurrencyLimitLayer::new(1));
                async move {
                    if inside {
                        let mut service = auth.layer(limit.layer(tower::service_fn(ok)));
                        run(&mut service, request).await
                    } else {
                        let mut service = limit.layer(auth.layer(tower::service_fn(ok)));
                        run(&mut service, request).await
                    }
                }
            };
            for request in [with_key(), refused()] {
                let done = tokio::time::timeout(Duration::from_secs(60), gate(request)).await;
                assert_eq!(done.expect("a deadlock"), 20);
            }
        }
    }
}

/// Twenty requests over clones of one service, all at once.
async fn run<S, B>(service: &mut S, request: Request<()>) -> usize
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible> + Clone,
{
    let calls = (0..20).map(|_| task::spawn(service.clone().oneshot(request.clone())));
    let mut calls: Vec<_> = calls.map(Some).collect();
    let mut done = 0;
    while done < 20 {
        for call in &mut calls {
            if let Some(running) = call
                && running.poll().is_ready()
            {
                *call = None;
                done += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    done
}

/// Neither `Send`, nor `Default`, nor made from anything.
#[derive(Debug)]
struct Odd(#[allow(dead_code)] Rc<()>);

impl http_body::Body for Odd {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_need_be_nothing_but_bodies() {
    for auth in gates() {
        let inner = tower::service_fn(|request: Request<Odd>| async {
            Ok::<_, Infallible>(Response::new(request.into_body()))
        });
        let service = auth.layer(inner);
        let request = |key: &str| Request::get("/").header("x-api-key", key).body(Odd(Rc::default())).unwrap();
        assert_eq!(service.clone().oneshot(request(KEY)).await.unwrap().status(), 200);
        assert_eq!(service.oneshot(request("another-key")).await.unwrap().status(), 401);
    }
}

#[test]
fn futures_and_services_can_go_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    fn is_send_sync<T: Send + Sync + Clone>(_: &T) {}
    let [now, later] = gates();
    for auth in [now, later] {
        is_send_sync(&auth);
        let mut service = auth.layer(tower::service_fn(ok));
        is_send_sync(&service);
        is_send(&service.call(with_key()));
        #[cfg(feature = "axum")]
        {
            let mut protected = auth.protect(axum::Router::new());
            is_send_sync(&protected);
            is_send(&protected.call(Request::new(axum::body::Body::empty())));
        }
    }
}
