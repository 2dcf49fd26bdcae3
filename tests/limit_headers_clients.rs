//! What real clients read out of the rate-limit headers. Runs when `TEST_SERVICES` is 1, and then needs Node with npm,
//! Python 3 with venv, and the two package registries.

#[path = "support/packages.rs"]
mod packages;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use http::HeaderMap;
use serde_json::{Map, Value, json};
use tower_api_key::clock::Timestamp;
use tower_api_key::limit::{
    Algorithm, Charge, Decision, Detail, LimitHeaders, MemoryRateLimiter, Quota, RateLimiter, ResetFormat, Subject,
};

/// One answer of the limiter, and the fields that tell it.
struct Case {
    decision: Decision,
    headers: Map<String, Value>,
}

fn present() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

fn quotas() -> [Quota; 2] {
    [Quota::per_hour(100).named("hourly"), Quota::per_minute(30).algorithm(Algorithm::Gcra).burst(5).named("smooth")]
}

/// The answers to a few requests, the last of them refused.
fn cases(headers: LimitHeaders, now: Timestamp) -> Vec<Case> {
    let (limiter, quotas) = (MemoryRateLimiter::with_capacity(10), quotas());
    let charges: Vec<_> = quotas.iter().map(|quota| Charge::new(Subject::key("k"), quota)).collect();
    let ask = |_| {
        let decision = limiter.take_now(&charges, Detail::Each, now).expect("memory answers at once");
        let mut map = HeaderMap::new();
        headers.apply(&mut map, &charges, &decision, now);
        let text = |value: &http::HeaderValue| Value::from(value.to_str().unwrap());
        let headers = map.iter().map(|(name, value)| (canonical(name.as_str()), text(value))).collect();
        Case { decision, headers }
    };
    (0..7).map(ask).collect()
}

/// As HTTP/1 clients show it, and as those look it up that do not fold case.
fn canonical(name: &str) -> String {
    match name {
        "ratelimit" => "RateLimit".to_owned(),
        "ratelimit-policy" => "RateLimit-Policy".to_owned(),
        "retry-after" => "Retry-After".to_owned(),
        "x-ratelimit-limit" => "X-RateLimit-Limit".to_owned(),
        "x-ratelimit-remaining" => "X-RateLimit-Remaining".to_owned(),
        "x-ratelimit-reset" => "X-RateLimit-Reset".to_owned(),
        other => other.to_owned(),
    }
}

fn run(program: impl AsRef<Path>, arguments: &[&str], directory: &Path, input: &Value) -> String {
    let program = program.as_ref();
    let mut command = Command::new(program);
    let command = command.args(arguments).current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{} {arguments:?} failed", program.display());
    String::from_utf8(output.stdout).unwrap()
}

fn client(script: &str) -> String {
    format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"))
}

fn input(cases: &[Case]) -> Value {
    cases.iter().map(|case| Value::Object(case.headers.clone())).collect()
}

fn parsed(output: &str, cases: &[Case]) -> Vec<Value> {
    let parsed: Vec<Value> = serde_json::from_str(output).unwrap();
    assert_eq!(parsed.len(), cases.len());
    parsed
}

fn wanted() -> bool {
    std::env::var_os("TEST_SERVICES").is_some_and(|value| value == "1")
}

#[test]
fn npm_ratelimit_header_parser_reads_the_x_ratelimit_fields() {
    if !wanted() {
        return;
    }
    let directory = packages::installed("ratelimit-header-parser.npm");
    for format in [ResetFormat::Iso8601Millis, ResetFormat::EpochSeconds, ResetFormat::DeltaSeconds] {
        let cases = cases(LimitHeaders::new().reset(format), present());
        let output = run("node", &[&client("ratelimit_headers.mjs")], &directory, &input(&cases));
        for (case, parsed) in cases.iter().zip(parsed(&output, &cases)) {
            let state = case.decision.state().unwrap();
            assert_eq!(parsed["limit"], json!(state.limit), "{format:?}");
            assert_eq!(parsed["remaining"], json!(state.remaining), "{format:?}");
            let late = parsed["reset"].as_f64().unwrap() - state.reset.unix_micros() as f64 / 1e6;
            // A number of seconds from now also carries the time that starting Node took.
            let most = if format == ResetFormat::DeltaSeconds { 30.0 } else { 1.0 };
            assert!((-0.001..=most).contains(&late), "{format:?}: {late} s late");
        }
    }
}

#[test]
fn pypi_retryheader_reads_the_ietf_fields() {
    if !wanted() {
        return;
    }
    let directory = packages::installed("retryheader.pip");
    let now = present();
    let cases = cases(LimitHeaders::none().ietf(true).retry_after(true), now);
    let output = run(directory.join("bin/python"), &[&client("ratelimit_headers.py")], &directory, &input(&cases));
    let seconds = |until: Timestamp| until.since(now).as_micros().div_ceil(1_000_000);
    for (case, parsed) in cases.iter().zip(parsed(&output, &cases)) {
        for (index, (quota, state)) in quotas().iter().zip(case.decision.each().unwrap()).enumerate() {
            let limit =
                json!({"name": quota.name(), "remaining": state.remaining, "reset": seconds(state.reset) as u64});
            assert_eq!(parsed["limits"][index], limit);
            let policy = json!({"name": quota.name(), "limit": state.limit, "window": quota.window().as_secs()});
            assert_eq!(parsed["policies"][index], policy);
        }
        if let Some(wait) = case.decision.retry_after_seconds() {
            assert_eq!(parsed["delay"], json!(wait as f64));
        }
    }
    assert!(cases.iter().any(|case| !case.decision.is_admitted()));
}
