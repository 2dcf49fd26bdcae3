//! Counts the instructions that the layer adds to a request, and compares them with those that are pinned.
//!
//! ```text
//! cargo run --release                    compare with pinned.txt; fails above it by more than 3 %
//! cargo run --release -- pin             write pinned.txt
//! cargo run --release -- profile NAME    where the instructions of one request go (callgrind_annotate)
//! ```
//!
//! Callgrind simulates a processor without instructions for SHA-256, so the digest is counted by itself and left out.
//! What is left does not depend on the machine, nor on what else runs on it: a change is seen that no clock could show.

#[allow(dead_code, reason = "other benches need what this one does not")]
#[path = "../../support/fixture.rs"]
mod fixture;
#[path = "../../support/floor.rs"]
mod floor;
#[path = "../../support/people.rs"]
mod people;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::pin::pin;
use std::process::{Command, ExitCode, Stdio};
use std::task::{Context, Poll, Waker};
use std::{env, fs};

use fixture::{Asked, Bare, Fixture, is_refused};
use floor::Floor;
use http::{Request, Response};
use sha2::{Digest, Sha256};
use tower::{Layer, Service};

const PINNED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pinned.txt");
const REQUESTS: usize = 200;
/// How many instructions more than pinned are let pass.
const SLACK: f64 = 1.03;

const BARE: &str = "bare";
const DIGEST: &str = "digest";
/// What the least that a guard has to do takes, for comparison.
const FLOORS: [(&str, bool); 2] = [("floor, accepted", false), ("floor, accepted, limit", true)];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["run", name] => run(name),
        ["profile", name] => profile(name),
        ["pin"] => {
            let added = added();
            added.iter().for_each(|(name, count)| println!("{name:<32} {count:>8}"));
            fs::write(PINNED, table(&added)).expect("pinned.txt can be written");
            ExitCode::SUCCESS
        }
        [] => compare(),
        _ => panic!("nothing, `pin`, or `profile` and a name"),
    }
}

/// What callgrind looks at: it counts while this function runs, and nowhere else.
#[inline(never)]
fn counted<T>(items: Vec<T>, mut call: impl FnMut(T)) {
    for item in items {
        call(item);
    }
}

fn run(name: &str) -> ExitCode {
    let fixture = Fixture::new(100);
    if name == DIGEST {
        counted(vec![fixture.secrets[0].as_str(); REQUESTS], |key| {
            black_box(Sha256::digest(black_box(key)));
        });
    } else if name == BARE {
        answer(name, Bare::<()>::new(), &Asked::get("/v1/items", &fixture.secrets[0]));
    } else if let Some((_, full)) = FLOORS.iter().find(|(floor, _)| *floor == name) {
        let floor = Floor::new(Bare::<&str>::new(), floor::keys(fixture.secrets.iter().map(String::as_str)), *full);
        answer(name, floor, &Asked::get("/v1/items", &fixture.secrets[50]));
    } else {
        let setting = fixture.setting(name);
        answer(name, setting.layer.layer(Bare::<()>::new()), &setting.asked);
    }
    ExitCode::SUCCESS
}

fn answer<S, R>(name: &str, mut service: S, asked: &Asked)
where
    S: Service<Request<()>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut call = |request| match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(response) => black_box(response.expect("the service has no errors")).status().is_success(),
        Poll::Pending => panic!("nothing here has to wait"),
    };
    // What happens once for each key has happened.
    let refused = [call(asked.request()), call(asked.request())].contains(&false);
    assert_eq!(refused, is_refused(name), "{name}");
    counted((0..REQUESTS).map(|_| asked.request()).collect(), |request| {
        black_box(call(request));
    });
}

/// The instructions of each kind of request, without those of the bare service and of the digest.
fn added() -> BTreeMap<String, u64> {
    let settings = Fixture::new(1).settings();
    let names = settings.iter().map(|setting| setting.name).chain(FLOORS.iter().map(|(name, _)| *name));
    let names: Vec<String> = names.map(str::to_owned).collect();
    let jobs: Vec<&str> = [BARE, DIGEST].into_iter().chain(names.iter().map(String::as_str)).collect();
    // Two at once: most machines have as many processors.
    let counts: Vec<(&str, u64)> = jobs
        .chunks(2)
        .flat_map(|pair| {
            let begun: Vec<_> = pair.iter().map(|name| (*name, callgrind(name, "/dev/null"))).collect();
            begun.into_iter().map(|(name, child)| (name, total(child))).collect::<Vec<_>>()
        })
        .collect();
    let of = |wanted: &str| counts.iter().find(|(name, _)| *name == wanted).map_or(0, |(_, count)| *count);
    let (bare, digest) = (of(BARE), of(DIGEST));
    let digested = |name: &str| !["public", "missing", "checksum", "session"].iter().any(|part| name.contains(part));
    let rest = |name: &str, count: u64| count.saturating_sub(bare + if digested(name) { digest } else { 0 });
    names.iter().map(|name| (name.clone(), rest(name, of(name)) / REQUESTS as u64)).collect()
}

fn callgrind(name: &str, output: &str) -> std::process::Child {
    Command::new("valgrind")
        .args(["--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*counted*"])
        .arg(format!("--callgrind-out-file={output}"))
        .arg(env::current_exe().expect("the program knows itself"))
        .args(["run", name])
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind is installed")
}

/// What callgrind says that it has collected.
fn total(child: std::process::Child) -> u64 {
    let output = child.wait_with_output().expect("valgrind ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    line.and_then(|(_, count)| count.trim().parse().ok()).unwrap_or_else(|| panic!("no count in {said}"))
}

fn compare() -> ExitCode {
    let pinned = fs::read_to_string(PINNED).expect("pinned.txt is there");
    let pinned: BTreeMap<&str, u64> =
        pinned.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, count)| (name.trim(), number(count))).collect();
    let mut failed = false;
    for (name, count) in added() {
        if is_floor(&name) {
            println!("{name:<32} {count:>8}");
            continue;
        }
        let before = pinned.get(name.as_str()).copied().unwrap_or_else(|| panic!("{name} is not pinned"));
        let ratio = count as f64 / before as f64;
        let verdict = match ratio {
            ratio if ratio > SLACK => "MORE THAN PINNED",
            ratio if ratio < 2.0 - SLACK => "less than pinned: pin it",
            _ => "",
        };
        failed |= ratio > SLACK;
        println!("{name:<32} {count:>8} {before:>8} {ratio:>6.2} {verdict}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn profile(name: &str) -> ExitCode {
    let file = env::temp_dir().join(format!("callgrind.{}", std::process::id()));
    let path = file.to_str().expect("the path is text");
    println!("{} instructions for {REQUESTS} requests", total(callgrind(name, path)));
    let shown = Command::new("callgrind_annotate").args(["--threshold=97", "--show-percs=yes", path]).status();
    let _ = fs::remove_file(file);
    if shown.is_ok_and(|status| status.success()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn table(counts: &BTreeMap<String, u64>) -> String {
    counts.iter().filter(|(name, _)| !is_floor(name)).fold(String::new(), |mut text, (name, count)| {
        let _ = writeln!(text, "{name:<32} {count:>8}");
        text
    })
}

fn is_floor(name: &str) -> bool {
    FLOORS.iter().any(|(floor, _)| *floor == name)
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}
