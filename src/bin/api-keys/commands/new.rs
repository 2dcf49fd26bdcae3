//! `api-keys new`

use clap::Args;
use ipnet::IpNet;
use serde_json::{Map, Value};
use tower_api_key::audit::AuditAction;
use tower_api_key::ip::IpBlocks;
use tower_api_key::key::{Environment, KeyOwner, OrganizationId, Realm, Scope, ScopeSet, UserId};
use tower_api_key::limit::Quota;
use tower_api_key::source::{KeyStore, NewKey};

use crate::failure::{Failure, Outcome, Verdict};
use crate::keys;
use crate::output::{Output, now};
use crate::settings::Settings;
use crate::store::Opening;
use crate::trail::{self, Act};
use crate::values::{self, Instant};

/// Makes a key, and prints it this once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  api-keys new ci
  api-keys new ci --scope deploy:write,deploy:read --expires 90d --user u_42
  api-keys new partner --allow-ip 203.0.113.0/24 --rate-limit 100/hour
  api-keys new ci --metadata team=infra --json")]
pub(crate) struct New {
    /// What people call it
    #[arg(value_parser = values::name)]
    name: String,
    /// What it may do; several, or separated by commas
    #[arg(long, value_delimiter = ',')]
    scope: Vec<Scope>,
    /// The part of the deployment that it is for
    #[arg(long, default_value = "live")]
    environment: Environment,
    /// The user whose it is
    #[arg(long, value_name = "ID")]
    user: Option<UserId>,
    /// The organisation whose it is
    #[arg(long, value_name = "ID")]
    organization: Option<OrganizationId>,
    /// From when on it is refused: 30d, 2027-01-01, 2027-01-01T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = values::instant, default_value = "never")]
    expires: Instant,
    /// The addresses and blocks it may be used from; several, or separated by commas
    #[arg(long, value_name = "BLOCK", value_parser = block, value_delimiter = ',')]
    allow_ip: Vec<IpNet>,
    /// The web origins it may be used from; several, or separated by commas
    #[arg(long, value_name = "ORIGIN", value_parser = values::origin, value_delimiter = ',')]
    allow_origin: Vec<String>,
    /// A quota of its own: [NAME=]LIMIT/PERIOD[:fixed|sliding|gcra[:BURST]], such as 100/hour; may be given several times
    #[arg(long, value_name = "QUOTA", value_parser = values::quota)]
    rate_limit: Vec<Quota>,
    /// The plan whose quotas it has
    #[arg(long)]
    plan: Option<String>,
    /// The protection space that it is bound to
    #[arg(long)]
    realm: Option<Realm>,
    /// A fact of the application's own, a text; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    metadata: Vec<(String, String)>,
    /// Facts of the application's own, a JSON object
    #[arg(long, value_name = "OBJECT", value_parser = values::object)]
    metadata_json: Option<Map<String, Value>>,
}

impl New {
    pub(crate) async fn run(self, settings: &Settings, output: Output) -> Outcome {
        let key = self.key()?;
        let store = Opening::new(settings)?.open().await?;
        let issued = store.issue(key).await?;
        let told = keys::hand_out(output, &issued);
        let act = Act { action: AuditAction::Create, before: None, after: &issued.record };
        trail::tell(settings, &store, &[act]).await?;
        told?;
        Ok(Verdict::Yes)
    }

    fn key(self) -> Result<NewKey, Failure> {
        let now = now();
        let mut key = NewKey::named(self.name).scopes(ScopeSet::from_iter(self.scope)).environment(self.environment);
        let mut owner = KeyOwner::default();
        (owner.user, owner.organization) = (self.user, self.organization);
        key.owner = owner;
        key.expires_at = self.expires.ahead(now);
        if key.expires_at.is_some_and(|end| end <= now) {
            return Err(Failure::usage("--expires: must be in the future"));
        }
        key.allowed_ips = (!self.allow_ip.is_empty()).then(|| IpBlocks::from_iter(self.allow_ip));
        key.allowed_origins = (!self.allow_origin.is_empty()).then_some(self.allow_origin);
        key.rate_limits = self.rate_limit;
        (key.plan, key.realm) = (self.plan, self.realm);
        key.metadata = self.metadata_json.unwrap_or_default();
        key.metadata.extend(self.metadata.into_iter().map(|(key, value)| (key, Value::String(value))));
        Ok(key)
    }
}

fn block(text: &str) -> Result<IpNet, String> {
    let blocks = IpBlocks::parse(text).map_err(|error| error.to_string())?;
    blocks.iter().next().ok_or_else(|| "expected an address or a block".to_owned())
}
