//! A store that fails, hangs, shows too much, or is written to by somebody else meanwhile.

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::json;
use tower_api_key::audit::{AuditAction, AuditEvent, AuditEventId, AuditFilter, AuditPage, AuditStore, AuditTrail};
use tower_api_key::clock::Timestamp;
use tower_api_key::key::{KeyDigest, KeyId, KeyRecord, KeyRef, UserId};
use tower_api_key::management::{Action, Management, ROUTES};
use tower_api_key::source::{
    IssuedKey, KeyAdoption, KeyChange, KeyFilter, KeyLife, KeyPage, KeyRotation, KeyScheme, KeySource, KeyStore,
    KeySuccession, KeyUpdate, KeyUsage, MemoryKeys, NewKey,
};
use tracing::Level;

use super::log::Log;
use super::support::{Api, body, boxed, guarded, maker, path, request, send, user};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Fault {
    Fails,
    Hangs,
    /// Lists every key, whatever was asked for.
    ShowsAll,
    /// Somebody else renames each key as soon as it is read.
    Races,
    /// Answers only after others have had their turn.
    Yields,
    /// Somebody else makes a key for the same owner just before each that is made.
    Rivals,
}

#[derive(Clone)]
pub(super) struct Faulty {
    keys: MemoryKeys,
    fault: Fault,
    calls: Arc<AtomicU64>,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Faulty {
    pub(super) fn new(api: &Api, fault: Fault) -> Self {
        Self { keys: api.keys.clone(), fault, calls: Arc::default() }
    }

    async fn befall(&self) -> Result<(), Failure> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            Fault::Fails => Err("the table keys_secret_table is on fire".into()),
            Fault::Hangs => pending().await,
            Fault::ShowsAll | Fault::Races | Fault::Rivals => Ok(()),
            Fault::Yields => {
                for _ in 0..3 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        }
    }
}

impl KeySource for Faulty {
    type Error = Failure;

    fn name(&self) -> &'static str {
        "faulty"
    }

    fn schemes(&self) -> Vec<KeyScheme> {
        self.keys.schemes()
    }

    async fn find(&self, digest: &KeyDigest) -> Result<Option<KeyRef>, Failure> {
        Ok(self.keys.find(digest).await?)
    }
}

impl KeyStore for Faulty {
    fn life(&self) -> KeyLife {
        self.keys.life()
    }

    async fn issue(&self, key: NewKey) -> Result<IssuedKey, Failure> {
        self.befall().await?;
        if self.fault == Fault::Rivals {
            let _ = self.keys.issue(NewKey::named("rival").owner(key.owner.clone())).await?;
        }
        Ok(self.keys.issue(key).await?)
    }

    async fn adopt(&self, record: KeyRecord) -> Result<KeyAdoption, Failure> {
        self.befall().await?;
        Ok(self.keys.adopt(record).await?)
    }

    async fn get(&self, id: &KeyId) -> Result<Option<KeyRef>, Failure> {
        self.befall().await?;
        let found = self.keys.get(id).await?;
        if self.fault == Fault::Races {
            let _ = self.keys.update(id, KeyChange::rename("another's")).await?;
        }
        Ok(found)
    }

    async fn list(&self, filter: &KeyFilter) -> Result<KeyPage, Failure> {
        self.befall().await?;
        if self.fault != Fault::ShowsAll {
            return Ok(self.keys.list(filter).await?);
        }
        Ok(self.keys.list(&KeyFilter::default()).await?)
    }

    async fn update(&self, id: &KeyId, change: KeyChange) -> Result<KeyUpdate, Failure> {
        self.befall().await?;
        Ok(self.keys.update(id, change).await?)
    }

    async fn revoke(&self, id: &KeyId, reason: Option<String>) -> Result<Option<KeyRef>, Failure> {
        self.befall().await?;
        Ok(self.keys.revoke(id, reason).await?)
    }

    async fn set_enabled(&self, id: &KeyId, enabled: bool) -> Result<KeyUpdate, Failure> {
        self.befall().await?;
        Ok(self.keys.set_enabled(id, enabled).await?)
    }

    async fn rotate(&self, id: &KeyId, rotation: KeyRotation) -> Result<KeySuccession, Failure> {
        self.befall().await?;
        Ok(self.keys.rotate(id, rotation).await?)
    }

    async fn purge(&self, before: Timestamp) -> Result<usize, Failure> {
        self.befall().await?;
        Ok(self.keys.purge(before).await?)
    }

    async fn record_usage(&self, usage: &[KeyUsage]) -> Result<(), Failure> {
        self.befall().await?;
        Ok(self.keys.record_usage(usage).await?)
    }
}

impl AuditStore for Faulty {
    type Error = Failure;

    fn name(&self) -> &'static str {
        "faulty"
    }

    async fn append(&self, _: &[AuditEvent]) -> Result<(), Failure> {
        self.befall().await
    }

    async fn events(&self, _: &AuditFilter) -> Result<AuditPage, Failure> {
        self.befall().await?;
        let mut events = Vec::new();
        for user in ["ann", "bob"] {
            let now = Timestamp::UNIX_EPOCH;
            let mut event = AuditEvent::new(AuditEventId::new(now, 1), now, AuditAction::Authenticate);
            event.owner.user = Some(UserId::new(user)?);
            events.push(event);
        }
        Ok(AuditPage::new(events, None))
    }

    async fn purge_events(&self, _: Timestamp, _: usize) -> Result<usize, Failure> {
        self.befall().await?;
        Ok(0)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_cannot_answer_is_a_503_for_every_call() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, key) = api.issue(NewKey::named("k")).await;
    for fault in [Fault::Fails, Fault::Hangs] {
        let faulty = Faulty::new(&api, fault);
        let management =
            Management::new(faulty.clone()).audit(AuditTrail::new(faulty)).deadline(Duration::from_secs(3));
        let app = guarded(api.keys.clone(), &api.clock, management.router());
        for endpoint in ROUTES {
            let request =
                request(&endpoint.method, &path(endpoint, key.id.as_str()), Some(&admin), body(endpoint.action));
            let start = tokio::time::Instant::now();
            let answer = send(&app, request).await;
            assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "AUTH_UNAVAILABLE"));
            assert_eq!(answer.headers[header::RETRY_AFTER], "1");
            assert!(start.elapsed() <= Duration::from_secs(4), "every call to the store has a deadline");
            assert!(!answer.body.to_string().contains("fire"), "the cause is for the log alone");
        }
    }
}

#[tokio::test]
async fn the_store_is_not_asked_before_the_caller_has_a_mandate_and_the_body_is_good() {
    let api = Api::new();
    let (secret, key) = api.issue(NewKey::named("ordinary")).await;
    let store = Faulty::new(&api, Fault::Fails);
    let router = || Management::new(store.clone()).audit(AuditTrail::new(store.clone())).router();
    let app = guarded(api.keys.clone(), &api.clock, router());
    let operator = boxed(axum::Router::new().nest("/v1/keys", router()).layer(axum::Extension(maker(|_| {}))));
    for endpoint in ROUTES {
        let path = path(endpoint, key.id.as_str());
        for key in [None, Some(&*secret)] {
            send(&app, request(&endpoint.method, &path, key, body(endpoint.action))).await;
        }
        if !matches!(endpoint.action, Action::List | Action::Read | Action::Usage | Action::Audit) {
            send(&operator, request(&endpoint.method, &path, None, Some(json!({"unknown": 1})))).await;
        }
    }
    assert_eq!(store.calls.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_change_in_between_is_not_overwritten() {
    let api = Api::new();
    let admin = api.admin().await;
    let (_, key) = api.issue(NewKey::named("k")).await;
    let app = guarded(api.keys.clone(), &api.clock, Management::new(Faulty::new(&api, Fault::Races)).router());
    let body = Some(json!({"name": "mine"}));
    let mut request = request(&Method::PATCH, &format!("/v1/keys/{}", key.id), Some(&admin), body);
    request.headers_mut().insert(header::IF_MATCH, "\"0\"".parse().unwrap());
    assert_eq!(send(&app, request).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(api.keys.get(&key.id).await.unwrap().unwrap().name, "another's");
}

#[tokio::test]
async fn a_store_that_lists_too_much_shows_nothing_out_of_reach() {
    let api = Api::new();
    api.issue(NewKey::named("not ann's")).await;
    let management = Management::new(Faulty::new(&api, Fault::ShowsAll));
    let app = boxed(axum::Router::new().nest("/v1/keys", management.router()).layer(axum::Extension(user("ann"))));
    let listed = send(&app, request(&Method::GET, "/v1/keys", None, None)).await;
    assert_eq!(listed.body, json!({"items": [], "nextCursor": null}));
    let trail = AuditTrail::new(Faulty::new(&api, Fault::ShowsAll));
    let management = Management::new(api.keys.clone()).audit(trail);
    let app = boxed(axum::Router::new().nest("/v1/keys", management.router()).layer(axum::Extension(user("ann"))));
    let read = send(&app, request(&Method::GET, "/v1/keys/audit", None, None)).await;
    let owners: Vec<_> = read.body["items"].as_array().unwrap().iter().map(|event| &event["owner"]["user"]).collect();
    assert_eq!(owners, ["ann"]);
}

#[tokio::test]
async fn no_secret_and_no_digest_is_logged() {
    let (log, guard) = Log::listen(Level::TRACE);
    let api = Api::new();
    let admin = api.admin().await;
    let made = send(&api.app, request(&Method::POST, "/v1/keys", Some(&admin), Some(json!({"name": "new"})))).await;
    let id = made.body["id"].as_str().unwrap();
    let failing = guarded(api.keys.clone(), &api.clock, Management::new(Faulty::new(&api, Fault::Fails)).router());
    for app in [&api.app, &failing] {
        for endpoint in ROUTES {
            send(app, request(&endpoint.method, &path(endpoint, id), Some(&admin), body(endpoint.action))).await;
        }
    }
    drop(guard);
    let text = log.text();
    assert!(text.contains("keys_secret_table is on fire"), "the cause of a failure is logged: {text}");
    for secret in [admin.as_str(), made.body["key"].as_str().unwrap()] {
        assert!(!text.contains(&secret[12..secret.len() - 4]), "{text}");
    }
    for record in api.all().await {
        let digest = record.digest.to_stored().unwrap();
        assert!(!text.contains(digest.split_once(':').unwrap().1), "{text}");
    }
}
