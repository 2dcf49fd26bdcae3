//! Rules for resolvers of sessions.

use std::mem::discriminant;
use std::time::Duration;

use super::must;
use crate::clock::Timestamp;
use crate::key::UserId;
use crate::session::{PresentedSession, Session, SessionAnswer, SessionResolver};

/// All rules for a resolver, which knows `good` as a session of `user` that holds at `now`. `present` makes what the gate
/// would hand over: [`PresentedSession::cookie`] or [`PresentedSession::bearer`].
///
/// ```
/// # #[cfg(feature = "jwt")]
/// # tokio_test::block_on(async {
/// use tower_api_key::clock::Timestamp;
/// use tower_api_key::key::UserId;
/// use tower_api_key::session::{JwtAlgorithm, JwtKeys, JwtSessions, PresentedSession};
/// use tower_api_key::testing::conformance;
///
/// // {"sub":"ann","iss":"https://issuer.example","aud":"api","exp":4102444800}
/// let token = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.\
///     eyJzdWIiOiJhbm4iLCJpc3MiOiJodHRwczovL2lzc3Vlci5leGFtcGxlIiwiYXVkIjoiYXBpIiwiZXhwIjo0MTAyNDQ0ODAwfQ.\
///     b3pUmGVkbOSO42KF1r_T91TEgjul-Z7ybUGdYvL7gR0";
/// let users = JwtSessions::builder(JwtKeys::secret("a-secret-of-at-least-32-characters"))
///     .algorithms([JwtAlgorithm::Hs256])
///     .issuer("https://issuer.example")
///     .audience("api")
///     .build()?;
/// let now = Timestamp::from_unix_seconds(1_768_413_600);
/// conformance::session_resolver(&users, |text| PresentedSession::bearer(text), token, &UserId::from_static("ann"), now).await;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
///
/// # Panics
/// When a rule is broken.
pub async fn session_resolver<R: SessionResolver>(
    resolver: &R,
    present: impl Fn(&str) -> PresentedSession,
    good: &str,
    user: &UserId,
    now: Timestamp,
) {
    assert!(!resolver.name().is_empty(), "a resolver has a name, for the log");
    assert!(!resolver.locations().is_empty(), "a resolver looks somewhere");
    let session = a_good_session_is_its_users(resolver, &present(good), user, now).await;
    a_text_that_was_changed_is_no_session(resolver, &present, good, now).await;
    what_no_session_can_be_is_none(resolver, &present, now).await;
    if let Some(end) = session.expires_at {
        let later = end.saturating_add(Duration::from_secs(3_600));
        let answer = answer(resolver, &present(good), later).await;
        assert!(signed_in(&answer).is_none(), "a session ends at its end, remembered or not: {answer:?}");
    }
    a_good_session_is_its_users(resolver, &present(good), user, now).await;
}

async fn a_good_session_is_its_users<R: SessionResolver>(
    resolver: &R,
    presented: &PresentedSession,
    user: &UserId,
    now: Timestamp,
) -> Session {
    // What was asked before may be remembered, and has to be the same.
    let (first, second) = (answer(resolver, presented, now).await, answer(resolver, presented, now).await);
    let session = signed_in(&first).unwrap_or_else(|| panic!("a good session holds: {first:?}"));
    assert_eq!(session.user.id, *user, "a session is its user's");
    assert!(session.expires_at.is_none_or(|end| end > now), "a session that holds has not ended");
    assert_eq!(signed_in(&second), Some(session), "a session is the same when it is asked for again");
    session.clone()
}

async fn a_text_that_was_changed_is_no_session<R: SessionResolver>(
    resolver: &R,
    present: &impl Fn(&str) -> PresentedSession,
    good: &str,
    now: Timestamp,
) {
    assert!(good.is_ascii(), "a session travels in visible ASCII");
    // Some sixty places, from the first to the last.
    let places: Vec<_> = (0..good.len()).step_by(good.len().div_ceil(60)).chain([good.len() - 1]).collect();
    for place in places {
        let (before, after) = (&good[..place], &good[place + 1..]);
        let other = if good.as_bytes()[place] == b'0' { '1' } else { '0' };
        for changed in [format!("{before}{other}{after}"), before.to_owned(), format!("{before}{after}")] {
            let answer = answer(resolver, &present(&changed), now).await;
            assert!(signed_in(&answer).is_none(), "a text that was changed at {place} is no session");
        }
    }
    for longer in [format!("{good}0"), format!("0{good}"), format!("{good}{good}"), good.to_uppercase()] {
        let answer = answer(resolver, &present(&longer), now).await;
        assert!(signed_in(&answer).is_none(), "a text with more than a session is none");
    }
}

async fn what_no_session_can_be_is_none<R: SessionResolver>(
    resolver: &R,
    present: &impl Fn(&str) -> PresentedSession,
    now: Timestamp,
) {
    let long = "e".repeat(65_536);
    let dots = ".".repeat(65_536);
    for text in
        ["", " ", ".", "..", "....", "a.b.c", "{}", "e30.e30.", "%", "%00", "\"\"", "null", "\u{0}", "é", &long, &dots]
    {
        let answer = answer(resolver, &present(text), now).await;
        assert!(signed_in(&answer).is_none(), "what no session can be is none: {:?}", text.chars().next());
    }
}

/// What the resolver says, if it says the same both ways.
async fn answer<R: SessionResolver>(resolver: &R, presented: &PresentedSession, now: Timestamp) -> SessionAnswer {
    let at_once = resolver.resolve_now(presented, now);
    let answer = must(resolver.resolve(presented, now).await);
    if let Some(at_once) = at_once {
        let same = discriminant(&at_once) == discriminant(&answer) && signed_in(&at_once) == signed_in(&answer);
        assert!(same, "what is told at once is what is told after a wait: {at_once:?}, {answer:?}");
    }
    answer
}

fn signed_in(answer: &SessionAnswer) -> Option<&Session> {
    match answer {
        SessionAnswer::Valid(session) => Some(session),
        _ => None,
    }
}
