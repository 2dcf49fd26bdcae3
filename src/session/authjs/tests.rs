use super::*;

const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);

#[test]
fn a_missing_or_doubled_setting_is_named() {
    let error = AuthJsSessions::builder("").with_cookies([]).build().unwrap_err();
    assert_eq!(error.to_string(), "secret: is empty; cookies: between 1 and 254 are needed");
    let error = AuthJsSessions::builder("s").add_cookie(AuthJsCookie::authjs("authjs.session-token")).build();
    assert_eq!(error.unwrap_err().to_string(), "cookies: authjs.session-token is named twice");
    assert!(AuthJsSessions::builder("s").add_secret("").build().is_err());
}

#[test]
fn debug_shows_no_secret() {
    let builder = AuthJsSessions::builder("a-secret-text").add_secret("a-secret-text");
    assert!(!format!("{builder:?}").contains("a-secret-text"));
    assert!(!format!("{:?}", builder.build().unwrap()).contains("a-secret-text"));
}

#[test]
fn what_does_not_hold_is_never_remembered() {
    let sessions = AuthJsSessions::new("secret").unwrap();
    for number in 0..100 {
        let text = format!("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAAAAAAAAAAAAAA.AAAA{number}.AAAA");
        let answer = sessions.answer(&PresentedSession::cookie("next-auth.session-token", text), NOW);
        assert!(matches!(answer, SessionAnswer::Invalid(_)), "{answer:?}");
    }
    assert_eq!(sessions.0.verified.len(), 0);
}
