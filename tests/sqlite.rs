//! Keys in a file of SQLite, written by processes that are killed, that write at once, and that run out of room.
#![cfg(all(unix, feature = "sqlite"))]

use std::collections::BTreeSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tower_api_key::clock::{Clock, SystemClock, Timestamp};
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord};
use tower_api_key::source::sql::SqlKeysError;
use tower_api_key::source::{
    KeyAdoption, KeyChange, KeySource, KeyStore, KeyUpdate, KeyUsage, NewKey, SqliteKeys, UsageBucket, UsageRange,
};

/// Says what a process that this program starts of itself is to do.
const PART: &str = "SQLITE_PART";
const PATH: &str = "SQLITE_PATH";
const CHANGES: usize = 1_000;

/// In memory where there is such a folder, so that the disk's time is not what is tested.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("keys.db")
}

fn url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

async fn open(path: &Path) -> SqliteKeys {
    SqliteKeys::connect(&url(path)).await.unwrap()
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
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let keys = open(Path::new(&path)).await;
        match part.as_str() {
            "until killed" => until_killed(&keys).await,
            "until full" => until_full(&keys).await,
            "open" => {}
            _ => many_changes(&keys).await,
        }
    });
}

/// Acknowledges keys and revocations for ever.
async fn until_killed(keys: &SqliteKeys) {
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

/// Makes keys until there is no room for another.
async fn until_full(keys: &SqliteKeys) {
    loop {
        match keys.issue(NewKey::named("k".repeat(1_000))).await {
            Ok(issued) => say("issued", &issued.record.id),
            Err(error) => {
                say("failed", causes(&error));
                return say("kept", count(keys).await);
            }
        }
    }
}

async fn many_changes(keys: &SqliteKeys) {
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

async fn count(keys: &SqliteKeys) -> i64 {
    sqlx::query_scalar("SELECT COUNT(*) FROM api_keys").fetch_one(keys.pool()).await.unwrap()
}

async fn is_sound(keys: &SqliteKeys) -> bool {
    sqlx::query_scalar::<_, String>("PRAGMA integrity_check").fetch_one(keys.pool()).await.unwrap() == "ok"
}

fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(feature = "testing")]
#[tokio::test]
async fn it_keeps_to_every_rule_of_a_store() {
    let folders = std::sync::Mutex::new(Vec::new());
    let make = async |clock| {
        let folder = folder();
        let keys = SqliteKeys::builder(&url(&file(&folder))).clock(clock).build().await.unwrap();
        folders.lock().unwrap().push(folder);
        keys
    };
    tower_api_key::testing::conformance::key_store(make).await;
    let make = async |clock| {
        let pepper = tower_api_key::key::Pepper::new(tower_api_key::key::PepperId(2), [2; 32]).unwrap();
        let builder = SqliteKeys::builder("sqlite::memory:").clock(clock).table("other_keys").name("in memory");
        builder.hasher(KeyHasher::hmac_sha256(&pepper)).build().await.unwrap()
    };
    tower_api_key::testing::conformance::key_store(make).await;
}

async fn killed(kills: usize) {
    let random = RandomState::new();
    let (mut acknowledged, mut kills_at_work) = (0, 0);
    let mut folder = folder();
    let (mut issued, mut revoked) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..kills {
        if round % 20 == 0 {
            acknowledged += issued.len() + revoked.len();
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
        let keys = open(&path).await;
        assert!(is_sound(&keys).await);
        for id in &issued {
            let key = keys.get(&id.parse().unwrap()).await.unwrap();
            let key = key.unwrap_or_else(|| panic!("{id} was acknowledged and is lost in round {round}"));
            assert!(!revoked.contains(id) || key.revoked_reason.as_deref() == Some("lost"), "{id} works again");
        }
        // Of each process one more change can be there, which it could not acknowledge any more.
        assert!(count(&keys).await as usize <= issued.len() + round % 20 + 1);
        keys.pool().close().await;
    }
    acknowledged += issued.len() + revoked.len();
    println!("{kills} kills, {kills_at_work} of them at work, {acknowledged} changes acknowledged and kept");
    assert!(kills_at_work > kills / 2 && acknowledged > kills, "{kills_at_work} {acknowledged}");
}

#[tokio::test]
async fn a_process_that_is_killed_leaves_all_that_it_has_acknowledged() {
    killed(200).await;
}

#[tokio::test]
async fn two_processes_that_write_at_once_lose_nothing() {
    let folder = folder();
    let path = file(&folder);
    let keys = open(&path).await;
    let digest = KeyHasher::sha256().digest("shared");
    let _ = keys.adopt(KeyRecord::new(KeyId::from_static("key_shared"), digest)).await.unwrap();
    let start = Instant::now();
    let children: Vec<_> = (0..2).map(|_| play("many changes", &path).spawn().unwrap()).collect();
    let said: Vec<_> = children.into_iter().flat_map(said).collect();
    let issued: BTreeSet<_> = said.iter().filter(|(what, _)| what == "issued").map(|(_, id)| id).collect();
    assert_eq!(said.iter().filter(|(what, _)| what == "done").count(), 2);
    for id in &issued {
        assert!(keys.get(&id.parse().unwrap()).await.unwrap().is_some(), "{id}");
    }
    let shared = keys.get(&KeyId::from_static("key_shared")).await.unwrap().unwrap();
    let each = CHANGES / 10;
    assert_eq!((issued.len(), count(&keys).await as usize), (2 * each, 2 * each + 1));
    assert_eq!((shared.use_count, shared.version), (10 * each as u64, 8 * each as u64));
    println!("2 times {CHANGES} changes in {:.1} s", start.elapsed().as_secs_f64());
}

#[tokio::test]
async fn processes_that_open_a_new_file_at_once_all_get_it() {
    for _ in 0..10 {
        let folder = folder();
        let children: Vec<_> = (0..4).map(|_| play("open", &file(&folder)).spawn().unwrap()).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[tokio::test]
async fn a_full_disk_says_so_and_keeps_what_was_there() {
    let folder = folder();
    let path = file(&folder);
    open(&path).await.pool().close().await;
    let child = play("until full", &path);
    let mut limited = Command::new("sh");
    limited.args(["-c", r#"trap '' XFSZ; ulimit -f 512; exec "$0" "$@""#]).arg(child.get_program());
    limited.args(child.get_args()).env(PART, "until full").env(PATH, &path).stdout(Stdio::piped());
    let said = said(limited.spawn().unwrap());
    let issued: Vec<_> = said.iter().filter(|(what, _)| what == "issued").map(|(_, id)| id).collect();
    let of = |what: &str| said.iter().find(|(said, _)| said == what).map(|(_, about)| about.as_str());
    assert!(issued.len() > 3, "{said:?}");
    assert_eq!(of("kept"), Some(&*issued.len().to_string()), "what could not be written is not there");
    let failed = of("failed").unwrap();
    assert!(failed.starts_with("it could not "), "{failed}");
    println!("{failed}");
    let keys = open(&path).await;
    assert!(is_sound(&keys).await);
    assert_eq!(count(&keys).await as usize, issued.len());
    let _ = keys.issue(NewKey::named("k")).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_only_read_finds_keys_and_refuses_changes() {
    let folder = folder();
    let path = file(&folder);
    let issued = open(&path).await.issue(NewKey::named("k")).await.unwrap();
    let keys = SqliteKeys::connect(&format!("{}?mode=ro", url(&path))).await.unwrap();
    assert!(keys.find(&issued.record.digest).await.unwrap().is_some());
    let error = keys.revoke(&issued.record.id, None).await.unwrap_err();
    assert!(causes(&error).contains("readonly"), "{}", causes(&error));
    assert!(keys.get(&issued.record.id).await.unwrap().unwrap().revoked_at.is_none());
    let missing = format!("{}?mode=ro", url(&folder.path().join("other.db")));
    assert!(SqliteKeys::connect(&missing).await.is_err() && fs::read_dir(folder.path()).unwrap().count() <= 3);
}

#[tokio::test]
async fn a_file_is_made_for_its_owner_alone() {
    let folder = folder();
    let path = file(&folder);
    let keys = open(&path).await;
    let _ = keys.issue(NewKey::named("k")).await.unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
    let missing = SqliteKeys::connect("sqlite:///a/folder/that/is/missing/keys.db").await.unwrap_err();
    assert!(matches!(missing, SqlKeysError::File(_)), "{missing}");
    for url in ["", "keys.db", "postgres://localhost/x", "sqlite://keys.db?mode=odd"] {
        assert!(matches!(SqliteKeys::connect(url).await, Err(SqlKeysError::Config(_))), "{url}");
    }
}

#[tokio::test]
async fn every_change_is_flushed_to_the_disk() {
    let folder = folder();
    let keys = open(&file(&folder)).await;
    let pragma = async |name: &'static str| {
        let row = sqlx::query(name).fetch_one(keys.pool()).await.unwrap();
        sqlx::Row::try_get::<String, _>(&row, 0).unwrap_or_else(|_| sqlx::Row::get::<i64, _>(&row, 0).to_string())
    };
    assert_eq!(pragma("PRAGMA journal_mode").await, "wal");
    assert_eq!(pragma("PRAGMA synchronous").await, "2", "FULL");
    assert_eq!(pragma("PRAGMA foreign_keys").await, "1");
}

#[tokio::test]
async fn readers_do_not_wait_for_a_change() {
    let folder = folder();
    let keys = open(&file(&folder)).await;
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    // Somebody holds the lock, and more changes wait for it than there are connections.
    let other = open(&file(&folder)).await;
    let lock = other.pool().begin_with("BEGIN IMMEDIATE").await.unwrap();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (keys, id) = (keys.clone(), issued.record.id.clone());
            tokio::spawn(async move { keys.revoke(&id, None).await })
        })
        .collect();
    for _ in 0..100 {
        let found = tokio::time::timeout(Duration::from_secs(2), keys.find(&issued.record.digest)).await;
        assert!(found.expect("it waits for nobody").unwrap().unwrap().revoked_at.is_none());
        tokio::task::yield_now().await;
    }
    lock.rollback().await.unwrap();
    for change in waiting {
        assert!(change.await.unwrap().unwrap().unwrap().revoked_at.is_some());
    }
}

#[tokio::test]
async fn what_would_be_migrated_is_shown_and_not_run() {
    let folder = folder();
    let path = file(&folder);
    let pending = SqliteKeys::migrations(&url(&path)).await.unwrap();
    assert!(pending.to_string().contains("CREATE TABLE api_keys ("), "{pending}");
    assert_eq!((pending.found(), pending.needed(), pending.scripts().len()), (0, 2, 2));
    assert!(!path.exists());
    let unmigrated = SqliteKeys::builder(&url(&path)).migrate(false).build().await.unwrap_err();
    assert!(matches!(unmigrated, SqlKeysError::SchemaTooOld { found: 0, needed: 2, .. }), "{unmigrated}");
    let keys = open(&path).await;
    assert!(SqliteKeys::migrations(&url(&path)).await.unwrap().is_empty());
    assert!(SqliteKeys::builder(&url(&path)).migrate(false).build().await.is_ok());
    // What was shown is what was run.
    let columns = "SELECT COUNT(*) FROM pragma_table_info('api_keys')";
    assert_eq!(sqlx::query_scalar::<_, i64>(columns).fetch_one(keys.pool()).await.unwrap(), 17);
}

/// As the first release left a database: its keys stay, and have a place for what is kept now.
#[tokio::test]
async fn a_database_of_an_older_version_is_brought_up_to_date() {
    let folder = folder();
    let path = file(&folder);
    let first =
        std::fs::read_to_string("src/source/sql/migrations/sqlite_1.sql").unwrap().replace("{table}", "api_keys");
    let pool = sqlx::SqlitePool::connect(&format!("{}?mode=rwc", url(&path))).await.unwrap();
    let digest = KeyHasher::sha256().digest("old").to_stored().unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(first)).execute(&pool).await.unwrap();
    sqlx::query("INSERT INTO api_keys_schema VALUES (1)").execute(&pool).await.unwrap();
    let insert = "INSERT INTO api_keys (id, digest, name, created_at) VALUES ('key_old', $1, 'old', 1)";
    sqlx::query(insert).bind(digest).execute(&pool).await.unwrap();
    pool.close().await;
    let pending = SqliteKeys::migrations(&url(&path)).await.unwrap();
    assert_eq!((pending.found(), pending.scripts().len()), (1, 1));
    assert!(pending.to_string().contains("CREATE TABLE api_keys_audit (") && !pending.to_string().contains("DROP"));
    let keys = open(&path).await;
    let old = keys.get(&KeyId::from_static("key_old")).await.unwrap().unwrap();
    keys.record_usage(&[KeyUsage::new(old.id.clone(), 2, Timestamp::from_unix_seconds(1_768_413_600))]).await.unwrap();
    let range = UsageRange::new(Timestamp::UNIX_EPOCH, Timestamp::MAX, UsageBucket::Day);
    assert_eq!(keys.usage_series(&old.id, &range).await.unwrap().unwrap()[0].count, 2);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused() {
    let folder = folder();
    let path = file(&folder);
    let keys = open(&path).await;
    sqlx::query("INSERT INTO api_keys_schema VALUES (7)").execute(keys.pool()).await.unwrap();
    for error in [
        SqliteKeys::connect(&url(&path)).await.unwrap_err(),
        SqliteKeys::builder(&url(&path)).migrate(false).build().await.unwrap_err(),
        SqliteKeys::migrations(&url(&path)).await.unwrap_err(),
    ] {
        assert!(matches!(error, SqlKeysError::SchemaTooNew { found: 7, known: 2, .. }), "{error}");
        assert!(error.to_string().contains("api_keys has schema version 7"), "{error}");
    }
    assert!(
        SqliteKeys::builder(&url(&path)).table("others").build().await.is_ok(),
        "each table has a schema of its own"
    );
}

#[tokio::test]
async fn a_name_of_a_table_that_is_more_than_a_name_is_refused() {
    for table in ["", "a b", "keys; DROP TABLE x", "Keys", "1keys", "k\"", &"k".repeat(41)] {
        let error = SqliteKeys::builder("sqlite::memory:").table(table).build().await.unwrap_err();
        assert!(error.to_string().starts_with("table: "), "{table}: {error}");
    }
}

#[tokio::test]
async fn a_row_that_makes_no_sense_is_an_error_and_never_a_key_without_its_restrictions() {
    let keys = SqliteKeys::connect("sqlite::memory:").await.unwrap();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    let id = &issued.record.id;
    let expected = format!("the column details of the key {id} makes no sense");
    for details in ["", "{", r#"{"allowedIp":["::1"]}"#, r#"{"allowedIps":"10.0.0.0/8 or so"}"#] {
        sqlx::query("UPDATE api_keys SET details = $1").bind(details).execute(keys.pool()).await.unwrap();
        assert_eq!(keys.find(&issued.record.digest).await.unwrap_err().to_string(), expected, "{details}");
        assert!(keys.revoke(id, None).await.is_err(), "what was not understood is not written over");
    }
    sqlx::query("UPDATE api_keys SET details = '{}', replaced_by = 'key_2'").execute(keys.pool()).await.unwrap();
    let error = keys.get(id).await.unwrap_err();
    assert!(matches!(error, SqlKeysError::BrokenRow { column: "replaced_by", .. }), "{error}");
}

#[tokio::test]
async fn a_revocation_by_hand_is_one() {
    let keys = SqliteKeys::connect("sqlite::memory:").await.unwrap();
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    sqlx::query("UPDATE api_keys SET revoked_at = 1").execute(keys.pool()).await.unwrap();
    assert!(keys.find(&issued.record.digest).await.unwrap().unwrap().revoked_at.is_some());
    let enabled = keys.set_enabled(&issued.record.id, true).await.unwrap();
    assert!(matches!(enabled, KeyUpdate::Conflict(_)), "{enabled:?}");
}

#[tokio::test]
async fn a_record_is_taken_in_once_and_one_that_nothing_may_store_is_not() {
    let keys = SqliteKeys::builder("sqlite::memory:").add_format(KeyFormat::text()).build().await.unwrap();
    let digest = |text: &str| -> KeyDigest { KeyHasher::sha256().digest(text) };
    let record = KeyRecord::new(KeyId::from_static("key_1"), digest("one"));
    let adopted = keys.adopt(record.clone()).await.unwrap();
    assert!(matches!(adopted, KeyAdoption::Adopted(record) if record.created_at.is_some()));
    for again in [record, KeyRecord::new(KeyId::from_static("key_2"), digest("one"))] {
        assert!(matches!(keys.adopt(again).await.unwrap(), KeyAdoption::Taken));
    }
    let process = KeyRecord::new(KeyId::from_static("key_3"), KeyHasher::process().unwrap().digest("x"));
    let error = keys.adopt(process).await.unwrap_err();
    assert!(matches!(error, SqlKeysError::Unstorable { .. }), "{error}");
}
