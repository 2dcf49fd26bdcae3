//! A store of keys by its URL.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyFormat, KeyHasher, KeyId, KeyRecord, KeyRef};
use tower_api_key::source::sql::PendingMigrations;
use tower_api_key::source::{
    IssuedKey, JsonFileKeys, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeyScheme, KeySource,
    KeyStore, KeySuccession, KeyUpdate, KeyUsage, Lookup, NewKey, PostgresKeys, SqliteKeys,
};

use crate::failure::Failure;
use crate::settings::Settings;

/// A store of any of the kinds that there are.
pub(crate) enum Store {
    File(JsonFileKeys),
    Sqlite(SqliteKeys),
    Postgres(PostgresKeys),
}

/// Where a store is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    File(PathBuf),
    /// The whole URL.
    Sqlite(String),
    /// The whole URL.
    Postgres(String),
}

/// What a store is opened with.
pub(crate) struct Opening {
    place: Place,
    table: String,
    formats: Vec<KeyFormat>,
    hashers: Vec<KeyHasher>,
}

/// A builder with the formats and digests of the settings. A macro, because the builders have no trait in common.
macro_rules! configured {
    ($opening:expr, $builder:expr) => {{
        let mut builder = $builder.format($opening.formats[0].clone()).hasher($opening.hashers[0].clone());
        for format in &$opening.formats[1..] {
            builder = builder.add_format(format.clone());
        }
        for hasher in &$opening.hashers[1..] {
            builder = builder.add_hasher(hasher.clone());
        }
        builder
    }};
}

impl Place {
    pub(crate) fn of(settings: &Settings) -> Result<Self, Failure> {
        let url = settings.store.as_deref().filter(|url| !url.is_empty());
        let url = url.ok_or_else(|| {
            Failure::usage("--store or API_KEYS_STORE is needed: file:PATH, sqlite://PATH or postgres://…")
        })?;
        match url.split_once(':').map(|(scheme, rest)| (scheme.to_ascii_lowercase(), rest)) {
            Some((scheme, rest)) if scheme == "file" => file(rest).map(Self::File),
            Some((scheme, _)) if scheme == "sqlite" => Ok(Self::Sqlite(url.to_owned())),
            Some((scheme, _)) if scheme == "postgres" || scheme == "postgresql" => Ok(Self::Postgres(url.to_owned())),
            // The rest may hold a password.
            _ => Err(Failure::usage("--store: must begin with file:, sqlite: or postgres:")),
        }
    }
}

/// The path behind `file:`, be it `PATH` or `//PATH`.
fn file(rest: &str) -> Result<PathBuf, Failure> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') || path.starts_with('.') => path,
        Some(_) => return Err(Failure::usage("--store: expected file:PATH or file:///PATH")),
        None => rest,
    };
    let path = percent_decode_str(path).decode_utf8().map_err(|_| Failure::usage("--store: the path is no UTF-8"))?;
    if path.is_empty() { Err(Failure::usage("--store: file: names no file")) } else { Ok(PathBuf::from(&*path)) }
}

impl Opening {
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        let place = Place::of(settings)?;
        Ok(Self { place, table: settings.table.clone(), formats: settings.formats()?, hashers: settings.hashers()? })
    }

    /// Another shape that keys are accepted in.
    pub(crate) fn add_format(&mut self, format: KeyFormat) {
        self.formats.push(format);
    }

    /// Another digest that keys are accepted by.
    pub(crate) fn add_hasher(&mut self, hasher: KeyHasher) {
        if self.hashers.iter().all(|known| known.algorithm() != hasher.algorithm()) {
            self.hashers.push(hasher);
        }
    }

    /// A store that is there already: a mistyped name is no empty store.
    pub(crate) async fn existing(&self) -> Result<Store, Failure> {
        match &self.place {
            Place::File(path) if !path.exists() => {
                Err(Failure::Unavailable(format!("--store: there is no file {}", path.display())))
            }
            _ => self.open().await,
        }
    }

    /// A store that is made if it is a file; tables are never made or changed on the way.
    pub(crate) async fn open(&self) -> Result<Store, Failure> {
        match &self.place {
            Place::File(path) => {
                Ok(Store::File(configured!(self, JsonFileKeys::builder(path).check_every(None)).open()?))
            }
            Place::Sqlite(url) => {
                if let Some(path) = missing_database(url) {
                    let hint = "`api-keys migrate` makes one";
                    return Err(Failure::Unavailable(format!("--store: there is no database {path}: {hint}")));
                }
                let builder = configured!(self, SqliteKeys::builder(url).table(&self.table));
                Ok(Store::Sqlite(builder.migrate(false).build().await?))
            }
            Place::Postgres(url) => {
                let builder = configured!(self, PostgresKeys::builder(url).table(&self.table));
                Ok(Store::Postgres(builder.migrate(false).build().await?))
            }
        }
    }

    /// What would have to be run; `None` for a store without a schema.
    pub(crate) async fn migrations(&self) -> Result<Option<PendingMigrations>, Failure> {
        match &self.place {
            Place::File(_) => Ok(None),
            Place::Sqlite(url) => Ok(Some(SqliteKeys::builder(url).table(&self.table).migrations().await?)),
            Place::Postgres(url) => Ok(Some(PostgresKeys::builder(url).table(&self.table).migrations().await?)),
        }
    }

    /// Makes and changes the tables.
    pub(crate) async fn migrate(&self) -> Result<(), Failure> {
        match &self.place {
            Place::File(_) => {}
            Place::Sqlite(url) => drop(SqliteKeys::builder(url).table(&self.table).build().await?),
            Place::Postgres(url) => drop(PostgresKeys::builder(url).table(&self.table).build().await?),
        }
        Ok(())
    }
}

/// The file of a database of SQLite that is not there.
fn missing_database(url: &str) -> Option<String> {
    let path = url.strip_prefix("sqlite:")?;
    let (path, parameters) = path.split_once('?').unwrap_or((path, ""));
    let path = percent_decode_str(path.strip_prefix("//").unwrap_or(path)).decode_utf8().ok()?;
    let is_file = !path.contains(":memory:") && !parameters.contains("mode=memory");
    (is_file && !Path::new(&*path).exists()).then(|| path.into_owned())
}

/// The same call on whichever store it is.
macro_rules! each {
    ($store:expr, $keys:ident => $call:expr) => {
        match $store {
            Store::File($keys) => $call.await.map_err(Failure::from),
            Store::Sqlite($keys) => $call.await.map_err(Failure::from),
            Store::Postgres($keys) => $call.await.map_err(Failure::from),
        }
    };
}

impl KeySource for Store {
    type Error = Failure;

    fn name(&self) -> &str {
        match self {
            Self::File(keys) => keys.name(),
            Self::Sqlite(keys) => keys.name(),
            Self::Postgres(keys) => keys.name(),
        }
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        match self {
            Self::File(keys) => keys.schemes(),
            Self::Sqlite(keys) => keys.schemes(),
            Self::Postgres(keys) => keys.schemes(),
        }
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Failure> {
        each!(self, keys => keys.find(digest))
    }

    fn find_now(&self, digest: &KeyDigest) -> Lookup {
        match self {
            Self::File(keys) => keys.find_now(digest),
            Self::Sqlite(_) | Self::Postgres(_) => Lookup::Ask,
        }
    }
}

impl KeyStore for Store {
    fn life(&self) -> KeyLife {
        KeyLife::unlimited()
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, Failure> {
        each!(self, keys => keys.issue(key))
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, Failure> {
        each!(self, keys => keys.adopt(record))
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, Failure> {
        each!(self, keys => keys.get(id))
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, Failure> {
        each!(self, keys => keys.list(filter))
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, Failure> {
        each!(self, keys => keys.update(id, change))
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, Failure> {
        each!(self, keys => keys.set_enabled(id, enabled))
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, Failure> {
        each!(self, keys => keys.revoke(id, reason))
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, Failure> {
        each!(self, keys => keys.rotate(id, rotation))
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, Failure> {
        each!(self, keys => keys.purge(before))
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), Failure> {
        each!(self, keys => keys.record_usage(usage))
    }
}
