//! Rows of attacks, and what came of them.

use std::fmt::Display;

use crate::wire::{self, Answer, Ask};
use crate::world::{Server, World};

/// A case of a class: its name, which is a sentence, and its rows.
pub(crate) type Case = (&'static str, fn(&World, &mut Findings));

/// The cases of a class, named as their functions are.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), $name)),*]
    };
}
pub(crate) use cases;

/// A status and the code of the refusal; no code is an answer that is not the gate's.
pub(crate) type Expected = (u16, &'static str);

pub(crate) const MISSING: Expected = (401, "MISSING_API_KEY");
pub(crate) const INVALID: Expected = (401, "INVALID_API_KEY");
pub(crate) const AMBIGUOUS: Expected = (401, "AMBIGUOUS_CREDENTIALS");
pub(crate) const NO_SESSION: Expected = (401, "INVALID_SESSION");
pub(crate) const NO_SCOPE: Expected = (403, "INSUFFICIENT_SCOPE");
pub(crate) const FORBIDDEN: Expected = (403, "FORBIDDEN");
pub(crate) const NO_KEY: Expected = (404, "KEY_NOT_FOUND");
pub(crate) const CROSS_SITE: Expected = (403, "CROSS_SITE_REQUEST");
pub(crate) const UNAVAILABLE: Expected = (503, "AUTH_UNAVAILABLE");
/// The server has not understood it, so that the gate never saw it.
pub(crate) const BAD_REQUEST: Expected = (400, "");
/// There is nothing there.
pub(crate) const NOTHING: Expected = (404, "");
pub(crate) const OK: Expected = (200, "");

/// What a case has found.
#[derive(Default)]
pub(crate) struct Findings {
    rows: usize,
    wrong: Vec<String>,
}

impl Findings {
    /// Sends a request, which has to be answered with one of these.
    pub(crate) fn row(&mut self, because: &str, server: &Server, ask: &Ask, expected: &[Expected]) -> Answer {
        let answer = wire::exchange(server.address, ask);
        self.judge(because, server, ask, &answer, expected);
        answer
    }

    /// Whether an answer is one of these. To `HEAD` nobody says a code.
    pub(crate) fn judge(
        &mut self,
        because: &str,
        server: &Server,
        ask: impl Display,
        answer: &Answer,
        expected: &[Expected],
    ) {
        let code = answer.code();
        let fits = |&(status, known): &Expected| {
            status == answer.status && (known == code || (answer.body.is_empty() && code.is_empty()))
        };
        self.holds(because, expected.iter().any(fits), || {
            format!("{}\n{ask}\n    expected {expected:?}, got {} {code}: {}", server.name, answer.status, answer.body)
        });
    }

    pub(crate) fn holds<T: Display>(&mut self, because: &str, holds: bool, otherwise: impl FnOnce() -> T) {
        self.rows += 1;
        if !holds {
            self.wrong.push(format!("{because}: {}", otherwise()));
        }
    }

    /// A table that has shrunk tests less than it did.
    pub(crate) fn at_least(&mut self, rows: usize) {
        let count = self.rows;
        self.holds("the table is wide", count >= rows, || format!("it has {count} rows of {rows}"));
    }

    pub(crate) fn conclude(self) -> Result<(), String> {
        let Self { rows, wrong } = self;
        if wrong.is_empty() && rows > 0 {
            return Ok(());
        }
        let shown: Vec<_> = wrong.iter().take(12).map(String::as_str).collect();
        Err(format!("{} of {rows} rows failed\n{}", wrong.len(), shown.join("\n\n")))
    }
}
