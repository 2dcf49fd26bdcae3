//! Findings in SARIF 2.1.0, as code scanning reads them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::finding::Finding;
use super::report::Report;

/// What may stand in the path of a URI as it is (RFC 3986 §3.3), and the separator.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

const RULE: &str = "api-key";

/// The whole log.
pub(super) fn log(report: &Report<'_>) -> Value {
    let troubles: Vec<_> = report.findings.troubles.iter().map(|trouble| notification(trouble)).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "api-keys",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": "https://docs.rs/tower-api-key",
                "rules": [rule()],
            } },
            "columnKind": "unicodeCodePoints",
            "invocations": [{
                "executionSuccessful": troubles.is_empty(),
                "toolExecutionNotifications": troubles,
            }],
            "results": report.findings.found.iter().map(|finding| result(report, finding)).collect::<Vec<_>>(),
        }],
    })
}

fn rule() -> Value {
    json!({
        "id": RULE,
        "name": "ApiKey",
        "shortDescription": { "text": "An API key" },
        "fullDescription": { "text": "Whoever can read this can use the key. Revoke it, and make another one." },
        "help": { "text": "Revoke the key by `api-keys revoke`, and keep its successor out of files." },
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": ["security"], "security-severity": "9.0" },
    })
}

fn result(report: &Report<'_>, finding: &Finding) -> Value {
    let known = report.known(finding).map(|known| format!(", {known}")).unwrap_or_default();
    let commit = finding.place.commit.as_ref().map(|commit| format!(", since commit {commit}")).unwrap_or_default();
    let level = match (report.is_live(finding), &finding.key) {
        (None | Some(true), _) => "error",
        // It may be one of another deployment.
        (Some(false), None) => "warning",
        (Some(false), Some(_)) => "note",
    };
    json!({
        "ruleId": RULE,
        "ruleIndex": 0,
        "level": level,
        "message": { "text": format!("The API key {} is here{commit}{known}", finding.masked) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(finding) },
            "region": {
                "startLine": finding.line,
                "startColumn": finding.column,
                "endColumn": finding.column + finding.secret.expose_secret().len() as u64,
                "byteOffset": finding.offset,
                "byteLength": finding.length,
            },
        } }],
        "partialFingerprints": { "apiKey/v1": finding.fingerprint },
        "properties": { "commit": finding.place.commit, "object": finding.place.object },
    })
}

fn notification(trouble: &str) -> Value {
    json!({ "level": "error", "message": { "text": trouble } })
}

/// Relative to where the scan began, or with the scheme of files.
fn uri(finding: &Finding) -> String {
    let path = match (&finding.place.path, &finding.place.object) {
        (Some(path), _) => path.replace('\\', "/"),
        (None, Some(object)) => format!(".git/objects/{object}"),
        (None, None) => String::new(),
    };
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{}", utf8_percent_encode(&path, PATH))
}
