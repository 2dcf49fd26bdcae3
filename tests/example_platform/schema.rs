//! Schemathesis calls the running program as its document says, and as it does not, with the session of an admin. Runs when
//! `TEST_SERVICES` is 1, and then needs Python 3 with venv and the package registry.

use std::process::Command;

use super::packages;
use super::people::{Platform, ada, wanted};
use super::support::{get, json};
use super::upstream::Upstream;

#[tokio::test]
async fn the_document_names_the_schemes_and_needs_no_credential() {
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[]).await;
    let document = json(&get(&platform.url("/openapi.json"), &[]).await);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{document}");
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    for scheme in ["key-bearer", "key-x-api-key", "session-better-auth.session_token"] {
        assert!(schemes.contains_key(scheme), "{scheme} in {schemes:?}");
    }
    assert!(document["paths"]["/api/organizations/{org}/api-keys"]["post"].is_object());
    let page = get(&platform.url("/docs"), &[]).await;
    assert!(page.status().is_success() || page.status().is_redirection(), "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    if !wanted() {
        return;
    }
    let upstream = Upstream::start().await;
    let platform = Platform::start(&upstream, &[("API_RATE_LIMIT", "1000000")]).await;
    let folder = tempfile::tempdir().unwrap();
    // Other organisations are 403, which would hide the rest.
    std::fs::write(folder.path().join("schemathesis.toml"), "[parameters]\n\"path.org\" = \"acme\"\n").unwrap();
    let mut command = Command::new(packages::installed("schemathesis.pip").join("bin/schemathesis"));
    command.current_dir(&folder).env("NO_COLOR", "1").env("SCHEMATHESIS_REPORT", "false");
    command.arg("run").arg(platform.url("/openapi.json")).args(["-H", &format!("Cookie: {}", ada())]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--max-examples",
        "15",
        "--generation-deterministic",
    ]);
    command.args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"]);
    command.args(["--checks", "response_headers_conformance,response_schema_conformance"]);
    command.args(["--mode", "all", "--max-time", "25"]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let cases = text.lines().find_map(|line| line.trim().split_once(" generated, "));
    let cases: u32 = cases.and_then(|(cases, _)| cases.parse().ok()).unwrap_or_default();
    assert!(cases >= 100 && !text.contains("Authentication failed"), "{text}");
    let keys = json(&get(&platform.url("/api/organizations/acme/api-keys"), &[("cookie", &ada())]).await);
    assert!(!keys["items"].as_array().unwrap().is_empty(), "calls that make keys were let in");
}
