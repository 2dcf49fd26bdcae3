//! `api-keys verify`

use anstyle::AnsiColor;
use clap::Args;
use serde::Serialize;
use tower_api_key::key::{KeyObject, KeyRef};

use crate::failure::{Failure, Outcome, Verdict};
use crate::output::{self, Cell, Output, instant, now};
use crate::settings::Settings;
use crate::store::Opening;
use crate::{keys, terminal};

/// Tells whether a key is good
///
/// Reads the key from the standard input, or, on a terminal, from a prompt that shows nothing of it. The exit code is 0 if
/// the key would be let in, and 1 if not. Rules about addresses, origins and scopes depend on the request, and are not
/// judged.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys verify < key.txt
  printf %s \"$KEY\" | api-keys verify --json
  printf %s \"$KEY\" | api-keys verify --offline")]
pub(crate) struct Verify {
    /// Looks at format and checksum alone, and needs no store
    #[arg(long)]
    offline: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// Whether it would be let in; offline, whether it is well-formed.
    valid: bool,
    well_formed: bool,
    /// Whether its checksum is right; null for a shape that has none.
    checksum: Option<bool>,
    environment: Option<&'a str>,
    /// Whether the store knows it; null if it was not asked.
    known: Option<bool>,
    /// What the store knows of it.
    key: Option<KeyObject<'a>>,
}

impl Verify {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let formats = settings.formats()?;
        let store = if self.offline { None } else { Some(Opening::new(settings)?.existing().await?) };
        let secret = terminal::secret()?;
        let text = secret.expose_secret();
        let well_formed = formats.iter().any(|format| format.accepts(text));
        let found = match &store {
            Some(store) => keys::known(store, text).await?,
            None => None,
        };
        let usable = found.as_ref().is_some_and(|key| key.state(now()).is_usable());
        let report = Report {
            valid: if store.is_some() { usable } else { well_formed },
            well_formed,
            checksum: formats.iter().find_map(|format| format.has_right_checksum(text)),
            environment: formats.iter().find_map(|format| format.environment(text)),
            known: store.is_some().then_some(found.is_some()),
            key: found.as_ref().map(|key| KeyObject::new(key, now())),
        };
        if output.json {
            output.json(&report)?;
        } else {
            tell(output, &report, &formats[0].mask(text), found.as_ref())?;
        }
        Ok(if report.valid { Verdict::Yes } else { Verdict::No })
    }
}

fn tell(output: Output, report: &Report<'_>, masked: &str, found: Option<&KeyRef>) -> Result<(), Failure> {
    let yes = |yes: bool, text: &str| Cell::colored(text, if yes { AnsiColor::Green } else { AnsiColor::Red });
    let checksum = report.checksum.map(|right| if right { "right" } else { "wrong: mistyped, cut, or made up" });
    let mut facts = vec![
        ("Valid", yes(report.valid, if report.valid { "yes" } else { "no" })),
        ("Key", Cell::new(masked)),
        ("Format", yes(report.well_formed, if report.well_formed { "accepted" } else { "not accepted" })),
        ("Checksum", checksum.map_or_else(|| Cell::new("none"), |text| yes(report.checksum == Some(true), text))),
        ("Environment", Cell::or_none(report.environment)),
    ];
    if let Some(known) = report.known {
        facts.push(("Known", yes(known, if known { "yes" } else { "no" })));
    }
    if let Some(key) = found {
        facts.extend([
            ("Id", Cell::new(&key.id)),
            ("Name", Cell::new(&key.name)),
            ("State", output::state(key.state(now()))),
            ("Expires", instant(key.expires_at)),
            ("Revoked", instant(key.revoked_at)),
            ("Scopes", output::scopes(key)),
            ("Owner", output::owner(&key.owner)),
        ]);
    }
    output.facts(facts)
}
