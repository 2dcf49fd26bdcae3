//! Long runs: everything at once, with faults, and what has to hold all the time and at the end.
#![cfg(unix)]

mod acts;
mod ask;
mod cluster;
mod faulty;
mod file;
mod hour;
mod memory;
mod model;
mod process;
mod report;
mod site;
mod traffic;

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use acts::Stores;
use faulty::Faulty;
use hour::{Hour, Steady};
use tokio::runtime::Runtime;
use tower_api_key::source::cached::{Invalidation, LocalInvalidations};
use tower_api_key::source::{Cached, JsonFileKeys, MemoryKeys};

/// For how long what is cached is believed: while the store answers, and in addition while it does not.
const TTL: Duration = Duration::from_secs(60);
const STALE: Duration = Duration::from_secs(30);

/// `SOAK_SEED`, or any. Told, so that a run can be repeated.
fn seed() -> u64 {
    let given = std::env::var("SOAK_SEED").ok();
    let seed =
        given.map_or_else(|| RandomState::new().hash_one(0), |seed| seed.parse().expect("SOAK_SEED is a number"));
    println!("SOAK_SEED={seed}");
    seed
}

/// Runs it to its end, after which no task may be alive.
fn run(hour: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(hour);
    for _ in 0..100 {
        if alive(&runtime) == 0 {
            return;
        }
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(10)).await });
    }
    panic!("{} tasks are alive", alive(&runtime));
}

fn alive(runtime: &Runtime) -> usize {
    runtime.metrics().num_alive_tasks()
}

async fn hour_in_memory(seed: u64) {
    let (clock, away) = (Steady::default(), Arc::new(AtomicBool::new(false)));
    let keys = MemoryKeys::builder().clock(clock.clone()).build();
    let through = Faulty::new(keys.clone(), Arc::clone(&away));
    let nothing = Box::new(|| ());
    let stores = Stores { through, behind: keys, reload: nothing, tell: Box::new(|_| ()), believed: None };
    Hour::new(seed, clock, away, stores).await.pass().await;
}

async fn hour_in_a_file(seed: u64) {
    let (clock, away) = (Steady::default(), Arc::new(AtomicBool::new(false)));
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let path = folder.path().join("keys.json");
    let open = || JsonFileKeys::builder(&path).clock(clock.clone()).check_every(None).open().unwrap();
    let (keys, behind) = (open(), open());
    let through = Cached::builder(Faulty::new(keys.clone(), Arc::clone(&away)))
        .capacity(32)
        .negative_capacity(64)
        .ttl(TTL)
        .stale_on_error(STALE)
        .clock(clock.clone())
        .build()
        .unwrap();
    let bus = LocalInvalidations::default();
    let listening = tokio::spawn(through.listen(bus.subscribe()));
    let stores = Stores {
        through,
        behind,
        reload: Box::new(move || keys.reload().unwrap()),
        tell: Box::new(move |id| bus.send(Invalidation::Key(id.clone()))),
        believed: Some((TTL, TTL + STALE)),
    };
    Hour::new(seed, clock, away, stores).await.pass().await;
    listening.await.unwrap();
}

/// Held by one test at a time: each looks at what this process has.
static TURN: Mutex<()> = Mutex::new(());

#[test]
fn an_hour_of_traffic_on_the_test_clock() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = seed();
    run(hour_in_memory(seed));
    run(hour_in_a_file(seed));
}

#[test]
fn ten_minutes_of_faults_on_loopback() {
    if !std::env::var("TEST_LONG").is_ok_and(|on| on == "1") {
        return;
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = std::env::var("SOAK_SECONDS").map_or(600, |text| text.parse().expect("SOAK_SECONDS is a number"));
    let (time, seed) = (Duration::from_secs(seconds), seed());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let violations = runtime.block_on(async {
        let (of_cluster, of_file) = tokio::join!(cluster::soak(time, seed), file::soak(time, seed));
        [of_cluster, of_file].concat()
    });
    assert!(violations.is_empty(), "{violations:#?}");
}
