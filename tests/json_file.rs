//! The file of keys, written by processes that are killed, that write at once, and that run out of room.
#![cfg(unix)]

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tower_api_key::clock::{Clock, SystemClock};
use tower_api_key::key::KeyId;
use tower_api_key::source::{JsonFileKeys, KeyChange, KeyStore, KeyUpdate, KeyUsage, NewKey};

/// Says what a process that this program starts of itself is to do.
const PART: &str = "JSON_FILE_PART";
const PATH: &str = "JSON_FILE_PATH";
const KILLS: usize = 200;
const CHANGES: usize = 1_000;

/// In memory where there is such a folder, so that the disk's time is not what is tested.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("api-keys.json")
}

fn open(path: &Path) -> JsonFileKeys {
    JsonFileKeys::builder(path).check_every(None).open().unwrap()
}

/// This program, playing `part` in a process of its own.
fn play(part: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["a_part_in_another_process", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(PART, part).env(PATH, path).stdout(Stdio::piped());
    command
}

/// What a process has said of its own accord, up to its last whole line.
fn said(mut child: Child) -> Vec<(String, String)> {
    let said = acknowledged_in(child.stdout.take().unwrap());
    child.wait().unwrap();
    said
}

fn acknowledged_in(mut words: impl Read) -> Vec<(String, String)> {
    let mut text = String::new();
    words.read_to_string(&mut text).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let words = whole.lines().filter_map(|line| line.strip_prefix("ack ")?.split_once(' '));
    words.map(|(what, id)| (what.to_owned(), id.to_owned())).collect()
}

fn say(what: &str, about: impl std::fmt::Display) {
    // One write each, so that a kill cannot tear two lines apart.
    io::stdout().write_all(format!("ack {what} {about}\n").as_bytes()).unwrap();
}

#[test]
fn a_part_in_another_process() {
    let (Ok(part), Ok(path)) = (std::env::var(PART), std::env::var(PATH)) else { return };
    println!();
    let keys = open(Path::new(&path));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        match part.as_str() {
            "until killed" => until_killed(&keys).await,
            "until full" => until_full(&keys).await,
            "many changes" => many_changes(&keys).await,
            id => drop(keys.revoke(&id.parse().unwrap(), None).await.unwrap()),
        }
    });
}

/// Acknowledges keys and revocations for ever.
async fn until_killed(keys: &JsonFileKeys) {
    say("open", "-");
    loop {
        let issued = keys.issue(NewKey::named("k")).await.unwrap();
        say("issued", &issued.record.id);
        let again = keys.issue(NewKey::named("k")).await.unwrap();
        say("issued", &again.record.id);
        keys.revoke(&issued.record.id, Some("lost".to_owned())).await.unwrap();
        say("revoked", &issued.record.id);
    }
}

/// Makes keys until there is no room for another, and sees that it has lost none.
async fn until_full(keys: &JsonFileKeys) {
    loop {
        match keys.issue(NewKey::named("k")).await {
            Ok(issued) => say("issued", &issued.record.id),
            Err(error) => {
                say("kept", keys.len());
                return say("failed", error);
            }
        }
    }
}

async fn many_changes(keys: &JsonFileKeys) {
    let shared = KeyId::from_static("key_shared");
    for number in 0..CHANGES {
        match number % 10 {
            0 => say("issued", &keys.issue(NewKey::named("k")).await.unwrap().record.id),
            1..6 => {
                let usage = KeyUsage::new(shared.clone(), 1, SystemClock.now());
                keys.record_usage(&[usage]).await.unwrap();
            }
            _ => {
                let changed = keys.update(&shared, KeyChange::rename(number.to_string())).await.unwrap();
                assert!(matches!(changed, KeyUpdate::Changed(_)), "{changed:?}");
            }
        }
    }
    say("done", "-");
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_all_that_it_has_acknowledged() {
    let random = RandomState::new();
    let (mut acknowledged, mut kills_at_work) = (0, 0);
    let mut folder = folder();
    let (mut issued, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..KILLS {
        if round % 20 == 0 {
            (folder, issued, revoked) = (self::folder(), BTreeSet::new(), BTreeSet::new());
        }
        let path = file(&folder);
        let mut child = play("until killed", &path).spawn().unwrap();
        let mut words = BufReader::new(child.stdout.take().unwrap());
        // From its first word on, some time of up to 20 milliseconds.
        let mut line = String::new();
        while !line.ends_with("ack open -\n") {
            assert_ne!(words.read_line(&mut line).unwrap(), 0, "{line}");
        }
        let instant = Instant::now() + Duration::from_micros(random.hash_one(round) % 20_000);
        while Instant::now() < instant {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let changes = acknowledged_in(words);
        kills_at_work += usize::from(!changes.is_empty());
        for (what, id) in changes {
            if what == "issued" {
                issued.insert(id)
            } else {
                revoked.insert(id)
            };
        }
        let keys = open(&path);
        for id in &issued {
            let key = keys.get(&id.parse().unwrap()).await.unwrap();
            let key = key.unwrap_or_else(|| panic!("{id} was acknowledged and is lost in round {round}"));
            assert!(!revoked.contains(id) || key.revoked_reason.as_deref() == Some("lost"), "{id} works again");
        }
        // Of each process one more change can be there, which it could not acknowledge any more.
        assert!(keys.len() <= issued.len() + round % 20 + 1);
        acknowledged += usize::from(round % 20 == 19) * (issued.len() + revoked.len());
    }
    println!("{KILLS} kills, {kills_at_work} of them at work, {acknowledged} changes acknowledged and kept");
    assert!(kills_at_work > KILLS / 2 && acknowledged > KILLS, "{kills_at_work} {acknowledged}");
}

#[tokio::test]
async fn two_processes_that_write_at_once_lose_nothing() {
    let folder = folder();
    let path = file(&folder);
    let digest = format!("sha256:{}", "0".repeat(64));
    let shared = serde_json::json!({"version": 1, "keys": [{"id": "key_shared", "digest": digest}]});
    fs::write(&path, shared.to_string()).unwrap();
    let start = Instant::now();
    let children: Vec<_> = (0..2).map(|_| play("many changes", &path).spawn().unwrap()).collect();
    let said: Vec<_> = children.into_iter().flat_map(said).collect();
    let keys = open(&path);
    let issued: BTreeSet<_> = said.iter().filter(|(what, _)| what == "issued").map(|(_, id)| id).collect();
    assert_eq!(said.iter().filter(|(what, _)| what == "done").count(), 2);
    for id in &issued {
        assert!(keys.get(&id.parse().unwrap()).await.unwrap().is_some(), "{id}");
    }
    let shared = keys.get(&KeyId::from_static("key_shared")).await.unwrap().unwrap();
    let each = CHANGES / 10;
    assert_eq!((issued.len(), keys.len()), (2 * each, 2 * each + 1));
    assert_eq!((shared.use_count, shared.version), (10 * each as u64, 8 * each as u64));
    println!("2 times {CHANGES} changes in {:.1} s", start.elapsed().as_secs_f64());
}

#[tokio::test]
async fn a_full_disk_keeps_the_old_file_and_the_old_keys() {
    let folder = folder();
    let path = file(&folder);
    let child = play("until full", &path);
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap '' XFSZ; ulimit -f 16; exec "$0" "$@""#]).arg(child.get_program());
    limited.args(child.get_args()).env(PART, "until full").env(PATH, &path).stdout(Stdio::piped());
    let said = said(limited.spawn().unwrap());
    let issued = said.iter().filter(|(what, _)| what == "issued").count();
    let of = |what: &str| said.iter().find(|(said, _)| said == what).map(|(_, about)| about.as_str());
    assert!(issued > 3, "{said:?}");
    assert_eq!(of("kept"), Some(&*issued.to_string()), "what could not be written is not there");
    assert!(of("failed").is_some_and(|error| error.contains("api-keys.json: it could not be written: ")), "{said:?}");
    assert_eq!(open(&path).len(), issued);
    let left: BTreeSet<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["api-keys.json".into(), "api-keys.json.lock".into()].into());
    let _ = open(&path).issue(NewKey::named("k")).await.unwrap();
}

/// Looks until it is so, and says how long that took.
fn until(mut so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !so() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came");
        thread::yield_now();
    }
    start.elapsed()
}

#[tokio::test]
async fn a_revocation_by_another_process_is_seen_within_a_second() {
    let folder = folder();
    let path = file(&folder);
    let keys = JsonFileKeys::open(&path).unwrap();
    let id = keys.issue(NewKey::named("k")).await.unwrap().record.id.clone();
    assert!(play(id.as_str(), &path).stdout(Stdio::null()).status().unwrap().success());
    let revoked = || tokio_test::block_on(keys.get(&id)).unwrap().unwrap().revoked_at.is_some();
    let waited = thread::scope(|scope| scope.spawn(|| until(revoked)).join().unwrap());
    assert!(waited < Duration::from_secs(1), "{waited:?}");
}

/// What all threads of this program log.
fn log() -> &'static Arc<Mutex<Vec<u8>>> {
    static LOG: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    LOG.get_or_init(|| {
        #[derive(Clone)]
        struct Log(Arc<Mutex<Vec<u8>>>);
        impl Write for Log {
            fn write(&mut self, text: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(text)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let log = Log(Arc::default());
        let kept = Arc::clone(&log.0);
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).init();
        kept
    })
}

#[test]
fn an_edit_by_hand_is_picked_up_and_a_broken_one_is_logged_once_and_changes_nothing() {
    let log = log();
    let folder = folder();
    let path = file(&folder);
    let list = |ids: &[&str]| {
        let key = |id: &&str| serde_json::json!({"id": id, "digest": format!("sha256:{:0>64}", id.len())});
        serde_json::json!({"version": 1, "keys": ids.iter().map(key).collect::<Vec<_>>()}).to_string()
    };
    fs::write(&path, list(&["a"])).unwrap();
    let keys = JsonFileKeys::open(&path).unwrap();
    assert_eq!(keys.len(), 1);
    fs::write(&path, list(&["a", "bb"])).unwrap();
    let waited = until(|| keys.len() == 2);
    assert!(waited < Duration::from_secs(1), "{waited:?}");

    let logged = |text: &str| {
        let log = log.lock().unwrap();
        let mine = BufReader::new(&log[..]).lines().map_while(Result::ok);
        mine.filter(|line| line.contains(path.to_str().unwrap()) && line.contains(text)).count()
    };
    fs::write(&path, "{\"version\":1,").unwrap();
    until(|| logged("the last good keys stay in use") == 1);
    // Seen again and again by the thread that looks; a good edit comes after several of those.
    let broken = tokio_test::block_on(keys.issue(NewKey::named("k"))).unwrap_err();
    assert!(broken.is_broken() && keys.len() == 2, "{broken}");
    fs::write(&path, list(&["a", "bb", "ccc"])).unwrap();
    until(|| keys.len() == 3);
    until(|| logged("the file of keys is repaired") == 1);
    assert_eq!(logged("the last good keys stay in use"), 1);
}
