//! Backends that fail, and programs that go on: `platform`, whose two databases are taken away and put back.
//!
//! Redis and Postgres are taken away from running programs in `tests/example_cluster.rs`.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, SqliteConnection};

use crate::evidence;
use crate::people::{Platform, ada};
use crate::table::{Case, Findings, OK, UNAVAILABLE, cases};
use crate::upstream::Upstream;
use crate::wire::{self, Ask};
use crate::world::{Server, World, mint};

pub(crate) const CASES: &[Case] = cases![no_backend_that_fails_is_a_yes_or_a_no];

fn no_backend_that_fails_is_a_yes_or_a_no(world: &World, findings: &mut Findings) {
    let runtime = world.runtime();
    let upstream = runtime.block_on(Upstream::start());
    let log = evidence::log("platform without databases");
    let platform = runtime.block_on(Platform::logging(&upstream.url, &[("RUST_LOG", "trace")], log));
    let Platform { program, folder } = platform;
    let server = Server::of("platform without databases", program);
    let keys = "/api/organizations/acme/api-keys";
    let held = mint(&server, &Ask::post(keys, r#"{"name":"ci"}"#).field("cookie", ada()));
    let by_key = Ask::get("/api/run/x").field("x-api-key", &held.key);
    let by_unknown = Ask::get("/api/run/x").field("x-api-key", World::unknown_key());
    let by_person = Ask::get("/api/whoami").field("cookie", ada());
    findings.row("before", &server, &by_key, &[(207, "")]);
    findings.row("before", &server, &by_person, &[OK]);

    let open = |name: &str| {
        let url = format!("sqlite:{}", folder.path().join(name).display());
        runtime.block_on(SqliteConnection::connect(&url)).expect("a database")
    };
    let run = |database: &mut SqliteConnection, statement: &'static str| {
        runtime.block_on(database.execute(statement)).expect("a statement");
    };
    let mut of_keys = open("keys.db");
    let tables: Vec<String> = runtime
        .block_on(
            sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%digest%'")
                .fetch_all(&mut of_keys),
        )
        .expect("tables");
    let table = tables.first().expect("a table of keys").clone();
    let rename = |database: &mut SqliteConnection, from: &str, to: &str| {
        let statement = sqlx::AssertSqlSafe(format!("ALTER TABLE \"{from}\" RENAME TO \"{to}\""));
        runtime.block_on(sqlx::query(statement).execute(database)).expect("a statement");
    };

    // Keys cannot be looked up.
    rename(&mut of_keys, &table, "gone");
    for ask in [&by_key, &by_unknown] {
        let answer = findings.row("an error is neither yes nor no", &server, ask, &[UNAVAILABLE]);
        findings.holds("come again", !answer.header("retry-after").is_empty(), || format!("{answer:?}"));
        findings.holds("its cause is nobody's business", !answer.body.contains("table"), || answer.body.clone());
    }
    findings.row("a person needs no key", &server, &by_person, &[OK]);
    findings.row("nobody stays nobody", &server, &Ask::get("/api/run/x"), &[(401, "MISSING_API_KEY")]);
    rename(&mut of_keys, "gone", &table);
    findings.row("it is back", &server, &by_key, &[(207, "")]);

    // Sessions cannot be looked up.
    let mut of_people = open("auth.db");
    rename(&mut of_people, "session", "gone");
    let answer = findings.row("an error is neither yes nor no", &server, &by_person, &[UNAVAILABLE]);
    findings.holds("its cause is nobody's business", !answer.body.contains("session"), || answer.body.clone());
    findings.row(
        "nor does a session that may be good manage keys",
        &server,
        &Ask::post(keys, r#"{"name":"x"}"#).field("cookie", ada()),
        &[UNAVAILABLE],
    );
    findings.row("a key needs no person", &server, &by_key, &[(207, "")]);
    rename(&mut of_people, "gone", "session");
    findings.row("it is back", &server, &by_person, &[OK]);

    // A database that keeps everybody waiting: writers are told within the deadline, and nobody else waits for them.
    run(&mut of_keys, "BEGIN EXCLUSIVE");
    let started = Instant::now();
    let made = wire::exchange(server.address, &Ask::post(keys, r#"{"name":"waits"}"#).field("cookie", ada()));
    let took = started.elapsed();
    findings.holds("the gate never waits for ever", took < Duration::from_secs(12), || format!("{took:?}"));
    findings.holds("a write that cannot be made is none", made.status == 503, || format!("{made:?}"));
    let started = Instant::now();
    findings.row("a person waits for no keys", &server, &by_person, &[OK]);
    let took = started.elapsed();
    findings.holds("a person waits for no keys", took < Duration::from_secs(2), || format!("{took:?}"));
    run(&mut of_keys, "ROLLBACK");
    findings.row("it is back", &server, &by_key, &[(207, "")]);
    server.end();
}
