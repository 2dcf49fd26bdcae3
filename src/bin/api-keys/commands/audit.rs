//! `api-keys audit`

use std::time::Duration;

use anstyle::AnsiColor;
use clap::Args;
use serde::Serialize;
use tower_api_key::audit::{AuditAction, AuditEvent, AuditEventId, AuditFilter, AuditOutcome};
use tower_api_key::key::{KeyId, OrganizationId, UserId};

use crate::failure::{Failure, Outcome, Verdict};
use crate::output::{Cell, Output, instant};
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::Trail;

/// How many events are asked for at once.
const PAGE: usize = 100;

/// How often is looked for new events.
const PAUSE: Duration = Duration::from_secs(1);

/// Reads the audit trail: who tried to get in, and what was done to keys
///
/// The trail is in a table beside that of the keys, or in the file that --trail names. What commands of this program do to
/// keys is written there, too, with the reason command_line.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys audit
  api-keys audit --key key_3fX9aB7cD2eF5gH8iJ1k --limit 20
  api-keys audit --action authenticate --outcome refused --json
  api-keys audit --trail audit.jsonl --search 203.0.113.9")]
pub(crate) struct Audit {
    /// About this key
    #[arg(long, value_name = "ID")]
    key: Option<KeyId>,
    /// About keys of this user
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// About keys of this organisation
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// Of this action: authenticate, key.create, key.update, key.disable, key.enable, key.revoke, key.rotate, key.regenerate
    #[arg(long)]
    action: Option<AuditAction>,
    /// accepted or refused
    #[arg(long)]
    outcome: Option<AuditOutcome>,
    /// With this text in their reason, path, address, or an id
    #[arg(long, short = 'q', value_name = "TEXT")]
    search: Option<String>,
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Goes on where another list ended
    #[arg(long, conflicts_with = "follow")]
    cursor: Option<AuditEventId>,
    /// Goes on with new events as they are recorded, the latest last; with --json, one a line
    #[arg(long, short)]
    follow: bool,
}

/// As the management API answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<'a> {
    items: &'a [AuditEvent],
    next_cursor: Option<AuditEventId>,
}

impl Audit {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let store = match settings.trail {
            Some(_) => None,
            None => Some(Opening::new(settings)?.existing().await?),
        };
        let trail = Trail::of(settings, store.as_ref())?;
        let trail =
            trail.ok_or_else(|| Failure::usage("--trail is needed: a store in a file has no table of events"))?;
        let (mut events, next_cursor) = self.read(&trail, None).await?;
        if self.follow {
            events.reverse();
            return self.follow(&trail, events, output).await;
        }
        if output.json {
            output.json(&Page { items: &events, next_cursor })?;
            return Ok(Verdict::Yes);
        }
        if events.is_empty() && output.terminal {
            output.note("No events.");
            return Ok(Verdict::Yes);
        }
        output.table(
            &["AT", "ACTION", "OUTCOME", "REASON", "KEY", "ACTOR", "ADDRESS", "REQUEST", "CHANGES"],
            events.iter().map(row),
        )?;
        if let Some(cursor) = next_cursor {
            output.note(format_args!("There are more: --cursor {cursor}"));
        }
        Ok(Verdict::Yes)
    }

    /// The latest events, the latest first: up to the limit, or up to one that is known.
    async fn read(
        &self,
        trail: &Trail,
        known: Option<AuditEventId>,
    ) -> Result<(Vec<AuditEvent>, Option<AuditEventId>), Failure> {
        let most = if known.is_some() { usize::MAX } else { usize::try_from(self.limit).unwrap_or(usize::MAX) };
        let mut filter = AuditFilter::default();
        (filter.key_id, filter.user, filter.organization) =
            (self.key.clone(), self.user.clone(), self.organization.clone());
        (filter.action, filter.outcome, filter.text) = (self.action, self.outcome, self.search.clone());
        filter.cursor = self.cursor;
        let mut events = Vec::new();
        loop {
            filter.limit = PAGE.min(most - events.len());
            let page = trail.events(&filter).await?;
            let is_new = |event: &AuditEvent| known.is_none_or(|known| event.id > known);
            let all_new = page.items.last().is_none_or(is_new);
            events.extend(page.items.into_iter().filter(is_new));
            match page.next_cursor {
                Some(next) if events.len() < most && all_new => filter.cursor = Some(next),
                next => return Ok((events, next)),
            }
        }
    }

    async fn follow(&self, trail: &Trail, mut events: Vec<AuditEvent>, output: Output) -> Outcome {
        let mut latest = AuditEventId::new(tower_api_key::clock::Timestamp::UNIX_EPOCH, 0);
        loop {
            for event in &events {
                if output.json {
                    output.line(serde_json::to_string(event).map_err(|error| Failure::output(error.into()))?)?;
                } else {
                    output.row(row(event))?;
                }
                latest = latest.max(event.id);
            }
            tokio::time::sleep(PAUSE).await;
            events = self.read(trail, Some(latest)).await?.0;
            events.reverse();
        }
    }
}

fn row(event: &AuditEvent) -> Vec<Cell> {
    let color = if event.outcome == AuditOutcome::Accepted { AnsiColor::Green } else { AnsiColor::Red };
    let user = event.actor.user.as_ref().map(|user| format!("user {user}"));
    let key = event.actor.key_id.as_ref().map(|key| format!("key {key}"));
    let changes = event.changes.iter().flatten();
    let changes = changes.map(|(name, change)| format!("{name}: {} → {}", change.before, change.after));
    vec![
        instant(Some(event.at)),
        Cell::new(event.action),
        Cell::colored(event.outcome, color),
        Cell::new(&event.reason),
        Cell::or_none(event.key_id.as_ref()),
        Cell::or_none(user.or(key)),
        Cell::or_none(event.client_ip),
        Cell::new(format!("{} {}", event.method, event.path).trim()),
        Cell::new(changes.collect::<Vec<_>>().join(", ")),
    ]
}
