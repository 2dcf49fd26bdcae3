use std::fs;

use super::*;

/// SHA-256 of `abc`.
const ABC: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn folder_with(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api-keys.json");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn open(path: &Path) -> JsonFileKeys {
    JsonFileKeys::builder(path).add_format(KeyFormat::text()).check_every(None).open().unwrap()
}

fn with_abc() -> String {
    format!(r#"{{"version":1,"keys":[{{"id":"key_1","digest":"{ABC}","scopes":["read"]}}]}}"#)
}

fn knows_abc(keys: &JsonFileKeys) -> bool {
    matches!(keys.find_now(&keys.schemes()[1].digest("abc").unwrap()), Lookup::Found(_))
}

#[test]
fn what_is_wrong_with_a_file_is_said_and_it_is_left_as_it_is() {
    let one = format!(r#"{{"id":"key_1","digest":"{ABC}"}}"#);
    for (text, problem) in [
        ("".to_owned(), "EOF"),
        (r#"{"version":2,"keys":[]}"#.to_owned(), "version 2"),
        (r#"{"version":2,"keys":{},"more":[]}"#.to_owned(), "version 2"),
        (r#"{"version":1}"#.to_owned(), "missing field `keys`"),
        (format!(r#"{{"version":1,"keys":[{one},{one}]}}"#), "listed twice"),
        (r#"{"version":1,"keys":[{"id":"key_9","digest":"abc"}]}"#.to_owned(), "key key_9"),
        (format!(r#"{{"version":1,"keys":[{{"id":"k","digest":"{ABC}","expiry":"x"}}]}}"#), "unknown field `expiry`"),
    ] {
        let (folder, path) = folder_with(&text);
        let error = JsonFileKeys::open(&path).unwrap_err();
        let said = error.to_string();
        assert!(said.contains(problem) && said.starts_with(path.to_str().unwrap()), "{said}");
        assert!(error.is_broken(), "{said}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
    let missing = JsonFileKeys::open("/a/file/that/is/missing").unwrap_err().to_string();
    assert!(missing.starts_with("/a/file/that/is/missing: "), "{missing}");
}

#[tokio::test]
async fn a_broken_edit_keeps_the_last_good_keys_and_is_never_overwritten() {
    let (_folder, path) = folder_with(&with_abc());
    let keys = open(&path);
    let id = KeyId::from_static("key_1");
    for broken in ["{", "", r#"{"version":2,"keys":[]}"#] {
        fs::write(&path, broken).unwrap();
        assert!(keys.reload().unwrap_err().is_broken());
        assert!(knows_abc(&keys));
        let refused = keys.revoke(&id, None).await.unwrap_err();
        assert!(refused.is_broken() && refused.to_string().contains("until it is repaired"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        assert!(keys.get(&id).await.unwrap().unwrap().revoked_at.is_none());
    }
    fs::remove_file(&path).unwrap();
    assert!(keys.issue(NewKey::named("k")).await.unwrap_err().is_broken());
    assert!(!path.exists() && knows_abc(&keys));
    fs::write(&path, r#"{"version":1,"keys":[]}"#).unwrap();
    keys.reload().unwrap();
    assert!(!knows_abc(&keys));
    let _ = keys.issue(NewKey::named("k")).await.unwrap();
}

#[tokio::test]
async fn what_is_read_back_is_what_was_written() {
    let (_folder, path) = folder_with(&with_abc());
    let clock = crate::clock::SystemClock;
    let keys = JsonFileKeys::builder(&path).clock(clock).open().unwrap();
    let mut new = NewKey::named("a \"name\"\n").expires_at(Timestamp::from_unix_micros(2_000_000_000_123_456));
    new.metadata.insert("n".to_owned(), 1.into());
    new.allowed_ips = Some("10.0.0.0/8".parse().unwrap());
    new.allowed_origins = Some(Vec::new());
    let issued = keys.issue(new).await.unwrap();
    let rotated = keys.rotate(&issued.record.id, KeyRotation::overlap(Duration::from_secs(60))).await.unwrap();
    let KeySuccession::Rotated { successor, predecessor } = rotated else { panic!("{rotated:?}") };
    let usage = KeyUsage::new(predecessor.id.clone(), 3, Timestamp::from_unix_micros(1_999_999));
    keys.record_usage(&[usage.last_used_ip("::1".parse().unwrap())]).await.unwrap();
    keys.revoke(&predecessor.id, Some("why".to_owned())).await.unwrap();
    let reopened = open(&path);
    for id in [&predecessor.id, &successor.record.id, &KeyId::from_static("key_1")] {
        let (ours, read) = (keys.get(id).await.unwrap(), reopened.get(id).await.unwrap());
        assert_eq!(format!("{ours:?}"), format!("{read:?}"));
        // To the microsecond, which is not shown.
        let (ours, read) = (ours.unwrap(), read.unwrap());
        assert_eq!((ours.expires_at, ours.created_at), (read.expires_at, read.created_at));
        assert_eq!((ours.last_used_at, &ours.rotation), (read.last_used_at, &read.rotation));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_is_made_for_its_owner_alone_and_keeps_other_permissions() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api-keys.json");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let keys = open(&path);
    assert!(keys.is_empty() && !path.exists(), "nothing is written before there is something to write");
    let issued = keys.issue(NewKey::named("k")).await.unwrap();
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&folder.path().join("api-keys.json.lock")), 0o600);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
    keys.revoke(&issued.record.id, None).await.unwrap();
    assert_eq!(mode(&path), 0o640);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_the_file_stays_one() {
    let (folder, path) = folder_with(&with_abc());
    let link = folder.path().join("link.json");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    open(&link).revoke(&KeyId::from_static("key_1"), None).await.unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(open(&path).get(&KeyId::from_static("key_1")).await.unwrap().unwrap().revoked_at.is_some());
}

#[tokio::test]
async fn a_write_that_fails_changes_nothing_and_says_why() {
    let (folder, path) = folder_with(&with_abc());
    let keys = open(&path);
    // Where the new text goes, there is a folder with something in it.
    fs::create_dir_all(folder.path().join("api-keys.json.tmp/in-the-way")).unwrap();
    let error = keys.revoke(&KeyId::from_static("key_1"), None).await.unwrap_err();
    assert!(!error.is_broken() && error.to_string().contains("could not be prepared"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), with_abc());
    assert!(keys.get(&KeyId::from_static("key_1")).await.unwrap().unwrap().revoked_at.is_none());
}

#[test]
fn it_works_without_a_runtime() {
    let (_folder, path) = folder_with(&with_abc());
    let keys = open(&path);
    let id = KeyId::from_static("key_1");
    let mut revoking = tokio_test::task::spawn(keys.revoke(&id, None));
    assert!(revoking.poll().is_ready());
}

#[tokio::test]
async fn two_stores_on_one_file_see_what_the_other_writes() {
    let (_folder, path) = folder_with(&with_abc());
    let (one, two) = (open(&path), open(&path));
    let issued = one.issue(NewKey::named("k")).await.unwrap();
    assert_eq!(two.len(), 1);
    // A write reads first.
    two.revoke(&KeyId::from_static("key_1"), None).await.unwrap();
    assert!(two.get(&issued.record.id).await.unwrap().is_some());
    one.reload().unwrap();
    assert!(one.get(&KeyId::from_static("key_1")).await.unwrap().unwrap().revoked_at.is_some());
}

#[tokio::test]
async fn a_change_that_changes_nothing_writes_nothing() {
    let (_folder, path) = folder_with(&with_abc());
    let keys = open(&path);
    assert!(keys.revoke(&KeyId::from_static("key_0"), None).await.unwrap().is_none());
    assert!(matches!(keys.set_enabled(&KeyId::from_static("key_1"), true).await, Ok(KeyUpdate::Changed(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), with_abc());
}

#[test]
fn a_broken_file_is_logged_once_and_so_is_its_repair() {
    let log: Arc<Mutex<Vec<u8>>> = Arc::default();
    #[derive(Clone)]
    struct Log(Arc<Mutex<Vec<u8>>>);
    impl std::io::Write for Log {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            std::io::Write::write(&mut *self.0.lock().unwrap(), text)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let writer = Log(Arc::clone(&log));
    // A call site that a thread without a listener comes by first can else stay silent for this one.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let (_folder, path) = folder_with(&with_abc());
    let keys = open(&path);
    let lines_after = |text: &str| {
        fs::write(&path, text).unwrap();
        (0..3).for_each(|_| keys.0.check());
        let text = String::from_utf8(log.lock().unwrap().clone()).unwrap();
        assert!(!text.contains(&ABC[7..]));
        text.lines().map(|line| line.split_whitespace().nth(1).unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lines_after(&with_abc()), [""; 0]);
    assert_eq!(lines_after("{"), ["ERROR"]);
    assert_eq!(lines_after(r#"{"version":9}"#), ["ERROR", "ERROR"], "another mistake is another line");
    assert_eq!(lines_after(&with_abc()), ["ERROR", "ERROR", "INFO"]);
}
