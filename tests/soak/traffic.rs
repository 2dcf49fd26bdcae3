//! Callers of a service, and what each of them watches for.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use serde_json::json;
use tokio::task::JoinSet;
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::key::{Environment, KeyFormat};

use crate::site::{Live, NoAnswer, REVOKED_WITHIN, Site, client};

/// So many keys are good at a time.
const KEYS: usize = 12;

/// For so many calls a key is good that is used up.
const FEW: usize = 5;

/// How long a key lives that is made to expire.
const SHORT: Duration = Duration::from_secs(4);

/// Callers at work.
pub(crate) struct Traffic(JoinSet<()>);

impl Traffic {
    /// Lets them all begin; `hammered` is the key that is called as often as can be.
    pub(crate) fn start(site: &Arc<Site>, hammered: Live, seed: u64) -> Self {
        let mut tasks = JoinSet::new();
        let random = |number: u8| {
            let mut bytes = [number; 32];
            bytes[..8].copy_from_slice(&seed.to_le_bytes());
            TestRng::from_seed(RngAlgorithm::ChaCha, &bytes)
        };
        tasks.spawn(change_keys(Arc::clone(site), random(0)));
        tasks.spawn(guess(Arc::clone(site), random(1)));
        tasks.spawn(use_up_keys(Arc::clone(site), random(20)));
        tasks.spawn(use_dead_keys(Arc::clone(site), random(2)));
        for number in 3..6 {
            tasks.spawn(use_good_keys(Arc::clone(site), random(number)));
            tasks.spawn(hammer(Arc::clone(site), hammered.text.clone(), random(number + 10)));
        }
        Self(tasks)
    }

    /// Waits until all have stopped, which they do when the site is told to.
    pub(crate) async fn end(self) {
        self.0.join_all().await;
    }
}

fn any<T: Clone>(random: &mut TestRng, of: &[T]) -> Option<T> {
    (!of.is_empty()).then(|| of[random.random_range(0..of.len())].clone())
}

async fn rest(millis: u64) {
    tokio::time::sleep(Duration::from_millis(millis)).await;
}

/// A good key is never called a wrong one.
async fn use_good_keys(site: Arc<Site>, mut random: TestRng) {
    while !site.is_stopped() {
        let key = any(&mut random, &site.board().live);
        let (Some(slot), Some(key)) = (any(&mut random, &site.up()), key) else {
            rest(20).await;
            continue;
        };
        let status = site.whoami(slot, &key.text).await;
        if let Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) = status
            && site.board().live.contains(&key)
        {
            site.violated(format!("a good key is refused with {status:?}"));
        }
        rest(if status == Some(StatusCode::OK) { 2 } else { 20 }).await;
    }
}

/// No more is let in than the limit; that is looked at when all is over.
async fn hammer(site: Arc<Site>, key: String, mut random: TestRng) {
    while !site.is_stopped() {
        let Some(slot) = any(&mut random, &site.up()) else {
            rest(20).await;
            continue;
        };
        let losses = site.losses();
        match site.whoami(slot, &key).await {
            Some(StatusCode::OK) => *site.tally().hammered.entry(losses).or_default() += 1,
            Some(StatusCode::TOO_MANY_REQUESTS) => rest(5).await,
            _ => rest(20).await,
        }
    }
}

/// Makes keys for a few calls, and calls with each from all sides at once: no more get in, however many processes count.
async fn use_up_keys(site: Arc<Site>, mut random: TestRng) {
    while !site.is_stopped() {
        rest(500).await;
        let up = site.up();
        let losses = site.losses();
        let quota = json!({ "limit": FEW, "windowSeconds": 3_600 });
        let body = json!({ "name": "few", "scopes": ["read"], "rateLimits": [quota] });
        let Some(slot) = any(&mut random, &up) else { continue };
        let Some(key) = site.make_of(slot, body).await else { continue };
        let mut calls = JoinSet::new();
        for number in 0..4 * FEW {
            let (site, text, slot) = (Arc::clone(&site), key.text.clone(), up[number % up.len()]);
            calls.spawn(async move { site.whoami(slot, &text).await });
        }
        let answers = calls.join_all().await;
        let admitted = answers.iter().filter(|status| **status == Some(StatusCode::OK)).count();
        if admitted > FEW * if site.losses() == losses { 1 } else { 2 } {
            site.violated(format!("{admitted} calls are let in with a key for {FEW}"));
        }
        site.tally().exactly_few += u64::from(admitted == FEW);
        if site.revoke(slot, &key.id).await {
            site.bury(key.text, Instant::now(), REVOKED_WITHIN);
        }
    }
}

/// Nobody gets in with a key that was revoked, or is past its end.
async fn use_dead_keys(site: Arc<Site>, mut random: TestRng) {
    while !site.is_stopped() {
        rest(5).await;
        let dead = {
            let board = site.board();
            // The latest are of most interest.
            let latest = board.dead.len().saturating_sub(random.random_range(1..40));
            board.dead.get(latest).cloned()
        };
        let (Some(slot), Some(dead)) = (any(&mut random, &site.up()), dead) else { continue };
        let has_to_be_refused = site.has_to_be_refused(&dead);
        if site.whoami(slot, &dead.text).await == Some(StatusCode::OK) && has_to_be_refused {
            site.violated(format!("process {slot} lets in a key that is over"));
        }
    }
}

/// Nobody gets in with a key that is made up. Each address tries some times and goes.
async fn guess(site: Arc<Site>, mut random: TestRng) {
    while !site.is_stopped() {
        let from = Ipv4Addr::new(127, 0, random.random_range(1..250), random.random_range(1..250));
        let client = client(from);
        for _ in 0..20 {
            rest(10).await;
            let Some(slot) = any(&mut random, &site.up()) else { continue };
            let made_up = KeyFormat::default().generate(&Environment::LIVE).unwrap().expose_secret().to_owned();
            match site.call_by(&client, slot, Method::GET, "/api/whoami", &made_up, None).await {
                Ok((status, _)) if status.is_success() => site.violated(format!("a made-up key gets {status}")),
                Ok((status, _)) => site.count(&format!("{} to guesses", status.as_str())),
                Err(NoAnswer::Excused) => {}
                Err(NoAnswer::Missing) => site.violated(format!("process {slot} does not answer a guess")),
            }
        }
    }
}

/// Makes keys, and revokes the oldest; some expire before.
async fn change_keys(site: Arc<Site>, mut random: TestRng) {
    // Keys that may be revoked: the answer did not come.
    let mut doubtful: Vec<Live> = Vec::new();
    while !site.is_stopped() {
        rest(250).await;
        let Some(slot) = any(&mut random, &site.up()) else { continue };
        if random.random_range(0..4) == 0 {
            let end = SystemClock.now().saturating_add(SHORT);
            let at = Instant::now() + SHORT;
            if let Some(key) = site.make(slot, Some(end.to_string())).await {
                site.bury(key.text, at + Duration::from_millis(5), Duration::ZERO);
            }
        } else if let Some(key) = site.make(slot, None).await {
            site.board().live.push(key);
        }
        if site.board().live.len() > KEYS {
            let oldest = site.board().live.remove(0);
            doubtful.push(oldest);
        }
        if let Some(slot) = any(&mut random, &site.up())
            && let Some(key) = doubtful.pop()
        {
            if site.revoke(slot, &key.id).await {
                site.bury(key.text, Instant::now(), REVOKED_WITHIN);
            } else {
                doubtful.push(key);
            }
        }
    }
}
