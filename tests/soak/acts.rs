//! What happens to keys: through the layer's own store, and by others behind its back.

use std::time::Duration;

use proptest::prelude::RngExt;
use tower_api_key::clock::{Clock, Timestamp};
use tower_api_key::ip::IpBlocks;
use tower_api_key::key::{Environment, KeyFormat, KeyHasher, KeyId, KeyOwner, KeyRecord, OrganizationId};
use tower_api_key::limit::Quota;
use tower_api_key::limit::credits::Credits;
use tower_api_key::source::{KeyChange, KeyFilter, KeyRotation, KeySource, KeyStore, KeySuccession, KeyUpdate, NewKey};

use crate::hour::{Hour, MINUTE, PLANS, WRITE, address, meter};
use crate::model::{Key, State};

const ORGANIZATIONS: [&str; 3] = ["", "org_1", "org_2"];
const KEYS: usize = 32;
/// Two keys with so many credits.
const CREDITS: u64 = 60;

/// The layer's store, and the same keys as another process has them.
pub(crate) struct Stores<S, B> {
    pub(crate) through: S,
    pub(crate) behind: B,
    /// Lets the layer's side see what was changed behind it. Says nothing to its cache.
    pub(crate) reload: Box<dyn Fn()>,
    /// Tells the layer's cache of a change.
    pub(crate) tell: Box<dyn Fn(&KeyId)>,
    /// For how long a cache believes what it knows: while the store answers, and while it does not.
    pub(crate) believed: Option<(Duration, Duration)>,
}

impl<S: KeyStore, B: KeyStore> Stores<S, B> {
    pub(crate) const fn is_cached(&self) -> bool {
        self.believed.is_some()
    }

    /// A key of another environment.
    pub(crate) async fn elsewhere(&self) -> String {
        let key = NewKey::named("elsewhere").environment(Environment::TEST);
        self.behind.issue(key).await.map_err(Into::into).unwrap().secret.expose_secret().to_owned()
    }

    async fn changed_behind(&self, id: &KeyId, told: bool) {
        (self.reload)();
        if told {
            (self.tell)(id);
            // Whoever hears it is another task.
            for _ in 0..5 {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl<S: KeyStore + KeySource + Clone, B: KeyStore> Hour<S, B> {
    /// Makes the first keys.
    pub(crate) async fn furnish(&mut self) {
        for number in 0..2 {
            let text = KeyFormat::default().generate(&Environment::LIVE).unwrap().expose_secret().to_owned();
            let id = KeyId::new(format!("key_credits_{number}")).unwrap();
            let mut record = KeyRecord::new(id.clone(), KeyHasher::sha256().digest(&text));
            record.credits = Some(Credits::new(CREDITS).starting(self.clock.now()));
            record.created_at = Some(self.clock.now());
            let _ = self.stores.behind.adopt(record).await.map_err(Into::into).unwrap();
            let key = Key { credits: Some(CREDITS), ..self.plain(id, text, 0) };
            self.model.keys.push(key);
        }
        (self.stores.reload)();
        for _ in 0..KEYS / 2 {
            self.issue().await;
        }
    }

    fn plain(&self, id: KeyId, text: String, plan: usize) -> Key {
        let state = State { revoked_at: None, disabled: false, rotated: false, expires_at: None };
        Key {
            id,
            text,
            plan,
            meter: meter(plan),
            organization: 0,
            writes: false,
            only_from: None,
            credits: None,
            state,
            before: None,
            admitted: 0,
        }
    }

    /// Something happens to a key, or to the number of them.
    pub(crate) async fn act(&mut self) {
        let index = self.random.random_range(0..self.model.keys.len());
        match self.random.random_range(0..10) {
            0..3 => self.issue().await,
            3..5 => self.rotate(index).await,
            5..7 => self.revoke(index).await,
            7..9 => self.enable(index).await,
            _ => self.shorten(index).await,
        }
    }

    async fn issue(&mut self) {
        let now = self.clock.now();
        if self.model.keys.len() >= KEYS {
            return;
        }
        let plan = self.random.random_range(0..PLANS.len());
        let organization = self.random.random_range(0..ORGANIZATIONS.len());
        let writes = self.random.random();
        let only_from = (self.random.random_range(0..8) == 0).then(|| address(0));
        let lives = Duration::from_secs(self.random.random_range(60..2_000));
        let expires_at = self.random.random::<bool>().then(|| now.saturating_add(lives));
        let mut asked = NewKey::named("soak");
        match PLANS[plan] {
            "own" => asked.rate_limits = vec![Quota::new(5, Duration::from_secs(10))],
            "" => {}
            plan => asked.plan = Some(plan.to_owned()),
        }
        if organization > 0 {
            let id = OrganizationId::new(ORGANIZATIONS[organization]).unwrap();
            asked.owner = KeyOwner::organization(id);
        }
        if writes {
            asked.scopes = [WRITE].into();
        }
        asked.allowed_ips = only_from.map(|address| IpBlocks::parse(&address.to_string()).unwrap());
        asked.expires_at = expires_at;
        match self.stores.through.issue(asked).await {
            Err(_) => assert!(self.is_away(), "a store that is there makes keys"),
            Ok(issued) => {
                assert!(!self.is_away());
                let key = self.plain(issued.record.id.clone(), issued.secret.expose_secret().to_owned(), plan);
                let state = State { expires_at, ..key.state.clone() };
                self.model.keys.push(Key { organization, writes, only_from, state, ..key });
            }
        }
    }

    async fn rotate(&mut self, index: usize) {
        let now = self.clock.now();
        let key = self.model.keys[index].clone();
        if key.credits.is_some() || self.model.keys.len() >= KEYS {
            return;
        }
        let overlap = Duration::from_secs(self.random.random_range(0..3) * 50);
        let Ok(succession) = self.stores.through.rotate(&key.id, KeyRotation::overlap(overlap)).await else {
            return assert!(self.is_away());
        };
        let possible = key.state.refusal(now).is_none() && !key.state.rotated;
        let KeySuccession::Rotated { successor, .. } = succession else {
            return assert!(!possible, "{key:?}");
        };
        assert!(possible, "{key:?}");
        let old = &mut self.model.keys[index];
        let expires_at = old.state.expires_at;
        (old.state.rotated, old.before) = (true, None);
        if overlap.is_zero() {
            old.state.revoked_at = Some(now);
        } else {
            let end = now.saturating_add(overlap);
            old.state.expires_at = Some(expires_at.map_or(end, |own| own.min(end)));
        }
        let text = successor.secret.expose_secret().to_owned();
        let heir = self.plain(successor.record.id.clone(), text, key.plan);
        let state = State { expires_at, ..heir.state.clone() };
        let Key { organization, writes, only_from, .. } = key;
        self.model.keys.push(Key { organization, writes, only_from, state, ..heir });
    }

    /// Revokes a key; behind the layer's back, and there with or without a word to its cache, or through its store.
    async fn revoke(&mut self, index: usize) {
        let now = self.clock.now();
        let id = self.model.keys[index].id.clone();
        if self.model.keys[index].credits.is_some() {
            return;
        }
        let way = self.random.random_range(0..3);
        let outcome = match way {
            0 => self.stores.through.revoke(&id, None).await.map_err(Into::into),
            _ if self.is_away() => return,
            _ => self.stores.behind.revoke(&id, None).await.map_err(Into::into),
        };
        let Ok(record) = outcome else { return assert!(self.is_away()) };
        assert!(record.is_some(), "{id} is there");
        let told = way < 2 || !self.stores.is_cached();
        if way > 0 {
            self.stores.changed_behind(&id, told).await;
        }
        let key = &mut self.model.keys[index];
        let was = key.state.clone();
        key.state.revoked_at.get_or_insert(now);
        match self.stores.believed {
            Some((fresh, stale)) if !told => {
                // What was believed before this may be even older than what was just so.
                if was.revoked_at.is_none() {
                    key.before = Some((was, now.saturating_add(fresh), now.saturating_add(stale)));
                }
            }
            _ => key.before = None,
        }
    }

    async fn enable(&mut self, index: usize) {
        let key = &self.model.keys[index];
        let (id, enabled) = (key.id.clone(), key.state.disabled);
        let Ok(update) = self.stores.through.set_enabled(&id, enabled).await else { return assert!(self.is_away()) };
        let key = &mut self.model.keys[index];
        match update {
            KeyUpdate::Changed(_) => (key.state.disabled, key.before) = (!enabled, None),
            other => assert!(key.state.revoked_at.is_some(), "{other:?}"),
        }
        key.before = None;
    }

    async fn shorten(&mut self, index: usize) {
        let key = &self.model.keys[index];
        let end = self.clock.now().saturating_add(Duration::from_secs(self.random.random_range(1..60)));
        if key.state.revoked_at.is_some() || key.state.expires_at.is_some_and(|known| known < end) {
            return;
        }
        let id = key.id.clone();
        let change = KeyChange::new().expires_at(Some(end));
        let Ok(update) = self.stores.through.update(&id, change).await else { return assert!(self.is_away()) };
        assert!(matches!(update, KeyUpdate::Changed(_)), "{update:?}");
        let key = &mut self.model.keys[index];
        (key.state.expires_at, key.before) = (Some(end), None);
    }

    /// Removes what has been over for long, after its uses were found in the store.
    pub(crate) async fn purge(&mut self, now: Timestamp) {
        self.check_usage().await;
        let before = now.saturating_sub(MINUTE * 5);
        let purged = self.stores.through.purge(before).await.map_err(Into::into).unwrap();
        let all = self.model.keys.len();
        self.model.keys.retain(|key| match (key.state.revoked_at, key.state.expires_at) {
            (Some(revoked_at), _) => revoked_at >= before,
            (None, Some(expires_at)) => expires_at >= before,
            (None, None) => true,
        });
        self.model.keys.iter_mut().for_each(|key| key.before = None);
        assert_eq!(purged, all - self.model.keys.len());
    }

    /// Every use is in the store, and no other; and so is every credit that was spent.
    pub(crate) async fn check_usage(&mut self) {
        let mut filter = KeyFilter::default();
        filter.limit = 2 * KEYS;
        let records = self.stores.through.list(&filter).await.map_err(Into::into).unwrap().items;
        // One more is for elsewhere.
        assert_eq!(records.len(), self.model.keys.len() + 1);
        for key in &self.model.keys {
            let record = records.iter().find(|record| record.id == key.id).unwrap();
            assert_eq!(record.use_count, key.admitted, "uses of {key:?}");
            assert_eq!(record.credits.map(|credits| credits.remaining), key.credits, "credits of {key:?}");
        }
    }
}
