//! `api-keys rotate`

use clap::Args;
use tower_api_key::audit::AuditAction;
use tower_api_key::source::{KeyRotation, KeyStore, KeySuccession};

use crate::failure::{Failure, Outcome, Verdict};
use crate::keys;
use crate::output::{Output, now, seconds, state_name};
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::{self, Act};
use crate::values::{self, Instant, Length};

/// Makes the successor of a key, and prints it this once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys rotate key_3fX9aB7cD2eF5gH8iJ1k
  api-keys rotate key_3fX9aB7cD2eF5gH8iJ1k --overlap 7d --expires 90d
  api-keys rotate key_3fX9aB7cD2eF5gH8iJ1k --overlap 0s")]
pub(crate) struct Rotate {
    /// Its id or start
    key: String,
    /// How long both keys work; with 0s the old one is revoked at once
    #[arg(long, value_name = "TIME", value_parser = values::length, default_value = "1d")]
    overlap: Length,
    /// When the successor ends; when the old key would have, unless given
    #[arg(long, value_name = "WHEN", value_parser = values::instant)]
    expires: Option<Instant>,
}

impl Rotate {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let now = now();
        let mut rotation = KeyRotation::overlap(self.overlap.duration(now));
        match self.expires.map(|expires| expires.ahead(now)) {
            None => {}
            Some(Some(end)) if end > now => rotation = rotation.expires_at(end),
            Some(_) => return Err(Failure::usage("--expires: must be in the future")),
        }
        let store = Opening::new(settings)?.existing().await?;
        let key = keys::find(&store, settings, &self.key).await?;
        match store.rotate(&key.id, rotation.expected_version(key.version)).await? {
            KeySuccession::Rotated { successor, predecessor } => {
                let told = keys::hand_out(output, &successor);
                let act = Act { action: AuditAction::Rotate, before: Some(&key), after: &predecessor };
                trail::tell(settings, &store, &[act]).await?;
                told?;
                if !output.json {
                    match predecessor.expires_at.filter(|_| predecessor.revoked_at.is_none()) {
                        Some(end) => output.note(format_args!("{} works until {}.", predecessor.id, seconds(end))),
                        None => output.note(format_args!("{} is revoked.", predecessor.id)),
                    }
                }
                Ok(Verdict::Yes)
            }
            KeySuccession::Conflict(key) => {
                let state = state_name(key.state(now));
                Err(Failure::refused(format!("{} is {state}: only an active key can have a successor", key.id)))
            }
            KeySuccession::Outdated => Err(Failure::refused("the key was changed at the same time")),
            KeySuccession::Absent => Err(Failure::refused("the key is gone")),
        }
    }
}
