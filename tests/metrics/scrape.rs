//! The example `generate` under load, scraped, and what Prometheus's own tool says of it. Runs when `TEST_SERVICES` is 1, and
//! then needs `promtool`.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use tower_api_key::metrics as names;

use crate::page::Page;
use crate::support::{self, Program, get, json, send};

const ADMIN: &str = "an-admin-key-of-at-least-32-characters";

/// Whether the tests that need more than cargo are to run. There, what is missing is a failure.
pub(crate) fn with_services() -> bool {
    std::env::var("TEST_SERVICES").is_ok_and(|value| value == "1")
}

/// What `promtool` prints, if it is content.
pub(crate) fn promtool(arguments: &[&str], input: Option<&str>) -> String {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tool = command.spawn().expect("promtool is installed: it comes with Debian's prometheus");
    tool.stdin.take().unwrap().write_all(input.unwrap_or_default().as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "promtool {arguments:?}: {text}");
    text
}

/// Whether an alert fires when what a scrape counts happens every minute.
fn fires(alert: &str, scrape: &str, expected: bool) {
    let lines = scrape.lines().filter(|line| line.starts_with("tower_api_key_") && line.contains("_total"));
    let series = lines.map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        format!("      - series: '{}'\n        values: '0+{value}x30'\n", series.replace('{', "{job=\"generate\","))
    });
    let series: String = series.collect();
    let rules = crate::dashboard::folder().join("alerts.yml");
    let tests = format!(
        "rule_files: [{}]\nevaluation_interval: 1m\ntests:\n  - interval: 1m\n    input_series:\n{series}\
         \x20   promql_expr_test:\n      - expr: count(ALERTS{{alertname=\"{alert}\", alertstate=\"firing\"}})\n\
         \x20       eval_time: 25m\n        exp_samples: {}\n",
        rules.display(),
        if expected { "[{ labels: '{}', value: 1 }]" } else { "[]" },
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{alert}-of-a-scrape.yml"));
    fs::write(&file, tests).unwrap();
    promtool(&["test", "rules", file.to_str().unwrap()], None);
}

#[tokio::test]
async fn a_scrape_of_generate_under_load_parses_and_says_what_happened() {
    if !with_services() {
        return;
    }
    let data = tempfile::tempdir().unwrap();
    let settings = [
        ("ADMIN_API_KEY", ADMIN),
        ("API_RATE_LIMIT", "50"),
        ("METRICS_PORT", "0"),
        ("DATA_DIR", data.path().to_str().unwrap()),
    ];
    let (program, page) = Program::with_metrics("generate", &settings);
    let admin = [("authorization", &*format!("Bearer {ADMIN}"))];
    let url = |path: &str| format!("{}{path}", program.url);
    let made = send("POST", &url("/v1/keys"), &admin, r#"{"name":"load","scopes":["read"]}"#).await;
    let key = format!("Bearer {}", json(&made)["key"].as_str().unwrap());

    let generate = url("/v1/generate");
    let load = async |header: Option<&str>, times: usize| {
        let headers: Vec<_> = header.into_iter().map(|header| ("authorization", header)).collect();
        let calls = (0..times).map(|_| {
            let (generate, headers) = (generate.clone(), headers.clone());
            async move { send("POST", &generate, &headers, "{}").await.status().as_u16() }
        });
        let mut statuses = Vec::new();
        for call in calls {
            statuses.push(call.await);
        }
        statuses
    };
    let accepted = load(Some(&key), 80).await;
    assert_eq!(accepted.iter().filter(|status| **status == 200).count(), 50);
    assert_eq!(accepted.iter().filter(|status| **status == 429).count(), 30);
    assert!(load(None, 20).await.iter().all(|status| *status == 401));
    assert!(load(Some("Bearer ak_live_wrong"), 30).await.iter().all(|status| *status == 401));
    assert_eq!(send("PUT", &url("/v1/resources/1"), &[("authorization", &key)], "{}").await.status(), 429);

    let text = get(&page, &[]).await.into_body();
    promtool(&["check", "metrics"], Some(&text));
    let page = Page::read(&text);
    let decisions = |outcome, reason| page.sum(names::DECISIONS, &[("outcome", outcome), ("reason", reason)]);
    assert_eq!(decisions("accepted", "api_key"), 50.0);
    assert_eq!(decisions("accepted", "admin_key"), 1.0);
    assert_eq!(decisions("refused", "RATE_LIMITED"), 31.0);
    assert_eq!(decisions("refused", "MISSING_API_KEY"), 20.0);
    assert_eq!(decisions("refused", "INVALID_API_KEY"), 30.0);
    assert!(page.sum(names::LIMITER_ENTRIES, &[]) >= 2.0);
    assert!(page.sum(&format!("{}_count", names::STAGE_DURATION), &[("from", "memory")]) > 0.0);
    for secret in [ADMIN, &key["Bearer ".len()..], "ak_live_"] {
        assert!(!text.contains(secret), "no key or part of one is on the page");
    }
    fires("ApiKeyRefusalsHigh", &text, true);
    fires("ApiKeyLimitedHigh", &text, true);
    fires("ApiKeyUnavailable", &text, false);
    fires("ApiKeyDrops", &text, false);
    // The page is not on the API's own port.
    assert_eq!(get(&url("/metrics"), &[]).await.status(), 401);
    assert_eq!(get(&url("/metrics"), &admin).await.status(), 404);
    program.ask_to_end();
    assert_eq!(program.ended().code(), Some(0));
}

#[test]
fn a_port_for_metrics_has_to_be_one() {
    let output = support::command("generate", &[("METRICS_PORT", "many")]).output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.starts_with("METRICS_PORT: \"many\"")), (Some(2), true), "{line}");
}

#[test]
fn the_alert_rules_can_be_read_and_fire_when_they_should() {
    if !with_services() {
        return;
    }
    let file = |name: &str| crate::dashboard::folder().join(name).to_str().unwrap().to_owned();
    let checked = promtool(&["check", "rules", &file("alerts.yml")], None);
    assert!(checked.contains("SUCCESS"), "{checked}");
    let tested = promtool(&["test", "rules", &file("alerts.test.yml")], None);
    assert!(tested.contains("SUCCESS"), "{tested}");
}
