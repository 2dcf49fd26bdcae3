//! The audit trail: what was done to keys, here and by the service, and who tried to get in.

use tower_api_key::audit::{
    AuditAction, AuditChange, AuditEvent, AuditEventId, AuditFilter, AuditOutcome, AuditPage, AuditStore,
    JsonLinesAudit,
};
use tower_api_key::key::KeyRef;
use tower_api_key::source::{PostgresKeys, SqliteKeys};

use crate::failure::Failure;
use crate::output::now;
use crate::settings::Settings;
use crate::store::Store;

/// Where events are kept.
pub(crate) enum Trail {
    Lines(JsonLinesAudit),
    Sqlite(SqliteKeys),
    Postgres(PostgresKeys),
}

impl Trail {
    /// The file that is named, or the table beside that of the keys; `None` if there is neither.
    pub(crate) fn of(settings: &Settings, store: Option<&Store>) -> Result<Option<Self>, Failure> {
        if let Some(file) = &settings.trail {
            let lines = JsonLinesAudit::open(file);
            return Ok(Some(Self::Lines(lines.map_err(|error| Failure::unavailable("--trail", &error))?)));
        }
        Ok(match store {
            Some(Store::Sqlite(keys)) => Some(Self::Sqlite(keys.clone())),
            Some(Store::Postgres(keys)) => Some(Self::Postgres(keys.clone())),
            Some(Store::File(_)) | None => None,
        })
    }

    pub(crate) async fn events(&self, filter: &AuditFilter) -> Result<AuditPage, Failure> {
        match self {
            Self::Lines(lines) => {
                lines.events(filter).await.map_err(|error| Failure::unavailable("the audit trail", &error))
            }
            Self::Sqlite(keys) => keys.events(filter).await.map_err(Failure::from),
            Self::Postgres(keys) => keys.events(filter).await.map_err(Failure::from),
        }
    }

    async fn append(&self, events: &[AuditEvent]) -> Result<(), Failure> {
        match self {
            Self::Lines(lines) => {
                lines.append(events).await.map_err(|error| Failure::unavailable("the audit trail", &error))
            }
            Self::Sqlite(keys) => keys.append(events).await.map_err(Failure::from),
            Self::Postgres(keys) => keys.append(events).await.map_err(Failure::from),
        }
    }
}

/// What was done to a key.
pub(crate) struct Act<'a> {
    pub(crate) action: AuditAction,
    /// `None` if it was made.
    pub(crate) before: Option<&'a KeyRef>,
    pub(crate) after: &'a KeyRef,
}

/// Tells the trail what was done, if there is one.
pub(crate) async fn tell(settings: &Settings, store: &Store, acts: &[Act<'_>]) -> Result<(), Failure> {
    let Some(trail) = Trail::of(settings, Some(store))? else { return Ok(()) };
    // Ids tell events of one instant apart.
    let instants = (now().unix_micros()..).map(tower_api_key::clock::Timestamp::from_unix_micros);
    // What has changed nothing is no act.
    let is_change = |act: &&Act<'_>| act.before.is_none_or(|before| before.version != act.after.version);
    let events: Vec<_> = acts
        .iter()
        .filter(is_change)
        .zip(instants)
        .map(|(act, at)| {
            let mut event = AuditEvent::new(AuditEventId::new(at, std::process::id()), now(), act.action);
            event.outcome = AuditOutcome::Accepted;
            event.reason = "command_line".into();
            let about = act.before.unwrap_or(act.after);
            event.key_id = Some(about.id.clone());
            event.owner = about.owner.clone();
            event.changes = Some(AuditChange::between(act.before.map(|before| &**before), act.after, now()));
            event
        })
        .collect();
    let told = trail.append(&events).await;
    told.map_err(|failure| {
        Failure::Unavailable(format!("it was done, but the audit trail could not be told: {failure}"))
    })
}
