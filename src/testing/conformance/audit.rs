//! What every store of audit events has to keep to.

use std::time::Duration;

use super::must;
use crate::audit::{
    AuditAction, AuditActor, AuditChange, AuditEvent, AuditEventId, AuditFilter, AuditOutcome, AuditPage, AuditStore,
};
use crate::clock::Timestamp;
use crate::context::AuthMethod;
use crate::key::{KeyId, KeyOwner, OrganizationId, UserId};

/// All rules for a store of audit events. `make` makes an empty one each time.
///
/// # Panics
/// When a rule is broken.
pub async fn audit_store<S: AuditStore>(make: impl AsyncFn() -> S) {
    let make = &make;
    events_are_read_back_as_they_were(make).await;
    events_are_listed_latest_first_page_by_page(make).await;
    an_event_that_comes_twice_is_kept_once(make).await;
    events_are_narrowed_by_what_is_asked_for(make).await;
    only_what_is_old_is_purged(make).await;
}

/// Everything that an event has comes back, whatever characters are in it.
///
/// # Panics
/// When the rule is broken.
pub async fn events_are_read_back_as_they_were<S: AuditStore>(make: impl AsyncFn() -> S) {
    let store = make().await;
    let mut full = event(1);
    full.action = AuditAction::Update;
    full.outcome = AuditOutcome::Accepted;
    full.reason = "session".into();
    full.actor = actor("ann", "key_other");
    full.key_id = Some(KeyId::from_static("key_1"));
    full.owner = KeyOwner { user: Some(UserId::from_static("ann")), organization: Some(ACME) };
    full.client_ip = Some(std::net::IpAddr::from([203, 0, 113, 9]));
    full.new_address = true;
    full.method = "PATCH".to_owned();
    full.path = "/ä\u{0}\"\\\n{}\u{2028}'; DROP TABLE keys; --".to_owned();
    full.request_id = Some("{\"id\":1}".to_owned());
    full.changes =
        Some([("name".to_owned(), AuditChange::new("a\nb".into(), serde_json::json!({"x": [1, null]})))].into());
    let bare = event(2);
    must(store.append(&[full.clone(), bare.clone()]).await);
    must(store.append(&[]).await);
    let page = read(&store, AuditFilter::default()).await;
    assert_eq!((page.items, page.next_cursor), (vec![bare, full], None));
}

/// What is recorded while somebody turns the pages moves none of them.
///
/// # Panics
/// When the rule is broken.
pub async fn events_are_listed_latest_first_page_by_page<S: AuditStore>(make: impl AsyncFn() -> S) {
    let store = make().await;
    assert_eq!(read(&store, AuditFilter::default()).await.items, []);
    let events: Vec<_> = (0..150).map(event).collect();
    must(store.append(&events[..100]).await);
    must(store.append(&events[100..]).await);
    let mut filter = AuditFilter { limit: 40, ..AuditFilter::default() };
    let mut listed = Vec::new();
    for more in 1_000.. {
        let page = read(&store, filter.clone()).await;
        assert!(page.items.len() <= 40);
        listed.extend(page.items.iter().map(|event| event.id));
        must(store.append(&[event(more)]).await);
        filter.cursor = page.next_cursor;
        if filter.cursor.is_none() {
            break;
        }
    }
    let expected: Vec<_> = events.iter().rev().map(|event| event.id).collect();
    assert_eq!(listed, expected);
    filter.limit = 150;
    filter.cursor = Some(event(150).id);
    assert_eq!(read(&store, filter).await.next_cursor, None, "a full last page is the last");
}

/// A batch is handed over again if it was not answered in time.
///
/// # Panics
/// When the rule is broken.
pub async fn an_event_that_comes_twice_is_kept_once<S: AuditStore>(make: impl AsyncFn() -> S) {
    let store = make().await;
    let events: Vec<_> = (0..70).map(event).collect();
    for batch in [&events[..40], &events[..], &events[30..]] {
        must(store.append(batch).await);
    }
    let filter = AuditFilter { limit: 100, ..AuditFilter::default() };
    let ids: Vec<_> = read(&store, filter).await.items.iter().map(|event| event.id).collect();
    assert_eq!(ids, events.iter().rev().map(|event| event.id).collect::<Vec<_>>());
}

/// Filters leave out what does not match, and go together. An owner is compared whole, and in its own kind.
///
/// # Panics
/// When the rule is broken.
pub async fn events_are_narrowed_by_what_is_asked_for<S: AuditStore>(make: impl AsyncFn() -> S) {
    let store = make().await;
    let mut events: Vec<_> = (0..6).map(event).collect();
    events[0].owner = KeyOwner::organization(ACME);
    events[0].key_id = Some(KeyId::from_static("key_1"));
    events[1].owner = KeyOwner::user(UserId::from_static("acme"));
    events[1].key_id = Some(KeyId::from_static("key_10"));
    events[2].owner = KeyOwner::organization(OrganizationId::from_static("acme2"));
    events[2].outcome = AuditOutcome::Accepted;
    events[3].owner = KeyOwner { user: Some(UserId::from_static("ann")), organization: Some(ACME) };
    events[3].action = AuditAction::Revoke;
    events[3].path = "/v1/Keys/100%_".to_owned();
    events[4].actor = actor("Bob", "key_b");
    events[5].client_ip = Some(std::net::IpAddr::from([192, 0, 2, 77]));
    must(store.append(&events).await);
    let found = async |set: Asked<'_>| {
        let mut filter = AuditFilter::default();
        set(&mut filter);
        let items = read(&store, filter).await.items;
        items.iter().map(|found| events.iter().position(|event| event.id == found.id)).collect::<Option<Vec<_>>>()
    };
    let asked: [(Asked<'_>, &[usize]); 14] = [
        (&|filter| filter.organization = Some(ACME), &[3, 0]),
        (&|filter| filter.user = Some(UserId::from_static("acme")), &[1]),
        (&|filter| filter.user = Some(UserId::from_static("nobody")), &[]),
        (&|filter| (filter.organization, filter.user) = (Some(ACME), Some(UserId::from_static("ann"))), &[3]),
        (&|filter| filter.key_id = Some(KeyId::from_static("key_1")), &[0]),
        (&|filter| filter.action = Some(AuditAction::Revoke), &[3]),
        (&|filter| filter.action = Some(AuditAction::Create), &[]),
        (&|filter| filter.outcome = Some(AuditOutcome::Accepted), &[2]),
        (&|filter| filter.text = Some("keys/100%_".to_owned()), &[3]),
        (&|filter| filter.text = Some("%".to_owned()), &[3]),
        (&|filter| filter.text = Some("bob".to_owned()), &[4]),
        (&|filter| filter.text = Some("KEY_1".to_owned()), &[1, 0]),
        (&|filter| filter.text = Some("192.0.2.7".to_owned()), &[5]),
        (&|filter| (filter.organization, filter.text) = (Some(ACME), Some("key_1".to_owned())), &[0]),
    ];
    for (index, (set, expected)) in asked.into_iter().enumerate() {
        assert_eq!(found(set).await.as_deref(), Some(expected), "filter {index}");
    }
}

/// However often it is told to, a store forgets nothing that is not old. What is old may go later, together with others.
///
/// # Panics
/// When the rule is broken.
pub async fn only_what_is_old_is_purged<S: AuditStore>(make: impl AsyncFn() -> S) {
    let store = make().await;
    let events: Vec<_> = (0..20).map(event).collect();
    must(store.append(&events).await);
    let mut purged = 0;
    loop {
        match must(store.purge_events(events[12].at, 5).await) {
            0 => break,
            more => purged += more,
        }
        assert!(purged <= 12, "{purged} events of 12 are purged");
    }
    let left = read(&store, AuditFilter::default()).await.items;
    assert_eq!(left.len(), 20 - purged);
    assert!(left.len() >= 8 && left.iter().take(8).eq(events[12..].iter().rev()));
}

/// Sets what is asked for.
type Asked<'a> = &'a dyn Fn(&mut AuditFilter);

const ACME: OrganizationId = OrganizationId::from_static("acme");

/// The event of that number, a second after the one before.
fn event(number: u64) -> AuditEvent {
    let at = Timestamp::from_unix_seconds(1_768_413_600).saturating_add(Duration::from_secs(number));
    let mut event = AuditEvent::new(AuditEventId::new(at, 7), at, AuditAction::Authenticate);
    event.reason = "INVALID_API_KEY".into();
    event
}

fn actor(user: &'static str, key: &'static str) -> AuditActor {
    let (user, key_id) = (Some(UserId::from_static(user)), Some(KeyId::from_static(key)));
    AuditActor { method: Some(AuthMethod::Session), user, key_id }
}

async fn read<S: AuditStore>(store: &S, filter: AuditFilter) -> AuditPage {
    must(store.events(&filter).await)
}
