//! What the parts of a lookup cost: the shape of a key, its digest, and the way to its record, by the number of keys and
//! of threads. `cargo bench --bench keys`.

use std::hint::black_box;
use std::sync::{LazyLock, Mutex};

use divan::Bencher;
use tower_api_key::key::{Environment, KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, Pepper, PepperId, SecretKey};
use tower_api_key::source::{KeySource, MemoryKeys};

fn main() {
    divan::main();
}

fn key() -> SecretKey {
    KeyFormat::default().generate(&Environment::LIVE).expect("the system has random numbers")
}

#[divan::bench]
fn shape_and_checksum(bencher: Bencher<'_, '_>) {
    let (format, key) = (KeyFormat::default(), key());
    bencher.bench(|| format.accepts(black_box(key.expose_secret())));
}

#[divan::bench]
fn sha_256(bencher: Bencher<'_, '_>) {
    let (hasher, key) = (KeyHasher::sha256(), key());
    bencher.bench(|| hasher.digest(black_box(key.expose_secret())));
}

#[divan::bench]
fn hmac_sha_256(bencher: Bencher<'_, '_>) {
    let pepper = Pepper::new(PepperId(1), [7; 32]).expect("the pepper is long enough");
    let (hasher, key) = (KeyHasher::hmac_sha256(&pepper), key());
    bencher.bench(|| hasher.digest(black_box(key.expose_secret())));
}

/// A digest that looks as random as digests are.
fn digest(number: usize) -> KeyDigest {
    KeyHasher::sha256().digest(&number.to_string())
}

/// The stores that were filled so far, by their number of keys: filling one takes longer than measuring it.
fn store(count: usize) -> (MemoryKeys, Vec<KeyDigest>) {
    type Filled = Vec<(usize, (MemoryKeys, Vec<KeyDigest>))>;
    static STORES: LazyLock<Mutex<Filled>> = LazyLock::new(Mutex::default);
    let mut stores = STORES.lock().expect("no bench panics");
    if let Some((_, filled)) = stores.iter().find(|(other, _)| *other == count) {
        return filled.clone();
    }
    let (keys, digests) = (MemoryKeys::new(), (0..count).map(digest).collect::<Vec<_>>());
    for (number, digest) in digests.iter().enumerate() {
        let id = KeyId::new(format!("key_{number:020}")).expect("it is an id");
        keys.insert(KeyRecord::new(id, *digest)).expect("no two keys are alike");
    }
    stores.push((count, (keys, digests)));
    stores.last().expect("there is one").1.clone()
}

/// Ten million need some ten gigabytes: `cargo bench --bench keys -- --include-ignored`.
#[divan::bench(args = [1_000, 10_000, 100_000, 1_000_000], threads = [1, 2])]
fn lookup_at_random(bencher: Bencher<'_, '_>, count: usize) {
    look_up(bencher, count);
}

#[divan::bench(args = [10_000_000], threads = [1, 2], ignore)]
fn lookup_at_random_of_many(bencher: Bencher<'_, '_>, count: usize) {
    look_up(bencher, count);
}

fn look_up(bencher: Bencher<'_, '_>, count: usize) {
    let (keys, digests) = store(count);
    let chosen = |state: &mut usize| {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        digests[(*state >> 33) % digests.len()]
    };
    let state = Mutex::new(1_usize);
    bencher
        .with_inputs(|| chosen(&mut state.lock().expect("no bench panics")))
        .bench_values(|digest| keys.find_now(&digest));
}

#[divan::bench(threads = [1, 2])]
fn lookup_of_one(bencher: Bencher<'_, '_>) {
    let (keys, digests) = store(1_000);
    bencher.bench(|| keys.find_now(black_box(&digests[0])));
}
