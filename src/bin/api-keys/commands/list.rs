//! `api-keys list`

use clap::Args;
use serde::Serialize;
use serde::de::{Deserialize, IntoDeserializer, value};
use tower_api_key::key::{KeyObject, KeyRef, KeyState, OrganizationId, Scope, UserId};
use tower_api_key::source::{KeyCursor, KeyFilter, KeyStore};

use crate::failure::{Failure, Outcome, Verdict};
use crate::output::{self, Cell, Output, instant, now};
use crate::settings::Settings;
use crate::store::{Opening, Store};

/// How many keys are asked for at once.
const PAGE: usize = 100;

/// Lists keys, newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys list
  api-keys list --state active --scope deploy:write
  api-keys list --user u_42 --json
  api-keys list --limit 20 --search ci")]
pub(crate) struct List {
    /// Those of this user
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// Those of this organisation
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Those in this state: active, disabled, overlap, expired, revoked
    #[arg(long, value_parser = state)]
    state: Option<KeyState>,
    /// Those that have this scope or one above it
    #[arg(long)]
    scope: Option<Scope>,
    /// Those that have this text in their name, id or start
    #[arg(long, short = 'q', value_name = "TEXT")]
    search: Option<String>,
    /// How many at most; all, unless given
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Goes on where a list with --limit ended
    #[arg(long)]
    cursor: Option<KeyCursor>,
}

/// As the management API answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    items: Vec<KeyObject<'a>>,
    next_cursor: Option<String>,
}

impl List {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = Opening::new(settings)?.existing().await?;
        let (keys, next) = self.keys(&store).await?;
        let (now, next_cursor) = (now(), next.map(|cursor| cursor.to_string()));
        if output.json {
            output.json(&Page { items: keys.iter().map(|key| KeyObject::new(key, now)).collect(), next_cursor })?;
            return Ok(Verdict::Yes);
        }
        let row = |key: &KeyRef| {
            vec![
                Cell::new(&key.id),
                Cell::new(&key.name),
                Cell::new(key.masked()),
                output::state(key.state(now)),
                output::scopes(key),
                output::owner(&key.owner),
                instant(key.expires_at),
                instant(key.last_used_at),
            ]
        };
        let header = ["ID", "NAME", "KEY", "STATE", "SCOPES", "OWNER", "EXPIRES", "LAST USED"];
        if keys.is_empty() && output.terminal {
            output.note("No keys.");
            return Ok(Verdict::Yes);
        }
        output.table(&header, keys.iter().map(row))?;
        if let Some(cursor) = next_cursor {
            output.note(format_args!("There are more: --cursor {cursor}"));
        }
        Ok(Verdict::Yes)
    }

    async fn keys(self, store: &Store) -> Result<(Vec<KeyRef>, Option<KeyCursor>), Failure> {
        let most = self.limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        let mut filter = KeyFilter::default();
        (filter.user, filter.organization) = (self.user, self.organization);
        (filter.state, filter.scope, filter.text) = (self.state, self.scope, self.search);
        filter.cursor = self.cursor;
        let mut keys = Vec::new();
        loop {
            filter.limit = PAGE.min(most - keys.len());
            let page = store.list(&filter).await?;
            keys.extend(page.items);
            match page.next_cursor {
                Some(next) if keys.len() < most => filter.cursor = Some(next),
                next => return Ok((keys, next)),
            }
        }
    }
}

fn state(text: &str) -> Result<KeyState, String> {
    let state = KeyState::deserialize(IntoDeserializer::<value::Error>::into_deserializer(text));
    state.map_err(|_| "expected active, disabled, overlap, expired or revoked".to_owned())
}
