//! A machine's id taken for a user's.

use std::sync::Arc;

use http::Request;
use tower_api_key::key::{KeyClass, KeyOwner, OrganizationId, UserId};
use tower_api_key::session::Session;
use tower_api_key::{ApiKeyLayer, AuthMethod, Principal, User};

use crate::support::{key_of, memory, record, send};

/// CVE-2026-39976: a client's id was accepted where a user's was meant.
#[test]
fn a_key_named_like_a_user_or_owned_by_one_is_not_that_user() {
    let key = key_of("live");
    for class in [KeyClass::Standard, KeyClass::Admin, KeyClass::Client] {
        let mut machine = record("user_1", &key);
        machine.class = class;
        machine.owner = KeyOwner {
            user: Some(UserId::from_static("user_1")),
            organization: Some(OrganizationId::from_static("user_1")),
        };
        let auth = ApiKeyLayer::new(memory([machine]));
        let outcome = send(&auth, Request::get("/").header("x-api-key", &key));
        let context = outcome.context();
        assert!(matches!(context.principal(), Principal::Key(_)));
        assert!(context.user().is_none());
        assert!(!matches!(context.method(), AuthMethod::Session | AuthMethod::ApiKeyAndUser | AuthMethod::Anonymous));
        let json = serde_json::to_value(context).unwrap();
        assert_eq!((&json["user"], &json["keyId"]), (&serde_json::Value::Null, &"user_1".into()));
    }
}

#[test]
fn every_kind_of_principal_authenticates_by_a_method_of_its_own() {
    let key = tower_api_key::key::KeyRef::from(record("same_id", &key_of("live")));
    let session = Arc::new(Session::of(User::new(UserId::from_static("same_id"))));
    let principals = [
        Principal::Anonymous,
        Principal::Key(key.clone()),
        Principal::User(Arc::clone(&session)),
        Principal::KeyAndUser(key, session),
    ];
    let methods = principals.each_ref().map(Principal::method);
    for (index, method) in methods.iter().enumerate() {
        assert!(!methods[..index].contains(method), "{method:?}");
    }
    let ids = principals.each_ref().map(|principal| (principal.key().is_some(), principal.user().is_some()));
    assert_eq!(ids, [(false, false), (true, false), (false, true), (true, true)]);
}

#[test]
fn anonymous_is_nobody_and_has_nothing() {
    let (keys, key) = crate::support::one_key();
    let auth = ApiKeyLayer::builder(keys.clone()).optional(http::Method::GET, "/").build().unwrap();
    let outcome = send(&auth, Request::get("/"));
    let context = outcome.context();
    assert!(matches!(context.principal(), Principal::Anonymous));
    assert!(context.key().is_none() && context.user().is_none() && context.organization().is_none());
    assert!(context.scopes().is_empty());
    assert!(context.require(tower_api_key::key::Scope::from_static("read")).is_err());
    // With a layer that is switched off a key that is presented is not looked at either.
    let off = ApiKeyLayer::builder(keys).insecure_anonymous().build().unwrap();
    let outcome = send(&off, Request::get("/").header("x-api-key", key));
    assert!(matches!(outcome.context().principal(), Principal::Anonymous));
}
