//! What a cached key costs, and what a flood of made-up ones: `cargo bench --bench cache --features cache`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::convert::Infallible;
use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tower_api_key::key::{DigestAlgorithm, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::{Cached, KeyScheme, KeySource, Lookup, MemoryKeys};

const CALLS: usize = 1_000_000;
const ROUNDS: usize = 15;

/// Counts the bytes that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Knows every digest whose first byte is even, and answers at once.
struct Even;

impl KeySource for Even {
    type Error = Infallible;

    fn name(&self) -> &str {
        "even"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        vec![KeyScheme::new(KeyFormat::default(), KeyHasher::sha256())]
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Infallible> {
        Ok(digest.as_bytes()[0].is_multiple_of(2).then(|| record(digest)))
    }
}

fn record(digest: &KeyDigest) -> KeyRef {
    let id = format!("key_{:x}", u64::from_le_bytes(std::array::from_fn(|index| digest.as_bytes()[index])));
    KeyRecord::new(KeyId::new(id).unwrap_or_else(|error| panic!("{error}")), *digest).into()
}

/// A digest that looks random, as digests do, of a key that exists or does not.
fn digest(number: usize, exists: bool) -> KeyDigest {
    let mut state = number as u64;
    let mut bytes: [u8; 32] = std::array::from_fn(|_| {
        state = (state ^ (state >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9).wrapping_add(0x9E37_79B9_7F4A_7C15);
        (state >> 56) as u8
    });
    bytes[0] = bytes[0] & !1 | u8::from(!exists);
    bytes[24..].copy_from_slice(&number.to_le_bytes());
    KeyDigest::new(DigestAlgorithm::Sha256, bytes)
}

/// Waits for what does not have to be waited for.
fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => ready,
        Poll::Pending => panic!("the source answers at once"),
    }
}

/// Nanoseconds of a call on each of `threads`: the median over rounds.
fn measure(threads: usize, call: impl Fn(usize) + Sync) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let barrier = Barrier::new(threads);
            let run = |thread: usize| {
                barrier.wait();
                let started = Instant::now();
                (thread * CALLS..(thread + 1) * CALLS).for_each(&call);
                started.elapsed().as_secs_f64() * 1e9 / CALLS as f64
            };
            let run = &run;
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || run(thread))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap_or(f64::NAN)).fold(0.0, f64::max)
            })
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn hits(name: &str, source: &impl KeySource, digests: &[KeyDigest]) {
    for threads in [1, 2] {
        let nanoseconds = measure(threads, |number| {
            let found = source.find_now(black_box(&digests[number % digests.len()]));
            assert!(!matches!(black_box(found), Lookup::Ask), "it is in memory");
        });
        println!("{:<52} {nanoseconds:>8.0} ns", format!("{name}, {threads} thread(s)"));
    }
}

fn main() {
    let real: Vec<_> = (0..1_000).map(|number| digest(number, true)).collect();
    let made_up: Vec<_> = (0..1_000).map(|number| digest(number, false)).collect();
    let hour = Duration::from_secs(3_600);
    let cached = Cached::builder(Even).ttl(hour).negative_ttl(hour).build().unwrap_or_else(|error| panic!("{error}"));
    let memory = MemoryKeys::new();
    for digest in real.iter().chain(&made_up) {
        let found = now(cached.find(digest)).unwrap_or_default();
        if let Some(found) = found {
            memory.insert((*found).clone()).unwrap_or_else(|error| panic!("{error}"));
        }
    }
    hits("hit, 1 000 keys", &cached, &real);
    hits("hit, one hot key", &cached, &real[..1]);
    hits("made-up, 1 000 keys", &cached, &made_up);
    hits("for comparison, `MemoryKeys`, 1 000 keys", &memory, &real);
    hits("for comparison, `MemoryKeys`, one hot key", &memory, &real[..1]);

    for (name, exists) in [("made-up", false), ("real, without its record's own fields", true)] {
        let cached = Cached::new(Even);
        let before = IN_USE.load(Ordering::Relaxed);
        for number in 0..400_000 {
            let _ = now(cached.find(&digest(number, exists)));
        }
        let bytes = IN_USE.load(Ordering::Relaxed) - before;
        let (entries, per_record) = match exists {
            true => (cached.len(), size_of::<KeyRecord>() + 16),
            false => (cached.negative_len(), 0),
        };
        let each = bytes as f64 / entries as f64 - per_record as f64;
        println!("{:<52} {each:>8.0} bytes", format!("{name}: {entries} entries after 400 000"));
    }
}
