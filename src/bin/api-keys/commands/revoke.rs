//! `api-keys revoke`

use clap::Args;
use tower_api_key::audit::AuditAction;
use tower_api_key::source::KeyStore;

use crate::failure::{Failure, Outcome, Verdict};
use crate::output::{Output, printable};
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::{self, Act};
use crate::{keys, terminal};

/// Refuses a key from now on, for good
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys revoke key_3fX9aB7cD2eF5gH8iJ1k --reason leaked
  api-keys revoke ak_live_3fX9 --reason \"left the company\" --yes")]
pub(crate) struct Revoke {
    /// Its id or start
    key: String,
    /// Why
    #[arg(long, value_parser = reason)]
    reason: Option<String>,
    /// Does not ask; needed where there is no terminal
    #[arg(long, short)]
    yes: bool,
}

impl Revoke {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = Opening::new(settings)?.existing().await?;
        let key = keys::find(&store, settings, &self.key).await?;
        let name = printable(&key.name).into_owned();
        if key.revoked_at.is_none() && !terminal::confirmed(&format!("Revoke {} ({name}) for good?", key.id), self.yes)?
        {
            output.note("Nothing was changed.");
            return Ok(Verdict::No);
        }
        let revoked = store.revoke(&key.id, self.reason).await?;
        let revoked = revoked.ok_or_else(|| Failure::refused("the key is gone"))?;
        let act = Act { action: AuditAction::Revoke, before: Some(&key), after: &revoked };
        trail::tell(settings, &store, &[act]).await?;
        keys::say(output, &revoked, format_args!("{} is revoked.", revoked.id))?;
        Ok(Verdict::Yes)
    }
}

fn reason(text: &str) -> Result<String, String> {
    let reason = text.trim();
    match reason.chars().count() {
        0 => Err("must not be empty".to_owned()),
        201.. => Err("must have at most 200 characters".to_owned()),
        _ if reason.chars().any(char::is_control) => Err("must have no control characters".to_owned()),
        _ => Ok(reason.to_owned()),
    }
}
