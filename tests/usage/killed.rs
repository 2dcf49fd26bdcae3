//! A process that is killed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tower_api_key::ApiKeyLayer;
use tower_api_key::source::{JsonFileKeys, KeyStore, NewKey};
use tower_api_key::usage::Usage;

use crate::support::{call, uses};

const PATH: &str = "USAGE_PATH";
const KEY: &str = "USAGE_KEY";
const INTERVAL: Duration = Duration::from_millis(100);
/// For a machine that has other things to do.
const SLACK: Duration = Duration::from_secs(1);

fn open(path: &Path) -> JsonFileKeys {
    JsonFileKeys::builder(path).check_every(None).open().unwrap()
}

/// Uses a key for ever, and says after each use how long it has been at it.
#[test]
fn a_part_in_another_process() {
    let (Ok(path), Ok(key)) = (std::env::var(PATH), std::env::var(KEY)) else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let keys = open(Path::new(&path));
        let auth = ApiKeyLayer::builder(keys.clone()).usage(Usage::new(keys).flush_every(INTERVAL)).build().unwrap();
        tokio::spawn(auth.background());
        let begun = Instant::now();
        loop {
            assert!(call(&auth, &key).await.is_success());
            let line = format!("\nused {}\n", begun.elapsed().as_millis());
            std::io::stdout().write_all(line.as_bytes()).unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    });
}

#[tokio::test]
async fn a_killed_process_loses_one_interval_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.json");
    let issued = open(&path).issue(NewKey::named("k")).await.unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["killed::a_part_in_another_process", "--exact", "--nocapture", "--test-threads=1"])
        .env(PATH, &path)
        .env(KEY, issued.secret.expose_secret())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(INTERVAL + SLACK + Duration::from_secs(1));
    child.kill().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    let times: Vec<u64> = text.lines().filter_map(|line| line.strip_prefix("used ")?.parse().ok()).collect();
    let end = Duration::from_millis(*times.last().expect("it has begun"));
    let old = times.iter().filter(|time| Duration::from_millis(**time) + INTERVAL + SLACK < end).count() as u64;
    assert!(old > 10, "it has lived for {end:?}");
    let written = uses(&open(&path), &issued.record.id).await;
    // The last use may have been made without a word of it.
    assert!((old..=times.len() as u64 + 1).contains(&written), "{written} of {}, {old} of them old", times.len());
}
