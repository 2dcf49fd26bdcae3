//! What all commands share: the store, the formats of its keys, the peppers of their digests, and how is answered.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ColorChoice};
use tower_api_key::key::{KeyFormat, KeyHasher, Pepper, PepperId};

use crate::failure::Failure;

/// The variable with the peppers.
const PEPPER: &str = "API_KEYS_PEPPER";

#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// Where the keys are: file:PATH, sqlite://PATH or postgres://USER@HOST/DATABASE
    ///
    /// A URL with a password belongs into the variable: arguments can be read by everybody on the machine.
    #[arg(long, global = true, value_name = "URL", env = "API_KEYS_STORE", hide_env_values = true)]
    pub(crate) store: Option<String>,

    /// The table of the keys, in SQLite and Postgres
    #[arg(long, global = true, value_name = "NAME", env = "API_KEYS_TABLE", default_value = "api_keys")]
    pub(crate) table: String,

    /// The prefix of keys; of several, the first is that of new keys
    #[arg(long, global = true, value_delimiter = ',', env = "API_KEYS_PREFIX", default_value = "ak")]
    pub(crate) prefix: Vec<String>,

    /// How many random characters stand before the checksum of a key
    #[arg(long, global = true, value_name = "NUMBER", env = "API_KEYS_RANDOM_CHARACTERS", default_value_t = 34)]
    random_characters: usize,

    /// Other shapes that the service accepts: text, sanctum[:PREFIX], unkey[:PREFIX], better-auth[:PREFIX], drf,
    /// alphanumeric:LENGTH, hex:LENGTH
    #[arg(long, global = true, value_name = "SHAPE", value_delimiter = ',', env = "API_KEYS_ACCEPT")]
    accept: Vec<Shape>,

    /// A file with the peppers, instead of the variable API_KEYS_PEPPER: ID:BASE64 a line
    ///
    /// New keys are digested under the first. Others, and `none` for digests without a pepper, are accepted.
    #[arg(long, global = true, value_name = "FILE", env = "API_KEYS_PEPPER_FILE")]
    pepper_file: Option<PathBuf>,

    /// A file of audit events, as JSON lines, instead of the table beside that of the keys
    #[arg(long, global = true, value_name = "FILE", env = "API_KEYS_TRAIL")]
    pub(crate) trail: Option<PathBuf>,

    /// Answers in JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Whether to colour; auto: on terminals, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
}

impl Settings {
    /// The formats with a prefix, that of new keys first.
    pub(crate) fn own_formats(&self) -> Result<Vec<KeyFormat>, Failure> {
        let format = |prefix: &String| {
            let format =
                KeyFormat::prefixed(prefix.trim()).map_err(|error| Failure::usage(format!("--prefix: {error}")))?;
            let format = format.random_characters(self.random_characters);
            format.map_err(|error| Failure::usage(format!("--random-characters: {error}")))
        };
        self.prefix.iter().map(format).collect()
    }

    /// All formats that are accepted.
    pub(crate) fn formats(&self) -> Result<Vec<KeyFormat>, Failure> {
        let mut formats = self.own_formats()?;
        formats.extend(self.accept.iter().map(|Shape(format)| format.clone()));
        Ok(formats)
    }

    /// How keys are digested, new ones by the first.
    pub(crate) fn hashers(&self) -> Result<Vec<KeyHasher>, Failure> {
        let mut hashers = self.own_hashers()?;
        if self.accept.iter().any(|Shape(format)| *format == KeyFormat::django_rest()) {
            hashers.push(KeyHasher::sha512());
        }
        Ok(hashers)
    }

    fn own_hashers(&self) -> Result<Vec<KeyHasher>, Failure> {
        let text = match (&self.pepper_file, std::env::var(PEPPER)) {
            (Some(_), Ok(_)) => {
                return Err(Failure::usage(format!("--pepper-file and {PEPPER}: one of them, not both")));
            }
            (Some(file), Err(_)) => std::fs::read_to_string(file)
                .map_err(|error| Failure::unavailable(format!("--pepper-file, {}", file.display()), &error))?,
            (None, Ok(text)) => text,
            (None, Err(std::env::VarError::NotPresent)) => return Ok(vec![KeyHasher::sha256()]),
            (None, Err(std::env::VarError::NotUnicode(_))) => return Err(Failure::usage(format!("{PEPPER}: no text"))),
        };
        let setting = if self.pepper_file.is_some() { "--pepper-file" } else { PEPPER };
        let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        let hashers = entries.map(hasher).collect::<Result<Vec<_>, _>>();
        match hashers {
            Ok(hashers) if !hashers.is_empty() => Ok(hashers),
            Ok(_) => Err(Failure::usage(format!("{setting}: is empty"))),
            Err(problem) => Err(Failure::usage(format!("{setting}: {problem}"))),
        }
    }
}

/// `1:<base64>`, or `none`. The error quotes nothing of it.
fn hasher(entry: &str) -> Result<KeyHasher, String> {
    if entry == "none" {
        return Ok(KeyHasher::sha256());
    }
    let (id, secret) = entry.split_once(':').ok_or("expected ID:BASE64, where ID is a number")?;
    let id = PepperId(id.trim().parse().map_err(|_| "the id of a pepper must be a number".to_owned())?);
    let pepper = Pepper::from_base64(id, secret).map_err(|error| error.to_string())?;
    Ok(KeyHasher::hmac_sha256(&pepper))
}

/// A shape of keys, as it is named here.
#[derive(Debug, Clone)]
struct Shape(KeyFormat);

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let length = || rest.and_then(|length| length.parse().ok()).ok_or_else(|| format!("expected {name}:LENGTH"));
        let format = match name {
            "text" => KeyFormat::text(),
            "sanctum" => KeyFormat::sanctum(rest.unwrap_or_default()),
            "unkey" => KeyFormat::unkey(rest),
            "better-auth" => KeyFormat::better_auth(rest.unwrap_or_default()),
            "drf" => KeyFormat::django_rest(),
            "alphanumeric" => KeyFormat::alphanumeric(length()?).map_err(|error| error.to_string())?,
            "hex" => KeyFormat::hex(length()?).map_err(|error| error.to_string())?,
            _ => return Err("is no shape of keys".to_owned()),
        };
        Ok(Self(format))
    }
}
