//! The settings of a [`BetterAuthKeys`].

use std::sync::Arc;

use serde_json::{Map, Value};

use super::error::Kind;
use super::table::Table;
use super::{BetterAuthKeys, BetterAuthKeysError, Inner};
use crate::key::KeyFormat;

/// The settings of a [`BetterAuthKeys`].
#[derive(Debug, Clone)]
#[must_use = "call `connect`"]
pub struct BetterAuthKeysBuilder {
    table: String,
    settings: Settings,
}

#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) format: KeyFormat,
    pub(super) plain_text: bool,
    pub(super) rate_limits: bool,
    configuration: Option<String>,
    organization_configurations: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            format: KeyFormat::text(),
            plain_text: false,
            rate_limits: true,
            configuration: None,
            organization_configurations: Vec::new(),
        }
    }
}

impl Default for BetterAuthKeysBuilder {
    fn default() -> Self {
        Self { table: "apikey".to_owned(), settings: Settings::default() }
    }
}

impl BetterAuthKeysBuilder {
    /// The shape of keys; any visible ASCII, unless set, since prefix and length are settings there. With
    /// [`KeyFormat::better_auth`] made-up keys of other shapes cost no query.
    pub fn format(mut self, format: KeyFormat) -> Self {
        self.settings.format = format;
        self
    }

    /// Keys of this `configId` alone, and rows without one; of all, unless set.
    pub fn configuration(mut self, id: impl Into<String>) -> Self {
        self.settings.configuration = Some(id.into());
        self
    }

    /// The `configId` of keys that belong to organisations (`references: "organization"`): their `referenceId` is the id of
    /// an organisation, and not of a user. May be called for several.
    pub fn organization_configuration(mut self, id: impl Into<String>) -> Self {
        self.settings.organization_configurations.push(id.into());
        self
    }

    /// The table holds keys in plain text (`disableKeyHashing`), and no digests.
    ///
    /// Each lookup then reads every key of the table: put a `Cached` in front. For a table with both, chain two sources.
    pub fn plain_text(mut self) -> Self {
        self.settings.plain_text = true;
        self
    }

    /// Leaves the rate limits of the rows aside: for layers whose own quotas are to hold.
    pub fn insecure_without_rate_limits(mut self) -> Self {
        self.settings.rate_limits = false;
        self
    }

    /// The name of the table; `apikey`, unless set.
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// The keys in the database at `url`: `sqlite:PATH` (feature `sqlite`) or `postgres://…` (feature `postgres`).
    ///
    /// # Errors
    /// When there is no such database, or no such table in it.
    pub async fn connect(self, url: &str) -> Result<BetterAuthKeys, BetterAuthKeysError> {
        let named = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if self.table.is_empty() || !self.table.bytes().all(named) {
            return Err(Kind::TableName(self.table).into());
        }
        let table = Table::connect(url, self.table).await?;
        Ok(BetterAuthKeys(Arc::new(Inner { table, settings: self.settings })))
    }
}

impl Settings {
    /// Whether the key of this row is one of those that are wanted.
    pub(super) fn takes(&self, row: &Map<String, Value>) -> bool {
        match (&self.configuration, configuration_of(row)) {
            (Some(wanted), Some(of_row)) => wanted == of_row,
            _ => true,
        }
    }

    /// Whether the row's reference is an organisation.
    pub(super) fn is_of_organization(&self, row: &Map<String, Value>) -> bool {
        configuration_of(row).is_some_and(|of_row| self.organization_configurations.iter().any(|one| one == of_row))
    }
}

fn configuration_of(row: &Map<String, Value>) -> Option<&str> {
    row.get("configId").or_else(|| row.get("config_id")).and_then(Value::as_str)
}
