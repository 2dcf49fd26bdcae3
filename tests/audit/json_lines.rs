//! Files, as others find them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tower_api_key::audit::{AuditEvent, AuditFilter, AuditStore, JsonLinesAudit};

use super::support::{at, event};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("audit.jsonl")
    }

    fn numbered(&self, number: usize) -> PathBuf {
        self.0.path().join(format!("audit.jsonl.{number}"))
    }

    /// The names of all files but the lock.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.0.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !name.ends_with(".lock")).collect();
        names.sort();
        names
    }
}

async fn all(store: &JsonLinesAudit) -> Vec<AuditEvent> {
    let mut filter = AuditFilter::default();
    filter.limit = 1_000;
    store.events(&filter).await.unwrap().items
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

#[tokio::test]
async fn a_file_is_rotated_before_it_grows_too_large_and_so_many_are_kept() {
    let folder = Folder::new();
    let store = JsonLinesAudit::builder(folder.path()).rotate_at(1_000).keep_files(2).open().unwrap();
    assert_eq!(folder.names(), [""; 0], "nothing is made before there is an event");
    for seconds in 0..20 {
        store.append(&[event(seconds)]).await.unwrap();
        assert!(fs::metadata(folder.path()).unwrap().len() <= 1_000);
    }
    assert_eq!(folder.names(), ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]);
    let kept = lines(&folder.path()) + lines(&folder.numbered(1)) + lines(&folder.numbered(2));
    let expected: Vec<_> = (0..20).rev().take(kept).map(event).collect();
    assert!((6..20).contains(&kept), "{kept}");
    assert_eq!(all(&store).await, expected, "from the latest file to the oldest");
    // Another value, as another program has it, reads the same.
    let other = JsonLinesAudit::builder(folder.path()).keep_files(2).open().unwrap();
    assert_eq!(all(&other).await, expected);
    let large: Vec<_> = (100..110).map(event).collect();
    store.append(&large).await.unwrap();
    assert_eq!(lines(&folder.path()), 10, "a batch is not torn apart");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_reads_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = JsonLinesAudit::builder(folder.path()).rotate_at(1).open().unwrap();
    for seconds in 0..3 {
        store.append(&[event(seconds)]).await.unwrap();
    }
    for entry in fs::read_dir(folder.0.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
}

#[tokio::test]
async fn a_day_has_a_file_of_its_own_if_asked_for() {
    let folder = Folder::new();
    let store = JsonLinesAudit::builder(folder.path()).rotate_daily().open().unwrap();
    let midnight = 6 * 3_600;
    for seconds in [0, midnight - 1, midnight, midnight + 5] {
        store.append(&[event(seconds)]).await.unwrap();
    }
    assert_eq!((lines(&folder.numbered(1)), lines(&folder.path())), (2, 2));
    assert_eq!(all(&store).await.len(), 4);
}

#[tokio::test]
async fn half_a_line_of_a_killed_process_hides_nothing() {
    let folder = Folder::new();
    let store = JsonLinesAudit::open(folder.path()).unwrap();
    store.append(&[event(0)]).await.unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(folder.path()).unwrap();
    file.write_all(b"{\"id\":\"evt_").unwrap();
    assert_eq!(all(&store).await, [event(0)]);
    store.append(&[event(1)]).await.unwrap();
    file.write_all(&[b"\n\n[]\n".as_slice(), &vec![b'x'; 3 << 20], b"\n"].concat()).unwrap();
    store.append(&[event(2)]).await.unwrap();
    assert_eq!(all(&store).await, [event(2), event(1), event(0)]);
}

#[tokio::test]
async fn a_file_goes_when_all_of_it_is_old() {
    let folder = Folder::new();
    let store = JsonLinesAudit::builder(folder.path()).rotate_at(1).open().unwrap();
    store.append(&[event(0), event(10)]).await.unwrap();
    store.append(&[event(20), event(30)]).await.unwrap();
    store.append(&[event(40)]).await.unwrap();
    assert_eq!(store.purge_events(at(10), 100).await.unwrap(), 0, "half of it is not old");
    assert_eq!(store.purge_events(at(11), 100).await.unwrap(), 2);
    assert_eq!(store.purge_events(at(11), 100).await.unwrap(), 0);
    assert_eq!(store.purge_events(at(1_000), 100).await.unwrap(), 2);
    assert_eq!(store.purge_events(at(1_000), 100).await.unwrap(), 0, "the file that is being written stays");
    assert_eq!(all(&store).await, [event(40)]);
}

/// Two writers, each with a lock of its own, as two processes have them.
#[tokio::test(flavor = "multi_thread")]
async fn writers_do_not_tear_each_others_lines_or_lose_a_file() {
    let folder = Folder::new();
    let writers = (0..4).map(|writer| {
        let store = JsonLinesAudit::builder(folder.path()).rotate_at(2_000).keep_files(500).open().unwrap();
        tokio::spawn(async move {
            for number in 0..25 {
                store.append(&[event(writer * 1_000 + number), event(writer * 1_000 + 500 + number)]).await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let store = JsonLinesAudit::builder(folder.path()).keep_files(500).open().unwrap();
    let read = all(&store).await;
    assert_eq!(read.len(), 200);
    assert!(read.iter().rev().is_sorted_by_key(|event| event.id));
}

#[test]
fn what_cannot_be_is_said_when_it_is_opened() {
    let folder = Folder::new();
    let error = JsonLinesAudit::builder(folder.path()).rotate_at(0).open().unwrap_err();
    assert!(error.to_string().ends_with("rotate_at: must be more than zero"), "{error}");
    let nowhere = folder.0.path().join("missing/audit.jsonl");
    let error = JsonLinesAudit::open(&nowhere).unwrap_err();
    assert_eq!(error.path(), nowhere);
}
