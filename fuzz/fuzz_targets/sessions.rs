//! Session cookies of Auth.js, NextAuth and Better Auth out of any bytes: only those that were issued hold. The compact one
//! of Better Auth is JSON of which the session is signed, and may be written in other ways: it says the same, then.

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower_api_key::clock::Timestamp;
use tower_api_key::session::{
    AuthJsSessions, BetterAuthCookieCache, BetterAuthSessions, PresentedSession, Session, SessionAnswer,
    SessionResolver,
};

const SOURCES: [(&str, &str); 5] = [
    (include_str!("../../tests/vectors/authjs_v5.json"), "plain/valid"),
    (include_str!("../../tests/vectors/nextauth_v4.json"), "plain/valid"),
    (include_str!("../../tests/vectors/better_auth_cookie_cache.json"), "compact/valid"),
    (include_str!("../../tests/vectors/better_auth_cookie_cache.json"), "jwt/valid"),
    (include_str!("../../tests/vectors/better_auth_cookie_cache.json"), "jwe/valid"),
];

/// A resolver of any type.
type Read = Box<dyn Fn(&PresentedSession, Timestamp) -> Option<SessionAnswer> + Send + Sync>;

/// What reads a kind of session, and one that is good.
struct Kind {
    name: String,
    good: String,
    /// Whether all of the text is signed.
    is_exact: bool,
    now: Timestamp,
    read: Read,
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let kind = |(file, id): &(&str, &str)| {
        let vectors: Value = serde_json::from_str(file).unwrap();
        let case = vectors["cases"].as_array().unwrap().iter().find(|case| case["id"] == *id).unwrap().clone();
        let (secret, name) = (case["secret"].as_str().unwrap(), case["cookie_name"].as_str().unwrap());
        let cookies = case["cookie_header"].as_str().unwrap().split("; ");
        let good = cookies.filter_map(|cookie| cookie.split_once('=')).find(|(known, _)| *known == name).unwrap().1;
        let people = BetterAuthSessions::builder(secret);
        let read: Read = match *id {
            "compact/valid" => reader(people.cookie_cache(BetterAuthCookieCache::compact()).build().unwrap()),
            "jwt/valid" => reader(people.cookie_cache(BetterAuthCookieCache::jwt()).build().unwrap()),
            "jwe/valid" => reader(people.cookie_cache(BetterAuthCookieCache::jwe()).build().unwrap()),
            _ => reader(AuthJsSessions::new(secret).unwrap()),
        };
        let now = Timestamp::from_unix_seconds(case["now"].as_i64().unwrap());
        Kind { name: name.to_owned(), good: good.to_owned(), is_exact: *id != "compact/valid", now, read }
    };
    let kinds: Vec<Kind> = SOURCES.iter().map(kind).collect();
    for kind in &kinds {
        assert!(kind.session(&kind.good).is_some(), "{} is good", kind.name);
    }
    kinds
});

fn reader(sessions: impl SessionResolver) -> Read {
    Box::new(move |presented, now| sessions.resolve_now(presented, now))
}

impl Kind {
    fn session(&self, text: &str) -> Option<Arc<Session>> {
        match (self.read)(&PresentedSession::cookie(&self.name, text), self.now) {
            Some(SessionAnswer::Valid(session)) => Some(session),
            _ => None,
        }
    }

    /// Nothing else than what was issued.
    fn check(&self, text: &str) {
        let Some(session) = self.session(text) else { return };
        assert!(text == self.good || !self.is_exact, "{} holds, changed", self.name);
        assert_eq!(Some(session), self.session(&self.good), "{} says something else", self.name);
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((which, text)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let kind = &KINDS[usize::from(*which) % KINDS.len()];
    kind.check(text);
    // A good one, cut and with something put in its place: an offset, a length, and the text.
    let (cut, rest) = text.split_at_checked(2).unwrap_or(("\0\0", text));
    let at = usize::from(cut.as_bytes()[0]) * kind.good.len() / 128;
    let end = (at + usize::from(cut.as_bytes()[1]) / 8).min(kind.good.len());
    kind.check(&format!("{}{rest}{}", &kind.good[..at.min(end)], &kind.good[end..]));
});
