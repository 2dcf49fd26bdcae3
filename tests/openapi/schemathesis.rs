//! Schemathesis calls the API as its document says, and as it does not. Runs when `TEST_SERVICES` is 1, and then needs
//! Python 3 with venv and the package registry.

use std::process::Command;

use tower_api_key::rejection::Style;

use super::packages;
use super::support::{serve, wanted};

#[tokio::test(flavor = "multi_thread")]
async fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    if !wanted() {
        return;
    }
    tokio::join!(call_as_the_document_says(Style::flat()), call_as_the_document_says(Style::problem()));
}

async fn call_as_the_document_says(style: Style) {
    let program = tokio::task::spawn_blocking(|| packages::installed("schemathesis.pip").join("bin/schemathesis"));
    let (url, admin) = serve(style).await;
    let mut command = Command::new(program.await.unwrap());
    command.arg("run").arg(format!("{url}/openapi.json")).args(["-H", &format!("X-API-Key: {admin}")]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--max-examples",
        "15",
        "--generation-deterministic",
    ]);
    command.args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"]);
    command.args(["--checks", "response_headers_conformance,response_schema_conformance"]);
    command.args(["--mode", "all", "--max-time", "40"]);
    let folder = tempfile::tempdir().unwrap();
    command.current_dir(&folder).env("NO_COLOR", "1").env("SCHEMATHESIS_REPORT", "false");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    // `378 generated, 378 passed`: the calls were made, and with a key that was good to the end.
    let cases = text.lines().find_map(|line| line.trim().split_once(" generated, "));
    let cases: u32 = cases.and_then(|(cases, _)| cases.parse().ok()).unwrap_or_default();
    assert!(cases >= 100 && !text.contains("Authentication failed"), "{text}");
}
