//! The dashboard and the alert rules ask for what the crate exports, and for nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tower_api_key::metrics as names;

use crate::packages;
use crate::scrape::{promtool, with_services};

const METRICS: [(&str, &[&str]); 15] = [
    (names::DECISIONS, &["outcome", "reason", "source"]),
    (names::HANDLER_REFUSALS, &["reason"]),
    ("tower_api_key_stage_duration_seconds_bucket", &["stage", "from", "le"]),
    (names::BACKEND_ERRORS, &["backend"]),
    (names::DROPPED, &["what"]),
    (names::EXPIRING_KEYS, &["within"]),
    (names::CACHE_LOOKUPS, &["source", "result"]),
    (names::CACHE_LOADS, &["source", "result"]),
    (names::CACHE_ENTRIES, &["source", "kind"]),
    (names::CACHE_INVALIDATIONS, &["source", "what"]),
    (names::CACHE_BUS_CONNECTED, &["source"]),
    (names::LIMITER_ENTRIES, &[]),
    (names::LIMITER_CAPACITY, &[]),
    (names::LIMITER_AVAILABLE, &["limiter"]),
    (names::LIMITER_UNDECIDED, &["limiter", "on_unavailable"]),
];

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring")
}

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(folder().join("dashboard.json")).unwrap()).unwrap()
}

fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The names in a query that begin as the crate's do, each with what stands in the braces behind it.
fn selectors(query: &str) -> Vec<(String, String)> {
    let starts = query.match_indices("tower_api_key_").map(|(start, _)| &query[start..]);
    let selector = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        (name.to_owned(), labels.to_owned())
    };
    starts.map(selector).collect()
}

/// What is wrong with a query: a metric that there is none of, or a label that it does not have.
fn mistakes(query: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (name, matchers) in selectors(query) {
        let Some((_, labels)) = METRICS.iter().find(|(known, _)| *known == name) else {
            mistakes.push(format!("no metric {name}"));
            continue;
        };
        let matched = matchers.split(", ").filter_map(|matcher| matcher.split(['=', '!']).next());
        let unknown = matched.filter(|label| !label.is_empty() && *label != "job" && !labels.contains(label));
        mistakes.extend(unknown.map(|label| format!("no label {label} of {name}")));
    }
    let known: BTreeSet<_> = METRICS.iter().flat_map(|(_, labels)| labels.iter().copied()).chain(["job"]).collect();
    for grouped in query.split("by (").skip(1).filter_map(|rest| rest.split(')').next()) {
        mistakes.extend(grouped.split(", ").filter(|label| !known.contains(label)).map(|label| format!("by {label}")));
    }
    mistakes
}

#[test]
fn every_query_asks_for_metrics_and_labels_that_there_are() {
    let queries = queries(&dashboard());
    assert!(queries.len() > 20, "{}", queries.len());
    let rules = fs::read_to_string(folder().join("alerts.yml")).unwrap();
    for query in queries.iter().chain([&rules]) {
        assert_eq!(mistakes(query), Vec::<String>::new(), "{query}");
    }
    let asked: BTreeSet<_> = queries.iter().flat_map(|query| selectors(query)).map(|(name, _)| name).collect();
    for (name, _) in METRICS {
        assert!(asked.contains(name), "no panel shows {name}");
    }
    assert_eq!(mistakes("rate(tower_api_key_made_up_total[5m])"), ["no metric tower_api_key_made_up_total"]);
    assert_eq!(mistakes("tower_api_key_dropped_total{key=\"x\"}").len(), 1);
    assert_eq!(mistakes("sum by (key) (tower_api_key_dropped_total)").len(), 1);
}

#[test]
fn every_alert_says_how_bad_it_is_and_which_runbook_to_read() {
    let rules = fs::read_to_string(folder().join("alerts.yml")).unwrap();
    let alerts = rules.matches("- alert: ").count();
    assert!(alerts >= 10);
    assert_eq!(rules.matches("severity: ").count(), alerts);
    let runbooks: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("runbook: ")).collect();
    assert_eq!(runbooks.len(), alerts);
    for runbook in runbooks {
        assert!(folder().join(runbook).exists(), "{runbook}");
    }
    let tests = fs::read_to_string(folder().join("alerts.test.yml")).unwrap();
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("\"{alert} fires\"")), "{alert}");
        assert!(tests.contains(&format!("\"{alert} is quiet: ")), "{alert}");
    }
}

#[test]
fn prometheus_can_read_every_query_of_the_dashboard() {
    if !with_services() {
        return;
    }
    let rules: Vec<_> = queries(&dashboard()).iter().enumerate().map(|(number, query)| rule(number, query)).collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard-queries.yml");
    fs::write(&file, format!("groups:\n  - name: dashboard\n    rules:\n{}", rules.concat())).unwrap();
    promtool(&["check", "rules", file.to_str().unwrap()], None);
}

/// A query as a rule: JSON is YAML.
fn rule(number: usize, query: &str) -> String {
    let query = query.replace("$__rate_interval", "5m").replace("$job", ".+");
    format!("      - record: panel:{number}\n        expr: {}\n", Value::from(query))
}

#[test]
fn grafana_knows_everything_that_the_dashboard_says() {
    if !with_services() {
        return;
    }
    let folder = packages::installed("grafana-foundation-sdk.pip");
    let run = |program: &Path, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/grafana_dashboard.py");
    let file = self::folder().join("dashboard.json");
    let panels = run(&folder.join("bin/python"), &[script.to_str().unwrap(), file.to_str().unwrap()]);
    assert_eq!(panels.trim(), format!("{} panels", dashboard()["panels"].as_array().unwrap().len()));
}
