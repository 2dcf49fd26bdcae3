//! Settings that are wrong.

use super::support::command;

fn refused(settings: &[(&str, &str)]) -> String {
    let output = command("platform", settings).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{settings:?}: {said}");
    assert!(output.stdout.is_empty(), "{settings:?}");
    said
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    let said = refused(&[]);
    for name in ["UPSTREAM_URL", "IDENTITY_SECRET", "BETTER_AUTH_SECRET", "BETTER_AUTH_DATABASE"] {
        assert!(said.contains(name), "{name} in {said}");
    }
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

#[test]
fn what_is_wrong_is_named_and_no_secret_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nothing/here.db");
    let missing = format!("sqlite:{}", nowhere.display());
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, b"").unwrap();
    let empty = format!("sqlite:{}", empty.display());
    let good = [
        ("UPSTREAM_URL", "http://127.0.0.1:9"),
        ("IDENTITY_SECRET", "a-secret-of-at-least-32-characters"),
        ("BETTER_AUTH_SECRET", "the-secret-of-better-auth"),
        ("BETTER_AUTH_DATABASE", "sqlite:whatever"),
        ("DATA_DIR", folder.path().to_str().unwrap()),
    ];
    for (name, value, part) in [
        ("UPSTREAM_URL", "not a url", "not a url"),
        ("UPSTREAM_URL", "/path/alone", "http://127.0.0.1:4000"),
        ("UPSTREAM_URL", "https://127.0.0.1:9", "TLS"),
        ("UPSTREAM_URL", "http://ann:hunter2@127.0.0.1:9", "user's name"),
        ("UPSTREAM_URL", "http://127.0.0.1:9/?a=b", "query"),
        ("UPSTREAM_TIMEOUT_MS", "0", "0"),
        ("UPSTREAM_TIMEOUT_MS", "soon", "soon"),
        ("IDENTITY_SECRET", "hunter2-is-too-short", "32"),
        ("ALLOWED_ORIGINS", "https://a.example,*", "\"*\""),
        ("ALLOWED_ORIGINS", "https://a.example/path", "a.example/path"),
        ("ALLOWED_ORIGINS", "a.example", "\"a.example\""),
        ("ALLOWED_ORIGINS", "https://*.example", "*.example"),
        ("ALLOWED_ORIGINS", "null", "null"),
        ("API_RATE_LIMIT", "0", "API_RATE_LIMIT"),
        ("API_RATE_LIMIT", "many", "many"),
        ("PORT", "70000", "70000"),
        ("BETTER_AUTH_DATABASE", "mysql://root:hunter2@127.0.0.1/auth", "sqlite:"),
        ("BETTER_AUTH_DATABASE", "postgres://root:hunter2@127.0.0.1:port/auth", "did not answer"),
        ("BETTER_AUTH_DATABASE", &missing, "did not answer"),
        ("BETTER_AUTH_DATABASE", &empty, "session"),
    ] {
        let mut settings = good.to_vec();
        settings.retain(|(known, _)| *known != name);
        settings.push((name, value));
        let said = refused(&settings);
        assert!(said.contains(name) && said.contains(part), "{name}={value}: {said}");
        assert!(!said.contains("hunter2"), "{name}: {said}");
    }
}
