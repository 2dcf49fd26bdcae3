//! A key of one part of a deployment opening another.

use http::Request;
use tower_api_key::ApiKeyLayer;
use tower_api_key::key::{Environment, KeyClass, KeyRecord, Realm, ScopeSet};
use tower_api_key::source::{EnvKeys, KeySource};

use crate::support::{key_of, memory, one_key, record, send};

fn bound(key: &str, environment: Option<&'static str>, realm: Option<&'static str>) -> KeyRecord {
    let mut record = record("key_bound", key);
    record.environment = environment.map(Environment::from_static);
    record.realm = realm.map(Realm::from_static);
    record
}

#[test]
fn a_key_of_another_environment_or_realm_opens_nothing_in_any_chain() {
    let environments = [None, Some("live"), Some("test")];
    let realms = [None, Some("a"), Some("b")];
    for its in environments {
        for its_realm in realms {
            let key = key_of(its.unwrap_or("live"));
            let keys = memory([bound(&key, its, its_realm)]);
            let (other, _) = one_key();
            let env = EnvKeys::from_value("ADMIN_API_KEY", "an-operators-key-of-many-characters").unwrap();
            for ours in environments {
                for our_realm in realms {
                    let sources = [
                        ApiKeyLayer::builder(keys.clone()),
                        ApiKeyLayer::builder(other.clone().or(keys.clone())),
                        ApiKeyLayer::builder(keys.clone().or(other.clone())),
                        ApiKeyLayer::builder(env.clone().or(other.clone().or(keys.clone()))),
                    ];
                    for (index, builder) in sources.into_iter().enumerate() {
                        let builder = match ours {
                            Some(ours) => builder.environment(Environment::from_static(ours)),
                            None => builder.any_environment(),
                        };
                        let builder = match our_realm {
                            Some(ours) => builder.realm(Realm::from_static(ours)),
                            None => builder,
                        };
                        let auth = builder.build().unwrap();
                        let outcome = send(&auth, Request::get("/").header("x-api-key", &key));
                        let fits = (ours.is_none() || its.is_none() || ours == its)
                            && (its_realm.is_none() || its_realm == our_realm);
                        let what = (index, its, ours, its_realm, our_realm);
                        if fits {
                            assert!(outcome.was_let_in(), "{what:?}");
                        } else {
                            outcome.assert_refused("INVALID_API_KEY", what);
                        }
                    }
                }
            }
        }
    }
}

/// A record that is found ends the search, also when it may not be used here.
#[test]
fn a_record_that_may_not_be_used_does_not_give_way_to_the_next_source() {
    let key = key_of("live");
    let mut revoked = record("key_revoked", &key);
    revoked.revoked_at = Some(tower_api_key::clock::Timestamp::UNIX_EPOCH);
    let good = memory([record("key_good", &key)]);
    for first in [memory([revoked]), memory([bound(&key, Some("test"), None)]), memory([bound(&key, None, Some("b"))])]
    {
        let auth = ApiKeyLayer::new(first.or(good.clone()));
        let outcome = send(&auth, Request::get("/").header("x-api-key", &key));
        assert!(!outcome.was_let_in() && outcome.status == 401, "{}", outcome.body);
    }
}

/// CVE-2026-56216: an empty set of scopes was read as all of them.
#[test]
fn no_scopes_are_not_all_scopes() {
    use tower_api_key::key::{Scope, ScopeRequirement};
    use tower_api_key::route::Route;
    let read = Scope::from_static("read");
    let requirements: [ScopeRequirement; 3] = [
        read.clone().into(),
        ScopeRequirement::any([read.clone(), Scope::from_static("write")]),
        ScopeRequirement::all([read.clone()]),
    ];
    for requirement in requirements {
        for class in [KeyClass::Standard, KeyClass::Client, KeyClass::Admin] {
            let key = key_of("live");
            let mut none = record("key_none", &key);
            none.class = class;
            none.scopes = ScopeSet::EMPTY;
            let route = Route::new().scopes(requirement.clone());
            let auth = ApiKeyLayer::builder(memory([none])).default_route(route).build().unwrap();
            send(&auth, Request::get("/").header("x-api-key", &key)).assert_refused("INSUFFICIENT_SCOPE", class);
        }
    }
    let nothing: [Scope; 0] = [];
    let route = Route::new().scopes(ScopeRequirement::any(nothing));
    let (keys, _) = one_key();
    assert!(ApiKeyLayer::builder(keys).default_route(route).build().is_err(), "an empty requirement is a mistake");
}

/// CVE-2026-33032: an empty list of addresses was read as everyone.
#[test]
fn an_empty_list_of_addresses_or_origins_is_nobody() {
    let key = key_of("live");
    let from = |peer: &str| {
        let peer = tower_api_key::PeerAddr(peer.parse().unwrap());
        Request::get("/").header("x-api-key", &key).header("origin", "https://a.example").extension(peer)
    };
    let mut no_address = record("key_a", &key);
    no_address.allowed_ips = Some(tower_api_key::ip::IpBlocks::default());
    let auth = ApiKeyLayer::new(memory([no_address]));
    for peer in ["127.0.0.1:1", "[::1]:1", "10.0.0.1:1"] {
        send(&auth, from(peer)).assert_refused("IP_NOT_ALLOWED", peer);
    }
    send(&auth, Request::get("/").header("x-api-key", &key)).assert_refused("IP_NOT_ALLOWED", "no peer");
    let mut no_origin = record("key_b", &key);
    no_origin.allowed_origins = Some(Vec::new());
    let auth = ApiKeyLayer::new(memory([no_origin]));
    send(&auth, from("127.0.0.1:1")).assert_refused("ORIGIN_NOT_ALLOWED", "origin");
    send(&auth, Request::get("/").header("x-api-key", &key)).assert_refused("ORIGIN_NOT_ALLOWED", "no origin");
}
