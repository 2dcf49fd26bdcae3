//! `api-keys enable`

use clap::Args;
use tower_api_key::audit::AuditAction;
use tower_api_key::source::KeyStore;

use crate::failure::{Outcome, Verdict};
use crate::keys;
use crate::output::Output;
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::{self, Act};

/// Lets a disabled key in again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys enable key_3fX9aB7cD2eF5gH8iJ1k")]
pub(crate) struct Enable {
    /// Its id or start
    key: String,
}

impl Enable {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = Opening::new(settings)?.existing().await?;
        let key = keys::find(&store, settings, &self.key).await?;
        let changed = keys::changed(store.set_enabled(&key.id, true).await?)?;
        let act = Act { action: AuditAction::Enable, before: Some(&key), after: &changed };
        trail::tell(settings, &store, &[act]).await?;
        keys::say(output, &changed, format_args!("{} is let in again.", changed.id))?;
        Ok(Verdict::Yes)
    }
}
