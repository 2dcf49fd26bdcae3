//! What nobody signed: it is refused, whatever it is, and without a panic.

use std::sync::LazyLock;

use proptest::prelude::*;
use tower_api_key::session::{
    AuthJsSessions, BetterAuthCookieCache, BetterAuthSessions, PresentedSession, SessionAnswer, SessionResolver,
};

use crate::vectors::{case, now, presented, text};

/// What a resolver says of a text.
type Answer = Box<dyn Fn(&PresentedSession) -> Option<SessionAnswer> + Send + Sync>;

const SESSIONS: [(&str, &str); 5] = [
    ("nextauth_v4.json", "plain/valid"),
    ("authjs_v5.json", "plain/valid"),
    ("better_auth_cookie_cache.json", "compact/valid"),
    ("better_auth_cookie_cache.json", "jwt/valid"),
    ("better_auth_cookie_cache.json", "jwe/valid"),
];

/// A good session, and what reads it.
struct Good {
    presented: PresentedSession,
    answer: Answer,
}

static GOOD: LazyLock<Vec<Good>> = LazyLock::new(|| {
    let good = |(file, id): (&str, &str)| {
        let case = case(file, id);
        let (secret, now) = (text(&case, "secret").unwrap().to_owned(), now(&case));
        let people = BetterAuthSessions::builder(&secret);
        let answer: Answer = match id {
            "compact/valid" => reader(people.cookie_cache(BetterAuthCookieCache::compact()).build().unwrap(), now),
            "jwt/valid" => reader(people.cookie_cache(BetterAuthCookieCache::jwt()).build().unwrap(), now),
            "jwe/valid" => reader(people.cookie_cache(BetterAuthCookieCache::jwe()).build().unwrap(), now),
            _ => reader(AuthJsSessions::new(secret).unwrap(), now),
        };
        Good { presented: presented(&case), answer }
    };
    SESSIONS.into_iter().map(good).collect()
});

fn reader(sessions: impl SessionResolver, now: tower_api_key::clock::Timestamp) -> Answer {
    Box::new(move |presented| sessions.resolve_now(presented, now))
}

impl Good {
    fn is_refused(&self, text: &str) -> bool {
        let presented = PresentedSession::cookie(self.presented.cookie_name().unwrap(), text);
        !matches!((self.answer)(&presented), None | Some(SessionAnswer::Valid(_)))
    }
}

#[test]
fn the_sessions_that_are_changed_below_are_good() {
    for (good, id) in GOOD.iter().zip(SESSIONS) {
        let answer = (good.answer)(&good.presented);
        assert!(matches!(answer, Some(SessionAnswer::Valid(_))), "{id:?}: {answer:?}");
    }
}

/// Every character of a session counts: none can be changed, dropped or doubled.
#[test]
fn a_session_changed_in_one_character_is_refused() {
    for (good, id) in GOOD.iter().zip(SESSIONS) {
        let text = good.presented.expose_secret();
        for index in 0..text.len() {
            let (before, after) = text.split_at(index);
            let (one, after) = after.split_at(1);
            let other = if one == "A" { "B" } else { "A" };
            for changed in
                [format!("{before}{other}{after}"), format!("{before}{after}"), format!("{before}{one}{one}{after}")]
            {
                assert!(good.is_refused(&changed), "{id:?} at {index}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_text_is_refused(text in ".{1,200}", which in 0..SESSIONS.len()) {
        prop_assert!(GOOD[which].is_refused(&text));
    }

    #[test]
    fn arbitrary_parts_are_refused(parts in proptest::collection::vec("[A-Za-z0-9_=-]{0,40}", 1..7), which in 0..SESSIONS.len()) {
        prop_assert!(GOOD[which].is_refused(&parts.join(".")) || parts.iter().all(String::is_empty));
    }

    #[test]
    fn a_good_header_before_arbitrary_parts_is_refused(
        parts in proptest::collection::vec("[A-Za-z0-9_-]{0,90}", 2..5),
        which in 0..SESSIONS.len(),
    ) {
        let text = GOOD[which].presented.expose_secret();
        let header = text.split('.').next().unwrap();
        let direct = format!("{header}..{}", parts.join("."));
        let joined = format!("{header}.{}", parts.join("."));
        prop_assert!(GOOD[which].is_refused(&direct) && GOOD[which].is_refused(&joined));
    }
}

/// As large as a header can be, and made to cost as much as it can: the tag has to be made over all of it.
#[test]
fn a_session_of_64_kib_is_refused() {
    for good in GOOD.iter() {
        let header = good.presented.expose_secret().split('.').next().unwrap().to_owned();
        let iv = "A".repeat(if header.contains("R0NN") { 16 } else { 22 });
        let long = "A".repeat(64 * 1024);
        for text in [
            format!("{header}..{iv}.{long}.{}", "A".repeat(43)),
            format!("{header}.{long}.{long}"),
            long,
            ".".repeat(65_536),
        ] {
            assert!(good.is_refused(&text));
        }
    }
}
