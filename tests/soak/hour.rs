//! An hour of mixed requests on a clock of one's own, each answer of which is held against the model.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use http::Method;
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use tokio::task::JoinSet;
use tower_api_key::ApiKeyLayer;
use tower_api_key::audit::AuthEvent;
use tower_api_key::clock::{Clock, Timestamp};
use tower_api_key::ip::IpDenylist;
use tower_api_key::key::{Environment, KeyFormat, Scope};
use tower_api_key::limit::{Algorithm, LimitHeaders, Limits, MemoryRateLimiter, Quota};
use tower_api_key::route::Route;
use tower_api_key::source::{KeySource, KeyStore};
use tower_api_key::testing::TestClock;
use tower_api_key::usage::Usage;

use crate::acts::Stores;
use crate::ask::{CODES, Shared, ask, send};
use crate::memory;
use crate::model::{Call, FAILURES, LIMITED, Meter, Model, OK, SPENT};

pub(crate) const WRITE: Scope = Scope::from_static("write");
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3_600);
/// What memory may grow by from the middle of the hour to its end.
const SLACK: i64 = 128 * 1024;

/// A clock that can be set, and shows what the contract of [`Clock`] allows: set back, it stands until it has caught up.
#[derive(Clone, Default)]
pub(crate) struct Steady {
    set: TestClock,
    latest: Arc<AtomicI64>,
}

impl Clock for Steady {
    fn now(&self) -> Timestamp {
        let set = self.set.now().unix_micros();
        Timestamp::from_unix_micros(self.latest.fetch_max(set, Ordering::SeqCst).max(set))
    }
}

/// An hour with a layer, its stores, and the model of what should be.
pub(crate) struct Hour<S, B> {
    pub(crate) stores: Stores<S, B>,
    pub(crate) clock: Steady,
    pub(crate) away: Arc<AtomicBool>,
    pub(crate) model: Model,
    pub(crate) random: TestRng,
    auth: ApiKeyLayer,
    limiter: Arc<MemoryRateLimiter>,
    events: Arc<AtomicU64>,
    expected_events: u64,
    /// A key of another environment.
    elsewhere: String,
    back_at: Timestamp,
    /// How often each answer was given.
    answers: BTreeMap<&'static str, u64>,
}

/// Quotas that keys have by their plans; the model's of the same number is [`meter`].
pub(crate) const PLANS: [&str; 4] = ["", "sliding", "smooth", "own"];

pub(crate) fn meter(plan: usize) -> Meter {
    match PLANS[plan] {
        "sliding" => Meter::sliding(40, MINUTE * 5),
        "smooth" => Meter::smooth(Duration::from_secs(1), 5),
        "own" => Meter::fixed(5, Duration::from_secs(10)),
        _ => Meter::fixed(30, MINUTE),
    }
}

const ADDRESSES: [&str; 4] = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"];

pub(crate) fn address(number: usize) -> IpAddr {
    ADDRESSES[number].parse().expect("it is an address")
}

impl<S: KeyStore + KeySource + Clone, B: KeyStore> Hour<S, B> {
    pub(crate) async fn new(seed: u64, clock: Steady, away: Arc<AtomicBool>, stores: Stores<S, B>) -> Self {
        let limiter = Arc::new(MemoryRateLimiter::new());
        let events = Arc::new(AtomicU64::new(0));
        let sink = Arc::clone(&events);
        let limits = Limits::new(Shared(Arc::clone(&limiter)))
            .per_key(Quota::per_minute(30))
            .plan("sliding", [Quota::new(40, MINUTE * 5).algorithm(Algorithm::SlidingWindow)])
            .plan("smooth", [Quota::per_minute(60).burst(5).algorithm(Algorithm::Gcra)])
            .per_organization(Quota::per_minute(120))
            .per_address(Quota::per_minute(400))
            .failures(Quota::per_minute(FAILURES))
            .headers(LimitHeaders::new().ietf(true));
        let auth = ApiKeyLayer::builder(stores.through.clone())
            .public(Method::GET, "/health")
            .route(Method::GET, "/write", Route::new().scopes(WRITE))
            .limits(limits)
            .ip_policy(IpDenylist::parse("198.51.100.0/24").unwrap())
            .rotation_headers(true)
            .usage(Usage::new(stores.through.clone()).capacity(1_024).remind_after(Duration::from_secs(1_200)))
            .audit(move |_: AuthEvent<'_>| {
                sink.fetch_add(1, Ordering::SeqCst);
            })
            .clock(clock.clone())
            .build()
            .unwrap();
        let mut model = Model::default();
        model.is_cached = stores.is_cached();
        model.organizations =
            vec![Meter::fixed(u32::MAX, MINUTE), Meter::fixed(120, MINUTE), Meter::fixed(120, MINUTE)];
        model.addresses = (0..ADDRESSES.len()).map(|number| (address(number), Meter::fixed(400, MINUTE))).collect();
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let (elsewhere, back_at) = (stores.elsewhere().await, Timestamp::MAX);
        let (answers, expected_events) = (BTreeMap::new(), 0);
        let mut hour = Self {
            stores,
            clock,
            away,
            model,
            random,
            auth,
            limiter,
            events,
            expected_events,
            elsewhere,
            back_at,
            answers,
        };
        hour.furnish().await;
        hour
    }

    /// Lives through the hour, and checks at its end what holds of all of it.
    pub(crate) async fn pass(mut self) {
        let background = tokio::spawn(self.auth.background());
        let start = self.clock.now();
        let (mut flushed, mut tidied, mut middle) = (start, start, None);
        while self.clock.now() < start.saturating_add(HOUR) {
            self.pass_some_time();
            let now = self.clock.now();
            match self.random.random_range(0..1_000) {
                0..30 => self.act().await,
                30..40 => self.burst().await,
                _ => self.request().await,
            }
            if now.since(flushed) > Duration::from_secs(10) {
                // While the store is away this fails, and nothing may be lost by it.
                let _ = self.auth.flush().await;
                flushed = now;
            }
            if now.since(tidied) > MINUTE * 5 && !self.is_away() {
                self.auth.flush().await.unwrap();
                self.purge(now).await;
                tidied = now;
                if middle.is_none() && now.since(start) > HOUR / 2 {
                    middle = Some((memory::live(), self.limiter.entries()));
                }
            }
        }
        self.away.store(false, Ordering::SeqCst);
        self.auth.flush().await.unwrap();
        self.purge(self.clock.now()).await;
        let (bytes, entries) = middle.expect("half an hour has passed");
        let grown = memory::live() - bytes;
        assert!(grown < SLACK, "{grown} bytes more than in the middle of the hour");
        self.check_counters(entries);
        assert_eq!(self.events.load(Ordering::SeqCst), self.expected_events, "an event for each attempt");
        self.end(background).await;
    }

    /// Every kind of answer was given: else something would not have been tried.
    fn check_answers(&self) {
        let never = CODES.iter().map(|(code, _)| code).find(|code| !self.answers.contains_key(*code));
        assert_eq!(never, None, "{:?}", self.answers);
        println!("{} requests: {:?}", self.answers.values().sum::<u64>(), self.answers);
    }

    /// Lets the layer end, and finds every use in the store.
    async fn end(mut self, background: tokio::task::JoinHandle<()>) {
        for _ in 0..20 {
            self.request().await;
        }
        self.auth.shutdown().await.unwrap();
        background.await.unwrap();
        self.check_usage().await;
        self.check_answers();
    }

    /// Some counters that are over may be there still, but no more than have been at any time.
    fn check_counters(&self, in_the_middle: usize) {
        let subjects = self.model.keys.len() + self.model.organizations.len() + ADDRESSES.len();
        let bound = in_the_middle.max(subjects + self.model.failing()) * 2;
        let entries = self.limiter.entries();
        assert!(entries <= bound, "{entries} counters, {in_the_middle} in the middle of the hour");
    }

    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    /// Moves the clock, mostly by a little, and lets the store go away and come back.
    fn pass_some_time(&mut self) {
        let step = match self.random.random_range(0..4_000) {
            0 => Duration::from_secs(self.random.random_range(20..90)),
            1 => {
                let back = Duration::from_millis(self.random.random_range(100..40_000));
                self.clock.set.set(self.clock.set.now().saturating_sub(back));
                Duration::ZERO
            }
            2..1_000 => Duration::ZERO,
            _ => Duration::from_millis(self.random.random_range(0..1_500)),
        };
        self.clock.set.advance(step);
        let now = self.clock.now();
        self.model.forget_failures(now);
        if self.is_away() {
            self.away.store(now < self.back_at, Ordering::SeqCst);
        } else if self.random.random_range(0..250) == 0 {
            self.away.store(true, Ordering::SeqCst);
            self.back_at = now.saturating_add(Duration::from_secs(self.random.random_range(5..30)));
        }
    }

    fn call(&mut self, from: IpAddr) -> Call {
        let writes = self.random.random_range(0..4) == 0;
        Call { at: self.clock.now(), from, writes, store_is_away: self.is_away() }
    }

    /// Any request, good or bad.
    async fn request(&mut self) {
        match self.random.random_range(0..100) {
            0..75 => self.with_a_key(1).await,
            75..80 => self.without_judgement().await,
            _ => self.wrong_attempt().await,
        }
    }

    /// Many requests at once with one key: no more get in than may.
    async fn burst(&mut self) {
        let calls = self.random.random_range(2..60);
        self.with_a_key(calls).await;
    }

    async fn with_a_key(&mut self, calls: usize) {
        // Some keys are used so often that they meet their limits.
        let among = if self.random.random() { 6 } else { self.model.keys.len() };
        let index = self.random.random_range(0..among);
        let from = address(self.random.random_range(0..ADDRESSES.len()));
        let call = self.call(from);
        let key = &self.model.keys[index];
        let (id, text) = (key.id.clone(), key.text.clone());
        let mut tasks = JoinSet::new();
        for _ in 0..calls {
            tasks.spawn(send(self.auth.clone(), call, vec![text.clone()]));
        }
        let mut answers = tasks.join_all().await;
        // Whoever came first got in; the order in which the answers came back says nothing.
        answers.sort_by_key(|(seen, _)| [OK, SPENT, LIMITED].iter().position(|other| other == seen));
        self.expected_events += calls as u64;
        for (seen, admitted) in answers {
            *self.answers.entry(seen).or_default() += 1;
            assert_eq!(admitted, (seen == OK).then(|| id.clone()));
            self.model.check(index, call, seen).unwrap_or_else(|problem| panic!("{problem}"));
        }
    }

    /// Requests that are answered whatever the limits and the stores are at.
    async fn without_judgement(&mut self) {
        let call = self.call(address(0));
        let (path, from, right) = match self.random.random_range(0..3) {
            0 => ("/health", address(0), OK),
            1 => ("/read", address(0), "MISSING_API_KEY"),
            _ => ("/read", "198.51.100.7".parse().unwrap(), "IP_NOT_ALLOWED"),
        };
        self.expected_events += u64::from(path != "/health");
        let (seen, admitted) = ask(&self.auth, path, from, &[]).await;
        *self.answers.entry(seen).or_default() += 1;
        assert_eq!((seen, admitted), (right, None), "{call:?}");
    }

    /// What may be a guess: keys that are made up, malformed, of elsewhere, or more than one.
    async fn wrong_attempt(&mut self) {
        let from = IpAddr::from([203, 0, 113, self.random.random_range(0..4)]);
        let call = self.call(from);
        let made_up = || KeyFormat::default().generate(&Environment::LIVE).unwrap().expose_secret().to_owned();
        let (keys, refusal, asks) = match self.random.random_range(0..10) {
            0..5 => (vec![made_up()], "INVALID_API_KEY", true),
            5 => (vec!["ak_live_no such key".to_owned()], "INVALID_API_KEY", false),
            6..8 => (vec![made_up(), self.model.keys[0].text.clone()], "AMBIGUOUS_CREDENTIALS", false),
            _ => (vec![self.elsewhere.clone()], "INVALID_API_KEY", true),
        };
        // What a cache knows of the key from elsewhere it may say without its store.
        let asks = asks && !(self.model.is_cached && keys[0] == self.elsewhere);
        if !asks && keys[0] == self.elsewhere && call.store_is_away {
            return;
        }
        let (seen, admitted) = send(self.auth.clone(), call, keys).await;
        self.expected_events += 1;
        *self.answers.entry(seen).or_default() += 1;
        assert_eq!(admitted, None);
        self.model.check_failure(call, refusal, asks, seen).unwrap_or_else(|problem| panic!("{problem}"));
    }
}
