//! What is printed: JSON, tables on terminals, and plain columns in pipes.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use tabwriter::TabWriter;
use tower_api_key::clock::{Clock, SystemClock, Timestamp};
use tower_api_key::key::{KeyOwner, KeyRecord, KeyState};

use crate::failure::Failure;

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    pub(crate) json: bool,
    /// Whether a person looks at the standard output.
    pub(crate) terminal: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, terminal: io::stdout().is_terminal() }
    }

    /// One JSON value: indented on a terminal, else on one line.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = if self.terminal { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        self.line(text.map_err(|error| Failure::output(error.into()))?)
    }

    pub(crate) fn line(&self, text: impl Display) -> Result<(), Failure> {
        let mut out = anstream::stdout();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::output)
    }

    /// Columns under a header, on a terminal; else the cells with a tab between them.
    pub(crate) fn table(&self, header: &[&str], rows: impl IntoIterator<Item = Vec<Cell>>) -> Result<(), Failure> {
        let line = |cells: Vec<String>| cells.join("\t") + "\n";
        let mut text = String::new();
        if self.terminal {
            text.push_str(&line(header.iter().map(|name| styled(name, Style::new().bold())).collect()));
        }
        for row in rows {
            text.push_str(&line(row.iter().map(|cell| cell.text(self.terminal)).collect()));
        }
        self.columns(&text)
    }

    /// One row by itself, for a table that has no end.
    pub(crate) fn row(&self, row: Vec<Cell>) -> Result<(), Failure> {
        let cells: Vec<_> = row.iter().map(|cell| cell.text(self.terminal)).collect();
        self.line(cells.join(if self.terminal { "  " } else { "\t" }))
    }

    /// One thing, a fact a line.
    pub(crate) fn facts(&self, facts: impl IntoIterator<Item = (&'static str, Cell)>) -> Result<(), Failure> {
        let mut text = String::new();
        for (name, value) in facts {
            let name = if self.terminal { styled(&format!("{name}:"), Style::new().bold()) } else { name.to_owned() };
            text.push_str(&format!("{name}\t{}\n", value.text(self.terminal)));
        }
        self.columns(&text)
    }

    fn columns(&self, text: &str) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        let written = if self.terminal {
            let mut columns = TabWriter::new(&mut out).ansi(true).padding(2);
            columns.write_all(text.as_bytes()).and_then(|()| columns.flush())
        } else {
            out.write_all(text.as_bytes())
        };
        written.and_then(|()| out.flush()).map_err(Failure::output)
    }

    /// For people, on the standard error.
    pub(crate) fn note(&self, text: impl Display) {
        // If nobody reads it, nobody needs it.
        drop(writeln!(anstream::stderr(), "{text}"));
    }
}

/// A text in a table.
pub(crate) struct Cell(String, Style);

impl Cell {
    pub(crate) fn new(text: impl Display) -> Self {
        Self(text.to_string(), Style::new())
    }

    pub(crate) fn or_none(text: Option<impl Display>) -> Self {
        text.map_or_else(|| Self(String::new(), Style::new()), Self::new)
    }

    pub(crate) fn colored(text: impl Display, color: AnsiColor) -> Self {
        Self(text.to_string(), color.on_default())
    }

    fn text(&self, terminal: bool) -> String {
        let text = printable(&self.0);
        match (terminal, text.is_empty()) {
            (true, true) => "-".to_owned(),
            (true, false) => styled(&text, self.1),
            (false, _) => text.into_owned(),
        }
    }
}

pub(crate) fn state(state: KeyState) -> Cell {
    let color = match state {
        KeyState::Active => AnsiColor::Green,
        KeyState::Overlap | KeyState::Disabled => AnsiColor::Yellow,
        _ => AnsiColor::Red,
    };
    Cell::colored(state_name(state), color)
}

/// As it stands in JSON.
pub(crate) fn state_name(state: KeyState) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{state:?}").to_lowercase(),
    }
}

pub(crate) fn owner(owner: &KeyOwner) -> Cell {
    let user = owner.user.as_ref().map(|user| format!("user {user}"));
    let organization = owner.organization.as_ref().map(|id| format!("organization {id}"));
    Cell::new(user.into_iter().chain(organization).collect::<Vec<_>>().join(", "))
}

pub(crate) fn scopes(record: &KeyRecord) -> Cell {
    Cell::new(record.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// To the second.
pub(crate) fn instant(instant: Option<Timestamp>) -> Cell {
    Cell::or_none(instant.map(seconds))
}

pub(crate) fn seconds(instant: Timestamp) -> String {
    Timestamp::from_unix_seconds(instant.unix_seconds()).to_string().replacen(".000Z", "Z", 1)
}

/// `1 key`, `2 keys`.
pub(crate) fn count(number: impl TryInto<u64>, what: &str) -> String {
    match number.try_into() {
        Ok(1) => format!("1 {what}"),
        Ok(number) => format!("{number} {what}s"),
        Err(_) => format!("many {what}s"),
    }
}

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

fn styled(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Without anything that could move a cursor, change a colour, or begin another line or column: names are other people's.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let unsafe_to_print = |character: char| {
        character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(unsafe_to_print) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|character| {
        if unsafe_to_print(character) { character.escape_default().to_string() } else { character.to_string() }
    });
    Cow::Owned(escaped.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_a_cursor_is_shown_and_not_done() {
        assert_eq!(printable("plain ü"), "plain ü");
        assert_eq!(printable("a\tb\n\u{1b}[31m\u{202e}"), "a\\tb\\n\\u{1b}[31m\\u{202e}");
    }
}
