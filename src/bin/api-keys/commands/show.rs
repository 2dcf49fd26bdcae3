//! `api-keys show`

use clap::Args;

use crate::failure::{Outcome, Verdict};
use crate::keys;
use crate::output::Output;
use crate::settings::Settings;
use crate::store::Opening;

/// Shows all that is known of a key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys show key_3fX9aB7cD2eF5gH8iJ1k
  api-keys show ak_live_3fX9 --json")]
pub(crate) struct Show {
    /// Its id, or what it starts with as a list shows it, if no other key starts so
    key: String,
}

impl Show {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = Opening::new(settings)?.existing().await?;
        let key = keys::find(&store, settings, &self.key).await?;
        keys::show(output, &key)?;
        Ok(Verdict::Yes)
    }
}
