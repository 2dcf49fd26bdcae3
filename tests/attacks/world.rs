//! The programs, and who has what there.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tower_api_key::key::{Environment, KeyFormat, KeyHasher};

use crate::evidence;
use crate::forged::{AUDIENCE, FAR, ISSUER, JWT_SECRET, NEXT_AUTH_INFO, jwk, next_auth, vector};
pub(crate) use crate::managed::{Managed, admin_of, member_of};
use crate::people::{IDENTITY_SECRET, Platform, ada, cookie};
use crate::support::{Program, command};
use crate::upstream::Upstream;
use crate::wire::{self, Ask};

/// The operator's key, of `workspace` and of `generate`.
pub(crate) const ADMIN: &str = "the-operators-key-of-32-characters-or-more";
pub(crate) const CLIENT: &str = "a-clients-key-of-32-characters-or-more";
/// The one key of `chat`.
pub(crate) const CHAT: &str = "the-one-key-of-chat-of-32-characters-or-more";
/// The first keys of the organisations `acme` and `globex`.
pub(crate) const ACME: &str = "Acme567890123456789012345678901234567890";
pub(crate) const GLOBEX: &str = "Globex7890123456789012345678901234567890";
/// A key that stands in the file of `workspace`, and of nobody in particular.
pub(crate) const FILED: &str = "a-key-of-the-file-of-32-characters-or-more";
/// Another one there, whose list of addresses is empty.
pub(crate) const NOWHERE: &str = "a-key-for-no-address-of-32-characters-or-more";
/// Cannot be reached by requests that are not limited.
const PLENTY: (&str, &str) = ("API_RATE_LIMIT", "1000000");
/// How often a client may call the small `chat` in an hour.
pub(crate) const FEW: u32 = 5;

pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    program: Program,
}

impl Server {
    fn start(name: &'static str, example: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = command(example, settings);
        command.env("RUST_LOG", "trace").stderr(evidence::log(name));
        Self::of(name, Program::run(command))
    }

    pub(crate) fn of(name: &'static str, program: Program) -> Self {
        let address = program.url.trim_start_matches("http://").parse().expect("an address");
        Self { name, address, program }
    }

    /// Asks it to end in its own way, and waits until it has: by then all that it logs is written.
    pub(crate) fn end(self) {
        assert!(self.program.terminate().success(), "{} ends in its own way", self.name);
    }
}

/// A key that somebody has, and its id.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) id: String,
    pub(crate) key: String,
}

pub(crate) struct World {
    /// Knows sessions of Auth.js and NextAuth.
    pub(crate) workspace: Server,
    /// Lets in 10.0.0.0/8 and 2001:db8::/32, and believes the proxies in 127.0.0.2/31.
    pub(crate) fenced: Server,
    pub(crate) organization: Server,
    /// Checks tokens with the set of keys 1 and 2.
    pub(crate) issued: Server,
    pub(crate) chat: Server,
    /// Lets a client call [`FEW`] times in an hour.
    pub(crate) small: Server,
    pub(crate) platform: Server,
    pub(crate) generate: Server,
    /// Of the environment `test`.
    pub(crate) test: Server,
    /// Of `generate`, by their scopes.
    pub(crate) reader: Held,
    pub(crate) writer: Held,
    pub(crate) manager: Held,
    /// Of `generate`, and no longer good.
    pub(crate) revoked: Held,
    pub(crate) disabled: Held,
    /// Of the environment `test`.
    pub(crate) tester: Held,
    /// Of the organisations of `platform`.
    pub(crate) acme: Held,
    pub(crate) globex: Held,
    /// Of the two people of `workspace`.
    pub(crate) ann: Held,
    pub(crate) bea: Held,
    auth_secret: String,
    upstream: Upstream,
    folders: Vec<TempDir>,
    runtime: Runtime,
}

impl World {
    pub(crate) fn start() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let folders: Vec<TempDir> = (0..6).map(|_| tempfile::tempdir().expect("a folder")).collect();
        let folder = |number: usize| folders[number].path().to_str().expect("it is text");
        let auth_secret = vector("authjs_v5.json", "plain/valid")["secret"].as_str().expect("it has one").to_owned();
        for secret in [ADMIN, CLIENT, CHAT, ACME, GLOBEX, FILED, NOWHERE, JWT_SECRET, &auth_secret, IDENTITY_SECRET] {
            evidence::secret(secret);
        }
        file_key(folders[0].path());
        std::fs::write(folders[2].path().join("jwks.json"), json!({ "keys": [jwk(1), jwk(2)] }).to_string())
            .expect("the folder takes it");
        let first = format!("acme:{ACME}, globex:{GLOBEX}");
        let jwks = format!("{}/jwks.json", folder(2));
        let claims = [("JWT_ISSUER", ISSUER), ("JWT_AUDIENCE", AUDIENCE), ("ORGANIZATION_API_KEYS", first.as_str())];
        let keys = [PLENTY, ("ADMIN_API_KEY", ADMIN)];
        let people = [("NEXTAUTH_SECRET", auth_secret.as_str()), ("VALID_API_KEYS", CLIENT)];
        let fence = [("ALLOWED_IPS", "10.0.0.0/8, 2001:db8::/32"), ("TRUSTED_PROXIES", "127.0.0.2/31")];
        let few = FEW.to_string();

        let workspace = [&keys[..], &people, &[("WORKSPACES_DIR", folder(0))]].concat();
        let fenced = [&keys[..], &fence, &[("WORKSPACES_DIR", folder(1))]].concat();
        let organization = [&claims[..], &[("JWT_SECRET", JWT_SECRET), ("DATA_DIR", folder(1))]].concat();
        let issued = [&claims[..], &[("JWT_JWKS_FILE", jwks.as_str()), ("DATA_DIR", folder(2))]].concat();
        let generate = [&keys[..], &[("DATA_DIR", folder(3))]].concat();
        let test = [&keys[..], &[("DATA_DIR", folder(3)), ("API_ENVIRONMENT", "test")]].concat();
        let upstream = runtime.block_on(Upstream::start());
        let platform = runtime.block_on(Platform::logging(
            &upstream.url,
            &[PLENTY, ("RUST_LOG", "trace")],
            evidence::log("platform"),
        ));
        let Platform { program: platform, folder: auth } = platform;

        let mut world = Self {
            workspace: Server::start("workspace", "workspace", &workspace),
            fenced: Server::start("fenced workspace", "workspace", &fenced),
            organization: Server::start("organization", "organization", &organization),
            issued: Server::start("organization by JWKS", "organization", &issued),
            chat: Server::start("chat", "chat", &[PLENTY, ("NEXTELEVEN_API_KEY", CHAT)]),
            small: Server::start("small chat", "chat", &[("API_RATE_LIMIT", &few), ("NEXTELEVEN_API_KEY", CHAT)]),
            platform: Server::of("platform", platform),
            generate: Server::start("generate", "generate", &generate),
            test: Server::start("generate for tests", "generate", &test),
            reader: Held::none(),
            writer: Held::none(),
            manager: Held::none(),
            revoked: Held::none(),
            disabled: Held::none(),
            tester: Held::none(),
            acme: Held::none(),
            globex: Held::none(),
            ann: Held::none(),
            bea: Held::none(),
            auth_secret,
            upstream,
            folders,
            runtime,
        };
        world.folders.push(auth);
        world.make_keys();
        world
    }

    fn make_keys(&mut self) {
        let scoped = |name: &str| json!({ "name": name, "scopes": [name] });
        self.reader = self.of_operator(&scoped("read"));
        self.writer = self.of_operator(&scoped("write"));
        self.manager = self.of_operator(&scoped("admin"));
        self.revoked = self.of_operator(&scoped("read"));
        self.disabled = self.of_operator(&scoped("read"));
        for (held, call) in [(&self.revoked, "revoke"), (&self.disabled, "disable")] {
            let path = format!("/v1/keys/{}/{call}", held.id);
            let done = wire::exchange(self.generate.address, &bearer(Ask::post(path, "{}"), ADMIN));
            assert_eq!(done.status, 200, "{}", done.body);
        }
        let new = json!({ "name": "new" });
        let ask = bearer(Ask::post("/v1/keys", json!({ "name": "test", "scopes": ["read", "admin"] })), ADMIN);
        self.tester = mint(&self.test, &ask);
        let keys = |organization: &str| format!("/api/organizations/{organization}/api-keys");
        self.acme = mint(&self.platform, &Ask::post(keys("acme"), &new).field("cookie", ada()));
        self.globex = mint(&self.platform, &Ask::post(keys("globex"), &new).field("cookie", cookie("eve")));
        let keys = "/account/api-keys";
        self.ann = mint(&self.workspace, &Ask::post(keys, &new).field("cookie", self.ann_cookie()));
        self.bea = mint(&self.workspace, &Ask::post(keys, &new).field("cookie", self.bea_cookie()));
    }

    /// A new key of `generate`.
    pub(crate) fn of_operator(&self, body: &Value) -> Held {
        mint(&self.generate, &bearer(Ask::post("/v1/keys", body), ADMIN))
    }

    /// A key whose checksum is right, and that nobody has.
    pub(crate) fn unknown_key() -> String {
        let key = KeyFormat::default().generate(&Environment::LIVE).expect("there are random numbers");
        evidence::secret(key.expose_secret());
        key.expose_secret().to_owned()
    }

    /// The secret of the sessions of `workspace`.
    pub(crate) fn auth_secret(&self) -> &str {
        &self.auth_secret
    }

    /// A session that Auth.js has made.
    pub(crate) fn ann_cookie(&self) -> String {
        vector("authjs_v5.json", "plain/valid")["cookie_header"].as_str().expect("it has one").to_owned()
    }

    /// A session of somebody else.
    pub(crate) fn bea_cookie(&self) -> String {
        self.next_auth_cookie(&json!({ "sub": "user-bea", "name": "Bea", "exp": FAR }))
    }

    pub(crate) fn next_auth_cookie(&self, claims: &Value) -> String {
        format!("next-auth.session-token={}", next_auth(&self.auth_secret, NEXT_AUTH_INFO, claims))
    }

    /// All that stand in front of the same classes of routes, and a path of each that needs a key.
    pub(crate) fn guarded(&self) -> [(&Server, &'static str); 6] {
        [
            (&self.workspace, "/api/whoami"),
            (&self.organization, "/api/whoami"),
            (&self.chat, "/api/whoami"),
            (&self.platform, "/api/whoami"),
            (&self.generate, "/api/whoami"),
            (&self.platform, "/api/run/anything"),
        ]
    }

    /// Where each program has its management API, who manages there, and a key that they manage.
    pub(crate) fn managed(&self) -> [Managed<'_>; 4] {
        let first = |server: &Server| {
            let ask = Ask::get("/api/organization/api-keys").field("authorization", admin_of("acme"));
            let listed = wire::exchange(server.address, &ask).json();
            listed["items"][0]["id"].as_str().expect("the first key").to_owned()
        };
        [
            Managed::new(&self.workspace, "/account/api-keys", ("cookie", self.ann_cookie()), &self.ann.id),
            Managed::new(
                &self.organization,
                "/api/organization/api-keys",
                ("authorization", admin_of("acme")),
                &first(&self.organization),
            ),
            Managed::new(&self.platform, "/api/organizations/acme/api-keys", ("cookie", ada()), &self.acme.id),
            Managed::new(&self.generate, "/v1/keys", ("authorization", format!("Bearer {ADMIN}")), &self.reader.id),
        ]
    }

    /// Where the files of a program are.
    pub(crate) fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(TempDir::path)
    }

    /// What calls by HTTP/2 run on.
    pub(crate) const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Ends the programs, and keeps their audit trails.
    pub(crate) fn end(self) {
        let servers = [
            self.workspace,
            self.fenced,
            self.organization,
            self.issued,
            self.chat,
            self.small,
            self.platform,
            self.generate,
            self.test,
        ];
        for server in servers {
            server.end();
        }
        drop(self.upstream);
        for (number, folder) in self.folders.iter().enumerate() {
            // Not all of them keep one.
            let _ = std::fs::copy(folder.path().join("audit.jsonl"), evidence::path(&format!("audit {number}")));
        }
    }
}

impl Held {
    const fn none() -> Self {
        Self { id: String::new(), key: String::new() }
    }
}

pub(crate) fn bearer(ask: Ask, key: &str) -> Ask {
    ask.field("authorization", format!("Bearer {key}"))
}

/// Makes a key: the one answer that may show it.
pub(crate) fn mint(server: &Server, ask: &Ask) -> Held {
    let made = wire::exchange_untold(server.address, ask);
    assert_eq!(made.status, 201, "{}: {ask}\n{}", server.name, made.body);
    let text = |name: &str| made.json()[name].as_str().expect("a key has it").to_owned();
    let held = Held { id: text("id"), key: text("key") };
    evidence::secret(&held.key);
    held
}

fn file_key(folder: &Path) {
    let digest = |key: &str| KeyHasher::sha256().digest(key).to_stored();
    let keys = json!({ "version": 1, "keys": [
        { "id": "key_file", "name": "filed", "digest": digest(FILED) },
        { "id": "key_nowhere", "name": "for no address", "digest": digest(NOWHERE), "allowedIps": [] },
    ] });
    std::fs::write(folder.join("api-keys.json"), keys.to_string()).expect("the folder takes it");
}
