//! What the limiter costs: nanoseconds a decision, and bytes a subject. Plain timing; run it with `cargo bench`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::HeaderMap;
use tower_api_key::clock::Timestamp;
use tower_api_key::limit::{
    Algorithm, Charge, Detail, LimitFacts, LimitHeaders, Limits, MemoryRateLimiter, Quota, RateLimiter, ResetFormat,
    Subject,
};

const START: Timestamp = Timestamp::from_unix_seconds(1_768_413_600);

fn main() {
    // First, because memory that was freed before would not be counted.
    flood();
    decisions();
    several_limits();
    headers();
    many_subjects();
    two_threads();
}

/// The best of several rounds, in nanoseconds a call.
fn time(name: &str, calls: u64, mut call: impl FnMut(u64)) -> f64 {
    let mut best = f64::MAX;
    for round in 0..9 {
        let start = Instant::now();
        (0..calls).for_each(|n| call(round * calls + n));
        best = best.min(start.elapsed().as_nanos() as f64 / calls as f64);
    }
    println!("{name:<58} {best:>8.1} ns");
    best
}

fn decisions() {
    for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow, Algorithm::Gcra] {
        let limiter = MemoryRateLimiter::new();
        let (wide, narrow) = (Quota::per_hour(u32::MAX).algorithm(algorithm), Quota::per_hour(1).algorithm(algorithm));
        for (what, quota) in [("accept", wide), ("refuse", narrow)] {
            let charge = [Charge::new(Subject::key("key_1"), &quota)];
            time(&format!("{what}, one key, {algorithm}"), 1_000_000, |n| {
                let now = START.saturating_add(Duration::from_micros(n % 1_000_000));
                let _ = black_box(limiter.take_now(black_box(&charge), Detail::Closest, now));
            });
        }
    }
    time("fingerprint of a key's id", 1_000_000, |_| {
        black_box(Subject::key(black_box("key_01JABCDEFGHJKMNPQRSTVWXYZ0")));
    });
}

fn several_limits() {
    let limits = Limits::new(MemoryRateLimiter::new())
        .per_key(Quota::per_hour(u32::MAX))
        .per_owner(Quota::per_hour(u32::MAX))
        .per_address(Quota::per_hour(u32::MAX));
    let mut facts = LimitFacts { client: Some(Subject::key("key_1")), ..LimitFacts::default() };
    time("accept through Limits, key", 1_000_000, |_| {
        let _ = black_box(limits.take_now(&limits.charges(black_box(&facts)), START));
    });
    facts.owner = Some(Subject::owner("o"));
    facts.address = Some([192, 0, 2, 1].into());
    time("accept through Limits, key and owner and address", 1_000_000, |_| {
        let _ = black_box(limits.take_now(&limits.charges(black_box(&facts)), START));
    });
}

fn headers() {
    let (limiter, quota) = (MemoryRateLimiter::new(), Quota::per_hour(1_000));
    let charges = [Charge::new(Subject::key("key_1"), &quota)];
    let Some(decision) = limiter.take_now(&charges, Detail::Each, START) else {
        return;
    };
    for (name, headers) in [
        ("none", LimitHeaders::none()),
        ("X-RateLimit, ISO 8601", LimitHeaders::new()),
        ("X-RateLimit, epoch seconds", LimitHeaders::new().reset(ResetFormat::EpochSeconds)),
        ("X-RateLimit, delta seconds", LimitHeaders::new().reset(ResetFormat::DeltaSeconds)),
        ("IETF", LimitHeaders::none().ietf(true)),
    ] {
        time(&format!("headers into an empty map: {name}"), 300_000, |_| {
            let mut map = HeaderMap::new();
            headers.apply(&mut map, black_box(&charges), &decision, START);
            black_box(map);
        });
    }
}

fn many_subjects() {
    let (limiter, quota) = (MemoryRateLimiter::new(), Quota::per_hour(u32::MAX));
    let keys: Vec<_> = (0..1_000_000).map(|n| Subject::key(&n.to_string())).collect();
    for key in &keys {
        let _ = limiter.take_now(&[Charge::new(*key, &quota)], Detail::Closest, START);
    }
    time("accept, 1,000,000 keys at random", 1_000_000, |n| {
        let key = keys[(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % keys.len()];
        let _ = black_box(limiter.take_now(&[Charge::new(key, &quota)], Detail::Closest, START));
    });
}

fn two_threads() {
    let (limiter, quota) = (MemoryRateLimiter::new(), Quota::per_hour(u32::MAX));
    for threads in [1, 2] {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let charge = [Charge::new(Subject::key("key_1"), &quota)];
                    for _ in 0..3_000_000 {
                        let _ = black_box(limiter.take_now(&charge, Detail::Closest, START));
                    }
                });
            }
        });
        let nanos = start.elapsed().as_nanos() as f64 / 3e6;
        println!("{:<58} {nanos:>8.1} ns", format!("one hot key, {threads} thread(s), wall time a decision each"));
    }
}

fn flood() {
    let (limiter, quota) = (MemoryRateLimiter::new(), Quota::per_hour(100));
    let (before, start, mut slowest) = (resident(), Instant::now(), Duration::ZERO);
    for number in 0..10_000_000u32 {
        let one = Instant::now();
        let charge = [Charge::new(Subject::address(number.to_be_bytes().into()), &quota)];
        let _ = limiter.take_now(&charge, Detail::Closest, START);
        slowest = slowest.max(one.elapsed());
    }
    let (entries, bytes) = (limiter.entries(), resident() - before);
    println!(
        "flood of 10,000,000 addresses: {:.0} ns each, slowest {slowest:?}",
        start.elapsed().as_nanos() as f64 / 1e7
    );
    println!(
        "  {entries} counters (bound {}), {bytes} bytes, {:.1} bytes a counter",
        limiter.max_entries(),
        bytes as f64 / entries as f64
    );
    let (before, start) = (resident(), Instant::now());
    for number in 1..=10_000_000u32 {
        let _ = limiter.take_now(&[Charge::new(Subject::key(&number.to_string()), &quota)], Detail::Closest, START);
        if [1_000_000, 10_000_000].contains(&number) {
            let (each, bytes) = (start.elapsed().as_nanos() as f64, (resident() - before) as f64);
            let keys = f64::from(number);
            println!("{number} keys beside them: {:.0} ns each, {:.1} bytes a key", each / keys, bytes / keys);
        }
    }
}

/// The memory of this process that is in use, in bytes; 0 where `/proc` does not tell.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok());
    pages.unwrap_or(0) * 4_096
}
