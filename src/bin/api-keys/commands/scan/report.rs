//! How findings are told.

use serde::Serialize;
use tower_api_key::key::KeyState;

use super::Format;
use super::finding::{Finding, Findings, Place};
use super::sarif;
use crate::failure::Failure;
use crate::output::{Output, count, now, printable, state_name};

/// What is told.
pub(super) struct Report<'a> {
    pub(super) findings: &'a Findings,
    pub(super) seconds: f64,
    /// Whether there is a store that knows the keys.
    pub(super) looked_up: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Scanned<'a> {
    findings: Vec<Found<'a>>,
    /// What could not be read.
    errors: &'a [String],
    files: u64,
    objects: u64,
    bytes: u64,
    seconds: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    path: Option<&'a str>,
    line: u64,
    column: u64,
    byte_offset: u64,
    byte_length: usize,
    commit: Option<&'a str>,
    object: Option<&'a str>,
    masked: &'a str,
    fingerprint: &'a str,
    /// Whether the store lets it in; null if it was not asked.
    live: Option<bool>,
    key_id: Option<&'a str>,
    name: Option<&'a str>,
    state: Option<KeyState>,
}

impl Report<'_> {
    pub(super) fn print(&self, output: Output, format: Format) -> Result<(), Failure> {
        for trouble in &self.findings.troubles {
            output.note(printable(trouble));
        }
        match format {
            Format::Json => output.json(&self.scanned())?,
            Format::Sarif => output.json(&sarif::log(self))?,
            Format::Plain => {
                for finding in &self.findings.found {
                    output.line(self.line(finding))?;
                }
            }
        }
        output.note(self.summary());
        Ok(())
    }

    /// Whether the store lets the key in; `None` if it was not asked.
    pub(super) fn is_live(&self, finding: &Finding) -> Option<bool> {
        self.looked_up.then(|| finding.key.as_ref().is_some_and(|key| key.state(now()).is_usable()))
    }

    /// What the store knows of it, in words.
    pub(super) fn known(&self, finding: &Finding) -> Option<String> {
        let known = |key: &tower_api_key::key::KeyRef| {
            format!("{} {} ({})", state_name(key.state(now())), key.id, printable(&key.name))
        };
        self.looked_up.then(|| finding.key.as_ref().map_or_else(|| "unknown to the store".to_owned(), known))
    }

    fn line(&self, finding: &Finding) -> String {
        let Finding { line, column, masked, .. } = finding;
        let known = self.known(finding).map(|known| format!(" {known}")).unwrap_or_default();
        format!("{}:{line}:{column}: {masked}{known}", printable(&shown(&finding.place)))
    }

    fn scanned(&self) -> Scanned<'_> {
        let Findings { found, troubles, files, objects, bytes } = self.findings;
        let findings = found.iter().map(|finding| self.found(finding)).collect();
        Scanned { findings, errors: troubles, files: *files, objects: *objects, bytes: *bytes, seconds: self.seconds }
    }

    fn found<'f>(&self, finding: &'f Finding) -> Found<'f> {
        let Finding { place, key, .. } = finding;
        Found {
            path: place.path.as_deref(),
            line: finding.line,
            column: finding.column,
            byte_offset: finding.offset,
            byte_length: finding.length,
            commit: place.commit.as_deref(),
            object: place.object.as_deref(),
            masked: &finding.masked,
            fingerprint: &finding.fingerprint,
            live: self.is_live(finding),
            key_id: key.as_ref().map(|key| key.id.as_str()),
            name: key.as_ref().map(|key| key.name.as_str()),
            state: key.as_ref().map(|key| key.state(now())),
        }
    }

    fn summary(&self) -> String {
        let Findings { found, troubles, files, objects, bytes } = self.findings;
        let (megabytes, seconds) = (*bytes as f64 / 1e6, self.seconds.max(1e-6));
        let some = |number: u64, text: String| if number == 0 { String::new() } else { text };
        format!(
            "Scanned {}{}, {megabytes:.1} MB in {seconds:.2} s ({:.0} a second, {:.0} MB/s): {} found{}.",
            count(*files, "file"),
            some(*objects, format!(" and {}", count(*objects, "object"))),
            (files + objects) as f64 / seconds,
            megabytes / seconds,
            count(found.len() as u64, "key"),
            some(troubles.len() as u64, format!(", {} could not be read", troubles.len())),
        )
    }
}

/// As `git grep` writes places: with the commit before the path.
fn shown(place: &Place) -> String {
    let object = place.object.as_deref().map(|object| format!("object {}", short(object)));
    let path = place.path.clone().or(object).unwrap_or_default();
    match &place.commit {
        Some(commit) => format!("{}:{path}", short(commit)),
        None => path,
    }
}

fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
