use http::Request;

use super::*;

fn all() -> Credentials {
    Credentials::new(&[
        CredentialLocation::header("X-API-Key"),
        CredentialLocation::bearer(),
        CredentialLocation::cookie("key"),
        CredentialLocation::websocket_subprotocol(),
        CredentialLocation::insecure_query_parameter("api_key"),
    ])
    .unwrap()
}

fn request(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn verdict(uri: &str, headers: &[(&str, &str)]) -> String {
    let request = request(uri, headers);
    match all().read(&request, Glance::at(&request.headers)) {
        Presented::Nothing => "nothing".to_owned(),
        Presented::Malformed => "malformed".to_owned(),
        Presented::Ambiguous => "ambiguous".to_owned(),
        Presented::Key(key) | Presented::KeyInCookie(key) => key.expose_secret().to_owned(),
    }
}

#[test]
fn each_place_is_read_as_its_rules_say() {
    for (headers, expected) in [
        (&[][..], "nothing"),
        (&[("x-api-key", "K")], "K"),
        (&[("X-API-KEY", " K\t")], "K"),
        (&[("x-api-key", "")], "nothing"),
        (&[("x-api-key", " ")], "nothing"),
        (&[("x-api-key", "a b")], "malformed"),
        (&[("x-api-key", "a,b")], "ambiguous"),
        (&[("x-api-key", ",")], "ambiguous"),
        (&[("x-api-key", "K"), ("x-api-key", "K")], "ambiguous"),
        (&[("x-api-key", "K"), ("x-api-key", "")], "ambiguous"),
        (&[("x-api-key", ""), ("x-api-key", "K")], "ambiguous"),
        (&[("authorization", "Bearer K")], "K"),
        (&[("authorization", "bEARER   K")], "K"),
        (&[("authorization", "Bearer")], "nothing"),
        (&[("authorization", "Bearer ")], "nothing"),
        (&[("authorization", "Bearer\tK")], "malformed"),
        (&[("authorization", "Bearer \tK")], "malformed"),
        (&[("authorization", "Bearer\tK"), ("x-api-key", "K")], "ambiguous"),
        (&[("authorization", "Bearer K L")], "malformed"),
        (&[("authorization", "Bearer K, Bearer L")], "ambiguous"),
        (&[("authorization", "BearerK")], "nothing"),
        (&[("authorization", "Basic K")], "nothing"),
        (&[("authorization", "K")], "nothing"),
        (&[("authorization", "Bearer K"), ("authorization", "Bearer K")], "ambiguous"),
        (&[("authorization", "Basic K"), ("authorization", "Bearer K")], "ambiguous"),
        (&[("authorization", "Basic K"), ("authorization", "Basic L")], "nothing"),
        (&[("x-api-key", "K"), ("authorization", "Bearer K")], "K"),
        (&[("x-api-key", "K"), ("authorization", "Bearer L")], "ambiguous"),
        (&[("x-api-key", "K"), ("authorization", "Basic L")], "K"),
        (&[("x-api-key", "K"), ("authorization", "Bearer a b")], "ambiguous"),
        (&[("cookie", "a=1; key=K; b=2")], "K"),
        (&[("cookie", "a=1"), ("cookie", "key=K")], "K"),
        (&[("cookie", "key=K; key=K")], "ambiguous"),
        (&[("cookie", "Key=K; keys=K; key")], "nothing"),
        (&[("cookie", "key=")], "nothing"),
        (&[("sec-websocket-protocol", "chat, api-key.K")], "K"),
        (&[("sec-websocket-protocol", "api-key.K, api-key.L")], "ambiguous"),
        (&[("sec-websocket-protocol", "chat")], "nothing"),
    ] {
        assert_eq!(verdict("/", headers), expected, "{headers:?}");
    }
    for (uri, expected) in [
        ("/?api_key=K", "K"),
        ("/?a=1&api_key=K%7C1", "K|1"),
        ("/?%61pi_key=K", "K"),
        ("/?api_key=K&api_key=L", "ambiguous"),
        ("/?api_key=%00", "malformed"),
        ("/?api_key=", "nothing"),
        ("/?api_key", "nothing"),
        ("/?xapi_key=K", "nothing"),
    ] {
        assert_eq!(verdict(uri, &[]), expected, "{uri}");
    }
}

#[test]
fn what_was_a_credential_is_gone_and_the_rest_is_untouched() {
    let mut parts = request(
        "/path?a=%20&api_key=K&b",
        &[
            ("x-api-key", "K"),
            ("authorization", "Bearer K"),
            ("cookie", "a=\"1 2\"; key=K;  b=2"),
            ("sec-websocket-protocol", "api-key.K, chat"),
            ("accept", "*/*"),
        ],
    );
    let glance = Glance::at(&parts.headers);
    all().strip(&mut parts, glance);
    assert_eq!(parts.uri, "/path?a=%20&b");
    let mut kept: Vec<_> = parts.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    kept.sort_unstable();
    assert_eq!(kept, [("accept", "*/*"), ("cookie", "a=\"1 2\"; b=2"), ("sec-websocket-protocol", "chat")]);

    let mut alone = request("/?api_key=K", &[("cookie", "key=K"), ("authorization", "Basic dTpw")]);
    let glance = Glance::at(&alone.headers);
    all().strip(&mut alone, glance);
    assert_eq!(alone.uri, "/");
    assert_eq!(alone.headers.len(), 1, "an Authorization that is no key of ours stays");
}

#[test]
fn places_that_cannot_be_are_refused_by_name() {
    for location in [
        CredentialLocation::header("X API Key"),
        CredentialLocation::header("Authorization"),
        CredentialLocation::header("Cookie"),
        CredentialLocation::authorization(""),
        CredentialLocation::cookie("a;b"),
        CredentialLocation::insecure_query_parameter(""),
    ] {
        let error = Credentials::new(std::slice::from_ref(&location)).unwrap_err();
        assert_eq!(error.problems()[0].setting, "credentials", "{location:?}");
    }
    assert!(Credentials::new(&[]).is_err());
}

#[test]
fn by_default_a_header_and_bearer_are_read() {
    let read = |headers: &[(&str, &str)]| {
        let request = request("/?api_key=K", headers);
        match Credentials::default().read(&request, Glance::at(&request.headers)) {
            Presented::Key(key) | Presented::KeyInCookie(key) => key.expose_secret().to_owned(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(read(&[("x-api-key", "K")]), "K");
    assert_eq!(read(&[("authorization", "bearer K")]), "K");
    assert_eq!(read(&[("cookie", "key=K")]), "Nothing");
}
