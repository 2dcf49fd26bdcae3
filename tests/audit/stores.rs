//! Every store of this crate keeps to the rules of all.

use std::sync::{Arc, Mutex};

use tower_api_key::audit::{AuditFilter, AuditStore, JsonLinesAudit, MemoryAudit};
use tower_api_key::testing::conformance;

use super::support::event;

#[tokio::test]
async fn events_in_memory() {
    conformance::audit_store(async || Arc::new(MemoryAudit::new())).await;
}

#[tokio::test]
async fn events_in_a_file_of_lines() {
    let folders = Mutex::new(Vec::new());
    for rotate_at in [16 << 20, 3_000, 1] {
        conformance::audit_store(async || {
            let folder = tempfile::tempdir().unwrap();
            let store = JsonLinesAudit::builder(folder.path().join("audit.jsonl")).rotate_at(rotate_at).keep_files(200);
            folders.lock().unwrap().push(folder);
            store.open().unwrap()
        })
        .await;
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn events_in_sqlite() {
    use tower_api_key::source::SqliteKeys;
    conformance::audit_store(async || SqliteKeys::connect("sqlite::memory:").await.unwrap()).await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("keys.db").display());
    let keys = SqliteKeys::connect(&url).await.unwrap();
    keys.append(&[event(0), event(1)]).await.unwrap();
    let broken = "UPDATE api_keys_audit SET event = '{\"id\":' WHERE at = 1768413601000000";
    sqlx::query(broken).execute(keys.pool()).await.unwrap();
    let read = SqliteKeys::connect(&url).await.unwrap().events(&AuditFilter::default()).await.unwrap();
    assert_eq!(read.items, [event(0)], "what was broken by hand hides nothing else");
}

#[tokio::test]
async fn a_full_memory_forgets_the_oldest() {
    let store = MemoryAudit::with_capacity(2);
    store.append(&[event(0), event(1), event(2)]).await.unwrap();
    assert_eq!(store.all(), [event(1), event(2)]);
}

/// A filter that hardly anything matches gives pages in steps, each of which looks at so many events.
#[tokio::test]
async fn a_search_through_many_events_goes_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let store = JsonLinesAudit::open(folder.path().join("audit.jsonl")).unwrap();
    let mut first = event(-1);
    first.path = "/needle".to_owned();
    store.append(&[first.clone()]).await.unwrap();
    for block in 0..5 {
        store.append(&(block * 9_000..(block + 1) * 9_000).map(event).collect::<Vec<_>>()).await.unwrap();
    }
    let mut filter = AuditFilter::default();
    filter.text = Some("needle".to_owned());
    let (mut pages, mut found) = (0, Vec::new());
    loop {
        let page = store.events(&filter).await.unwrap();
        pages += 1;
        found.extend(page.items);
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    assert_eq!((pages, found), (3, vec![first]));
}
