//! Issuing, reading and listing.

use super::{Stand, face, found, key_source, must};
use crate::key::{Environment, KeyId, KeyOwner, KeyState, OrganizationId, Realm, Scope, UserId};
use crate::limit::Quota;
use crate::source::{KeyFilter, KeyStore, NewKey};
use crate::testing::TestClock;

const READ: Scope = Scope::from_static("read");
const WRITE: Scope = Scope::from_static("write");

/// A secret finds its own record and no other, at once, and no two keys are alike.
///
/// # Panics
/// When the rule is broken.
pub async fn a_key_that_is_issued_is_found_by_its_secret<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let (one, two) = (stand.issue(NewKey::named("one")).await, stand.issue(NewKey::named("two")).await);
    assert_ne!(one.record.id, two.record.id);
    assert_ne!(one.secret.expose_secret(), two.secret.expose_secret());
    for issued in [&one, &two] {
        key_source(&stand.keys, issued.secret.expose_secret(), &issued.record.id).await;
        let found = stand.found(issued).await.map(|record| face(&record));
        assert_eq!(found, Some(face(&issued.record)));
        assert_eq!(found, Some(face(&*stand.get(&issued.record.id).await)));
        assert_eq!(stand.state(&issued.record.id).await, KeyState::Active);
    }
    let digest = one.record.digest.to_stored().unwrap_or_default();
    let presented = stand.keys.schemes().iter().any(|scheme| scheme.digest(&digest).is_some());
    if presented {
        assert!(found(&stand.keys, &digest).await.is_none(), "a digest is no key");
    }
}

/// Nothing that a key is issued with gets lost, and it is made when the clock says.
///
/// # Panics
/// When the rule is broken.
pub async fn a_record_has_what_the_key_was_issued_with<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let mut new = NewKey::named("a \"name\" with ü").scopes([READ, WRITE]).environment(Environment::TEST);
    let user = UserId::from_static("ann");
    new.owner = KeyOwner { user: Some(user), organization: Some(OrganizationId::from_static("acme")) };
    new.realm = Some(Realm::from_static("billing"));
    new.expires_at = Some(stand.now().saturating_add(std::time::Duration::from_secs(3_600)));
    new.allowed_ips = Some(must("10.0.0.0/8".parse()));
    new.allowed_origins = Some(vec!["https://app.example.com".to_owned()]);
    new.rate_limits = vec![Quota::per_hour(7)];
    new.plan = Some("gold".to_owned());
    new.metadata.insert("n".to_owned(), serde_json::json!([1, null, {"a": "b"}]));
    let issued = stand.issue(new.clone()).await;
    let record = stand.get(&issued.record.id).await;
    assert_eq!((&record.name, &record.scopes, &record.owner), (&new.name, &new.scopes, &new.owner));
    assert_eq!((&record.environment, &record.realm), (&new.environment, &new.realm));
    assert_eq!((record.expires_at, record.created_at), (new.expires_at, Some(stand.now())));
    assert_eq!(format!("{:?}", record.allowed_ips), format!("{:?}", new.allowed_ips));
    assert_eq!((&record.allowed_origins, &record.rate_limits), (&new.allowed_origins, &new.rate_limits));
    assert_eq!((&record.plan, &record.metadata), (&new.plan, &new.metadata));
    assert_eq!((record.use_count, record.last_used_at, record.disabled), (0, None, false));
    let secret = issued.secret.expose_secret();
    assert!(record.start.as_ref().is_none_or(|start| secret.starts_with(start.as_str()) && start.len() < 24));
    assert!(!format!("{record:?}").contains(secret));
}

/// Pages hold every key once, the newest first, also when keys are made in between.
///
/// # Panics
/// When the rule is broken.
pub async fn keys_are_listed_newest_first_page_by_page<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let mut expected = Vec::new();
    for number in 0..7 {
        // Some are made at the same instant.
        stand.advance(number % 2);
        expected.insert(0, stand.issue(NewKey::named(number.to_string())).await.record);
    }
    expected.sort_by(|a, b| (b.created_at, b.id.as_str()).cmp(&(a.created_at, a.id.as_str())));
    let expected: Vec<_> = expected.iter().map(|record| record.id.clone()).collect();
    for limit in [1, 3, 7, 50] {
        let (mut filter, mut listed) = (KeyFilter { limit, ..KeyFilter::default() }, Vec::<KeyId>::new());
        loop {
            let page = must(stand.keys.list(&filter).await);
            assert!(page.items.len() <= limit, "a page has no more than it may");
            listed.extend(page.items.iter().map(|record| record.id.clone()));
            if listed.len() == 3 && limit == 3 {
                stand.advance(1);
                must(stand.keys.revoke(&stand.issue(NewKey::named("in between")).await.record.id, None).await);
            }
            let Some(next) = page.next_cursor else { break };
            // As it goes to clients and comes back.
            filter.cursor = Some(must(next.to_string().parse()));
        }
        listed.retain(|id| expected.contains(id));
        assert_eq!(listed, expected, "with {limit} a page");
    }
}

/// By owner, state, scope and text, and all of them together; the end of a key counts at the clock's time.
///
/// # Panics
/// When the rule is broken.
pub async fn a_list_is_narrowed_by_what_is_asked_for<S: KeyStore>(make: impl AsyncFn(TestClock) -> S) {
    let stand = Stand::new(&make).await;
    let (ann, acme) = (UserId::from_static("ann"), OrganizationId::from_static("acme"));
    let soon = stand.now().saturating_add(std::time::Duration::from_secs(10));
    let anns = stand.issue(NewKey::named("Ann's C-I").owner(KeyOwner::user(ann.clone())).scopes([READ])).await.record;
    let acmes = stand.issue(NewKey::named("acme").owner(KeyOwner::organization(acme.clone())).expires_at(soon)).await;
    let acmes = acmes.record;
    let nobodys = stand.issue(NewKey::named("100%_c-i").scopes([READ, WRITE])).await.record;
    stand.revoke(&nobodys.id, "lost").await;
    stand.advance(10);
    let all = KeyFilter::default;
    for (filter, expected) in [
        (all(), &[&anns, &acmes, &nobodys][..]),
        (KeyFilter { user: Some(ann.clone()), ..all() }, &[&anns]),
        (KeyFilter { organization: Some(acme.clone()), ..all() }, &[&acmes]),
        (KeyFilter { user: Some(ann), organization: Some(acme), ..all() }, &[]),
        (KeyFilter { state: Some(KeyState::Active), ..all() }, &[&anns]),
        (KeyFilter { state: Some(KeyState::Expired), ..all() }, &[&acmes]),
        (KeyFilter { state: Some(KeyState::Revoked), ..all() }, &[&nobodys]),
        (KeyFilter { scope: Some(READ), ..all() }, &[&anns, &nobodys]),
        (KeyFilter { scope: Some(WRITE), state: Some(KeyState::Active), ..all() }, &[]),
        (KeyFilter { text: Some("c-I".to_owned()), ..all() }, &[&anns, &nobodys]),
        (KeyFilter { text: Some("%_".to_owned()), ..all() }, &[&nobodys]),
        (KeyFilter { text: Some("'".to_owned()), ..all() }, &[&anns]),
        (KeyFilter { text: Some(anns.id.as_str().to_owned()), ..all() }, &[&anns]),
    ] {
        let page = must(stand.keys.list(&filter).await);
        let mut listed: Vec<_> = page.items.iter().map(|record| record.id.as_str()).collect();
        let mut expected: Vec<_> = expected.iter().map(|record| record.id.as_str()).collect();
        listed.sort_unstable();
        expected.sort_unstable();
        assert_eq!(listed, expected, "{filter:?}");
    }
}
