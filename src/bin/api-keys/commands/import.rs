//! `api-keys import`

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;
use tower_api_key::audit::AuditAction;
use tower_api_key::key::{DigestAlgorithm, KeyFormat, KeyHasher, KeyObject};
use tower_api_key::source::import::{ImportFormat, ImportReport, import};

use crate::failure::{Failure, Outcome, Verdict};
use crate::output::{Output, count, now};
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::{self, Act};

/// Takes over keys that another system has issued: their digests move, and the keys go on working
#[derive(Debug, Args)]
#[command(after_help = "\
The file has the rows of the other system's table as JSON objects with its
columns: in a list, or one after the other. Rows that cannot be imported are
named, the others are imported, and the exit code is 1. Importing again is safe.

Examples:
  api-keys import --from unkey keys.json
  psql -qAtf export.sql | api-keys import --from sanctum -
  sqlite3 -json db.sqlite3 '.read export.sql' | api-keys import --from drf -")]
pub(crate) struct Import {
    /// The system that the keys are from
    #[arg(long, value_enum)]
    from: System,
    /// The file, or - for the standard input
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum System {
    /// Unkey: id and hash
    Unkey,
    /// Laravel Sanctum: personal_access_tokens
    Sanctum,
    /// djangorestframework-api-key: rest_framework_api_key_apikey
    Drf,
    /// Better Auth: apikey
    BetterAuth,
    /// A table of your own: id and digest, by SHA-256
    Sha256,
    /// The same by SHA-384
    Sha384,
    /// The same by SHA-512
    Sha512,
}

impl System {
    const fn format(self) -> ImportFormat {
        match self {
            Self::Unkey => ImportFormat::unkey(),
            Self::Sanctum => ImportFormat::sanctum(),
            Self::Drf => ImportFormat::django_rest(),
            Self::BetterAuth => ImportFormat::better_auth(),
            Self::Sha256 => ImportFormat::plain(DigestAlgorithm::Sha256),
            Self::Sha384 => ImportFormat::plain(DigestAlgorithm::Sha384),
            Self::Sha512 => ImportFormat::plain(DigestAlgorithm::Sha512),
        }
    }

    /// What has to be accepted for the keys to work, and the setting of the service that says so.
    fn needs(self) -> (KeyFormat, KeyHasher, &'static str) {
        let (text, sha256) = (KeyFormat::text(), KeyHasher::sha256());
        match self {
            Self::Unkey => (text, sha256, ".add_format(KeyFormat::unkey(…)).add_hasher(KeyHasher::sha256())"),
            Self::Sanctum => {
                let needed = ".add_format(KeyFormat::sanctum(…)).add_hasher(KeyHasher::sha256())";
                (KeyFormat::sanctum(""), sha256, needed)
            }
            Self::Drf => {
                let needed = ".add_format(KeyFormat::django_rest()).add_hasher(KeyHasher::sha512())";
                (KeyFormat::django_rest(), KeyHasher::sha512(), needed)
            }
            Self::BetterAuth => {
                (text, sha256, ".add_format(KeyFormat::better_auth(…)).add_hasher(KeyHasher::sha256())")
            }
            Self::Sha256 => (text, sha256, ".add_format(…).add_hasher(KeyHasher::sha256())"),
            Self::Sha384 => (text, KeyHasher::sha384(), ".add_format(…).add_hasher(KeyHasher::sha384())"),
            Self::Sha512 => (text, KeyHasher::sha512(), ".add_format(…).add_hasher(KeyHasher::sha512())"),
        }
    }
}

#[derive(Serialize)]
struct Report<'a> {
    adopted: Vec<KeyObject<'a>>,
    refused: Vec<Refused<'a>>,
}

#[derive(Serialize)]
struct Refused<'a> {
    /// From 0.
    row: usize,
    name: Option<&'a str>,
    field: &'a str,
    problem: String,
}

impl Import {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let rows = read(&self.file)?;
        let mut opening = Opening::new(settings)?;
        let (format, hasher, needed) = self.from.needs();
        opening.add_format(format);
        opening.add_hasher(hasher);
        let store = opening.open().await?;
        let report = import(&store, &self.from.format(), rows).await?;
        let act = |key| Act { action: AuditAction::Create, before: None, after: key };
        trail::tell(settings, &store, &report.adopted.iter().map(act).collect::<Vec<_>>()).await?;
        tell(output, &report)?;
        if !output.json && !report.adopted.is_empty() {
            output.note(format_args!("The store of the service has to accept them: {needed}"));
        }
        Ok(if report.refused.is_empty() { Verdict::Yes } else { Verdict::No })
    }
}

fn tell(output: Output, report: &ImportReport) -> Result<(), Failure> {
    if output.json {
        let refused = report.refused.iter().map(|row| Refused {
            row: row.row,
            name: row.name.as_deref(),
            field: &row.field,
            problem: row.problem.to_string(),
        });
        let adopted = report.adopted.iter().map(|key| KeyObject::new(key, now()));
        return output.json(&Report { adopted: adopted.collect(), refused: refused.collect() });
    }
    let keys = |number: usize| count(number as u64, "key");
    for refused in &report.refused {
        output.note(refused);
    }
    output.note(format_args!("Imported {}, refused {}.", keys(report.adopted.len()), keys(report.refused.len())));
    Ok(())
}

/// The rows of a list, or of one object after the other.
fn read(file: &Path) -> Result<Vec<Value>, Failure> {
    let unreadable = |error: io::Error| Failure::unavailable(file.display(), &error);
    let reader: Box<dyn Read> = match file.to_str() {
        Some("-") => Box::new(io::stdin()),
        _ => Box::new(File::open(file).map_err(unreadable)?),
    };
    let mut rows = Vec::new();
    for value in serde_json::Deserializer::from_reader(BufReader::new(reader)).into_iter::<Value>() {
        match value.map_err(|error| Failure::unavailable(file.display(), &error))? {
            Value::Array(list) => rows.extend(list),
            row => rows.push(row),
        }
    }
    Ok(rows)
}
