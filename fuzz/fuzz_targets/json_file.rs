//! The file of keys out of any bytes: what is read can be written and read again, and what is not read is left as it is.

#![no_main]

use std::path::PathBuf;
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use libfuzzer_sys::fuzz_target;
use tower_api_key::key::KeyHasher;
use tower_api_key::source::{JsonFileKeys, KeyFilter, KeySource, KeyStore, Lookup, NewKey};

/// In memory where there is such a place.
static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = folder.join(format!("tower-api-key-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join("keys.json")
});

fn open() -> Option<JsonFileKeys> {
    JsonFileKeys::builder(FILE.as_path()).check_every(None).open().ok()
}

/// Without a runtime a file is written on the calling thread.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a file without a runtime waits for nobody"),
    }
}

fuzz_target!(|data: &[u8]| {
    std::fs::write(FILE.as_path(), data).unwrap();
    let Some(keys) = open() else {
        assert_eq!(std::fs::read(FILE.as_path()).unwrap(), data, "what is broken is left as it is");
        return;
    };
    let filter = KeyFilter::default();
    let before = now(keys.list(&filter)).expect("what was read can be listed");
    let guess = KeyHasher::sha256().digest("a-key-that-nobody-has-written-into-it");
    assert!(matches!(keys.find_now(&guess), Lookup::Absent));
    let Ok(issued) = now(keys.issue(NewKey::named("fuzz"))) else { return };
    let again = open().expect("what was written can be read");
    assert_eq!(again.len(), keys.len());
    let after = now(again.list(&filter)).unwrap();
    for record in &before.items {
        let kept = now(again.get(&record.id)).unwrap();
        assert!(kept.is_some_and(|kept| kept.digest == record.digest), "{} is gone", record.id);
    }
    assert!(after.items.len() >= before.items.len());
    let digest = KeyHasher::sha256().digest(issued.secret.expose_secret());
    assert!(matches!(again.find_now(&digest), Lookup::Found(_)), "the new key is good");
});
