//! What a key costs in memory, and a cold lookup in a database beside the bare one that SQLx makes:
//! `cargo bench --bench stores --features sqlite,postgres -- 1000000`.
//!
//! The number of keys is the argument, else `BENCH_KEYS`, else 20 000. Postgres is asked at `BENCH_POSTGRES`, a URL of a
//! database in which a table of the name `bench_keys` may be made and dropped; without it, only SQLite is.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fmt::Write;
use std::future::Future;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use sqlx::{AssertSqlSafe, PgPool, Row, SqlitePool};
use tower_api_key::BoxError;
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyHasher, KeyId, KeyOwner, KeyRecord, Scope, UserId};
use tower_api_key::source::{KeySource, MemoryKeys, PostgresKeys, SqliteKeys};

const LOOKUPS: usize = 2_000;
const ROUNDS: usize = 15;
/// Rows written by one statement.
const BATCH: usize = 500;

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

fn digest(number: usize) -> KeyDigest {
    KeyHasher::sha256().digest(&format!("ak_live_{number}"))
}

fn record(number: usize) -> Result<KeyRecord, BoxError> {
    let mut record = KeyRecord::new(KeyId::new(format!("key_{number:020}"))?, digest(number));
    record.name = format!("key number {number}");
    record.start = Some(format!("ak_live_{number:04}"));
    record.end = Some("k2Qd".to_owned());
    record.scopes = [Scope::from_static("read")].into();
    record.owner = KeyOwner::user(UserId::new(format!("user_{number}"))?);
    record.created_at = Some(Timestamp::from_unix_micros(1_768_413_600_000_000 + number as i64));
    Ok(record)
}

/// A random place that differs each time.
fn places(keys: usize) -> impl FnMut() -> usize {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % keys
    }
}

fn memory(keys: usize) -> Result<(), BoxError> {
    let before = IN_USE.load(Ordering::Relaxed);
    let store = MemoryKeys::new();
    for number in 0..keys {
        store.insert(record(number)?)?;
    }
    let all = IN_USE.load(Ordering::Relaxed) - before;
    let records: Vec<_> = (0..1_000).map(record).collect::<Result<_, _>>()?;
    let before = IN_USE.load(Ordering::Relaxed);
    let clones: Vec<_> = records.iter().map(|record| Box::new(record.clone())).collect();
    let own = (IN_USE.load(Ordering::Relaxed) - before) / clones.len();
    println!("memory: {} bytes a key, of which a record itself takes {own}", all / keys);
    Ok(())
}

/// Values of rows as SQL: made here, so that nothing needs to be escaped.
fn rows(from: usize, to: usize) -> String {
    let mut text = String::new();
    for number in from..to {
        let comma = if number == from { "" } else { "," };
        let stored = digest(number).to_stored().unwrap_or_default();
        let created = 1_768_413_600_000_000 + number;
        let details = r#"{"end":"k2Qd","scopes":["read"],"class":"standard"}"#;
        let _ = write!(
            text,
            "{comma}('key_{number:020}','{stored}','key number {number}','ak_live_{number:04}','user_{number}',{created},'{details}')"
        );
    }
    text
}

fn fills(keys: usize) -> impl Iterator<Item = String> {
    let columns = "id, digest, name, key_start, user_id, created_at, details";
    (0..keys)
        .step_by(BATCH)
        .map(move |from| format!("INSERT INTO bench_keys ({columns}) VALUES {}", rows(from, (from + BATCH).min(keys))))
}

/// Microseconds of a lookup, the median over rounds, of each of two ways that take turns.
async fn compare<A: Future<Output = Result<(), BoxError>>, B: Future<Output = Result<(), BoxError>>>(
    keys: usize,
    ours: impl Fn(KeyDigest) -> A,
    bare: impl Fn(KeyDigest) -> B,
) -> Result<(f64, f64), BoxError> {
    let mut place = places(keys);
    let (mut of_ours, mut of_bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let digests: Vec<_> = (0..LOOKUPS).map(|_| digest(place())).collect();
        for turn in 0..2 {
            let started = Instant::now();
            if (round + turn) % 2 == 0 {
                for digest in &digests {
                    ours(*digest).await?;
                }
                of_ours.push(started.elapsed().as_secs_f64() * 1e6 / LOOKUPS as f64);
            } else {
                for digest in &digests {
                    bare(*digest).await?;
                }
                of_bare.push(started.elapsed().as_secs_f64() * 1e6 / LOOKUPS as f64);
            }
        }
    }
    of_ours.sort_by(f64::total_cmp);
    of_bare.sort_by(f64::total_cmp);
    Ok((of_ours[ROUNDS / 2], of_bare[ROUNDS / 2]))
}

fn report(what: &str, (ours, bare): (f64, f64)) {
    let second = 1e6 / ours;
    println!("{what}: {ours:.1} µs ({second:.0}/s), bare {bare:.1} µs, ratio {:.2}", ours / bare);
}

async fn find<S: KeySource>(keys: &S, digest: KeyDigest) -> Result<(), BoxError> {
    let found = keys.find(&digest).await.map_err(Into::into)?;
    black_box(found.ok_or("a key is missing")?);
    Ok(())
}

/// The same row, and no sense made of it.
const BARE: &str = "SELECT * FROM bench_keys WHERE digest = $1";

async fn sqlite(keys: usize) -> Result<(), BoxError> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let store = SqliteKeys::builder(&url).table("bench_keys").build().await?;
    let started = Instant::now();
    let mut transaction = store.pool().begin().await?;
    for sql in fills(keys) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    println!("sqlite: {keys} keys in {:.1} s", started.elapsed().as_secs_f64());
    let bare = async |pool: &SqlitePool, digest: KeyDigest| {
        let row = sqlx::query(BARE).bind(digest.to_stored()).fetch_one(pool).await?;
        black_box(row.try_get::<String, _>(0)?);
        Ok(())
    };
    let pool = store.pool();
    report("sqlite, bare on the same pool", compare(keys, |d| find(&store, d), |d| bare(pool, d)).await?);
    let pool = &SqlitePool::connect(&url).await?;
    report("sqlite, bare on a pool as SQLx makes it", compare(keys, |d| find(&store, d), |d| bare(pool, d)).await?);
    Ok(())
}

async fn postgres(keys: usize, url: &str) -> Result<(), BoxError> {
    let store = PostgresKeys::builder(url).table("bench_keys").build().await?;
    let started = Instant::now();
    let mut transaction = store.pool().begin().await?;
    sqlx::raw_sql("TRUNCATE bench_keys").execute(&mut *transaction).await?;
    for sql in fills(keys) {
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    sqlx::raw_sql("VACUUM ANALYZE bench_keys").execute(store.pool()).await?;
    println!("postgres: {keys} keys in {:.1} s", started.elapsed().as_secs_f64());
    let bare = async |pool: &PgPool, digest: KeyDigest| {
        let row = sqlx::query(BARE).bind(digest.to_stored()).fetch_one(pool).await?;
        black_box(row.try_get::<String, _>(0)?);
        Ok(())
    };
    let pool = store.pool();
    report("postgres, bare on the same pool", compare(keys, |d| find(&store, d), |d| bare(pool, d)).await?);
    let pool = &PgPool::connect(url).await?;
    report("postgres, bare on a pool as SQLx makes it", compare(keys, |d| find(&store, d), |d| bare(pool, d)).await?);
    sqlx::raw_sql("DROP TABLE bench_keys, bench_keys_schema").execute(pool).await?;
    Ok(())
}

fn main() -> Result<(), BoxError> {
    let argument = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let keys = argument.or_else(|| std::env::var("BENCH_KEYS").ok()?.parse().ok()).unwrap_or(20_000).max(1);
    memory(keys)?;
    tokio::runtime::Runtime::new()?.block_on(async {
        sqlite(keys).await?;
        match std::env::var("BENCH_POSTGRES") {
            Ok(url) => postgres(keys, &url).await,
            Err(_) => Ok(()),
        }
    })
}
