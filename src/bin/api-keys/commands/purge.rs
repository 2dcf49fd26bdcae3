//! `api-keys purge`

use clap::Args;
use serde_json::json;
use tower_api_key::source::KeyStore;

use crate::failure::{Outcome, Verdict};
use crate::output::{Output, count, now, seconds};
use crate::settings::Settings;
use crate::store::Opening;
use crate::terminal;
use crate::values::{self, Length};

/// Forgets keys that were revoked or had expired long ago
///
/// Until then such a key is refused as what it is; afterwards it is as one that never was.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys purge --older-than 90d
  api-keys purge --older-than 1y --yes")]
pub(crate) struct Purge {
    /// How long ago they were revoked or had expired
    #[arg(long, value_name = "TIME", value_parser = values::length)]
    older_than: Length,
    /// Does not ask; needed where there is no terminal
    #[arg(long, short)]
    yes: bool,
}

impl Purge {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = Opening::new(settings)?.existing().await?;
        let before = self.older_than.before(now());
        let question = format!("Forget all keys that were revoked or had expired before {}?", seconds(before));
        if !terminal::confirmed(&question, self.yes)? {
            output.note("Nothing was changed.");
            return Ok(Verdict::No);
        }
        let purged = store.purge(before).await?;
        if output.json {
            output.json(&json!({ "purged": purged, "before": before }))?;
        } else {
            output.note(format_args!("Forgot {}.", count(purged as u64, "key")));
        }
        Ok(Verdict::Yes)
    }
}
