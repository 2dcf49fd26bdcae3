//! What has broken gates before this one, tried over real connections on the example programs.
//!
//! Each program is started once, and all cases call it: a module is a class of attacks, and a row of its tables says because
//! of what it is there, the request as it goes over the wire, and what has to come back. A row that fails is printed. When
//! all cases have run, the programs are ended, and nothing that was sent as a secret may stand in what they logged, at
//! `RUST_LOG=trace`, or answered.
//!
//! Requests are written byte for byte, since a client would put right what the rows get wrong.
//!
//! What needs a clock, many nodes, or a server that fails is proved elsewhere: `tests/security` has the same classes on one
//! layer in the process, `tests/limits.rs` and `tests/cached` races, `tests/json_file.rs` kills and full disks, `tests/redis`,
//! `tests/postgres` and `tests/example_cluster.rs` outages.

#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../example_platform/people.rs"]
mod people;
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "not all of it is needed here")]
#[path = "../example_platform/upstream.rs"]
mod upstream;

mod addresses;
mod backends;
mod bytes;
mod credentials;
mod crossings;
mod digests;
mod evidence;
mod forged;
mod frames;
mod headers;
mod injections;
mod limits;
mod managed;
mod minting;
mod once;
mod paths;
mod preflights;
mod principals;
mod sessions;
mod sites;
mod statuses;
mod table;
mod tokens;
mod wire;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Trial};

use crate::table::{Case, Findings};
use crate::world::World;

/// The classes, by their names.
const CLASSES: &[(&str, &[Case])] = &[
    ("addresses", addresses::CASES),
    ("backends", backends::CASES),
    ("bytes", bytes::CASES),
    ("credentials", credentials::CASES),
    ("crossings", crossings::CASES),
    ("digests", digests::CASES),
    ("frames", frames::CASES),
    ("headers", headers::CASES),
    ("injections", injections::CASES),
    ("limits", limits::CASES),
    ("minting", minting::CASES),
    ("once", once::CASES),
    ("paths", paths::CASES),
    ("preflights", preflights::CASES),
    ("principals", principals::CASES),
    ("sessions", sessions::CASES),
    ("sites", sites::CASES),
    ("statuses", statuses::CASES),
    ("tokens", tokens::CASES),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let world = (!arguments.list).then(|| Arc::new(World::start()));
    let conclusion = libtest_mimic::run(&arguments, trials(world.as_ref()));
    let Some(world) = world.and_then(Arc::into_inner) else { return conclusion.exit_code() };
    world.end();
    let leaks = evidence::leaks();
    if arguments.filter.is_none() {
        assert!(evidence::secrets() > 5_000, "the cases send secrets");
    }
    evidence::discard();
    if leaks.is_empty() {
        return conclusion.exit_code();
    }
    eprintln!("secrets in logs or answers: {}\n{}", leaks.len(), leaks.join("\n"));
    ExitCode::FAILURE
}

fn trials(world: Option<&Arc<World>>) -> Vec<Trial> {
    let cases = CLASSES.iter().flat_map(|(class, cases)| cases.iter().map(move |case| (class, case)));
    cases
        .map(|(class, &(name, case))| {
            let world = world.cloned();
            Trial::test(format!("{class}::{name}"), move || {
                let mut findings = Findings::default();
                case(&world.expect("the programs run"), &mut findings);
                findings.conclude().map_err(Into::into)
            })
        })
        .collect()
}
