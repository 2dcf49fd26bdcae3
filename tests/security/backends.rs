//! A backend that fails, lies, or never answers.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, StatusCode};
use tokio::time::Instant;
use tower::{Layer, ServiceExt};
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::rejection::Style;
use tower_api_key::source::{KeyScheme, KeySource, Lookup};
use tower_api_key::{ApiKeyLayer, ApiKeyLayerBuilder};

use crate::support::{Mirror, Outcome, key_of, memory, one_key, record};

/// How a source behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Fails,
    FailsLater,
    Hangs,
    /// Hands out the record of another key.
    Lies,
    LiesAtOnce,
    /// Hands out the right bytes by another algorithm.
    LiesAboutTheAlgorithm,
}

const FAULTS: [Fault; 6] =
    [Fault::Fails, Fault::FailsLater, Fault::Hangs, Fault::Lies, Fault::LiesAtOnce, Fault::LiesAboutTheAlgorithm];

#[derive(Debug, Clone)]
struct Faulty {
    fault: Fault,
    asked: Arc<AtomicUsize>,
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self { fault, asked: Arc::default() }
    }

    fn other(&self, digest: &KeyDigest) -> KeyRef {
        let other = if self.fault == Fault::LiesAboutTheAlgorithm {
            KeyDigest::new(tower_api_key::key::DigestAlgorithm::Sha512, *digest.as_bytes())
        } else {
            KeyHasher::sha256().digest("another key")
        };
        KeyRecord::new(KeyId::from_static("key_other"), other).into()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("connection refused by db-7.internal")]
struct Down;

impl KeySource for Faulty {
    type Error = Down;

    fn name(&self) -> &str {
        "faulty"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::default(), KeyHasher::sha256())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Down> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::Fails => Err(Down),
            Fault::FailsLater => {
                tokio::time::sleep(Duration::from_millis(500)).await;
                Err(Down)
            }
            Fault::Hangs => pending().await,
            _ => Ok(Some(self.other(digest))),
        }
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        if self.fault == Fault::LiesAtOnce { Lookup::Found(self.other(digest)) } else { Lookup::Ask }
    }
}

async fn sent(auth: &ApiKeyLayer, key: &str) -> Outcome {
    let request = Request::get("/").header("x-api-key", key).body(()).unwrap();
    let response = tokio::time::timeout(Duration::from_secs(3_600), auth.layer(Mirror).oneshot(request)).await;
    Outcome::of(response.expect("the request waits for ever").unwrap()).await
}

fn styles() -> [Style; 5] {
    [Style::flat(), Style::flat_without_code(), Style::envelope(), Style::problem(), Style::lean()]
}

/// An error is neither a yes (fail open) nor a no (which makes clients throw good keys away).
#[tokio::test(start_paused = true)]
async fn a_source_that_cannot_tell_is_a_503_and_never_a_way_in_or_a_401() {
    for fault in FAULTS {
        for style in styles() {
            let auth = ApiKeyLayer::builder(Faulty::new(fault)).style(style.clone()).build().unwrap();
            let outcome = sent(&auth, &key_of("live")).await;
            let what = format!("{fault:?} {style:?} {}", outcome.body);
            assert!(!outcome.was_let_in(), "{what}");
            assert_eq!(outcome.status, StatusCode::SERVICE_UNAVAILABLE, "{what}");
            assert_eq!(outcome.header("retry-after"), "1", "{what}");
            assert_eq!(outcome.header("cache-control"), "no-store", "{what}");
            assert!(!outcome.headers.contains_key("www-authenticate"), "{what}");
            for told in ["db-7", "refused by", "faulty", "another digest", "elapsed", "deadline"] {
                assert!(!outcome.body.contains(told), "{what}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_optional_route_does_not_make_a_failing_source_anonymous() {
    for fault in FAULTS {
        let auth = ApiKeyLayer::builder(Faulty::new(fault)).optional(http::Method::GET, "/").build().unwrap();
        let outcome = sent(&auth, &key_of("live")).await;
        assert!(!outcome.was_let_in() && outcome.status == 503, "{fault:?} {}", outcome.body);
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_never_answers_does_not_hold_a_request_for_longer_than_the_deadline() {
    let configured = |builder: ApiKeyLayerBuilder| builder.deadline(Duration::from_millis(700)).build().unwrap();
    let standard = |builder: ApiKeyLayerBuilder| builder.build().unwrap();
    let cases: [(&dyn Fn(ApiKeyLayerBuilder) -> ApiKeyLayer, u64); 2] = [(&configured, 700), (&standard, 2_000)];
    for (build, millis) in cases {
        let auth = build(ApiKeyLayer::builder(Faulty::new(Fault::Hangs)));
        let start = Instant::now();
        let outcome = sent(&auth, &key_of("live")).await;
        outcome.assert_refused("AUTH_UNAVAILABLE", millis);
        // Tokio's timer counts in steps of a millisecond.
        assert!(start.elapsed() <= Duration::from_millis(millis + 1), "{:?}", start.elapsed());
    }
    let (keys, _) = one_key();
    assert!(ApiKeyLayer::builder(keys).deadline(Duration::ZERO).build().is_err());
}

/// The deadline is the request's, however many digests there are to ask for.
#[tokio::test(start_paused = true)]
async fn several_peppers_do_not_make_the_deadline_longer() {
    #[derive(Debug)]
    struct Slow;
    impl KeySource for Slow {
        type Error = Down;
        fn name(&self) -> &str {
            "slow"
        }
        fn schemes(&self) -> Vec<KeyScheme> {
            let hashers = [KeyHasher::sha256(), KeyHasher::sha512(), KeyHasher::process().unwrap()];
            hashers.map(|hasher| KeyScheme::new(KeyFormat::default(), hasher)).into()
        }
        async fn find(&self, _: &KeyDigest) -> Result<Option<KeyRef>, Down> {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            Ok(None)
        }
    }
    let auth = ApiKeyLayer::new(Slow);
    let start = Instant::now();
    sent(&auth, &key_of("live")).await.assert_refused("AUTH_UNAVAILABLE", "slow");
    assert!(start.elapsed() <= Duration::from_millis(2_001), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_error_in_a_chain_stops_it_and_a_good_key_before_it_still_works() {
    let (good, key) = one_key();
    for fault in [Fault::Fails, Fault::FailsLater, Fault::Hangs] {
        let faulty = Faulty::new(fault);
        let asked = Arc::clone(&faulty.asked);
        let first = ApiKeyLayer::new(good.clone().or(faulty.clone()));
        assert!(sent(&first, &key).await.was_let_in(), "a key that is known before the fault");
        assert_eq!(asked.load(Ordering::Relaxed), 0);
        sent(&first, &key_of("live")).await.assert_refused("AUTH_UNAVAILABLE", fault);
        let behind = ApiKeyLayer::new(faulty.or(good.clone()));
        sent(&behind, &key).await.assert_refused("AUTH_UNAVAILABLE", fault);
    }
}

/// Garbage costs no lookup, so that nobody can load the store with it.
#[tokio::test(start_paused = true)]
async fn a_key_of_no_known_shape_or_with_a_bad_checksum_never_gets_to_the_store() {
    let faulty = Faulty::new(Fault::Fails);
    let asked = Arc::clone(&faulty.asked);
    let auth = ApiKeyLayer::new(faulty);
    let key = key_of("live");
    let mut bad = key.clone();
    let last = bad.pop().unwrap();
    bad.push(if last == '0' { '1' } else { '0' });
    for garbage in ["x", "ak_live_", &key[1..], &bad, "ak_LIVE_x", "%00", "' OR 1=1 --"] {
        sent(&auth, garbage).await.assert_refused("INVALID_API_KEY", garbage);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    sent(&auth, &key).await.assert_refused("AUTH_UNAVAILABLE", "a shape that is right");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn retry_after_is_in_whole_seconds_rounded_up_and_at_least_one() {
    let key = key_of("live");
    for (wait, seconds) in [
        (Duration::ZERO, "1"),
        (Duration::from_nanos(1), "1"),
        (Duration::from_millis(999), "1"),
        (Duration::from_secs(1), "1"),
        (Duration::from_millis(1_001), "2"),
        (Duration::from_secs(3_600), "3600"),
        (Duration::MAX, "18446744073709551615"),
    ] {
        let source = Faulty::new(Fault::LiesAtOnce);
        let auth = ApiKeyLayer::builder(source).unavailable_retry_after(wait).build().unwrap();
        let outcome = crate::support::send(&auth, Request::get("/").header("x-api-key", &key));
        outcome.assert_refused("AUTH_UNAVAILABLE", wait);
        assert_eq!(outcome.header("retry-after"), seconds);
        assert!(outcome.body.contains(&format!("\"retryAfter\":{seconds}")), "{}", outcome.body);
    }
}

#[tokio::test(start_paused = true)]
async fn no_request_is_let_in_by_a_source_whose_record_is_good_but_of_another_key() {
    let key = key_of("live");
    #[derive(Debug)]
    struct Always(KeyRef);
    impl KeySource for Always {
        type Error = Down;
        fn name(&self) -> &str {
            "always"
        }
        fn schemes(&self) -> Vec<KeyScheme> {
            vec![KeyScheme::new(KeyFormat::default(), KeyHasher::sha256())]
        }
        async fn find(&self, _: &KeyDigest) -> Result<Option<KeyRef>, Down> {
            Ok(Some(self.0.clone()))
        }
    }
    let always = || Always(record("key_good", &key).into());
    let (other, _) = one_key();
    for auth in [
        ApiKeyLayer::new(always()),
        ApiKeyLayer::new(Arc::new(always())),
        ApiKeyLayer::new(other.clone().or(always())),
        ApiKeyLayer::new(always().or(memory([]))),
    ] {
        assert!(sent(&auth, &key).await.was_let_in());
        sent(&auth, &key_of("live")).await.assert_refused("AUTH_UNAVAILABLE", "another");
    }
}
