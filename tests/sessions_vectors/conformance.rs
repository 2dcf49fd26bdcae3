//! The suite that every resolver has to pass.

use tower_api_key::key::UserId;
use tower_api_key::session::{AuthJsSessions, BetterAuthCookieCache, BetterAuthSessions, PresentedSession};
use tower_api_key::testing::conformance;

use crate::vectors::{case, now, own, presented, text};

#[tokio::test]
async fn sessions_of_authjs_and_nextauth_pass_the_suite() {
    for (file, id) in [("nextauth_v4.json", "plain/valid"), ("authjs_v5.json", "secure/valid")] {
        let case = case(file, id);
        let sessions = AuthJsSessions::new(text(&case, "secret").unwrap()).unwrap();
        let user = UserId::new(text(&case["expect"]["claims"], "sub").unwrap()).unwrap();
        let name = text(&case, "cookie_name").unwrap();
        let good = presented(&case);
        let present = |value: &str| PresentedSession::cookie(name, value);
        conformance::session_resolver(&sessions, present, good.expose_secret(), &user, now(&case)).await;
    }
}

#[tokio::test]
async fn sessions_of_better_auth_pass_the_suite() {
    let case = case("better_auth_session.json", "plain/valid");
    let url = format!("sqlite:{}?immutable=true", own("better_auth_session.sqlite").display());
    let sessions = BetterAuthSessions::connect(text(&case, "secret").unwrap(), url).await.unwrap();
    let user = UserId::new(text(&case["expect"]["user"], "id").unwrap()).unwrap();
    let name = text(&case, "cookie_name").unwrap();
    let good = presented(&case);
    let present = |value: &str| PresentedSession::cookie(name, value);
    conformance::session_resolver(&sessions, present, good.expose_secret(), &user, now(&case)).await;
}

#[tokio::test]
async fn the_cookie_caches_of_better_auth_pass_the_suite() {
    let strategies = [
        ("compact/valid", BetterAuthCookieCache::compact()),
        ("jwt/valid", BetterAuthCookieCache::jwt()),
        ("jwe/valid", BetterAuthCookieCache::jwe()),
    ];
    for (id, strategy) in strategies {
        let case = case("better_auth_cookie_cache.json", id);
        let sessions =
            BetterAuthSessions::builder(text(&case, "secret").unwrap()).cookie_cache(strategy).build().unwrap();
        let user = UserId::new(text(&case["expect"]["payload"]["user"], "id").unwrap()).unwrap();
        let name = text(&case, "cookie_name").unwrap();
        let good = presented(&case);
        let present = |value: &str| PresentedSession::cookie(name, value);
        conformance::session_resolver(&sessions, present, good.expose_secret(), &user, now(&case)).await;
    }
}
