//! The tables of other systems.

use serde_json::Value;

use super::FieldProblem;
use super::digest;
use super::field::{Fields, Refused, malformed, missing};
use crate::clock::Timestamp;
use crate::key::{DigestAlgorithm, KeyId, KeyOwner, KeyRecord, UserId};
use crate::limit::credits::Credits;

/// Which system's table rows come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFormat(Table);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Table {
    Unkey,
    Sanctum,
    DjangoRest,
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    BetterAuth,
    Plain(DigestAlgorithm),
}

impl ImportFormat {
    /// Unkey's keys: `id` and `hash` (standard base64 of SHA-256 over the whole key) are needed. `start`, `name`,
    /// `externalId` (or `owner_id`), `meta`, `permissions`, `enabled`, `expires`, `remaining` and `createdAt` are read, in
    /// their names of the API and of the table. Roles and rate limits are not: they are rows of other tables.
    ///
    /// A key with a refill is refused (`refill`): its day and the state of its count cannot be told from the row.
    pub const fn unkey() -> Self {
        Self(Table::Unkey)
    }

    /// Laravel Sanctum's `personal_access_tokens`: `id` and `token` (hexadecimal SHA-256 of what stands after `|`) are
    /// needed. `name`, `abilities`, `tokenable_id`, `expires_at`, `last_used_at` and `created_at` are read, in UTC. The
    /// record's id is the number that keys begin with, and another number does not open it.
    pub const fn sanctum() -> Self {
        Self(Table::Sanctum)
    }

    /// djangorestframework-api-key's `rest_framework_api_key_apikey`: `prefix` and `hashed_key` (`sha512$$` and
    /// hexadecimal digits) are needed. `name`, `revoked`, `expiry_date` and `created` are read. The record's id is the
    /// prefix, since their `id` contains the digest.
    ///
    /// Rows of releases before 3 have salted PBKDF2 hashes until their key is used once; they are refused by name.
    pub const fn django_rest() -> Self {
        Self(Table::DjangoRest)
    }

    /// Better Auth's `apikey`: `id`, `key` (base64url of SHA-256) and `referenceId` or `userId` are needed. The columns are
    /// read as [`BetterAuthKeys`](crate::source::BetterAuthKeys) reads them; references are taken for users. For those who
    /// leave Better Auth: a table that it goes on writing is better read in place.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub const fn better_auth() -> Self {
        Self(Table::BetterAuth)
    }

    /// A table of your own: `id` and `digest`, by this algorithm over the whole key, are needed. `name`, `start`,
    /// `user_id`, `scopes`, `disabled`, `expires_at`, `revoked_at`, `created_at` and `metadata` are read.
    pub const fn plain(algorithm: DigestAlgorithm) -> Self {
        Self(Table::Plain(algorithm))
    }

    /// The record of a row.
    ///
    /// # Errors
    /// The column at fault, and what is wrong with it.
    pub fn record(&self, row: &Value) -> Result<KeyRecord, (String, FieldProblem)> {
        let row = row.as_object().ok_or_else(|| ("row".to_owned(), FieldProblem::NoRow))?;
        let fields = Fields(row);
        match self.0 {
            Table::Unkey => unkey(&fields),
            Table::Sanctum => sanctum(&fields),
            Table::DjangoRest => django_rest(&fields),
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Table::BetterAuth => {
                let text = fields.text(&["key"])?.ok_or_else(|| missing("key"))?;
                let digest = digest::parse(text, DigestAlgorithm::Sha256);
                crate::source::better_auth::record(row, digest.map_err(|problem| ("key".to_owned(), problem))?)
            }
            Table::Plain(algorithm) => plain(&fields, algorithm),
        }
    }

    /// The column with the digest.
    pub(super) const fn digest_field(&self) -> &'static str {
        match self.0 {
            Table::Unkey => "hash",
            Table::Sanctum => "token",
            Table::DjangoRest => "hashed_key",
            #[cfg(any(feature = "sqlite", feature = "postgres"))]
            Table::BetterAuth => "key",
            Table::Plain(_) => "digest",
        }
    }

    /// What a person finds the row by. Never a column that contains the digest.
    pub(super) fn name_of(&self, row: &Value) -> Option<String> {
        let fields = Fields(row.as_object()?);
        let columns: &[_] = if self.0 == Table::DjangoRest { &["prefix", "name"] } else { &["id", "name", "start"] };
        let name = fields.any(columns)?.1;
        Some(name.as_str().map_or_else(|| name.to_string(), str::to_owned).chars().take(64).collect())
    }

    fn start(&self, fields: &Fields<'_>, id: &'static str, algorithm: DigestAlgorithm) -> Result<KeyRecord, Refused> {
        let column = self.digest_field();
        let text = fields.text(&[column])?.ok_or_else(|| missing(column))?;
        let text = match self.0 {
            Table::DjangoRest => text.strip_prefix("sha512$$").unwrap_or(text),
            _ => text,
        };
        let digest = digest::parse(text, algorithm).map_err(|problem| (column.to_owned(), problem))?;
        let text = fields.id(&[id])?.ok_or_else(|| missing(id))?;
        let id = KeyId::new(text).map_err(|_| malformed(id, "1 to 128 visible ASCII characters"))?;
        let mut record = KeyRecord::new(id, digest);
        record.name = fields.text(&["name"])?.unwrap_or_default().to_owned();
        Ok(record)
    }
}

fn unkey(fields: &Fields<'_>) -> Result<KeyRecord, Refused> {
    let mut record = ImportFormat::unkey().start(fields, "id", DigestAlgorithm::Sha256)?;
    if let Some((column, _)) = fields.any(&["refill", "refill_amount", "refill_day"]) {
        return Err(malformed(column, "null: refills cannot be imported"));
    }
    record.start = fields.text(&["start"])?.map(str::to_owned);
    record.owner = owner(fields, &["externalId", "ownerId", "owner_id"])?;
    record.metadata = fields.object(&["meta"])?;
    record.scopes = fields.scopes(&["permissions"])?;
    record.disabled = !fields.flag(&["enabled"])?.unwrap_or(true);
    record.expires_at = fields.instant(&["expires"])?;
    record.created_at = fields.instant(&["createdAt", "created_at_m", "created_at"])?;
    let remaining = fields.count(&["remaining", "remaining_requests", "credits"])?;
    record.credits = remaining.map(|left| Credits::new(left).starting(record.created_at.unwrap_or_default()));
    Ok(record)
}

fn sanctum(fields: &Fields<'_>) -> Result<KeyRecord, Refused> {
    let mut record = ImportFormat::sanctum().start(fields, "id", DigestAlgorithm::Sha256)?;
    if !record.id.as_str().bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(malformed("id", "a number"));
    }
    record.owner = owner(fields, &["tokenable_id"])?;
    record.scopes = fields.scopes(&["abilities"])?;
    record.expires_at = fields.instant(&["expires_at"])?;
    record.last_used_at = fields.instant(&["last_used_at"])?;
    record.created_at = fields.instant(&["created_at"])?;
    Ok(record)
}

fn django_rest(fields: &Fields<'_>) -> Result<KeyRecord, Refused> {
    let mut record = ImportFormat::django_rest().start(fields, "prefix", DigestAlgorithm::Sha512)?;
    record.start = Some(record.id.as_str().to_owned());
    record.expires_at = fields.instant(&["expiry_date"])?;
    record.created_at = fields.instant(&["created"])?;
    revoke(&mut record, fields.flag(&["revoked"])?.unwrap_or(false), None);
    Ok(record)
}

fn plain(fields: &Fields<'_>, algorithm: DigestAlgorithm) -> Result<KeyRecord, Refused> {
    let mut record = ImportFormat::plain(algorithm).start(fields, "id", algorithm)?;
    record.start = fields.text(&["start"])?.map(str::to_owned);
    record.owner = owner(fields, &["user_id"])?;
    record.scopes = fields.scopes(&["scopes"])?;
    record.metadata = fields.object(&["metadata"])?;
    record.disabled = fields.flag(&["disabled"])?.unwrap_or(false);
    record.expires_at = fields.instant(&["expires_at"])?;
    record.created_at = fields.instant(&["created_at"])?;
    let revoked_at = fields.instant(&["revoked_at"])?;
    revoke(&mut record, revoked_at.is_some(), revoked_at);
    Ok(record)
}

fn owner(fields: &Fields<'_>, columns: &[&'static str]) -> Result<KeyOwner, Refused> {
    let Some(id) = fields.id(columns)? else { return Ok(KeyOwner::default()) };
    let column = fields.any(columns).map_or("owner", |(column, _)| column);
    let user = UserId::new(id).map_err(|_| malformed(column, "1 to 255 bytes without control characters"))?;
    Ok(KeyOwner::user(user))
}

/// Where the other system does not say when, it was at the latest when the key was made.
fn revoke(record: &mut KeyRecord, revoked: bool, at: Option<Timestamp>) {
    if revoked {
        record.revoked_at = at.or(record.created_at).or(Some(Timestamp::UNIX_EPOCH));
        record.revoked_reason = Some("revoked before it was imported".to_owned());
    }
}
