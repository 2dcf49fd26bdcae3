//! `api-keys disable`

use clap::Args;
use tower_api_key::audit::AuditAction;
use tower_api_key::source::KeyStore;

use crate::failure::{Outcome, Verdict};
use crate::keys;
use crate::output::Output;
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::{self, Act};

/// Refuses a key until it is enabled again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys disable key_3fX9aB7cD2eF5gH8iJ1k")]
pub(crate) struct Disable {
    /// Its id or start
    key: String,
}

impl Disable {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = Opening::new(settings)?.existing().await?;
        let key = keys::find(&store, settings, &self.key).await?;
        let changed = keys::changed(store.set_enabled(&key.id, false).await?)?;
        let act = Act { action: AuditAction::Disable, before: Some(&key), after: &changed };
        trail::tell(settings, &store, &[act]).await?;
        keys::say(output, &changed, format_args!("{} is refused from now on, until it is enabled.", changed.id))?;
        Ok(Verdict::Yes)
    }
}
