//! `api-keys rename`

use clap::Args;
use tower_api_key::audit::AuditAction;
use tower_api_key::source::{KeyChange, KeyStore};

use crate::failure::{Outcome, Verdict};
use crate::keys;
use crate::output::{Output, printable};
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::{self, Act};
use crate::values;

/// Gives a key another name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys rename key_3fX9aB7cD2eF5gH8iJ1k deploy")]
pub(crate) struct Rename {
    /// Its id or start
    key: String,
    /// The new name
    #[arg(value_parser = values::name)]
    name: String,
}

impl Rename {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = Opening::new(settings)?.existing().await?;
        let key = keys::find(&store, settings, &self.key).await?;
        let renamed = keys::changed(store.update(&key.id, KeyChange::rename(self.name)).await?)?;
        let act = Act { action: AuditAction::Update, before: Some(&key), after: &renamed };
        trail::tell(settings, &store, &[act]).await?;
        keys::say(output, &renamed, format_args!("{} is called {} now.", renamed.id, printable(&renamed.name)))?;
        Ok(Verdict::Yes)
    }
}
