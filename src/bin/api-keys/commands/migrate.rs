//! `api-keys migrate`

use clap::Args;
use serde::Serialize;
use tower_api_key::source::sql::PendingMigrations;

use crate::failure::{Outcome, Verdict};
use crate::output::Output;
use crate::settings::Settings;
use crate::store::Opening;

/// Makes the tables of a database, and brings them up to date
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys migrate --dry-run
  api-keys migrate")]
pub(crate) struct Migrate {
    /// Prints the SQL that would be run, and changes nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    /// The version of the schema before; null for a store without one.
    found: Option<i64>,
    needed: Option<i64>,
    /// Whether something was run.
    migrated: bool,
    scripts: &'a [String],
}

impl Migrate {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let opening = Opening::new(settings)?;
        let pending = opening.migrations().await?;
        let is_pending = pending.as_ref().is_some_and(|pending| !pending.is_empty());
        let migrated = is_pending && !self.dry_run;
        if migrated {
            opening.migrate().await?;
        }
        if output.json {
            let (found, needed) =
                (pending.as_ref().map(PendingMigrations::found), pending.as_ref().map(PendingMigrations::needed));
            let scripts = pending.as_ref().map_or(&[][..], |pending| pending.scripts());
            output.json(&Report { found, needed, migrated, scripts })?;
            return Ok(Verdict::Yes);
        }
        match pending {
            None => output.note("A file has no schema: there is nothing to do."),
            Some(_) if !is_pending => output.note("The schema is up to date."),
            Some(pending) if self.dry_run => output.line(pending.to_string().trim_end())?,
            Some(pending) => {
                output.note(format_args!("Migrated from version {} to {}.", pending.found(), pending.needed()));
            }
        }
        Ok(Verdict::Yes)
    }
}
